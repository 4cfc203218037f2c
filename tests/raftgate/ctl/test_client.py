from contextlib import suppress

import httpx
import pytest

from raftgate.api.cluster import MemberListRequest
from raftgate.api.errors import Code
from raftgate.api.kv import (
    CompactionRequest,
    DeleteRangeRequest,
    KeyValue,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    RequestOp,
    ResponseHeader,
    TxnRequest,
    TxnResponse,
)
from raftgate.api.maintenance import (
    AlarmAction,
    AlarmRequest,
    DefragmentRequest,
    HashKVRequest,
    MoveLeaderRequest,
    StatusRequest,
)
from raftgate.api.message import Message
from raftgate.ctl.client import CallError, Client, connect
from raftgate.ctl.errors import CommandError, ExitCode
from raftgate.ctl.settings import Settings
from tests.fakes.terminal import NOTHING_LISTENS, Answer, FakeServer, FakeTime, Terminal, failure

GET = RangeRequest(key=b"k")
PUT = PutRequest(key=b"k", value=b"v")
PAIRS = RangeResponse(header=ResponseHeader(revision=7), kvs=(KeyValue(key=b"k", value=b"v"),), count=1)


def settings(*endpoints: str, command_timeout: float = 5.0, request_limit: int = 0, answer_limit: int = 0) -> Settings:
    return Settings(
        endpoints or ("one:1",),
        2.0,
        command_timeout,
        "simple",
        is_hex=False,
        max_request_bytes=request_limit,
        max_recv_bytes=answer_limit,
    )


def client(server: FakeServer, chosen: Settings | None = None, time: FakeTime | None = None) -> Client:
    return Client(chosen or settings(), (time or FakeTime()).clock(), None, httpx.MockTransport(server.handle))


def call(caller: Client, request: Message) -> object:
    return caller.call(request)  # type: ignore[arg-type]  # a request, whatever its answer


def by_host(answers: dict[str, Answer]) -> FakeServer:
    return FakeServer(on_request=lambda request: answers[request.url.host])


def hosts(server: FakeServer) -> list[str]:
    return [request.url.host for request in server.requests]


@pytest.mark.parametrize(
    ("path", "request_", "response"),
    [
        ("/v3/kv/range", GET, PAIRS),
        ("/v3/kv/put", PUT, PutResponse(prev_kv=KeyValue(key=b"k"))),
        ("/v3/kv/txn", TxnRequest(), TxnResponse(succeeded=True)),
    ],
)
def test_a_call_posts_json_and_decodes_the_answer(path: str, request_: Message, response: Message) -> None:
    server = FakeServer({path: response})
    assert call(client(server), request_) == response
    (sent,) = server.requests
    assert sent.method == "POST"
    assert str(sent.url) == f"http://one:1{path}"
    assert sent.headers["content-type"] == "application/json"
    assert sent.headers["grpc-timeout"] == "5000m"
    assert server.sent(type(request_)) == [request_]


def test_an_answer_may_hold_fields_of_newer_servers() -> None:
    server = FakeServer(
        {"/v3/kv/range": httpx.Response(200, content=b'{"header": {"revision": "7"}, "new": {"a": [1]}}')}
    )
    assert client(server).call(GET) == RangeResponse(header=ResponseHeader(revision=7))


@pytest.mark.parametrize(
    ("timeout", "header"), [(0.0004, "400u"), (1.5, "1500m"), (10**6, "99999999m"), (0.0000001, "1u")]
)
def test_the_time_left_travels_with_the_request(timeout: float, header: str) -> None:
    server = FakeServer({"/v3/kv/range": PAIRS})
    client(server, settings(command_timeout=timeout)).call(GET)
    assert server.requests[0].headers["grpc-timeout"] == header


@pytest.mark.parametrize(
    ("answer", "status", "text"),
    [
        (failure(400, 11, "etcdserver: mvcc: required revision has been compacted"), Code.OUT_OF_RANGE,
         "etcdserver: mvcc: required revision has been compacted"),
        (failure(504, 4, "context deadline exceeded"), Code.DEADLINE_EXCEEDED, "context deadline exceeded"),
        (failure(429, 8, "grpc: too large"), Code.RESOURCE_EXHAUSTED,
         "rpc error: code = ResourceExhausted desc = grpc: too large"),
        (httpx.Response(400, json={"code": 3, "message": "only message"}), Code.INVALID_ARGUMENT,
         "rpc error: code = InvalidArgument desc = only message"),
        (httpx.Response(400, json={"code": 99, "error": "only error"}), 99,
         "rpc error: code = Code(99) desc = only error"),
        (httpx.Response(404, text="404 page not found"), Code.UNIMPLEMENTED,
         "rpc error: code = Unimplemented desc = unexpected HTTP status code received from server: 404"),
        (httpx.Response(200, text="<html>"), Code.INTERNAL, None),
    ],
)  # fmt: skip
def test_errors_print_as_in_etcdctl(answer: Answer, status: int, text: str | None) -> None:
    with pytest.raises(CallError) as caught:
        client(FakeServer({"/v3/kv/range": answer})).call(GET)
    assert caught.value.status == status
    assert caught.value.code == ExitCode.ERROR
    if text is not None:
        assert caught.value.text == text


@pytest.mark.parametrize("request_", [GET, PUT], ids=["read", "write"])
def test_the_next_endpoint_is_tried_when_nothing_listens(request_: Message) -> None:
    answer: Answer = PAIRS if request_ is GET else PutResponse()
    server = by_host({"one": NOTHING_LISTENS, "two": httpx.ConnectTimeout("slow"), "three": answer})
    assert call(client(server, settings("one:1", "two:1", "three:1")), request_) == answer
    assert hosts(server) == ["one", "two", "three"]


@pytest.mark.parametrize("request_", [GET, PUT], ids=["read", "write"])
def test_the_time_ends_the_search(request_: Message) -> None:
    server, time = FakeServer(on_request=lambda _: NOTHING_LISTENS), FakeTime()
    with pytest.raises(CallError) as caught:
        call(client(server, settings("one:1", "two:1"), time), request_)
    assert caught.value.text == "context deadline exceeded"
    assert time.now == pytest.approx(105.0, abs=0.01)
    assert set(hosts(server)) == {"one", "two"}


@pytest.mark.parametrize("timeout", [0.0, -1.0])
def test_no_time_at_all_sends_nothing(timeout: float) -> None:
    server = FakeServer()
    with pytest.raises(CallError, match="context deadline exceeded"):
        client(server, settings(command_timeout=timeout)).call(GET)
    assert server.requests == []


def test_a_read_is_sent_again_after_a_lost_connection_or_when_a_member_is_unavailable() -> None:
    server = by_host(
        {"one": httpx.ReadError("reset"), "two": failure(503, 14, "etcdserver: no leader"), "three": PAIRS}
    )
    assert client(server, settings("one:1", "two:1", "three:1")).call(GET) == PAIRS


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (httpx.ReadError("reset"), "rpc error: code = Unavailable desc = error reading from server: reset"),
        (failure(503, 14, "etcdserver: request timed out"), "etcdserver: request timed out"),
    ],
)
def test_a_write_that_may_have_arrived_is_never_sent_again(answer: Answer, text: str) -> None:
    server = by_host({"one": answer, "two": PutResponse()})
    with pytest.raises(CallError) as caught:
        client(server, settings("one:1", "two:1")).call(PUT)
    assert caught.value.text == text
    assert hosts(server) == ["one"]


def test_a_write_without_answer_until_the_time_is_up_exceeds_the_deadline() -> None:
    time = FakeTime()

    def answer(_: httpx.Request) -> Answer:
        time.now += 5
        return httpx.ReadTimeout("")

    with pytest.raises(CallError, match="context deadline exceeded"):
        client(FakeServer(on_request=answer), time=time).call(PUT)


def test_an_answer_that_trickles_past_the_time_is_given_up() -> None:
    time = FakeTime()

    class Trickle(httpx.SyncByteStream):
        def __iter__(self):  # type: ignore[no-untyped-def]  # bytes one by one
            while True:
                time.now += 1
                yield b" "

    server = FakeServer({"/v3/kv/range": httpx.Response(200, stream=Trickle())})
    with pytest.raises(CallError, match="context deadline exceeded"):
        client(server, time=time).call(GET)


@pytest.mark.parametrize(
    ("request_", "sent"),
    [
        (AlarmRequest(action=AlarmAction.DEACTIVATE), 2),
        (StatusRequest(), 2),
        (HashKVRequest(), 2),
        (MemberListRequest(), 2),
        (MoveLeaderRequest(targetID=5), 2),
        (DefragmentRequest(), 1),
        (CompactionRequest(revision=5), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_may_be_sent_again(request_: Message, sent: int) -> None:
    server = FakeServer(on_request=lambda _: httpx.ReadError("reset"))
    time = FakeTime()
    with pytest.raises(CallError):
        call(client(server, settings("one:1", "two:1", command_timeout=0.02), time), request_)
    assert len(server.requests) == sent


def test_a_txn_counts_as_a_read_when_it_changes_nothing() -> None:
    get, put = RequestOp(request_range=GET), RequestOp(request_put=PUT)
    delete = RequestOp(request_delete_range=DeleteRangeRequest(key=b"k"))
    reads = [TxnRequest(success=(get,)), TxnRequest(failure=(RequestOp(request_txn=TxnRequest(success=(get,))),))]
    writes = [
        TxnRequest(failure=(put,)),
        TxnRequest(success=(get, delete)),
        TxnRequest(success=(RequestOp(request_txn=TxnRequest(failure=(put,))),)),
    ]
    for txn, sent in [(txn, 2) for txn in reads] + [(txn, 1) for txn in writes]:
        server = by_host({"one": httpx.ReadError("reset"), "two": TxnResponse()})
        with suppress(CallError):
            client(server, settings("one:1", "two:1")).call(txn)
        assert len(server.requests) == sent, txn


def test_limits_of_the_client_itself() -> None:
    server = FakeServer({"/v3/kv/put": PutResponse(), "/v3/kv/range": PAIRS})
    limited = client(server, settings(request_limit=5, answer_limit=10))
    limited.call(PutRequest(key=b"k", value=b"1234"))
    with pytest.raises(CallError) as caught:
        limited.call(TxnRequest(success=(RequestOp(request_put=PutRequest(key=b"k", value=b"12345")),)))
    assert caught.value.text == (
        "rpc error: code = ResourceExhausted desc = trying to send message larger than max (6 vs. 5)"
    )
    with pytest.raises(CallError, match="received message larger than max"):
        limited.call(GET)


def test_no_endpoints_are_a_bad_connection() -> None:
    with pytest.raises(CommandError) as caught:
        connect(Terminal().invocation(["get", "k", "--endpoints="]))
    assert (caught.value.text, caught.value.code) == ("etcdclient: no available endpoints", ExitCode.BAD_CONNECTION)


def test_debug_tells_of_attempts() -> None:
    server = by_host({"one": NOTHING_LISTENS, "two": PAIRS})
    outcome = Terminal(server).run("get", "k", "--endpoints=one:1,two:1", "--debug")
    assert "http://one:1: Connection refused\n" in outcome.err
