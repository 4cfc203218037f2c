"""The SQLite file: engine, pragmas, creation, loading, sizes, probe. Rows are written by `writer.py`.

Connections are opened with NullPool, in autocommit as far as sqlite3 is concerned, with an explicit BEGIN; so that a
transaction is exactly what SQLAlchemy says. One connection, the writer's, stays open all the time: SQLite checkpoints
by itself when the last one closes, and otherwise checkpoints are the writer's alone (wal_autocheckpoint=0).
"""

import sqlite3
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

import msgspec
import sqlalchemy
from sqlalchemy import Connection, event, func, select
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from raftgate.api.cluster import Member
from raftgate.api.kv import KeyValue
from storage import schema
from storage.kv import SUB_BITS, Row
from storage.options import Options
from storage.schema import DatabaseRefused

PAGE_SIZE = 8192
WAL_SIZE_LIMIT = 64 << 20  # bytes of the -wal file that stay allocated after a checkpoint
BUSY_TIMEOUT = 5000  # milliseconds; only the writer locks, so nobody should ever wait
_FETCH = 10_000  # rows fetched at once while loading


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes of the database file, and those of them that are not free pages."""

    total: int
    in_use: int


@dataclass(frozen=True, slots=True)
class Content:
    """What the file holds of the state: all of it but the past."""

    applied_index: int
    revision: int
    compact_revision: int
    last_time: int
    """Milliseconds since 1970 of the newest row of times, or 0."""
    live: list[KeyValue]
    members: list[Member]


class Database:
    """One database file."""

    def __init__(self, path: Path, options: Options) -> None:
        """Opens the file as it is; use `open`."""
        self.path = path
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
        """Closes the connection that writes; SQLite then checkpoints, if it is the last one."""
        self.connection.close()

    def connect(self) -> Connection:
        """Opens a connection."""
        return self._engine.connect()

    def load(self) -> Content:
        """Reads the whole content.

        Raises: DatabaseRefused.
        """
        try:
            with self.connect() as connection:
                return _load(connection)
        except (sqlalchemy.exc.DatabaseError, sqlite3.DatabaseError, DatabaseRefused) as error:
            raise DatabaseRefused(f"{self.path}: {error}") from error

    def probe(self) -> int:
        """Reads the applied index through a connection of its own, to show that the file can be read."""
        with self.connect() as connection:
            statement = select(schema.META.c.value).where(schema.META.c.name == "applied_index")
            applied_index: int = connection.execute(statement).scalar_one()
            return applied_index

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
    for name, wanted in {"auto_vacuum": 2, "journal_mode": "wal"}.items():
        found = pragma(connection, name)
        if found != wanted:
            raise DatabaseRefused(f"PRAGMA {name} is {found!r}, not {wanted!r}")


def _on_begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _load(connection: Connection) -> Content:
    with connection.begin():
        meta = {row.name: row.value for row in connection.execute(select(schema.META))}
        members = [_member(row) for row in connection.execute(select(schema.MEMBERS))]
        last_time = connection.execute(
            select(schema.TIMES.c.milliseconds).order_by(schema.TIMES.c.revision.desc()).limit(1)
        ).scalar_one_or_none()
        last_id = connection.execute(select(func.max(schema.HISTORY.c.id))).scalar_one()
        if last_id is not None and last_id >> SUB_BITS > meta["revision"]:
            raise DatabaseRefused(f"row {last_id} is beyond revision {meta['revision']}")
        live = _live(raw(connection).cursor())
    return Content(meta["applied_index"], meta["revision"], meta["compact_revision"], last_time or 0, live, members)


def _live(cursor: sqlite3.Cursor) -> list[KeyValue]:
    """The live keys, each with its newest row. Raw rows, and no Python per row of the past: a start waits for this."""
    newest: dict[bytes, Row] = {}
    key = itemgetter(1)
    cursor.execute(str(select(schema.HISTORY).order_by(schema.HISTORY.c.id)))
    for rows in iter(lambda: cursor.fetchmany(_FETCH), []):
        newest.update(zip(map(key, rows), rows, strict=True))
    return [
        KeyValue(key, create_revision, row_id >> SUB_BITS, version, value, lease)
        for row_id, key, create_revision, version, value, lease in newest.values()
        if version
    ]


def _member(row: sqlalchemy.Row[Any]) -> Member:  # Any: columns of several types
    urls = (tuple(msgspec.json.decode(text, type=list[str])) for text in (row.peer_urls, row.client_urls))
    peer_urls, client_urls = urls
    return Member(int(row.id, 16), row.name, peer_urls, client_urls, row.is_learner)
