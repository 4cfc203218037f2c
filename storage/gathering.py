"""Finding the keys of a range as of one revision, in pieces between which others may run, and write.

The revision stays readable meanwhile: whoever gathers has registered it, so that no compaction prunes what it needs
(`Kv.register`). What a key was is known from its KeyValue, if that is not younger, else from its history; a row of the
past is in the pending list, in the batch that is being written, or in SQLite, and then a stub stands for it.
"""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING

from raftgate.api.kv import KeyValue, RangeRequest, RangeResponse, ResponseHeader, SortTarget
from storage import ranges
from storage.index import FROM_KEY
from storage.row import SUB_BITS, SUB_MASK, Load, Stub, key_value

if TYPE_CHECKING:
    from storage.kv import Kv


class Gathering:
    """The keys of a range on their way."""

    __slots__ = ("_before", "_kv", "count", "header", "kvs", "request", "revision")

    def __init__(self, kv: "Kv", request: RangeRequest, revision: int) -> None:
        """`revision`: at which the range is read, not above the store's."""
        self._kv = kv
        self._before = kv.before() if revision < kv.seen_revision else {}
        self.request = request
        self.revision = revision
        self.header = ResponseHeader(revision=kv.seen_revision)
        self.kvs: list[KeyValue] = []
        """The KeyValues and stubs so far, in key order; with a limit that cuts early, no more than are looked at."""
        self.count = 0

    def answer(self, load: Load) -> RangeResponse:
        """The answer, when all is gathered; in any thread, since nothing is touched that others may change."""
        request = self.request
        if ranges.looks_inside(request):
            self.load(load, values=request.sort_target is SortTarget.VALUE)
        elif not 0 < request.limit < len(self.kvs):
            self.load(load, values=not request.keys_only)
        return ranges.answer(request, self.header, self.kvs, self.count, load)

    def load(self, load: Load, *, values: bool) -> None:
        """Replaces the stubs of many keys in their places, so that no list of them is ever let go of as a whole."""
        at_once = self._kv.options.large
        if len(self.kvs) > at_once:
            for start in range(0, len(self.kvs), at_once):
                piece = slice(start, start + at_once)
                self.kvs[piece] = load(self.kvs[piece], values=values)

    def let_go(self) -> None:
        """Lets go of the keys, a few at a time: a million stubs would keep the interpreter for a tenth of a second."""
        while self.kvs:
            del self.kvs[-self._kv.options.large :]

    def pieces(self) -> Iterator[None]:
        """Gathers, giving way between two pieces."""
        request, sweeps, gone_keys = self.request, self._kv.sweeps, self._kv.history.gone
        if not request.range_end:
            sweeps.settle_key(request.key)
        pieces = pieces_of_keys(self._kv, request.key, request.range_end)
        is_last, settled = False, len(gone_keys)
        while not is_last:
            while request.range_end and sweeps.hides(self.revision):
                if settled == len(gone_keys):  # else another is at it, and two pieces a turn would double all waits
                    sweeps.settle()
                settled = len(gone_keys)
                yield
            live, gone, is_last = next(pieces)
            self._take(live, gone)
            if not is_last:
                yield

    def _take(self, live: list[bytes], gone: list[bytes]) -> None:
        found = self._live(live)
        if gone:
            found += self._gone(gone)
            found.sort(key=attrgetter("key"))
        self.count += len(found)
        if self.request.count_only:
            return
        if ranges.cuts_early(self.request):
            found = found[: max(self.request.limit + 1 - len(self.kvs), 0)]
        self.kvs += found

    def _live(self, keys: list[bytes]) -> list[KeyValue]:
        """What keys that are live now were."""
        kv, revision = self._kv, self.revision
        kvs = kv.index.current(keys)
        if kv.seen_revision == revision:
            return kvs
        found = []
        for now in kvs:
            if now.mod_revision <= revision:
                found.append(now)
            elif (past := self._past(now.key)) is not None:
                found.append(past)
        return found

    def _gone(self, keys: list[bytes]) -> list[KeyValue]:
        """What keys that are not live now were."""
        return [past for past in map(self._past, keys) if past is not None]

    def _past(self, key: bytes) -> KeyValue | None:
        row_id = self._kv.history.row_at(key, self.revision)
        if row_id is None:
            return None
        before = self._before.get(key)
        if before is not None and before.mod_revision == row_id >> SUB_BITS:
            return before
        row = self._kv.uncommitted(row_id)
        if row is not None:
            return key_value(row)
        return Stub(key, mod_revision=row_id >> SUB_BITS, sub=row_id & SUB_MASK)


def pieces_of_keys(kv: "Kv", key: bytes, range_end: bytes) -> Iterator[tuple[list[bytes], list[bytes], bool]]:
    """The keys of a range, a piece at a time: those live now, those gone that have rows, and whether it is the last.

    Both lists of a piece are of one moment, so that a key which comes to life or goes meanwhile is in one of them.
    """
    end = None if range_end == FROM_KEY else range_end
    if not range_end:
        yield ([key], [], True) if kv.index.get(key) else ([], [key], True)
        return
    if end is not None and end <= key:
        yield [], [], True
        return
    size = kv.options.large  # which takes about a millisecond, in the past two or three
    inclusive, is_last = True, False
    while not is_last:
        live, gone = (
            list(islice(keys.irange(key, end, (inclusive, False)), size)) for keys in (kv.index.keys, kv.history.gone)
        )
        full = [keys[-1] for keys in (live, gone) if len(keys) == size]
        is_last = not full
        if full:
            key, inclusive = min(full), False
            live, gone = live[: bisect_right(live, key)], gone[: bisect_right(gone, key)]
        yield live, gone, is_last
