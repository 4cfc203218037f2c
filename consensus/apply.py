"""Committed entries into the state machine, and their results to those who wait for them."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from consensus import command
from consensus.blocking import Whole
from consensus.env import Env, Lane
from consensus.metrics import Metrics
from consensus.options import Options
from consensus.raft import confchange
from consensus.raft.types import ConfChange, Entry, EntryType
from raftgate.api.cluster import MemberAttributes
from raftgate.api.errors import EtcdError
from raftgate.api.kv import CompactionRequest, PutRequest
from raftgate.api.message import Message, Request
from storage.machine import Command, Machine
from storage.missing import Missing

log = logging.getLogger(__name__)

FLUSH_BYTES = 16 * 1024 * 1024
"""Rows in memory, in bytes, that are flushed without waiting for the next interval."""

Waiter = asyncio.Future[Message]
AnyRequest = Request[Any]  # Any: whatever answers it


class Applier:
    """Applies entries in the order of their indexes."""

    def __init__(
        self,
        machine: Machine,
        apply_conf_change: Callable[[ConfChange], object],
        env: Env,
        options: Options,
        metrics: Metrics,
    ) -> None:
        self._machine = machine
        self._env = env
        self.whole = Whole()
        """Clear while a large command is applied in slices: nobody may look at the machine meanwhile."""
        self.whole.set()
        self.on_compaction: Callable[[], None] = lambda: None
        """Called when there is history to remove."""
        self.on_pressure: Callable[[], None] = lambda: None
        """Called while many rows wait for SQLite."""
        self.on_term: Callable[[int], None] = lambda _: None
        """Called with a leader's term when it has begun: all that was committed before is applied."""
        self.on_members: Callable[[], None] = lambda: None
        """Called when the member records may have changed."""
        self.room: Callable[[], Awaitable[None] | None] = lambda: None
        """What is to be awaited before more is applied, if too much of it waits for SQLite."""
        self._apply_conf_change = apply_conf_change
        self._monotonic = env.monotonic
        self._slow = options.warning_apply_duration
        self._metrics = metrics
        self._waiters: dict[int, Waiter] = {}
        self._deadlines: deque[tuple[float, int]] = deque()
        self._observers: dict[tuple[str, bool], Callable[[float], None]] = {}
        metrics.proposals_pending.set_function(lambda: len(self._waiters))

    @property
    def pending(self) -> int:
        """How many callers wait for their entry."""
        return len(self._waiters)

    def wait(self, request_id: int, deadline: float) -> Waiter:
        """A future for the result of a request; `deadline`: the loop's time, extended to that of the caller before."""
        future: Waiter = asyncio.get_running_loop().create_future()
        self._waiters[request_id] = future
        if self._deadlines and deadline < self._deadlines[-1][0]:  # one that was held up: the queue keeps its order
            deadline = self._deadlines[-1][0]
        self._deadlines.append((deadline, request_id))
        return future

    def forget(self, request_id: int) -> None:
        """Drops a waiter that has gone; its proposal goes on."""
        self._waiters.pop(request_id, None)

    def expire(self, now: float, error: Callable[[float], EtcdError]) -> None:
        """Fails the waiters whose time is over, with the error for their deadline: the outcome is unknown."""
        while self._deadlines and self._deadlines[0][0] <= now:
            deadline, request_id = self._deadlines.popleft()
            waiter = self._waiters.pop(request_id, None)
            if waiter is not None and not waiter.done():
                self._metrics.proposals_failed.inc()
                waiter.set_exception(error(deadline))

    def stop(self, error: type[EtcdError]) -> None:
        """Fails everyone who waits."""
        for waiter in self._waiters.values():
            if not waiter.done():
                waiter.set_exception(error())
        self._waiters.clear()
        self._deadlines.clear()

    def apply(self, entry: Entry) -> Awaitable[None] | None:
        """Applies one entry, or answers what must be awaited first: rows from SQLite, or many slices.

        Raises: CommandUnreadable, ConfChangeUnreadable; the member must stop then.
        """
        if not entry.data:  # the empty entry that opens a leader's term
            self._machine.apply(entry.index, Command(None))
            self.on_term(entry.term)
            return None
        if entry.type is EntryType.CONF_CHANGE:
            self._change_configuration(entry.index, confchange.decode(entry.data))
            return None
        envelope, request = command.decode(entry.data)
        asked = Command(request, envelope.user, envelope.auth_revision, envelope.time)
        if not _is_light(request):
            if self._machine.is_large(asked):
                return self._apply_in_slices(entry.index, envelope, asked)
            missing = self._machine.missing(asked)
            if missing is not None:
                return self._apply_with(missing, entry.index, envelope, asked)
        started = self._monotonic()
        result = self._machine.apply(entry.index, asked)
        self._finish(envelope, asked, result, self._monotonic() - started)
        if type(request) is MemberAttributes:
            self.on_members()
        return None

    async def _apply_with(self, lacks: Missing, index: int, envelope: command.Envelope, asked: Command) -> None:
        started = self._monotonic()
        missing: Missing | None = lacks
        while missing is not None:  # what is read first may decide what else is needed
            await self._env.run_blocking(Lane.READERS, missing.run)
            self._machine.supply(missing)
            missing = self._machine.missing(asked)
        self._finish(envelope, asked, self._machine.apply(index, asked), self._monotonic() - started)

    async def _apply_in_slices(self, index: int, envelope: command.Envelope, asked: Command) -> None:
        started = self._monotonic()
        self.whole.clear()
        slices = self._machine.apply_in_slices(index, asked)
        missing: Missing | None = None
        try:
            for missing in slices:
                if missing is None:
                    await asyncio.sleep(0)
                else:
                    await self._env.run_blocking(Lane.READERS, missing.run)
        except asyncio.CancelledError:  # half a command must not be flushed
            if missing is not None:
                missing.run()
            for missing in slices:
                if missing is not None:
                    missing.run()
            raise
        finally:
            self.whole.set()
        result = self._machine.sliced_result
        assert result is not None
        self._finish(envelope, asked, result, self._monotonic() - started)

    def _finish(self, envelope: command.Envelope, asked: Command, result: Message | EtcdError, took: float) -> None:
        self._observe(envelope.method, result, took)
        if type(asked.request) is CompactionRequest and not isinstance(result, EtcdError):
            self.on_compaction()
        if self._machine.pending_bytes > FLUSH_BYTES:
            self.on_pressure()
        waiter = self._waiters.pop(envelope.id, None)
        if waiter is None or waiter.done():
            return
        if isinstance(result, EtcdError):
            waiter.set_exception(result)
        else:
            waiter.set_result(result)

    def _change_configuration(self, index: int, change: ConfChange) -> None:
        """Records a membership change, and tells the core of it, unless the records say that it must not be."""
        started = self._monotonic()
        envelope, request = command.decode(change.context)
        asked = Command(request, envelope.user, envelope.auth_revision, envelope.time)
        result = self._machine.apply(index, asked)
        if not isinstance(result, EtcdError):
            self._apply_conf_change(change)
            self.on_members()
        self._finish(envelope, asked, result, self._monotonic() - started)

    def _observe(self, method: str, result: Message | EtcdError, took: float) -> None:
        success = not isinstance(result, EtcdError)
        observe = self._observers.get((method, success))
        if observe is None:
            labels = ("v3", method, str(success).lower())
            observe = self._observers[method, success] = self._metrics.apply_duration.labels(*labels).observe
        observe(took)
        if took > self._slow:
            self._metrics.slow_apply.inc()
            fields = {
                "took": f"{took * 1000:.3f}ms",
                "expected-duration": f"{self._slow * 1000:g}ms",
                "request": method,
            }
            log.warning("apply request took too long", extra={"fields": fields})


def _is_light(request: AnyRequest) -> bool:
    """Whether a request surely needs nothing but memory: most are such puts."""
    return type(request) is PutRequest and not (request.prev_kv or request.ignore_value)
