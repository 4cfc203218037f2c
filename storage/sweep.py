"""Deletions of very many keys by one deleterange: done for everyone at once, worked off in pieces.

The keys leave the order of the index in one go, hence ranges and counts; looking a single key up looks past what was
swept. What is left per key - to drop its KeyValue, to note its tombstone in the history - is done later, a piece at
a time, or for one key when that is put anew, or before anybody reads the past. The rows go to SQLite from the
list of keys. In this way such a command holds nobody up, as applying it key by key would (seconds for a million).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Final

from raftgate.api.kv import KeyValue
from storage.history import History
from storage.index import FROM_KEY, Index, covers
from storage.row import SUB_BITS, Row
from storage.values import Values

BYTES_PER_KEY: Final = 16
"""That a swept key takes in memory until it is in SQLite and settled, about."""


class Sweep:
    """One such deletion. The keys never change, so that the database's thread may read them."""

    def __init__(self, revision: int, key: bytes, range_end: bytes, keys: list[list[bytes]]) -> None:
        """`keys`: those that were live, in order."""
        self.revision = revision
        self._key = key
        self._range_end = range_end
        self._keys = keys
        self._ends = list(accumulate(map(len, keys)))
        self._done = 0
        self.count = self._ends[-1]

    def covers(self, kv: KeyValue) -> bool:
        """Whether this has deleted a KeyValue, or an earlier sweep has."""
        return kv.mod_revision < self.revision and covers(self._key, self._range_end, kv.key)

    def overlaps(self, key: bytes, end: bytes | None) -> bool:
        """Whether it may have deleted keys of a range that ends at `end`, None: never."""
        return (end is None or self._key < end) and (self._range_end == FROM_KEY or key < self._range_end)

    def row_id(self, key: bytes) -> int:
        """The row of a key's tombstone: they are numbered in key order."""
        part = bisect_left(self._keys, key, key=_last)
        before = self._ends[part] - len(self._keys[part])
        return self.revision << SUB_BITS | before + bisect_left(self._keys[part], key)

    def rows(self, start: int, count: int) -> list[Row]:
        """The rows of the tombstones from number `start` on, `count` at most."""
        first = self.revision << SUB_BITS | start
        return [(row_id, key, 0, 0, b"", 0) for row_id, key in enumerate(self._slice(start, count), first)]

    def take(self, count: int) -> Iterator[tuple[bytes, int]]:
        """The next keys to be settled, with their rows; none when all are."""
        start = self._done
        keys = self._slice(start, count)
        self._done += len(keys)
        return zip(keys, range(self.revision << SUB_BITS | start, 1 << 63), strict=False)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to do."""
        return self._done == self.count

    def _slice(self, start: int, count: int) -> list[bytes]:
        part = bisect_right(self._ends, start)
        keys: list[bytes] = []
        while part < len(self._keys) and len(keys) < count:
            low = start + len(keys) - (self._ends[part] - len(self._keys[part]))
            keys += self._keys[part][low : low + count - len(keys)]
            part += 1
        return keys


class Sweeps:
    """The sweeps that are not settled yet, oldest first."""

    __slots__ = ("_detach", "_history", "_index", "_piece", "_values", "unsettled")

    def __init__(
        self, index: Index, history: History, values: Values, piece: int, detach: Callable[[bytes, int], None]
    ) -> None:
        """`piece`: keys that are settled in one go; `detach` takes a key from its lease."""
        self._piece = piece
        self._detach = detach
        self._index = index
        self._history = history
        self._values = values
        self.unsettled: list[Sweep] = []

    def sweep(self, revision: int, key: bytes, range_end: bytes) -> Sweep:
        """Deletes all keys of a range at a revision; there are some."""
        sweep = Sweep(revision, key, range_end, self._index.cut(key, range_end))
        self.unsettled.append(sweep)
        self._index.hide(self._is_hidden)
        return sweep

    def settle(self) -> bool:
        """Works off a piece of the oldest sweep; tells whether more is left."""
        if not self.unsettled:
            return False
        sweep = self.unsettled[0]
        for key, row_id in sweep.take(self._piece):
            kv = self._index.hidden(key)
            if kv is not None and sweep.covers(kv):
                self._settle(kv, row_id)
        if sweep.is_settled:
            del self.unsettled[0]
            if not self.unsettled:
                self._index.hide(None)
        return bool(self.unsettled)

    def settle_key(self, key: bytes) -> None:
        """Works off one key, which is about to come back or to be read as it was."""
        kv = self._index.hidden(key)
        if kv is None:
            return
        for sweep in self.unsettled:
            if sweep.covers(kv):
                self._settle(kv, sweep.row_id(key))
                return

    def hides(self, revision: int) -> bool:
        """Whether a read at `revision` needs something settled."""
        return bool(self.unsettled) and revision < self.unsettled[-1].revision

    def _settle(self, kv: KeyValue, row_id: int) -> None:
        self._index.forget(kv.key)
        self._history.removed(kv, row_id)
        self._values.removed(kv)
        if kv.lease:
            self._detach(kv.key, kv.lease)

    def _is_hidden(self, kv: KeyValue) -> bool:
        return any(sweep.covers(kv) for sweep in self.unsettled)


def _last(keys: list[bytes]) -> bytes:
    return keys[-1]
