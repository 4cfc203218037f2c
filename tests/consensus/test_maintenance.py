import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from consensus.env import Lane
from consensus.hashing import Hashing
from consensus.maintenance import Maintenance
from consensus.options import Options
from consensus.proposals import Proposals
from consensus.quota import Quota
from consensus.raft.rawnode import Status
from consensus.raft.types import Role
from consensus.replica import Replica
from raftgate.api import errors
from raftgate.api.cluster import Member
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
    MoveLeaderRequest,
    MoveLeaderResponse,
    StatusRequest,
    StatusResponse,
)
from raftgate.api.message import Caller
from tests.fakes.cluster import cluster_of
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
    assert not status.isLearner


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


class FakeNode:
    """A leader, or not, that hands over when the test lets it."""

    def __init__(self, leader: int) -> None:
        self.leader = leader
        self.asked: list[tuple[int, float]] = []
        self.done = asyncio.Event()

    def status(self) -> Status:
        return Status(id=1, term=4, leader=self.leader, role=Role.FOLLOWER, commit=9, applied=8, last_index=9)

    async def hand_over(self, member_id: int, patience: float) -> None:
        self.asked.append((member_id, patience))
        await self.done.wait()


def maintenance(node: FakeNode, settings: Options) -> Maintenance:
    """The service of member 0xA1, with voter 2 and learner 3 beside it."""
    machine = SimpleNamespace(
        members=(RECORD, Member(2), Member(3, isLearner=True)),
        alarms=(AlarmMember(memberID=2, alarm=AlarmType.CORRUPT),),
        revision=7,
        writer=SimpleNamespace(size=SimpleNamespace(total=4096, in_use=4096)),
    )
    replica = SimpleNamespace(machine=machine, node=node, options=settings, header=lambda _: None)
    quota = SimpleNamespace(limit=0)
    return Maintenance(cast("Replica", replica), cast("Proposals", None), cast("Hashing", None), cast("Quota", quota))


async def status_of(service: Maintenance) -> StatusResponse:
    answer = await service.handlers[StatusRequest](StatusRequest())
    assert isinstance(answer, StatusResponse)
    return answer


async def move(service: Maintenance, target: int) -> object:
    return await service.handlers[MoveLeaderRequest](MoveLeaderRequest(targetID=target))


async def test_the_status_without_a_leader_says_so_before_the_alarms() -> None:
    status = await status_of(maintenance(FakeNode(leader=0), options()))
    assert status.errors == ("etcdserver: no leader", "memberID:2 alarm:CORRUPT ")
    assert (status.leader, status.raftIndex, status.raftAppliedIndex, status.raftTerm) == (0, 9, 8, 4)
    assert not status.isLearner


async def test_a_learner_tells_that_it_is_one() -> None:
    settings = replace(options(), member=Member(3, isLearner=True))
    status = await status_of(maintenance(FakeNode(leader=2), settings))
    assert (status.leader, status.isLearner) == (2, True)


async def test_leadership_moves_to_a_voter() -> None:
    node = FakeNode(leader=RECORD.ID)
    moving = asyncio.ensure_future(move(maintenance(node, options()), 2))
    await asyncio.sleep(0)
    assert not moving.done()
    node.done.set()
    assert await moving == MoveLeaderResponse()
    assert node.asked == [(2, options().election_timeout)]


@pytest.mark.parametrize(
    ("leader", "target", "error"),
    [
        (RECORD.ID, 0, errors.BadLeaderTransferee),
        (RECORD.ID, 9, errors.BadLeaderTransferee),
        (RECORD.ID, 3, errors.BadLeaderTransferee),
        (2, 2, errors.NotLeader),
        (2, 9, errors.NotLeader),
        (0, 2, errors.NotLeader),
    ],
)
async def test_leadership_does_not_move(leader: int, target: int, error: type[errors.EtcdError]) -> None:
    node = FakeNode(leader)
    with pytest.raises(error):
        await move(maintenance(node, options()), target)
    assert not node.asked


async def test_a_transfer_that_takes_too_long() -> None:
    settings = replace(options(), election_timeout=-2.5)  # no time at all, which flags do not give
    with pytest.raises(errors.TimeoutLeaderTransfer):
        await move(maintenance(FakeNode(RECORD.ID), settings), 2)


async def test_a_member_alone_keeps_leading(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        assert await member.server.call(MoveLeaderRequest(targetID=RECORD.ID), CALLER) == MoveLeaderResponse()
        with pytest.raises(errors.BadLeaderTransferee):
            await member.server.call(MoveLeaderRequest(targetID=5), CALLER)
        assert member.node.leader == RECORD.ID


async def test_leadership_moves_around_three_members(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        for target in cluster.members:
            leader, own = await cluster.leader(), target.options.member.ID
            assert await leader.server.call(MoveLeaderRequest(targetID=own), CALLER) == MoveLeaderResponse()
            assert await cluster.leader() is target
            status = await target.server.call(StatusRequest(), CALLER)
            assert (status.leader, status.raftTerm, status.errors) == (own, target.node.term, ())
            for other in cluster.members:
                if other is not target:
                    with pytest.raises(errors.NotLeader):
                        await other.server.call(MoveLeaderRequest(targetID=own), CALLER)


async def test_a_member_cut_off_tells_that_nobody_leads(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        leader = await cluster.leader()
        cluster.network.isolate(leader.options.member.ID)
        async with asyncio.timeout(10):
            while leader.node.leader:
                await leader.node.leader_change()
        status = await leader.server.call(StatusRequest(), CALLER)
        assert (status.leader, status.errors) == (0, ("etcdserver: no leader",))
