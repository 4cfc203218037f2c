"""A request on a connection of its own, whose answer is read line by line while other requests go on.

Over HTTP the body may stay open; over a WebSocket each message of either side is a line.
"""

import contextlib
import http.client
import json
import queue
import socket
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.e2e.case import Reading, Step
from tests.e2e.client import Reply

# What a reader meets instead of a line: none in time, the answer's end, or a connection that breaks before it.
NOTHING = "<nothing>"
END = "<end>"
CUT = "<cut>"

CONNECTING = 10.0
WEBSOCKET = "WEBSOCKET"
NOT_BEGUN = Reply(0, {}, b"")


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Lines of an answer that goes on, or one of the three texts above as the last."""

    reply: Reply
    lines: Sequence[bytes | str]


@dataclass(slots=True)
class Stream:
    """An answer that a thread takes in as it comes."""

    connection: "HttpConnection | WebSocketConnection"
    _reply: Reply = NOT_BEGUN
    _lines: queue.Queue[bytes | str] = field(default_factory=queue.Queue)
    _last: str | None = None

    def run(self) -> None:
        """Take in the whole answer."""
        try:
            self._reply = self.connection.begin()
            for line in self.connection:
                self._lines.put(line)
            self._lines.put(END)
        except (OSError, ValueError, http.client.HTTPException):
            self._lines.put(CUT)

    def read(self, reading: Reading) -> Excerpt:
        """Wait for what is asked for, or for less at the answer's end or when the time is over."""
        deadline = time.monotonic() + reading.within
        lines: list[bytes | str] = []
        while not _is_enough(lines, reading):
            line = self._next(deadline)
            lines.append(line)
            if isinstance(line, str):
                break
        return Excerpt(self._reply, lines)

    def _next(self, deadline: float) -> bytes | str:
        if self._last is not None:
            return self._last
        try:
            line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            return NOTHING
        self._last = line if isinstance(line, str) else None
        return line


def _is_enough(lines: list[bytes | str], reading: Reading) -> bool:
    if reading.events is not None:
        return sum(events_of(line) for line in lines) >= reading.events
    return reading.lines is not None and len(lines) >= reading.lines


def events_of(line: bytes | str) -> int:
    """Count the events that a line tells."""
    result = json.loads(line).get("result", {}) if isinstance(line, bytes) else {}
    return len(result.get("events", []))


class HttpConnection:
    """A request over HTTP/1.1 whose body can be sent bit by bit."""

    def __init__(self, port: int, step: Step, body: bytes | None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=CONNECTING)
        self._connection.putrequest(step.method, step.path, skip_accept_encoding=True)
        for name, value in step.headers.items():
            self._connection.putheader(name, value)
        if step.unfinished:
            self._connection.putheader("Transfer-Encoding", "chunked")
            self._connection.endheaders()
        else:
            self._connection.putheader("Content-Length", str(len(body or b"")))
            self._connection.endheaders(body)
        assert isinstance(self._connection.sock, socket.socket)
        self._connection.sock.settimeout(None)
        self._socket = self._connection.sock.dup()  # the library closes its own when no other request may follow
        if step.unfinished:
            self.send(body or b"")

    def begin(self) -> Reply:
        self._response = self._connection.getresponse()
        return _reply(self._response.status, self._response.getheaders(), b"")

    def __iter__(self) -> "HttpConnection":
        return self

    def __next__(self) -> bytes:
        line = self._response.readline()
        if not line:
            raise StopIteration
        return line

    def send(self, body: bytes) -> None:
        if body:
            self._socket.sendall(b"%x\r\n%b\r\n" % (len(body), body))

    def end(self) -> None:
        self._socket.sendall(b"0\r\n\r\n")

    def close(self) -> None:
        _break(self._socket)


class WebSocketConnection:
    """A path over a WebSocket, a text message for each object."""

    def __init__(self, port: int, step: Step, body: bytes | None) -> None:
        headers = dict(step.headers)
        protocols = headers.pop("Sec-WebSocket-Protocol", "")
        self._websocket: ClientConnection | None = None
        self._refused: Reply | None = None
        try:
            self._websocket = connect(
                f"ws://127.0.0.1:{port}{step.path}",
                additional_headers=headers,
                subprotocols=[Subprotocol(name.strip()) for name in protocols.split(",") if name] or None,
                open_timeout=CONNECTING,
                close_timeout=CONNECTING,
                compression=None,
                proxy=None,
                max_size=None,
                legacy=True,  # closed by the step that says so
            )
        except InvalidStatus as error:
            self._refused = _reply(error.response.status_code, error.response.headers.raw_items(), error.response.body)
        else:
            self.send(body or b"")

    def begin(self) -> Reply:
        if self._refused is not None:
            return self._refused
        assert self._websocket is not None
        response = self._websocket.response
        assert response is not None
        return _reply(response.status_code, response.headers.raw_items(), b"")

    def __iter__(self) -> "WebSocketConnection":
        return self

    def __next__(self) -> bytes:
        if self._websocket is None:
            raise StopIteration
        try:
            message = self._websocket.recv()
        except ConnectionClosed:  # etcd never says goodbye
            raise StopIteration from None
        return message.encode() if isinstance(message, str) else repr(message).encode()

    def send(self, body: bytes) -> None:
        assert self._websocket is not None
        for line in body.splitlines():
            with contextlib.suppress(ConnectionClosed):  # the server was first
                self._websocket.send(line.decode())

    def end(self) -> None:
        self.close()

    def close(self) -> None:
        if self._websocket is not None:
            _break(self._websocket.socket)


def _break(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the server was first
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


def _reply(status: int, headers: Iterable[tuple[str, str]], body: bytes | bytearray | None) -> Reply:
    return Reply(status, {name.lower(): value for name, value in headers}, bytes(body or b""))


def open_stream(port: int, step: Step, body: bytes | None) -> Stream:
    """Send a request and take in its answer from now on."""
    make = WebSocketConnection if step.method == WEBSOCKET else HttpConnection
    stream = Stream(make(port, step, body))
    threading.Thread(target=stream.run, daemon=True).start()
    return stream
