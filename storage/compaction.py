"""Compaction: what a key may forget, and the rows that then go, in steps.

The replicated part is one number, `Kv.compact_revision`: from the moment it moves, nothing below can be read. The rest
is local and takes its time. First the history of every key is pruned, a few milliseconds at a time, and the ids of
the rows that it no longer tells are gathered. Then the rows are deleted by ascending id: pages empty one after the
other, and of each key the oldest rows go first, so that a restart in between cannot find an old row without the
tombstone that ended it. A mark in the file says up to where a compaction was finished; a restart resumes from there.
"""

from array import array
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from raftgate.api.errors import Compacted, FutureRev
from raftgate.api.kv import CompactionRequest, CompactionResponse, ResponseHeader
from storage.gathering import pieces_of_keys
from storage.index import FROM_KEY
from storage.kv import Kv

WORK: Final = 8_000
"""Units of a step on the loop, each a third of a microsecond or so: two to three milliseconds."""
PER_KEY: Final = 4
"""Units of a key that has a history."""
SORTED_AT_ONCE: Final = 8_192
"""Row ids that are sorted in one go."""
SPREAD_BITS: Final = 10
"""Lots are spread over at most two to the power of this."""


@dataclass(frozen=True, slots=True)
class CompactionStep:
    """Something to be deleted from the file; often nothing yet."""

    revision: int
    """Up to which the compaction goes."""
    row_ids: list[int]
    is_last: bool
    """Whether nothing is left after this one, so that the compaction may be marked as finished."""


def compact(kv: Kv, request: CompactionRequest) -> CompactionResponse:
    """Moves the revision below which nothing can be read (etcd mvcc/kvstore.go, updateCompactRev).

    Raises: Compacted, FutureRev.
    """
    if request.revision <= kv.compact_revision:
        raise Compacted
    if request.revision > kv.revision:
        raise FutureRev
    kv.compact_revision = request.revision
    return CompactionResponse(ResponseHeader(revision=kv.revision))


class Compaction:
    """The work that one compaction makes."""

    def __init__(self, kv: Kv, revision: int, limit: int) -> None:
        """`limit`: rows that a step deletes at most."""
        self._kv = kv
        self._limit = limit
        self.revision = revision
        self._work = self._run()

    def step(self) -> CompactionStep:
        """Does the next piece of work on the loop."""
        row_ids = next(self._work, None)
        return CompactionStep(self.revision, row_ids or [], row_ids is None)

    def _run(self) -> Iterator[list[int]]:
        ids = array("Q")
        lowest, highest = self.revision << 24, 0
        done = 0
        for row_ids in self._pruned():
            done += PER_KEY + len(row_ids)
            if row_ids:
                lowest, highest = min(lowest, row_ids[0]), max(highest, row_ids[-1])
                ids.extend(row_ids)
            if done > WORK:
                done = 0
                yield []
        yield from _ascending(_Lot(lowest, max(highest - lowest, 1).bit_length(), ids), self._limit)

    def _pruned(self) -> Iterator[list[int]]:
        """The rows that each key with a history forgets, many rows of one key in parts; empty lists now and then.

        Keys may come to life and go between two pieces, but not from one piece to another.
        """
        kv, history = self._kv, self._kv.history
        for live, gone, _ in pieces_of_keys(kv, b"\0", FROM_KEY):
            yield []
            for key in chain(history.longer(live), gone):
                is_live = kv.index.get(key) is not None
                while row_ids := history.prune(key, self.revision, WORK, is_live=is_live):
                    yield row_ids
                yield []


@dataclass(frozen=True, slots=True)
class _Lot:
    """Row ids in any order, all of them within `[base, base + 2**bits)`."""

    base: int
    bits: int
    ids: "array[int]"


def _ascending(lot: _Lot, limit: int) -> Iterator[list[int]]:
    """All ids in ascending order, `limit` at a time; with empty lists between the pieces of other work.

    A radix sort from the top: `sorted` over millions would not let anyone else run.
    """
    lots = [lot]
    while lots:
        lot = lots.pop()
        if len(lot.ids) > SORTED_AT_ONCE:
            lots += reversed((yield from _spread(lot)))
            continue
        ids = sorted(lot.ids)
        for start in range(0, len(ids), limit):
            yield ids[start : start + limit]


def _spread(lot: _Lot) -> Generator[list[int], None, list[_Lot]]:
    """Spreads a lot over smaller ones, by ascending base."""
    wanted = (2 * len(lot.ids) // SORTED_AT_ONCE).bit_length()
    bits = lot.bits - min(wanted, lot.bits, SPREAD_BITS)
    lots = [_Lot(lot.base + (n << bits), bits, array("Q")) for n in range(1 << lot.bits - bits)]
    appends = [each.ids.append for each in lots]
    while lot.ids:
        for row_id in lot.ids[-2 * WORK :]:
            appends[row_id - lot.base >> bits](row_id)
        del lot.ids[-2 * WORK :]
        yield []
    return [each for each in lots if each.ids]
