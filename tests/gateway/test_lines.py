import json

import pytest

from gateway.lines import Rendered, error_line, is_heavy, result_line
from raftgate.api.errors import Canceled, DeadlineExceeded, NotSupportedForLearner
from raftgate.api.kv import KeyValue
from raftgate.api.lease import LeaseKeepAliveResponse
from raftgate.api.watch import Event, WatchResponse
from tests.fakes.streams import put


def test_a_message_is_an_object_on_a_line() -> None:
    assert result_line(LeaseKeepAliveResponse(ID=7, TTL=60)) == b'{"result":{"ID":"7","TTL":"60"}}\n'


def test_an_error_has_the_fields_of_both_generations() -> None:
    assert json.loads(error_line(NotSupportedForLearner())) == {
        "error": {
            "grpc_code": 9,
            "http_code": 400,
            "message": "etcdserver: rpc not supported for learner",
            "http_status": "Bad Request",
            "code": 9,
        }
    }
    assert json.loads(error_line(DeadlineExceeded()))["error"]["http_status"] == "Gateway Timeout"
    assert json.loads(error_line(Canceled()))["error"]["http_status"] == ""


def test_a_shared_response_is_rendered_once() -> None:
    made: list[WatchResponse] = []

    def render(response: WatchResponse) -> bytes:
        made.append(response)
        return b"%d" % len(made)

    rendered = Rendered(render)
    first, twin = (WatchResponse(events=(put(b"a", 4),)) for _ in range(2))
    assert [rendered.get(first), rendered.get(first), rendered.get(twin)] == [b"1", b"1", b"2"]
    assert [rendered.get(WatchResponse(created=True)) for _ in range(2)] == [b"3", b"4"]


def test_what_is_kept_is_bounded() -> None:
    rendered = Rendered(lambda _: b"x" * 300_000)
    responses = [WatchResponse(events=(put(b"a", revision),)) for revision in range(200)]
    for response in responses:
        rendered.get(response)
        assert rendered._bytes <= 1024 * 1024
    small = Rendered(lambda _: b"")
    for response in responses:
        small.get(response)
    assert len(small._texts) <= 64


@pytest.mark.anyio
async def test_what_takes_long_is_made_in_a_thread_and_then_known() -> None:
    rendered = Rendered(result_line)
    large = WatchResponse(events=(put(b"a", 4, b"x" * 200_000),))
    assert rendered.get(large) is None
    text = await rendered.make(large)
    assert text == result_line(large)
    assert rendered.get(large) is text


def test_what_counts_as_heavy() -> None:
    assert is_heavy(WatchResponse(events=(Event(prev_kv=KeyValue(value=b"x" * 200_000)),)))
    assert is_heavy(WatchResponse(events=(put(b"a", 4),) * 301))
    assert not is_heavy(WatchResponse(events=(put(b"a", 4),) * 300))
