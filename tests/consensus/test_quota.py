import logging

import pytest

from consensus.quota import DEFAULT_BYTES, Quota, effective
from raftgate.api.errors import NoSpace, Timeout
from raftgate.api.maintenance import AlarmAction, AlarmRequest, AlarmType

pytestmark = pytest.mark.anyio


class Bench:
    """A quota of 1,000 bytes and what lies around it."""

    def __init__(self, limit: int = 1000, *, auto_disarm: bool = True) -> None:
        self.use = 0
        self.alarm = False
        self.changes: list[AlarmRequest] = []
        self.failure: Exception | None = None
        self.quota = Quota(limit, lambda: self.use, lambda: self.alarm, 7, self.change, auto_disarm=auto_disarm)

    async def change(self, request: AlarmRequest) -> None:
        if self.failure is not None:
            raise self.failure
        self.changes.append(request)
        self.alarm = request.action is AlarmAction.ACTIVATE

    async def fill(self) -> None:
        self.use = 990
        assert not self.quota.fits(10)
        with pytest.raises(NoSpace):
            await self.quota.refuse()


@pytest.mark.parametrize(("configured", "limit"), [(0, DEFAULT_BYTES), (-1, 0), (5, 5)])
def test_the_effective_limit(configured: int, limit: int) -> None:
    assert effective(configured) == limit


def test_what_fits_and_what_does_not() -> None:
    bench = Bench()
    bench.use = 989
    assert bench.quota.fits(10)
    bench.use = 990
    assert not bench.quota.fits(10)  # etcd refuses at the bound itself
    assert bench.quota.fits(0)  # a delete costs nothing


def test_without_a_quota_all_fits() -> None:
    bench = Bench(limit=0)
    bench.use = 10**18
    assert bench.quota.fits(10**9)


async def test_a_refusal_raises_this_members_alarm_once() -> None:
    bench = Bench()
    await bench.fill()
    assert bench.changes == [AlarmRequest(action=AlarmAction.ACTIVATE, memberID=7, alarm=AlarmType.NOSPACE)]
    await bench.fill()
    assert len(bench.changes) == 1


async def test_the_alarm_clears_by_itself_once_there_is_room() -> None:
    bench = Bench()
    await bench.fill()
    bench.use = 900
    await bench.quota.turn()
    assert len(bench.changes) == 1
    bench.use = 899
    await bench.quota.turn()
    assert bench.changes[-1] == AlarmRequest(action=AlarmAction.DEACTIVATE, memberID=7, alarm=AlarmType.NOSPACE)


async def test_etcds_manual_way() -> None:
    bench = Bench(auto_disarm=False)
    await bench.fill()
    bench.use = 0
    await bench.quota.turn()
    assert len(bench.changes) == 1


async def test_a_change_that_fails_is_told(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.failure = Timeout()
    await bench.fill()
    assert "failed to change the NOSPACE alarm" in caplog.text
    bench.failure = None
    await bench.fill()
    assert bench.alarm


async def test_a_warning_at_four_fifths_once_until_it_falls_below(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    bench = Bench()
    for use, warnings in ((799, 0), (800, 1), (850, 1), (700, 1), (800, 2)):
        bench.use = use
        await bench.quota.turn()
        assert caplog.text.count("near its quota") == warnings


async def test_without_a_quota_nothing_is_done() -> None:
    bench = Bench(limit=0)
    bench.alarm = True
    await bench.quota.turn()
    assert bench.changes == []
