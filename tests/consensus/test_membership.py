import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import pytest
from msgspec.structs import replace

from consensus.leader_calls import LeaderCalls
from consensus.member import Member as Running
from consensus.member import MemberRemoved
from consensus.membership import Membership
from consensus.peers import NoTransport, Peers
from consensus.proposals import Proposals
from consensus.replica import Replica
from raftgate.api import errors
from raftgate.api.cluster import (
    Member,
    MemberAddRequest,
    MemberListRequest,
    MemberListResponse,
    MemberPromoteRequest,
    MemberRemoveRequest,
    MemberUpdateRequest,
)
from raftgate.api.kv import PutRequest, RangeRequest, ResponseHeader
from raftgate.api.maintenance import StatusRequest
from raftgate.api.message import Caller, Message, Request
from tests.fakes.cluster import RECORDS, LocalCluster, cluster_of
from tests.fakes.env import FakeEnv
from tests.fakes.member import RECORD, open_member, options, running

pytestmark = pytest.mark.anyio

CALLER = Caller()
R = TypeVar("R", bound=Message)
NEW_URL = ("http://10.0.0.9:2380",)
HEADER = ResponseHeader(cluster_id=1, member_id=2, raft_term=4)
MEMBERS = (Member(2, "two", ("http://b:2380",), ("http://b:2379",)), Member(3, peerURLs=("http://c:2380",)))


class FakeReplica:
    """Two members, one of which has not started, and a barrier that the test lets pass."""

    def __init__(self) -> None:
        self.machine = SimpleNamespace(members=MEMBERS)
        self.options = SimpleNamespace(member=MEMBERS[0])
        self.passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.reads = SimpleNamespace(barrier=lambda: self.passed)

    def header(self, revision: int) -> ResponseHeader:
        assert revision == 0
        return HEADER

    async def list(self, request: MemberListRequest) -> object:
        peers, calls = Peers(NoTransport(), 2, lambda: 0.0), SimpleNamespace(register=lambda _: None, ask=None)
        membership = Membership(cast("Replica", self), cast("Proposals", None), peers, cast("LeaderCalls", calls))
        return await membership.handlers[MemberListRequest](request)


async def test_the_list_needs_nobody_else() -> None:
    assert await FakeReplica().list(MemberListRequest()) == MemberListResponse(HEADER, MEMBERS)


async def test_a_linearizable_list_waits_for_its_barrier() -> None:
    replica = FakeReplica()
    asking = asyncio.ensure_future(replica.list(MemberListRequest(linearizable=True)))
    await asyncio.sleep(0)
    assert not asking.done()
    replica.passed.set_result(None)
    assert await asking == MemberListResponse(HEADER, MEMBERS)


async def test_without_a_quorum_a_linearizable_list_fails() -> None:
    replica = FakeReplica()
    replica.passed.set_exception(errors.Timeout())
    with pytest.raises(errors.Timeout):
        await replica.list(MemberListRequest(linearizable=True))


async def test_a_member_alone_lists_itself(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        await member.server.call(PutRequest(key=b"k"), CALLER)
        term = member.node.term
        for linearizable in (False, True):
            answer = await member.server.call(MemberListRequest(linearizable=linearizable), CALLER)
            assert answer == MemberListResponse(ResponseHeader(0xC1, RECORD.ID, 0, term), (RECORD,))


async def test_each_of_three_members_lists_all_of_them(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        for member in cluster.members:
            answer = await member.server.call(MemberListRequest(linearizable=True), CALLER)
            assert answer.members == RECORDS
            assert answer.header is not None
            assert (answer.header.member_id, answer.header.revision) == (member.options.member.ID, 0)


async def test_who_has_never_run_has_neither_name_nor_client_urls(tmp_path: Path) -> None:
    cluster = LocalCluster(tmp_path)
    try:
        async with asyncio.timeout(10):
            for started in [cluster.start(number) for number in (0, 1)]:
                await started.wait()
        for member in cluster.members:
            answer = await member.server.call(MemberListRequest(linearizable=True), CALLER)
            assert answer.members == (*RECORDS[:2], replace(RECORDS[2], name="", clientURLs=()))
    finally:
        for member in cluster.members:
            await cluster.stop(member)


async def test_without_a_quorum_there_still_is_a_list(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        cut_off = cluster.members[0]
        await cut_off.server.call(MemberListRequest(linearizable=True), CALLER)
        cluster.network.isolate(cut_off.options.member.ID)
        assert (await cut_off.server.call(MemberListRequest(), CALLER)).members == RECORDS


# ---- changes ----


async def call(member: Running, request: Request[R]) -> R:
    async with asyncio.timeout(10):
        return await member.server.call(request, CALLER)


async def added(cluster: LocalCluster, *, is_learner: bool, through: Running | None = None) -> Running:
    """Adds a member and starts it."""
    request = MemberAddRequest(NEW_URL, isLearner=is_learner)
    answer = await call(through or await cluster.leader(), request)
    assert answer.member is not None
    started = cluster.join(replace(answer.member, name="new", clientURLs=("http://10.0.0.9:2379",), isLearner=False))
    async with asyncio.timeout(10):
        await started.wait()
    return cluster.network.members[answer.member.ID]


async def settled(cluster: LocalCluster) -> None:
    """Returns when all members have applied the same."""
    async with asyncio.timeout(10):
        for member in cluster.members:
            await member.reads.barrier()


def ids(member: Running) -> list[int]:
    return [each.ID for each in member.machine.members]


async def test_a_learner_joins_catches_up_and_is_promoted(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        leader = await cluster.leader()
        await call(leader, PutRequest(key=b"k", value=b"before"))
        follower = next(member for member in cluster.members if member is not leader)
        learner = await added(cluster, is_learner=True, through=follower)
        assert learner.is_learner()
        record = next(each for each in leader.machine.members if each.ID == learner.options.member.ID)
        assert (record.name, record.peerURLs, record.isLearner) == ("new", NEW_URL, True)
        local = await call(learner, RangeRequest(key=b"k", serializable=True))
        assert [kv.value for kv in local.kvs] == [b"before"]
        assert (await call(learner, StatusRequest())).isLearner
        refusals: tuple[Request[Any], ...] = (  # Any: each its own
            RangeRequest(b"k"),
            PutRequest(b"k"),
            MemberListRequest(),
        )
        for refused in refusals:
            with pytest.raises(errors.NotSupportedForLearner):
                await call(learner, refused)
        with pytest.raises(errors.NotSupportedForLearner):
            await learner.server.watch(CALLER)
        answer = await call(follower, MemberPromoteRequest(learner.options.member.ID))  # the leader is asked
        assert [each.isLearner for each in answer.members] == [False] * 4
        assert answer.header is not None
        assert answer.header.member_id == follower.options.member.ID
        await settled(cluster)
        assert not learner.is_learner()
        await call(learner, PutRequest(key=b"k", value=b"after"))
        with pytest.raises(errors.MemberNotLearner):
            await call(leader, MemberPromoteRequest(learner.options.member.ID))


async def test_a_removed_follower_is_told_and_refuses_to_start_again(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        leader = await cluster.leader()
        gone = next(member for member in cluster.members if member is not leader)
        own = gone.options.member.ID
        answer = await call(leader, MemberRemoveRequest(own))
        assert own not in [each.ID for each in answer.members]
        async with asyncio.timeout(10):
            await gone.removed.wait()
        await cluster.stop(gone)
        for member in cluster.members:
            assert own not in member.transport.peers  # type: ignore[attr-defined]  # the test's own transport
        await call(leader, PutRequest(key=b"k"))
        with pytest.raises(MemberRemoved, match="permanently removed"):
            open_member(FakeEnv(), tmp_path / gone.options.member.name, gone.options)
        with pytest.raises(errors.MemberNotFound):
            await call(leader, MemberRemoveRequest(own))


async def test_a_leader_that_is_removed_leaves_the_others_a_leader(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        gone = await cluster.leader()
        await call(gone, MemberRemoveRequest(gone.options.member.ID))
        assert gone.removed.is_set()
        left = [member for member in cluster.members if member is not gone]
        leader = await cluster.leader(among=left)
        await call(leader, PutRequest(key=b"k"))
        await cluster.stop(gone)
        await call(leader, PutRequest(key=b"k"))


async def test_from_one_to_three_and_back(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, members=1) as cluster:
        first = cluster.members[0]
        second = await added(cluster, is_learner=False)
        await call(second, PutRequest(key=b"k"))
        assert ids(first) == ids(second)
        leader = await cluster.leader()
        await call(leader, MemberRemoveRequest(first.options.member.ID))
        async with asyncio.timeout(10):
            await first.removed.wait()
        await cluster.stop(first)
        assert (await call(second, RangeRequest(key=b"k"))).count == 1
        with pytest.raises(errors.MemberNotEnoughStarted):
            await call(second, MemberRemoveRequest(second.options.member.ID))


async def test_other_urls_reach_everybody(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        moved = RECORDS[2].ID
        answer = await call(cluster.members[0], MemberUpdateRequest(moved, NEW_URL))
        assert answer.members[2] == replace(RECORDS[2], peerURLs=NEW_URL)
        await settled(cluster)
        for member in cluster.members[:2]:
            assert member.transport.peers[moved] == NEW_URL  # type: ignore[attr-defined]  # the test's own transport


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (MemberAddRequest(), errors.MemberBadURLs),
        (MemberAddRequest(("http://10.0.0.1:2380",)), errors.PeerURLExist),
        (MemberUpdateRequest(RECORDS[0].ID, ()), errors.MemberBadURLs),
        (MemberUpdateRequest(RECORDS[0].ID, ("garbage",)), errors.MemberBadURLs),
        (MemberUpdateRequest(7, NEW_URL), errors.MemberNotFound),
        (MemberUpdateRequest(RECORDS[0].ID, RECORDS[1].peerURLs), errors.PeerURLExist),
        (MemberRemoveRequest(), errors.MemberNotFound),
        (MemberPromoteRequest(7), errors.MemberNotFound),
        (MemberPromoteRequest(RECORDS[0].ID), errors.MemberNotLearner),
    ],
)
async def test_refused_changes_change_nothing(
    tmp_path: Path, request_: Request[Message], error: type[errors.EtcdError]
) -> None:
    async with cluster_of(tmp_path) as cluster:
        with pytest.raises(error):
            await call(cluster.members[0], request_)
        await settled(cluster)
        assert all(member.machine.members == RECORDS for member in cluster.members)
        await call(cluster.members[0], PutRequest(key=b"k"))


async def test_unstarted_members_are_limited_unless_the_check_is_off(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, members=1) as cluster:
        member = cluster.members[0]
        await call(member, MemberAddRequest(("http://10.0.0.8:2380",), isLearner=True))
        with pytest.raises(errors.TooManyLearners):
            await call(member, MemberAddRequest(NEW_URL, isLearner=True))


async def test_there_may_be_no_learners_at_all(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path, options(max_learners=0)) as member:
        with pytest.raises(errors.TooManyLearners):
            await call(member, MemberAddRequest(NEW_URL, isLearner=True))


async def test_a_learner_that_lags_is_not_promoted(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, members=1) as cluster:
        member = cluster.members[0]
        learner = (await call(member, MemberAddRequest(NEW_URL, isLearner=True))).member
        assert learner is not None
        with pytest.raises(errors.LearnerNotReady):
            await call(member, MemberPromoteRequest(learner.ID))


async def test_without_a_quorum_a_change_ends_with_a_timeout(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        leader = await cluster.leader()
        cluster.network.isolate(leader.options.member.ID)
        with pytest.raises(errors.Timeout):
            await call(leader, MemberUpdateRequest(leader.options.member.ID, NEW_URL))


async def test_a_joiner_that_was_cut_off_before_its_first_entry_joins_again(tmp_path: Path) -> None:
    settings = options(joins=True)
    for _ in range(2):
        member = open_member(FakeEnv(), tmp_path, settings)
        assert (member.node.status().last_index, member.voters()) == (0, ())
        await member.close()
