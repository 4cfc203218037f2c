import pytest

from raftgate.api.kv import KeyValue
from raftgate.api.watch import Event, EventType
from storage.row import Row
from storage.watch_events import Changes, Wanted, may_have_previous

PUT: Row = (5 << 24, b"a", 3, 2, b"new", 7)
DELETE: Row = (5 << 24 | 1, b"b", 0, 0, b"", 0)
BEFORE = KeyValue(b"a", 3, 3, 1, b"old")


def test_events_of_rows() -> None:
    changes = Changes(6, [PUT, DELETE], {0: BEFORE})
    batch = changes.batch([0, 1], prev_kv=True)
    assert batch.events == (
        Event(kv=KeyValue(b"a", 3, 5, 2, b"new", 7), prev_kv=BEFORE),
        Event(EventType.DELETE, KeyValue(b"b", mod_revision=5)),
    )
    assert batch.revision == 6
    assert batch.size > len(b"anewoldb")


def test_the_same_events_are_the_same_object() -> None:
    changes = Changes(6, [PUT, DELETE], {0: BEFORE})
    plain, other = changes.batch([0, 1], prev_kv=False), changes.batch([1], prev_kv=False)
    assert changes.batch((0, 1), prev_kv=False) is plain
    assert changes.batch([0, 1], prev_kv=True) is not plain
    assert changes.batch([1], prev_kv=True) is other  # nothing was before
    assert plain.events[1] is other.events[0]
    assert plain.events[0].prev_kv is None


@pytest.mark.parametrize(
    ("wanted", "end"),
    [(Wanted(b"a"), b"a\0"), (Wanted(b"a", b"c"), b"c"), (Wanted(b"a", b"\0"), None)],
)
def test_where_a_range_ends(wanted: Wanted, end: bytes | None) -> None:
    assert wanted.end == end


def test_kinds_of_changes() -> None:
    assert Wanted(b"a").wants(PUT)
    assert Wanted(b"a").wants(DELETE)
    assert not Wanted(b"a", puts=False).wants(PUT)
    assert not Wanted(b"a", deletes=False).wants(DELETE)


def test_a_key_that_is_created_was_not_there() -> None:
    assert may_have_previous(PUT)
    assert may_have_previous(DELETE)
    assert not may_have_previous((5 << 24, b"a", 5, 1, b"", 0))
