"""What a crash leaves of a SQLite file: any commit since the last checkpoint, and never half of one."""

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from tests.sim.sqlite import Connections, StoreFile, parse


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kv.db"


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(path, isolation_level=None)
    made.execute("PRAGMA journal_mode = wal")
    made.execute("PRAGMA wal_autocheckpoint = 0")
    made.execute("PRAGMA synchronous = 0")
    made.execute("CREATE TABLE t (n INTEGER, filling BLOB)")
    yield made
    made.close()


def commit(connection: sqlite3.Connection, number: int) -> None:
    connection.execute("BEGIN")
    connection.execute("INSERT INTO t VALUES (?, zeroblob(20000))", (number,))
    connection.execute("INSERT INTO t VALUES (?, zeroblob(20000))", (number,))
    connection.execute("COMMIT")


def checkpoint(connection: sqlite3.Connection) -> None:
    busy, frames, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    assert (busy, moved) == (0, frames)


def numbers(path: Path) -> list[int]:
    opened = sqlite3.connect(path)
    try:
        assert opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [row[0] for row in opened.execute("SELECT n FROM t ORDER BY rowid")]
    finally:
        opened.close()


def outcomes(store: StoreFile, tmp_path: Path) -> set[tuple[int, ...]]:
    """What many crashes now leave."""
    photo = store.photograph()
    found = set()
    for seed in range(60):
        copy = tmp_path / f"copy-{seed}" / "kv.db"
        copy.parent.mkdir()
        other = StoreFile(copy)
        other._synced = store._synced
        other.put_back(photo, random.Random(seed))
        found.add(tuple(numbers(copy)))
    return found


def test_commits_since_the_checkpoint_may_be_lost_from_the_last_on(
    path: Path, connection: sqlite3.Connection, tmp_path: Path
) -> None:
    store = StoreFile(path)
    commit(connection, 1)
    checkpoint(connection)
    store.checkpointed()
    for number in (2, 3, 4):
        commit(connection, number)
    assert outcomes(store, tmp_path) == {(1, 1), (1, 1, 2, 2), (1, 1, 2, 2, 3, 3), (1, 1, 2, 2, 3, 3, 4, 4)}


def test_what_was_checkpointed_stays_whether_the_log_was_begun_anew_or_not(
    path: Path, connection: sqlite3.Connection, tmp_path: Path
) -> None:
    store = StoreFile(path)
    for number in (1, 2, 3):
        commit(connection, number)
    checkpoint(connection)
    store.checkpointed()
    assert outcomes(store, tmp_path) == {(1, 1, 2, 2, 3, 3)}
    commit(connection, 4)  # begins the -wal anew, over the old one
    assert len(parse(store._wal.read_bytes()).commits) == 1
    assert store._synced.salts != parse(store._wal.read_bytes()).salts


def test_a_log_begun_anew_behind_a_checkpoint_may_be_lost_as_a_whole(
    path: Path, connection: sqlite3.Connection, tmp_path: Path
) -> None:
    store = StoreFile(path)
    for number in (1, 2, 3):
        commit(connection, number)
    checkpoint(connection)
    store.checkpointed()
    commit(connection, 4)
    assert outcomes(store, tmp_path) == {(1, 1, 2, 2, 3, 3), (1, 1, 2, 2, 3, 3, 4, 4)}


def test_a_killed_process_loses_nothing(path: Path, connection: sqlite3.Connection) -> None:
    store = StoreFile(path)
    commit(connection, 1)
    photo = store.photograph()
    connection.close()
    assert store.put_back(photo, None) == 0
    assert numbers(path) == [1, 1]


def test_a_store_that_never_was_stays_away(path: Path) -> None:
    store = StoreFile(path)
    assert store.photograph() is None
    assert store.put_back(None, random.Random(1)) == 0
    assert not path.exists()


def test_connections_are_closed_by_directory(tmp_path: Path) -> None:
    raw: dict[str, sqlite3.Connection] = {}
    kept = []
    with Connections() as connections:
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            engine = create_engine(f"sqlite:///{tmp_path / name / 'kv.db'}", poolclass=NullPool)
            kept.append(engine.connect())
            driver = kept[-1].connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            raw[name] = driver
        connections.close(tmp_path / "a")
        with pytest.raises(sqlite3.ProgrammingError):
            raw["a"].execute("SELECT 1")
        raw["b"].execute("SELECT 1")
    with pytest.raises(sqlite3.ProgrammingError):
        raw["b"].execute("SELECT 1")
