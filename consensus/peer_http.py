"""A client of HTTP/1.1 as far as peers need it: own since a general one costs a hundred times more CPU a request.

`AnswerProtocol` reads answers off one connection; `Calls` makes rare requests with it, over connections that it keeps.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import httptools

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_ANSWER_BYTES: Final = 16 << 20
_MAX_CALLS: Final = 64
"""At once to one peer, over as many connections, which are kept; further ones wait."""


class PeerUnreachable(Exception):
    """A peer could not be asked, or went away; whether it has seen the request is not known."""


class Answer(NamedTuple):
    """A whole answer; headers by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Target(NamedTuple):
    """Where a URL leads."""

    host: str
    port: int
    authority: str
    is_tls: bool


def parse_url(url: str) -> Target:
    """The target of a peer's URL.

    Raises: ValueError.
    """
    parts = urlsplit(url)
    if parts.hostname is None or parts.scheme not in ("http", "https"):
        raise ValueError(f"not the URL of a peer: {url!r}")
    is_tls = parts.scheme == "https"
    return Target(parts.hostname, parts.port or (443 if is_tls else 80), parts.netloc.rpartition("@")[2], is_tls)


def request_head(method: str, path: str, target: Target, headers: Mapping[str, str], length: int | None) -> bytes:
    """The head of a request; without a `length` its body comes in chunks."""
    framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    lines = [f"{method} {path} HTTP/1.1", f"host: {target.authority}", framing]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


class AnswerProtocol(asyncio.Protocol):
    """Reads the answers that come on one connection; subclasses say what becomes of them."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._parser = httptools.HttpResponseParser(self)
        self._head_bytes = 0
        self._is_lost = True

    def abort(self) -> None:
        """Closes the connection at once, if there is one: asyncio's transports break when aborted after their end."""
        if not self._is_lost:
            self.transport.abort()

    def answer_began(self) -> None:
        """The head of an answer is complete: `status` and `headers`."""

    def answer_body(self, data: bytes) -> None:
        """A piece of the answer's body has come."""

    def answer_ended(self) -> None:
        """The answer is complete."""

    def is_gone(self, error: Exception | None) -> None:
        """The connection is gone."""

    # What asyncio calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # what TCP gives
        """Opens the connection."""
        self.transport = transport
        self._is_lost = False

    def data_received(self, data: bytes) -> None:
        """Takes in what the peer sent."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            cause = error.__context__  # what a callback has raised
            self.abort()
            self.is_gone(cause if isinstance(cause, Exception) else PeerUnreachable(f"unreadable answer: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells of the end."""
        self._is_lost = True
        self.is_gone(exc)

    # What the parser calls

    def on_message_begin(self) -> None:
        """An answer begins."""
        self.headers = {}
        self._head_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of the answer, or a trailer, which means nothing."""
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD_BYTES:
            raise PeerUnreachable("the head of the answer is too long")
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The head of the answer is complete."""
        self.status = self._parser.get_status_code()
        self.answer_began()

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self.answer_body(data)

    def on_message_complete(self) -> None:
        """The answer is complete."""
        self.answer_ended()


class _CallConnection(AnswerProtocol):
    """A connection that asks one thing at a time."""

    def __init__(self, idle: "list[_CallConnection]", max_bytes: int) -> None:
        super().__init__()
        self._idle = idle
        self._max_bytes = max_bytes
        self._body = bytearray()
        self._waiting: asyncio.Future[Answer] | None = None

    async def ask(self, request: bytes) -> Answer:
        """Raises: PeerUnreachable."""
        self._body = bytearray()
        self._waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._waiting

    def answer_body(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > self._max_bytes:
            raise PeerUnreachable("the answer is too long")

    def answer_ended(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is None or waiting.done() or not self._parser.should_keep_alive():
            self.transport.close()
        else:
            self._idle.append(self)
        if waiting is not None and not waiting.done():
            waiting.set_result(Answer(self.status, self.headers, bytes(self._body)))

    def is_gone(self, error: Exception | None) -> None:
        if self in self._idle:
            self._idle.remove(self)
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(PeerUnreachable(str(error or "the peer has closed the connection")))


@dataclass(slots=True)
class Calls:
    """Requests to one peer, each over a connection of its own that is kept for the next one."""

    tls: ssl.SSLContext | None = None
    max_answer_bytes: int = MAX_ANSWER_BYTES
    _idle: list[_CallConnection] = field(default_factory=list)
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MAX_CALLS))

    async def request(self, method: str, url: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """The answer to one request, asked once. The caller bounds the time.

        Raises: PeerUnreachable.
        """
        try:
            target = parse_url(url)
            async with self._slots:
                connection = self._idle.pop() if self._idle else await self._connect(target)
                try:
                    return await connection.ask(request_head(method, path, target, headers, len(body)) + body)
                except BaseException:
                    connection.abort()
                    raise
        except (OSError, ValueError) as error:
            raise PeerUnreachable(str(error)) from error

    def close(self) -> None:
        """Lets go of the connections that are kept."""
        while self._idle:
            self._idle.pop().transport.close()

    async def _connect(self, target: Target) -> _CallConnection:
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: _CallConnection(self._idle, self.max_answer_bytes),
            target.host,
            target.port,
            ssl=tls_for(target, self.tls),
        )
        return connection


def tls_for(target: Target, context: ssl.SSLContext | None) -> ssl.SSLContext | None:
    """The context for a target, None where it speaks plainly."""
    return (context or ssl.create_default_context()) if target.is_tls else None
