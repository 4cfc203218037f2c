"""One WebSocket on a connection that began with HTTP/1.1: the server's side of ASGI over the frames of `websockets`."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.types import ASGIApp, Message, Scope
from uvicorn.protocols.http.flow_control import FlowControl
from websockets.datastructures import Headers
from websockets.exceptions import ProtocolError
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import Event, Protocol, Side, State
from websockets.server import ServerProtocol

from gateway.wire import STOPPED

_LOG = logging.getLogger(__name__)

_MAX_QUEUED = 64 * 1024  # bytes of messages that the application has not taken
_MESSAGE_COST = 256  # bytes of one without its text

RawHeaders = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class WebSocketOptions:
    """Bounds of WebSockets."""

    max_message_bytes: int = 8 * 1024 * 1024
    """Of a client's message, all its fragments together."""
    ping_seconds: float = 30.0
    """Between two pings."""
    silent_pings: int = 4
    """Pings in a row to which nothing at all is heard, until the client counts as gone."""
    close_seconds: float = 2.0
    """How long a client may take to answer a close frame, or to read what was written before it."""


def is_handshake(scope: Scope) -> bool:
    """Whether a request wants to become a WebSocket on a path that may."""
    if scope["method"] != "GET" or scope["http_version"] != "1.1":
        return False
    if not scope["raw_path"].startswith((b"/v3/", b"/v3beta/")):
        return False
    return any(name == b"upgrade" and value.strip().lower() == b"websocket" for name, value in scope["headers"])


class WebSocket:
    """A connection after its handshake was asked for."""

    def __init__(
        self,
        transport: asyncio.Transport,
        flow: FlowControl,
        scope: Scope,
        options: WebSocketOptions,
        headers: Callable[[], Sequence[tuple[bytes, bytes]]],
    ) -> None:
        """`scope` is that of the request; `headers` are those of every answer."""
        self._transport = transport
        self._flow = flow
        self._options = options
        self._headers = headers
        self._loop = asyncio.get_running_loop()
        request = Request(_target(scope), Headers(_decoded(scope["headers"])))
        self._handshake = ServerProtocol().accept(request)
        self._scope = _websocket_scope(scope)
        self._frames = Protocol(side=Side.SERVER, state=State.OPEN, max_size=options.max_message_bytes)
        self._is_accepted = self._is_over = False
        self._refusal: HTTPStatus | None = None
        self._messages: deque[Message] = deque(({"type": "websocket.connect"},))
        self._queued = 0
        self._arrival: asyncio.Future[None] | None = None
        self._parts: list[bytes] = []
        self._is_text = True
        self._unheard = 0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    async def run(self, app: ASGIApp) -> None:
        """Serves the connection to the application's end."""
        if self._handshake.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            self._write_answer(HTTPStatus(self._handshake.status_code), _encoded(self._handshake.headers))
            self._transport.write(self._handshake.body or b"")
            self._end()
            return
        self._task = asyncio.current_task()
        try:
            await app(self._scope, self._receive, self._send)
        except asyncio.CancelledError:
            if not self._is_over:
                raise
        except Exception as error:  # noqa: BLE001 - told as far as it may hold nobody's data
            _LOG.error("a WebSocket failed with %s", type(error).__name__)
            self._close(CloseCode.INTERNAL_ERROR)
        self._close(CloseCode.NORMAL_CLOSURE)

    # What the connection calls

    def data_received(self, data: bytes) -> None:
        """Takes in frames; those that come before the handshake is answered are kept by the parser."""
        self._unheard = 0
        self._frames.receive_data(data)
        events = self._frames.events_received()
        self._flush()
        for event in events:
            self._take(event)
        if self._frames.parser_exc is not None:
            self._client_gone()

    def lost(self) -> None:
        """Forgets a connection that is gone."""
        self._is_over = True
        self._stop_timer()
        if self._task is not None:
            self._task.cancel()

    def stop(self) -> None:
        """Ends the connection because the server stops."""
        self._close(CloseCode.GOING_AWAY)
        if self._task is not None:
            self._task.cancel(STOPPED)

    # Frames in

    def _take(self, event: Event) -> None:
        if not isinstance(event, Frame):
            return
        if event.opcode is Opcode.CLOSE:
            self._client_gone()
            return
        if event.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT) or self._is_over:
            return
        if event.opcode is not Opcode.CONT:
            self._is_text = event.opcode is Opcode.TEXT
        self._parts.append(bytes(event.data))
        if event.fin:
            data = b"".join(self._parts)
            self._parts.clear()
            self._queue(data)

    def _queue(self, data: bytes) -> None:
        message: Message = {"type": "websocket.receive", "bytes": data}
        if self._is_text:
            try:
                message = {"type": "websocket.receive", "text": data.decode()}
            except UnicodeDecodeError:
                self._frames.fail(CloseCode.INVALID_DATA)
                self._flush()
                self._client_gone()
                return
        self._put(message)
        self._queued += len(data) + _MESSAGE_COST
        if self._queued > _MAX_QUEUED:
            self._flow.pause_reading()

    def _put(self, message: Message) -> None:
        self._messages.append(message)
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    def _client_gone(self) -> None:
        """The client has said goodbye, or nonsense."""
        if self._is_over:
            self._transport.close()
            return
        goodbye = self._frames.close_rcvd
        code = CloseCode.ABNORMAL_CLOSURE if goodbye is None else goodbye.code
        self._put({"type": "websocket.disconnect", "code": code})
        self._end()

    # What the application calls

    async def _receive(self) -> Message:
        while not self._messages:
            self._flow.resume_reading()
            self._arrival = self._loop.create_future()
            await self._arrival
        message = self._messages.popleft()
        if message["type"] == "websocket.receive":
            self._queued -= len(message.get("text") or message.get("bytes") or b"") + _MESSAGE_COST
        if not self._messages:
            self._queued = 0  # what was counted in bytes and taken in characters
            self._flow.resume_reading()
        return message

    async def _send(self, message: Message) -> None:
        if self._flow.write_paused and not self._is_over:
            await self._flow.drain()
        if self._is_over:
            return
        match message["type"]:
            case "websocket.send":
                text = message.get("text")
                if text is None:
                    self._frames.send_binary(message["bytes"])
                else:
                    self._frames.send_text(text.encode())
                self._flush()
            case "websocket.accept":
                self._accept(message)
            case "websocket.close":
                self._close(message.get("code", CloseCode.NORMAL_CLOSURE))
            case "websocket.http.response.start":
                self._write_answer(HTTPStatus(message["status"]), list(message["headers"]))
            case "websocket.http.response.body":
                self._transport.write(message["body"])
                self._end()

    def _accept(self, message: Message) -> None:
        self._is_accepted = True
        headers = [(name, value) for name, value in _encoded(self._handshake.headers) if name != b"date"]
        if message.get("subprotocol"):
            headers.append((b"sec-websocket-protocol", message["subprotocol"].encode()))
        self._write_answer(HTTPStatus.SWITCHING_PROTOCOLS, headers + list(message.get("headers", ())))
        self._flush()
        self._start_timer()

    # Out, and the end

    def _write_answer(self, status: HTTPStatus, headers: RawHeaders) -> None:
        if status is not HTTPStatus.SWITCHING_PROTOCOLS and not any(name == b"connection" for name, _ in headers):
            headers = [*headers, (b"connection", b"close")]
        lines = b"".join(b"%b: %b\r\n" % header for header in (*self._headers(), *headers))
        self._transport.write(b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, status.phrase.encode(), lines))

    def _flush(self) -> None:
        if self._is_accepted:
            self._transport.write(b"".join(self._frames.data_to_send()))

    def _close(self, code: int) -> None:
        """Says goodbye and waits a while for the client to say it too."""
        if self._is_over:
            return
        if not self._is_accepted:
            self._write_answer(HTTPStatus.FORBIDDEN, [(b"content-length", b"0")])
        elif self._frames.state is State.OPEN:
            try:
                self._frames.send_close(code)
            except ProtocolError:  # a code that none may send
                self._frames.send_close(CloseCode.INTERNAL_ERROR)
            self._flush()
            self._is_over = True
            self._stop_timer()
            self._flow.resume_reading()
            self._timer = self._loop.call_later(self._options.close_seconds, self._transport.abort)
            return
        self._end()

    def _end(self) -> None:
        """Closes the connection as soon as the rest is written."""
        self._is_over = True
        self._stop_timer()
        self._transport.close()
        self._timer = self._loop.call_later(self._options.close_seconds, self._transport.abort)

    def _start_timer(self) -> None:
        self._timer = self._loop.call_later(self._options.ping_seconds, self._ping)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ping(self) -> None:
        """A client that is there answers by itself; whatever it sends will do."""
        if self._unheard >= self._options.silent_pings:
            self._transport.abort()
            return
        self._unheard += 1
        self._frames.send_ping(b"")
        self._flush()
        self._start_timer()


def _target(scope: Scope) -> str:
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    return str((scope["raw_path"] + query).decode("latin-1"))


def _decoded(headers: RawHeaders) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


def _encoded(headers: Headers) -> RawHeaders:
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.raw_items()]


def _websocket_scope(scope: Scope) -> dict[str, Any]:  # Any: as in Starlette's type of a scope
    offered = [value for name, value in scope["headers"] if name == b"sec-websocket-protocol"]
    return {
        **scope,
        "type": "websocket",
        "scheme": "wss" if scope["scheme"] == "https" else "ws",
        "subprotocols": [part.strip() for value in offered for part in value.decode("latin-1").split(",")],
        "extensions": {"websocket.http.response": {}},
    }
