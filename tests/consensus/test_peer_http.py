import asyncio
from contextlib import suppress

import pytest

from consensus.peer_http import MAX_HEAD_BYTES, Answer, Calls, PeerUnreachable, parse_url, request_head
from tests.fakes.loopback import DEADLINE, free_socket
from tests.fakes.peers import raw_server

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


class Answering:
    """A server that gives one answer a request."""

    def __init__(self, *answers: bytes, close: bool = False) -> None:
        self._answers = answers
        self._close = close
        self.connections = 0
        self.requests: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        for answer in self._answers:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            self.requests.append(head + await reader.readexactly(length))
            writer.write(answer)
        if self._close:
            await writer.drain()
            writer.close()
        else:
            await reader.read()


def ok(body: bytes, *headers: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (
        b"".join(header + b"\r\n" for header in headers),
        len(body),
        body,
    )


async def ask(port: int, calls: Calls | None = None, body: bytes = b"") -> Answer:
    async with asyncio.timeout(DEADLINE):
        return await (calls or Calls()).request("POST", f"http://127.0.0.1:{port}", "/path", {"x-a": "b"}, body)


async def test_an_answer_comes_with_status_headers_and_body() -> None:
    serve = Answering(ok(b"text", b"X-Some: Thing"))
    async with raw_server(serve) as port:
        answer = await ask(port, body=b"question")
    assert answer == Answer(200, {"x-some": "Thing", "content-length": "4"}, b"text")
    assert serve.requests == [
        f"POST /path HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-length: 8\r\nx-a: b\r\n\r\nquestion".encode()
    ]


async def test_a_connection_is_kept_for_the_next_request() -> None:
    serve = Answering(ok(b"1"), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n2\r\n0\r\n\r\n", ok(b"3"))
    calls = Calls()
    async with raw_server(serve) as port:
        assert [(await ask(port, calls)).body for _ in range(3)] == [b"1", b"2", b"3"]
        assert serve.connections == 1
        calls.close()


async def test_requests_at_once_take_a_connection_each() -> None:
    serve = Answering(ok(b"1"))
    async with raw_server(serve) as port:
        answers = await asyncio.gather(*(ask(port, calls) for calls in [Calls()] * 5))
        assert [answer.body for answer in answers] == [b"1"] * 5
        assert serve.connections == 5


async def test_a_connection_that_the_peer_closes_is_not_used_again() -> None:
    serve = Answering(ok(b"1", b"Connection: close"), close=True)
    calls = Calls()
    async with raw_server(serve) as port:
        for _ in range(3):
            assert (await ask(port, calls)).body == b"1"
        assert serve.connections == 3


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"\0\xff garbage",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n",
        ok(b"y" * 2000),
    ],
)
async def test_what_is_no_answer_is_an_unreachable_peer(answer: bytes) -> None:
    async with raw_server(Answering(answer, close=True)) as port:
        with pytest.raises(PeerUnreachable):
            await ask(port, Calls(max_answer_bytes=1000))


async def test_nobody_is_there() -> None:
    sock = free_socket()
    port: int = sock.getsockname()[1]
    sock.close()
    with pytest.raises(PeerUnreachable, match=r"refused|Connect"):
        await ask(port)


async def test_who_gives_up_leaves_no_connection_behind() -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        with suppress(ConnectionError):
            await reader.read()
        gone.set()

    async with raw_server(serve) as port:
        task = asyncio.create_task(ask(port))
        await asked.wait()
        task.cancel()
        async with asyncio.timeout(DEADLINE):
            await gone.wait()
        assert (await asyncio.gather(task, return_exceptions=True))[0].__class__ is asyncio.CancelledError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://10.0.0.1:2380", ("10.0.0.1", 2380, "10.0.0.1:2380", False)),
        ("http://[::1]:2380", ("::1", 2380, "[::1]:2380", False)),
        ("https://host", ("host", 443, "host", True)),
        ("http://host", ("host", 80, "host", False)),
    ],
)
def test_urls(url: str, expected: tuple[str, int, str, bool]) -> None:
    assert parse_url(url) == expected


@pytest.mark.parametrize("url", ["", "garbage", "unix://socket", "http://:2380", "http://host:port"])
async def test_what_is_no_url_is_unreachable(url: str) -> None:
    with pytest.raises(ValueError):
        parse_url(url)
    with pytest.raises(PeerUnreachable):
        await Calls().request("GET", url, "/", {})


def test_a_body_without_length_comes_in_chunks() -> None:
    head = request_head("POST", "/p", parse_url("http://h:1"), {}, None)
    assert head == b"POST /p HTTP/1.1\r\nhost: h:1\r\ntransfer-encoding: chunked\r\n\r\n"
