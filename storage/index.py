"""The key index in memory: every live key in order, with its current KeyValue.

The key order is touched only when a key appears or goes; an update costs one dict entry. KeyValues are shared with
answers and with readers, and never change. What keys were is in `history.py`.
"""

from collections.abc import Callable, Iterable, Iterator
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


class Keys(SortedList):  # type: ignore[misc]  # sortedcontainers has no types
    """Keys in order; a whole range of them can be cut out at once."""

    def cut(self, start: int, stop: int) -> list[list[bytes]]:
        """Removes the keys of some positions, and answers them in lists, in order.

        The library's `del keys[start:stop]` removes one by one, or builds all that stays anew.
        """
        if start >= stop:
            return []
        lists, maxes = self._lists, self._maxes
        (first, low), (last, high) = self._pos(start), self._pos(stop - 1)
        high += 1
        taken = [lists[first][low:high]] if first == last else [lists[first][low:], *lists[first + 1 : last]]
        if first != last:
            taken.append(lists[last][:high])
        left = [each for each in (lists[first][:low] + lists[last][high:],) if each]
        lists[first : last + 1] = left
        maxes[first : last + 1] = [each[-1] for each in left]
        self._len -= stop - start
        del self._index[:]
        return taken


class Index:
    """The live keys."""

    __slots__ = ("_current", "get", "keys")

    def __init__(self, live: Iterable[KeyValue] = ()) -> None:
        self._current = {kv.key: kv for kv in live}
        self.keys = Keys(self._current)
        """The live keys in order."""
        self.get: Callable[[bytes], KeyValue | None] = self._current.get
        """The KeyValue of a key, or None."""

    def __len__(self) -> int:
        return len(self.keys)

    def add(self, kv: KeyValue) -> None:
        """Adds a key that is not live yet."""
        self._current[kv.key] = kv
        self.keys.add(kv.key)

    def update(self, kv: KeyValue) -> None:
        """Replaces the KeyValue of a live key."""
        self._current[kv.key] = kv

    def remove(self, key: bytes) -> None:
        """Removes a live key."""
        del self._current[key]
        self.keys.remove(key)

    def cut(self, key: bytes, range_end: bytes) -> list[list[bytes]]:
        """Takes the keys of a range out of the order, at once; `forget` is to be called for each of them."""
        return self.keys.cut(*self._bounds(key, range_end))

    def hide(self, is_hidden: Callable[[KeyValue], bool] | None) -> None:
        """Makes `get` look past those KeyValues which `cut` has taken, until called with None."""
        current = self._current.get
        if is_hidden is None:
            self.get = current
            return

        def get(key: bytes) -> KeyValue | None:
            kv = current(key)
            return None if kv is None or is_hidden(kv) else kv

        self.get = get

    def hidden(self, key: bytes) -> KeyValue | None:
        """What `get` would say of a key if nothing was hidden."""
        return self._current.get(key)

    def forget(self, key: bytes) -> None:
        """Drops the KeyValue of a key that `cut` has taken."""
        del self._current[key]

    def count(self, key: bytes, range_end: bytes) -> int:
        """Counts the live keys of a range."""
        if not range_end:
            return int(self.get(key) is not None)
        start, stop = self._bounds(key, range_end)
        return max(stop - start, 0)

    def range(self, key: bytes, range_end: bytes, limit: int = 0) -> list[KeyValue]:
        """Lists the live keys of a range in key order, the first `limit` of them if it is above 0."""
        if not range_end:
            kv = self.get(key)
            return [] if kv is None else [kv]
        keys = self._between(key, range_end)
        if limit > 0:
            keys = islice(keys, min(limit, len(self.keys)))  # islice takes no number above sys.maxsize
        return list(map(self._current.__getitem__, keys))

    def pieces(self, key: bytes, range_end: bytes, size: int) -> Iterator[list[KeyValue]]:
        """The live keys of a range, `size` at a time, one empty list for none; they must not change meanwhile."""
        if not range_end:
            yield self.range(key, range_end)
            return
        keys = self._between(key, range_end)
        piece = list(islice(keys, size))
        while True:
            yield self.current(piece)
            piece = list(islice(keys, size))
            if not piece:
                return

    def current(self, keys: list[bytes]) -> list[KeyValue]:
        """The KeyValues of live keys."""
        return list(map(self._current.__getitem__, keys))

    def _bounds(self, key: bytes, range_end: bytes) -> tuple[int, int]:
        start = self.keys.bisect_left(key)
        return start, len(self.keys) if range_end == FROM_KEY else self.keys.bisect_left(range_end)

    def _between(self, key: bytes, range_end: bytes) -> Iterator[bytes]:
        if range_end == FROM_KEY:
            return iter(self.keys.irange(key))
        if range_end <= key:
            return iter(())
        return iter(self.keys.irange(key, range_end, (True, False)))
