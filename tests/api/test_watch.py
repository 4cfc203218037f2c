import pytest

from raftgate.api import json_codec, wire_codec
from raftgate.api.kv import KeyValue
from raftgate.api.watch import (
    Event,
    EventType,
    WatchCreateRequest,
    WatchFilter,
    WatchProgressRequest,
    WatchRequest,
    WatchResponse,
)


def test_a_response_as_etcd_writes_it() -> None:
    deleted = Event(EventType.DELETE, KeyValue(b"a", mod_revision=204))
    put = Event(kv=KeyValue(b"a", 202, 202, 1, b"1"))
    line = json_codec.encode(WatchResponse(watch_id=-1, events=(put, deleted)))
    assert line == (
        b'{"watch_id":"-1","events":[{"kv":{"key":"YQ==","create_revision":"202","mod_revision":"202",'
        b'"version":"1","value":"MQ=="}},{"type":"DELETE","kv":{"key":"YQ==","mod_revision":"204"}}]}'
    )


@pytest.mark.parametrize("body", [b"{}", b'{"unknown":{}}', b'{"create_request":null}'])
def test_a_request_without_a_member(body: bytes) -> None:
    assert json_codec.decode(WatchRequest, body) == WatchRequest()


def test_requests() -> None:
    body = b'{"create_request":{"key":"YQ==","filters":["NOPUT",1,"UNKNOWN"],"startRevision":7,"watch_id":"-1"}}'
    try:
        request = json_codec.decode(WatchRequest, body)
    except Exception:  # noqa: BLE001 - an unknown name may be refused
        request = json_codec.decode(WatchRequest, body.replace(b',"UNKNOWN"', b""))
    create = WatchCreateRequest(b"a", start_revision=7, filters=(WatchFilter.NOPUT, WatchFilter.NODELETE), watch_id=-1)
    assert request == WatchRequest(create)
    assert json_codec.decode(WatchRequest, b'{"progress_request":{}}') == WatchRequest(
        progress_request=WatchProgressRequest()
    )


def test_two_members_are_refused() -> None:
    with pytest.raises(ValueError, match="request_union"):
        WatchRequest(WatchCreateRequest(), progress_request=WatchProgressRequest())


def test_wire_form() -> None:
    response = WatchResponse(watch_id=3, events=(Event(kv=KeyValue(b"a")),), fragment=True)
    assert wire_codec.decode(WatchResponse, wire_codec.encode(response)) == response
