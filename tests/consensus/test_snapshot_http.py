import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.types import ASGIApp

from consensus.peer import build_peer_app
from consensus.peer_codec import FrameKind, encode, encode_control
from consensus.peer_http import PeerUnreachable
from consensus.peer_identity import SNAPSHOT_PATH, PeerIdentity, Refused
from consensus.peer_receiver import Admitted
from consensus.raft.types import ConfState, Message, MessageType, SnapshotMeta
from consensus.snapshot_http import SnapshotApp, post_snapshot
from tests.fakes.loopback import DEADLINE, connected, free_socket, listening
from tests.fakes.peers import CLUSTER, raw_server, sending

pytestmark = pytest.mark.anyio

OWN, PEER = PeerIdentity(CLUSTER, 1), PeerIdentity(CLUSTER, 2)
SNAP = Message(type=MessageType.SNAP, to=2, sender=1, term=3, snapshot=SnapshotMeta(7, 3, ConfState((1, 2), (3,))))


class Inbox:
    """Keeps the stores that come."""

    def __init__(self) -> None:
        self.received: list[tuple[Message, bytes]] = []
        self.error: Exception | None = None
        self.reads = True
        self.began, self.broken = asyncio.Event(), asyncio.Event()

    async def take(self, message: Message, store: AsyncIterator[bytes]) -> None:
        if self.error is not None and not self.reads:
            raise self.error
        content = b""
        self.began.set()
        try:
            async for piece in store:
                content += piece
        except (PeerUnreachable, asyncio.CancelledError):  # by the server
            self.broken.set()
            raise
        if self.error is not None:
            raise self.error
        self.received.append((message, content))


@asynccontextmanager
async def serving(inbox: Inbox, identity: PeerIdentity = PEER) -> AsyncIterator[int]:
    raft: dict[str, ASGIApp] = {SNAPSHOT_PATH: Admitted(identity, SnapshotApp(identity, inbox.take))}
    async with listening(build_peer_app(CLUSTER, list, dict, raft)) as (_, port):
        yield port


async def pieces(count: int, size: int = 100_000) -> AsyncIterator[bytes]:
    for number in range(count):
        yield bytes([number % 256]) * size


async def post(port: int, message: Message = SNAP, count: int = 30, identity: PeerIdentity = OWN) -> None:
    async with asyncio.timeout(DEADLINE):
        await post_snapshot(f"http://127.0.0.1:{port}", identity, message, pieces(count))


@pytest.mark.parametrize("count", [0, 1, 50])
async def test_a_store_goes_over(count: int) -> None:
    inbox = Inbox()
    async with serving(inbox) as port:
        await post(port, count=count)
    assert inbox.received == [(SNAP, b"".join([piece async for piece in pieces(count)]))]


async def test_the_transport_sends_stores_to_its_peers() -> None:
    inbox = Inbox()
    async with serving(inbox) as port, sending(port) as sender:
        await sender.transport.send_snapshot(SNAP, pieces(3))
        with pytest.raises(PeerUnreachable, match="no member 9"):
            await sender.transport.send_snapshot(Message(type=MessageType.SNAP, to=9, sender=1, term=1), pieces(1))
    assert len(inbox.received) == 1


@pytest.mark.parametrize("reads", [True, False])
async def test_a_refusal_comes_back_with_its_text(*, reads: bool) -> None:
    inbox = Inbox()
    inbox.error, inbox.reads = Refused(409, "another snapshot is being received"), reads
    async with serving(inbox) as port:
        with pytest.raises(Refused, match="another snapshot is being received") as caught:
            await post(port, count=200)
    assert caught.value.status == 409


async def test_strangers_and_wrong_addressees_are_refused() -> None:
    inbox = Inbox()
    async with serving(inbox) as port:
        with pytest.raises(Refused, match="cluster ID mismatch"):
            await post(port, identity=PeerIdentity(0xBAD, 1))
        with pytest.raises(Refused, match="to field mismatch"):
            await post(port, Message(type=MessageType.SNAP, to=3, sender=1, term=3))
    assert inbox.received == []


async def test_a_sender_that_breaks_off_is_told_to_who_reads() -> None:
    inbox = Inbox()

    async def broken() -> AsyncIterator[bytes]:
        yield bytes(1000)
        async with asyncio.timeout(DEADLINE):
            await inbox.began.wait()
        raise PeerUnreachable("this member's term is over")

    async with serving(inbox) as port:
        with pytest.raises(PeerUnreachable, match="term is over"):
            await post_snapshot(f"http://127.0.0.1:{port}", OWN, SNAP, broken())
        async with asyncio.timeout(DEADLINE):
            await inbox.broken.wait()
    assert inbox.received == []


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", b"a store must come behind its message"),
        (b"abc", b"a store must come behind its message"),
        (bytes(encode([SNAP]))[:20], b"a store must come behind its message"),
        (encode_control(FrameKind.PING), b"a store must come behind its message"),
        (b"\xff\xff\xff\xff\x01", b"a message of"),
        (b"\0\0\0\x05\x01abcd", b"unreadable message"),
    ],
)
async def test_what_is_no_message_is_refused(body: bytes, text: bytes) -> None:
    inbox = Inbox()
    async with serving(inbox) as port, connected(port) as client:
        headers = "".join(f"{name}: {value}\r\n" for name, value in OWN.request_headers(2).items())
        head = f"POST {SNAPSHOT_PATH} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {len(body)}\r\n\r\n"
        await client.send(head.encode() + body)
        answer = await client.answer()
    assert answer.status == 400
    assert text in answer.body


async def test_nobody_there() -> None:
    with free_socket() as sock:
        port = sock.getsockname()[1]
    with pytest.raises(PeerUnreachable):
        await post(port)
    with pytest.raises(PeerUnreachable):
        await post_snapshot("nonsense", OWN, SNAP, pieces(1), ssl.create_default_context())


async def test_a_peer_that_answers_nonsense() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"nonsense\r\n\r\n")

    async with raw_server(serve) as port:
        with pytest.raises(PeerUnreachable):
            await post(port)
