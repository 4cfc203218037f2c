"""Automatic compaction: which revision the leader compacts to, and when (etcd server/etcdserver/api/v3compactor)."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from raftgate.api.errors import Compacted, EtcdError

log = logging.getLogger(__name__)

HOUR = 3600.0
REVISION_INTERVAL = 300.0  # etcd revision.go


class Schedule(Protocol):
    """When to compact to which revision."""

    interval: float
    """Seconds between two questions."""

    def due(self, now: float, revision: int) -> int | None:
        """The revision to compact to now; `revision` is the current one."""
        ...

    def done(self, now: float, revision: int) -> None:
        """Takes note that the compaction to `revision` was made."""
        ...


class Periodic:
    """Keeps the history of a period: to the revision of one period ago, once each period or hour.

    The revision is noted ten times in each of these steps; a failed compaction is tried again at the next note.
    """

    def __init__(self, period: float, now: float) -> None:
        """`period`: seconds."""
        step = min(period, HOUR)
        self.interval = step / 10
        self._step = step
        self._wait = period
        """Until the first compaction a whole period must have passed, then a step."""
        self._notes: deque[int] = deque(maxlen=round(period / self.interval))
        self._last_time = now
        self._last_revision = 0

    def due(self, now: float, revision: int) -> int | None:
        """As Schedule has it."""
        oldest = self._notes[0] if self._notes else revision
        self._notes.append(revision)
        if now - self._last_time < self._wait or oldest == self._last_revision:
            return None
        return oldest

    def done(self, now: float, revision: int) -> None:
        """As Schedule has it."""
        self._wait = self._step
        self._last_time, self._last_revision = now, revision


class Revision:
    """Keeps a number of revisions, looking each five minutes."""

    interval = REVISION_INTERVAL

    def __init__(self, retention: int) -> None:
        self._retention = retention
        self._last = 0

    def due(self, now: float, revision: int) -> int | None:  # noqa: ARG002 - the time does not matter
        """As Schedule has it."""
        target = revision - self._retention
        return target if target > 0 and target != self._last else None

    def done(self, now: float, revision: int) -> None:  # noqa: ARG002 - the time does not matter
        """As Schedule has it."""
        self._last = revision


async def run(
    schedule: Schedule,
    revision: Callable[[], int],
    leads: Callable[[], bool],
    compact: Callable[[int], Awaitable[object]],
    now: Callable[[], float],
) -> None:
    """Compacts by schedule while this member leads, until cancelled."""
    while True:
        target = schedule.due(now(), revision())
        if target is not None and leads():
            fields = {"compact-revision": target}
            log.info("starting auto compaction", extra={"fields": fields})
            try:
                await compact(target)
            except Compacted:
                schedule.done(now(), target)
            except EtcdError as error:
                log.warning("failed auto compaction, trying again", extra={"fields": {**fields, "error": error.text}})
            else:
                schedule.done(now(), target)
        await asyncio.sleep(schedule.interval)
