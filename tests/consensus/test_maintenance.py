from dataclasses import replace
from pathlib import Path

import pytest

from consensus.env import Lane
from raftgate.api import errors
from raftgate.api.kv import PutRequest, RangeRequest
from raftgate.api.maintenance import (
    AlarmAction,
    AlarmMember,
    AlarmRequest,
    AlarmType,
    DefragmentRequest,
    DefragmentResponse,
    DowngradeInfo,
    HashKVRequest,
    HashRequest,
    StatusRequest,
)
from raftgate.api.message import Caller
from tests.fakes.env import FakeEnv
from tests.fakes.member import RECORD, options, running

pytestmark = pytest.mark.anyio

CALLER = Caller()
NOSPACE = AlarmRequest(action=AlarmAction.ACTIVATE, memberID=RECORD.ID, alarm=AlarmType.NOSPACE)


async def test_status(tmp_path: Path) -> None:
    settings = replace(options(quota_bytes=10**9), server_version="3.6.13", storage_version="3.6.0")
    async with running(FakeEnv(), tmp_path, settings) as member:
        await member.server.call(PutRequest(key=b"k"), CALLER)
        await member.flush.once()
        status = await member.server.call(StatusRequest(), CALLER)
        core = member.node.status()
    assert status.header is not None
    assert (status.header.revision, status.leader, status.raftTerm) == (2, RECORD.ID, 2)
    assert (status.raftIndex, status.raftAppliedIndex) == (core.commit, core.applied)
    assert 0 < status.dbSizeInUse <= status.dbSize
    assert (status.version, status.storageVersion, status.dbSizeQuota) == ("3.6.13", "3.6.0", 10**9)
    assert (status.errors, status.downgradeInfo) == ((), DowngradeInfo())


async def test_alarms_are_raised_listed_and_cleared(tmp_path: Path) -> None:
    raised = AlarmMember(memberID=RECORD.ID, alarm=AlarmType.NOSPACE)
    async with running(FakeEnv(), tmp_path) as member:
        call = member.server.call
        assert (await call(NOSPACE, CALLER)).alarms == (raised,)
        assert (await call(AlarmRequest(), CALLER)).alarms == (raised,)
        assert (await call(AlarmRequest(alarm=AlarmType.CORRUPT), CALLER)).alarms == ()
        assert (await call(StatusRequest(), CALLER)).errors == (f"memberID:{RECORD.ID} alarm:NOSPACE ",)
        with pytest.raises(errors.NoSpace):
            await call(PutRequest(key=b"k"), CALLER)
        assert (await call(RangeRequest(key=b"k"), CALLER)).count == 0
        clear = AlarmRequest(action=AlarmAction.DEACTIVATE, memberID=RECORD.ID, alarm=AlarmType.NOSPACE)
        assert (await call(clear, CALLER)).alarms == (raised,)
        await call(PutRequest(key=b"k"), CALLER)


async def test_alarms_survive_a_restart(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        await member.server.call(NOSPACE, CALLER)
    async with running(FakeEnv(), tmp_path) as member:
        assert len((await member.server.call(AlarmRequest(), CALLER)).alarms) == 1


async def test_what_ends_an_etcd_is_refused(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        for request in (AlarmRequest(action=9), AlarmRequest(action=AlarmAction.ACTIVATE, alarm=99)):
            with pytest.raises(errors.InvalidArgument):
                await member.server.call(request, CALLER)


async def test_hashkv_is_a_hash_of_what_was_written(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path / "one") as one, running(FakeEnv(), tmp_path / "two") as two:
        for member in (one, two):
            await member.server.call(PutRequest(key=b"k", value=b"v"), CALLER)
        await two.server.call(PutRequest(key=b"k", value=b"w"), CALLER)
        first = await one.server.call(HashKVRequest(), CALLER)
        assert (await two.server.call(HashKVRequest(revision=2), CALLER)).hash == first.hash
        assert (await two.server.call(HashKVRequest(), CALLER)).hash != first.hash
        assert (first.compact_revision, first.hash_revision) == (-1, 2)
        with pytest.raises(errors.FutureRev):
            await one.server.call(HashKVRequest(revision=3), CALLER)
        assert (await one.server.call(HashRequest(), CALLER)).hash > 0


async def test_defragment(tmp_path: Path) -> None:
    env = FakeEnv()
    async with running(env, tmp_path) as member:
        assert await member.server.call(DefragmentRequest(), CALLER) == DefragmentResponse()
    assert (Lane.DATABASE, "defragment") in env.calls


async def test_the_quota_raises_an_alarm_that_clears_by_itself(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path, options(quota_bytes=100_000)) as member:
        call = member.server.call
        with pytest.raises(errors.NoSpace):
            await call(PutRequest(key=b"k", value=bytes(100_000)), CALLER)
        assert [alarm.alarm for alarm in member.machine.alarms] == [AlarmType.NOSPACE]
        await member.quota.turn()
        assert not list(member.machine.alarms)
        await call(PutRequest(key=b"k", value=b"small"), CALLER)
