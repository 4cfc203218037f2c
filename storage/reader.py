"""Rows of SQLite for those who hold stubs: pooled connections, reads by row id.

A read by row id needs no transaction that spans its statements: rows never change, and nobody deletes one that a
registered revision shows. The pool is used from several threads; taking from a list and appending to it is atomic.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection

from raftgate.api.kv import KeyValue
from storage import schema
from storage.database import Database, raw
from storage.row import Stub, key_value

ROWS_PER_STATEMENT: Final = 256
"""Row ids of one SELECT; halved down to 1 for the rest, so that few statements are ever prepared."""


class Readers:
    """The connections that read one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._idle: list[Connection] = []

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection for one reader; one that has failed is not used again."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._database.connect()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)

    def close(self) -> None:
        """Closes the connections that nobody uses."""
        while self._idle:
            self._idle.pop().close()

    def load(self, kvs: Sequence[KeyValue], *, values: bool) -> list[KeyValue]:
        """Replaces the stubs among KeyValues, as `row.Load` says."""
        found = list(kvs)
        stubs = [(n, kv) for n, kv in enumerate(found) if type(kv) is Stub and (values or not kv.version)]
        if not stubs:
            return found
        with self.connection() as connection:
            done, count = 0, ROWS_PER_STATEMENT
            while done < len(stubs):
                while count > len(stubs) - done:
                    count //= 2
                chosen = stubs[done : done + count]
                rows = _read(connection, [stub for _, stub in chosen], values=values)
                for (place, _), kv in zip(chosen, rows, strict=True):
                    found[place] = kv
                done += count
        return found


def _read(connection: Connection, stubs: Sequence[Stub], *, values: bool) -> Iterator[KeyValue]:
    ids = [stub.row_id for stub in stubs]
    rows = {row[0]: row for row in raw(connection).execute(schema.select_history(len(ids), values=values), ids)}
    for row_id, stub in zip(ids, stubs, strict=True):
        if row_id not in rows:
            raise RuntimeError(f"row {row_id} is not in the database")
        _, create_revision, version, lease, *value = rows[row_id]
        if value:
            yield key_value((row_id, stub.key, create_revision, version, value[0], lease))
        else:
            yield Stub(stub.key, create_revision, stub.mod_revision, version, b"", lease, stub.sub)
