"""Rows of applied entries into SQLite: one transaction a batch, with the applied index that it covers.

Synchronous, and driven by the node in its database lane: one call at a time. The failure of one is final, since what
the file then holds is only known after a restart.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

import msgspec
from sqlalchemy import Connection, delete, insert

from raftgate.api.maintenance import AlarmMember
from storage import schema
from storage.compaction import CompactionStep
from storage.database import Database, measure, pragma, raw
from storage.lease import Lease
from storage.members import Records
from storage.row import Row
from storage.sweep import Sweep

ROWS_PER_STATEMENT: Final = 256
"""Of a multi-row VALUES; halved down to 1 for the rest of a batch, so that few statements are ever prepared."""


# The time of a revision is the last one noted up to it: of those below a compaction one stays.
_DELETE_TIMES: Final = """DELETE FROM times WHERE revision IN (
    SELECT revision FROM times WHERE revision < (SELECT max(revision) FROM times WHERE revision <= ?)
    ORDER BY revision LIMIT 1000)"""


SWEPT_AT_ONCE: Final = 8 * ROWS_PER_STATEMENT
"""Rows of a sweep that are made at once."""


@dataclass(frozen=True, slots=True)
class Batch:
    """All changes up to an applied index that SQLite does not have yet."""

    applied_index: int
    revision: int
    compact_revision: int
    rows: list[Row]
    size: int
    """Bytes of memory that the rows take, about."""
    times: Sequence[tuple[int, int]] = ()
    """(revision, milliseconds since 1970)."""
    members: Records | None = None
    """All member records, if they have changed."""
    alarms: tuple[AlarmMember, ...] | None = None
    """All alarms, if they have changed."""
    swept: Sequence[tuple[int, Sweep]] = ()
    """Sweeps, each with the number of rows before its own."""
    leases: Mapping[int, Lease | None] = field(default_factory=dict)
    """The leases that have changed by id, None for those that are gone."""


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
        with self._final():
            with self._connection.begin():
                done = 0
                for before, sweep in batch.swept:
                    self._insert(batch.rows[done:before])
                    done = before
                    for start in range(0, sweep.count, SWEPT_AT_ONCE):
                        self._insert(sweep.rows(start, SWEPT_AT_ONCE))
                self._insert(batch.rows[done:] if done else batch.rows)
                if batch.times:
                    self._connection.execute(
                        insert(schema.TIMES), [{"revision": rev, "milliseconds": time} for rev, time in batch.times]
                    )
                if batch.members is not None:
                    self._replace_members(batch.members)
                if batch.alarms is not None:
                    self._replace_alarms(batch.alarms)
                self._change_leases(batch.leases)
                self._connection.exec_driver_sql(
                    "INSERT OR REPLACE INTO meta (name, value) VALUES"
                    " ('applied_index', ?), ('revision', ?), ('compact_revision', ?)",
                    (batch.applied_index, batch.revision, batch.compact_revision),
                )
            self.size = measure(self._connection)
        self._flushed = batch.applied_index

    def delete(self, step: CompactionStep) -> None:
        """Deletes the rows of a step in one transaction, and marks the compaction as finished with the last one."""
        if not step.row_ids and not step.is_last:
            return
        with self._final(), self._connection.begin():
            self._execute(schema.delete_history, [(row_id,) for row_id in step.row_ids])
            self._connection.exec_driver_sql(_DELETE_TIMES, (step.revision,))
            if step.is_last:
                mark = ("finished_compact_revision", step.revision)
                self._connection.exec_driver_sql("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", mark)
        self.size = measure(self._connection)

    def vacuum(self, pages: int) -> int:
        """Gives up to `pages` free pages back to the file system; answers how many.

        Each takes about 15 microseconds, and as much room in the -wal as one that is written. The file shrinks with
        the checkpoint after it.
        """
        with self._final(), self._connection.begin():
            count: int = min(pages, pragma(self._connection, "freelist_count"))
            for _ in range(count):  # it frees a single page each time that it is stepped, whatever N it is given
                raw(self._connection).execute("PRAGMA incremental_vacuum(1)")
        self.size = measure(self._connection)
        return count

    def defragment(self) -> None:
        """Writes the whole file anew without free pages; blocks this lane meanwhile, readers go on."""
        with self._final():
            raw(self._connection).execute("VACUUM")
        self.size = measure(self._connection)

    def checkpoint(self) -> int | None:
        """Moves what was flushed into the main file and syncs it.

        Returns the applied index that is durable there, or None if a reader held some of it back. PASSIVE waits for
        nobody and leaves the -wal allocated for what comes next.
        """
        with self._final():
            busy, frames, moved = raw(self._connection).execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return self._flushed if busy == 0 and frames == moved else None

    @contextmanager
    def _final(self) -> Iterator[None]:
        """Makes a failure the last thing that happens here."""
        if self._failed:
            raise RuntimeError("the database failed before; only a restart tells what it holds")
        try:
            yield
        except BaseException:
            self._failed = True
            raise

    def _insert(self, rows: Sequence[Row]) -> None:
        self._execute(schema.insert_history, rows)

    def _execute(self, statement: Callable[[int], str], rows: Sequence[tuple[object, ...]]) -> None:
        """Runs a statement over many rows of parameters; it is asked for by a number of rows."""
        done, count = 0, self._rows_per_statement
        while done < len(rows):
            while count > len(rows) - done:
                count //= 2
            parameters = tuple(chain.from_iterable(rows[done : done + count]))
            self._connection.exec_driver_sql(statement(count), parameters)
            done += count

    def _change_leases(self, leases: Mapping[int, Lease | None]) -> None:
        kept = [(lease.id, lease.ttl, lease.remaining_ttl) for lease in leases.values() if lease is not None]
        self._execute(schema.replace_leases, kept)
        self._execute(schema.delete_leases, [(lease_id,) for lease_id, lease in leases.items() if lease is None])

    def _replace_members(self, kept: Records) -> None:
        for table in (schema.MEMBERS, schema.REMOVED_MEMBERS):
            self._connection.execute(delete(table))
        major, minor = kept.version
        version = ("cluster_version", major * schema.MINORS + minor)
        self._connection.exec_driver_sql("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", version)
        if kept.removed:
            removed = [{"id": f"{member_id:016x}"} for member_id in sorted(kept.removed)]
            self._connection.execute(insert(schema.REMOVED_MEMBERS), removed)
        records = [
            {
                "id": f"{member.ID:016x}",
                "name": member.name,
                "peer_urls": msgspec.json.encode(member.peerURLs).decode(),
                "client_urls": msgspec.json.encode(member.clientURLs).decode(),
                "is_learner": member.isLearner,
            }
            for member in kept.members
        ]
        if records:
            self._connection.execute(insert(schema.MEMBERS), records)

    def _replace_alarms(self, alarms: tuple[AlarmMember, ...]) -> None:
        self._connection.execute(delete(schema.ALARMS))
        records = [{"member_id": f"{each.memberID:016x}", "alarm": str(each.alarm)} for each in alarms]
        if records:
            self._connection.execute(insert(schema.ALARMS), records)


def _rows_per_statement(connection: Connection) -> int:
    """As many rows as the variables of a statement allow: 32,766 of them since SQLite 3.32, 999 before."""
    limit = raw(connection).getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // len(schema.HISTORY.columns)
    return min(ROWS_PER_STATEMENT, limit)
