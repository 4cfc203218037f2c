"""Answers as values, and the one place that sends them."""

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


def make_reply(status: int, headers: Headers, body: bytes = b"", received: int = 0) -> Reply:
    """Makes a reply and announces its length."""
    return Reply(status, [*headers, (b"content-length", b"%d" % len(body))], body, received)


async def send_reply(scope: Scope, send: Send, reply: Reply) -> None:
    """Sends a reply together with the headers that all answers carry."""
    await send({"type": "http.response.start", "status": reply.status, "headers": scope[HEADERS_KEY] + reply.headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else reply.body})


PAGE_NOT_FOUND = make_reply(404, TEXT, b"404 page not found\n")
GET_ONLY = make_reply(405, [(b"allow", b"GET"), *TEXT], b"Method Not Allowed\n")
EMPTY = make_reply(200, [])
