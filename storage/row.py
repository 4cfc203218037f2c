"""A change, as SQLite keeps it and as a KeyValue; and the KeyValue of which SQLite alone has the rest."""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol, TypeAlias

from raftgate.api.kv import KeyValue
from raftgate.api.message import Int64

SUB_BITS: Final = 24
"""A revision's changes are numbered within these bits of a row id."""
SUB_MASK: Final = (1 << SUB_BITS) - 1
ROW_OVERHEAD: Final = 200
"""Bytes that a pending row takes in memory besides key and value, about."""

Row: TypeAlias = tuple[int, bytes, int, int, bytes, int]
"""`revision << 24 | sub`, key, create_revision, version (0: a tombstone), value, lease."""


class Stub(KeyValue, frozen=True):
    """A KeyValue without its value, which SQLite has; with version 0 only key, mod_revision and sub are known.

    It stands where a KeyValue would, and must never leave this package: loading replaces it.
    """

    sub: Int64 = 0
    """The number of its row within its revision."""

    @property
    def row_id(self) -> int:
        """The id of its row."""
        return self.mod_revision << SUB_BITS | self.sub


class Load(Protocol):
    """Replaces stubs by what they stand for."""

    def __call__(self, kvs: Sequence[KeyValue], *, values: bool) -> list[KeyValue]:
        """The same KeyValues; without `values`, stubs may stay stubs, but have all the other fields."""
        ...


def key_value(row: Row) -> KeyValue:
    """The KeyValue that a row made; a tombstone makes none."""
    row_id, key, create_revision, version, value, lease = row
    revision = row_id >> SUB_BITS
    # One object for two equal numbers, which most keys have.
    return KeyValue(key, revision if create_revision == revision else create_revision, revision, version, value, lease)


def weight(rows: Iterable[Row]) -> int:
    """Bytes of memory that pending rows take, about."""
    return sum(len(row[1]) + len(row[4]) + ROW_OVERHEAD for row in rows)


def has_stub(kvs: Iterable[KeyValue]) -> bool:
    """Whether anything is left to load."""
    return Stub in set(map(type, kvs))
