import pytest
from starlette.types import Message

from gateway.replies import HEADERS_KEY, JSON, make_reply, send_reply


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
