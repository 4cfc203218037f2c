"""Rows of SQLite for those who hold stubs: pooled connections, reads by row id.

A read by row id needs no transaction that spans its statements: rows never change, and nobody deletes one that a
registered revision shows. The pool is used from several threads; taking from a list and appending to it is atomic.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Final, cast

from sqlalchemy import Connection

from raftgate.api.kv import KeyValue
from storage import schema
from storage.database import Database, StoreExchanged, raw
from storage.row import Row, Stub, key_value

ROWS_PER_STATEMENT: Final = 256
"""Row ids of one SELECT; halved down to 1 for the rest, so that few statements are ever prepared."""

BYTES_PER_PAGE: Final = 1 << 20
"""Of values that are read in one go, unless one by itself is larger."""

_SOURCE = "FROM history WHERE id >= ?1 AND id < ?2 AND key >= ?3 AND (?4 IS NULL OR key < ?4) ORDER BY id LIMIT ?5"
_PAGE = f"SELECT id, key, create_revision, version, value, lease {_SOURCE}"
_SIZES = f"SELECT count(*), total(size), max(id) FROM (SELECT id, length(value) AS size {_SOURCE})"  # noqa: S608 - own text
_FIELDS = "id || ',' || hex(key) || ',' || create_revision || ',' || version || ',' || hex(value) || ',' || lease"
_TEXT = f"SELECT group_concat({_FIELDS}, ';') FROM ({_PAGE})"  # noqa: S608 - own text


class Readers:
    """The connections that read one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._idle: list[Connection] = []
        self._is_closed = False

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection for one reader; one that has failed is not used again.

        Raises: StoreExchanged.
        """
        if self._is_closed:
            raise StoreExchanged
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
        self._tidy()

    @contextmanager
    def new_connection(self) -> Iterator[Connection]:
        """A connection that is used once, and remembers nothing of what others have read.

        Raises: StoreExchanged.
        """
        if self._is_closed:
            raise StoreExchanged
        connection = self._database.connect()
        try:
            yield connection
        finally:
            connection.close()

    def close(self) -> None:
        """Closes the connections, those in use when they come back; nobody gets one from now on."""
        self._is_closed = True
        self._tidy()

    def _tidy(self) -> None:
        """Closes those that nobody uses, once nobody may."""
        with suppress(IndexError):  # another thread was faster
            while self._is_closed and self._idle:
                self._idle.pop().close()

    def load(self, kvs: Sequence[KeyValue], *, values: bool) -> list[KeyValue]:
        """Replaces the stubs among KeyValues, as `row.Load` says."""
        found = list(kvs)
        places = (n for n, kv in enumerate(found) if type(kv) is Stub and (values or not kv.version))
        if chosen := list(islice(places, ROWS_PER_STATEMENT)):
            with self.connection() as connection:
                while chosen:
                    _replace(connection, found, chosen, values=values)
                    chosen = list(islice(places, ROWS_PER_STATEMENT))
        return found

    def rows(self, ids: tuple[int, int], key: bytes, end: bytes | None) -> Iterator[Row]:
        """The rows whose ids are in `[first, last)` and whose keys are in `[key, end)`, in order; None: no end."""
        start, stop = ids
        while True:
            with self.connection() as connection:
                rows = _page(raw(connection), (start, stop, key, end))
            if not rows:
                return
            yield from rows
            start = rows[-1][0] + 1


def _page(connection: sqlite3.Connection, bounds: tuple[int, int, bytes, bytes | None]) -> list[Row]:
    """The first rows within bounds. SQLite makes one text of them: each row fetched would take the GIL anew."""
    count = ROWS_PER_STATEMENT
    while True:
        found, size, last = connection.execute(_SIZES, (*bounds, count)).fetchone()
        if found <= 1:
            return connection.execute(_PAGE, (*bounds, count)).fetchall() if found else []
        if size <= BYTES_PER_PAGE:
            break
        count = found // 2
    (text,) = connection.execute(_TEXT, (bounds[0], last + 1, *bounds[2:], count)).fetchone()
    return [_row(*part.split(",")) for part in text.split(";")]


def _row(*fields: str) -> Row:
    row_id, key, create_revision, version, value, lease = fields
    return int(row_id), bytes.fromhex(key), int(create_revision), int(version), bytes.fromhex(value), int(lease)


def _replace(connection: Connection, kvs: list[KeyValue], places: Sequence[int], *, values: bool) -> None:
    """Replaces the stubs in some places, no more than a statement takes."""
    done, count = 0, ROWS_PER_STATEMENT
    while done < len(places):
        while count > len(places) - done:
            count //= 2
        chosen = places[done : done + count]
        rows = _read(connection, [cast("Stub", kvs[place]) for place in chosen], values=values)
        for place, kv in zip(chosen, rows, strict=True):
            kvs[place] = kv
        done += count


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
