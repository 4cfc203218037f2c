import asyncio
import json
import logging
import threading
from base64 import b64encode
from collections import deque

import pytest

from gateway.unary import AnyRequest, Unary
from raftgate.api.errors import Compacted, LeaseNotFound, NoLeader, PermissionDenied
from raftgate.api.kv import KeyValue, PutRequest, PutResponse, RangeRequest, RangeResponse
from raftgate.api.message import Caller, Message
from raftgate.api.services import RPCS
from tests.fakes.backend import HEADER, FakeBackend
from tests.fakes.gateway import PUT, RANGE, Gateway, make_options

RANGE_RPC = next(rpc for rpc in RPCS if rpc.method == "Range")
PUT_RPC = next(rpc for rpc in RPCS if rpc.method == "Put")
PUT_LABELS = {"grpc_service": "etcdserverpb.KV", "grpc_method": "Put", "grpc_type": "unary"}


@pytest.mark.anyio
async def test_a_put_reaches_the_backend_and_its_answer_the_client() -> None:
    gateway = Gateway()
    response = await gateway.post("/v3/kv/put", PUT)
    assert response.text == '{"header":{"cluster_id":"1","member_id":"2","revision":"3","raft_term":"4"}}'
    assert gateway.backend.calls == [(PutRequest(key=b"foo", value=b"bar"), Caller())]


@pytest.mark.anyio
async def test_headers_of_success_and_of_errors() -> None:
    gateway = Gateway()
    success = await gateway.post("/v3/kv/put", PUT)
    assert success.headers["content-type"] == "application/json"
    assert success.headers["grpc-metadata-content-type"] == "application/grpc"
    assert success.headers["content-length"] == str(len(success.content))
    assert "server" not in success.headers
    gateway.backend.answers[PutRequest] = LeaseNotFound()
    error = await gateway.post("/v3/kv/put", PUT)
    assert error.headers["content-type"] == "application/json"
    assert "grpc-metadata-content-type" not in error.headers


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(Compacted(), 400, 11), (LeaseNotFound(), 404, 5), (PermissionDenied(), 403, 7), (NoLeader(), 503, 14)],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
async def test_errors_of_the_backend(error: Exception, status: int, code: int) -> None:
    gateway = Gateway()
    gateway.backend.answers[PutRequest] = error
    response = await gateway.post("/v3/kv/put", PUT)
    assert response.status_code == status
    assert response.json() == {"error": str(error), "code": code, "message": str(error)}
    assert gateway.sample("grpc_server_started_total", **PUT_LABELS) == 1
    assert gateway.sample("grpc_server_msg_sent_total", **PUT_LABELS) == 0


@pytest.mark.anyio
async def test_a_fault_of_the_backend_is_500_and_logged_without_values(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    gateway = Gateway()
    gateway.backend.answers[PutRequest] = RuntimeError("value bar")
    response = await gateway.post("/v3/kv/put", PUT)
    assert (response.status_code, response.json()["code"]) == (500, 13)
    assert "Traceback" not in response.text
    assert "value bar" not in response.text + caplog.text
    assert "RuntimeError" in caplog.text
    assert gateway.sample("grpc_server_handled_total", **PUT_LABELS, grpc_code="Internal") == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"", 200, id="empty"),
        pytest.param(b" \n", 200, id="white-space"),
        pytest.param(b'{"key":"Zm9v"} trailing', 200, id="first-value-only"),
        pytest.param(b"null", 400, id="null"),
        pytest.param(b'{"key":"Zm9v"', 400, id="cut-off"),
        pytest.param(b"key=foo", 400, id="form"),
        pytest.param(b'{"key":"\xff"}', 400, id="not-utf8"),
        pytest.param(b'{"success":' * 251 + b"[" * 250, 400, id="too-deep"),
    ],
)
async def test_bodies(body: bytes, status: int) -> None:
    gateway = Gateway()
    response = await gateway.post("/v3/kv/range", body)
    assert response.status_code == status
    if status == 400:
        assert response.json()["code"] == 3
        assert gateway.backend.calls == []
        labels = PUT_LABELS | {"grpc_method": "Range"}
        assert gateway.sample("grpc_server_started_total", **labels) == 0


@pytest.mark.anyio
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", None])
async def test_content_type_and_accept_are_ignored(content_type: str | None) -> None:
    headers = {"accept": "text/html"} | ({"content-type": content_type} if content_type else {})
    assert (await Gateway().post("/v3/kv/range", RANGE, headers=headers)).status_code == 200


@pytest.mark.anyio
async def test_what_a_caller_shows_is_handed_on() -> None:
    gateway = Gateway()
    headers = {"authorization": "Bearer t", "grpc-timeout": "5S", "grpc-metadata-hasleader": "true"}
    await gateway.post("/v3/kv/range", RANGE, headers=headers)
    assert gateway.backend.calls[0][1] == Caller(token="t", timeout=5.0, needs_leader=True)


@pytest.mark.anyio
@pytest.mark.parametrize("text", ["1m", "-5S", "1n"])
async def test_a_deadline_that_passes(text: str) -> None:
    gateway = Gateway()
    gateway.backend.gate = asyncio.Event()
    response = await gateway.post("/v3/kv/range", RANGE, headers={"grpc-timeout": text})
    assert response.status_code == 504
    assert response.json() == {
        "error": "context deadline exceeded", "code": 4, "message": "context deadline exceeded"
    }  # fmt: skip


@pytest.mark.anyio
@pytest.mark.parametrize("text", ["-5S", "1n"])
async def test_a_deadline_shorter_than_a_turn_of_the_loop_never_asks_the_backend(text: str) -> None:
    gateway = Gateway()
    response = await gateway.post("/v3/kv/range", RANGE, headers={"grpc-timeout": text})
    assert response.status_code == 504
    assert gateway.backend.calls == []


@pytest.mark.anyio
async def test_a_malformed_timeout_goes_before_a_malformed_body() -> None:
    response = await Gateway().post("/v3/kv/range", b"{", headers={"grpc-timeout": "xx"})
    assert (response.status_code, response.json()["message"]) == (400, "invalid grpc-timeout: xx")


@pytest.mark.anyio
async def test_a_message_above_grpcs_bound() -> None:
    gateway = Gateway()
    value = b64encode(b"x" * 2_097_152).decode()
    response = await gateway.post("/v3/kv/put", {"key": "Zm9v", "value": value})
    assert (response.status_code, response.json()["code"]) == (429, 8)
    size = 2_097_152 + len(b"foo") + 2 + 1 + 4  # two tags, two lengths
    assert response.json()["message"] == f"grpc: received message larger than max ({size} vs. 2097152)"
    assert gateway.backend.calls == []


@pytest.mark.anyio
async def test_a_long_body_with_a_short_message_passes() -> None:
    body = json.dumps(PUT).encode() + b" " * 3_000_000
    assert (await Gateway().post("/v3/kv/put", body)).status_code == 200


@pytest.mark.anyio
async def test_a_body_above_its_bound_is_refused_and_the_connection_closed() -> None:
    gateway = Gateway(max_request_bytes=0)
    response = await gateway.post("/v3/kv/put", b" " * (4 * 1024 * 1024 + 1))
    assert (response.status_code, response.json()["code"]) == (429, 8)
    assert response.headers["connection"] == "close"


class Noting(Unary):
    """Notes in which thread it decodes and encodes."""

    threads: list[str]

    def decode(self, body: bytes) -> AnyRequest:
        self.threads.append(threading.current_thread().name)
        return super().decode(body)

    def encode(self, response: Message) -> bytes:  # type: ignore[override]  # a static method that is told of its caller
        self.threads.append(threading.current_thread().name)
        return super().encode(response)

    def encode_heavy(self, box: list[Message]) -> deque[bytes]:  # type: ignore[override]  # as above
        self.threads.append(threading.current_thread().name)
        return super().encode_heavy(box)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("key", "keys", "decodes_here", "encodes_here"),
    [(100, 5, True, True), (100_000, 5, False, True), (100, 5000, True, False), (100_000, 5000, False, False)],
    ids=["small", "long body", "huge answer", "both"],
)
async def test_long_bodies_and_huge_answers_leave_the_loop_free(
    key: int,
    keys: int,
    decodes_here: bool,  # noqa: FBT001 - columns
    encodes_here: bool,  # noqa: FBT001 - columns
) -> None:
    """Their work happens in a worker thread, so that other tasks run while they wait for it."""
    backend = FakeBackend()
    kvs = tuple(KeyValue(key=b"k%d" % i, value=b"v" * 100) for i in range(keys))
    backend.answers[RangeRequest] = RangeResponse(header=HEADER, kvs=kvs, count=keys)
    unary = Noting(RANGE_RPC, RangeRequest, backend, make_options())
    unary.threads = []
    reply = await unary.answer(json.dumps({"key": b64encode(b"k" * key).decode()}).encode(), Caller())
    body = b"".join((reply.body, *(reply.rest or ())))
    assert len(json.loads(body)["kvs"]) == keys
    assert dict(reply.headers)[b"content-length"] == b"%d" % len(body)
    here = threading.current_thread().name
    assert [thread == here for thread in unary.threads] == [decodes_here, encodes_here]


@pytest.mark.anyio
async def test_a_huge_answer_is_the_same_on_the_wire_as_a_short_one() -> None:
    gateway = Gateway()
    kvs = tuple(KeyValue(b"k%d" % n, 1, n, 1, b"v" * 100, 0) for n in range(5000))
    gateway.backend.answers[RangeRequest] = response = RangeResponse(header=HEADER, kvs=kvs, count=5000)
    answer = await gateway.post("/v3/kv/range", RANGE)
    assert answer.content == Unary.encode(response)
    assert answer.headers["content-length"] == str(len(answer.content))
    assert gateway.sample("raftgate_http_response_size_bytes_sum", route="/v3/kv/range") == len(answer.content)


@pytest.mark.anyio
async def test_cancelling_is_counted_so_that_started_minus_handled_stays_true() -> None:
    backend = FakeBackend()
    backend.gate = asyncio.Event()
    options = make_options()
    unary = Unary(PUT_RPC, PutRequest, backend, options)
    task = asyncio.create_task(unary.answer(b"{}", Caller()))
    await backend.waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    value = options.metrics.registry.get_sample_value
    assert value("grpc_server_handled_total", {**PUT_LABELS, "grpc_code": "Canceled"}) == 1


@pytest.mark.anyio
async def test_decode_handle_and_encode_serve_without_asgi() -> None:
    unary = Unary(PUT_RPC, PutRequest, FakeBackend(), make_options())
    request = unary.decode(b'{"key":"Zm9v"}')
    assert request == PutRequest(key=b"foo")
    response = await unary.handle(request, Caller())
    assert response == PutResponse(header=HEADER)
    assert unary.encode(response).startswith(b'{"header"')
