import asyncio
import json
import logging

import httpx
import pytest
from httpx_sse import ServerSentEvent, aconnect_sse

from raftgate.api.errors import NoLeader, NotSupportedForLearner, Stopped
from raftgate.api.watch import WatchCreateRequest, WatchResponse
from tests.fakes.backend import HEADER, FakeBackend
from tests.fakes.loopback import DEADLINE, rpc
from tests.fakes.streams import CREATE, StreamClient, delete, put, streaming, until

PATH = "/v3/watch"


def get(query: str, *headers: str) -> bytes:
    lines = [f"GET {PATH}?{query} HTTP/1.1", "Host: localhost", "Accept: text/event-stream", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


async def opened(client: StreamClient, revision: bytes = b"3") -> None:
    head = await client.head()
    assert head.status == 200, head.headers
    assert head.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert head.headers["access-control-allow-origin"] == "*"
    assert await client.chunk() == b"id: %b\n\n" % revision


@pytest.mark.anyio
@pytest.mark.parametrize("sent", [get("key=YQ=="), rpc(CREATE, PATH, "Accept: text/event-stream")], ids=["GET", "POST"])
async def test_events(sent: bytes) -> None:
    async with streaming() as server, server.client(sent) as client:
        await opened(client)
        stream = await server.stream()
        assert stream.requests[0].create_request == WatchCreateRequest(key=b"a")
        stream.happen(put(b"a", 4), delete(b"a", 4))
        blocks = (await client.chunk()).split(b"\n\n")
        assert [block.split(b"\n")[:2] for block in blocks[:-1]] == [
            [b"event: put", b"id: 4.1"],
            [b"event: delete", b"id: 4"],
        ]
        assert server.sample("raftgate_streams_open", kind="watch_sse") == 1
        assert server.sample("raftgate_stream_events_total", kind="watch_sse") == 2


@pytest.mark.anyio
async def test_a_client_that_was_not_written_here() -> None:
    async with streaming() as server, httpx.AsyncClient() as http:
        url = f"http://127.0.0.1:{server.port}{PATH}"
        async with aconnect_sse(http, "GET", url, params={"key": "a", "encoding": "utf8"}) as source:
            (await server.stream()).happen(put(b"a", 4, b"one"), put(b"b", 4, b"two"))
            events: list[ServerSentEvent] = []
            async for event in source.aiter_sse():
                events.append(event)
                if event.id == "4":
                    break
        told = [(event.event, event.id, json.loads(event.data)["kv"]["value"]) for event in events if event.data]
        assert told == [("put", "4.1", "one"), ("put", "4", "two")]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("query", "given_back", "start", "opening"),
    [
        ("key=YQ==&start_revision=2", "", 2, b"1"),  # not the created revision: 2 and 3 are still to be told
        ("key=YQ==&start_revision=100", "", 100, b"99"),
        ("key=YQ==&start_revision=2", "7", 8, b"7"),
        ("key=YQ==", "7.1", 7, b"7.1"),
    ],
)
async def test_where_a_stream_opens(query: str, given_back: str, start: int, opening: bytes) -> None:
    headers = (f"Last-Event-ID: {given_back}",) if given_back else ()
    async with streaming() as server, server.client(get(query, *headers)) as client:
        await opened(client, opening)
        request = (await server.stream()).requests[0].create_request
        assert request is not None
        assert request.start_revision == start


@pytest.mark.anyio
async def test_a_client_resumes_within_a_revision() -> None:
    async with streaming() as server, server.client(get("key=YQ==&prefix=true", "Last-Event-ID: 5.2")) as client:
        await opened(client, b"5.2")
        stream = await server.stream()
        stream.happen(put(b"a", 5), put(b"b", 5), put(b"c", 5))
        stream.happen(put(b"a", 6), put(b"b", 6))
        text = await client.chunk()
        assert text.startswith(b"event: put\nid: 5\n")
        assert b"Yw==" in text
        assert (await client.chunk()).startswith(b"event: put\nid: 6.1\n")


@pytest.mark.anyio
async def test_the_last_of_a_revision_was_told_though_its_id_was_not() -> None:
    async with streaming() as server, server.client(get("key=YQ==", "Last-Event-ID: 5.1")) as client:
        await opened(client, b"5.1")
        stream = await server.stream()
        stream.happen(put(b"a", 5))
        stream.happen(put(b"a", 6))
        assert (await client.chunk()).startswith(b"event: put\nid: 6\n")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("reason", "status", "code", "text"),
    [
        ("mvcc: watcher range is empty", 400, 3, "mvcc: watcher range is empty"),
        (
            "etcdserver: mvcc: required revision has been compacted",
            400,
            11,
            "etcdserver: mvcc: required revision has been compacted",
        ),
        (
            "rpc error: code = PermissionDenied desc = etcdserver: permission denied",
            403,
            7,
            "etcdserver: permission denied",
        ),
        (
            "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token",
            401,
            16,
            "etcdserver: invalid auth token",
        ),
        (
            "rpc error: code = InvalidArgument desc = etcdserver: user name is empty",
            400,
            3,
            "etcdserver: user name is empty",
        ),
    ],
)
async def test_a_refused_watch_has_its_status(reason: str, status: int, code: int, text: str) -> None:
    backend = FakeBackend()
    backend.watch_answers = [WatchResponse(watch_id=-1, created=True, canceled=True, cancel_reason=reason)]
    async with streaming(backend=backend) as server, server.client(get("key=YQ==")) as client:
        refusal = await client.answer()
        error = json.loads(refusal.body)
        assert refusal.status == status
        assert (error.get("error") if code == 3 and "mvcc" in text else error["error"]) is not None
        assert text.encode() in refusal.body
        await until((await server.stream()).closed)


@pytest.mark.anyio
async def test_bad_requests_are_refused_before_the_backend_is_asked() -> None:
    async with streaming() as server:
        for sent in (
            get("key=!"),
            get(""),
            get("key=YQ==", "Last-Event-ID: x"),
            get("key=YQ==", "Grpc-Timeout: x"),
            rpc(b"{}", PATH, "Accept: text/event-stream"),
            rpc(b"null", PATH, "Accept: text/event-stream"),
        ):
            async with server.client(sent) as client:
                refusal = await client.answer()
                assert refusal.status == 400
                assert "connection" not in refusal.headers
        assert server.backend.watch_callers == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "status"), [(NotSupportedForLearner(), 400), (NoLeader(), 503), (KeyError("s"), 500)]
)
async def test_a_refused_stream(error: Exception, status: int) -> None:
    backend = FakeBackend()
    backend.watch_error = error
    async with streaming(backend=backend) as server, server.client(get("key=YQ==")) as client:
        assert (await client.answer()).status == status
        del server


@pytest.mark.anyio
async def test_a_compaction_tells_where_to_go_on_and_ends_the_stream() -> None:
    backend = FakeBackend()
    backend.watch_answers = [
        WatchResponse(header=HEADER, created=True),
        WatchResponse(canceled=True, compact_revision=9),
    ]
    async with streaming(backend=backend) as server, server.client(get("key=YQ==&start_revision=2")) as client:
        await opened(client, b"1")
        assert await client.chunk() == b'event: compacted\nid: 8\ndata: {"compact_revision":"9"}\n\n'
        assert await client.chunk() == b""
        await server.no_task_left()
        assert server.sample("raftgate_stream_closed_total", kind="watch_sse", reason="compacted") == 1


@pytest.mark.anyio
async def test_a_cancel_by_the_server_ends_the_stream() -> None:
    async with streaming() as server, server.client(get("key=YQ==")) as client:
        await opened(client)
        (await server.stream()).tell(WatchResponse(canceled=True, cancel_reason="why"))
        assert await client.chunk() == b'event: canceled\ndata: {"cancel_reason":"why"}\n\n'
        assert await client.chunk() == b""


@pytest.mark.anyio
async def test_an_error_ends_the_stream_with_an_event() -> None:
    async with streaming() as server, server.client(get("key=YQ==")) as client:
        await opened(client)
        (await server.stream()).fail(NoLeader())
        assert await client.chunk() == b'event: canceled\ndata: {"cancel_reason":"etcdserver: no leader"}\n\n'
        assert await client.chunk() == b""


@pytest.mark.anyio
async def test_silence_is_broken_by_progress() -> None:
    async with streaming(sse_progress_seconds=0.02) as server, server.client(get("key=YQ==")) as client:
        await opened(client)
        stream = await server.stream()
        stream.revision = 7
        async with asyncio.timeout(DEADLINE):
            while (chunk := await client.chunk()) != b'event: progress\nid: 7\ndata: {"revision":"7"}\n\n':
                assert chunk.startswith(b"event: progress\nid: 3\n")
        stream.happen(put(b"a", 8))
        stream.revision = 8
        seen = [await client.chunk() for _ in range(20)]
        numbers = [int(text.partition(b"id: ")[2].split(b"\n")[0]) for text in seen]
        assert numbers == sorted(numbers)
        assert b"event: put" in b"".join(seen)


@pytest.mark.anyio
async def test_silence_is_broken_by_a_comment_where_no_progress_is_known() -> None:
    async with streaming(sse_progress_seconds=0.02) as server, server.client(get("key=YQ==")) as client:
        await opened(client)
        stream = await server.stream()
        stream.knows_progress = False
        chunk = await client.chunk()
        while chunk.startswith(b"event: progress"):
            chunk = await client.chunk()
        assert chunk == b":\n\n"


@pytest.mark.anyio
async def test_ids_never_go_back_to_a_revision_before_the_start() -> None:
    async with (
        streaming(sse_progress_seconds=0.02) as server,
        server.client(get("key=YQ==&start_revision=9")) as client,
    ):
        await opened(client, b"8")
        for _ in range(3):
            assert await client.chunk() == b":\n\n"
        del server


@pytest.mark.anyio
@pytest.mark.parametrize("sent", [get("key=YQ==&timeout=0.2"), get("key=YQ==", "Grpc-Timeout: 200m")])
async def test_a_stream_for_a_while_ends_well(sent: bytes) -> None:
    async with streaming() as server, server.client(sent) as client:
        await opened(client)
        stream = await server.stream()
        stream.happen(put(b"a", 4))
        assert (await client.chunk()).startswith(b"event: put\nid: 4\n")
        assert await client.chunk() == b""
        await until(stream.closed)


@pytest.mark.anyio
@pytest.mark.parametrize("sent", [get("key=YQ=="), rpc(CREATE, PATH, "Accept: text/event-stream")], ids=["GET", "POST"])
async def test_a_client_that_goes_frees_its_watch_at_once(sent: bytes) -> None:
    async with streaming() as server:
        async with server.client(sent, get("key=YQ==")) as client:
            await opened(client)
            stream = await server.stream()
        await until(stream.closed)
        await server.no_task_left()
        assert server.sample("raftgate_streams_open", kind="watch_sse") == 0
        assert server.backend.streams.empty()


@pytest.mark.anyio
async def test_a_stop_cuts_the_stream() -> None:
    async with streaming() as server, server.client(get("key=YQ==")) as client, server.client(get("key=YQ==")) as other:
        await opened(client)
        (await server.stream()).fail(Stopped())
        assert await client.rest() == b""
        await opened(other)
        await asyncio.wait_for(server.listener.stop(30.0), 5.0)
        assert await other.rest() == b""


@pytest.mark.anyio
async def test_a_token_in_the_query_is_the_callers_and_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with streaming() as server:
        async with server.client(get("key=YQ==&token=sesame")) as client:
            await opened(client)
        async with server.client(get("key=YQ==&token=sesame", "Authorization: Bearer header")) as client:
            await opened(client)
        server.backend.watch_error = KeyError("sesame")
        async with server.client(get("key=YQ==&token=sesame")) as client:
            assert (await client.answer()).status == 500
        assert [caller.token for caller in server.backend.watch_callers] == ["sesame", "header", "sesame"]
    assert "sesame" not in caplog.text


@pytest.mark.anyio
async def test_without_the_accept_header_nothing_has_changed() -> None:
    async with streaming() as server, server.client(get("key=YQ==").replace(b"text/event-stream", b"*/*")) as client:
        assert (await client.answer()).status == 501
        del server


@pytest.mark.anyio
async def test_a_body_above_its_bound() -> None:
    async with streaming(max_request_bytes=-(4 * 1024 * 1024 - 2000) // 2) as server:
        sent = rpc(b'{"create_request":{"key":"%b"}}' % (b"YQ==" * 1000), PATH, "Accept: text/event-stream")
        async with server.client(sent) as client:
            assert (await client.answer()).status == 429


@pytest.mark.anyio
async def test_a_large_event_in_text() -> None:
    async with streaming() as server, server.client(get("key=a&encoding=utf8")) as client:
        await opened(client)
        (await server.stream()).happen(put(b"a", 4, b"x" * 1_000_000))
        assert b"x" * 1_000_000 in await client.chunk()
