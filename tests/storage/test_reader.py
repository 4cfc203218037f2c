"""Rows by their ids through pooled connections."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from raftgate.api.kv import KeyValue
from storage.database import Database, StoreExchanged
from storage.options import Options
from storage.reader import BYTES_PER_PAGE, ROWS_PER_STATEMENT, Readers
from storage.row import Row, Stub
from storage.writer import Batch, Writer


@pytest.fixture
def readers(tmp_path: Path) -> Iterator[Readers]:
    database = Database.open(tmp_path / "kv.db", Options(fsync=False))
    rows: list[Row] = [(n << 24 | n % 3, b"k%d" % n, n - 1, 2, b"v%d" % n, 5) for n in range(2, 1000)]
    Writer(database).flush(Batch(1000, 1000, -1, rows, 0))
    readers = Readers(database)
    yield readers
    readers.close()
    database.close()


def stub(n: int, version: int = 0) -> Stub:
    return Stub(b"k%d" % n, mod_revision=n, version=version, sub=n % 3)


def whole(n: int) -> KeyValue:
    return KeyValue(b"k%d" % n, n - 1, n, 2, b"v%d" % n, 5)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 255, 256, 257, 900])
def test_stubs_are_replaced_in_their_places(readers: Readers, count: int) -> None:
    numbers = [2 + n * 7 % 998 for n in range(count)]
    assert readers.load([stub(n) for n in numbers], values=True) == [whole(n) for n in numbers]


def test_what_is_no_stub_stays(readers: Readers) -> None:
    other = KeyValue(b"other", value=b"x")
    assert readers.load([other, stub(5), other], values=True) == [other, whole(5), other]


def test_without_values_stubs_get_the_other_fields(readers: Readers) -> None:
    (found,) = readers.load([stub(5)], values=False)
    assert found == Stub(b"k5", 4, 5, 2, b"", 5, 2)
    assert readers.load([found], values=False) == [found]
    assert readers.load([found], values=True) == [whole(5)]


def test_a_row_that_is_not_there_is_a_defect(readers: Readers) -> None:
    with pytest.raises(RuntimeError, match="row 83886080 is not in the database"):
        readers.load([Stub(b"k5", mod_revision=5)], values=True)


def test_connections_are_used_again(readers: Readers) -> None:
    with readers.connection() as one, readers.connection() as two:
        assert one is not two
    with readers.connection() as again:
        assert again in (one, two)


def test_a_new_connection_is_nobody_elses(readers: Readers) -> None:
    with readers.connection() as one:
        pass
    with readers.new_connection() as fresh:
        assert fresh is not one
    assert (one.closed, fresh.closed) == (False, True)
    readers.close()
    with pytest.raises(StoreExchanged), readers.new_connection():
        pass


def test_a_connection_that_failed_is_not(readers: Readers) -> None:
    with pytest.raises(ValueError, match="broken"), readers.connection() as broken:
        raise ValueError("broken")
    with readers.connection() as other:
        assert other is not broken
    assert broken.closed


def test_an_idle_connection_holds_no_checkpoint_back(readers: Readers) -> None:
    readers.load([stub(n) for n in range(2, 2 + ROWS_PER_STATEMENT)], values=True)
    writer = Writer(readers._database)
    writer.flush(Batch(1001, 1001, -1, [(1001 << 24, b"n", 1001, 1, b"", 0)], 0))
    assert writer.checkpoint() == 1001


def row(n: int) -> Row:
    return n << 24 | n % 3, b"k%d" % n, n - 1, 2, b"v%d" % n, 5


@pytest.mark.parametrize("count", [0, 1, 2, 256, 257, 900])
def test_rows_in_order(readers: Readers, count: int) -> None:
    ids = 5 << 24, 5 + count << 24
    assert list(readers.rows(ids, b"", None)) == [row(n) for n in range(5, 5 + count)]


def test_rows_of_some_keys(readers: Readers) -> None:
    assert list(readers.rows((0, 1 << 60), b"k5", b"k51")) == [row(n) for n in (5, 50, *range(500, 510))]
    assert list(readers.rows((0, 1 << 60), b"k99", None)) == [row(n) for n in (99, *range(990, 1000))]


def test_rows_of_any_bytes_and_large_ones(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "kv.db", Options(fsync=False))
    values = [b"", b"\0", b",;'", bytes(range(256)), bytes(BYTES_PER_PAGE + 1), *[bytes(BYTES_PER_PAGE // 3)] * 7, b"x"]
    rows: list[Row] = [(n << 24, b"\xff,;\0%d" % n, n, 1, value, -n) for n, value in enumerate(values, start=2)]
    Writer(database).flush(Batch(1000, 1000, -1, rows, 0))
    readers = Readers(database)
    assert list(readers.rows((0, 1 << 60), b"", None)) == rows
    readers.close()
    database.close()


def test_reading_of_rows_may_be_given_up(readers: Readers) -> None:
    assert next(readers.rows((0, 1 << 60), b"", None)) == row(2)
    with readers.connection() as connection:
        first = connection
    with readers.connection() as connection:
        assert connection is first


def test_nobody_reads_once_it_is_closed(readers: Readers) -> None:
    with readers.connection() as connection:
        readers.close()
        was_closed = connection.closed  # whoever reads is let finish
    assert (was_closed, connection.closed) == (False, True)
    with pytest.raises(StoreExchanged):
        readers.load([stub(5)], values=True)
