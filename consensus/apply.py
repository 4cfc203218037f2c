"""Committed entries into the state machine, and their results to those who wait for them."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from consensus import command
from consensus.env import Env
from consensus.metrics import Metrics
from consensus.options import Options
from consensus.raft import confchange
from consensus.raft.types import ConfChange, Entry, EntryType
from raftgate.api.errors import EtcdError
from raftgate.api.message import Message
from storage.machine import Command, Machine

log = logging.getLogger(__name__)

Waiter = asyncio.Future[Message]


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
        self.whole = asyncio.Event()
        """Clear while a large command is applied in slices: nobody may look at the machine meanwhile."""
        self.whole.set()
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
        """A future for the result of a request; `deadline`: the loop's time, never before an earlier caller's."""
        future: Waiter = asyncio.get_running_loop().create_future()
        self._waiters[request_id] = future
        self._deadlines.append((deadline, request_id))
        return future

    def forget(self, request_id: int) -> None:
        """Drops a waiter that has gone; its proposal goes on."""
        self._waiters.pop(request_id, None)

    def expire(self, now: float, error: Callable[[], EtcdError]) -> None:
        """Fails the waiters whose time is over: the outcome of their requests is unknown."""
        while self._deadlines and self._deadlines[0][0] <= now:
            waiter = self._waiters.pop(self._deadlines.popleft()[1], None)
            if waiter is not None and not waiter.done():
                self._metrics.proposals_failed.inc()
                waiter.set_exception(error())

    def stop(self, error: type[EtcdError]) -> None:
        """Fails everyone who waits."""
        for waiter in self._waiters.values():
            if not waiter.done():
                waiter.set_exception(error())
        self._waiters.clear()
        self._deadlines.clear()

    def apply(self, entry: Entry) -> None:
        """Applies one entry.

        Raises: CommandUnreadable, ConfChangeUnreadable; the member must stop then.
        """
        if not entry.data:  # the empty entry that opens a leader's term
            self._machine.apply(entry.index, Command(None))
            return
        data = entry.data if entry.type is EntryType.NORMAL else self._change_configuration(entry)
        envelope, request = command.decode(data)
        started = self._monotonic()
        result = self._machine.apply(
            entry.index, Command(request, envelope.user, envelope.auth_revision, envelope.time)
        )
        self._observe(envelope.method, result, self._monotonic() - started)
        waiter = self._waiters.pop(envelope.id, None)
        if waiter is None or waiter.done():
            return
        if isinstance(result, EtcdError):
            waiter.set_exception(result)
        else:
            waiter.set_result(result)

    def _change_configuration(self, entry: Entry) -> bytes:
        """Tells the core of a membership change; answers the command that records it in the store."""
        change = confchange.decode(entry.data)
        self._apply_conf_change(change)
        return change.context

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
