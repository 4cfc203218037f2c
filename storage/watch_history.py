"""Reading what watches have missed: rows of SQLite, and those that it does not have yet, in bounded rounds.

A round begins on the loop, where it notes what is in memory and registers the revision from which it reads, so that no
compaction deletes what it needs; it runs in a reader's thread; and it ends on the loop. What it reads is the logical
history: how far a compaction has got with its work never shows.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from raftgate.api.kv import KeyValue
from storage.kv import Kv
from storage.reader import Readers
from storage.row import SUB_BITS, SUB_MASK, Row, Stub, key_value
from storage.sweep import Sweep
from storage.watch_events import Batch, Changes, Wanted, may_have_previous
from storage.watch_ranges import Ranges

REVISIONS: Final = 1_000
"""Distinct revisions of one message: etcd mvcc/watcher_group.go, watchBatchMaxRevs."""
HITS: Final = 10_000
"""Events after which a round ends, with the revision that it has begun; those that several want count several times."""
BYTES: Final = 4 << 20
"""Bytes of keys and values likewise."""
ROWS: Final = 10_000
"""Rows that are taken from memory likewise."""
SHORT: Final = 200
"""Rows that the loop looks at rather than wait for a thread."""
SPAN: Final = 100_000
AT_ONCE: Final = 1_000
"""Rows that the loop looks at in one go."""
SWEPT_AT_ONCE: Final = 2_048

Need: TypeAlias = tuple[Wanted, int]
"""What somebody wants to be told, and from which revision on."""


class Memory(Protocol):
    """The rows that SQLite may not have yet."""

    def __call__(self) -> Iterable[tuple[Sequence[Row], Sequence[tuple[int, Sweep]]]]:
        """Lists of rows, with the sweeps among them, as `Batch` of `writer.py` has them."""
        ...


@dataclass(frozen=True, slots=True)
class Store:
    """Where rows are."""

    kv: Kv
    readers: Readers
    memory: Memory
    committed: Callable[[], int]
    """The revision up to which SQLite has everything."""
    span: int = SPAN
    """Revisions of the file that a round looks at."""


class Reading:
    """One round, for those who need about the same rows."""

    def __init__(self, store: Store, needs: Iterable[Need]) -> None:
        """`needs`: what is wanted, from which revisions on; none of them is compacted, or later than the store's."""
        self._store = store
        self._needs = list(needs)
        self._first = min(revision for _, revision in self._needs)
        self._compact_revision = store.kv.compact_revision
        self._revision = self.end = store.kv.revision
        self._with_previous = any(wanted.prev_kv for wanted, _ in self._needs)
        self._in_file = min(store.committed(), self.end)
        if self._in_file >= self._first + store.span:
            self._in_file = self.end = self._first + store.span - 1
        self._in_memory = self._capture(max(self._first, self._in_file + 1))
        self._rows: list[Row] = []  # that somebody wants, in order
        self._hits: dict[Need, list[int]] = {}  # the numbers of the rows for each
        self._previous: dict[int, KeyValue] = {}  # number of a row -> what its key was before
        self.batches: dict[Need, Batch] = {}
        """In the end: what there is for each, up to revision `end`."""
        self._registered: int | None = max(self._first - 1, 0)  # for what was before the first row
        store.kv.register(self._registered)

    def steps(self) -> Iterator[Callable[[], None] | None]:
        """Reads; to be iterated as `WatchHub.catch_up` is."""
        if self._in_file < self._first and sum(map(_count, self._in_memory)) <= SHORT:
            self._read()
        else:
            yield self._read
        if self._with_previous:
            yield from self._find_previous()
            if len(self._rows) > SHORT:
                yield self._make
            else:
                self._make()

    def close(self) -> None:
        """Lets compactions go on; on the loop, may be called again."""
        if self._registered is not None:
            self._store.kv.unregister(self._registered)
            self._registered = None

    def _read(self) -> None:
        """Finds the rows; in a reader's thread, unless there are few."""
        ranges: Ranges[Need] = Ranges()
        for need in self._needs:
            ranges.add(need[0].key, need[0].range_end, need)
        last = revisions = size = hits = 0
        for row in self._logical():
            revision = row[0] >> SUB_BITS
            wanting = [need for need in ranges.find(row[1]) if need[1] <= revision and need[0].wants(row)]
            if not wanting:
                continue
            if revision != last:
                if revisions == REVISIONS or hits >= HITS or size >= BYTES:
                    self.end = revision - 1
                    break
                last, revisions = revision, revisions + 1
            for need in wanting:
                self._hits.setdefault(need, []).append(len(self._rows))
            self._rows.append(row)
            hits += len(wanting)
            size += len(row[1]) + len(row[4])
        if not self._with_previous:
            self._make()

    def _find_previous(self) -> Iterator[Callable[[], None] | None]:
        """Finds what was before the rows, for those who want it."""
        hits = self._hits.items()
        numbers = sorted({number for need, numbers in hits if need[0].prev_kv for number in numbers})
        stubs: dict[int, Stub] = {}
        for count, number in enumerate(numbers, start=1):
            if count % AT_ONCE == 0:
                yield None
            kv = self._before(self._rows[number])
            if type(kv) is Stub:
                stubs[number] = kv
            elif kv is not None:
                self._previous[number] = kv

        def load() -> None:
            loaded = self._store.readers.load(list(stubs.values()), values=True)
            self._previous.update(zip(stubs, loaded, strict=True))

        if stubs:
            yield load

    def _make(self) -> None:
        """Makes the batches, in any thread."""
        changes = Changes(self._revision, self._rows, self._previous)
        for need, numbers in self._hits.items():
            self.batches[need] = changes.batch(numbers, prev_kv=need[0].prev_kv)

    def _before(self, row: Row) -> KeyValue | None:
        """What a row's key was at the revision before: nothing where that is compacted (etcd v3rpc/watch.go)."""
        kv = self._store.kv
        row_id, key = row[:2]
        revision = (row_id >> SUB_BITS) - 1
        if revision < self._compact_revision or not may_have_previous(row):
            return None
        if kv.sweeps.unsettled:
            kv.sweeps.settle_key(key)
        before = kv.history.row_at(key, revision)
        if before is None:
            return None
        found = kv.uncommitted(before)
        if found is not None:
            return key_value(found)
        return Stub(key, mod_revision=before >> SUB_BITS, sub=before & SUB_MASK)

    def _capture(self, first: int) -> "list[Sequence[Row] | Sweep]":
        """What is in memory of the revisions from `first` on; too much of it moves the end."""
        parts: list[Sequence[Row] | Sweep] = []
        room = ROWS
        for part in _between(self._store.memory(), first, self.end):
            if room <= 0:
                self.end = (part.revision if isinstance(part, Sweep) else part[0][0] >> SUB_BITS) - 1
                return parts
            if not isinstance(part, Sweep) and len(part) > room:
                self.end = part[room - 1][0] >> SUB_BITS
                parts.append(part[: _position(part, self.end + 1)])
                return parts
            parts.append(part)
            room -= _count(part)
        return parts

    def _logical(self) -> Iterator[Row]:
        """The rows, without those that a compaction at the first revision drops: of a key that changed twice in it."""
        newest: dict[bytes, Row] = {}
        for row in self._all():
            if row[0] >> SUB_BITS == self._compact_revision:
                newest.pop(row[1], None)
                newest[row[1]] = row
                continue
            if newest:
                yield from newest.values()
                newest = {}
            yield row
        yield from newest.values()

    def _all(self) -> Iterator[Row]:
        if self._first <= self._in_file:
            starts = [wanted.key for wanted, _ in self._needs]
            ends = [wanted.end for wanted, _ in self._needs]
            end = None if None in ends else max(end for end in ends if end is not None)
            ids = self._first << SUB_BITS, self._in_file + 1 << SUB_BITS
            yield from self._store.readers.rows(ids, min(starts), end)
        for part in self._in_memory:
            if isinstance(part, Sweep):
                for start in range(0, part.count, SWEPT_AT_ONCE):
                    yield from part.rows(start, SWEPT_AT_ONCE)
            else:
                yield from part


def _between(
    memory: Iterable[tuple[Sequence[Row], Sequence[tuple[int, Sweep]]]], first: int, last: int
) -> "Iterator[Sequence[Row] | Sweep]":
    """The rows and sweeps of some revisions, in order."""
    for rows, swept in memory:
        start, stop = _position(rows, first), _position(rows, last + 1)
        for before, sweep in swept:
            if start < min(before, stop):
                yield rows[start : min(before, stop)]
                start = min(before, stop)
            if first <= sweep.revision <= last:
                yield sweep
        if start < stop:
            yield rows[start:stop]


def _position(rows: Sequence[Row], revision: int) -> int:
    """Where the rows from a revision on begin."""
    return bisect_left(rows, revision << SUB_BITS, key=lambda row: row[0])


def _count(part: "Sequence[Row] | Sweep") -> int:
    return part.count if isinstance(part, Sweep) else len(part)
