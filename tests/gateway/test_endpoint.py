import pytest
from starlette.types import Message, Receive, Scope

from gateway.endpoint import Endpoint, Plain
from gateway.replies import HEADERS_KEY, Reply, make_reply
from tests.fakes.gateway import make_options


async def receive() -> Message:
    raise AssertionError("nothing is read")


async def call(endpoint: Endpoint) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await endpoint({"method": "GET", HEADERS_KEY: [(b"a", b"b")]}, receive, send)
    return sent


@pytest.mark.anyio
async def test_a_fault_is_answered_with_500_and_counted() -> None:
    class Broken(Endpoint):
        async def reply(self, scope: Scope, receive: Receive) -> Reply:  # noqa: ARG002 - it reads nothing
            raise RuntimeError("oh")

    options = make_options()
    sent = await call(Broken(options.metrics.route("/x"), options.clock))
    assert sent[0]["status"] == 500
    assert (b"a", b"b") in sent[0]["headers"]
    assert b"oh" not in sent[1]["body"]
    value = options.metrics.registry.get_sample_value
    assert value("raftgate_http_requests_total", {"route": "/x", "method": "GET", "status": "500"}) == 1
    assert options.metrics.in_flight == 0


@pytest.mark.anyio
async def test_plain_answers_what_its_function_says() -> None:
    async def answer(scope: Scope) -> Reply:
        return make_reply(200, [], scope["method"].encode())

    options = make_options()
    sent = await call(Plain(options.metrics.route("/x"), options.clock, answer))
    assert (sent[0]["status"], sent[1]["body"]) == (200, b"GET")
    assert options.metrics.in_flight == 0
