"""What a power cut leaves of stores: of those that came through the disk, and of those that SQLite has made."""

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.sim.disk import PowerCut, SimDisk
from tests.sim.stores import Stores

CONTENT = bytes(range(256)) * 64
SEEDS = range(40)


def receive(disk: SimDisk, directory: Path, *, syncs: bool = True) -> Path:
    """Writes a store as a member does that is sent one, up to the rename."""
    temporary, final = directory / "kv-2.db.1.tmp", directory / "kv-2.db"
    file = disk.open(temporary, create=True)
    file.pwrite(CONTENT, 0)
    if syncs:
        file.datasync()
    file.close()
    disk.rename(temporary, final)
    return final


def outcomes(directory: Path, prepare: Callable[[SimDisk], object]) -> set[bytes | None]:
    """What is found at the final name after power cuts, None: nothing."""
    found: set[bytes | None] = set()
    for seed in SEEDS:
        for path in directory.iterdir():
            path.unlink()
        disk, stores = SimDisk(mirror=directory), Stores(directory)
        prepare(disk)
        chance = random.Random(seed)
        stores.survive(stores.photograph(), disk, disk.survivor(chance), chance)
        path = directory / "kv-2.db"
        found.add(path.read_bytes() if path.exists() else None)
    return found


def test_what_is_written_through_the_disk_is_there_for_sqlite(tmp_path: Path) -> None:
    disk = SimDisk(mirror=tmp_path)
    path = receive(disk, tmp_path)
    assert path.read_bytes() == CONTENT
    assert [each.name for each in tmp_path.iterdir()] == ["kv-2.db"]
    disk.remove(path)
    assert list(tmp_path.iterdir()) == []


def test_what_sqlite_makes_is_there_for_the_disk(tmp_path: Path) -> None:
    disk, path = SimDisk(mirror=tmp_path), tmp_path / "kv-1.db"
    path.write_bytes(b"x")
    assert disk.exists(path)
    assert disk.listdir(tmp_path) == ["kv-1.db"]
    disk.remove(path)
    assert not disk.exists(path)
    assert disk.removed == {path: b"x"}
    disk.sync_directory(tmp_path)
    assert disk.removed == {}


def test_a_name_that_was_not_synced_may_be_gone(tmp_path: Path) -> None:
    assert outcomes(tmp_path, lambda disk: receive(disk, tmp_path)) == {None, CONTENT}


def test_a_store_that_was_made_durable_stays(tmp_path: Path) -> None:
    def prepare(disk: SimDisk) -> None:
        receive(disk, tmp_path)
        disk.sync_directory(tmp_path)

    assert outcomes(tmp_path, prepare) == {CONTENT}


def test_a_store_that_was_not_synced_may_be_half_a_store(tmp_path: Path) -> None:
    def prepare(disk: SimDisk) -> None:
        receive(disk, tmp_path, syncs=False)
        disk.sync_directory(tmp_path)

    found = outcomes(tmp_path, prepare)
    assert b"" in found
    assert CONTENT in found
    assert len(found) > 5


def test_a_store_that_was_removed_may_be_back(tmp_path: Path) -> None:
    def prepare(disk: SimDisk) -> None:
        (tmp_path / "kv-2.db").write_bytes(b"old")
        disk.remove(tmp_path / "kv-2.db")

    assert outcomes(tmp_path, prepare) == {None, b"old"}


def test_what_sqlite_has_changed_since_counts(tmp_path: Path) -> None:
    disk, stores, path = SimDisk(mirror=tmp_path), Stores(tmp_path), tmp_path / "kv-2.db"
    with closing(sqlite3.connect(tmp_path / "made.db")) as database:
        database.execute("CREATE TABLE t(x)")
    file = disk.open(path, create=True)
    file.pwrite((tmp_path / "made.db").read_bytes(), 0)
    file.datasync()
    disk.sync_directory(tmp_path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("INSERT INTO t VALUES (7)")
        database.commit()
    chance = random.Random(1)
    assert stores.survive(stores.photograph(), disk, disk.survivor(chance), chance) == 0
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT x FROM t").fetchall() == [(7,)]


def test_a_kill_changes_nothing(tmp_path: Path) -> None:
    disk, stores = SimDisk(mirror=tmp_path), Stores(tmp_path)
    path = receive(disk, tmp_path)
    photos = stores.photograph()
    path.write_bytes(b"what closing the connections has made of it")
    stores.put_back(photos)
    assert path.read_bytes() == CONTENT


def test_power_fails_so_many_steps_after_a_store_begins_to_come_in(tmp_path: Path) -> None:
    disk, cuts = SimDisk(mirror=tmp_path), []
    disk.cut_at_store(2, lambda: cuts.append(disk.count))
    file = disk.open(tmp_path / "CURRENT", create=True)
    for _ in range(5):
        file.pwrite(b"x", 0)
    with pytest.raises(PowerCut):
        receive(disk, tmp_path)
    assert cuts == [8]  # six steps of the other file, create and write of the store
