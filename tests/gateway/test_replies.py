import asyncio
from collections import deque

import pytest
from starlette.types import Message

from gateway.replies import HEADERS_KEY, JSON, make_long_reply, make_reply, send_reply


def test_a_reply_announces_its_length() -> None:
    assert make_reply(200, JSON, b"{}").headers == [(b"content-type", b"application/json"), (b"content-length", b"2")]


@pytest.mark.anyio
@pytest.mark.parametrize(("method", "body"), [("GET", b"{}"), ("HEAD", b"")])
async def test_headers_of_all_answers_come_first_and_head_has_no_body(method: str, body: bytes) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await send_reply({"method": method, HEADERS_KEY: [(b"a", b"b")]}, send, make_reply(404, JSON, b"{}"))
    assert sent[0]["status"] == 404
    assert sent[0]["headers"] == [(b"a", b"b"), *JSON, (b"content-length", b"2")]
    assert sent[1]["body"] == body


@pytest.mark.anyio
@pytest.mark.parametrize("pieces", [[b"whole"], [b"in ", b"two"], [b"a", b"b", b"c"]])
async def test_a_long_reply_is_sent_piece_by_piece_and_let_go_of(pieces: list[bytes]) -> None:
    reply = make_long_reply(200, JSON, deque(pieces))
    length = sum(map(len, pieces))
    assert (reply.size, reply.headers[-1]) == (length, (b"content-length", b"%d" % length))
    sent: list[Message] = []
    others: list[int] = []

    async def send(message: Message) -> None:
        sent.append(message)
        asyncio.get_running_loop().call_soon(lambda: others.append(len(sent)))

    await send_reply({"method": "POST", HEADERS_KEY: []}, send, reply)
    assert [message["body"] for message in sent[1:]] == pieces
    assert [message.get("more_body", False) for message in sent[1:]] == [True] * (len(pieces) - 1) + [False]
    assert not reply.rest
    assert len(others) >= len(pieces) - 1  # others had their turn between the pieces
