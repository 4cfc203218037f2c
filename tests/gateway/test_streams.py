import asyncio
import json
from typing import Any

import pytest

from raftgate.api.errors import LeaseNotFound, NoLeader, Stopped
from raftgate.api.kv import KeyValue, RangeRequest, RangeResponse
from raftgate.api.lease import LeaseKeepAliveRequest, LeaseKeepAliveResponse
from raftgate.api.message import Caller
from tests.fakes.backend import HEADER, FakeBackend
from tests.fakes.loopback import chunked, rpc
from tests.fakes.streams import StreamServer, streaming, until

PATH = "/v3/lease/keepalive"


def backend() -> FakeBackend:
    fake = FakeBackend()
    fake.answers[LeaseKeepAliveRequest] = lambda request, _: LeaseKeepAliveResponse(ID=request.ID, TTL=60)
    return fake


def answer(lease: int) -> dict[str, Any]:
    return {"result": {"ID": str(lease), "TTL": "60"}}


@pytest.mark.anyio
async def test_each_message_is_answered_in_order_and_the_answer_ends_with_the_request() -> None:
    async with streaming(backend=backend()) as server, server.client(rpc(b'{"ID":"1"}{"ID":2}', PATH)) as client:
        head = await client.head()
        assert (head.status, head.headers["content-type"]) == (200, "application/json")
        assert head.headers["grpc-metadata-content-type"] == "application/grpc"
        assert head.headers["access-control-allow-origin"] == "*"
        assert [await client.line(), await client.line()] == [answer(1), answer(2)]
        assert await client.chunk() == b""
        await client.send(rpc(b'{"ID":3}', PATH))  # the connection goes on
        await client.head()
        assert await client.line() == answer(3)


@pytest.mark.anyio
async def test_answers_come_while_the_request_goes_on() -> None:
    async with streaming(backend=backend()) as server, server.client(chunked(path=PATH)) as client:
        for piece, lease in ((b'a\r\n{"ID":"1"}\r\n', 1), (b'5\r\n{"ID"\r\n5\r\n:"2"}\r\n', 2)):
            await client.send(piece)
            if lease == 1:
                assert (await client.head()).status == 200
            assert await client.line() == answer(lease)
        await client.send(b"0\r\n\r\n")
        assert await client.chunk() == b""
        await server.no_task_left()
        assert server.sample("raftgate_streams_open", kind="lease_keepalive") == 0
        labels = {"grpc_service": "etcdserverpb.Lease", "grpc_method": "LeaseKeepAlive", "grpc_type": "bidi_stream"}
        for name in ("started", "msg_received", "msg_sent"):
            assert server.sample(f"grpc_server_{name}_total", **labels) == (1 if name == "started" else 2)
        assert server.sample("grpc_server_handled_total", **labels, grpc_code="OK") == 1
        assert server.sample("raftgate_http_requests_total", route=PATH, method="POST", status="200") == 1


@pytest.mark.anyio
@pytest.mark.parametrize("body", [b"", b" \n"])
async def test_no_message_no_answer(body: bytes) -> None:
    async with streaming(backend=backend()) as server, server.client(rpc(body, PATH)) as client:
        assert (await client.head()).status == 200
        assert await client.chunk() == b""


@pytest.mark.anyio
@pytest.mark.parametrize("body", [b"null", b"[]", b'{"ID":[]}', b'{"ID":', b",", b'{"ID":1}}'[8:]])
async def test_a_malformed_first_message_is_refused(body: bytes) -> None:
    async with streaming(backend=backend()) as server, server.client(rpc(body, PATH)) as client:
        refusal = await client.answer()
        told = json.loads(refusal.body)
        assert (refusal.status, told["code"], told["error"]) == (400, 3, told["message"])
        assert server.backend.calls == []
        await client.send(rpc(b'{"ID":3}', PATH))
        assert (await client.head()).status == 200


@pytest.mark.anyio
@pytest.mark.parametrize("rest", [b'{"ID":[]}{"ID":2}', b'null{"ID":2}', b',{"ID":2}', b'{"ID"'])
async def test_a_malformed_later_message_ends_the_reading(rest: bytes) -> None:
    async with streaming(backend=backend()) as server, server.client(rpc(b'{"ID":1}' + rest, PATH)) as client:
        await client.head()
        assert await client.line() == answer(1)
        assert await client.chunk() == b""


@pytest.mark.anyio
async def test_a_refusal_while_the_request_is_open_closes_the_connection() -> None:
    async with streaming(backend=backend()) as server, server.client(chunked(b"4\r\nnull\r\n", path=PATH)) as client:
        refusal = await client.answer()
        assert (refusal.status, refusal.headers["connection"]) == (400, "close")
        assert await client.rest() == b""


@pytest.mark.anyio
async def test_an_error_before_the_first_answer_has_its_status() -> None:
    fake = backend()
    fake.answers[LeaseKeepAliveRequest] = NoLeader()
    async with streaming(backend=fake) as server, server.client(rpc(b'{"ID":1}', PATH)) as client:
        refusal = await client.answer()
        assert refusal.status == 503
        assert json.loads(refusal.body)["error"]["http_code"] == 503
        assert refusal.body.endswith(b"\n")
        await server.no_task_left()
        assert server.sample("raftgate_stream_closed_total", kind="lease_keepalive", reason="no_leader") == 1


@pytest.mark.anyio
async def test_a_later_error_is_the_last_line() -> None:
    fake = backend()

    def call(request: LeaseKeepAliveRequest, _: Caller) -> LeaseKeepAliveResponse | LeaseNotFound:
        return LeaseKeepAliveResponse(ID=1, TTL=60) if request.ID == 1 else LeaseNotFound()

    fake.answers[LeaseKeepAliveRequest] = call
    async with streaming(backend=fake) as server, server.client(rpc(b'{"ID":1}{"ID":2}{"ID":1}', PATH)) as client:
        await client.head()
        assert await client.line() == answer(1)
        assert (await client.line())["error"]["grpc_code"] == 5
        assert await client.chunk() == b""


@pytest.mark.anyio
async def test_a_fault_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    fake = backend()
    fake.answers[LeaseKeepAliveRequest] = ValueError("secret")
    async with streaming(backend=fake) as server, server.client(rpc(b'{"ID":1}', PATH)) as client:
        refusal = await client.answer()
        assert refusal.status == 500
        assert b"secret" not in refusal.body
    assert "secret" not in caplog.text


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD"])
async def test_other_methods_are_none_of_grpc(method: str) -> None:
    async with streaming(backend=backend()) as server:
        for path in ("/v3/watch", PATH, "/v3/election/observe"):
            async with server.client(b"%b %b HTTP/1.1\r\nHost: x\r\n\r\n" % (method.encode(), path.encode())) as client:
                assert (await client.answer(method)).status == 501


@pytest.mark.anyio
async def test_a_malformed_deadline_is_refused() -> None:
    async with streaming(backend=backend()) as server, server.client(rpc(b"{}", PATH, "Grpc-Timeout: xx")) as client:
        refusal = await client.answer()
        assert (refusal.status, json.loads(refusal.body)["message"]) == (400, "invalid grpc-timeout: xx")


@pytest.mark.anyio
async def test_a_deadline_ends_a_keepalive_that_waits() -> None:
    fake = backend()
    fake.gate = asyncio.Event()
    async with streaming(backend=fake) as server, server.client(rpc(b'{"ID":1}', PATH, "Grpc-Timeout: 50m")) as client:
        refusal = await client.answer()
        assert (refusal.status, json.loads(refusal.body)["error"]["code"]) == (504, 4)
        assert fake.canceled.is_set()
        del server


@pytest.mark.anyio
async def test_a_client_that_goes_ends_its_call() -> None:
    fake = backend()
    fake.gate = asyncio.Event()
    async with streaming(backend=fake) as server:
        async with server.client(rpc(b'{"ID":1}', PATH)):
            await until(fake.waiting)
        await until(fake.canceled)


@pytest.mark.anyio
@pytest.mark.parametrize("sent", [b"", b'8\r\n{"ID":1}\r\n'], ids=["nothing yet", "a message"])
async def test_a_stop_ends_a_keepalive_whose_client_says_nothing(sent: bytes) -> None:
    async with streaming(backend=backend()) as server, server.client(chunked(sent, path=PATH)) as client:
        if sent:
            await client.head()
            await client.line()
        else:
            await _has_begun(server)
        stopping = asyncio.create_task(server.listener.stop(30.0))
        rest = await client.rest()
        assert rest in (b"", b"reset")  # the answer is cut: no last chunk
        client.close()
        await asyncio.wait_for(stopping, 5.0)


async def _has_begun(server: StreamServer) -> None:
    async with asyncio.timeout(5.0):
        while not server.sample("raftgate_http_requests_in_flight", role="gateway"):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)


@pytest.mark.anyio
async def test_a_call_that_the_stop_refuses_is_told_of() -> None:
    fake = backend()
    fake.answers[LeaseKeepAliveRequest] = Stopped()
    async with streaming(backend=fake) as server, server.client(rpc(b'{"ID":1}', PATH)) as client:
        assert (await client.answer()).status == 503
        del server


@pytest.mark.anyio
async def test_http_1_0_gets_lines_without_chunks() -> None:
    sent = rpc(b'{"ID":1}{"ID":2}', PATH, version="1.0")
    async with streaming(backend=backend()) as server, server.client(sent) as client:
        head = await client.head()
        assert "transfer-encoding" not in head.headers
        assert head.headers["connection"] == "close"
        assert [json.loads(line) for line in (await client.rest()).splitlines()] == [answer(1), answer(2)]


@pytest.mark.anyio
async def test_a_message_above_the_bound_is_refused() -> None:
    body = b'{"x":"' + b"a" * 4000 + b'","ID":1}'
    async with streaming(backend=backend(), max_request_bytes=-(4 * 1024 * 1024 - 2000) // 2) as server:
        assert server.gateway.options.max_body_bytes < 4000
        async with server.client(rpc(body, PATH)) as client:
            assert (await client.answer()).status == 429


class TestObserve:
    @pytest.mark.anyio
    async def test_the_head_comes_though_nobody_leads(self) -> None:
        fake = FakeBackend()
        fake.answers[RangeRequest] = RangeResponse(header=HEADER)
        async with streaming(backend=fake) as server:
            async with server.client(rpc(b'{"name":"ZQ=="}{', "/v3/election/observe")) as client:
                assert (await client.head()).status == 200
                assert server.sample("raftgate_streams_open", kind="observe") == 1
            await server.no_task_left()
            assert server.sample("raftgate_stream_closed_total", kind="observe", reason="client") == 1

    @pytest.mark.anyio
    async def test_the_leader_is_told(self) -> None:
        fake = FakeBackend()
        leader = KeyValue(key=b"e/1", value=b"me", create_revision=2, mod_revision=2, version=1, lease=1)
        fake.answers[RangeRequest] = RangeResponse(header=HEADER, kvs=(leader,), count=1)
        sent = rpc(b'{"name":"ZQ=="}', "/v3/election/observe")
        async with streaming(backend=fake) as server, server.client(sent) as client:
            assert (await client.head()).status == 200
            assert (await client.line())["result"]["kv"]["value"] == "bWU="

    @pytest.mark.anyio
    async def test_a_refusal_has_its_status(self) -> None:
        fake = FakeBackend()
        fake.answers[RangeRequest] = NoLeader()
        async with streaming(backend=fake) as server:
            async with server.client(rpc(b'{"name":"ZQ=="}', "/v3/election/observe")) as client:
                assert (await client.answer()).status in (503, 504)
            async with server.client(rpc(b'{"name":5}', "/v3/election/observe")) as client:
                assert (await client.answer()).status == 400

    @pytest.mark.anyio
    async def test_a_deadline_is_the_last_line(self) -> None:
        sent = rpc(b'{"name":"ZQ=="}', "/v3/election/observe", "Grpc-Timeout: 300m")
        async with streaming() as server, server.client(sent) as client:
            assert (await client.head()).status == 200
            assert (await client.line())["error"]["code"] == 4
            assert await client.chunk() == b""
