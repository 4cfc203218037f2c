import json

import pytest

from gateway.sse_events import (
    COMMENT,
    Position,
    canceled_block,
    compacted_block,
    event_blocks,
    last_revision,
    opening,
    parse_position,
    progress_block,
)
from raftgate.api.kv import KeyValue
from raftgate.api.watch import Event, WatchResponse
from tests.fakes.streams import delete, put

RESPONSE = WatchResponse(
    events=(put(b"a", 4), put(b"b", 5), delete(b"c", 5), put(b"d", 5), put(b"e", 6), put(b"f", 6)),
)


def ids(text: bytes) -> list[str]:
    return [line[4:] for line in text.decode().split("\n") if line.startswith("id: ")]


def test_within_a_revision_all_ids_but_the_last_count() -> None:
    text = event_blocks(RESPONSE, utf8=False)
    assert ids(text) == ["4", "5.1", "5.2", "5", "6.1", "6"]
    assert [block.split(b"\n")[0] for block in text.split(b"\n\n")[:-1]].count(b"event: delete") == 1
    assert last_revision(RESPONSE) == 6


@pytest.mark.parametrize("block", range(6))
def test_a_client_that_stops_at_any_id_misses_nothing_and_gets_nothing_twice(block: int) -> None:
    blocks = event_blocks(RESPONSE, utf8=False).split(b"\n\n")
    after = parse_position(ids(blocks[block])[0].encode())
    events = tuple(e for e in RESPONSE.events if e.kv and e.kv.mod_revision >= after.next_revision)
    rest = event_blocks(WatchResponse(events=events), utf8=False, after=after)
    assert rest.split(b"\n\n") == blocks[block + 1 :]


@pytest.mark.parametrize("after", [Position(5, 3), Position(5, 9)])
def test_a_count_above_the_events_of_its_revision_skips_them_all(after: Position) -> None:
    assert ids(event_blocks(RESPONSE, utf8=False, after=after))[-2:] == ["6.1", "6"]


def test_data_is_the_event_as_elsewhere() -> None:
    (block,) = event_blocks(WatchResponse(events=(put(b"a", 4),)), utf8=False).split(b"\n\n")[:-1]
    expected = {"key": "YQ==", "create_revision": "4", "mod_revision": "4", "version": "1", "value": "dg=="}
    lines = block.decode().split("\n")
    assert lines[:2] == ["event: put", "id: 4"]
    assert json.loads(lines[2].removeprefix("data: ")) == {"kv": expected}


def test_text_where_it_is_text() -> None:
    old = KeyValue(key=b"k\n", value=b"\xfe", mod_revision=2, lease=9)
    event = Event(kv=KeyValue(key="ü\u2028".encode(), value=b'"\0', mod_revision=4), prev_kv=old)
    (block,) = event_blocks(WatchResponse(events=(event,)), utf8=True).split(b"\n\n")[:-1]
    assert block.count(b"\n") == 2
    assert json.loads(block.partition(b"data: ")[2]) == {
        "kv": {"key": "ü\u2028", "mod_revision": "4", "value": '"\0'},
        "prev_kv": {"key": "k\n", "mod_revision": "2", "lease": "9", "value_base64": "/g=="},
    }
    (block,) = event_blocks(WatchResponse(events=(delete(b"\xff", 4),)), utf8=True).split(b"\n\n")[:-1]
    deletion = {"type": "DELETE", "kv": {"key_base64": "/w==", "mod_revision": "4"}}
    assert json.loads(block.partition(b"data: ")[2]) == deletion


def test_the_other_blocks() -> None:
    assert COMMENT == b":\n\n"
    assert opening(Position(3)) == b"id: 3\n\n"
    assert opening(Position(3, 1)) == b"id: 3.1\n\n"
    assert progress_block(7) == b'event: progress\nid: 7\ndata: {"revision":"7"}\n\n'
    assert compacted_block(7) == b'event: compacted\nid: 6\ndata: {"compact_revision":"7"}\n\n'
    assert canceled_block("why\n") == b'event: canceled\ndata: {"cancel_reason":"why\\n"}\n\n'
    assert canceled_block("") == b"event: canceled\ndata: {}\n\n"
