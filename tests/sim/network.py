"""The network between simulated members: it delays, loses, repeats and reorders what they send, and can be cut.

Worse than HTTP over TCP on purpose: what one connection keeps in order is not kept in order over two, and the core
must not rely on it. Messages are values, so that they are handed over as they are.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from typing import Final

from consensus.peer_http import PeerUnreachable
from consensus.peer_identity import CALL_PATH
from consensus.raft.types import Message, MessageType
from consensus.transport import Callbacks
from tests.sim.invariants import Invariants
from tests.sim.ledger import Ledger
from tests.sim.loop import Process, VirtualLoop
from tests.sim.transfer import PART, OnSnapshot, Transfer

DELAY: Final = (0.0002, 0.003)
"""Seconds on the way, mostly."""
SLOW: Final = (0.01, 0.2)
"""Seconds on the way, one time in a hundred."""
CALL_PATIENCE: Final = 5.0
"""Seconds after which a call to a peer without an answer fails."""

_ONCE: Final = frozenset({MessageType.PROP})
"""Never repeated: a proposal that arrives twice is two entries, so that the transport sends it once (raft.md 4)."""

OnMessage = Callable[[Message], None]
OnCall = Callable[[bytes, str], Awaitable[bytes]]


@dataclass(slots=True)
class Quality:
    """How bad all links are, as shares of the messages."""

    loss: float = 0.0
    repeats: float = 0.0
    disorder: float = 0.01
    """Those that take as long as SLOW says."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a member's process takes what comes."""

    process: Process
    on_message: OnMessage
    on_unreachable: Callable[[int], None]
    on_call: OnCall
    on_snapshot: OnSnapshot
    since: float = 0.0
    """When the process began to listen."""


class Network:
    """All links, directed, between members by id."""

    def __init__(self, loop: VirtualLoop, seed: int, ledger: Ledger, invariants: Invariants) -> None:
        self.quality = Quality()
        self._loop = loop
        self._chance = random.Random(f"{seed} network")
        self._ledger = ledger
        self._invariants = invariants
        self._outside = copy_context()
        self._endpoints: dict[int, Endpoint] = {}
        self._cuts: Counter[tuple[int, int]] = Counter()
        """(from, to) -> how many faults cut it."""
        self._whole_since: dict[tuple[int, int], float] = {}

    def attach(self, member: int, endpoint: Endpoint) -> None:
        """Lets a process take what is sent to a member."""
        self._endpoints[member] = endpoint

    def detach(self, member: int) -> None:
        """Nobody takes any more what is sent to a member."""
        self._endpoints.pop(member, None)

    def cut(self, links: Sequence[tuple[int, int]]) -> None:
        """Loses all that is sent over some links until `mend`."""
        self._cuts.update(links)

    def mend(self, links: Sequence[tuple[int, int]]) -> None:
        """Takes back one cut of these links."""
        self._cuts.subtract(links)
        for link in links:
            self._whole_since[link] = self._loop.time()

    def calm(self) -> None:
        """Mends everything."""
        self._cuts.clear()
        self.quality = Quality()

    def is_cut(self, sender: int, to: int) -> bool:
        """Whether nothing gets through."""
        return self._cuts[sender, to] > 0

    def since(self, sender: int, to: int) -> float | None:
        """Since when messages get through and answers come back, None while they do not."""
        endpoint = self._endpoints.get(to)
        ways = (sender, to), (to, sender)
        if endpoint is None or not endpoint.process.is_alive or any(self.is_cut(*way) for way in ways):
            return None
        return max(endpoint.since, *(self._whole_since.get(way, 0.0) for way in ways))

    def send(self, message: Message) -> None:
        """Puts a message on its way."""
        self._invariants.sent(message)
        self._count("messages sent")
        link = message.sender, message.to
        if self.is_cut(*link) or self._chance.random() < self.quality.loss:
            self._count("messages lost")
            if self._chance.random() < 0.5:  # the other half is lost unnoticed
                self._later(self._delay(), self._unreachable, *link)
            return
        self._later(self._delay(), self._deliver, message)
        if message.type not in _ONCE and self._chance.random() < self.quality.repeats:
            self._count("messages repeated")
            self._later(self._delay(), self._deliver, message)

    def ask(self, sender: int, to: int, body: bytes, path: str) -> "asyncio.Future[bytes]":
        """Asks a member something.

        Raises (through the future): PeerUnreachable, and what the other side raises.
        """
        answer: asyncio.Future[bytes] = self._loop.create_future()
        self._later(CALL_PATIENCE, _fail, answer, PeerUnreachable("no answer"))

        def arrive() -> None:
            endpoint = self._endpoints.get(to)
            if endpoint is None or not endpoint.process.is_alive or self.is_cut(sender, to):
                self._later(0.0, _fail, answer, PeerUnreachable("not connected"))
            else:
                endpoint.process.later(0.0, begin, endpoint)

        def begin(endpoint: Endpoint) -> None:
            task = endpoint.process.spawn(_await(endpoint.on_call(body, path)))
            task.add_done_callback(lambda done: self._later(self._delay(), finish, done))

        def finish(task: "asyncio.Task[bytes]") -> None:
            if not self.is_cut(to, sender) and not task.cancelled():
                _settle(answer, task)

        self._later(self._delay(), arrive)
        return answer

    async def transfer(self, message: Message, store: AsyncIterator[bytes]) -> None:
        """Takes a store to a member, as long as both run and hear each other.

        Raises: PeerUnreachable, Refused, and what `store` raises.
        """
        await self._loop.elapse(self._delay())
        sender, receiver = self._endpoints[message.sender], self._endpoints.get(message.to)
        if receiver is None or not self._connects(message):
            raise PeerUnreachable("not connected")
        self._count("snapshots begun")
        transfer = Transfer(self._loop, receiver.process)
        for process in (sender.process, receiver.process):
            process.on_death.append(transfer.fail)
        transfer.begin(receiver.on_snapshot, message)
        async for piece in store:
            for start in range(0, len(piece), PART):
                await self._loop.elapse(self._delay())
                if not self._connects(message):
                    transfer.fail()
                transfer.send(piece[start : start + PART])
            if transfer.answer.done():
                break
        else:
            transfer.finish()
        await transfer.answer
        self._count("snapshots delivered")

    def _connects(self, message: Message) -> bool:
        """Whether there is a connection both ways."""
        return self.since(message.sender, message.to) is not None

    def _deliver(self, message: Message) -> None:
        endpoint = self._endpoints.get(message.to)
        if endpoint is None or not endpoint.process.is_alive or self.is_cut(message.sender, message.to):
            self._count("messages lost")
            self._unreachable(message.sender, message.to)
            return
        self._count("messages delivered")
        self._ledger.note(
            self._loop.time(), "to", f"{message.to:x}", message.type.name, message.term, message.index, message.commit
        )
        endpoint.process.later(0.0, endpoint.on_message, message)

    def _unreachable(self, sender: int, to: int) -> None:
        endpoint = self._endpoints.get(sender)
        if endpoint is not None and endpoint.process.is_alive:
            endpoint.process.later(0.0, endpoint.on_unreachable, to)

    def _delay(self) -> float:
        return self._chance.uniform(*(SLOW if self._chance.random() < self.quality.disorder else DELAY))

    def _later(self, delay: float, callback: Callable[..., object], *args: object) -> None:
        """Has something happen on the network, whatever becomes of who has asked for it."""
        self._loop.call_later(delay, callback, *args, context=self._outside)

    def _count(self, name: str) -> None:
        self._ledger.events[name] += 1


class SimTransport:
    """One process's way to the other members (`consensus.transport.Transport`)."""

    def __init__(self, network: Network, member: int) -> None:
        self._network = network
        self._member = member
        self._peers: dict[int, None] = {}
        self._callbacks: Callbacks | None = None

    def connect(self, callbacks: Callbacks) -> "SimTransport":
        """Takes whom to tell (`consensus.transport.Connect`)."""
        self._callbacks = callbacks
        return self

    def lost(self, member_id: int) -> None:
        """Tells that messages to a member were lost."""
        if self._callbacks is not None and member_id in self._peers:
            self._callbacks.on_unreachable(member_id)

    def send(self, messages: Sequence[Message]) -> None:
        """Sends what goes to peers that were added."""
        for message in messages:
            if message.to in self._peers:
                self._network.send(message)

    def add_peer(self, member_id: int, urls: Sequence[str]) -> None:  # noqa: ARG002 - ids are addresses here
        """Begins to talk to a member."""
        if member_id != self._member:
            self._peers[member_id] = None

    def update_peer(self, member_id: int, urls: Sequence[str]) -> None:
        """Changes nothing: ids are addresses here."""

    def remove_peer(self, member_id: int) -> None:
        """Ends the talk with a member."""
        self._peers.pop(member_id, None)

    async def call(self, member_id: int, body: bytes, path: str = CALL_PATH) -> bytes:
        """Asks a member something.

        Raises: PeerUnreachable.
        """
        return await self._network.ask(self._member, member_id, body, path)

    async def send_snapshot(self, message: Message, store: AsyncIterator[bytes]) -> None:
        """Sends a SNAP with its store.

        Raises: PeerUnreachable, Refused, and what `store` raises.
        """
        if message.to not in self._peers:
            raise PeerUnreachable("not known")
        await self._network.transfer(message, store)

    async def version(self, member_id: int) -> dict[str, str]:
        """What all members of a simulation say.

        Raises: PeerUnreachable.
        """
        if self.active_since(member_id) is None:
            raise PeerUnreachable("not connected")
        return {"etcdserver": "3.6.0", "etcdcluster": "3.6.0", "storage": "3.6.0"}

    def active_since(self, member_id: int) -> float | None:
        """Since when a member can be reached."""
        return self._network.since(self._member, member_id)

    async def close(self) -> None:
        """Nothing is held."""


async def _await(awaitable: Awaitable[bytes]) -> bytes:
    return await awaitable


def _fail(answer: "asyncio.Future[bytes]", error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)


def _settle(answer: "asyncio.Future[bytes]", task: "asyncio.Task[bytes]") -> None:
    error = task.exception()
    if answer.done():
        return
    if error is None:
        answer.set_result(task.result())
    else:
        answer.set_exception(error)
