import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.fragments import encoded_size, fragments
from raftgate.api.kv import KeyValue, ResponseHeader
from raftgate.api.watch import Event, EventType, WatchResponse

HEADER = ResponseHeader(14841639068965178418, 10276657743932975437, 9, 2)
MIB = 1 << 20


def response(*sizes: int) -> WatchResponse:
    events = tuple(Event(kv=KeyValue(b"k%d" % n, 2, 2, 1, bytes(size))) for n, size in enumerate(sizes))
    return WatchResponse(HEADER, 7, events=events)


def test_nine_events_of_400_kb_are_five_and_four() -> None:
    """As etcd 3.5.16 sends them."""
    parts = list(fragments(response(*[400_000] * 9), 2 * MIB))
    assert [(len(part.events), part.fragment) for part in parts] == [(5, True), (4, False)]
    assert all((part.header, part.watch_id) == (HEADER, 7) for part in parts)


def test_an_event_that_is_too_large_comes_by_itself() -> None:
    parts = list(fragments(response(10, 3 * MIB, 10), 2 * MIB))
    assert [len(part.events) for part in parts] == [1, 1, 1]


@given(st.lists(st.integers(0, 300), min_size=1, max_size=30), st.integers(50, 600))
def test_parts_are_below_the_limit_and_as_large_as_may_be(sizes: list[int], limit: int) -> None:
    whole = response(*sizes)
    parts = list(fragments(whole, limit))
    assert [event for part in parts for event in part.events] == list(whole.events)
    assert [part.fragment for part in parts] == [True] * (len(parts) - 1) + [False]
    for part, following in zip(parts, [*parts[1:], None], strict=True):
        assert len(part.events) == 1 or encoded_size(part) < limit
        if following is not None:
            longer = WatchResponse(HEADER, 7, events=(*part.events, following.events[0]))
            assert encoded_size(longer) >= limit


@pytest.mark.parametrize(
    ("message", "size"),
    [
        (WatchResponse(), 4),  # an empty header, and the flag that all but the last part have
        (WatchResponse(ResponseHeader(1, 2, 300, 2)), 2 + 2 + 2 + 3 + 2 + 2),
        (WatchResponse(watch_id=-1), 4 + 11),
        (WatchResponse(events=(Event(EventType.DELETE, KeyValue(b"a", mod_revision=3)),)), 4 + 2 + 2 + 2 + 3 + 2),
        (WatchResponse(events=(Event(kv=KeyValue(b"a"), prev_kv=KeyValue(b"a", value=bytes(200))),)), 4 + 3 + 5 + 209),
    ],
)
def test_sizes_are_those_of_protobuf(message: WatchResponse, size: int) -> None:
    assert encoded_size(message) == size
