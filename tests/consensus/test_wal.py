"""The log as its users see it. What a crash leaves is in test_wal_recovery.py."""

import random
import struct
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from consensus.disk import OsDisk
from consensus.raft.errors import Compacted, Unavailable
from consensus.raft.types import Entry, EntryType, HardState, SnapshotMeta
from consensus.wal import ENTRY_OVERHEAD, Wal, WalOptions
from consensus.wal_format import Identity, WalError, WalMismatch
from tests.fakes.disk import NAMES, SYNCS, WRITES, FakeDisk
from tests.fakes.env import FakeEnv
from tests.fakes.wal import (
    DIRECTORY,
    EVERYTHING,
    IDENTITY,
    SMALL,
    LogState,
    SaltedEnv,
    Work,
    create,
    make_entries,
    reopen,
    state_of,
)


@pytest.fixture
def disk() -> FakeDisk:
    return FakeDisk({DIRECTORY.parent: None})


def kinds_since(disk: FakeDisk, count: int) -> list[str]:
    return [step.kind for step in disk.steps[count:]]


def test_a_new_log_is_empty(disk: FakeDisk) -> None:
    assert not Wal.exists(disk, DIRECTORY)
    wal = create(disk)
    assert Wal.exists(disk, DIRECTORY)
    assert state_of(wal) == LogState()
    assert wal.snapshot_meta() == SnapshotMeta()
    assert wal.term(0) == 0
    assert disk.listdir(DIRECTORY) == ["0000000000000000-0000000000000001.wal"]
    assert state_of(reopen(disk)) == LogState()


def test_a_log_is_made_once(disk: FakeDisk) -> None:
    create(disk)
    with pytest.raises(WalError, match="there is a log in /member/wal already"):
        create(disk)


def test_opening_needs_a_log(disk: FakeDisk) -> None:
    disk.make_directory(DIRECTORY)
    with pytest.raises(WalError, match="there is no log in /member/wal"):
        reopen(disk)


def test_what_was_saved_is_there_after_reopening(disk: FakeDisk) -> None:
    wal = create(disk)
    entries = [
        *make_entries(1, 3, term=1),
        Entry(2, 4, EntryType.CONF_CHANGE, b""),
        Entry(5, 5, EntryType.NORMAL, bytes(range(256))),
    ]
    wal.save(HardState(5, 7, 3), entries, must_sync=True)
    expected = LogState(HardState(5, 7, 3), 1, tuple(entries))
    assert state_of(wal) == expected
    wal.close()
    wal = reopen(disk)
    assert state_of(wal) == expected
    assert wal.identity == IDENTITY


def test_one_save_is_one_write_and_one_sync(disk: FakeDisk) -> None:
    wal = create(disk)
    count = disk.count
    wal.save(HardState(1, 1, 0), make_entries(1, 5), must_sync=True)
    assert kinds_since(disk, count) == ["write", "datasync"]


def test_a_save_beyond_what_was_zeroed_still_syncs_once(disk: FakeDisk) -> None:
    wal = create(disk)
    count = disk.count
    wal.save(HardState(1, 1, 0), make_entries(1, 5, size=200), must_sync=True)
    assert kinds_since(disk, count) == ["allocate", "write", "datasync"]


def test_a_commit_index_alone_does_no_io_and_goes_with_the_next_batch(disk: FakeDisk) -> None:
    wal = create(disk)
    wal.save(HardState(1, 1, 0), make_entries(1, 1), must_sync=True)
    count = disk.count
    wal.save(HardState(1, 1, 1), (), must_sync=False)
    assert disk.count == count
    assert wal.initial_state() == HardState(1, 1, 1)
    assert reopen(disk.at(count)).initial_state() == HardState(1, 1, 0)
    wal.save(None, make_entries(2, 1), must_sync=True)
    assert reopen(disk).initial_state() == HardState(1, 1, 1)


def test_closing_writes_the_outstanding_commit_index(disk: FakeDisk) -> None:
    wal = create(disk)
    wal.save(HardState(1, 1, 0), make_entries(1, 1), must_sync=True)
    wal.save(HardState(1, 1, 1), (), must_sync=False)
    wal.close()
    wal.close()
    with pytest.raises(WalError, match="closed"):
        wal.last_index()
    assert reopen(disk).initial_state() == HardState(1, 1, 1)


@pytest.mark.parametrize("must_sync", [True, False])
def test_a_vote_is_synced(disk: FakeDisk, *, must_sync: bool) -> None:
    wal = create(disk)
    wal.save(HardState(1, 3, 0), (), must_sync=must_sync)
    assert disk.steps[-1].kind == "datasync"
    assert reopen(disk.crash(random.Random(1))).initial_state() == HardState(1, 3, 0)


def test_saving_nothing_does_nothing(disk: FakeDisk) -> None:
    wal = create(disk)
    wal.save(HardState(1, 3, 0), (), must_sync=True)
    count = disk.count
    wal.save(None, (), must_sync=True)
    wal.save(HardState(1, 3, 0), (), must_sync=True)
    assert disk.count == count


def test_unsafe_no_fsync_never_syncs(disk: FakeDisk) -> None:
    options = replace(SMALL, unsafe_no_fsync=True)
    wal = create(disk, options)
    Work(1).run(wal, 200)
    wal.close()
    reopen(disk, options).close()
    assert not SYNCS.intersection(kinds_since(disk, 0))


def test_an_overlapping_save_replaces_the_tail(disk: FakeDisk) -> None:
    wal = create(disk)
    old = make_entries(1, 8, term=1)
    wal.save(HardState(1, 1, 2), old[:5], must_sync=True)
    wal.save(None, old[5:], must_sync=True)
    new = make_entries(4, 2, term=3)
    wal.save(HardState(3, 0, 2), new, must_sync=True)
    expected = LogState(HardState(3, 0, 2), 1, (*old[:3], *new))
    assert state_of(wal) == expected
    assert state_of(reopen(disk)) == expected


def test_a_replaced_tail_that_spans_segments(disk: FakeDisk) -> None:
    wal = create(disk)
    old = make_entries(1, 30, size=500)
    for entry in old:
        wal.save(HardState(1, 1, 0), [entry], must_sync=True)
    assert len(disk.listdir(DIRECTORY)) > 3
    new = make_entries(3, 1, term=2)
    wal.save(HardState(2, 0, 0), new, must_sync=True)
    expected = LogState(HardState(2, 0, 0), 1, (*old[:2], *new))
    assert state_of(wal) == expected
    wal = reopen(disk)
    assert state_of(wal) == expected
    wal.save(None, make_entries(4, 20, term=2, size=500), must_sync=True)
    assert reopen(disk).last_index() == 23


@pytest.mark.parametrize("first", [1, 3, 4, 6])
def test_only_what_follows_is_taken(disk: FakeDisk, first: int) -> None:
    wal = create(disk)
    wal.save(HardState(1, 1, 0), make_entries(1, 2), must_sync=True)
    with pytest.raises(ValueError, match="without a gap"):
        wal.save(None, [*make_entries(first, 1), *make_entries(first + 2, 1)], must_sync=True)
    if first > 3:
        with pytest.raises(ValueError, match="without a gap"):
            wal.save(None, make_entries(first, 1), must_sync=True)
    wal.save(None, make_entries(3, 1), must_sync=True)
    assert wal.last_index() == 3


def test_a_refused_batch_does_not_spoil_the_log(disk: FakeDisk) -> None:
    wal = create(disk)
    with pytest.raises(struct.error):
        wal.save(None, [Entry(-1, 1, EntryType.NORMAL, b"")], must_sync=True)
    wal.save(HardState(1, 1, 0), make_entries(1, 2), must_sync=True)
    assert reopen(disk).last_index() == 2


def test_a_full_segment_gives_way_to_the_next(disk: FakeDisk) -> None:
    wal = create(disk)
    for index in range(1, 20):
        wal.save(HardState(1, 1, index - 1), make_entries(index, 1, size=900), must_sync=True)
    names = disk.listdir(DIRECTORY)
    assert names[:2] == ["0000000000000000-0000000000000001.wal", "0000000000000001-0000000000000004.wal"]
    assert all(len(content) <= SMALL.segment_bytes for content in disk.files().values())


def test_a_new_segment_is_durable_before_it_has_its_name(disk: FakeDisk) -> None:
    wal = create(disk)
    wal.save(HardState(1, 1, 0), make_entries(1, 1, size=3000), must_sync=True)
    count = disk.count
    wal.save(None, make_entries(2, 1, size=500), must_sync=True)
    kinds = kinds_since(disk, count)
    assert kinds == ["create", "write", "allocate", "datasync", "rename", "sync_directory", "write", "datasync"]
    wal.save(HardState(1, 1, 0), make_entries(3, 1), must_sync=True)


def test_a_batch_larger_than_a_segment_gets_one_of_its_size(disk: FakeDisk) -> None:
    wal = create(disk)
    big = make_entries(1, 3, size=5000)
    wal.save(HardState(1, 1, 0), big, must_sync=True)
    wal.save(None, make_entries(4, 1), must_sync=True)
    sizes = sorted(len(content) for content in disk.files().values())
    assert sizes[:2] == [1024, 1024]
    assert 15000 < sizes[2] < 16000
    assert state_of(reopen(disk)) == LogState(HardState(1, 1, 0), 1, (*big, *make_entries(4, 1)))


def test_term_and_entries_tell_what_is_out_of_range(disk: FakeDisk) -> None:
    wal = create(disk, replace(SMALL, keep_bytes=0))
    for index in range(1, 11):
        wal.save(HardState(2, 1, index), make_entries(index, 1, term=2, size=900), must_sync=True)
    first = wal.cut(8)
    assert 2 < first <= 9
    assert wal.first_index() == first
    assert wal.snapshot_meta() == SnapshotMeta(first - 1, 2)
    assert wal.term(first - 1) == 2
    with pytest.raises(Compacted):
        wal.term(first - 2)
    with pytest.raises(Compacted):
        wal.entries(first - 1, 11, EVERYTHING)
    with pytest.raises(Unavailable):
        wal.term(11)
    with pytest.raises(Unavailable):
        wal.entries(first, 12, EVERYTHING)
    with pytest.raises(Unavailable):
        wal.cut(11)
    with pytest.raises(Compacted):
        wal.save(None, make_entries(first - 1, 1), must_sync=True)
    assert wal.entries(11, 11, EVERYTHING) == []


@pytest.mark.parametrize("memory", [0, 1 << 20])
def test_entries_are_limited_by_their_data(disk: FakeDisk, memory: int) -> None:
    wal = create(disk, replace(SMALL, memory_bytes=memory))
    entries = make_entries(1, 5, size=100)
    wal.save(HardState(1, 1, 0), entries, must_sync=True)
    assert wal.entries(1, 6, 0) == entries[:1]
    assert wal.entries(1, 6, 299) == entries[:2]
    assert wal.entries(1, 6, 300) == entries[:3]
    assert wal.entries(2, 4, EVERYTHING) == entries[1:3]


def test_memory_holds_the_newest_entries_only(disk: FakeDisk) -> None:
    wal = create(disk, replace(SMALL, memory_bytes=10 * (100 + ENTRY_OVERHEAD)))
    entries = make_entries(1, 50, size=100)
    for entry in entries:
        wal.save(HardState(1, 1, 0), [entry], must_sync=True)
    assert sorted(wal._recent) == list(range(41, 51))
    assert wal.entries(1, 51, EVERYTHING) == entries
    wal.save(HardState(2, 1, 0), make_entries(45, 1, term=2, size=100), must_sync=True)
    assert sorted(wal._recent) == list(range(41, 46))
    assert wal._recent_bytes == 5 * (100 + ENTRY_OVERHEAD)
    wal.save(None, make_entries(20, 1, term=2, size=100), must_sync=True)
    assert sorted(wal._recent) == [20]
    assert wal.entries(1, 21, EVERYTHING) == [*entries[:19], *make_entries(20, 1, term=2, size=100)]


def test_a_cut_keeps_what_is_asked_and_the_last_bytes(disk: FakeDisk) -> None:
    wal = create(disk, replace(SMALL, keep_bytes=10_000))
    entries = make_entries(1, 40, size=900)
    for entry in entries:
        wal.save(HardState(1, 1, entry.index), [entry], must_sync=True)
    assert wal.cut(3) == 4  # the first segment
    assert wal.cut(3) == 4
    first = wal.cut(40)
    kept = sum(len(entry.data) for entry in entries[first - 1 :])
    assert 10_000 - 1000 < kept < 10_000 + 2 * SMALL.segment_bytes
    assert state_of(wal) == LogState(HardState(1, 1, 40), first, tuple(entries[first - 1 :]))
    assert state_of(reopen(disk)) == state_of(wal)


def test_dropped_segments_take_no_vote_with_them(disk: FakeDisk) -> None:
    wal = create(disk, replace(SMALL, keep_bytes=0))
    wal.save(HardState(4, 9, 0), (), must_sync=True)
    for index in range(1, 31):
        wal.save(None, make_entries(index, 1, term=4, size=900), must_sync=True)
    assert wal.cut(30) > 20
    assert reopen(disk).initial_state() == HardState(4, 9, 0)


def test_a_cut_names_the_marker_durably_before_anything_goes(disk: FakeDisk) -> None:
    wal = create(disk, replace(SMALL, keep_bytes=0))
    for index in range(1, 11):
        wal.save(HardState(1, 1, index), make_entries(index, 1, size=900), must_sync=True)
    count = disk.count
    wal.cut(10)
    kinds = kinds_since(disk, count)
    assert kinds[:6] == ["create", "write", "allocate", "datasync", "rename", "sync_directory"]
    assert kinds[6:] == ["remove", "sync_directory"] * (len(kinds[6:]) // 2)


def test_a_log_of_others_is_refused(disk: FakeDisk) -> None:
    create(disk)
    other = Identity(cluster_id=1, member_id=IDENTITY.member_id)
    with pytest.raises(WalMismatch, match="belongs to member 8e9e05c52164694d of cluster cdf818194e3a8c32, not to"):
        Wal.open(FakeEnv(disk), DIRECTORY, other, SMALL)
    assert Wal.open(FakeEnv(disk), DIRECTORY, None, SMALL).identity == IDENTITY


def test_writes_and_syncs_are_reported(disk: FakeDisk) -> None:
    class Clocked(FakeEnv):
        def monotonic(self) -> float:
            self.now += 1.0
            return self.now

    writes: list[tuple[int, float]] = []
    syncs: list[float] = []
    options = replace(SMALL, on_write=lambda size, seconds: writes.append((size, seconds)), on_sync=syncs.append)
    wal = Wal.create(Clocked(disk), DIRECTORY, IDENTITY, options)
    wal.save(HardState(1, 1, 0), make_entries(1, 2), must_sync=True)
    wal.save(HardState(1, 1, 1), (), must_sync=False)
    assert writes == [(len(disk.files()[DIRECTORY / disk.listdir(DIRECTORY)[0]].rstrip(b"\0")) - 512, 1.0)]
    assert syncs == [1.0]


@pytest.mark.parametrize("kind", sorted((WRITES | SYNCS | NAMES) - {"mkdir", "truncate"}))
def test_after_a_failure_every_call_raises(disk: FakeDisk, kind: str) -> None:
    wal = create(disk, replace(SMALL, keep_bytes=0))
    work = Work(3)
    work.run(wal, 20)
    disk.fail(0, {kind})
    with pytest.raises(OSError, match="Input/output error"):
        work.run(wal, 500)
    for call in (
        lambda: wal.save(HardState(99, 1, 0), (), must_sync=True),
        lambda: wal.save(None, (), must_sync=False),
        lambda: wal.cut(1),
        lambda: wal.term(1),
        lambda: wal.entries(1, 2, 1),
        wal.first_index,
        wal.last_index,
        wal.initial_state,
        wal.snapshot_meta,
    ):
        with pytest.raises(WalError, match="cannot be used: a write or a sync has failed before"):
            call()
    count = disk.count
    wal.close()
    assert disk.count == count
    opened = state_of(reopen(disk))
    assert opened.may_follow(work.state, work.next)


class Reader(threading.Thread):
    """Reads random stable entries until told to stop; `problem` is what went wrong."""

    def __init__(self, wal: Wal) -> None:
        super().__init__()
        self._wal = wal
        self.stable = 0
        self.lock = threading.Lock()
        """Held during each read: who lowers `stable` waits for it, as the core does by being in the same thread."""
        self.is_done = False
        self.reads = 0
        self.problem: BaseException | None = None

    def run(self) -> None:
        chance = random.Random(1)
        try:
            while not self.is_done:
                with self.lock:
                    low = chance.randint(max(1, self.stable - 200), self.stable + 1)
                    self._read(low, min(low + 20, self.stable + 1))
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            self.problem = error

    def _read(self, low: int, high: int) -> None:
        try:
            found = self._wal.entries(low, high, EVERYTHING)
            terms = [self._wal.term(index) for index in range(low, high)]
        except Compacted:
            return
        assert [entry.index for entry in found] == list(range(low, high))
        assert [entry.term for entry in found] == terms
        assert all(entry.data.startswith(b"%d.%d " % (entry.term, entry.index)) for entry in found)
        self.reads += 1


def test_readers_in_another_thread_see_what_is_stable(tmp_path: Path) -> None:
    options = WalOptions(16384, 4096, memory_bytes=4000, keep_bytes=20_000, unsafe_no_fsync=True)
    wal = Wal.create(SaltedEnv(OsDisk()), tmp_path / "wal", IDENTITY, options)
    reader = Reader(wal)
    reader.start()
    chance = random.Random(2)
    deadline = time.monotonic() + 1.0
    term = 1
    while time.monotonic() < deadline and reader.problem is None:
        if chance.random() < 0.2:
            term += 1
            with reader.lock:
                reader.stable = max(wal.first_index(), reader.stable - chance.randint(0, 30)) if reader.stable else 0
        entries = make_entries(reader.stable + 1, chance.randint(1, 9), term, size=200)
        wal.save(None, entries, must_sync=True)
        reader.stable = wal.last_index()
        if chance.random() < 0.05:
            wal.cut(reader.stable)
    reader.is_done = True
    reader.join()
    wal.close()
    assert reader.problem is None
    assert reader.reads > 100


def test_on_a_real_disk(tmp_path: Path) -> None:
    options = replace(SMALL, segment_bytes=65536, allocation_bytes=16384, keep_bytes=100_000)
    wal = Wal.create(SaltedEnv(OsDisk()), tmp_path / "wal", IDENTITY, options)
    work = Work(5)
    for _ in range(4):
        work.run(wal, 100)
        wal.close()
        wal = Wal.open(SaltedEnv(OsDisk()), tmp_path / "wal", IDENTITY, options)
        assert state_of(wal) == work.state
    wal.close()
    assert (tmp_path / "wal").stat().st_mode & 0o777 == 0o700


class WalAgainstList(RuleBasedStateMachine):
    """Saves, truncations, cuts and all kinds of stops, against a list (the soak form has a thousand runs)."""

    @initialize(seed=st.integers(0, 1000))
    def begin(self, seed: int) -> None:
        self.disk = FakeDisk({DIRECTORY.parent: None}, keeps_steps=False)
        self.wal = create(self.disk)
        self.work = Work(seed)

    @rule(steps=st.integers(1, 8))
    def do(self, steps: int) -> None:
        self.work.run(self.wal, steps)

    @rule(count=st.integers(1, 6), size=st.integers(0, 1500), term=st.integers(0, 2))
    def append(self, count: int, size: int, term: int) -> None:
        state = self.work.state
        hard_state = replace(state.hard_state, term=state.hard_state.term + term)
        entries = make_entries(state.last_index + 1, count, hard_state.term, size)
        self.wal.save(hard_state, entries, must_sync=True)
        self.work.state = self.work.next = state.save(hard_state, entries)

    @rule()
    def restart(self) -> None:
        self.wal.close()
        self.wal = reopen(self.disk)

    @rule()
    def kill(self) -> None:
        self._open_after_a_stop()

    @rule(seed=st.integers(0, 1000))
    def cut_power(self, seed: int) -> None:
        self.disk = self.disk.crash(random.Random(seed))
        self._open_after_a_stop()

    @rule(kind=st.sampled_from(sorted(SYNCS | WRITES | NAMES)), nth=st.integers(0, 3), power=st.booleans())
    def break_the_disk(self, kind: str, nth: int, *, power: bool) -> None:
        self.disk.fail(nth, {kind})
        try:
            self.work.run(self.wal, 10)
        except OSError:
            if power:
                self.disk = self.disk.crash(random.Random(nth))
            self.disk.mend()
            self._open_after_a_stop()
        self.disk.mend()

    def _open_after_a_stop(self) -> None:
        self.wal = reopen(self.disk)
        opened = state_of(self.wal)
        assert opened.may_follow(self.work.state, self.work.next)
        self.work.state = self.work.next = opened

    @precondition(lambda self: hasattr(self, "wal"))
    @invariant()
    def same(self) -> None:
        assert state_of(self.wal) == self.work.state


TestWalAgainstList = WalAgainstList.TestCase
TestWalAgainstList.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_the_wal_against_a_list_at_length() -> None:
    run_state_machine_as_test(
        WalAgainstList, settings=settings(max_examples=1000, stateful_step_count=50, deadline=None)
    )


# ---- restore ----


@pytest.mark.parametrize("index", [3, 10, 25, 1000])
def test_a_restored_log_begins_behind_the_snapshot(disk: FakeDisk, index: int) -> None:
    wal = create(disk)
    for first in range(1, 20, 3):
        wal.save(HardState(2, 5, 1), make_entries(first, 3, term=2, size=700), must_sync=True)
    snapshot = SnapshotMeta(index, 2)
    wal.restore(snapshot)
    expected = LogState(HardState(2, 5, index), index + 1)
    assert state_of(wal) == expected
    assert wal.snapshot_meta() == snapshot
    assert len(disk.listdir(DIRECTORY)) == 1
    assert state_of(reopen(disk.crash(random.Random(index)))) == expected
    more = make_entries(index + 1, 4, term=3)
    wal.save(HardState(3, 0, index), more, must_sync=True)
    assert state_of(reopen(disk)).entries == state_of(wal).entries == tuple(more)
    with pytest.raises(Compacted):
        wal.entries(index, index + 1, EVERYTHING)
    with pytest.raises(Compacted):
        wal.save(None, make_entries(index, 1), must_sync=True)


def test_a_restore_of_a_later_term_raises_the_term_and_forgets_the_vote(disk: FakeDisk) -> None:
    wal = create(disk)
    wal.save(HardState(2, 5, 0), make_entries(1, 3), must_sync=True)
    wal.restore(SnapshotMeta(9, 4))
    assert wal.initial_state() == reopen(disk).initial_state() == HardState(4, 0, 9)


def test_segments_of_before_that_come_back_do_no_harm(disk: FakeDisk) -> None:
    wal = create(disk)
    for first in range(1, 40):
        wal.save(HardState(1, 1, 0), make_entries(first, 1, size=300), must_sync=True)
    count = len(disk.listdir(DIRECTORY))
    assert count > 2
    disk.fail(0, {"remove"})
    with pytest.raises(OSError, match="error"):
        wal.restore(SnapshotMeta(20, 1))
    again = reopen(disk)
    assert len(disk.listdir(DIRECTORY)) == count + 1
    assert state_of(again) == LogState(HardState(1, 1, 20), 21)
    again.save(None, make_entries(21, 30, size=300), must_sync=True)
    again.save(None, make_entries(51, 30, size=300), must_sync=True)
    again.cut(50)
    assert state_of(reopen(disk)) == state_of(again)


@pytest.mark.parametrize("seed", range(5))
def test_restores_among_other_work(disk: FakeDisk, seed: int) -> None:
    wal, work = create(disk), Work(seed, restores=True)
    for _ in range(10):
        work.run(wal, 20)
        assert state_of(wal) == work.state
        wal.close()
        wal = reopen(disk)
        assert state_of(wal) == work.state


def test_a_restore_that_fails_is_the_end(disk: FakeDisk) -> None:
    wal = create(disk)
    disk.fail(0, {"rename"})
    with pytest.raises(OSError, match="error"):
        wal.restore(SnapshotMeta(9, 4))
    with pytest.raises(WalError, match="has failed before"):
        wal.last_index()
