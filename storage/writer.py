"""Rows of applied entries into SQLite: one transaction a batch, with the applied index that it covers.

Synchronous, and driven by the node in its database lane: one call at a time. The failure of one is final, since what
the file then holds is only known after a restart.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import msgspec
from sqlalchemy import Connection, delete, insert

from raftgate.api.cluster import Member
from storage import schema
from storage.database import Database, measure, raw
from storage.kv import Row

ROWS_PER_STATEMENT: Final = 256
"""Of a multi-row VALUES; halved down to 1 for the rest of a batch, so that few statements are ever prepared."""


@dataclass(frozen=True, slots=True)
class Batch:
    """All changes up to an applied index that SQLite does not have yet."""

    applied_index: int
    revision: int
    compact_revision: int
    rows: Sequence[Row]
    size: int
    """Bytes of memory that the rows take, about."""
    times: Sequence[tuple[int, int]] = ()
    """(revision, milliseconds since 1970)."""
    members: tuple[Member, ...] | None = None
    """All member records, if they have changed."""


class Writer:
    """Writes through the database's one connection for that."""

    def __init__(self, database: Database) -> None:
        self._connection = database.connection
        self._rows_per_statement = _rows_per_statement(self._connection)
        self._flushed = database.probe()
        self._failed = False
        self.size = measure(self._connection)
        """Size of the database as of the last flush."""

    def flush(self, batch: Batch) -> None:
        """Commits a batch, wholly or, when it raises, not at all."""
        self._refuse_after_failure()
        try:
            with self._connection.begin():
                self._insert(batch.rows)
                if batch.times:
                    self._connection.execute(
                        insert(schema.TIMES), [{"revision": rev, "milliseconds": time} for rev, time in batch.times]
                    )
                if batch.members is not None:
                    self._replace_members(batch.members)
                self._connection.exec_driver_sql(
                    "INSERT OR REPLACE INTO meta (name, value) VALUES"
                    " ('applied_index', ?), ('revision', ?), ('compact_revision', ?)",
                    (batch.applied_index, batch.revision, batch.compact_revision),
                )
            self.size = measure(self._connection)
        except BaseException:
            self._failed = True
            raise
        self._flushed = batch.applied_index

    def checkpoint(self) -> int | None:
        """Moves what was flushed into the main file and syncs it.

        Returns the applied index that is durable there, or None if a reader held some of it back. PASSIVE waits for
        nobody and leaves the -wal allocated for what comes next.
        """
        self._refuse_after_failure()
        try:
            busy, frames, moved = raw(self._connection).execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except BaseException:
            self._failed = True
            raise
        return self._flushed if busy == 0 and frames == moved else None

    def _refuse_after_failure(self) -> None:
        if self._failed:
            raise RuntimeError("the database failed before; only a restart tells what it holds")

    def _insert(self, rows: Sequence[Row]) -> None:
        done, count = 0, self._rows_per_statement
        while done < len(rows):
            while count > len(rows) - done:
                count //= 2
            parameters = tuple(chain.from_iterable(rows[done : done + count]))
            self._connection.exec_driver_sql(schema.insert_history(count), parameters)
            done += count

    def _replace_members(self, members: tuple[Member, ...]) -> None:
        self._connection.execute(delete(schema.MEMBERS))
        records = [
            {
                "id": f"{member.ID:016x}",
                "name": member.name,
                "peer_urls": msgspec.json.encode(member.peerURLs).decode(),
                "client_urls": msgspec.json.encode(member.clientURLs).decode(),
                "is_learner": member.isLearner,
            }
            for member in members
        ]
        if records:
            self._connection.execute(insert(schema.MEMBERS), records)


def _rows_per_statement(connection: Connection) -> int:
    """As many rows as the variables of a statement allow: 32,766 of them since SQLite 3.32, 999 before."""
    limit = raw(connection).getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // len(schema.HISTORY.columns)
    return min(ROWS_PER_STATEMENT, limit)
