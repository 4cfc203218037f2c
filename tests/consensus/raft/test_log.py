import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from consensus.raft.errors import Compacted, LogCorrupt, Unavailable
from consensus.raft.log import Log
from consensus.raft.log_store import MemoryLogStore
from consensus.raft.types import ConfState, Entry, EntryType, HardState, SnapshotMeta
from tests.consensus.raft.members import entries_of

ALL = 1 << 20


def log_of(*terms: int, unstable: tuple[int, ...] = (), commit: int = 0, applied: int = 0) -> Log:
    log = Log(MemoryLogStore(HardState(commit=commit), entries_of(terms)), applied)
    log.append(entries_of(unstable, len(terms) + 1))
    return log


def terms_of(log: Log) -> list[int]:
    return [log.term(index) for index in range(1, log.last_index + 1)]


def test_stable_and_unstable_are_one_log() -> None:
    log = log_of(1, 1, unstable=(2, 3))
    assert terms_of(log) == [1, 1, 2, 3]
    assert (log.last_index, log.last_term, log.stable_index) == (4, 3, 2)
    assert log.unstable_entries() == entries_of([2, 3], 3)
    with pytest.raises(Unavailable):
        log.term(5)


def test_an_empty_log() -> None:
    log = log_of()
    assert (log.last_index, log.last_term) == (0, 0)
    assert log.matches(0, 0)
    assert not log.has_unstable()
    assert log.next_committed(ALL) == []


def test_a_cut_log() -> None:
    store = MemoryLogStore(HardState(commit=3), entries_of([1, 2, 3, 3]))
    store.cut(2)
    log = Log(store, applied=2)
    assert log.term(2) == 2
    assert log.next_committed(ALL) == entries_of([3], 3)
    with pytest.raises(Compacted):
        log.term(1)
    with pytest.raises(LogCorrupt):  # entry 2 is not applied, and gone
        Log(store, applied=1)


def test_a_state_machine_ahead_of_the_saved_commit_index() -> None:
    assert log_of(1, 1, 1, commit=1, applied=3).commit == 3
    with pytest.raises(LogCorrupt):
        log_of(1, 1, 1, commit=1, applied=4)
    with pytest.raises(LogCorrupt):
        log_of(1, 1, 1, commit=4)


@pytest.mark.parametrize(
    ("index", "term", "is_up_to_date"),
    [(3, 2, True), (4, 2, True), (1, 3, True), (2, 2, False), (9, 1, False)],
)
def test_up_to_date(index: int, term: int, *, is_up_to_date: bool) -> None:
    assert log_of(1, 2, unstable=(2,)).is_up_to_date(index, term) is is_up_to_date


@pytest.mark.parametrize(
    ("index", "term", "new", "last", "terms"),
    [
        (3, 3, [], 3, [1, 2, 3]),
        (3, 3, [4, 4], 5, [1, 2, 3, 4, 4]),
        (0, 0, [1, 2], 2, [1, 2, 3]),  # an old message: nothing is removed
        (1, 1, [2, 3, 4], 4, [1, 2, 3, 4]),
        (2, 2, [4], 3, [1, 2, 4]),
        (1, 1, [4, 4, 4], 4, [1, 4, 4, 4]),
        (3, 2, [4], None, [1, 2, 3]),
        (4, 3, [4], None, [1, 2, 3]),
    ],
)
@pytest.mark.parametrize("stable", [0, 1, 2, 3])
def test_maybe_append(stable: int, index: int, term: int, new: list[int], last: int | None, terms: list[int]) -> None:
    log = log_of(*(1, 2, 3)[:stable], unstable=(1, 2, 3)[stable:])
    assert log.maybe_append(index, term, entries_of(new, index + 1)) == last
    assert terms_of(log) == terms
    assert log.stable_index <= stable


def test_the_committed_is_never_replaced() -> None:
    log = log_of(1, 1, unstable=(1,))
    log.commit_to(3)
    with pytest.raises(LogCorrupt):
        log.maybe_append(2, 1, entries_of([2], 3))
    assert terms_of(log) == [1, 1, 1]


def test_the_commit_index_never_goes_back_nor_beyond_the_log() -> None:
    log = log_of(1, 1, 1, commit=2)
    log.commit_to(1)
    assert log.commit == 2
    with pytest.raises(LogCorrupt):
        log.commit_to(4)


@pytest.mark.parametrize(
    ("index", "term", "hint"),
    [(9, 9, (6, 3)), (9, 2, (4, 2)), (5, 3, (5, 3)), (3, 1, (2, 1)), (6, 0, (1, 1)), (1, 0, (1, 1))],
)
def test_possible_match(index: int, term: int, hint: tuple[int, int]) -> None:
    assert log_of(1, 1, 2, unstable=(2, 3, 3), commit=1).possible_match(index, term, 1) == hint


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.integers(1, 5)).map(sorted), st.integers(0, 20), st.integers(0, 6))
def test_possible_match_is_the_highest(terms: list[int], index: int, term: int) -> None:
    candidates = [at for at, of in enumerate([0, *terms]) if at <= index and of <= term]
    assert log_of(*terms).possible_match(index, term, 0)[0] == max(candidates)


def test_only_the_durable_is_applied() -> None:
    log = log_of(1, unstable=(1, 1))
    log.commit_to(3)
    assert log.next_committed(ALL) == entries_of([1])
    log.applied_to(1)
    assert not log.has_next_committed()
    log.stable_to(3, 1)
    assert log.unstable_entries() == entries_of([1, 1], 2)[2:]


def test_stable_to_a_prefix() -> None:
    log = log_of(1, unstable=(1, 1, 1))
    log.stable_to(3, 1)
    assert (log.stable_index, log.unstable_entries()) == (3, entries_of([1], 4))


def test_stable_to_what_is_no_longer_here() -> None:
    log = log_of(1, unstable=(2, 2))
    log.maybe_append(1, 1, entries_of([3], 2))
    log.stable_to(3, 2)
    log.stable_to(2, 2)
    log.stable_to(1, 1)
    assert (log.stable_index, log.unstable_entries()) == (1, entries_of([3], 2))


class LogAgainstList(RuleBasedStateMachine):
    """A follower's log, its driver and its disk, against a list of terms; leaders come and go.

    A leader's log is a beginning of one that was, and entries of a term that only it has: hence the matching of logs
    (Raft 5.3). A leader that lacks what is committed cannot be (Raft 5.4.3), so that it sends nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryLogStore()
        self.log = Log(self.store, 0)
        self.model: list[int] = []
        self.leaders: list[list[int]] = [[]]
        self.commit = 0
        self.saving: list[Entry] | None = None

    @rule(which=st.integers(0, 99), cut=st.integers(0, 6), count=st.integers(1, 4))
    def elect(self, which: int, cut: int, count: int) -> None:
        begin = self.leaders[which % len(self.leaders)]
        term = len(self.leaders)
        self.leaders.append(begin[: max(0, len(begin) - cut)] + [term] * count)

    @rule(which=st.integers(0, 99), at=st.integers(0, 12), count=st.integers(0, 6))
    def append(self, which: int, at: int, count: int) -> None:
        leader = self.leaders[-1 - which % len(self.leaders)]
        if leader[: self.commit] != self.model[: self.commit]:
            return
        at = max(self.commit, min(at, len(leader)))
        before = leader[at - 1] if at else 0
        sent = leader[at : at + count]
        known = self.log.maybe_append(at, before, entries_of(sent, at + 1))
        if self.model[:at] != leader[:at]:
            assert known is None
            return
        assert known == at + len(sent)
        if self.model[: at + len(sent)] != leader[: at + len(sent)]:  # only from the first difference on
            self.model = leader[: at + len(sent)]

    @rule(index=st.integers(0, 20))
    def commits(self, index: int) -> None:
        index = min(index, len(self.model))
        self.log.commit_to(index)
        self.commit = max(self.commit, index)

    @precondition(lambda self: self.saving is None)
    @rule()
    def start_to_save(self) -> None:
        self.saving = self.log.unstable_entries()
        self.store.save(None, self.saving)

    @precondition(lambda self: self.saving is not None)
    @rule()
    def saved(self) -> None:
        assert self.saving is not None
        if self.saving:
            self.log.stable_to(self.saving[-1].index, self.saving[-1].term)
        self.saving = None

    @rule(max_bytes=st.integers(0, 3))
    def apply(self, max_bytes: int) -> None:
        entries = self.log.next_committed(max_bytes)
        assert bool(entries) == self.log.has_next_committed()
        for entry in entries:
            assert entry.index == self.log.applied + 1
            assert entry.term == self.model[entry.index - 1]
            self.log.applied_to(entry.index)

    @invariant()
    def same_log(self) -> None:
        assert terms_of(self.log) == self.model
        assert self.log.commit == self.commit
        assert self.log.applied <= min(self.log.commit, self.log.stable_index)
        assert self.log.has_unstable() == (self.log.stable_index < self.log.last_index)

    @invariant()
    def stable_means_durable(self) -> None:
        for index in range(1, self.log.stable_index + 1):
            assert self.store.term(index) == self.model[index - 1]


TestLogAgainstList = LogAgainstList.TestCase


SNAPSHOT = SnapshotMeta(7, 2, ConfState((1, 2)))


def test_entries_durable_and_not() -> None:
    log = log_of(1, 1, unstable=(2, 3))
    assert log.entries(1, ALL) == entries_of([1, 1, 2, 3])
    assert log.entries(2, ALL) == entries_of([1, 2, 3], 2)
    assert log.entries(3, ALL) == entries_of([2, 3], 3)
    assert log.entries(4, ALL) == entries_of([3], 4)
    assert log_of(1, 1).entries(1, ALL) == entries_of([1, 1])


def test_entries_are_bounded_across_the_border() -> None:
    entries = [Entry(1, index, EntryType.NORMAL, b"ab") for index in range(1, 5)]
    log = Log(MemoryLogStore(HardState(), entries[:2]), applied=0)
    log.append(entries[2:])
    assert [len(log.entries(1, bytes_)) for bytes_ in (1, 2, 4, 5, 6, 8)] == [1, 1, 2, 2, 3, 4]


def test_a_log_begun_anew() -> None:
    log = log_of(1, 1, unstable=(1,))
    log.restore(SNAPSHOT)
    assert (log.first_index, log.last_index, log.last_term, log.commit, log.applied) == (8, 7, 2, 7, 0)
    with pytest.raises(Compacted):
        log.term(6)
    with pytest.raises(Unavailable):
        log.term(8)
    assert not log.has_next_committed()
    assert log.next_committed(ALL) == []
    assert not log.has_unstable()


def test_what_was_being_saved_before_the_switch_is_not_durable_behind_it() -> None:
    log = log_of(1)
    log.restore(SNAPSHOT)
    log.append(entries_of([2], 8))
    log.stable_to(8, 2)
    assert log.unstable_entries() == entries_of([2], 8)
    log.restored(SNAPSHOT)
    log.stable_to(8, 2)
    assert not log.has_unstable()
    assert log.applied == 7


def test_a_later_snapshot_takes_the_place_of_one_under_way() -> None:
    log = log_of(1)
    log.restore(SNAPSHOT)
    later = SnapshotMeta(9, 3, ConfState((1, 2)))
    log.restore(later)
    log.restored(SNAPSHOT)
    assert (log.snapshot, log.applied, log.commit) == (later, 7, 9)
