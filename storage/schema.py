"""The tables of the database file, their version, and the statements that are too hot to be built per call."""

from functools import cache

from sqlalchemy import Boolean, Column, Connection, Integer, LargeBinary, MetaData, Table, Text, insert, select, update

VERSION = 4
"""Of the file format. A file of a lower version is upgraded, one of a higher version is refused."""

APPLICATION_ID = 0x52674B76  # "RgKv": marks the file as raftgate's, in SQLite's header

MINORS = 1000
"""In the number of a version: 3006 is 3.6."""

FIRST_META = {
    "schema_version": VERSION,
    "applied_index": 0,
    "revision": 1,
    "compact_revision": -1,
    "finished_compact_revision": -1,  # that of the last compaction whose rows are all deleted
    "cluster_version": 0,  # 3006 for 3.6
}

METADATA = MetaData()

HISTORY = Table(
    "history",
    METADATA,
    Column("id", Integer, primary_key=True),  # revision << 24 | sub: rows arrive in order, pages fill once
    Column("key", LargeBinary, nullable=False),
    Column("create_revision", Integer, nullable=False),
    Column("version", Integer, nullable=False),  # 0: a tombstone
    Column("value", LargeBinary, nullable=False),
    Column("lease", Integer, nullable=False),
)

META = Table(
    "meta",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("value", Integer, nullable=False),
    sqlite_with_rowid=False,
)

TIMES = Table(
    "times",  # sparse: the first revision of a second of the leader's clock
    METADATA,
    Column("revision", Integer, primary_key=True),
    Column("milliseconds", Integer, nullable=False),  # since 1970, of the leader's clock
)

MEMBERS = Table(
    "members",
    METADATA,
    Column("id", Text, primary_key=True),  # 16 hexadecimal digits, since SQLite has no uint64
    Column("name", Text, nullable=False),
    Column("peer_urls", Text, nullable=False),  # a JSON array
    Column("client_urls", Text, nullable=False),  # likewise
    Column("is_learner", Boolean, nullable=False),
    sqlite_with_rowid=False,
)


REMOVED_MEMBERS = Table(
    "removed_members",
    METADATA,
    Column("id", Text, primary_key=True),  # as in members
    sqlite_with_rowid=False,
)


ALARMS = Table(
    "alarms",
    METADATA,
    Column("member_id", Text, primary_key=True),  # as in members
    Column("alarm", Text, primary_key=True),
    sqlite_with_rowid=False,
)


LEASES = Table(
    "leases",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("ttl", Integer, nullable=False),  # seconds
    Column("remaining_ttl", Integer, nullable=False),  # seconds, 0: all of them
)


class DatabaseRefused(RuntimeError):
    """A database file that cannot be used; the text names the file and the reason."""


def create(connection: Connection) -> None:
    """Creates tables and first records, in the connection's transaction."""
    connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
    METADATA.create_all(connection, checkfirst=False)
    connection.execute(insert(META), [{"name": name, "value": value} for name, value in FIRST_META.items()])


def is_empty(connection: Connection) -> bool:
    """Whether the file holds no tables: it is new, or its creation was cut off."""
    tables: int = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one()
    return tables == 0


def check(connection: Connection) -> None:
    """Refuses a file that is not raftgate's, or of a version that is not known here.

    Raises: DatabaseRefused.
    """
    marked = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
    if marked != APPLICATION_ID:
        raise DatabaseRefused("not a raftgate database")
    version = connection.execute(select(META.c.value).where(META.c.name == "schema_version")).scalar_one()
    if version > VERSION:
        raise DatabaseRefused(
            f"the file has format version {version}, written by a newer raftgate; this one knows up to {VERSION}"
        )
    if version < 1:
        raise DatabaseRefused(f"the file has format version {version}, which never was")


def upgrade(connection: Connection) -> None:
    """Brings a file of a lower version to this one, in the connection's transaction."""
    version = connection.execute(select(META.c.value).where(META.c.name == "schema_version")).scalar_one()
    if version < 2:
        ALARMS.create(connection, checkfirst=False)
        connection.execute(insert(META), {"name": "finished_compact_revision", "value": -1})
    if version < 3:
        LEASES.create(connection, checkfirst=False)
    if version < 4:
        REMOVED_MEMBERS.create(connection, checkfirst=False)
        connection.execute(insert(META), {"name": "cluster_version", "value": 0})
    connection.execute(update(META).where(META.c.name == "schema_version").values(value=VERSION))


@cache
def insert_history(count: int) -> str:
    """The statement that inserts `count` rows: a plain executemany takes the GIL for each row, this once for all."""
    columns = [column.name for column in HISTORY.columns]
    row = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO {HISTORY.name} ({', '.join(columns)}) VALUES {', '.join([row] * count)}"  # noqa: S608 - own names


@cache
def replace_leases(count: int) -> str:
    """The statement that inserts or replaces `count` leases."""
    return f"INSERT OR REPLACE INTO {LEASES.name} (id, ttl, remaining_ttl) VALUES {', '.join(['(?, ?, ?)'] * count)}"  # noqa: S608 - own names


@cache
def delete_leases(count: int) -> str:
    """The statement that deletes leases by `count` ids."""
    return f"DELETE FROM {LEASES.name} WHERE id IN ({', '.join('?' * count)})"  # noqa: S608 - own names


@cache
def select_history(count: int, *, values: bool) -> str:
    """The statement that reads rows by `count` ids: id, create_revision, version, lease and, with `values`, value."""
    columns = "id, create_revision, version, lease" + (", value" if values else "")
    return f"SELECT {columns} FROM {HISTORY.name} WHERE id IN ({', '.join('?' * count)})"  # noqa: S608 - own names


@cache
def delete_history(count: int) -> str:
    """The statement that deletes rows by `count` ids."""
    return f"DELETE FROM {HISTORY.name} WHERE id IN ({', '.join('?' * count)})"  # noqa: S608 - own names
