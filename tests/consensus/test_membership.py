import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from msgspec.structs import replace

from consensus.membership import Membership
from consensus.replica import Replica
from raftgate.api import errors
from raftgate.api.cluster import Member, MemberListRequest, MemberListResponse
from raftgate.api.kv import PutRequest, ResponseHeader
from raftgate.api.message import Caller
from tests.fakes.cluster import RECORDS, LocalCluster, cluster_of
from tests.fakes.env import FakeEnv
from tests.fakes.member import RECORD, running

pytestmark = pytest.mark.anyio

CALLER = Caller()
HEADER = ResponseHeader(cluster_id=1, member_id=2, raft_term=4)
MEMBERS = (Member(2, "two", ("http://b:2380",), ("http://b:2379",)), Member(3, peerURLs=("http://c:2380",)))


class FakeReplica:
    """Two members, one of which has not started, and a barrier that the test lets pass."""

    def __init__(self) -> None:
        self.machine = SimpleNamespace(members=MEMBERS)
        self.passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.reads = SimpleNamespace(barrier=lambda: self.passed)

    def header(self, revision: int) -> ResponseHeader:
        assert revision == 0
        return HEADER

    async def list(self, request: MemberListRequest) -> object:
        handlers = Membership(cast("Replica", self)).handlers
        return await handlers[MemberListRequest](request)


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
