"""One HTTP/1.1 connection: uvicorn's protocol with the bounds and the care that it lacks.

uvicorn bounds neither the head of a request nor what follows its body, answers a broken request in the middle of an
earlier one's answer, drops the body of a request that offers an upgrade, lets a client that went away hold its
handler, and closes idle connections, which etcd does not. What speaks HTTP/2 gets `http2_refusal`.
"""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import httptools
import uvicorn
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from gateway.limits import COMPLETE_KEY
from gateway.wire import HOLD_KEY, STOPPED, Cut
from raftgate.http2_refusal import PREFACE, Http2Refusal
from raftgate.websocket import WebSocket, WebSocketOptions, is_handshake

_SLICE = 16 * 1024
"""Bytes that the parser is fed at once, hence the grain of the bound on heads."""

_TELLING = 3  # bytes of the preface that no method of HTTP/1.1 begins with

_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """Bounds of connections, and what the listener's own refusals carry."""

    max_head_bytes: int = 64 * 1024
    """Of request line and headers, and of trailers and whatever else is no body."""
    head_seconds: float = 10.0
    """From a request's first byte to the end of its headers."""
    linger_seconds: float = 2.0
    """How long a refused client that is still sending may take to read its answer."""
    headers: Sequence[tuple[bytes, bytes]] = ()
    """Sent with own refusals: what lets a browser's page read them."""
    websocket: WebSocketOptions | None = None
    """None: an offered upgrade is not taken."""


class _LingeringTransport:
    """A transport whose `close` can leave a client the time to read its answer.

    Closing a socket that holds unread data resets the connection, and a reset discards what the client has not read.
    """

    def __init__(self, transport: asyncio.Transport, linger_seconds: float) -> None:
        self._transport = transport
        self._linger_seconds = linger_seconds
        self._abort: asyncio.TimerHandle | None = None
        self.before_close: Callable[[], bool] = bool
        """Told of the close; answers whether the client may still be sending."""
        self.get_extra_info = transport.get_extra_info
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading
        self.abort = transport.abort

    def write(self, data: bytes) -> None:
        """Writes, or drops what nobody will read: uvloop raises on a transport that a client has just reset."""
        if not self.is_closing():
            self._transport.write(data)

    def is_closing(self) -> bool:
        """Whether nothing more is to be written."""
        return self._abort is not None or self._transport.is_closing()

    def close(self) -> None:
        """Closes, at once or after a while."""
        if self.is_closing():
            return
        if not self.before_close():
            self._transport.close()
            return
        self._abort = asyncio.get_running_loop().call_later(self._linger_seconds, self._transport.abort)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._transport.resume_reading()

    def lost(self) -> None:
        """Forgets the timer of a connection that is gone."""
        if self._abort is not None:
            self._abort.cancel()


class _Refusal(Exception):
    """Raised within a parser's callback, with the status of the answer."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status)
        self.status = status


class _Unread(Exception):
    """Raised within a parser's callback: what comes is of no interest."""


class Connection(HttpToolsProtocol):
    """One client's connection."""

    def __init__(
        self, config: uvicorn.Config, state: ServerState, options: ConnectionOptions, lost: Callable[[], None]
    ) -> None:
        """`lost` is called when the connection is gone."""
        super().__init__(config, state, {}, asyncio.get_running_loop())
        self._options = options
        self._on_lost = lost
        self._receive: Callable[[bytes], None] = self._receive_first
        self._held = b""
        self._http2 = Http2Refusal()
        self._is_open = False
        """Whether a message has begun and not ended."""
        self._in_head = False
        self._unproductive = 0
        """Bytes since the message began, or since its headers or a piece of its body were complete."""
        self._head_timer: asyncio.TimerHandle | None = None
        self._is_refused = False
        self._replaying = False
        self._running: RequestResponseCycle | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_handshake = False
        self._is_cut_on_stop = False
        """Whether what is running would not come to an end while its client says nothing."""
        self._is_endless = False
        self._websocket: WebSocket | None = None

    # What asyncio calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's signature
        """Opens the connection."""
        self._lingering = _LingeringTransport(transport, self._options.linger_seconds)
        self._lingering.before_close = self._stop_reading
        super().connection_made(self._lingering)  # type: ignore[arg-type]  # all of a transport that uvicorn uses
        self._socket = transport.get_extra_info("socket")
        if self._socket.family in (socket.AF_INET, socket.AF_INET6):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the waiting of the request that is being answered; what it has proposed goes on."""
        super().connection_lost(exc)
        self._receive = self._discard
        self._stop_head_timer()
        self._lingering.lost()
        self.pipeline.clear()
        if self._running is not None:
            self._running.disconnected = True
        if self._websocket is not None:
            self._websocket.lost()
        elif self._task is not None:
            self._task.cancel()
        self._on_lost()

    def data_received(self, data: bytes) -> None:
        """Takes in what the client sent."""
        self._receive(data)

    def shutdown(self) -> None:
        """Closes the connection once nothing is being answered on it; streams are not waited for."""
        if self._websocket is not None:
            self._websocket.stop()
            return
        if self._is_cut_on_stop and (self._is_endless or self._is_open) and self._task is not None:
            self._task.cancel(STOPPED)
            self._cut()
            return
        super().shutdown()
        self._receive = self._receive if self._is_open and not self._in_head else self._discard

    # Ways to take in data

    def _receive_first(self, data: bytes) -> None:
        data = self._held + data
        if len(data) < _TELLING and PREFACE.startswith(data):
            self._held = data
            self._start_head_timer()
            return
        self._held = b""
        if data[:_TELLING] == PREFACE[:_TELLING]:
            self._receive = self._receive_http2
            self._start_head_timer()
        else:
            self._receive = self._receive_http1
            self._stop_head_timer()
        self._receive(data)

    def _receive_http1(self, data: bytes) -> None:
        if len(data) <= _SLICE:
            self._feed(data)
        else:
            view = memoryview(data)
            for start in range(0, len(data), _SLICE):
                if not self._feed(view[start : start + _SLICE]):
                    if self._websocket is not None:
                        self._websocket.data_received(bytes(view[start + _SLICE :]))
                    return
        if self._is_open:
            # More is to come: a client that sends head and body apart waits for our acknowledgement of the head.
            if _QUICKACK is not None and self._socket.family != socket.AF_UNIX and not self.transport.is_closing():
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
            if self._in_head:
                self._start_head_timer()

    def _receive_http2(self, data: bytes) -> None:
        answer = self._http2.receive(data)
        if answer:
            self._stop_head_timer()
            self.transport.write(answer)
        if self._http2.is_over:
            self._receive = self._discard
            self.transport.close()

    def _discard(self, data: bytes) -> None:
        pass

    def _feed(self, data: bytes | memoryview) -> bool:
        """Parses a piece; false when nothing more is to be parsed."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
            return self._become_websocket(bytes(rest)) if self._is_handshake else self._feed_after_upgrade(rest)
        except httptools.HttpParserError as error:
            cause = error.__context__
            if isinstance(cause, _Unread):
                self._receive = self._discard
                return False
            self._refuse(cause.status if isinstance(cause, _Refusal) else HTTPStatus.BAD_REQUEST)
            return False
        if self._is_open:
            self._unproductive += len(data)
            if self._unproductive > self._options.max_head_bytes:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                return False
        return True

    def _feed_after_upgrade(self, rest: bytes | memoryview) -> bool:
        """Goes on with a request that offered an upgrade which is not taken (RFC 9110 7.8).

        The parser believes that no body follows. A new one is told only how the body is framed.
        """
        framing = [
            b"%b: %b\r\n" % header for header in self.headers if header[0] in (b"content-length", b"transfer-encoding")
        ]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._replaying = True
        self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(framing))
        self._replaying = False
        return self._feed(rest)

    def _become_websocket(self, rest: bytes) -> bool:
        assert self._options.websocket is not None
        self._is_open = False
        transport: Any = self.transport  # Any: all of a transport that is needed
        app: Any = self.app  # Any: ASGI in the words of uvicorn, where Starlette's are expected
        websocket = WebSocket(transport, self.flow, dict(self.scope), self._options.websocket, self._common_headers)
        self._websocket = websocket
        self._receive = websocket.data_received
        self._task = self.loop.create_task(websocket.run(app))
        self._task.add_done_callback(self.tasks.discard)
        self.tasks.add(self._task)
        if rest:
            websocket.data_received(rest)
        return False

    # What the parser calls

    def on_message_begin(self) -> None:
        """A request's first byte has come."""
        if self._is_endless:
            raise _Unread
        if not self._replaying:
            super().on_message_begin()
            self._is_open = self._in_head = True
            self._unproductive = 0

    def on_url(self, url: bytes) -> None:
        """A piece of the request line's target."""
        if not self._replaying:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which is dropped: none means anything here, and none may pass for a header."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head of a request is complete."""
        if self._replaying:
            return
        if self.parser.get_http_version() not in ("1.1", "1.0"):
            raise _Refusal(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
        self._is_handshake = self.parser.should_upgrade() and self._wants_websocket()
        if not self._is_handshake:
            super().on_headers_complete()
        self._in_head = False
        self._unproductive = 0
        self._stop_head_timer()

    def _wants_websocket(self) -> bool:
        """Whether the request becomes a WebSocket: not one that others are before."""
        before: RequestResponseCycle | None = self.cycle
        if self._options.websocket is None or (before is not None and not before.response_complete):
            return False
        url = httptools.parse_url(self.url)
        self.scope["http_version"] = self.parser.get_http_version()
        self.scope["method"] = self.parser.get_method().decode("ascii")
        self.scope["raw_path"] = url.path
        self.scope["path"] = unquote(url.path.decode("ascii"))
        self.scope["query_string"] = url.query or b""
        return is_handshake(dict(self.scope))

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._unproductive = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is complete."""
        if self.parser.should_upgrade():
            return  # its body is still to come, see `_feed_after_upgrade`
        self._is_open = False
        self.scope[COMPLETE_KEY] = True  # type: ignore[literal-required]  # a key of our own
        super().on_message_complete()

    # Requests, one after the other

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        async def run(scope: Any, receive: Any, send: Any) -> None:  # Any: uvicorn's types of what Starlette types too
            try:
                await app(scope, receive, _unframed(cycle) if scope["http_version"] == "1.0" else send)
            except Cut:
                self._cut()
            except asyncio.CancelledError:
                if not cycle.disconnected:
                    raise

        cycle.scope[HOLD_KEY] = self._hold  # type: ignore[literal-required]  # a key of our own
        self._is_cut_on_stop = self._is_endless = False
        self._running = cycle
        self._task = self.loop.create_task(cycle.run_asgi(run))
        self._task.add_done_callback(self.tasks.discard)
        self.tasks.add(self._task)

    def _hold(self, *, endless: bool = False) -> None:
        """Called by a stream, see `HOLD_KEY`."""
        self._is_cut_on_stop = True
        if endless and self._running is not None:
            self._is_endless = True
            self._running.keep_alive = False
            if self.cycle is not self._running:  # another request has come behind: nobody will answer it
                self._receive = self._discard
                self._is_open = False
                self._stop_head_timer()
            self.pipeline.clear()
            self.flow.resume_reading()  # how else could the client's going be seen

    def _cut(self) -> None:
        """Ends the connection in the middle of an answer; what is written of it may still be read for a while."""
        assert self._running is not None
        self._running.disconnected = True
        self.transport.close()
        self.loop.call_later(self._options.linger_seconds, self.transport.abort)

    def on_response_complete(self) -> None:
        """Starts the next request of a pipeline; unlike uvicorn's, an idle connection stays open."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self._is_open and self.expect_100_continue and self.cycle is self._running:
            # Answered before it was told to go on, the client may send its body or not: nobody can tell what follows.
            self.transport.close()
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    # Refusals

    def _refuse(self, status: HTTPStatus) -> None:
        """Ends the connection because of the message that is being read; earlier ones are answered first."""
        self._receive = self._discard
        self._is_refused = True
        self._stop_head_timer()
        in_body = self._is_open and not self._in_head
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            if not in_body:  # of a body whose request is answered there is nothing more to say
                self._write_refusal(status)
            self.transport.close()
        elif not in_body:  # a new message behind others
            cycle.keep_alive = False
        elif self.pipeline:  # the body of a message behind others: forget that message
            self.pipeline.popleft()
            last = self.pipeline[0][0] if self.pipeline else self._running
            assert last is not None
            last.keep_alive = False
        else:
            assert self._task is not None
            cycle.disconnected = True
            self._task.cancel()
            if not cycle.response_started:
                self._write_refusal(status)
            self.transport.close()

    def _write_refusal(self, status: HTTPStatus) -> None:
        body = b"%d %b" % (status, status.phrase.encode())
        headers = [
            *self._common_headers(),
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(b"HTTP/1.1 %b\r\n%b\r\n%b" % (body, lines, body))

    def _common_headers(self) -> list[tuple[bytes, bytes]]:
        return [*self.server_state.default_headers, *self._options.headers]

    def _stop_reading(self) -> bool:
        """Answers whether the client may still be sending."""
        self._receive = self._discard
        return self._is_open or self._is_refused or self._websocket is not None

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._options.head_seconds, self._head_is_late)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._receive == self._receive_http1:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self._receive = self._discard
            self.transport.close()


def _unframed(cycle: RequestResponseCycle) -> Callable[[Any], Awaitable[None]]:  # Any: uvicorn's types, see above
    """The `send` of a client of HTTP/1.0, which knows no chunks: uvicorn would send them to it all the same.

    An answer without a length is ended by the end of the connection.
    """
    sized = True

    async def send(message: Any) -> None:
        nonlocal sized
        if message["type"] == "http.response.start":
            sized = any(name == b"content-length" for name, _ in message["headers"])
            if not sized:
                cycle.chunked_encoding = False
                cycle.expected_content_length = sys.maxsize
        elif not sized and not message.get("more_body", False):
            cycle.expected_content_length = len(message.get("body", b""))
        await cycle.send(message)

    return send
