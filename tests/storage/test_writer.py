"""Batches into SQLite: wholly or not at all, checkpoints that tell the truth, failures that are final."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from raftgate.api.cluster import Member
from raftgate.api.maintenance import AlarmMember, AlarmType
from storage.compaction import CompactionStep
from storage.database import PAGE_SIZE, Database, Size, pragma
from storage.lease import Lease
from storage.members import Records
from storage.options import Options
from storage.row import Row
from storage.sweep import Sweep
from storage.writer import ROWS_PER_STATEMENT, Batch, Writer, _rows_per_statement


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(tmp_path / "kv.db", Options(fsync=False))
    yield database
    database.close()


@pytest.fixture
def writer(database: Database) -> Writer:
    return Writer(database)


def rows(count: int, first: int = 2, value: bytes = b"v") -> list[Row]:
    return [((first + n) << 24, b"k%d" % (first + n), first + n, 1, value, 0) for n in range(count)]


def batch(index: int, rows: list[Row], members: Records | None = None) -> Batch:
    return Batch(index, 1 + index, -1, rows, 0, (), members)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 255, 256, 257, 511, 1000])
def test_batches_of_any_size_are_written_whole(database: Database, writer: Writer, count: int) -> None:
    writer.flush(batch(1000, rows(count)))
    with database.connect() as connection:
        found = connection.exec_driver_sql("SELECT * FROM history ORDER BY id").fetchall()
    assert [tuple(row) for row in found] == rows(count)
    assert database.probe() == 1000


def test_few_statements_are_prepared(writer: Writer) -> None:
    statements: list[str] = []
    raw = writer._connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    raw.set_trace_callback(statements.append)
    writer.flush(batch(1, rows(255 + 2 * ROWS_PER_STATEMENT)))
    inserts = [statement.count("(") - 1 for statement in statements if statement.startswith("INSERT INTO history")]
    assert inserts == [256, 256, 128, 64, 32, 16, 8, 4, 2, 1]
    assert statements[0] == "BEGIN"


def test_statements_respect_the_limit_of_variables(database: Database, writer: Writer) -> None:
    raw = writer._connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    raw.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 999)  # SQLite before 3.32
    assert _rows_per_statement(writer._connection) == 166
    writer._rows_per_statement = 166
    writer.flush(batch(1000, rows(1000)))
    assert len(database.load().live) == 1000


def test_an_error_in_the_middle_leaves_nothing_of_the_batch(database: Database, writer: Writer) -> None:
    writer.flush(batch(3, rows(3)))
    bad = [*rows(300, first=5), (5 << 24, b"twice", 5, 1, b"", 0)]
    with pytest.raises(sqlalchemy.exc.IntegrityError):
        writer.flush(batch(900, bad, Records((Member(1),))))
    content = database.load()
    assert (content.applied_index, content.revision, len(content.live), content.members) == (3, 4, 3, Records())


def test_after_a_failure_every_further_call_raises(writer: Writer) -> None:
    with pytest.raises(sqlalchemy.exc.IntegrityError):
        writer.flush(batch(1, rows(1) + rows(1)))
    for call in (lambda: writer.flush(batch(1, rows(1))), writer.checkpoint):
        with pytest.raises(RuntimeError, match="failed before"):
            call()


def test_a_full_disk_raises_and_keeps_what_was_there(database: Database, writer: Writer) -> None:
    writer.flush(batch(3, rows(3)))
    pragma(writer._connection, "max_page_count", pragma(writer._connection, "page_count"))
    with pytest.raises(sqlalchemy.exc.OperationalError, match="full"):
        writer.flush(batch(300, rows(300, first=5, value=b"x" * 1000)))
    database.close()
    again = Database.open(database.path, Options())
    assert again.load().applied_index == 3
    again.close()


def test_members_are_replaced_as_a_whole(database: Database, writer: Writer) -> None:
    one, two = Member(1, "one", ("a",), ("b", "c")), Member(2**64 - 1, isLearner=True)
    writer.flush(batch(1, [], Records((one, two), frozenset({9, 2**64 - 1}))))
    writer.flush(batch(2, []))
    assert database.load().members == Records((one, two), frozenset({9, 2**64 - 1}))
    writer.flush(batch(3, [], Records((two,), version=(3, 10))))
    assert database.load().members == Records((two,), version=(3, 10))
    writer.flush(batch(4, [], Records()))
    assert database.load().members == Records()


def main_file_index(database: Database, tmp_path: Path) -> int:
    """The applied index that the main file holds without its -wal."""
    copy = tmp_path / "main.db"
    copy.write_bytes(database.path.read_bytes())
    with sqlite3.connect(copy) as connection:
        row = connection.execute("SELECT value FROM meta WHERE name = 'applied_index'").fetchone()
    connection.close()
    return int(row[0])


def test_a_checkpoint_answers_what_the_main_file_holds(database: Database, writer: Writer, tmp_path: Path) -> None:
    assert writer.checkpoint() == 0
    writer.flush(batch(40, rows(40)))
    assert main_file_index(database, tmp_path) == 0
    assert writer.checkpoint() == 40
    assert main_file_index(database, tmp_path) == 40
    assert writer.checkpoint() == 40


def test_a_checkpoint_under_a_pinned_reader_is_incomplete(database: Database, writer: Writer) -> None:
    writer.flush(batch(1, rows(1)))
    with database.connect() as reader:
        reader.exec_driver_sql("SELECT count(*) FROM history").scalar_one()
        writer.flush(batch(300, rows(299, first=3)))
        assert writer.checkpoint() is None
    assert writer.checkpoint() == 300


def test_a_writer_on_an_old_file_knows_its_index(database: Database, writer: Writer) -> None:
    writer.flush(batch(7, rows(1)))
    database.close()
    again = Database.open(database.path, Options())
    assert Writer(again).checkpoint() == 7
    again.close()


def test_the_wal_file_is_used_again_after_a_checkpoint(database: Database, writer: Writer) -> None:
    wal = database.path.with_name(database.path.name + "-wal")
    sizes = []
    for n in range(5):
        writer.flush(batch(100 * (n + 1), rows(100, first=2 + 100 * n, value=b"x" * 1000)))
        writer.checkpoint()
        sizes.append(wal.stat().st_size)
    assert max(sizes) < 1.5 * sizes[0]


def test_sizes_are_those_of_the_last_flush(writer: Writer) -> None:
    before = writer.size
    writer.flush(batch(300, rows(300, value=b"x" * 1000)))
    assert writer.size.total > before.total + 300_000


def test_a_failed_checkpoint_is_final_too(database: Database, writer: Writer) -> None:
    raw = writer._connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    raw.close()
    with pytest.raises(sqlite3.ProgrammingError):
        writer.checkpoint()
    with pytest.raises(RuntimeError, match="failed before"):
        writer.flush(batch(1, []))
    assert database.probe() == 0


def ids_of(database: Database) -> list[int]:
    with database.connect() as connection:
        return list(connection.exec_driver_sql("SELECT id FROM history ORDER BY id").scalars())


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 1000])
def test_a_step_of_a_compaction_deletes_its_rows(database: Database, writer: Writer, count: int) -> None:
    writer.flush(batch(1500, rows(1500)))
    ids = [row[0] for row in rows(count, first=100)]
    writer.delete(CompactionStep(1200, ids, is_last=False))
    assert ids_of(database) == sorted({row[0] for row in rows(1500)} - set(ids))
    assert database.load().finished_compact_revision == -1


def test_the_last_step_marks_the_compaction_as_finished(database: Database, writer: Writer) -> None:
    writer.flush(batch(10, rows(10)))
    writer.delete(CompactionStep(5, [2 << 24], is_last=True))
    assert database.load().finished_compact_revision == 5
    assert len(ids_of(database)) == 9


def test_a_step_with_nothing_to_do_writes_nothing(database: Database, writer: Writer) -> None:
    with database.connect() as connection:
        before = connection.exec_driver_sql("PRAGMA data_version").scalar_one()
        writer.delete(CompactionStep(5, [], is_last=False))
        assert connection.exec_driver_sql("PRAGMA data_version").scalar_one() == before


def test_a_step_that_fails_deletes_nothing_and_is_final(database: Database, writer: Writer) -> None:
    writer.flush(batch(10, rows(10)))
    with database.connection.begin():
        database.connection.exec_driver_sql("DROP TABLE times")
    with pytest.raises(sqlalchemy.exc.OperationalError):
        writer.delete(CompactionStep(5, [2 << 24], is_last=True))
    assert len(ids_of(database)) == 10
    with pytest.raises(RuntimeError, match="failed before"):
        writer.vacuum(1)


def test_vacuum_gives_back_a_few_pages_at_a_time(database: Database, writer: Writer) -> None:
    writer.flush(batch(1000, rows(1000, value=b"x" * 1000)))
    writer.delete(CompactionStep(900, [row[0] for row in rows(800)], is_last=True))
    full = writer.size
    free = (full.total - full.in_use) // PAGE_SIZE
    assert free > 50
    assert writer.vacuum(10) == 10
    assert writer.size == Size(full.total - 10 * PAGE_SIZE, full.in_use)
    freed = []
    while count := writer.vacuum(32):
        freed.append(count)
    assert writer.size.total == writer.size.in_use
    assert writer.checkpoint() == 1000
    assert database.path.stat().st_size == writer.size.total
    assert len(database.load().live) == 200


def test_defragment_leaves_no_free_page_and_every_row(database: Database, writer: Writer) -> None:
    writer.flush(batch(1000, rows(1000, value=b"x" * 1000)))
    writer.delete(CompactionStep(900, [row[0] for row in rows(1000)[::2]], is_last=True))
    writer.defragment()
    assert writer.size.total == writer.size.in_use
    assert ids_of(database) == [row[0] for row in rows(1000)[1::2]]
    writer.checkpoint()
    assert database.path.stat().st_size == writer.size.total
    assert pragma(database.connection, "auto_vacuum") == 2
    writer.flush(batch(1001, rows(1, first=2000)))
    assert database.probe() == 1001


def test_defragment_goes_beside_a_reader(database: Database, writer: Writer) -> None:
    writer.flush(batch(100, rows(100, value=b"x" * 1000)))
    with database.connect() as reader, reader.begin():
        count = reader.exec_driver_sql("SELECT count(*) FROM history").scalar_one()
        writer.defragment()
        assert reader.exec_driver_sql("SELECT count(*) FROM history").scalar_one() == count


def test_alarms_are_replaced_as_a_whole(database: Database, writer: Writer) -> None:
    one, two = AlarmMember(1, AlarmType.CORRUPT), AlarmMember(2**64 - 1, AlarmType.NOSPACE)
    for alarms in ((one, two), (two,), ()):
        writer.flush(Batch(1, 2, -1, [], 0, alarms=alarms))
        assert database.load().alarms == list(alarms)


@pytest.mark.parametrize("count", [1, 255, 256, 600])
def test_changed_leases_are_replaced_or_deleted(database: Database, writer: Writer, count: int) -> None:
    leases = {n: Lease(n, 60) for n in range(count)}
    writer.flush(Batch(1, 1, -1, [], 0, leases=leases))
    assert database.load().leases == list(leases.values())
    writer.flush(Batch(2, 1, -1, [], 0))
    assert database.load().leases == list(leases.values())
    changes = {0: Lease(0, 60, 41), **dict.fromkeys(range(1, count)), -1: Lease(-1, 5), 9999: None}
    writer.flush(Batch(3, 1, -1, [], 0, leases=changes))
    assert database.load().leases == [Lease(-1, 5), Lease(0, 60, 41)]


def test_rows_of_sweeps_are_written_between_others(database: Database, writer: Writer) -> None:
    sweep = Sweep(7, b"k", b"\0", [[b"k1", b"k2"], [b"k3"]])
    writer.flush(Batch(9, 9, -1, [*rows(2, first=5), *rows(2, first=8)], 0, swept=[(2, sweep)]))
    assert ids_of(database) == [5 << 24, 6 << 24, 7 << 24, 7 << 24 | 1, 7 << 24 | 2, 8 << 24, 9 << 24]
    assert database.load().gone == [b"k1", b"k2", b"k3"]
