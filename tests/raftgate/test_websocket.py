import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket as AsgiSocket
from starlette.websockets import WebSocketDisconnect
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from raftgate.connection import ConnectionOptions
from raftgate.listener import Listener
from raftgate.websocket import WebSocketOptions, is_handshake
from tests.fakes.loopback import DEADLINE, Client, connected, listening

HANDSHAKE = (
    b"GET /v3/watch?x=1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Echo:
    """An application that gives back what it gets."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.gate: asyncio.Event | None = None
        self.received = 0
        self.ended = asyncio.Event()
        self.code = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})
            return
        socket = AsgiSocket(scope, receive, send)
        await socket.accept()
        try:
            while True:
                if self.gate is not None:
                    await self.gate.wait()
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    raise WebSocketDisconnect(message["code"])
                self.received += 1
                if message.get("text") == "fault":
                    raise KeyError("secret")
                if message.get("text") == "bye":
                    return
                if message.get("text") is not None:
                    await socket.send_text(message["text"])
                else:
                    await socket.send_bytes(message["bytes"])
        except WebSocketDisconnect as end:
            self.code = end.code
        finally:
            self.ended.set()


class Peer(Client):
    """A client that speaks in frames."""

    def __init__(self, client: Client) -> None:
        super().__init__(client.reader, client.writer)
        self.frames = ClientProtocol(parse_uri("ws://x/"))
        self._events: list[Frame] = []

    async def open(self) -> bytes:
        await self.send(HANDSHAKE)
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), DEADLINE)
        self.frames = ClientProtocol(parse_uri("ws://x/"), state=State.OPEN)
        return head

    async def push(self) -> None:
        await self.send(b"".join(self.frames.data_to_send()))

    async def frame(self) -> Frame:
        while not self._events:
            data = await asyncio.wait_for(self.reader.read(65536), DEADLINE)
            assert data, "the server has closed"
            self.frames.receive_data(data)
            self._events += [event for event in self.frames.events_received() if isinstance(event, Frame)]
        return self._events.pop(0)

    async def closing(self) -> int:
        frame = await self.frame()
        assert frame.opcode is Opcode.CLOSE
        return int.from_bytes(frame.data[:2], "big")


class Server:
    def __init__(self, app: Echo, listener: Listener, port: int) -> None:
        self.app = app
        self.listener = listener
        self.port = port

    @asynccontextmanager
    async def peer(self) -> AsyncIterator[Peer]:
        async with connected(self.port) as client:
            yield Peer(client)


@asynccontextmanager
async def serving(
    options: WebSocketOptions | None = WebSocketOptions(close_seconds=0.3),  # noqa: B008 - frozen
) -> AsyncIterator[Server]:
    app = Echo()
    async with listening(app, ConnectionOptions(linger_seconds=0.3, websocket=options)) as (listener, port):
        yield Server(app, listener, port)


@pytest.mark.anyio
async def test_the_handshake() -> None:
    async with serving() as server, server.peer() as peer:
        head = await peer.open()
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head  # RFC 6455 1.3
        assert head.count(b"date: ") == 1
        (scope,) = server.app.scopes
        assert (scope["type"], scope["scheme"], scope["path"]) == ("websocket", "ws", "/v3/watch")
        assert scope["query_string"] == b"x=1"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"", b"400"),
        (b"Version: 13", b"Version: 8", b"400"),
        (b"HTTP/1.1", b"HTTP/1.0", b"200"),
        (b"GET", b"POST", b"200"),
        (b"/v3/watch", b"/health", b"200"),
        (b"Upgrade: websocket", b"Upgrade: h2c", b"200"),
    ],
)
async def test_what_is_no_handshake(old: bytes, new: bytes, status: bytes) -> None:
    async with serving() as server, server.peer() as peer:
        await peer.send(HANDSHAKE.replace(old, new))
        head = await asyncio.wait_for(peer.reader.readuntil(b"\r\n\r\n"), DEADLINE)
        assert head.startswith(b"HTTP/1.1 " + status), head


@pytest.mark.anyio
async def test_a_listener_may_take_none() -> None:
    async with serving(None) as server, server.peer() as peer:
        await peer.send(HANDSHAKE)
        assert (await peer.answer()).status == 200
        assert server.app.scopes[0]["type"] == "http"


@pytest.mark.anyio
async def test_a_handshake_behind_an_unanswered_request_is_not_taken() -> None:
    async with serving() as server, server.peer() as peer:
        await peer.send(b"GET /v3/x HTTP/1.1\r\nHost: x\r\n\r\n" + HANDSHAKE)
        assert [(await peer.answer()).status for _ in range(2)] == [200, 200]
        assert [scope["type"] for scope in server.app.scopes] == ["http", "http"]


@pytest.mark.anyio
async def test_a_handshake_after_an_answered_request() -> None:
    async with serving() as server, server.peer() as peer:
        await peer.send(b"GET /v3/x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await peer.answer()).status == 200
        assert b" 101 " in await peer.open()


@pytest.mark.anyio
async def test_messages_of_both_kinds_and_in_fragments() -> None:
    async with serving() as server, server.peer() as peer:
        await peer.open()
        peer.frames.send_text("ü".encode())
        peer.frames.send_binary(b"\xff")
        peer.frames.send_text("ü".encode()[:1], fin=False)
        peer.frames.send_ping(b"between")
        peer.frames.send_continuation("ü".encode()[1:], fin=True)
        data = b"".join(peer.frames.data_to_send())
        for index in range(len(data)):
            await peer.send(data[index : index + 1])
        frames = [await peer.frame() for _ in range(4)]
        pongs = [frame for frame in frames if frame.opcode is Opcode.PONG]
        assert [bytes(frame.data) for frame in pongs] == [b"between"]
        rest = [(frame.opcode, bytes(frame.data)) for frame in frames if frame.opcode is not Opcode.PONG]
        text = (Opcode.TEXT, "ü".encode())
        assert rest == [text, (Opcode.BINARY, b"\xff"), text]
        del server


@pytest.mark.anyio
async def test_frames_that_come_with_the_handshake() -> None:
    async with serving() as server, server.peer() as peer:
        early = ClientProtocol(parse_uri("ws://x/"), state=State.OPEN)
        early.send_text(b"early" * 10_000)
        await peer.send(HANDSHAKE + b"".join(early.data_to_send()))
        await asyncio.wait_for(peer.reader.readuntil(b"\r\n\r\n"), DEADLINE)
        peer.frames = ClientProtocol(parse_uri("ws://x/"), state=State.OPEN)
        assert bytes((await peer.frame()).data) == b"early" * 10_000
        del server


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"\x81\x82\0\0\0\0\xc3\x28", 1007),  # no UTF-8
        (b"\x81\x01a", 1002),  # not masked
        (b"\x83\x80\0\0\0\0", 1002),  # an opcode that is none
        (b"\x81\xff" + (2000).to_bytes(8, "big") + b"\0\0\0\0", 1009),
        (b"\x01\xfe\x03\xe8\0\0\0\0" + b"x" * 1000 + b"\x80\xfe\x03\xe8\0\0\0\0" + b"x" * 1000, 1009),
    ],
    ids=["utf8", "mask", "opcode", "size", "size of fragments"],
)
async def test_nonsense_is_answered_with_its_code(raw: bytes, code: int) -> None:
    async with serving(WebSocketOptions(max_message_bytes=1500, close_seconds=0.3)) as server, server.peer() as peer:
        await peer.open()
        await peer.send(raw)
        assert await peer.closing() == code
        assert await peer.rest() == b""
        await asyncio.wait_for(server.app.ended.wait(), DEADLINE)


@pytest.mark.anyio
async def test_a_goodbye_is_answered() -> None:
    async with serving() as server, server.peer() as peer:
        await peer.open()
        peer.frames.send_close(1000)
        await peer.push()
        assert await peer.closing() == 1000
        assert await peer.rest() == b""
        await asyncio.wait_for(server.app.ended.wait(), DEADLINE)
        assert server.app.code == 1000


@pytest.mark.anyio
async def test_the_application_may_end_it_and_a_client_that_says_nothing_is_cut() -> None:
    async with serving() as server, server.peer() as peer:
        await peer.open()
        peer.frames.send_text(b"bye")
        await peer.push()
        assert await peer.closing() == 1000
        assert await peer.rest() in (b"", b"reset")
        del server


@pytest.mark.anyio
async def test_a_fault_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as server, server.peer() as peer:
        await peer.open()
        peer.frames.send_text(b"fault")
        await peer.push()
        assert await peer.closing() == 1011
        del server
    assert "KeyError" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.anyio
async def test_a_client_that_goes_ends_its_application() -> None:
    async with serving() as server:
        async with server.peer() as peer:
            await peer.open()
        await asyncio.wait_for(server.app.ended.wait(), DEADLINE)


@pytest.mark.anyio
async def test_a_client_is_pinged_and_cut_when_it_is_silent() -> None:
    options = WebSocketOptions(ping_seconds=0.02, silent_pings=3, close_seconds=0.3)
    async with serving(options) as server, server.peer() as peer:
        await peer.open()
        for _ in range(5):  # the double answers each by itself
            assert (await peer.frame()).opcode is Opcode.PING
            await peer.push()
        rest = await peer.rest()  # from here on it does not
        assert len(rest.removesuffix(b"reset")) <= 3 * 2
        await asyncio.wait_for(server.app.ended.wait(), DEADLINE)


@pytest.mark.anyio
async def test_an_application_that_does_not_read_holds_its_client_back() -> None:
    async with serving() as server, server.peer() as peer:
        server.app.gate = asyncio.Event()
        await peer.open()
        for _ in range(200):
            peer.frames.send_binary(b"x" * 100_000)
        sending = asyncio.create_task(peer.push())
        (connection,) = server.listener._state.connections
        async with asyncio.timeout(DEADLINE):
            while not connection.flow.read_paused:  # type: ignore[union-attr]  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0)
        assert connection._websocket._queued < 2_000_000  # type: ignore[union-attr]  # likewise
        server.app.gate.set()
        for _ in range(200):
            assert len((await peer.frame()).data) == 100_000
        await sending


@pytest.mark.anyio
async def test_a_stop_says_goodbye_and_waits_not_long() -> None:
    async with serving() as server, server.peer() as peer:
        await peer.open()
        stopping = asyncio.create_task(server.listener.stop(30.0))
        assert await peer.closing() == 1001
        await asyncio.wait_for(stopping, 5.0)
        assert server.app.ended.is_set()


def test_which_requests_are_handshakes() -> None:
    scope = {"method": "GET", "http_version": "1.1", "raw_path": b"/v3/watch", "headers": [(b"upgrade", b"WebSocket")]}
    assert is_handshake(scope)
    assert is_handshake({**scope, "raw_path": b"/v3beta/watch"})
    assert not is_handshake({**scope, "method": "POST"})
    assert not is_handshake({**scope, "headers": []})
    assert not is_handshake({**scope, "http_version": "1.0"})
    assert not is_handshake({**scope, "raw_path": b"/metrics"})
