"""Calls to the leader between members whose leadership the test decides."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from consensus.leader_calls import LeaderCalls
from consensus.options import Options
from consensus.peer_http import PeerUnreachable
from consensus.peer_identity import Refused
from raftgate.api import errors
from raftgate.api.cluster import Member
from raftgate.api.lease import LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseTimeToLiveRequest
from raftgate.api.lease import LeaseTimeToLiveResponse as TimeToLiveResponse
from tests.fakes.peers import turns_until

pytestmark = pytest.mark.anyio

ASKED = LeaseTimeToLiveRequest(ID=-7, keys=True)
ANSWER = TimeToLiveResponse(ID=-7, TTL=3, keys=(b"\x00\xff", b"k"))
LONG = 60.0
SHORT = 0.1

Handler = Callable[[LeaseTimeToLiveRequest], Awaitable[TimeToLiveResponse]]


class FakeNode:
    """Who leads, by the test's word."""

    def __init__(self) -> None:
        self.leader = 0
        self.leader_known = asyncio.Event()


class Wire:
    """The transport of one member: to the others of the test, unless it is broken."""

    def __init__(self, members: "dict[int, One]") -> None:
        self._members = members
        self.calls: list[int] = []
        self.errors: list[Exception] = []
        """Raised one a call, first."""
        self.is_silent = False
        self.said: list[bytes] = []
        """What went over it, questions and answers."""
        self.instead: bytes | None = None
        """Answered instead of what the member says."""

    async def call(self, member_id: int, body: bytes, path: str = "") -> bytes:
        assert not path
        self.calls.append(member_id)
        if self.errors:
            raise self.errors.pop(0)
        if self.is_silent:
            await asyncio.Event().wait()
        answer = self.instead or await self._members[member_id].leader_calls.answer(body)
        self.said += [body, answer]
        return answer


class One:
    """A member of the test."""

    def __init__(self, member_id: int, members: "dict[int, One]", timeout: float) -> None:
        self.node = FakeNode()
        self.wire = Wire(members)
        options = Options(Member(ID=member_id), 1, election_timeout=(timeout - 5) / 2)
        self.leader_calls = LeaderCalls(self.node, self.wire, options)  # type: ignore[arg-type]  # all of a Transport that is used
        self.asked = 0
        self.handler: Handler = self._answer
        self.leader_calls.register({LeaseTimeToLiveRequest: self._handle})
        members[member_id] = self

    async def _handle(self, request: LeaseTimeToLiveRequest) -> TimeToLiveResponse:
        self.asked += 1
        assert request == ASKED
        return await self.handler(request)

    async def _answer(self, _request: LeaseTimeToLiveRequest) -> TimeToLiveResponse:
        return ANSWER

    def follow(self, leader: int) -> None:
        """Takes another member, itself, or nobody for the leader."""
        self.node.leader = leader
        if leader:
            self.node.leader_known.set()
        else:
            self.node.leader_known.clear()
        self.leader_calls.leader_changed()


class Trio:
    """Members 1, 2 and 3."""

    def __init__(self, timeout: float = LONG) -> None:
        self.members: dict[int, One] = {}
        self.one, self.two, self.three = (One(number, self.members, timeout) for number in (1, 2, 3))

    def elect(self, leader: int) -> None:
        for member in self.members.values():
            member.follow(leader)

    async def ask(self) -> TimeToLiveResponse:
        """Asks the first member."""
        async with asyncio.timeout(10):
            return await self.one.leader_calls.ask(ASKED)


def failing(*raised: Exception) -> Handler:
    """Raises one after the other, then answers."""
    left = list(raised)

    async def handle(_request: LeaseTimeToLiveRequest) -> TimeToLiveResponse:
        if left:
            raise left.pop(0)
        return ANSWER

    return handle


async def never(_request: LeaseTimeToLiveRequest) -> TimeToLiveResponse:
    await asyncio.Event().wait()
    return ANSWER


async def test_a_leader_answers_itself() -> None:
    trio = Trio()
    trio.elect(1)
    assert await trio.ask() is ANSWER
    assert trio.one.wire.calls == []


async def test_a_follower_asks_the_leader() -> None:
    trio = Trio()
    trio.elect(2)
    assert await trio.ask() == ANSWER
    assert (trio.one.wire.calls, trio.one.asked, trio.two.asked, trio.three.asked) == ([2], 0, 1, 0)


@pytest.mark.parametrize("leader", [1, 2])
@pytest.mark.parametrize(
    "error",
    [
        errors.LeaseNotFound(),
        errors.InvalidArgument("just so"),
        errors.Timeout(),
        errors.TimeoutDueToConnectionLost(),
        errors.Corrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_errors_of_the_catalogue_come_back_as_they_are(leader: int, error: errors.EtcdError) -> None:
    trio = Trio()
    trio.members[leader].handler = failing(error)
    trio.elect(leader)
    with pytest.raises(errors.EtcdError) as caught:
        await trio.ask()
    assert (type(caught.value), caught.value.text) == (type(error), error.text)
    assert trio.members[leader].asked == 1


@pytest.mark.parametrize(
    ("leader", "error"),
    [
        (1, errors.NotLeader()),
        (1, errors.LeaderChanged()),
        (2, errors.NotLeader()),
        (2, errors.LeaderChanged()),
        (2, errors.NoLeader()),
        (2, errors.Stopped()),
        (2, errors.TimeoutWaitAppliedIndex()),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
async def test_who_cannot_answer_now_is_asked_again(leader: int, error: errors.EtcdError) -> None:
    trio = Trio()
    trio.members[leader].handler = failing(error)
    trio.elect(leader)
    assert await trio.ask() == ANSWER
    assert trio.members[leader].asked == 2


@pytest.mark.parametrize("error", [PeerUnreachable("gone"), Refused(412, "cluster ID mismatch")], ids=str)
async def test_who_cannot_be_reached_is_asked_again(error: Exception) -> None:
    trio = Trio()
    trio.one.wire.errors.append(error)
    trio.elect(2)
    assert await trio.ask() == ANSWER
    assert trio.one.wire.calls == [2, 2]


async def test_a_member_that_does_not_lead_says_so() -> None:
    trio = Trio()
    trio.one.follow(2)
    trio.two.follow(3)
    asking = asyncio.create_task(trio.ask())
    await turns_until(lambda: trio.one.wire.calls)
    trio.elect(3)
    assert await asking == ANSWER
    assert (trio.one.wire.calls, trio.two.asked) == ([2, 3], 0)


async def test_a_call_waits_for_a_leader() -> None:
    trio = Trio()
    asking = asyncio.create_task(trio.ask())
    await asyncio.sleep(0)
    trio.two.follow(2)
    trio.one.follow(2)
    trio.one.follow(0)  # gone before anybody could be asked
    await asyncio.sleep(0)
    trio.one.follow(2)
    assert await asking == ANSWER
    assert trio.one.wire.calls == [2]


@pytest.mark.parametrize("then", [1, 3])
async def test_a_leader_that_is_silent_is_given_up_with_the_next_one(then: int) -> None:
    trio = Trio()
    trio.elect(2)
    trio.one.wire.is_silent = True
    asking = asyncio.create_task(trio.ask())
    await turns_until(lambda: trio.one.wire.calls)
    trio.one.follow(0)
    trio.one.wire.is_silent = False
    trio.elect(then)
    assert await asking == ANSWER


@pytest.mark.parametrize("leader", [1, 2])
async def test_a_leader_that_is_deposed_answers_no_more(leader: int) -> None:
    trio = Trio()
    trio.members[leader].handler = never
    trio.elect(leader)
    asking = asyncio.create_task(trio.ask())
    await turns_until(lambda: trio.members[leader].asked)
    trio.members[leader].follow(3)
    assert not asking.done()
    trio.elect(3)
    assert await asking == ANSWER


@pytest.mark.parametrize(
    ("leader", "error"), [(0, errors.NoLeader), (1, errors.Timeout), (2, errors.Timeout)], ids=["none", "own", "other"]
)
async def test_the_request_timeout_ends_a_call(leader: int, error: type[errors.EtcdError]) -> None:
    trio = Trio(timeout=SHORT)
    trio.one.handler = never
    trio.one.wire.is_silent = True
    trio.elect(leader)
    with pytest.raises(error) as caught:
        await trio.ask()
    assert type(caught.value) is error


async def test_the_request_timeout_ends_a_call_that_finds_nobody() -> None:
    trio = Trio(timeout=SHORT)
    trio.one.follow(2)
    with pytest.raises(errors.Timeout):
        await trio.ask()
    assert len(trio.one.wire.calls) in (2, 3)


async def test_the_leader_bounds_what_it_does_for_others() -> None:
    trio = Trio(timeout=SHORT)
    trio.two.handler = never
    trio.two.follow(2)
    call = msgspec.msgpack.encode(["LeaseTimeToLiveRequest", {"ID": -7, "keys": True}])
    answer = msgspec.msgpack.decode(await trio.two.leader_calls.answer(call))
    assert answer == [None, "Timeout", "etcdserver: request timed out"]


async def test_a_caller_that_leaves_ends_the_call() -> None:
    trio = Trio()
    trio.elect(1)
    trio.one.handler = never
    asking = asyncio.create_task(trio.ask())
    await turns_until(lambda: trio.one.asked)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    trio.elect(2)  # finds nothing left to end


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "InvalidArgument"),
        (b"\xff", "InvalidArgument"),
        (msgspec.msgpack.encode(["LeaseTimeToLiveRequest", {"ID": "x"}]), "InvalidArgument"),
        (msgspec.msgpack.encode(["LeaseTimeToLiveRequest", {"later": 1}]), "InvalidArgument"),
        (msgspec.msgpack.encode(["LeaseKeepAliveRequest", {}]), "Unimplemented"),
        (msgspec.msgpack.encode(["LeaseTimeToLiveRequest", {}, 1]), "NotLeader"),
        (msgspec.msgpack.encode(["LeaseTimeToLiveRequest", {}]), "NotLeader"),
    ],
)
async def test_what_others_may_send(body: bytes, error: str) -> None:
    assert msgspec.msgpack.decode(await Trio().one.leader_calls.answer(body))[1] == error


async def test_a_call_that_the_leader_does_not_know() -> None:
    trio = Trio()
    trio.elect(2)
    with pytest.raises(errors.Unimplemented, match="unknown call: 'LeaseKeepAliveRequest'"):
        await trio.one.leader_calls.ask(LeaseKeepAliveRequest(7))


@pytest.mark.parametrize("said", [[None, "NoSuchError", "text"], [{"TTL": "x"}], {}], ids=str)
async def test_an_answer_that_is_not_understood(said: object) -> None:
    trio = Trio()
    trio.elect(2)
    trio.one.wire.instead = msgspec.msgpack.encode(said)
    with pytest.raises(errors.Internal):
        await trio.ask()


async def test_what_both_sides_write() -> None:
    """Members of different versions read these bytes."""
    trio = Trio()

    async def renew(_request: LeaseKeepAliveRequest) -> LeaseKeepAliveResponse:
        return LeaseKeepAliveResponse(ID=7, TTL=60)

    trio.two.leader_calls.register({LeaseKeepAliveRequest: renew})
    trio.elect(2)
    assert await trio.one.leader_calls.ask(LeaseKeepAliveRequest(7)) == LeaseKeepAliveResponse(ID=7, TTL=60)
    assert [msgspec.msgpack.decode(body) for body in trio.one.wire.said] == [
        ["LeaseKeepAliveRequest", {"ID": 7}],
        [{"ID": 7, "TTL": 60}, "", ""],
    ]
