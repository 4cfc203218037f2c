from collections.abc import Iterator
from itertools import islice

import httpx
import pytest

from raftgate.api.concurrency import LeaderResponse, LockRequest, LockResponse
from raftgate.ctl.client import CallError, connect
from raftgate.ctl.streams import results, wait
from tests.fakes.terminal import NOTHING_LISTENS, Answer, FakeServer, Terminal, failure

PATH = "/v3/election/observe"
UNAVAILABLE = failure(503, 14, "etcdserver: no leader")


class Broken(httpx.SyncByteStream):
    """A body whose connection breaks after some bytes."""

    def __init__(self, *parts: bytes) -> None:
        self.parts = parts

    def __iter__(self) -> Iterator[bytes]:
        yield from self.parts
        raise httpx.ReadError("reset")


def line(value: bytes) -> bytes:
    return b'{"result":{"kv":{"key":"%b"}}}\n' % value


def terminal(*answers: Answer) -> Terminal:
    left = iter(answers)
    return Terminal(FakeServer(on_request=lambda _: next(left)))


def read(on: Terminal, count: int, *flags: str) -> list[bytes]:
    """The keys of the first results."""
    with connect(on.invocation(["elect", "-l", "e", *flags])) as client:
        answers = results(client, PATH, lambda: b"{}", LeaderResponse)
        return [answer.kv.key for answer in islice(answers, count) if answer.kv]


def test_results_of_a_stream_that_breaks() -> None:
    first = httpx.Response(200, stream=Broken(line(b"YQ==") + b"\n" + line(b"Yg=="), line(b"Yw==")[:9]))
    on = terminal(first, httpx.Response(200, content=line(b"ZA==")), httpx.Response(200, content=line(b"ZQ==")))
    assert read(on, 4) == [b"a", b"b", b"d", b"e"]


def test_a_line_in_pieces() -> None:
    whole = line(b"YQ==") + line(b"Yg==")
    pieces = httpx.Response(200, stream=Broken(*(whole[at : at + 1] for at in range(len(whole)))))
    assert read(terminal(pieces), 2) == [b"a", b"b"]


def test_nobody_serves_at_first() -> None:
    on = terminal(NOTHING_LISTENS, UNAVAILABLE, httpx.Response(200, content=line(b"YQ==")))
    assert read(on, 1) == [b"a"]
    assert len(on.time.slept) == 2


def test_endpoints_in_turn() -> None:
    on = terminal(NOTHING_LISTENS, NOTHING_LISTENS, httpx.Response(200, content=line(b"YQ==")))
    read(on, 1, "--endpoints=one:1,two:2")
    assert [request.url.host for request in on.server.requests] == ["one", "two", "one"]
    assert on.server.requests[0].headers["grpc-metadata-hasleader"] == "true"
    assert "grpc-timeout" not in on.server.requests[0].headers


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (failure(403, 7, "etcdserver: permission denied"), "etcdserver: permission denied"),
        (
            httpx.Response(200, content=b'{"error":{"code":7,"message":"etcdserver: permission denied"}}\n'),
            "etcdserver: permission denied",
        ),
        (httpx.Response(200, content=b"nonsense\n"), "malformed answer from server"),
        (httpx.Response(200, content=b'{"result":{"kv":7}}\n'), "malformed answer from server"),
    ],
    ids=["status", "line", "no JSON", "no answer"],
)
def test_refusals_end_a_stream(answer: httpx.Response, text: str) -> None:
    with pytest.raises(CallError, match=text):
        read(terminal(answer), 1)


def test_an_error_on_the_way_that_may_pass() -> None:
    passing = b'{"error":{"grpc_code":14,"code":14,"message":"etcdserver: no leader"}}\n'
    on = terminal(httpx.Response(200, content=passing), httpx.Response(200, content=line(b"YQ==")))
    assert read(on, 1) == [b"a"]


def test_lines_without_a_result_are_passed_over() -> None:
    assert read(terminal(httpx.Response(200, content=b"{}\n" + line(b"YQ=="))), 1) == [b"a"]


def test_each_connection_is_told() -> None:
    opened: list[int] = []
    on = terminal(httpx.Response(200, content=line(b"YQ==")), httpx.Response(200, content=line(b"Yg==")))
    with connect(on.invocation(["elect", "-l", "e"])) as client:
        answers = results(client, PATH, lambda: b"{}", LeaderResponse, lambda seen: opened.append(seen.status_code))
        next(answers)
        next(answers)
    assert opened == [200, 200]


def test_waiting_for_an_answer() -> None:
    on = terminal(NOTHING_LISTENS, httpx.ReadError("reset"), UNAVAILABLE, LockResponse(key=b"m/1"))
    with connect(on.invocation(["lock", "m"])) as client:
        assert wait(client, LockRequest(name=b"m")).key == b"m/1"
    assert on.server.sent(LockRequest) == [LockRequest(name=b"m")] * 4
    assert "grpc-timeout" not in on.server.requests[0].headers


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (failure(500, 2, "mutex: session is expired"), "code = Unknown desc = mutex: session is expired"),
        (httpx.Response(200, content=b"[]"), "malformed answer from server"),
    ],
)
def test_waiting_in_vain(answer: httpx.Response, text: str) -> None:
    with connect(terminal(answer).invocation(["lock", "m"])) as client, pytest.raises(CallError, match=text):
        wait(client, LockRequest())
