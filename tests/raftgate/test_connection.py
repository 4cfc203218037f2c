import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from statistics import median
from typing import Any

import pytest

from raftgate.api.kv import PutRequest, RangeRequest
from raftgate.connection import ConnectionOptions
from raftgate.listener import Listener
from tests.fakes.backend import FakeBackend
from tests.fakes.gateway import Gateway
from tests.fakes.loopback import DEADLINE, Client, chunked, connected, listening, rpc

CORS = [(b"access-control-allow-origin", b"*")]
FOO = b'{"key":"Zm9v"}'
OPTIONS = ConnectionOptions(headers=CORS, linger_seconds=0.5)


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"], scope="module")
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:  # Any: the plugin's form
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture(autouse=True)
def no_traceback(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing that a client sends may end in a traceback."""
    caplog.set_level(logging.WARNING)
    yield
    assert [record.getMessage() for record in caplog.records if record.exc_info or "Traceback" in record.message] == []


class Server:
    """A gateway behind a listener."""

    def __init__(self, gateway: Gateway, listener: Listener, port: int) -> None:
        self.backend = gateway.backend
        self.state = listener._state
        self.port = port

    async def no_task_left(self) -> None:
        async with asyncio.timeout(DEADLINE):
            while self.state.tasks:
                await asyncio.wait(self.state.tasks)


@asynccontextmanager
async def serving(options: ConnectionOptions = OPTIONS, **changes: Any) -> AsyncIterator[Server]:  # Any: see Gateway
    gateway = Gateway(**changes)
    async with listening(gateway.app, options) as (listener, port):
        yield Server(gateway, listener, port)


@pytest.mark.anyio
async def test_a_request_that_comes_byte_by_byte() -> None:
    async with serving() as server, connected(server.port) as client:
        for _ in range(2):
            for byte in rpc(FOO):
                await client.send(bytes((byte,)))
            assert (await client.answer()).status == 200
        assert [request for request, _ in server.backend.calls] == [RangeRequest(key=b"foo")] * 2


@pytest.mark.anyio
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"POST /v3/kv/range HTTP/1.1\r\nX: " + b"a" * 100_000, id="endless-value"),
        pytest.param(b"POST /v3/kv/range HTTP/1.1\r\n" + b"a" * 100_000, id="endless-name"),
        pytest.param(b"POST /v3/kv/range HTTP/1.1\r\n" + b"X: y\r\n" * 20_000, id="endless-headers"),
        pytest.param(b"POST /" + b"a" * 100_000, id="endless-path"),
        pytest.param(b"POST /v3/kv/range HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", id="complete-but-large"),
    ],
)
async def test_an_endless_head(data: bytes) -> None:
    async with serving() as server, connected(server.port) as client:
        await client.send(data)
        answer = await client.answer()
        assert answer.status in (400, 431)  # 400 where the parser itself draws the line
        assert answer.headers["access-control-allow-origin"] == "*"
        assert await client.rest() == b""
        assert server.backend.calls == []


@pytest.mark.anyio
async def test_a_large_head_within_the_bound() -> None:
    async with serving() as server, connected(server.port) as client:
        await client.send(rpc(FOO, "/v3/kv/range", *(f"X{i}: {'a' * 1000}" for i in range(40))))
        assert (await client.answer()).status == 200


@pytest.mark.anyio
async def test_a_slow_head_is_408_and_closed() -> None:
    async with serving(ConnectionOptions(head_seconds=0.05)) as server, connected(server.port) as client:
        await client.send(rpc(FOO))
        assert (await client.answer()).status == 200
        await client.send(b"POST /v3/kv/range HTTP/1.1\r\nHost: ")
        assert (await client.answer()).status == 408
        assert await client.rest() == b""


@pytest.mark.anyio
@pytest.mark.parametrize("data", [b"P", b"PRI * HTT"])
async def test_a_slow_beginning_is_closed(data: bytes) -> None:
    async with serving(ConnectionOptions(head_seconds=0.05)) as server, connected(server.port) as client:
        await client.send(data)
        assert await client.rest() == b""


@pytest.mark.anyio
async def test_a_held_first_byte_is_not_lost() -> None:
    async with serving() as server, connected(server.port) as client:
        await client.send(b"P")
        await client.send(rpc(FOO)[1:])
        assert (await client.answer()).status == 200


@pytest.mark.anyio
async def test_idle_connections_have_no_timer() -> None:
    async with serving() as server, connected(server.port) as client:
        await client.send(rpc(FOO))
        await client.answer()
        (connection,) = server.state.connections
        assert connection.timeout_keep_alive_task is None  # type: ignore[union-attr]  # it is ours
        assert connection._head_timer is None  # type: ignore[union-attr]  # it is ours


@pytest.mark.anyio
@pytest.mark.parametrize("body", [b"", b"{", b"{" + b" " * 10])
async def test_a_slow_body_is_refused_and_closed(body: bytes) -> None:
    async with serving(body_window=0.05, body_rate=1000) as server, connected(server.port) as client:
        await client.send(rpc(b"{" + b" " * 100)[:-101] + body)
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert await client.rest() == b""
        await server.no_task_left()


@pytest.mark.anyio
async def test_trailers_are_dropped() -> None:
    async with serving() as server, connected(server.port) as client:
        trailers = b"authorization: stolen\r\ngrpc-timeout: xx\r\n"
        await client.send(chunked(b"e\r\n", FOO, b"\r\n0\r\n", trailers, b"\r\n"))
        assert (await client.answer()).status == 200
        await client.send(rpc(FOO))
        assert (await client.answer()).status == 200
        assert [caller.token for _, caller in server.backend.calls] == ["", ""]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(b"0\r\nX: " + b"a" * 200_000, id="trailer-value"),
        pytest.param(b"0\r\n" + b"X: y\r\n" * 40_000, id="trailers"),
        pytest.param(b"1;" + b"a" * 200_000, id="chunk-extension"),
    ],
)
async def test_endless_trailers_and_extensions(flood: bytes) -> None:
    async with serving() as server, connected(server.port) as client:
        await client.send(chunked(b"e\r\n", FOO, b"\r\n", flood))
        assert (await client.answer()).status in (400, 431)
        assert await client.rest() == b""
        await server.no_task_left()
        assert server.backend.calls == []


@pytest.mark.anyio
async def test_a_length_that_promises_too_much() -> None:
    async with serving() as server, connected(server.port) as client:
        await client.send(rpc(FOO).replace(b"Content-Length: 14", b"Content-Length: 15"))
        client.close()
        await server.no_task_left()
        assert server.backend.calls == []


@pytest.mark.anyio
async def test_a_length_that_promises_too_little() -> None:
    async with serving() as server, connected(server.port) as client:
        await client.send(rpc(FOO).replace(b"Content-Length: 14", b"Content-Length: 10"))
        assert (await client.answer()).status == 400  # the cut-off message
        assert b"200 OK" not in await client.rest()


@pytest.mark.anyio
async def test_pipelined_requests_are_answered_in_order() -> None:
    async with serving() as server, connected(server.port) as client:
        server.backend.gate = asyncio.Event()
        await client.send(rpc(FOO) + rpc(b"", "/nope") + rpc(b'{"key":"YQ=="}', "/v3/kv/put"))
        await server.backend.waiting.wait()
        assert len(server.backend.calls) == 1
        server.backend.gate.set()
        assert [(await client.answer()).status for _ in range(3)] == [200, 404, 200]
        assert type(server.backend.calls[1][0]) is PutRequest


@pytest.mark.anyio
@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(b"GARBAGE\r\n\r\n", id="head"),
        pytest.param(chunked(b"zz\r\n"), id="body"),
        pytest.param(b"X" * 100_000, id="endless"),
    ],
)
async def test_a_bad_message_behind_others_never_speaks_for_them(bad: bytes) -> None:
    async with serving() as server, connected(server.port) as client:
        server.backend.gate = asyncio.Event()
        await client.send(rpc(FOO) + rpc(FOO, "/v3/kv/put") + bad)
        await server.backend.waiting.wait()
        server.backend.gate.set()
        assert [(await client.answer()).status for _ in range(2)] == [200, 200]
        assert await client.rest() == b""
        await server.no_task_left()


@pytest.mark.anyio
async def test_http_1_0_is_answered_whole_and_closed() -> None:
    async with serving() as server, connected(server.port) as client:
        await client.send(rpc(FOO, version="1.0"))
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert "transfer-encoding" not in answer.headers
        assert await client.rest() == b""


@pytest.mark.anyio
async def test_connection_close_is_honoured() -> None:
    async with serving() as server, connected(server.port) as client:
        await client.send(rpc(FOO, "/v3/kv/range", "Connection: close") + rpc(FOO))
        assert (await client.answer()).status == 200
        assert await client.rest() == b""
        assert len(server.backend.calls) == 1


@pytest.mark.anyio
async def test_expect_100_continue() -> None:
    async with serving() as server, connected(server.port) as client:
        head = rpc(FOO, "/v3/kv/range", "Expect: 100-continue")[: -len(FOO)]
        await client.send(head)
        assert (await client.answer()).status == 100
        await client.send(FOO)
        assert (await client.answer()).status == 200


@pytest.mark.anyio
async def test_a_refused_expectation_is_not_told_to_go_on() -> None:
    async with serving() as server, connected(server.port) as client:
        head = b"POST /v3/kv/put HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"
        await client.send(head)
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (429, "close")
        assert await client.rest() == b""


@pytest.mark.anyio
async def test_an_expectation_on_a_path_that_reads_no_body_ends_the_connection() -> None:
    async with serving() as server, connected(server.port) as client:
        await client.send(rpc(FOO, "/nope", "Expect: 100-continue")[: -len(FOO)])
        assert (await client.answer()).status == 404
        assert await client.rest() == b""


@pytest.mark.anyio
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GARBAGE\r\n\r\n", id="no-http"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="tls"),
        pytest.param(b"POST /v3/kv/range HTTP/9.9\r\nHost: a\r\n\r\n", id="version-9.9"),
        pytest.param(b"POST /v3/kv/range HTTP/2.0\r\nHost: a\r\n\r\n", id="version-2.0"),
        pytest.param(b"POST /v3/kv/range XTTP/1.1\r\nHost: a\r\n\r\n", id="other-protocol"),
        pytest.param(b"POST \xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n", id="path-no-ascii"),
        pytest.param(b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", id="connect"),
        pytest.param(rpc(FOO, "/v3/kv/range", "X: a\0b"), id="nul-in-value"),
        pytest.param(rpc(FOO, "/v3/kv/range", "X\0: a"), id="nul-in-name"),
        pytest.param(rpc(FOO, "/v3/kv/range", "X : a"), id="space-before-colon"),
        pytest.param(rpc(FOO, "/v3/kv/range", "no colon"), id="no-colon"),
        pytest.param(rpc(FOO, "/v3/kv/range", "Transfer-Encoding: chunked"), id="length-and-chunked"),
        pytest.param(rpc(FOO, "/v3/kv/range", "Content-Length: 3"), id="two-lengths"),
        pytest.param(rpc(FOO).replace(b": 14", b": -14"), id="negative-length"),
        pytest.param(rpc(FOO).replace(b": 14", b": 1e1"), id="length-no-number"),
        pytest.param(rpc(FOO).replace(b": 14", b": " + b"9" * 30), id="length-beyond-64-bits"),
        pytest.param(rpc(FOO, "/v3/kv/range", "Transfer-Encoding: gzip"), id="unknown-coding"),
        pytest.param(chunked(b"zz\r\n"), id="chunk-size-no-number"),
        pytest.param(chunked(b"-1\r\n"), id="chunk-size-negative"),
        pytest.param(chunked(b"f" * 20 + b"\r\n"), id="chunk-size-beyond-64-bits"),
        pytest.param(chunked(b"2\r\n{}}}\r\n"), id="chunk-longer-than-said"),
        pytest.param(b"POST /v3/kv/range HTTP/1.1\nHost: a\n\n", id="bare-line-feeds"),
    ],
)
async def test_malformed_requests(data: bytes) -> None:
    async with serving() as server, connected(server.port) as client:
        await client.send(data)
        answer = await client.answer()
        assert 400 <= answer.status < 600
        assert answer.headers["access-control-allow-origin"] == "*"
        assert b"Traceback" not in answer.body + await client.rest()
        await server.no_task_left()
        assert server.backend.calls == []


@pytest.mark.anyio
async def test_a_refusal_of_the_listeners_own() -> None:
    async with serving() as server, connected(server.port) as client:
        await client.send(b"GARBAGE\r\n\r\n")
        answer = await client.answer()
        assert (answer.status, answer.body) == (400, b"400 Bad Request")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["connection"] == "close"
        assert "date" in answer.headers
        assert "server" not in answer.headers
        assert await client.rest() == b""


@pytest.mark.anyio
async def test_a_bad_chunk_of_an_answered_request_just_closes() -> None:
    async with serving() as server, connected(server.port) as client:
        await client.send(chunked(b"1\r\nx\r\n", path="/nope"))
        assert (await client.answer()).status == 404
        await client.send(b"zz\r\n")
        assert await client.rest() == b""


@pytest.mark.anyio
async def test_absolute_targets_and_dot_segments() -> None:
    async with serving() as server, connected(server.port) as client:
        await client.send(rpc(FOO, "http://localhost/v3/kv/range"))
        assert (await client.answer()).status == 200
        await client.send(rpc(FOO, "/v3/./kv/../kv/range"))
        answer = await client.answer()
        assert (answer.status, answer.headers["location"]) == (307, "/v3/kv/range")


@pytest.mark.anyio
async def test_an_upgrade_that_is_not_taken_keeps_its_body() -> None:
    """Java's HttpClient offers h2c with each first request."""
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAA")
    lines = "\r\n".join(offer).encode() + b"\r\n"
    async with serving() as server, connected(server.port) as client:
        for data in (
            rpc(FOO, "/v3/kv/range", *offer),
            chunked(b"e\r\n", FOO, b"\r\n0\r\n\r\n", headers=lines),
            rpc(FOO, "/v3/kv/range", *offer) + rpc(FOO),
        ):
            await client.send(data)
            assert (await client.answer()).status == 200
        assert (await client.answer()).status == 200
        await client.send(rpc(FOO, "/v3/kv/range", *offer)[:-3])
        await client.send(FOO[-3:])
        assert (await client.answer()).status == 200
        await client.send(b"GET /version HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n")
        assert (await client.answer()).status == 200
        assert [request for request, _ in server.backend.calls] == [RangeRequest(key=b"foo")] * 5


@pytest.mark.anyio
async def test_a_client_that_goes_away_ends_the_waiting() -> None:
    async with serving() as server, connected(server.port) as client:
        server.backend.gate = asyncio.Event()
        await client.send(rpc(FOO) + rpc(FOO, "/v3/kv/put"))
        await server.backend.waiting.wait()
        client.close()
        async with asyncio.timeout(DEADLINE):
            await server.backend.canceled.wait()
        await server.no_task_left()
        assert len(server.backend.calls) == 1  # the queued put was never begun


@pytest.mark.anyio
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_above_its_bound_gets_its_answer_although_it_is_still_coming(
    is_chunked: bool,  # noqa: FBT001 - a column of a table
) -> None:
    mib = b"x" * 1024 * 1024
    if is_chunked:
        pieces = [chunked(path="/v3/kv/put"), *([b"100000\r\n" + mib + b"\r\n"] * 20)]
    else:
        pieces = [rpc(mib * 20, "/v3/kv/put")[: -20 * len(mib)], *([mib] * 20)]
    async with serving() as server, connected(server.port) as client:
        sending = asyncio.create_task(_send_all(client, pieces))
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (429, "close")
        assert b"received message larger than max" in answer.body
        await client.rest()
        await sending
        await server.no_task_left()
        assert server.backend.calls == []


async def _send_all(client: Client, pieces: list[bytes]) -> None:
    for piece in pieces:
        await client.send(piece)


@pytest.mark.anyio
async def test_a_large_body_within_its_bound() -> None:
    value = b"QUJD" * 500_000
    async with serving() as server, connected(server.port) as client:
        await client.send(rpc(b'{"key":"Zm9v","value":"%b"}' % value, "/v3/kv/put"))
        assert (await client.answer()).status == 200
        (call,) = server.backend.calls
        assert call[0] == PutRequest(key=b"foo", value=b"ABC" * 500_000)


@pytest.mark.anyio
async def test_http2_is_refused_in_its_own_terms() -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
    headers = bytes((0, 0, 1, 1, 5, 0, 0, 0, 1)) + b"\x82"
    async with serving() as server, connected(server.port) as client:
        for byte in preface + headers:
            await client.send(bytes((byte,)))
        frames = await asyncio.wait_for(client.reader.readuntil(b"etcdctl"), DEADLINE)
        assert frames.startswith(bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)) + bytes((0, 0, 0, 4, 1, 0, 0, 0, 0)))
        assert b"raftgatectl" in frames
        assert server.backend.calls == []


@pytest.mark.anyio
@pytest.mark.skipif(sys.platform != "linux", reason="TCP_QUICKACK is Linux's")
async def test_head_and_body_in_two_segments_wait_for_no_delayed_acknowledgement() -> None:
    """A client with Nagle's algorithm on holds the body back until the head is acknowledged: 40 ms if that is late."""
    async with serving() as server:
        times = await asyncio.to_thread(_two_segments, server.port)
    assert median(times) < 0.02


def _two_segments(port: int) -> list[float]:
    import socket  # noqa: PLC0415 - kept beside its one blocking user
    import time  # noqa: PLC0415 - likewise

    times = []
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock:
        for _ in range(15):
            began = time.perf_counter()
            sock.sendall(rpc(FOO)[: -len(FOO)])
            sock.sendall(FOO)
            answer = b""
            while not answer.endswith(b"}}"):
                answer += sock.recv(4096)
            assert answer.startswith(b"HTTP/1.1 200")
            times.append(time.perf_counter() - began)
    return times


@pytest.mark.anyio
async def test_a_backend_double_is_not_needed_to_be_asked_for_what_the_listener_refuses() -> None:
    backend = FakeBackend()
    async with serving(backend=backend) as server, connected(server.port) as client:
        await client.send(b"\r\n" * 1000 + rpc(FOO))  # empty lines before a request are skipped (RFC 9112 2.2)
        assert (await client.answer()).status == 200
        assert len(backend.calls) == 1
