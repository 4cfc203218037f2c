"""The receiving side of messages between members: an ASGI application for the long requests of other members.

The answer begins once the sender's identity is checked, and carries pongs; it ends with a refusal when the sender is
not understood. It runs under any ASGI server that gives a body as it comes.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from consensus.peer_codec import MAX_FRAME_BYTES, Control, FrameInvalid, FrameKind, FrameReader, encode_control
from consensus.peer_identity import CHANNEL, PEER_URLS, SERVER_FROM, PeerIdentity, Refused
from consensus.peer_metrics import PeerMetrics
from consensus.raft.types import Message

log = logging.getLogger(__name__)

HOLD_KEY = "raftgate.hold"
"""In the scope, by a listener that can: a function that asks it to cut this request when it stops."""

MAX_CALL_BYTES = 16 << 20

_SIGN = encode_control(FrameKind.PONG)


@dataclass(frozen=True, slots=True)
class ReceiverOptions:
    """Bounds of what is received; times are seconds."""

    max_frame_bytes: int = MAX_FRAME_BYTES
    """Must hold the largest append: 1 MiB of entries, or one entry of the largest request."""
    sign_seconds: float = 0.5
    """Between two signs of life to a peer that sends without a pause."""
    silent_seconds: float = 10.0
    """A peer that sends nothing for so long, not even a ping, is gone."""


SENDER_KEY = "raftgate.sender"
"""In the scope of what `Admitted` lets through: the id of the member that asks."""


async def refuse(send: Send, identity: PeerIdentity, refused: Refused) -> None:
    """Answers a request that must not be taken."""
    text = refused.text.encode() + b"\n"
    headers = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(text))}
    await _start(send, identity, refused.status, headers)
    await send({"type": "http.response.body", "body": text})


class Admitted:
    """Lets only members of this cluster ask an application, by POST."""

    def __init__(self, identity: PeerIdentity, app: ASGIApp) -> None:
        self._identity = identity
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Checks who asks; the body is not read before."""
        headers = Headers(scope=scope)
        try:
            if scope["method"] != "POST":
                raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "Method Not Allowed")
            scope[SENDER_KEY] = self._identity.admit(headers)
        except Refused as refused:
            fields = {"remote-peer-id": headers.get(SERVER_FROM, ""), "path": scope["path"], "error": refused.text}
            log.warning("refused a request on the peer port", extra={"fields": fields})
            await refuse(send, self._identity, refused)
        else:
            await self._app(scope, receive, send)


class CallReceiver:
    """Answers short requests of other members; to be wrapped in `Admitted`."""

    def __init__(
        self, identity: PeerIdentity, on_call: Callable[[bytes], Awaitable[bytes]], max_bytes: int = MAX_CALL_BYTES
    ) -> None:
        self._identity = identity
        self._on_call = on_call
        self._max_bytes = max_bytes

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        body = bytearray()
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                return
            body += event.get("body", b"")
            if len(body) > self._max_bytes:
                await refuse(send, self._identity, Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "request too large"))
                return
            if not event.get("more_body", False):
                break
        answer = await self._on_call(bytes(body))
        headers = [(name.encode(), value.encode()) for name, value in self._identity.answer_headers().items()]
        headers.append((b"content-length", b"%d" % len(answer)))
        await send({"type": "http.response.start", "status": HTTPStatus.OK, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


class MessageReceiver:
    """Takes the messages of all peers; to be wrapped in `Admitted`.

    Each sender has one request a lane: a newer one ends the older, whose sender has given it up or is another process.
    """

    def __init__(
        self,
        identity: PeerIdentity,
        on_message: Callable[[Message], None],
        metrics: PeerMetrics,
        options: ReceiverOptions | None = None,
    ) -> None:
        """`on_message` is called from the event loop, in the order of each lane; what it raises ends the stream."""
        self.identity = identity
        self.on_message = on_message
        self.on_sender: Callable[[int, list[str]], None] = _met
        """Called with a sender's id and its peer URLs when it begins to send."""
        self.options = options or ReceiverOptions()
        self._metrics = metrics
        self._running: dict[tuple[int, str], asyncio.Task[None]] = {}

    def drop(self, member_id: int) -> None:
        """Ends what a removed member is sending; it is told why when it asks again."""
        for (sender, _), task in list(self._running.items()):
            if sender == member_id:
                task.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one long request."""
        sender: int = scope[SENDER_KEY]
        self.on_sender(sender, [url for url in Headers(scope=scope).get(PEER_URLS, "").split(",") if url])
        scope.get(HOLD_KEY, _nothing)()
        await _start(send, self.identity, HTTPStatus.OK, {})
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        incoming = _Incoming(self, sender, self._metrics, receive, send)
        task = asyncio.create_task(incoming.run(), name=f"messages of {sender:x}")
        key = sender, Headers(scope=scope).get(CHANNEL, "")
        if key in self._running:
            self._running[key].cancel()
        self._running[key] = task
        try:
            await asyncio.wait((task,))
        finally:
            task.cancel()
            if self._running.get(key) is task:
                del self._running[key]
        if not task.cancelled():
            task.result()
        await send({"type": "http.response.body", "body": b""})


class _Incoming:
    """One long request while it is read."""

    def __init__(
        self, receiver: MessageReceiver, sender: int, metrics: PeerMetrics, receive: Receive, send: Send
    ) -> None:
        self._to = receiver.identity.member_id
        self._on_message = receiver.on_message
        self._options = receiver.options
        self._sender = sender
        self._received_bytes = metrics.received_bytes.labels(f"{sender:x}")
        self._failures = metrics.received_failures
        self._receive = receive
        self._send = send
        self._is_heard = True
        self._watching: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Reads until the sender ends, is not understood, or gives no sign of life."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        self._watch(loop, task)
        try:
            await self._read(loop)
        except FrameInvalid as error:
            self._failures.labels(f"{self._sender:x}").inc()
            fields = {"remote-peer-id": f"{self._sender:x}", "error": f"{error}"}
            log.warning("failed to read messages of a peer", extra={"fields": fields})
            await self._answer(encode_control(FrameKind.REFUSAL, f"{error}".encode()))
        finally:
            if self._watching is not None:
                self._watching.cancel()

    def _watch(self, loop: asyncio.AbstractEventLoop, task: "asyncio.Task[None]") -> None:
        """Ends the reading when nothing has come since the last look."""
        if not self._is_heard:
            task.cancel()
        self._is_heard = False
        self._watching = loop.call_later(self._options.silent_seconds, self._watch, loop, task)

    async def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        receive, reader = self._receive, FrameReader(self._options.max_frame_bytes)
        signed = loop.time()
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                return
            body: bytes = event.get("body", b"")
            self._is_heard = True
            self._received_bytes.inc(len(body))
            pongs = b"".join(self._take(frame) for frame in reader.feed(body))
            if not event.get("more_body", False):
                return
            now = loop.time()
            if pongs or now - signed >= self._options.sign_seconds:
                signed = now
                await self._answer(pongs or _SIGN)

    def _take(self, frame: Message | Control) -> bytes:
        """Hands a message on, and answers what is to be answered.

        Raises: FrameInvalid.
        """
        if isinstance(frame, Message):
            if frame.to != self._to:
                raise FrameInvalid(f"a message to {frame.to:x}, this is {self._to:x}")
            self._on_message(frame)
            return b""
        return encode_control(FrameKind.PONG, frame.payload) if frame.kind is FrameKind.PING else b""

    async def _answer(self, frames: bytes) -> None:
        await self._send({"type": "http.response.body", "body": frames, "more_body": True})


async def _start(send: Send, identity: PeerIdentity, status: int, headers: dict[str, str]) -> None:
    """Begins an answer behind which the connection ends: the rest of the request is not read."""
    lines = {**identity.answer_headers(), **headers, "connection": "close"}
    raw = [(name.encode(), value.encode()) for name, value in lines.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


def _met(_sender: int, _urls: list[str]) -> None:
    """For those who know all senders."""


def _nothing() -> None:
    """For servers that do not ask to be told."""
