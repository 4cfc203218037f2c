"""What is noted of each key, against a plain list of its rows; what is taken back; what a compaction forgets."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftgate.api.kv import KeyValue
from storage.history import TOMBSTONE, Codes, History, pack, unpack
from storage.row import SUB_BITS


def row(revision: int, sub: int = 0) -> int:
    return revision << SUB_BITS | sub


def kv(revision: int) -> KeyValue:
    return KeyValue(b"k", revision, revision, 1)


def dead(row_id: int) -> int:
    return row_id << 1 | TOMBSTONE


def test_codes_are_eight_bytes_each() -> None:
    codes = [row(2) << 1, dead(row(3, 5)), row((1 << 39) - 1, (1 << SUB_BITS) - 1) << 1]
    packed = pack(codes)
    assert len(packed) == 24
    assert unpack(packed) == codes


def test_a_key_with_one_row_of_sub_number_0_has_no_entry() -> None:
    history = History()
    history.added(b"k", row(5))
    assert len(history) == 0
    assert history.row_id(kv(5)) == row(5)


def test_a_key_with_one_row_of_another_sub_number_has_a_number() -> None:
    history = History()
    history.added(b"k", row(5, 3))
    assert history.row_id(kv(5)) == row(5, 3)
    history.updated(kv(5), row(6))
    assert history.row_id(kv(6)) == row(6)
    assert history.row_at(b"k", 5) == row(5, 3)


def test_rows_at_revisions() -> None:
    history = History()
    history.added(b"k", row(5, 1))
    history.updated(kv(5), row(7))
    history.removed(kv(7), row(9, 2))
    history.added(b"k", row(11))
    history.updated(kv(11), row(12))
    expected = {4: None, 5: row(5, 1), 6: row(5, 1), 7: row(7), 8: row(7), 9: None, 10: None, 11: row(11), 12: row(12)}
    assert {revision: history.row_at(b"k", revision) for revision in expected} == expected


def test_put_and_delete_in_one_revision() -> None:
    history = History()
    history.added(b"k", row(5, 0))
    history.removed(kv(5), row(5, 1))
    assert history.row_at(b"k", 5) is None
    assert list(history.gone) == [b"k"]


def test_keys_that_are_gone_are_listed_until_they_come_back() -> None:
    history = History()
    for key in (b"b", b"a", b"c"):
        history.added(key, row(2))
        history.removed(KeyValue(key, 2, 2, 1), row(3))
    history.added(b"b", row(4))
    assert list(history.gone) == [b"a", b"c"]
    assert [history.count_gone(*bounds) for bounds in ((b"a", b"\0"), (b"b", b"\0"), (b"a", b"c"), (b"c", b"a"))] == [
        2,
        1,
        1,
        0,
    ]


PRUNE_TABLE: list[tuple[str, list[int], int, list[int], list[int]]] = [
    ("older ones go, the newest stays", [row(2) << 1, row(3) << 1, row(5) << 1], 4, [row(2)],
     [row(3) << 1, row(5) << 1]),
    ("one exactly there stays", [row(2) << 1, row(4) << 1, row(5) << 1], 4, [row(2)], [row(4) << 1, row(5) << 1]),
    ("a tombstone below goes too", [row(2) << 1, dead(row(3)), row(5) << 1, row(6) << 1], 4, [row(2), row(3)],
     [row(5) << 1, row(6) << 1]),
    ("a tombstone exactly there stays", [row(2) << 1, dead(row(4)), row(5) << 1], 4, [row(2)],
     [dead(row(4)), row(5) << 1]),
    ("of one revision only the last stays", [row(4, 1) << 1, dead(row(4, 2)), row(5) << 1], 4, [row(4, 1)],
     [dead(row(4, 2)), row(5) << 1]),
    ("all younger ones stay", [row(5) << 1, row(6) << 1], 4, [], [row(5) << 1, row(6) << 1]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("codes", "revision", "gone", "kept"), [pytest.param(*each[1:], id=each[0]) for each in PRUNE_TABLE]
)
def test_what_a_compaction_forgets(codes: list[int], revision: int, gone: list[int], kept: list[int]) -> None:
    history = History({b"k": pack(codes)})
    assert history.prune(b"k", revision, 100, is_live=True) == gone
    assert history._codes == {b"k": pack(kept)}
    assert history.prune(b"k", revision, 100, is_live=True) == []


def test_a_limit_takes_the_oldest_first() -> None:
    history = History({b"k": pack(row(revision) << 1 for revision in range(2, 9))})
    taken = [history.prune(b"k", 7, 2, is_live=True) for _ in range(4)]
    assert taken == [[row(2), row(3)], [row(4), row(5)], [row(6)], []]


@pytest.mark.parametrize(("sub", "left"), [(0, {}), (3, {b"k": row(5, 3) << 1})])
def test_a_live_key_with_one_row_left_takes_no_more_than_it_must(sub: int, left: dict[bytes, Codes]) -> None:
    history = History({b"k": pack((row(2) << 1, row(5, sub) << 1))})
    history.prune(b"k", 5, 100, is_live=True)
    assert history._codes == left
    assert history.row_id(kv(5)) == row(5, sub)


def test_a_key_that_is_gone_for_good_is_forgotten() -> None:
    history = History({b"k": pack((row(2) << 1, dead(row(3))))}, [b"k"])
    history.prune(b"k", 3, 100, is_live=False)
    assert (list(history.gone), len(history)) == ([b"k"], 1)
    assert history.prune(b"k", 4, 100, is_live=False) == [row(3)]
    assert (list(history.gone), len(history)) == ([], 0)


def test_keys_with_more_than_a_row() -> None:
    history = History()
    history.added(b"one", row(2))
    history.added(b"sub", row(2, 1))
    history.added(b"two", row(3))
    history.updated(KeyValue(b"two", 3, 3, 1), row(4))
    assert history.longer([b"none", b"one", b"sub", b"two"]) == [b"two"]
    assert history.prune(b"sub", 9, 100, is_live=True) == []


@dataclass
class Noted:
    """One key's rows, as a list; the newest KeyValue, None when it is gone."""

    rows: list[tuple[int, bool]] = field(default_factory=list)
    now: KeyValue | None = None


def apply(history: History, noted: Noted, row_id: int, *, is_put: bool) -> bool:
    """Makes a change, if the key allows it."""
    before = noted.now
    if is_put:
        noted.now = KeyValue(b"k", mod_revision=row_id >> SUB_BITS, version=1)
        if before is None:
            history.added(b"k", row_id)
        else:
            history.updated(before, row_id)
    elif before is None:
        return False
    else:
        noted.now = None
        history.removed(before, row_id)
    noted.rows.append((row_id, is_put))
    return True


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2)), max_size=12), st.integers(0, 12))
def test_follows_a_list_and_can_be_taken_back(changes: list[tuple[bool, int]], keep: int) -> None:
    history, noted = History(), Noted()
    states: list[tuple[KeyValue | None, bool]] = []
    for revision, (is_put, sub) in enumerate(changes, 2):
        before = noted.now
        if apply(history, noted, row(revision, sub), is_put=is_put):
            states.append((before, is_put))
    while len(states) > keep:
        before, is_put = states.pop()
        noted.now = before
        noted.rows.pop()
        if before is None:
            history.undo_added(b"k")
        elif is_put:
            history.undo_updated(b"k")
        else:
            history.undo_removed(b"k")
    assert list(history.gone) == ([b"k"] if noted.rows and noted.now is None else [])
    if noted.now is not None:
        assert history.row_id(noted.now) == noted.rows[-1][0]
    for revision in range(1, 2 + len(changes)):
        if noted.now is not None and noted.now.mod_revision <= revision:
            continue  # that is for its KeyValue to say
        seen = [each for each in noted.rows if each[0] >> SUB_BITS <= revision]
        assert history.row_at(b"k", revision) == (seen[-1][0] if seen and seen[-1][1] else None)
