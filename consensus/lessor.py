"""The leader's lease clock at work: proposes revocations of what has expired, and notes of what is left.

Only a leader counts time; all that it decides goes through the log (etcd server/lease/lessor.go). One entry revokes
one lease, since its keys share one revision.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from consensus.apply import Waiter
from consensus.lease_clock import LeaseClock, Timer
from consensus.metrics import Metrics
from consensus.options import Options
from raftgate.api.errors import EtcdError, LeaseNotFound
from raftgate.api.lease import LeaseCheckpoint, LeaseCheckpointRequest, LeaseRevokeRequest
from raftgate.api.message import Request
from storage.lease import Lease, Leases

log = logging.getLogger(__name__)

TURN: Final = 0.1
"""Seconds between two looks at the clock; etcd looks each 500 ms."""
SLACK: Final = 0.8
"""Of an election timeout, by which a note of what is left may be later than its interval says."""
AT_ONCE: Final = 100
"""Leases that are looked after, or revoked, before others get a turn of the event loop."""
RETRY: Final = 0.5
"""Seconds until a revocation that has failed, or is refused while an alarm is raised, is proposed again."""
IN_FLIGHT: Final = 1000
"""Revocations that are proposed and not applied yet."""
IN_ENTRY: Final = 1000
"""Leases of which one entry notes what is left: etcd lessor.go, maxLeaseCheckpointBatchSize."""

Submit = Callable[[Request[Any]], Waiter]  # Any: whatever answers it


class Lessor:
    """Counts the time of all leases while this member leads."""

    def __init__(
        self, leases: Leases, submit: Submit, monotonic: Callable[[], float], options: Options, metrics: Metrics
    ) -> None:
        """`submit` proposes a request and gives a future for its answer."""
        self._leases = leases
        self._submit = submit
        self._monotonic = monotonic
        self._metrics = metrics
        self._clock = LeaseClock(monotonic, TURN, options.heartbeat_interval, SLACK * options.election_timeout)
        self._wake = asyncio.Event()
        self.promoted = asyncio.Event()
        """Set while this member counts time."""
        self._expired: deque[int] = deque()
        """To be revoked."""
        self._failed: list[int] = []
        """To be revoked again."""
        self._retry_at = 0.0
        self._in_flight = 0
        self._ends: dict[int, asyncio.Future[None]] = {}
        """Done when an expired lease is gone, or somebody else counts."""
        self._clearing: dict[int, int] = {}
        """Leases whose notes are to be taken back by the next entry, and the number of the note."""
        self._cleared: asyncio.Future[None] | None = None
        leases.observer = self

    def has_stalled(self) -> bool:
        """Whether the event loop has stood still, and the clock has not turned since."""
        self._clock.now()
        return self._clock.stalled > 0

    def restore(self, leases: Leases) -> None:
        """Goes on with the leases of another store, which has taken the place of the one before."""
        self.demote()
        self._leases = leases

    def promote(self, extension: float) -> None:
        """Begins to count; every lease gets its time anew, and `extension` seconds."""
        self._forget()
        self._clock.start(self._leases, extension)
        self.promoted.set()

    def demote(self) -> None:
        """Leaves the counting to somebody else."""
        self.promoted.clear()
        self._forget()

    def granted(self, lease: Lease) -> None:
        """As storage's Observer has it."""
        self._metrics.leases.granted.inc()
        self._metrics.leases.ttl.observe(lease.ttl)
        if self.promoted.is_set():
            self._clock.add(lease)

    def revoked(self, lease_id: int) -> None:
        """As storage's Observer has it."""
        self._metrics.leases.revoked.inc()
        self._clock.remove(lease_id)
        end = self._ends.pop(lease_id, None)
        if end is not None and not end.done():
            end.set_result(None)

    async def renew(self, lease_id: int) -> int | None:
        """Starts the time of a lease anew; answers its TTL, 0 if there is no such lease, None if somebody else leads.

        One that has expired is waited for until it is gone; it does not come back to life.
        Raises: EtcdError, when what was noted of the lease cannot be taken back.
        """
        while self.promoted.is_set():
            timer = self._clock.get(lease_id)
            if timer is None:
                return 0
            if not timer.is_expired:
                self._clock.renew(timer)
                if timer.note:
                    await self._clear(timer)
                self._metrics.leases.renewed.inc()
                return timer.ttl
            end = self._ends.setdefault(lease_id, asyncio.get_running_loop().create_future())
            await asyncio.shield(end)
        return None

    def left(self, lease_id: int) -> float:
        """Seconds that a lease has left, as far as this member knows; 0 for one that has expired."""
        timer = self._clock.get(lease_id)
        return self._clock.left(timer) if timer is not None else 0.0

    def timers(self) -> list[Timer]:
        """The timers of all leases, if this member counts."""
        return list(self._clock.timers())

    async def run(self) -> None:
        """Counts until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(loop.time() + TURN):
                    while True:  # no turn before its time, since received renewals come first
                        await self._wake.wait()
                        self._wake.clear()
                        await self._revoke_all()
            if self.promoted.is_set():
                await self.turn()

    async def turn(self) -> None:
        """Proposes what is due by now, unless the event loop has stood still: then time is given back first."""
        if self.has_stalled():
            fields = {"stalled": f"{self._clock.stalled:.3f}s"}
            log.warning("the event loop stood still; leases get that time back", extra={"fields": fields})
        notes: list[LeaseCheckpoint] = []
        is_complete = False
        while not is_complete and self.promoted.is_set():
            turn = self._clock.turn(AT_ONCE)
            is_complete = turn.is_complete
            self._metrics.leases.expired.inc(len(turn.expired))
            self._expired += turn.expired
            notes += turn.notes
            self._revoke()
            if not is_complete:
                await asyncio.sleep(0)
        for start in range(0, len(notes), IN_ENTRY):
            self._propose(LeaseCheckpointRequest(tuple(notes[start : start + IN_ENTRY])))
        self._retry()
        await self._revoke_all()

    async def _revoke_all(self) -> None:
        while self._revoke():  # noqa: ASYNC110 - it waits for nothing, but lets others go on
            await asyncio.sleep(0)

    def _revoke(self) -> bool:
        """Proposes some revocations; tells whether more may be proposed."""
        for _ in range(min(AT_ONCE, len(self._expired), IN_FLIGHT - self._in_flight)):
            lease_id = self._expired.popleft()
            waiter = self._propose(LeaseRevokeRequest(lease_id))
            if waiter is None:
                self._expired.appendleft(lease_id)
                return False
            self._in_flight += 1
            waiter.add_done_callback(partial(self._revoke_ended, lease_id))
        return bool(self._expired) and self._in_flight < IN_FLIGHT

    def _retry(self) -> None:
        if self._failed and self._monotonic() >= self._retry_at:
            self._expired += self._failed
            self._failed = []

    def _revoke_ended(self, lease_id: int, waiter: Waiter) -> None:
        self._in_flight -= 1
        error = None if waiter.cancelled() else waiter.exception()
        timer = self._clock.get(lease_id)
        if error is not None and not isinstance(error, LeaseNotFound) and timer is not None and timer.is_expired:
            if not self._failed:
                self._retry_at = self._monotonic() + RETRY
                log.warning("failed to revoke a lease, trying again", extra={"fields": {"error": str(error)}})
            self._failed.append(lease_id)
        elif self._expired and self._in_flight < IN_FLIGHT / 2:
            self._wake.set()

    def _propose(self, request: Request[Any]) -> Waiter | None:  # Any: as in Submit
        try:
            waiter = self._submit(request)
        except EtcdError as error:
            log.warning("failed to propose for leases", extra={"fields": {"error": error.text}})
            return None
        waiter.add_done_callback(_retrieve)
        return waiter

    async def _clear(self, timer: Timer) -> None:
        """Returns when it is durable that a lease has all of its time again, as whoever leads next must know."""
        if self._cleared is None:
            loop = asyncio.get_running_loop()
            self._cleared = loop.create_future()
            self._cleared.add_done_callback(_retrieve)
            loop.call_soon(self._start_clearing, self._cleared)
        self._clearing[timer.lease_id] = timer.note
        await asyncio.shield(self._cleared)

    def _start_clearing(self, cleared: "asyncio.Future[None]") -> None:
        """Takes back the notes of all leases that were renewed in one turn of the loop, by one entry."""
        notes, self._clearing, self._cleared = self._clearing, {}, None

        def ended(waiter: Waiter) -> None:
            error = waiter.exception()
            if error is not None:
                cleared.set_exception(error)
                return
            for lease_id, note in notes.items():
                timer = self._clock.get(lease_id)
                if timer is not None and timer.note == note:
                    timer.note = 0
            cleared.set_result(None)

        try:
            waiter = self._submit(LeaseCheckpointRequest(tuple(LeaseCheckpoint(lease_id) for lease_id in notes)))
        except EtcdError as error:
            cleared.set_exception(error)
        else:
            waiter.add_done_callback(ended)

    def _forget(self) -> None:
        self._clock.clear()
        self._expired.clear()
        self._failed.clear()
        for end in self._ends.values():
            if not end.done():
                end.set_result(None)
        self._ends.clear()


def _retrieve(future: "asyncio.Future[Any]") -> None:  # Any: nobody looks at the result
    """Looks at an error that nobody else may wait for."""
    if not future.cancelled():
        future.exception()
