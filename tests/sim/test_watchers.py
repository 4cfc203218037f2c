"""What watchers must not be told is noticed, and so is what they are not told."""

from collections.abc import Iterable

import pytest

from raftgate.api.kv import KeyValue, ResponseHeader
from raftgate.api.watch import Event, EventType, WatchResponse
from tests.sim.watchers import Change, Misled, Told, _Again

A, B = b"a", b"b"
CHANGES = [Change(3, A, b"1"), Change(4, B, b"2"), Change(5, A, None), Change(7, B, b"3")]


def response(revision: int, changes: Iterable[Change] = (), *, created: bool = False) -> WatchResponse:
    events = tuple(
        Event(
            EventType.DELETE if value is None else EventType.PUT, KeyValue(key=key, mod_revision=at, value=value or b"")
        )
        for at, key, value in changes
    )
    return WatchResponse(ResponseHeader(revision=revision), events=events, created=created)


def passed_by(revision: int) -> WatchResponse:
    return WatchResponse(ResponseHeader(), canceled=True, compact_revision=revision)


@pytest.fixture
def told() -> Told:
    fresh = Told(b"\0", b"\0")
    fresh.take(response(2, created=True))
    return fresh


def test_all_that_there_was_is_right(told: Told) -> None:
    told.take(response(3, CHANGES[:1]))
    told.take(response(9, CHANGES[1:]))
    assert told.reached == 7
    assert told.check(CHANGES) is None


def test_what_was_before_or_comes_after_is_not_asked_for(told: Told) -> None:
    told.take(response(7, CHANGES))
    assert told.check([Change(2, A, b"0"), *CHANGES, Change(8, A, b"4")]) is None


def test_a_watch_of_one_key_wants_no_other() -> None:
    told = Told(A, b"")
    told.take(response(2, created=True))
    told.take(response(7, [CHANGES[0], CHANGES[2]]))
    assert told.check(CHANGES) is None


def test_a_change_that_is_missing_is_noticed(told: Told) -> None:
    told.take(response(7, [CHANGES[0], *CHANGES[2:]]))
    assert "missing are [Change(revision=4" in str(told.check(CHANGES))


def test_a_change_that_is_missing_before_a_progress_notice_is_noticed(told: Told) -> None:
    told.take(response(5, CHANGES[:3]))
    told.take(response(7))
    assert "missing are [Change(revision=7" in str(told.check(CHANGES))


def test_a_change_that_nobody_made_is_noticed(told: Told) -> None:
    told.take(response(7, [*CHANGES[:3], Change(6, B, b"?"), CHANGES[3]]))
    assert "told twice [Change(revision=6" in str(told.check(CHANGES))


def test_a_change_told_again_is_noticed(told: Told) -> None:
    told.take(response(3, CHANGES[:1]))
    with pytest.raises(Misled):
        told.take(response(4, CHANGES[:2]))


def test_order_and_the_revision_of_the_store_are_looked_at(told: Told) -> None:
    with pytest.raises(Misled):
        told.take(response(9, [CHANGES[1], CHANGES[0]]))
    with pytest.raises(Misled):
        told.take(response(2, CHANGES[:1]))


def test_a_compaction_makes_a_gap(told: Told) -> None:
    told.take(response(3, CHANGES[:1]))
    with pytest.raises(_Again):
        told.take(passed_by(6))
    told.take(response(6, created=True))
    told.take(response(7, CHANGES[3:]))
    assert told.gaps == [(4, 5)]
    assert told.check(CHANGES) is None


def test_a_compaction_of_what_is_known_is_no_reason_to_end(told: Told) -> None:
    told.take(response(3, CHANGES[:1]))
    with pytest.raises(Misled):
        told.take(passed_by(4))
