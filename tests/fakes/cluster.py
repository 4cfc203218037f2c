"""Several whole members in one event loop, with a network of the test's choice between them."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from consensus.corruption import HASH_PATH
from consensus.member import Member
from consensus.options import Options
from consensus.peer_http import PeerUnreachable
from consensus.raft.types import Message
from consensus.transport import Callbacks
from consensus.wal import WalOptions
from raftgate.api import cluster
from tests.fakes.env import FakeEnv
from tests.fakes.member import open_member

RECORDS = tuple(
    cluster.Member(
        ID=0xA0 + number,
        name=f"m{number}",
        peerURLs=(f"http://10.0.0.{number}:2380",),
        clientURLs=(f"http://10.0.0.{number}:2379",),
    )
    for number in (1, 2, 3)
)


class ChanceEnv(FakeEnv):
    """A FakeEnv whose members do not all campaign at once."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._chance = random.Random(seed)

    def random(self) -> float:
        """One of a series that differs from member to member."""
        return self._chance.random()

    def random_bytes(self, n: int) -> bytes:
        """Bytes that differ from member to member."""
        return self._chance.randbytes(n)


class LocalNetwork:
    """Hands messages over in the next turn of the loop, unless the link is cut."""

    def __init__(self) -> None:
        self.members: dict[int, Member] = {}
        self.cut: set[tuple[int, int]] = set()
        """Links (from, to) that lose everything, and tell nobody."""
        self.sent: list[Message] = []
        self.bring: Callable[[Member, Message, AsyncIterator[bytes]], Awaitable[None]] = _bring
        """Brings a member the store that comes behind a SNAP."""

    def isolate(self, member_id: int) -> None:
        """Cuts all links of a member."""
        for other in list(self.members.values()):
            other_id = other.options.member.ID
            self.cut |= {(member_id, other_id), (other_id, member_id)}

    def deliver(self, message: Message) -> None:
        """Hands a message over, or loses it."""
        self.sent.append(message)
        member = self.members.get(message.to)
        if member is not None and (message.sender, message.to) not in self.cut:
            member.receive(message)

    def reaches(self, sender: int, to: int) -> bool:
        """Whether there is somebody, and a link."""
        return to in self.members and (sender, to) not in self.cut


async def _bring(member: Member, message: Message, store: AsyncIterator[bytes]) -> None:
    await member.incoming.receive(message, store)


class LocalTransport:
    """One member's end of a LocalNetwork."""

    def __init__(self, network: LocalNetwork, own: int, callbacks: Callbacks) -> None:
        self._network = network
        self._own = own
        self._callbacks = callbacks
        self.peers: dict[int, Sequence[str]] = {}

    def send(self, messages: Sequence[Message]) -> None:
        """As Transport has it."""
        loop = asyncio.get_running_loop()
        for message in messages:
            if message.to in self.peers:
                loop.call_soon(self._network.deliver, message)
                if message.to not in self._network.members:
                    loop.call_soon(self._callbacks.on_unreachable, message.to)

    def add_peer(self, member_id: int, urls: Sequence[str]) -> None:
        """As Transport has it."""
        if member_id != self._own:
            self.peers[member_id] = urls

    def update_peer(self, member_id: int, urls: Sequence[str]) -> None:
        """As Transport has it."""
        self.peers[member_id] = urls

    def remove_peer(self, member_id: int) -> None:
        """As Transport has it."""
        self.peers.pop(member_id, None)

    async def call(self, member_id: int, body: bytes, path: str = "") -> bytes:
        """As Transport has it."""
        if path not in ("", HASH_PATH) or not self._network.reaches(self._own, member_id):
            raise PeerUnreachable(f"no call of {len(body)} bytes to {path} of {member_id:x}")
        member = self._network.members[member_id]
        return await (member.corruption.answer(body) if path else member.answer(body))

    async def send_snapshot(self, message: Message, store: AsyncIterator[bytes]) -> None:
        """As Transport has it; a link that is cut meanwhile loses the rest."""

        async def pieces() -> AsyncIterator[bytes]:
            async for piece in store:
                if not self._network.reaches(self._own, message.to):
                    raise PeerUnreachable(f"the link to {message.to:x} is cut")
                yield piece

        if not self._network.reaches(self._own, message.to):
            raise PeerUnreachable(f"{message.to:x} is not there")
        self._network.sent.append(message)
        await self._network.bring(self._network.members[message.to], message, pieces())

    async def version(self, member_id: int) -> dict[str, str]:
        """As Transport has it."""
        version = self._network.members[member_id].options.server_version if member_id in self._network.members else ""
        if not version or not self._network.reaches(self._own, member_id):
            raise PeerUnreachable(f"{member_id:x} does not say")
        return {"etcdserver": version}

    def active_since(self, member_id: int) -> float | None:
        """As Transport has it: since ever."""
        return 0.0 if self._network.reaches(self._own, member_id) else None

    async def close(self) -> None:
        """As Transport has it."""


class LocalCluster:
    """Members by their place in RECORDS, started and stopped as a test says."""

    def __init__(self, directory: Path, members: int = 3, wal_options: WalOptions | None = None) -> None:
        self._wal_options = wal_options
        self.network = LocalNetwork()
        self._directory = directory
        self._records = RECORDS[:members]
        self._running: dict[int, asyncio.Task[None]] = {}
        self._starts = 0

    @property
    def members(self) -> list[Member]:
        """Those that run."""
        return list(self.network.members.values())

    def settings(self, record: cluster.Member) -> Options:
        """The options of one of them."""
        return Options(record, 0xC1, heartbeat_interval=0.01, election_timeout=0.1, initial_members=self._records)

    def start(self, number: int, change: Callable[[Options], Options] = lambda settings: settings) -> asyncio.Event:
        """Starts a member, 0 being the first; the event is set when it serves."""
        return self._start(change(self.settings(self._records[number])))

    def join(self, record: cluster.Member) -> asyncio.Event:
        """Starts a member that was added; the event is set when it serves."""
        settings = self.settings(record)
        return self._start(replace(settings, joins=True, initial_members=self.members[0].machine.members))

    def _start(self, settings: Options) -> asyncio.Event:
        self._starts += 1
        record = settings.member
        member = open_member(
            ChanceEnv(100 * self._starts),
            self._directory / record.name,
            settings,
            connect=lambda callbacks: LocalTransport(self.network, record.ID, callbacks),
            wal_options=self._wal_options,
        )
        self.network.members[record.ID] = member
        started = asyncio.Event()
        self._running[record.ID] = asyncio.create_task(member.run(started))
        return started

    async def stop(self, member: Member) -> None:
        """Stops a member in order."""
        own = member.options.member.ID
        member.server.stop()
        task = self._running.pop(own)
        task.cancel()
        await asyncio.wait([task])
        del self.network.members[own]
        await member.close()
        if not task.cancelled():
            task.result()

    async def leader(self, among: Sequence[Member] = ()) -> Member:
        """The one of some members, or of all that run, that a majority takes for the leader, once there is one."""
        async with asyncio.timeout(10):
            while True:
                named = [member.node.leader for member in self.members]
                for member in among or self.members:
                    own = member.options.member.ID
                    if 2 * named.count(own) > len(member.voters()) and member.node.leader == own:
                        return member
                await asyncio.wait(
                    [member.node.leader_change() for member in self.members], return_when="FIRST_COMPLETED"
                )


@asynccontextmanager
async def cluster_of(
    directory: Path, members: int = 3, wal_options: WalOptions | None = None, **changes: float
) -> AsyncIterator[LocalCluster]:
    """So many members that serve; those that still run at the end are stopped in order."""
    running = LocalCluster(directory, members, wal_options)
    started = [
        running.start(number, lambda settings: replace(settings, **changes))  # type: ignore[arg-type]  # a test names fields of their own types
        for number in range(members)
    ]
    try:
        async with asyncio.timeout(10):
            for event in started:
                await event.wait()
        yield running
    finally:
        for member in running.members:
            await running.stop(member)
