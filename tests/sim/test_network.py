"""The simulated network: what it loses, repeats and reorders, and how cuts add up."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus

import pytest

from consensus.peer_http import PeerUnreachable
from consensus.peer_identity import Refused
from consensus.raft.types import Message, MessageType
from tests.sim.invariants import Invariants, Violation
from tests.sim.ledger import Ledger
from tests.sim.loop import Process, VirtualLoop
from tests.sim.network import Endpoint, Network, SimTransport

STORE = bytes(range(256)) * 400
REFUSED = 99
"""The index of a message whose store is not taken."""


@dataclass
class Member:
    process: Process
    messages: list[int] = field(default_factory=list)
    unreachable: list[int] = field(default_factory=list)
    stores: list[bytes] = field(default_factory=list)

    def take(self, message: Message) -> None:
        self.messages.append(message.index)

    async def answer(self, body: bytes, path: str) -> bytes:
        return path.encode() + body

    async def restore(self, message: Message, store: AsyncIterator[bytes]) -> None:
        if message.index == REFUSED:
            raise Refused(HTTPStatus.CONFLICT, "not now")
        self.stores.append(b"")
        async for part in store:
            self.stores[-1] += part


@dataclass
class World:
    loop: VirtualLoop
    network: Network
    members: dict[int, Member]
    transports: dict[int, SimTransport]
    ledger: Ledger

    def send(self, *indexes: int, sender: int = 1, to: int = 2) -> None:
        self.transports[sender].send([message(index, sender, to) for index in indexes])

    def wait(self, seconds: float = 10.0) -> None:
        async def elapse() -> None:
            await self.loop.elapse(seconds)

        self.loop.run_until_complete(elapse())


def message(index: int, sender: int = 1, to: int = 2) -> Message:
    return Message(type=MessageType.APP_RESP, to=to, sender=sender, term=1, index=index)


@pytest.fixture
def world() -> Iterator[World]:
    loop, ledger = VirtualLoop(), Ledger()
    network = Network(loop, 1, ledger, Invariants(ledger, ["m1", "m2"], loop.time))
    made = World(loop, network, {}, {}, ledger)
    for number in (1, 2):
        member = made.members[number] = Member(Process(loop, f"m{number}"))
        ways = member.take, member.unreachable.append, member.answer, member.restore
        network.attach(number, Endpoint(member.process, *ways))
        made.transports[number] = SimTransport(network, number)
        made.transports[number].add_peer(3 - number, ())
        made.transports[number].add_peer(number, ())
    yield made
    loop.end()


def test_all_arrives_and_some_overtakes(world: World) -> None:
    world.send(*range(300))
    world.wait()
    arrived = world.members[2].messages
    assert sorted(arrived) == list(range(300))
    assert arrived != sorted(arrived)


def test_loss_and_repeats(world: World) -> None:
    world.network.quality.loss, world.network.quality.repeats = 0.3, 0.2
    world.send(*range(1000))
    world.wait()
    arrived = world.members[2].messages
    assert 650 < len(set(arrived)) < 750
    assert 100 < len(arrived) - len(set(arrived)) < 200
    assert 100 < len(world.members[1].unreachable) < 200  # half of what was lost
    world.network.calm()
    arrived.clear()
    world.send(*range(100))
    world.wait()
    assert len(arrived) == 100


def test_a_proposal_is_never_repeated(world: World) -> None:
    world.network.quality.repeats = 1.0
    proposal = Message(type=MessageType.PROP, to=2, sender=1, term=0, index=7)
    world.network.send(proposal)
    world.wait()
    assert world.members[2].messages == [7]


def test_a_cut_is_one_way_and_cuts_add_up(world: World) -> None:
    world.network.cut([(1, 2)])
    world.network.cut([(1, 2)])
    world.network.mend([(1, 2)])
    world.send(1)
    world.send(2, sender=2, to=1)
    world.wait()
    assert (world.members[2].messages, world.members[1].messages) == ([], [2])
    assert world.transports[1].active_since(2) is None
    assert world.transports[2].active_since(1) is None  # its answers would not come back
    world.network.mend([(1, 2)])
    assert world.transports[1].active_since(2) == 10.0
    world.send(3)
    world.wait()
    assert world.members[2].messages == [3]


def test_what_is_under_way_when_a_link_is_cut_is_lost(world: World) -> None:
    world.send(1)
    world.network.cut([(1, 2)])
    world.wait()
    assert world.members[2].messages == []
    assert world.members[1].unreachable == [2]


def test_a_stopped_process_takes_what_came_meanwhile(world: World) -> None:
    world.members[2].process.stop()
    world.send(1)
    world.wait()
    assert world.members[2].messages == []
    world.members[2].process.resume()
    world.wait()
    assert world.members[2].messages == [1]


def test_a_dead_process_takes_nothing_and_what_it_sent_arrives(world: World) -> None:
    world.send(1, sender=2, to=1)
    assert world.transports[1].active_since(2) == 0.0
    world.members[2].process.kill()
    assert world.transports[1].active_since(2) is None
    world.send(2)
    world.wait()
    assert (world.members[1].messages, world.members[2].messages) == ([1], [])
    assert world.members[1].unreachable == [2]


def test_a_removed_peer_gets_nothing(world: World) -> None:
    world.transports[1].remove_peer(2)
    world.send(1)
    world.wait()
    assert world.members[2].messages == []
    assert world.ledger.events["messages sent"] == 0


def test_a_call_is_answered_or_fails(world: World) -> None:
    async def ask() -> None:
        assert await world.transports[1].call(2, b"body", "/path") == b"/pathbody"
        assert "etcdserver" in await world.transports[1].version(2)
        world.network.cut([(2, 1)])
        with pytest.raises(PeerUnreachable):
            await world.transports[1].call(2, b"", "/path")
        with pytest.raises(PeerUnreachable):
            await world.transports[2].version(1)
        world.members[2].process.kill()
        with pytest.raises(PeerUnreachable):
            await world.transports[1].call(2, b"", "/path")

    world.loop.run_until_complete(ask())


async def pieces(count: int) -> AsyncIterator[bytes]:
    for start in range(0, len(STORE), len(STORE) // count):
        yield STORE[start : start + len(STORE) // count]


def send_store(world: World, snapshot: Message) -> None:
    async def send() -> None:
        await world.transports[1].send_snapshot(snapshot, pieces(4))

    world.loop.run_until_complete(send())


def test_a_store_arrives_whole(world: World) -> None:
    send_store(world, message(1))
    assert world.members[2].stores == [STORE]


def test_a_store_is_refused(world: World) -> None:
    with pytest.raises(Refused, match="not now"):
        send_store(world, message(REFUSED))


def test_no_store_goes_over_a_cut_link_or_to_the_dead(world: World) -> None:
    world.network.cut([(2, 1)])
    with pytest.raises(PeerUnreachable):
        send_store(world, message(1))
    world.network.calm()
    world.members[2].process.kill()
    with pytest.raises(PeerUnreachable):
        send_store(world, message(1))


@pytest.mark.parametrize("interrupt", ["cut", "receiver", "sender"])
def test_a_transfer_that_is_interrupted_ends_on_both_sides(world: World, interrupt: str) -> None:
    ended: list[str] = []

    async def sending() -> None:
        try:
            await world.transports[1].send_snapshot(message(1), pieces(4))
        except PeerUnreachable:
            ended.append("sender")

    async def receiving(_message: Message, store: AsyncIterator[bytes]) -> None:
        try:
            async for part in store:
                world.members[2].stores.append(part)
        except PeerUnreachable:
            ended.append("receiver")
            raise

    process = world.members[2].process
    world.network.attach(2, Endpoint(process, print, print, world.members[2].answer, receiving))

    async def run() -> None:
        world.members[1].process.spawn(sending())
        await world.loop.elapse(0.01)
        if interrupt == "cut":
            world.network.cut([(1, 2)])
        else:
            world.members[1 if interrupt == "sender" else 2].process.kill()
        await world.loop.elapse(10.0)

    world.loop.run_until_complete(run())
    assert sorted(ended) == {"cut": ["receiver", "sender"], "receiver": ["sender"], "sender": ["receiver"]}[interrupt]
    assert 0 < len(world.members[2].stores) < len(STORE) // (8 << 10)


def test_votes_are_looked_at(world: World) -> None:
    def vote(to: int) -> Message:
        return Message(type=MessageType.VOTE_RESP, to=to, sender=1, term=5)

    world.network.send(vote(2))
    world.network.send(vote(2))
    with pytest.raises(Violation, match="voted for"):
        world.network.send(vote(3))
