"""Which rows each key has: the uncompacted revisions, 8 bytes each, and the keys that are gone but not forgotten.

A row is noted as a code: its id, shifted by one, with the lowest bit set for a tombstone. Codes of a key ascend. A key
with a single row of sub-number 0 has no entry at all, since its KeyValue tells the row; one with a single other row has
a number; all others have a bytearray of native 64-bit codes. Neither is tracked by Python's collector, as arrays are.
"""

from bisect import bisect_left
from collections.abc import Iterable
from struct import Struct
from typing import Final

from sortedcontainers import SortedList

from raftgate.api.kv import KeyValue
from storage.index import FROM_KEY
from storage.row import SUB_BITS, SUB_MASK

Codes = int | bytearray

CODE_SIZE: Final = 8
REVISION_SHIFT: Final = SUB_BITS + 1
TOMBSTONE: Final = 1

_ONE = Struct("=Q")
_TWO = Struct("=QQ")
pack_one = _ONE.pack
"""One code as it is kept."""
_pack_two = _TWO.pack


def pack(codes: Iterable[int]) -> bytearray:
    """Ascending codes as they are kept."""
    return bytearray(b"".join(map(pack_one, codes)))


def unpack(codes: bytearray) -> list[int]:
    """The codes of a key."""
    return memoryview(codes).cast("Q").tolist()


class History:
    """The rows of all keys that have more to tell than their KeyValue does."""

    __slots__ = ("_codes", "gone")

    def __init__(self, codes: dict[bytes, Codes] | None = None, gone: Iterable[bytes] = ()) -> None:
        self._codes: dict[bytes, Codes] = {} if codes is None else codes
        self.gone = SortedList(gone)
        """Keys that are not live but have rows, in order."""

    def __len__(self) -> int:
        return len(self._codes)

    def added(self, key: bytes, row_id: int) -> None:
        """Notes the row of a key that was not live."""
        codes = self._codes.get(key)
        if codes is None:
            if row_id & SUB_MASK:
                self._codes[key] = row_id << 1
        else:
            self.gone.remove(key)
            codes += pack_one(row_id << 1)  # type: ignore[operator]  # keys that are gone have a bytearray

    def updated(self, previous: KeyValue, row_id: int) -> None:
        """Notes a further row of a live key."""
        codes = self._codes.get(previous.key)
        if type(codes) is bytearray:
            codes += pack_one(row_id << 1)
        else:
            first = codes or previous.mod_revision << REVISION_SHIFT
            self._codes[previous.key] = bytearray(_pack_two(first, row_id << 1))

    def removed(self, previous: KeyValue, row_id: int) -> None:
        """Notes the tombstone of a live key."""
        codes = self._codes.get(previous.key)
        if type(codes) is bytearray:
            codes += pack_one(row_id << 1 | TOMBSTONE)
        else:
            first = codes or previous.mod_revision << REVISION_SHIFT
            self._codes[previous.key] = bytearray(_pack_two(first, row_id << 1 | TOMBSTONE))
        self.gone.add(previous.key)

    def undo_added(self, key: bytes) -> None:
        """Takes back the newest row of a key, which was not live before."""
        codes = self._codes.get(key)
        if type(codes) is bytearray and len(codes) > CODE_SIZE:
            del codes[-CODE_SIZE:]
            self.gone.add(key)
        else:
            self._codes.pop(key, None)

    def undo_updated(self, key: bytes) -> None:
        """Takes back the newest row of a key, which was live before and is."""
        codes = self._codes[key]
        del codes[-CODE_SIZE:]  # type: ignore[union-attr]  # there are two at least

    def undo_removed(self, key: bytes) -> None:
        """Takes back the tombstone of a key."""
        self.undo_updated(key)
        self.gone.remove(key)

    def row_id(self, kv: KeyValue) -> int:
        """The row of a live key's KeyValue."""
        codes = self._codes.get(kv.key)
        if codes is None:
            return kv.mod_revision << SUB_BITS
        if type(codes) is int:
            return codes >> 1
        code: int = _ONE.unpack_from(codes, len(codes) - CODE_SIZE)[0]  # type: ignore[arg-type]  # a bytearray
        return code >> 1

    def row_at(self, key: bytes, revision: int) -> int | None:
        """The row that a key had at a revision, None if it was not live; only for keys that have changed since."""
        codes = self._codes.get(key)
        if type(codes) is not bytearray:  # its only row is younger
            return None
        position = bisect_left(memoryview(codes).cast("Q"), revision + 1 << REVISION_SHIFT)
        if not position:
            return None
        code: int = _ONE.unpack_from(codes, (position - 1) * CODE_SIZE)[0]
        return None if code & TOMBSTONE else code >> 1

    def count_gone(self, key: bytes, range_end: bytes) -> int:
        """Counts the keys of a range that are gone."""
        start: int = self.gone.bisect_left(key)
        stop: int = len(self.gone) if range_end == FROM_KEY else self.gone.bisect_left(range_end)
        return max(stop - start, 0)

    def longer(self, keys: list[bytes]) -> list[bytes]:
        """Those of live keys that have more than one row, among others."""
        return [key for key in keys if type(self._codes.get(key)) is bytearray]

    def prune(self, key: bytes, revision: int, limit: int, *, is_live: bool) -> list[int]:
        """Forgets the rows of a key that a compaction at `revision` drops; answers their ids, the oldest `limit` first.

        Kept are all younger rows and the newest one up to `revision`, unless that is a tombstone below it: one exactly
        at `revision` still tells a watch from there of the deletion (etcd from 3.5.16 on).
        """
        codes = self._codes.get(key)
        if type(codes) is not bytearray:
            return []
        view = memoryview(codes).cast("Q")
        count = bisect_left(view, revision + 1 << REVISION_SHIFT)
        if count and not (view[count - 1] & TOMBSTONE and view[count - 1] >> REVISION_SHIFT < revision):
            count -= 1
        count = min(count, limit)
        row_ids = [code >> 1 for code in view[:count]]
        view.release()
        if count:
            del codes[: count * CODE_SIZE]
            self._shorten(key, codes, is_live=is_live)
        return row_ids

    def _shorten(self, key: bytes, codes: bytearray, *, is_live: bool) -> None:
        """Keeps what is left of a key's rows in as little memory as it takes."""
        if not codes:
            del self._codes[key]
            self.gone.remove(key)
        elif is_live and len(codes) == CODE_SIZE:
            (code,) = unpack(codes)
            if code >> 1 & SUB_MASK:
                self._codes[key] = code
            else:
                del self._codes[key]
