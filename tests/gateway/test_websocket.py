import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from raftgate.api.errors import NoLeader, NotSupportedForLearner, Stopped
from raftgate.api.kv import KeyValue, PutRequest, RangeRequest, RangeResponse
from tests.fakes.backend import HEADER, FakeBackend
from tests.fakes.loopback import DEADLINE
from tests.fakes.streams import CREATE, CREATED, StreamServer, put, streaming, until

RANGE = '{"key":"YQ=="}'
ANSWER = {"header": CREATED["result"]["header"]}


@asynccontextmanager
async def socket(server: StreamServer, path: str, **options: Any) -> AsyncIterator[ClientConnection]:  # Any: theirs
    url = f"ws://127.0.0.1:{server.port}{path}"
    async with connect(url, proxy=None, compression=None, **options) as client:
        yield client


async def read(client: ClientConnection) -> Any:  # Any: JSON
    message = await asyncio.wait_for(client.recv(), DEADLINE)
    assert isinstance(message, str)
    assert not message.endswith("\n")
    return json.loads(message)


async def closed(client: ClientConnection) -> int:
    """The code with which the server closes."""
    with pytest.raises(ConnectionClosed) as raised:
        await asyncio.wait_for(client.recv(), DEADLINE)
    assert raised.value.rcvd is not None
    return raised.value.rcvd.code


@pytest.mark.anyio
async def test_a_watch_goes_both_ways() -> None:
    async with streaming() as server:
        async with socket(server, "/v3/watch") as client:
            await client.send(CREATE.decode())
            assert await read(client) == CREATED
            stream = await server.stream()
            stream.happen(put(b"a", 4))
            assert (await read(client))["result"]["events"]
            await client.send(b'{"create_request":{}}{"cancel_request":{"watch_id":1}}')  # binary, and two at once
            assert (await read(client))["result"]["watch_id"] == "1"
            assert (await read(client))["result"]["canceled"] is True
            await client.send(['{"progress_', 'request"', ":{}}"])  # in fragments
            assert (await read(client))["result"]["watch_id"] == "-1"
            assert server.sample("raftgate_streams_open", kind="watch_websocket") == 1
        await until(stream.closed)
        await server.no_task_left()
        assert server.sample("raftgate_streams_open", kind="watch_websocket") == 0
        assert server.sample("raftgate_http_requests_total", route="/v3/watch", method="GET", status="101") == 1


@pytest.mark.anyio
async def test_a_unary_call_is_answered_and_the_socket_closed() -> None:
    async with streaming() as server:
        for messages in ([RANGE], [RANGE.encode()], ['{"key":', '"YQ=="}'], ["", " ", RANGE + "x"]):
            async with socket(server, "/v3/kv/range") as client:
                for message in messages:
                    await client.send(message)
                assert await read(client) == ANSWER
                assert await closed(client) == 1000
        assert {request for request, _ in server.backend.calls} == {RangeRequest(key=b"a")}


@pytest.mark.anyio
async def test_a_long_answer_is_one_message() -> None:
    backend = FakeBackend()
    kvs = tuple(KeyValue(key=b"%d" % number, value=b"x" * 10_000) for number in range(300))
    backend.answers[RangeRequest] = RangeResponse(header=HEADER, kvs=kvs)
    async with streaming(backend=backend) as server, socket(server, "/v3/kv/range", max_size=None) as client:
        await client.send(RANGE)
        assert len((await read(client))["kvs"]) == 300
        del server


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "message", "code", "text"),
    [
        ("/v3/kv/range", "garbage", 3, ""),
        ("/v3/kv/range", '{"key":5}', 3, ""),
        ("/v3/nope", None, 5, "Not Found"),
        ("/v3/kv/range/", None, 5, "Not Found"),
        ("/v3/auth/enable", None, 12, "not implemented"),
        ("/v3/watch", "garbage", 3, ""),
        ("/v3/lease/keepalive", '{"ID":[]}', 3, ""),
    ],
)
async def test_an_error_is_one_message(path: str, message: str | None, code: int, text: str) -> None:
    async with streaming() as server, socket(server, path) as client:
        if message is not None:
            await client.send(message)
        error = await read(client)
        assert (error["code"], error["error"]) == (code, error["message"])
        assert text in error["message"]
        assert await closed(client) == 1000


@pytest.mark.anyio
async def test_an_error_of_a_stream_has_its_own_form() -> None:
    backend = FakeBackend()
    backend.watch_error = NotSupportedForLearner()
    async with streaming(backend=backend) as server:
        async with socket(server, "/v3/watch") as client:
            await client.send(CREATE.decode())
            assert (await read(client))["error"]["grpc_code"] == 9
            assert await closed(client) == 1000
        backend.watch_error = None
        async with socket(server, "/v3/watch") as client:
            await client.send(CREATE.decode())
            await read(client)
            (await server.stream()).fail(NoLeader())
            assert (await read(client))["error"]["http_code"] == 503


@pytest.mark.anyio
async def test_a_malformed_later_message_is_ignored() -> None:
    async with streaming() as server, socket(server, "/v3/watch") as client:
        await client.send(CREATE.decode())
        await client.send("null")
        await client.send(CREATE.decode())
        assert await read(client) == CREATED
        stream = await server.stream()
        stream.happen(put(b"a", 4))
        assert (await read(client))["result"]["events"]
        assert len(stream.requests) == 1


@pytest.mark.anyio
async def test_keepalive_answers_each_message() -> None:
    async with streaming() as server, socket(server, "/v3/lease/keepalive") as client:
        for _ in range(3):
            await client.send('{"ID":7}')
            assert (await read(client))["result"]["TTL"] == "60"
        del server


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "token", "echoed"),
    [
        ({}, "", None),
        ({"subprotocols": [Subprotocol("Bearer"), Subprotocol("a.b.c")]}, "a.b.c", "Bearer"),
        ({"additional_headers": {"Authorization": "tok"}}, "tok", None),
    ],
)
async def test_the_token(options: dict[str, Any], token: str, echoed: str | None) -> None:
    async with streaming() as server, socket(server, "/v3/kv/range", **options) as client:
        await client.send(RANGE)
        assert await read(client) == ANSWER
        assert client.subprotocol == echoed
        ((_, caller),) = server.backend.calls
        assert caller.token == token


@pytest.mark.anyio
async def test_a_deadline() -> None:
    async with streaming() as server:
        async with socket(server, "/v3/watch", additional_headers={"Grpc-Timeout": "100m"}) as client:
            await client.send(CREATE.decode())
            await read(client)
            assert (await read(client))["error"]["code"] == 4
        async with socket(server, "/v3/watch", additional_headers={"Grpc-Timeout": "x"}) as client:
            assert (await read(client))["code"] == 3


@pytest.mark.anyio
async def test_only_paths_of_rpcs_become_sockets() -> None:
    async with streaming() as server:
        with pytest.raises(InvalidStatus) as raised:
            async with socket(server, "/health"):
                pass
        assert raised.value.response.status_code == 200


@pytest.mark.anyio
async def test_an_origin_that_is_not_listed_is_refused() -> None:
    async with streaming(cors=frozenset({"https://good.example"})) as server:
        with pytest.raises(InvalidStatus) as raised:
            async with socket(server, "/v3/kv/range", origin="https://evil.example"):
                pass
        assert raised.value.response.status_code == 403
        for origin in ("https://good.example", f"http://127.0.0.1:{server.port}", None):
            async with socket(server, "/v3/kv/range", origin=origin) as client:
                await client.send(RANGE)
                assert await read(client) == ANSWER


@pytest.mark.anyio
async def test_the_list_of_hosts_holds_here_too() -> None:
    async with streaming(host_whitelist=frozenset({"good.example"})) as server:
        with pytest.raises(InvalidStatus) as raised:
            async with socket(server, "/v3/kv/range"):
                pass
        assert raised.value.response.status_code == 421


@pytest.mark.anyio
async def test_a_client_that_goes_ends_its_call() -> None:
    backend = FakeBackend()
    backend.gate = asyncio.Event()
    async with streaming(backend=backend) as server:
        async with socket(server, "/v3/kv/put") as client:
            await client.send('{"key":"YQ=="}')
            await until(backend.waiting)
        await until(backend.canceled)
        assert backend.calls[0][0] == PutRequest(key=b"a")


@pytest.mark.anyio
async def test_a_stop_says_goodbye() -> None:
    async with streaming() as server, socket(server, "/v3/watch") as client, socket(server, "/v3/watch") as other:
        for one in (client, other):
            await one.send(CREATE.decode())
            await read(one)
        stream = await server.stream()
        stream.fail(Stopped())
        assert await closed(client) == 1001
        await asyncio.wait_for(server.listener.stop(30.0), 5.0)
        assert await closed(other) == 1001
        assert server.sample("raftgate_stream_closed_total", kind="watch_websocket", reason="shutdown") == 2
