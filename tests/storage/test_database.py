"""The file: pragmas, what is refused, what is loaded, and files of former format versions."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from raftgate.api.cluster import Member
from raftgate.api.kv import KeyValue
from raftgate.api.maintenance import AlarmMember, AlarmType
from storage.database import PAGE_SIZE, Database, measure, pragma
from storage.history import unpack
from storage.lease import Lease
from storage.loading import Content
from storage.members import Records
from storage.options import Options
from storage.schema import DatabaseRefused
from storage.writer import Batch, Writer

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kv.db"


def test_a_new_file_holds_the_fresh_store(path: Path) -> None:
    database = Database.open(path, Options())
    assert database.load() == Content(0, 1, -1, 0, [], Records())
    assert database.probe() == 0


@pytest.mark.parametrize(("fsync", "synchronous"), [(True, 1), (False, 0)])
def test_every_pragma_took_effect(path: Path, fsync: bool, synchronous: int) -> None:  # noqa: FBT001 - columns
    database = Database.open(path, Options(fsync=fsync))
    with database.connect() as connection:
        found = {
            name: pragma(connection, name)
            for name in (
                "auto_vacuum",
                "journal_mode",
                "page_size",
                "synchronous",
                "wal_autocheckpoint",
                "busy_timeout",
            )
        }
    assert found == {
        "auto_vacuum": 2,  # incremental
        "journal_mode": "wal",
        "page_size": PAGE_SIZE,
        "synchronous": synchronous,
        "wal_autocheckpoint": 0,
        "busy_timeout": 5000,
    }


def test_nothing_begins_a_transaction_but_an_explicit_begin(path: Path) -> None:
    database = Database.open(path, Options())
    statements: list[str] = []
    with database.connect() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.set_trace_callback(statements.append)
        with connection.begin():
            connection.exec_driver_sql("SELECT 1")
        pragma(connection, "page_count")
    assert statements == ["BEGIN", "SELECT 1", "COMMIT", "PRAGMA page_count"]


def test_sizes_follow_the_pages(path: Path) -> None:
    database = Database.open(path, Options())
    with database.connect() as connection:
        size = measure(connection)
        assert size.total == pragma(connection, "page_count") * PAGE_SIZE
        assert size.in_use == size.total


def test_opening_again_keeps_the_content(path: Path) -> None:
    Database.open(path, Options()).close()
    assert Database.open(path, Options()).load() == Content(0, 1, -1, 0, [], Records())


def test_a_file_whose_creation_was_cut_off_is_created_again(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA auto_vacuum = 2")
        connection.execute("PRAGMA journal_mode = wal")
    connection.close()
    assert Database.open(path, Options()).load().revision == 1


def rewrite(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        pytest.param(
            "UPDATE meta SET value = 5 WHERE name = 'schema_version'",
            "format version 5, written by a newer raftgate; this one knows up to 4",
            id="newer version",
        ),
        pytest.param("UPDATE meta SET value = 0 WHERE name = 'schema_version'", "never was", id="version 0"),
        pytest.param("PRAGMA application_id = 1", "not a raftgate database", id="not ours"),
        pytest.param("PRAGMA journal_mode = delete", "PRAGMA journal_mode is 'delete', not 'wal'", id="no WAL"),
        pytest.param("DROP TABLE meta", "no such table: meta", id="a table is missing"),
    ],
)
def test_files_that_are_refused(path: Path, statement: str, text: str) -> None:
    Database.open(path, Options()).close()
    rewrite(path, statement)
    with pytest.raises(DatabaseRefused) as caught:
        Database.open(path, Options()).close()
    assert str(caught.value).startswith(f"{path}: ")
    assert text in str(caught.value)


def test_another_database_is_refused(path: Path) -> None:
    rewrite(path, "CREATE TABLE t (a)")
    with pytest.raises(DatabaseRefused, match="not a raftgate database"):
        Database.open(path, Options())


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"hello" * 1000)
    with pytest.raises(DatabaseRefused, match="file is not a database"):
        Database.open(path, Options())


def test_rows_beyond_the_revision_are_refused(path: Path) -> None:
    database = Database.open(path, Options())
    rewrite(path, f"INSERT INTO history VALUES ({2 << 24}, x'6b', 2, 1, x'', 0)")
    with pytest.raises(DatabaseRefused, match="beyond revision 1"):
        database.load()


def test_a_damaged_file_is_refused(path: Path) -> None:
    database = Database.open(path, Options())
    writer = Writer(database)
    rows = [((number + 2) << 24, b"k%d" % number, number + 2, 1, b"v" * 1000, 0) for number in range(100)]
    writer.flush(Batch(100, 101, -1, rows, 0))
    database.close()
    damaged = bytearray(path.read_bytes())
    damaged[PAGE_SIZE * 6 :] = b"\xff" * len(damaged[PAGE_SIZE * 6 :])
    path.write_bytes(damaged)
    damaged_one = Database.open(path, Options())
    with pytest.raises(DatabaseRefused):
        damaged_one.load()
    damaged_one.close()


def test_a_file_of_format_version_1_opens(tmp_path: Path) -> None:
    """Written once, never again: files of this version are out there."""
    path = Path(shutil.copy(GOLDEN / "kv-v1.db", tmp_path / "kv.db"))
    database = Database.open(path, Options())
    content = database.load()
    assert (content.applied_index, content.revision, content.compact_revision) == (9, 7, -1)
    assert content.last_time == 1_700_000_002_500
    assert sorted(content.live, key=lambda kv: kv.key) == [
        KeyValue(b"\0", 5, 5, 1, b"\xff\0\xfe"),
        KeyValue(b"a", 2, 3, 2, b""),
        KeyValue(b"b", 7, 7, 1, b"again"),
        KeyValue(b"big", 5, 5, 1, b"x" * 3000),
    ]
    assert (content.alarms, content.finished_compact_revision) == ([], -1)
    assert list(content.members.members) == [
        Member(5, "one", ("http://one:2380",), ("http://one:2379", "http://[::1]:2379")),
        Member(2**64 - 1, peerURLs=("http://two:2380",), isLearner=True),
    ]
    with database.connect() as connection:
        history = connection.exec_driver_sql("SELECT id >> 24, id & 0xffffff, key, version FROM history").fetchall()
        times = connection.exec_driver_sql("SELECT revision, milliseconds FROM times").fetchall()
    assert [tuple(row) for row in history] == [
        (2, 0, b"a", 1),
        (3, 0, b"a", 2),
        (4, 0, b"b", 1),
        (5, 0, b"\0", 1),
        (5, 1, b"big", 1),
        (6, 0, b"b", 0),
        (7, 0, b"b", 1),
    ]
    assert [tuple(row) for row in times] == [(2, 1_700_000_000_250), (5, 1_700_000_002_500)]
    database.close()


def test_a_file_of_format_version_1_is_upgraded_once(tmp_path: Path) -> None:
    path = Path(shutil.copy(GOLDEN / "kv-v1.db", tmp_path / "kv.db"))
    for _ in range(2):
        database = Database.open(path, Options())
        with database.connect() as connection:
            rows = connection.exec_driver_sql("SELECT name, value FROM meta ORDER BY name").fetchall()
        assert [tuple(row) for row in rows[1:]] == [
            ("cluster_version", 0),
            ("compact_revision", -1),
            ("finished_compact_revision", -1),
            ("revision", 7),
            ("schema_version", 4),
        ]
        Writer(database).flush(Batch(9, 7, -1, [], 0, alarms=(AlarmMember(5, AlarmType.NOSPACE),)))
        assert database.load().alarms == [AlarmMember(5, AlarmType.NOSPACE)]
        database.close()


def test_a_file_of_format_version_2_opens(tmp_path: Path) -> None:
    """Written once, never again: one compaction is finished in it, a second is not."""
    path = Path(shutil.copy(GOLDEN / "kv-v2.db", tmp_path / "kv.db"))
    database = Database.open(path, Options())
    content = database.load()
    assert (content.applied_index, content.revision, content.last_time) == (15, 9, 1_700_000_006_250)
    assert (content.compact_revision, content.finished_compact_revision) == (7, 5)
    assert sorted(content.live, key=lambda kv: kv.key) == [
        KeyValue(b"\0", 6, 6, 1, b"\xff\0\xfe"),
        KeyValue(b"a", 2, 3, 2, b""),
        KeyValue(b"b", 7, 8, 2, b"and again"),
    ]
    codes = {key: unpack(codes) for key, codes in content.codes.items() if isinstance(codes, bytearray)}
    assert codes == {
        b"b": [(5 << 24) * 2 + 1, (7 << 24) * 2, (8 << 24) * 2],
        b"big": [(6 << 24 | 1) * 2, (9 << 24) * 2 + 1],
    }
    assert content.gone == [b"big"]
    assert list(content.members.members) == [
        Member(5, "one", ("http://one:2380",), ("http://one:2379", "http://[::1]:2379"))
    ]
    assert content.alarms == [AlarmMember(2**64 - 1, AlarmType.NOSPACE)]
    database.close()


def test_a_file_of_format_version_3_opens(tmp_path: Path) -> None:
    """Written once, never again: leases, one with a noted rest, one revoked, and keys attached to them."""
    path = Path(shutil.copy(GOLDEN / "kv-v3.db", tmp_path / "kv.db"))
    database = Database.open(path, Options())
    content = database.load()
    assert (content.applied_index, content.revision, content.last_time) == (13, 8, 1_700_000_016_250)
    assert content.leases == [Lease(-(2**63), 9_000_000_000), Lease(7, 60, 41), Lease(9, 2, 1)]
    assert sorted(content.live, key=lambda kv: kv.key) == [
        KeyValue(b"a", 2, 2, 1, b"1", 7),
        KeyValue(b"b", 3, 8, 2, b"6", -(2**63)),
        KeyValue(b"d", 5, 6, 2, b"5", 7),
    ]
    assert content.gone == [b"c"]
    database.close()


@pytest.mark.parametrize("name", ["kv-v1.db", "kv-v2.db"])
def test_leases_can_be_kept_in_an_upgraded_file(tmp_path: Path, name: str) -> None:
    path = Path(shutil.copy(GOLDEN / name, tmp_path / "kv.db"))
    database = Database.open(path, Options())
    assert database.load().leases == []
    Writer(database).flush(Batch(99, 99, -1, [], 0, leases={7: Lease(7, 60, 1)}))
    assert database.load().leases == [Lease(7, 60, 1)]
    database.close()
