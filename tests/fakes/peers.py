"""Members that only talk: the receiving side on a loopback port, and a transport towards others."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from consensus.peer import build_peer_app
from consensus.peer_channel import ChannelOptions
from consensus.peer_identity import CALL_PATH, MESSAGES_PATH, PeerIdentity
from consensus.peer_metrics import PeerMetrics
from consensus.peer_receiver import Admitted, CallReceiver, MessageReceiver, ReceiverOptions
from consensus.raft.types import Entry, EntryType, Message, MessageType
from consensus.transport import Callbacks, HttpTransport, TransportOptions
from tests.fakes.loopback import DEADLINE

CLUSTER = 0xC1
QUICK = ChannelOptions(retry_seconds=0.01, refused_seconds=0.02, ping_seconds=0.02)


def heartbeat(to: int = 2, commit: int = 0, sender: int = 1) -> Message:
    return Message(type=MessageType.HEARTBEAT, to=to, sender=sender, term=1, commit=commit)


def appending(to: int = 2, index: int = 0, count: int = 1, size: int = 400) -> Message:
    entries = tuple(Entry(1, index + 1 + step, EntryType.NORMAL, b"x" * size) for step in range(count))
    return Message(type=MessageType.APP, to=to, sender=1, term=1, index=index, entries=entries)


async def turns_until(condition: Callable[[], object]) -> None:
    """Gives the loop turns until something is so of which nobody tells."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110  # there is no event
            await asyncio.sleep(0)


class Inbox:
    """What has come, and who waits for it."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._changed = asyncio.Event()

    def add(self, message: Message) -> None:
        self.messages.append(message)
        self._changed.set()

    def tell(self) -> None:
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Looks again whenever something has come, or was told."""
        async with asyncio.timeout(DEADLINE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def count(self, count: int) -> list[Message]:
        await self.until(lambda: len(self.messages) >= count)
        return self.messages


class FakePeer:
    """A member's receiving side."""

    def __init__(
        self, member_id: int = 2, identity: PeerIdentity | None = None, options: ReceiverOptions | None = None
    ) -> None:
        self.inbox = Inbox()
        self.registry = CollectorRegistry()
        self.identity = identity or PeerIdentity(CLUSTER, member_id)
        self.calls: list[bytes] = []
        self.metrics = PeerMetrics(self.registry, self.identity.member_id)
        self.receiver = MessageReceiver(self.identity, self.inbox.add, self.metrics, options)

    async def _answer(self, body: bytes) -> bytes:
        self.calls.append(body)
        return b"answer to " + body

    def app(self) -> ASGIApp:
        calls = CallReceiver(self.identity, self._answer, 1 << 20)
        apps: dict[str, ASGIApp] = {MESSAGES_PATH: self.receiver, CALL_PATH: calls}
        raft: dict[str, ASGIApp] = {path: Admitted(self.identity, app) for path, app in apps.items()}
        return build_peer_app(CLUSTER, list, lambda: {"etcdserver": "3.6.0"}, raft)


class FakeSender:
    """A member's sending side, and what it was told."""

    def __init__(self, identity: PeerIdentity | None = None, channel: ChannelOptions = QUICK) -> None:
        self.told = Inbox()
        self.unreachable: list[int] = []
        self.removed = 0
        self.registry = CollectorRegistry()
        identity = identity or PeerIdentity(CLUSTER, 1)
        self.transport = HttpTransport(
            TransportOptions(identity, time.monotonic, channel),
            Callbacks(self._unreachable, self._removed),
            PeerMetrics(self.registry, identity.member_id),
        )

    def _unreachable(self, member_id: int) -> None:
        self.unreachable.append(member_id)
        self.told.tell()

    def _removed(self) -> None:
        self.removed += 1
        self.told.tell()

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"etcd_network_{name}", labels)

    async def until_active(self, member_id: int = 2) -> None:
        await turns_until(lambda: self.transport.active_since(member_id) is not None)


@asynccontextmanager
async def sending(
    *ports: int, identity: PeerIdentity | None = None, channel: ChannelOptions = QUICK
) -> AsyncIterator[FakeSender]:
    """A sender whose peers 2, 3, ... listen on `ports`."""
    sender = FakeSender(identity, channel)
    for member_id, port in enumerate(ports, 2):
        sender.transport.add_peer(member_id, [f"http://127.0.0.1:{port}"])
    try:
        yield sender
    finally:
        async with asyncio.timeout(DEADLINE):
            await sender.transport.close()


@asynccontextmanager
async def raw_server(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]],  # Any: as asyncio has it
) -> AsyncIterator[int]:
    """A port behind which `serve` does what no member would; its connections end with it."""
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(lambda _: writer.close())

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
