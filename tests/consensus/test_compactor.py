import asyncio

import pytest

from consensus.compactor import Periodic, Revision, run
from raftgate.api.errors import Compacted, Timeout


def test_periodic_waits_a_period_and_keeps_one() -> None:
    schedule = Periodic(600.0, now=0.0)
    assert schedule.interval == 60.0
    for minute in range(10):
        assert schedule.due(minute * 60.0, 100 + minute) is None
    assert schedule.due(600.0, 110) == 100  # what was current one period ago
    schedule.done(600.0, 100)
    for minute in range(11, 20):
        assert schedule.due(minute * 60.0, 100 + minute) is None
    assert schedule.due(1200.0, 120) == 110


def test_a_long_period_compacts_each_hour() -> None:
    schedule = Periodic(24 * 3600.0, now=0.0)
    assert schedule.interval == 360.0
    compacted = []
    for note in range(24 * 10 + 31):
        target = schedule.due(note * 360.0, 1000 + note)
        if target is not None:
            compacted.append((note, target))
            schedule.done(note * 360.0, target)
    assert compacted == [(240, 1000), (250, 1010), (260, 1020), (270, 1030)]


def test_a_failed_compaction_is_tried_again_at_the_next_note() -> None:
    schedule = Periodic(600.0, now=0.0)
    for minute in range(10):
        schedule.due(minute * 60.0, 100 + minute)
    assert schedule.due(600.0, 110) == 100
    assert schedule.due(660.0, 111) == 101


def test_nothing_new_is_nothing_to_do() -> None:
    schedule = Periodic(600.0, now=0.0)
    for minute in range(40):
        target = schedule.due(minute * 60.0, 7)
        if target is not None:
            schedule.done(minute * 60.0, target)
            assert minute == 10


def test_revision_keeps_a_number() -> None:
    schedule = Revision(1000)
    assert schedule.due(0, 900) is None
    assert schedule.due(0, 1000) is None
    assert schedule.due(0, 1500) == 500
    schedule.done(0, 500)
    assert schedule.due(0, 1500) is None
    assert schedule.due(0, 1501) == 501


class Now:
    """A schedule that is always due."""

    interval = 0.0

    def __init__(self) -> None:
        self.made: list[int] = []

    def due(self, now: float, revision: int) -> int | None:
        return revision if now >= 0 else None

    def done(self, now: float, revision: int) -> None:
        assert now >= 0
        self.made.append(revision)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("outcomes", "leads", "made"),
    [([None], True, 1), ([Timeout(), None], True, 1), ([Compacted()], True, 1), ([None], False, 0)],
    ids=["done", "tried again", "was compacted already", "does not lead"],
)
async def test_what_becomes_of_a_compaction(outcomes: list[Exception | None], leads: bool, made: int) -> None:  # noqa: FBT001 - a column
    schedule = Now()
    left = list(outcomes)
    over = asyncio.Event()

    async def compact(_revision: int) -> None:
        outcome = left.pop(0)
        if not left:
            over.set()
        if outcome is not None:
            raise outcome

    def leading() -> bool:
        if not leads:
            over.set()
        return leads and bool(left)

    task = asyncio.create_task(run(schedule, lambda: 5, leading, compact, lambda: 0.0))
    async with asyncio.timeout(5):
        await over.wait()
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert schedule.made == [5] * made
