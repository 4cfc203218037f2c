"""Answers as values, and the one place that sends them."""

import asyncio
from collections import deque
from typing import NamedTuple

from starlette.types import Scope, Send

Headers = list[tuple[bytes, bytes]]

HEADERS_KEY = "raftgate.headers"
"""Where `front.Front` leaves the headers that every answer to a request carries."""

JSON: Headers = [(b"content-type", b"application/json")]
# Go's net/http sends these two with each of its own errors (http.Error).
TEXT: Headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff")]
CLOSE: Headers = [(b"connection", b"close")]


class Reply(NamedTuple):
    """A whole answer; `received` counts the bytes of the request body that it answers."""

    status: int
    headers: Headers
    body: bytes = b""
    received: int = 0
    rest: deque[bytes] | None = None
    """What follows `body` in an answer too long for one piece; sending takes it out."""

    @property
    def size(self) -> int:
        """Bytes of the whole body, before it is sent."""
        return len(self.body) + sum(map(len, self.rest)) if self.rest else len(self.body)


def make_reply(status: int, headers: Headers, body: bytes = b"", received: int = 0) -> Reply:
    """Makes a reply and announces its length."""
    return Reply(status, [*headers, (b"content-length", b"%d" % len(body))], body, received)


def make_long_reply(status: int, headers: Headers, pieces: deque[bytes], received: int = 0) -> Reply:
    """Makes a reply of pieces, one at least, which become its own."""
    length = sum(map(len, pieces))
    return Reply(status, [*headers, (b"content-length", b"%d" % length)], pieces.popleft(), received, pieces)


async def send_reply(scope: Scope, send: Send, reply: Reply) -> None:
    """Sends a reply together with the headers that all answers carry."""
    await send({"type": "http.response.start", "status": reply.status, "headers": scope[HEADERS_KEY] + reply.headers})
    body = b"" if scope["method"] == "HEAD" else reply.body
    while reply.rest:
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await asyncio.sleep(0)  # `send` itself waits for slow clients only
        body = reply.rest.popleft()
    await send({"type": "http.response.body", "body": body})


PAGE_NOT_FOUND = make_reply(404, TEXT, b"404 page not found\n")
GET_ONLY = make_reply(405, [(b"allow", b"GET"), *TEXT], b"Method Not Allowed\n")
EMPTY = make_reply(200, [])
