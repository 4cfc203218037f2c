import asyncio
from pathlib import Path

import pytest

from consensus.proposals import MAX_BACKLOG, Proposals, first_request_id
from consensus.raft.errors import ProposalDropped
from consensus.replica import Replica
from raftgate.api import errors
from raftgate.api.kv import PutRequest, ResponseHeader
from raftgate.api.lease import LeaseGrantRequest, LeaseGrantResponse
from raftgate.api.message import Caller
from storage.options import PENDING_LIMIT
from tests.fakes.env import FakeEnv
from tests.fakes.member import open_member, options, running

pytestmark = pytest.mark.anyio

CALLER = Caller()
PUT = PutRequest(key=b"k")


def is_connected(_seconds: float) -> bool:
    return True


async def test_a_backlog_of_entries_refuses_proposals(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        await member.server.call(PUT, CALLER)
        status = member.node.status()
        behind = type(status)(
            status.id, status.term, status.leader, status.role, MAX_BACKLOG + 10, 9, status.last_index
        )
        member.node.status = lambda: behind  # type: ignore[method-assign]  # a state that one fast member never reaches
        with pytest.raises(errors.TooManyRequests):
            await member.server.call(PUT, CALLER)


async def test_rows_that_pile_up_refuse_proposals(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        replica = Replica(member.machine, member.node, member.applier, member.reads, FakeEnv(), member.options)
        with pytest.raises(errors.TooManyRequests):
            await Proposals(replica, lambda: PENDING_LIMIT + 1, is_connected).propose(PUT)


async def test_without_a_leader_a_write_waits(tmp_path: Path) -> None:
    member = open_member(FakeEnv(), tmp_path, options())
    write = asyncio.create_task(member.server.call(PUT, CALLER))
    await asyncio.sleep(0)
    assert not write.done()  # for a leader, in the end for the deadline
    write.cancel()
    await asyncio.wait([write])
    await member.close()


async def test_a_request_is_submitted_at_once_and_its_answer_comes_by_a_future(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        replica = Replica(member.machine, member.node, member.applier, member.reads, FakeEnv(), member.options)
        proposals = Proposals(replica, lambda: PENDING_LIMIT + 1, is_connected)  # which is for clients
        answer = proposals.submit(LeaseGrantRequest(60, 7))
        assert await answer == LeaseGrantResponse(ResponseHeader(revision=1), 7, 60)
        with pytest.raises(errors.LeaseExist):
            await proposals.submit(LeaseGrantRequest(60, 7))


async def test_without_a_leader_nothing_is_submitted(tmp_path: Path) -> None:
    member = open_member(FakeEnv(), tmp_path, options())
    replica = Replica(member.machine, member.node, member.applier, member.reads, FakeEnv(), member.options)
    with pytest.raises(errors.TooManyRequests):
        Proposals(replica, lambda: 0, is_connected).submit(PUT)
    await member.close()


def test_request_ids_differ_between_members_and_restarts() -> None:
    assert first_request_id(0x10001, bytes(6)) >> 48 == 1
    assert first_request_id(1, b"\0\0\0\0\1\0") - first_request_id(1, bytes(6)) == 256
    assert first_request_id(2**64 - 1, b"\xff" * 8) < 2**64


@pytest.mark.parametrize(
    ("began", "leader", "is_there", "expected"),
    [
        (0.0, 1, True, errors.Timeout),
        (0.0, 1, False, errors.TimeoutDueToConnectionLost),
        (0.0, 0, False, errors.Timeout),
        (9.85, 1, True, errors.TimeoutDueToLeaderFail),
        (9.9, 0, False, errors.TimeoutDueToLeaderFail),
        (10.1, 1, True, errors.Timeout),
    ],
)
async def test_a_timeout_says_what_may_have_caused_it(
    tmp_path: Path, *, began: float, leader: int, is_there: bool, expected: type[errors.EtcdError]
) -> None:
    member = open_member(FakeEnv(), tmp_path, options())
    member.node.leader, member.node.leader_since = leader, 10.0
    replica = Replica(member.machine, member.node, member.applier, member.reads, FakeEnv(), member.options)
    proposals = Proposals(replica, lambda: 0, lambda _: is_there)
    assert type(proposals.timed_out(began + member.options.request_timeout)) is expected
    await member.close()


async def test_what_nobody_takes_for_the_moment_is_proposed_again(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        refusing = iter([ProposalDropped("handing over")] * 3)
        propose = member.node.propose

        def hesitate(data: bytes) -> None:
            for error in refusing:
                raise error
            propose(data)

        member.node.propose = hesitate  # type: ignore[method-assign]  # a moment that one member does not have
        await member.server.call(PUT, CALLER)
        assert next(refusing, None) is None
