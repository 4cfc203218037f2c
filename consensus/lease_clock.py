"""What is left of each lease, by the leader's monotonic clock: pure bookkeeping, without tasks or proposals.

Lease time stands still while the event loop does: a leader that was stopped, or starved, could not serve renewals
meanwhile, and must not hold that against those who sent them. It moves on from one `turn` to the next; only a turn
decides that a lease has expired, and the first one after a stall does not, so that what was received is served first.

A lease has one entry in a heap, at the next moment at which anything is to be done for it. Renewals only move that
moment, and the entry follows when it comes up.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Final

from raftgate.api.lease import LeaseCheckpoint
from storage.lease import Lease

MAX_NOTE_INTERVAL: Final = 300.0
"""Seconds after which what a lease has left is noted again: etcd lessor.go, defaultLeaseCheckpointInterval."""
MIN_NOTE_INTERVAL: Final = 1.0
"""Notes are whole seconds, so that more often they would say nothing new."""
MOST_TOGETHER: Final = 10_000
"""Leases that end in one second at most after a promotion: about a third of what can be revoked in it.

etcd lessor.go takes 750, where it revokes 1000.
"""
SPARE_ENTRIES: Final = 1000
"""Entries of leases that are gone, besides as many as there are leases, for which the heap is not made anew."""


class Timer:
    """The time of one lease."""

    __slots__ = ("deadline", "is_expired", "lease_id", "note", "note_at", "ttl")

    def __init__(self, lease: Lease, deadline: float, note_at: float) -> None:
        self.lease_id = lease.id
        self.ttl = lease.ttl
        self.deadline = deadline
        """In lease time."""
        self.note_at = note_at
        """When what is left is to be noted next, in lease time."""
        self.note = int(lease.remaining_ttl > 0)
        """Not 0 if what was left is noted in the store, or on its way there: a renewal has to take that back."""
        self.is_expired = False

    @property
    def next(self) -> float:
        """When anything is to be done next."""
        return min(self.deadline, self.note_at)


@dataclass(slots=True)
class Turn:
    """What a turn has found to be done."""

    expired: list[int] = field(default_factory=list)
    notes: list[LeaseCheckpoint] = field(default_factory=list)
    is_complete: bool = True
    """False if there was too much for one turn."""


class LeaseClock:
    """The leases of a leader."""

    def __init__(self, monotonic: Callable[[], float], between: float, tolerance: float, slack: float) -> None:
        """`between`: seconds between two turns; the loop has stalled when one is later by more than the `tolerance`.

        `slack`: seconds that a note waits besides its interval, which spares it where renewals come each third of a
        TTL, as they usually do.
        """
        self._monotonic = monotonic
        self._between = between
        self._tolerance = tolerance
        self._slack = slack
        self._time = 0.0
        self._turned = monotonic()
        self._timers: dict[int, Timer] = {}
        self._heap: list[tuple[float, int, Timer]] = []
        self._entries = 0
        self.stalled = 0.0
        """Seconds of the stall that the next turn will forgive, 0 for none."""

    def __len__(self) -> int:
        return len(self._timers)

    def timers(self) -> Iterable[Timer]:
        """The timers of all leases."""
        return self._timers.values()

    def get(self, lease_id: int) -> Timer | None:
        """The timer of a lease, or None."""
        return self._timers.get(lease_id)

    def now(self) -> float:
        """Lease time: seconds in which the loop was there."""
        now = self._monotonic()
        elapsed = now - self._turned
        if elapsed - self._between > self._tolerance:
            self.stalled += elapsed - self._between
            self._turned = now
            self._time += self._between
            elapsed = 0.0
        return self._time + elapsed

    def start(self, leases: Iterable[Lease], extension: float) -> None:
        """Gives all leases their time anew: all of it, or what was noted, and the extension in seconds."""
        self._turned = self._monotonic()
        self.stalled = 0.0
        now = self._time
        timers = [self._timer(lease, now + (lease.remaining_ttl or lease.ttl) + extension) for lease in leases]
        if len(timers) > MOST_TOGETHER:
            _spread(timers)
        self._timers = {timer.lease_id: timer for timer in timers}
        self._rebuild()

    def clear(self) -> None:
        """Forgets all leases."""
        self._timers.clear()
        self._heap.clear()

    def add(self, lease: Lease) -> None:
        """Takes a new lease."""
        timer = self._timer(lease, self.now() + lease.ttl)
        self._timers[lease.id] = timer
        self._push(timer)
        if len(self._heap) > 2 * len(self._timers) + SPARE_ENTRIES:
            self._rebuild()

    def remove(self, lease_id: int) -> None:
        """Drops a lease that is gone."""
        self._timers.pop(lease_id, None)

    def renew(self, timer: Timer) -> None:
        """Starts the time of a lease anew; what it had is never cut."""
        now = self.now()
        timer.deadline = max(timer.deadline, now + timer.ttl)
        timer.note_at = now + self._note_interval(timer.ttl)

    def left(self, timer: Timer) -> float:
        """Seconds that a lease has left, 0 if it has expired."""
        return max(timer.deadline - self.now(), 0.0)

    def turn(self, limit: int) -> Turn:
        """Moves time on and tells what is to be done, for up to `limit` leases; a stall is forgiven first."""
        turn = Turn()
        self._time = now = self.now()
        self._turned = self._monotonic()
        if self.stalled:
            self.stalled = 0.0
            return turn
        heap = self._heap
        for _ in range(limit):
            if not heap or heap[0][0] > now:
                return turn
            timer = heappop(heap)[2]
            if self._timers.get(timer.lease_id) is not timer:
                continue
            if timer.deadline <= now:
                timer.is_expired = True
                turn.expired.append(timer.lease_id)
                continue
            if timer.note_at <= now:
                self._note(timer, now, turn)
            self._push(timer)
        turn.is_complete = not heap or heap[0][0] > now
        return turn

    def _timer(self, lease: Lease, deadline: float) -> Timer:
        return Timer(lease, deadline, self.now() + self._note_interval(lease.ttl))

    def _note_interval(self, ttl: int) -> float:
        return max(min(ttl / 3, MAX_NOTE_INTERVAL), MIN_NOTE_INTERVAL) + self._slack

    def _note(self, timer: Timer, now: float, turn: Turn) -> None:
        """Notes what is left, rounded up: a lease must not end early. What is rounded off goes to the next note."""
        left = math.ceil(timer.deadline - now)
        if left < timer.ttl:
            timer.note += 1
            turn.notes.append(LeaseCheckpoint(timer.lease_id, left))
            now = timer.deadline - left
        timer.note_at = now + self._note_interval(timer.ttl)

    def _push(self, timer: Timer) -> None:
        self._entries += 1  # entries of one moment are told by their number: timers have no order
        heappush(self._heap, (timer.next, self._entries, timer))

    def _rebuild(self) -> None:
        living = (timer for timer in self._timers.values() if not timer.is_expired)
        self._heap = [(timer.next, number, timer) for number, timer in enumerate(living)]
        self._entries = len(self._heap)
        heapify(self._heap)


def _spread(timers: list[Timer]) -> None:
    """Puts off what would end together with too many others, as etcd's Promote does."""
    timers.sort(key=lambda timer: timer.deadline)
    together: deque[float] = deque(maxlen=MOST_TOGETHER)
    for timer in timers:
        if len(together) == MOST_TOGETHER:
            timer.deadline = max(timer.deadline, together[0] + 1.0)
        together.append(timer.deadline)
