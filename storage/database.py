"""The SQLite file: engine, pragmas, creation, sizes, probe.

Rows are read by `loading.py` and `reader.py`, and written by `writer.py`.

Connections are opened with NullPool, in autocommit as far as sqlite3 is concerned, with an explicit BEGIN; so that a
transaction is exactly what SQLAlchemy says. One connection, the writer's, stays open all the time: SQLite checkpoints
by itself when the last one closes, and otherwise checkpoints are the writer's alone (wal_autocheckpoint=0).
"""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import sqlalchemy
from sqlalchemy import Connection, event, select
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from raftgate.api.errors import Timeout
from storage import loading, schema
from storage.options import Options
from storage.schema import DatabaseRefused

PAGE_SIZE = 8192
WAL_SIZE_LIMIT = 64 << 20  # bytes of the -wal file that stay allocated after a checkpoint
BUSY_TIMEOUT = 5000  # milliseconds; only the writer locks, so nobody should ever wait


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes of the database file, and those of them that are not free pages."""

    total: int
    in_use: int


class StoreExchanged(Timeout, code=Timeout.code, text=Timeout.default_text):
    """Another store has taken the place of the one that was being read: to a caller it is a timeout, to be repeated."""


class Database:
    """One database file."""

    def __init__(self, path: Path, options: Options) -> None:
        """Opens the file as it is; use `open`."""
        self.path = path
        self._value_cache_bytes = options.value_cache_bytes
        self._engine = sqlalchemy.create_engine(
            sqlalchemy.URL.create("sqlite+pysqlite", database=str(path)),
            poolclass=NullPool,
            connect_args={"check_same_thread": False},  # one thread at a time, not always the same one
        )
        self._pragmas = {
            "synchronous": 1 if options.fsync else 0,  # NORMAL: the Raft log is what survives a power failure
            "wal_autocheckpoint": 0,
            "journal_size_limit": WAL_SIZE_LIMIT,
            "busy_timeout": BUSY_TIMEOUT,
        }
        event.listen(self._engine, "connect", self._on_connect)
        event.listen(self._engine, "begin", _on_begin)
        self._is_closed = False
        self.connection = self.connect()
        """The connection that writes, used by one thread at a time."""

    @classmethod
    def open(cls, path: Path, options: Options) -> "Database":
        """Opens the file, creating it if there is none.

        Raises: DatabaseRefused.
        """
        try:
            database = cls(path, options)
            try:
                _prepare(database.connection)
            except BaseException:
                database.close()
                raise
        except (sqlalchemy.exc.DatabaseError, sqlite3.DatabaseError, DatabaseRefused) as error:
            raise DatabaseRefused(f"{path}: {getattr(error, 'orig', error)}") from error
        return database

    def close(self) -> None:
        """Closes the connection that writes, and opens no more; SQLite then checkpoints, if it is the last one."""
        self._is_closed = True
        self.connection.close()

    def connect(self) -> Connection:
        """Opens a connection.

        Raises: StoreExchanged, once the file is closed: it may be gone, and SQLite would make an empty one.
        """
        if self._is_closed:
            raise StoreExchanged
        return self._engine.connect()

    def load(self) -> loading.Content:
        """Reads the state, without the values that are too many.

        Raises: DatabaseRefused.
        """
        try:
            with self.connect() as connection:
                return loading.load(connection, measure(connection).total, self._value_cache_bytes)
        except (sqlalchemy.exc.DatabaseError, sqlite3.DatabaseError, DatabaseRefused) as error:
            raise DatabaseRefused(f"{self.path}: {error}") from error

    def probe(self) -> int:
        """Reads the applied index through a connection of its own, to show that the file can be read."""
        with self.connect() as connection:
            return applied_index(connection)

    def _on_connect(self, connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        for name, value in self._pragmas.items():
            connection.execute(f"PRAGMA {name} = {value}").fetchall()
            found = connection.execute(f"PRAGMA {name}").fetchone()[0]
            if found != value:
                raise DatabaseRefused(f"PRAGMA {name} is {found!r}, not {value!r}")


def raw(connection: Connection) -> sqlite3.Connection:
    """The sqlite3 connection behind one of SQLAlchemy's, for what must not begin a transaction."""
    return cast("sqlite3.Connection", connection.connection.driver_connection)


def pragma(connection: Connection, name: str, value: int | str | None = None) -> Any:  # Any: int or str, by name
    """Sets a pragma unless `value` is None, outside of a transaction; returns what it answers."""
    statement = f"PRAGMA {name}" if value is None else f"PRAGMA {name} = {value}"
    row = raw(connection).execute(statement).fetchone()
    return None if row is None else row[0]


def applied_index(connection: Connection) -> int:
    """Reads the applied index."""
    statement = select(schema.META.c.value).where(schema.META.c.name == "applied_index")
    index: int = connection.execute(statement).scalar_one()
    return index


def measure(connection: Connection) -> Size:
    """Reads the size of the database."""
    page_size, pages, free = (pragma(connection, name) for name in ("page_size", "page_count", "freelist_count"))
    return Size(pages * page_size, (pages - free) * page_size)


def _prepare(connection: Connection) -> None:
    with connection.begin():
        is_new = schema.is_empty(connection)
    if is_new:
        # auto_vacuum and page_size have to stand before the first page is written, so before the WAL mode too.
        pragma(connection, "page_size", PAGE_SIZE)
        pragma(connection, "auto_vacuum", 2)
        pragma(connection, "journal_mode", "wal")
        with connection.begin():
            schema.create(connection)
    with connection.begin():
        schema.check(connection)
        schema.upgrade(connection)
    for name, wanted in {"auto_vacuum": 2, "journal_mode": "wal"}.items():
        found = pragma(connection, name)
        if found != wanted:
            raise DatabaseRefused(f"PRAGMA {name} is {found!r}, not {wanted!r}")


def _on_begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")
