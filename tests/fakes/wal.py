"""A log as a plain value, to compare a Wal with, and random work that is done on both."""

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from consensus.env import Disk
from consensus.raft.types import Entry, EntryType, HardState, SnapshotMeta
from consensus.wal import Wal, WalOptions
from consensus.wal_format import Identity
from tests.fakes.env import FakeEnv

DIRECTORY = Path("/member/wal")
IDENTITY = Identity(cluster_id=0xCDF818194E3A8C32, member_id=0x8E9E05C52164694D)
SMALL = WalOptions(segment_bytes=4096, allocation_bytes=1024, memory_bytes=3000, keep_bytes=2000)
EVERYTHING = 1 << 60

_SEEDS = itertools.count(1)


class SaltedEnv(FakeEnv):
    """A FakeEnv whose random bytes differ from env to env, as those of two processes do."""

    def __init__(self, disk: Disk, seed: int | None = None) -> None:
        super().__init__(disk)
        self._chance = random.Random(next(_SEEDS) if seed is None else seed)

    def random_bytes(self, n: int) -> bytes:
        return self._chance.randbytes(n)


def create(disk: Disk, options: WalOptions = SMALL) -> Wal:
    """A new Wal in DIRECTORY."""
    return Wal.create(SaltedEnv(disk), DIRECTORY, IDENTITY, options)


def reopen(disk: Disk, options: WalOptions = SMALL) -> Wal:
    """Opens the Wal in DIRECTORY as another process would."""
    return Wal.open(SaltedEnv(disk), DIRECTORY, IDENTITY, options)


@dataclass(frozen=True, slots=True)
class LogState:
    """What a log holds."""

    hard_state: HardState = field(default_factory=HardState)
    first_index: int = 1
    entries: tuple[Entry, ...] = ()

    @property
    def last_index(self) -> int:
        return self.first_index + len(self.entries) - 1

    def term(self, index: int) -> int:
        return self.entries[index - self.first_index].term

    def save(self, hard_state: HardState | None, entries: Sequence[Entry]) -> "LogState":
        kept = self.entries
        if entries:
            kept = (*self.entries[: entries[0].index - self.first_index], *entries)
        return replace(self, hard_state=hard_state or self.hard_state, entries=kept)

    def cut(self, first_index: int) -> "LogState":
        return replace(self, first_index=first_index, entries=self.entries[first_index - self.first_index :])

    def restore(self, snapshot: SnapshotMeta) -> "LogState":
        state = self.hard_state
        if state.term < snapshot.term:
            state = HardState(snapshot.term, 0, state.commit)
        state = HardState(state.term, state.vote, max(state.commit, snapshot.index))
        return LogState(state, snapshot.index + 1)

    def may_follow(self, acknowledged: "LogState", pending: "LogState") -> bool:
        """Whether a log opened after a stop may be this one.

        It holds what was acknowledged, or also the operation that was under way; only a commit index, which needs no
        sync, may be missing, and an interrupted cut may have dropped less.
        """
        if not acknowledged.first_index <= self.first_index <= pending.first_index:
            return False
        return any(
            self.entries == log.cut(self.first_index).entries
            and (self.hard_state.term, self.hard_state.vote) == (log.hard_state.term, log.hard_state.vote)
            and self.hard_state.commit <= log.hard_state.commit
            for log in (acknowledged, pending)
        )


def state_of(wal: Wal) -> LogState:
    """All that a Wal holds, read through its door; terms are checked against the entries."""
    first, last = wal.first_index(), wal.last_index()
    entries = wal.entries(first, last + 1, EVERYTHING)
    assert [entry.index for entry in entries] == list(range(first, last + 1))
    assert [wal.term(index) for index in range(first, last + 1)] == [entry.term for entry in entries]
    return LogState(wal.initial_state(), first, tuple(entries))


def make_entries(first: int, count: int, term: int = 1, size: int = 40) -> list[Entry]:
    """Entries with different data of one size."""
    return [
        Entry(term, index, EntryType.NORMAL, (b"%d.%d " % (term, index)).ljust(size, b".")[:size])
        for index in range(first, first + count)
    ]


class Work:
    """Random saves, truncations and cuts on a Wal, with `restores` also these; each with what must hold after it."""

    def __init__(self, seed: int, state: LogState = LogState(), *, restores: bool = False) -> None:
        self._restores = restores
        self._chance = random.Random(seed)
        self.state = state
        """After the last operation that returned."""
        self.next = state
        """After the operation under way."""

    def run(self, wal: Wal, steps: int, returned: Callable[[], None] = lambda: None) -> None:
        """Does `steps` operations, calling `returned` after each."""
        for _ in range(steps):
            if self._restores and self._chance.random() < 0.2:
                self._restore(wal)
            elif self._chance.random() < 0.1:
                self._cut(wal)
            else:
                self._save(wal)
            self.state = self.next
            returned()

    def _save(self, wal: Wal) -> None:
        chance, state = self._chance, self.state
        term, vote, commit = state.hard_state.term, state.hard_state.vote, state.hard_state.commit
        entries: list[Entry] = []
        if not term or chance.random() < 0.15:
            term, vote = term + 1, chance.randrange(3)
        if chance.random() < 0.8:
            first = state.last_index + 1
            if chance.random() < 0.2:
                first = chance.randint(max(commit + 1, state.first_index), first)
            count = chance.choice((1, 1, 2, 5))
            previous = state.term(first - 1) if first > state.first_index else 1
            terms = sorted(chance.randint(previous, term) for _ in range(count))
            for index, entry_term in enumerate(terms, first):
                kind = chance.choice((EntryType.NORMAL, EntryType.CONF_CHANGE))
                entries.append(Entry(entry_term, index, kind, chance.randbytes(chance.choice((0, 10, 100, 700)))))
        last = entries[-1].index if entries else state.last_index
        if chance.random() < 0.5:
            commit = chance.randint(commit, last)
        hard_state = HardState(term, vote, commit)
        must_sync = bool(entries) or (term, vote) != (state.hard_state.term, state.hard_state.vote)
        self.next = state.save(hard_state, entries)
        wal.save(None if hard_state == state.hard_state else hard_state, entries, must_sync)

    def _restore(self, wal: Wal) -> None:
        state, chance = self.state, self._chance
        index = state.hard_state.commit + chance.randint(1, 12)
        snapshot = SnapshotMeta(index, max(1, state.hard_state.term + chance.choice((-1, 0, 2))))
        self.next = state.restore(snapshot)
        wal.restore(snapshot)
        assert wal.term(index) == snapshot.term

    def _cut(self, wal: Wal) -> None:
        index = self._chance.randint(
            self.state.first_index - 1, max(self.state.first_index - 1, self.state.hard_state.commit)
        )
        self.next = self.state.cut(index + 1)
        first = wal.cut(index)
        assert self.state.first_index <= first <= index + 1
        self.next = self.state.cut(first)
