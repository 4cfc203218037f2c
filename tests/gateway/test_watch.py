import asyncio
import json
from typing import Any

import pytest

from raftgate.api.errors import NoLeader, NotSupportedForLearner, Stopped
from raftgate.api.watch import WatchCancelRequest, WatchCreateRequest, WatchProgressRequest, WatchRequest
from tests.fakes.backend import FakeBackend
from tests.fakes.loopback import DEADLINE, chunked, rpc
from tests.fakes.streams import CREATE, CREATED, delete, put, streaming, until

PATH = "/v3/watch"
CREATE_A = WatchRequest(create_request=WatchCreateRequest(key=b"a"))
LABELS = {"grpc_service": "etcdserverpb.Watch", "grpc_method": "Watch", "grpc_type": "bidi_stream"}


@pytest.mark.anyio
async def test_created_then_events_and_the_end_of_the_request_ends_nothing() -> None:
    async with streaming() as server, server.client(rpc(CREATE, PATH)) as client:
        head = await client.head()
        assert (head.status, head.headers["content-type"]) == (200, "application/json")
        assert head.headers["transfer-encoding"] == "chunked"
        assert await client.line() == CREATED
        stream = await server.stream()
        assert stream.requests == [CREATE_A]
        stream.happen(put(b"a", 4), delete(b"a", 4))
        events = (await client.line())["result"]["events"]
        assert events[0]["kv"]["key"] == "YQ=="
        assert events[1] == {"type": "DELETE", "kv": {"key": "YQ==", "mod_revision": "4"}}


@pytest.mark.anyio
async def test_responses_that_come_together_have_a_chunk_each() -> None:
    async with streaming() as server, server.client(rpc(CREATE * 3, PATH)) as client:
        await client.head()
        for _ in range(3):
            await client.line()


@pytest.mark.anyio
async def test_the_head_comes_with_the_first_request_or_the_end_of_the_body() -> None:
    async with streaming() as server:
        for sent in (rpc(b"", PATH), rpc(b"{}", PATH), chunked(b"2\r\n{}\r\n", path=PATH)):
            async with server.client(sent) as client:
                assert (await client.head()).status == 200
                stream = await server.stream()
            await until(stream.closed)


@pytest.mark.anyio
async def test_later_requests_on_an_open_body_are_served() -> None:
    async with streaming() as server, server.client(chunked(path=PATH)) as client:
        await client.send(b"%x\r\n%b\r\n" % (len(CREATE), CREATE))
        await client.head()
        assert await client.line() == CREATED
        stream = await server.stream()
        later = b'{"cancel_request":{}} {"progress_request":{}}'
        for index in range(len(later)):
            await client.send(b"1\r\n%b\r\n" % later[index : index + 1])
        assert (await client.line())["result"]["canceled"] is True
        assert (await client.line())["result"]["watch_id"] == "-1"
        assert stream.requests[1:] == [
            WatchRequest(cancel_request=WatchCancelRequest()),
            WatchRequest(progress_request=WatchProgressRequest()),
        ]
        await client.send(b"0\r\n\r\n")
        stream.happen(put(b"a", 4))
        assert (await client.line())["result"]["events"]


@pytest.mark.anyio
@pytest.mark.parametrize("body", [b"null", b"[]", b"x", b'{"create_request":5}', b'{"create_request":{'])
async def test_a_malformed_first_request_is_refused(body: bytes) -> None:
    async with streaming() as server, server.client(rpc(body, PATH)) as client:
        refusal = await client.answer()
        assert (refusal.status, json.loads(refusal.body)["code"]) == (400, 3)
        assert server.backend.watch_callers == []
        assert server.sample("grpc_server_started_total", **LABELS) == 0


@pytest.mark.anyio
@pytest.mark.parametrize("rest", [b'{"create_request":5}' + CREATE, b"null" + CREATE, b"," + CREATE, b'{"create'])
async def test_a_malformed_later_request_ends_the_reading_but_not_the_watch(rest: bytes) -> None:
    async with streaming() as server, server.client(rpc(CREATE + rest, PATH)) as client:
        await client.head()
        assert await client.line() == CREATED
        stream = await server.stream()
        stream.happen(put(b"a", 4))
        assert (await client.line())["result"]["events"]
        assert len(stream.requests) == 1


@pytest.mark.anyio
async def test_a_refused_stream_has_its_status() -> None:
    backend = FakeBackend()
    backend.watch_error = NotSupportedForLearner()
    async with streaming(backend=backend) as server, server.client(rpc(CREATE, PATH)) as client:
        refusal = await client.answer()
        assert refusal.status == 400
        assert json.loads(refusal.body)["error"]["message"] == "etcdserver: rpc not supported for learner"
        del server


@pytest.mark.anyio
async def test_an_error_of_the_stream_is_its_last_line() -> None:
    async with streaming() as server, server.client(rpc(CREATE, PATH)) as client:
        await client.head()
        await client.line()
        (await server.stream()).fail(NoLeader())
        assert (await client.line())["error"]["grpc_code"] == 14
        assert await client.chunk() == b""


@pytest.mark.anyio
async def test_a_deadline_is_the_last_line() -> None:
    async with streaming() as server, server.client(rpc(CREATE, PATH, "Grpc-Timeout: 100m")) as client:
        await client.head()
        await client.line()
        error = {
            "grpc_code": 4,
            "http_code": 504,
            "message": "context deadline exceeded",
            "http_status": "Gateway Timeout",
            "code": 4,
        }
        assert await client.line() == {"error": error}
        assert await client.chunk() == b""
        await until((await server.stream()).closed)


@pytest.mark.anyio
async def test_what_the_caller_shows_reaches_the_backend() -> None:
    sent = rpc(CREATE, PATH, "Authorization: tok", "Grpc-Metadata-Hasleader: true")
    async with streaming() as server, server.client(sent) as client:
        await client.head()
        (caller,) = server.backend.watch_callers
        assert (caller.token, caller.needs_leader) == ("tok", True)


@pytest.mark.anyio
@pytest.mark.parametrize("behind", [b"", rpc(b'{"key":"YQ=="}'), b"garbage\0"], ids=["idle", "pipelined", "garbage"])
async def test_a_client_that_goes_frees_its_watches_at_once(behind: bytes) -> None:
    async with streaming() as server:
        async with server.client(rpc(CREATE, PATH), behind) as client:
            await client.head()
            await client.line()
            stream = await server.stream()
            assert server.sample("raftgate_streams_open", kind="watch_ndjson") == 1
        await until(stream.closed)
        await server.no_task_left()
        assert server.backend.calls == []  # nothing is answered behind a stream without end
        assert server.sample("raftgate_streams_open", kind="watch_ndjson") == 0
        assert server.sample("raftgate_stream_closed_total", kind="watch_ndjson", reason="client") == 1
        assert server.sample("grpc_server_handled_total", **LABELS, grpc_code="Canceled") == 1
        assert server.sample("raftgate_http_requests_total", route=PATH, method="POST", status="200") == 1


@pytest.mark.anyio
async def test_what_comes_behind_later_hides_no_going_either() -> None:
    async with streaming() as server:
        async with server.client(rpc(CREATE, PATH)) as client:
            await client.head()
            await client.line()
            stream = await server.stream()
            for _ in range(3):
                await client.send(rpc(b'{"key":"YQ=="}') * 2000)
            stream.happen(put(b"a", 4))
            assert (await client.line())["result"]["events"]
        await until(stream.closed)


@pytest.mark.anyio
async def test_a_stop_cuts_the_stream() -> None:
    async with streaming() as server, server.client(rpc(CREATE, PATH)) as client:
        await client.head()
        await client.line()
        await asyncio.wait_for(server.listener.stop(30.0), 5.0)
        assert await client.rest() == b""
        await until((await server.stream()).closed)
        assert server.sample("raftgate_stream_closed_total", kind="watch_ndjson", reason="shutdown") == 1


@pytest.mark.anyio
async def test_a_store_that_stops_cuts_the_stream() -> None:
    async with streaming() as server, server.client(rpc(CREATE, PATH)) as client:
        await client.head()
        await client.line()
        (await server.stream()).fail(Stopped())
        assert await client.rest() == b""


@pytest.mark.anyio
async def test_a_stop_ends_streams_whose_clients_never_read() -> None:
    async with streaming() as server, server.client(rpc(CREATE, PATH)) as client:
        stream = await server.stream()
        for revision in range(4, 44):
            stream.happen(put(b"a", revision, b"x" * 1_000_000))
        await client.head()
        await asyncio.wait_for(server.listener.stop(30.0), 5.0)


@pytest.mark.anyio
async def test_who_does_not_read_is_told_nothing_more() -> None:
    async with streaming() as server, server.client(rpc(CREATE, PATH)) as client:
        stream = await server.stream()
        for revision in range(4, 204):
            stream.happen(put(b"a", revision, b"x" * 100_000))
        await client.head()
        await client.line()
        await client.line()
        connection = await server.blocked()
        transport: Any = connection.transport  # Any: ours has no such method, the one within it does
        assert transport._transport.get_write_buffer_size() < 400_000
        assert stream._queue.qsize() > 50
        for _ in range(199):
            assert (await client.line())["result"]["events"]


@pytest.mark.anyio
async def test_who_does_not_read_is_not_listened_to() -> None:
    async with streaming() as server, server.client(chunked(path=PATH)) as client:
        body = CREATE * 200
        await client.send(b"%x\r\n%b\r\n" % (len(CREATE), CREATE))
        stream = await server.stream()
        for revision in range(4, 204):
            stream.happen(put(b"a", revision, b"x" * 100_000))
        await client.head()
        await server.blocked()
        await client.send(b"%x\r\n%b\r\n" % (len(body), body))
        for _ in range(1000):  # turns of the loop in which more would be read
            await asyncio.sleep(0)
        assert len(stream.requests) <= 34
        for _ in range(401):
            await client.line()
        assert len(stream.requests) == 201


@pytest.mark.anyio
async def test_many_streams_share_a_line() -> None:
    async with streaming() as server:
        clients = [server.client(rpc(CREATE, PATH)) for _ in range(3)]
        async with clients[0] as first, clients[1] as second, clients[2] as third:
            streams = [await server.stream() for _ in range(3)]
            response = streams[0].happen(put(b"a", 4))
            for stream in streams[1:]:
                stream.tell(response)
            for client in (first, second, third):
                await client.head()
                assert await client.line() == CREATED
                assert (await client.line())["result"]["events"][0]["kv"]["mod_revision"] == "4"
            assert server.sample("raftgate_stream_events_total", kind="watch_ndjson") == 3


@pytest.mark.anyio
async def test_http_1_0() -> None:
    async with streaming() as server, server.client(rpc(CREATE, PATH, version="1.0")) as client:
        assert "transfer-encoding" not in (await client.head()).headers
        assert json.loads(await asyncio.wait_for(client.reader.readline(), DEADLINE)) == CREATED
        (await server.stream()).happen(put(b"a", 4))
        assert json.loads(await asyncio.wait_for(client.reader.readline(), DEADLINE))["result"]["events"]


@pytest.mark.anyio
async def test_a_large_line_is_one_chunk() -> None:
    async with streaming() as server, server.client(rpc(CREATE, PATH)) as client:
        await client.head()
        await client.line()
        (await server.stream()).happen(put(b"a", 4, b"x" * 3_000_000))
        assert len((await client.line())["result"]["events"][0]["kv"]["value"]) == 4_000_000


@pytest.mark.anyio
async def test_a_request_that_waits_to_be_told_to_go_on() -> None:
    head = rpc(CREATE, PATH, "Expect: 100-continue")[: -len(CREATE)]
    async with streaming() as server, server.client(head) as client:
        assert (await client.head()).status == 100
        await client.send(CREATE)
        assert (await client.head()).status == 200
        assert await client.line() == CREATED
        del server
