"""The key index in memory: every live key in order, with its current KeyValue.

The key order is touched only when a key appears or goes; an update costs one dict entry. KeyValues are shared with
answers and with readers, and never change. Revisions of the past will be indexed here too.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

from sortedcontainers import SortedList

from raftgate.api.kv import KeyValue

FROM_KEY = b"\0"
"""As range_end: every key from `key` on."""


def covers(key: bytes, range_end: bytes, candidate: bytes) -> bool:
    """Tells whether `[key, range_end)`, in etcd's reading of range_end, holds `candidate`."""
    if not range_end:
        return candidate == key
    return key <= candidate and (range_end == FROM_KEY or candidate < range_end)


class Index:
    """The live keys."""

    __slots__ = ("_current", "_keys", "get")

    def __init__(self, live: Iterable[KeyValue] = ()) -> None:
        self._current = {kv.key: kv for kv in live}
        self._keys = SortedList(self._current)
        self.get = self._current.get
        """The KeyValue of a key, or None."""

    def __len__(self) -> int:
        return len(self._current)

    def add(self, kv: KeyValue) -> None:
        """Adds a key that is not live yet."""
        self._current[kv.key] = kv
        self._keys.add(kv.key)

    def update(self, kv: KeyValue) -> None:
        """Replaces the KeyValue of a live key."""
        self._current[kv.key] = kv

    def remove(self, key: bytes) -> None:
        """Removes a live key."""
        del self._current[key]
        self._keys.remove(key)

    def count(self, key: bytes, range_end: bytes) -> int:
        """Counts the live keys of a range."""
        if not range_end:
            return int(key in self._current)
        start: int = self._keys.bisect_left(key)
        stop: int = len(self._keys) if range_end == FROM_KEY else self._keys.bisect_left(range_end)
        return max(stop - start, 0)

    def range(self, key: bytes, range_end: bytes, limit: int = 0) -> list[KeyValue]:
        """Lists the live keys of a range in key order, the first `limit` of them if it is above 0."""
        if not range_end:
            kv = self.get(key)
            return [] if kv is None else [kv]
        keys = self._between(key, range_end)
        if limit > 0:
            keys = islice(keys, min(limit, len(self._current)))  # islice takes no number above sys.maxsize
        return list(map(self._current.__getitem__, keys))

    def _between(self, key: bytes, range_end: bytes) -> Iterator[bytes]:
        if range_end == FROM_KEY:
            return iter(self._keys.irange(key))
        if range_end <= key:
            return iter(())
        return iter(self._keys.irange(key, range_end, (True, False)))
