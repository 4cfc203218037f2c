import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.raft.errors import Compacted, Unavailable
from consensus.raft.log_store import LogStore, MemoryLogStore, limit_bytes
from consensus.raft.types import ConfState, Entry, EntryType, HardState, SnapshotMeta
from tests.consensus.raft.members import entries_of

ALL = 1 << 20


def store_of(*terms: int) -> MemoryLogStore:
    return MemoryLogStore(HardState(term=9), entries_of(terms))


def test_an_empty_store() -> None:
    store: LogStore = MemoryLogStore()
    assert store.initial_state() == HardState()
    assert (store.first_index(), store.last_index()) == (1, 0)
    assert store.term(0) == 0
    assert store.snapshot_meta() == SnapshotMeta()
    with pytest.raises(Unavailable):
        store.term(1)
    with pytest.raises(Unavailable):
        store.entries(1, 2, ALL)


def test_what_was_saved_is_there() -> None:
    store = store_of(1, 1, 2)
    assert store.initial_state().term == 9
    assert (store.first_index(), store.last_index()) == (1, 3)
    assert [store.term(index) for index in range(4)] == [0, 1, 1, 2]
    assert store.entries(2, 4, ALL) == entries_of([1, 2], 2)
    with pytest.raises(Unavailable):
        store.entries(2, 5, ALL)
    with pytest.raises(Compacted):
        store.entries(0, 2, ALL)


def test_the_hard_state_stays_unless_a_new_one_is_saved() -> None:
    store = store_of(1)
    store.save(None, entries_of([1], 2))
    assert store.initial_state() == HardState(term=9)
    store.save(HardState(10, 1, 2), [], must_sync=True)
    assert store.initial_state() == HardState(10, 1, 2)
    assert store.last_index() == 2


def test_a_save_replaces_what_lies_behind_its_first_entry() -> None:
    store = store_of(1, 1, 1, 1)
    store.save(None, entries_of([2], 2))
    assert store.entries(1, 3, ALL) == entries_of([1, 2])
    assert store.last_index() == 2


def test_a_save_leaves_no_gap() -> None:
    with pytest.raises(Unavailable):
        store_of(1).save(None, entries_of([1], 3))


def test_a_cut_keeps_the_term_below_the_first_entry() -> None:
    store = store_of(1, 2, 3, 4)
    store.cut(2, ConfState((1,)))
    assert store.snapshot_meta() == SnapshotMeta(2, 2, ConfState((1,)))
    assert (store.first_index(), store.last_index()) == (3, 4)
    assert [store.term(index) for index in (2, 3, 4)] == [2, 3, 4]
    assert store.entries(3, 5, ALL) == entries_of([3, 4], 3)
    with pytest.raises(Compacted):
        store.term(1)
    with pytest.raises(Compacted):
        store.entries(2, 4, ALL)
    with pytest.raises(Compacted):
        store.save(None, entries_of([5], 2))


def test_a_cut_of_everything() -> None:
    store = store_of(1, 2)
    store.cut(2)
    assert (store.first_index(), store.last_index()) == (3, 2)
    store.save(None, entries_of([3], 3))
    assert store.term(3) == 3
    with pytest.raises(Unavailable):
        store.cut(4)
    with pytest.raises(Compacted):
        store.cut(2)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.binary(max_size=5)), st.integers(0, 20))
def test_entries_within_bytes(data: list[bytes], max_bytes: int) -> None:
    entries = [Entry(1, index, EntryType.NORMAL, item) for index, item in enumerate(data, 1)]
    fitting = limit_bytes(entries, max_bytes)
    assert fitting == entries[: len(fitting)]
    assert len(fitting) == 1 or sum(len(entry.data) for entry in fitting) <= max_bytes
    if len(fitting) < len(entries):
        assert fitting
        assert sum(len(entry.data) for entry in entries[: len(fitting) + 1]) > max_bytes
    if entries:
        store = MemoryLogStore(entries=entries)
        assert store.entries(1, len(entries) + 1, max_bytes) == fitting


def test_a_log_begins_anew_behind_a_snapshot() -> None:
    store = MemoryLogStore(HardState(3, 2, 1), [Entry(1, 1, EntryType.NORMAL, b"")])
    snapshot = SnapshotMeta(7, 2, ConfState((1, 2)))
    store.restore(snapshot)
    assert (store.first_index(), store.last_index(), store.term(7)) == (8, 7, 2)
    assert store.snapshot_meta() == snapshot
    assert store.initial_state() == HardState(3, 2, 1)
    store.save(None, [Entry(3, 8, EntryType.NORMAL, b"")])
    assert store.last_index() == 8
