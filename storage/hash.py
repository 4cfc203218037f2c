"""Hashes over the keys up to a revision, and over the whole file: to tell whether members hold the same.

A hash runs over what reads may see - never over what a compaction has not deleted yet - in the order of row ids. SQLite
makes the text that is hashed, many rows at a time: rows in Python would compete with the loop. etcd's own hash is over
its own records (mvcc/hash.go), so the numbers differ from etcd's; that they are equal on equal members does not.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from zlib import crc32

import sqlalchemy
from sqlalchemy import Connection, select

from raftgate.api.errors import Compacted, FutureRev
from storage import schema
from storage.database import raw
from storage.kv import Kv
from storage.reader import Readers
from storage.row import SUB_BITS

ROWS: Final = 256
"""Rows whose text is made in one go, fewer where they are large."""
BYTES: Final = 4 << 20
"""Of values whose text is made in one go."""

SEED: Final = crc32(b"raftgate")
"""The hash of nothing: an answer without a hash would look like none."""

# Inner queries are given in order, which group_concat follows. No row text is a prefix of another: all end with ";".
_HISTORY: Final = (
    "id || ',' || hex(key) || ',' || create_revision || ',' || version || ',' || lease || ',' || hex(value) || ';'"
)
_LOCAL: Final = ("applied_index", "finished_compact_revision")  # differ between equal members


class DatabaseUnsound(RuntimeError):
    """The file cannot be read: SQLite finds it damaged."""


@dataclass(frozen=True, slots=True)
class KvHash:
    """A hash over the keys, comparable between members where both revisions are equal."""

    hash: int
    """Below 2**32."""
    compact_revision: int
    hash_revision: int


class HashKv:
    """A hash over the keys up to a revision: prepared and closed on the loop, run in a reader's thread."""

    def __init__(self, kv: Kv, readers: Readers, revision: int, *, committed: int, is_finished: bool) -> None:
        """`committed`: the revision that the file has; `is_finished`: whether the last compaction is.

        Raises: FutureRev, Compacted.
        """
        revision = revision or kv.revision
        if revision > kv.revision:
            raise FutureRev
        if revision < kv.compact_revision:
            raise Compacted
        if revision > committed:
            raise RuntimeError(f"revision {revision} is not in the file yet")
        self._kv = kv
        self._readers = readers
        self._revision = revision
        self._compact_revision = kv.compact_revision
        self._is_finished = is_finished
        self._registered: int | None = max(kv.compact_revision, 0)
        kv.register(self._registered)

    def run(self) -> KvHash:
        """Hashes, in a reader's thread, what the file has now: no page that was read before is trusted.

        Raises: StoreExchanged, DatabaseUnsound.
        """
        try:
            with self._readers.new_connection() as connection, connection.begin():
                digest = self._hash(connection)
        except (sqlite3.DatabaseError, sqlalchemy.exc.DatabaseError) as error:
            cause = getattr(error, "orig", error)
            if getattr(cause, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise DatabaseUnsound(f"{cause}") from error
            raise
        return KvHash(digest, self._compact_revision, self._revision)

    def _hash(self, connection: Connection) -> int:
        first = self._compact_revision + 1 << SUB_BITS  # of the rows that are all there
        if self._is_finished:
            digest = _hash_history(connection, 0, first, SEED, "history WHERE version > 0 AND")
        else:
            with _newest(connection, first):
                kept = "temp.newest JOIN history USING (id) WHERE version > 0 AND"
                digest = _hash_history(connection, 0, first, SEED, kept)
        return _hash_history(connection, first, self._revision + 1 << SUB_BITS, digest)

    def close(self) -> None:
        """Lets later compactions delete what was hashed; on the loop, may be called again."""
        if self._registered is not None:
            self._kv.unregister(self._registered)
            self._registered = None


def hash_all(readers: Readers) -> int:
    """Hashes all that the local file holds, rows included that a compaction has still to delete."""
    with readers.connection() as connection, connection.begin():
        digest = _hash_history(connection, 0, (1 << 63) - 1, 0)
        for table in (schema.META, schema.MEMBERS, schema.ALARMS, schema.LEASES):
            rows = connection.execute(select(table).order_by(*table.primary_key)).fetchall()
            digest = crc32(repr([tuple(row) for row in rows if row[0] not in _LOCAL]).encode(), digest)
    return digest


def _hash_history(connection: Connection, start: int, end: int, digest: int, source: str = "history WHERE") -> int:
    """Goes on with a hash over the rows whose ids are in `[start, end)`."""
    cursor = raw(connection).cursor()
    page = f"SELECT history.* FROM {source} history.id >= ? AND history.id < ? ORDER BY history.id LIMIT ?"  # noqa: S608 - own text
    sizes = f"SELECT count(*), sum(length(value)), max(id) FROM ({page})"  # noqa: S608 - own text
    texts = f"SELECT CAST(group_concat({_HISTORY}, '') AS BLOB) FROM ({page})"  # noqa: S608 - own text
    while True:
        limit = ROWS
        count, size, last = cursor.execute(sizes, (start, end, limit)).fetchone()
        while count > 1 and size > BYTES:
            limit = count // 2
            count, size, last = cursor.execute(sizes, (start, end, limit)).fetchone()
        if not count:
            return digest
        (text,) = cursor.execute(texts, (start, end, limit)).fetchone()
        digest = crc32(text, digest)
        start = last + 1


@contextmanager
def _newest(connection: Connection, end: int) -> Iterator[None]:
    """A table of the newest row of each key, of those whose ids are below `end`."""
    cursor = raw(connection).cursor()
    cursor.execute("CREATE TEMP TABLE newest (id INTEGER PRIMARY KEY)")
    try:
        cursor.execute("INSERT INTO newest SELECT max(id) FROM history WHERE id < ? GROUP BY key", (end,))
        yield
    finally:
        cursor.execute("DROP TABLE newest")
