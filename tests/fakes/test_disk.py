"""The model of what a power cut leaves: it must neither keep what may be lost nor lose what is durable."""

import errno
import random
from pathlib import Path

import pytest

from tests.fakes.disk import SECTOR, SYNCS, FakeDisk

FILE = Path("/data/file")
DATA = Path("/data")


@pytest.fixture
def disk() -> FakeDisk:
    return FakeDisk({DATA: None})


def contents(disk: FakeDisk, path: Path = FILE) -> set[bytes | None]:
    """What many power cuts leave of a file (None: no such name)."""
    return {disk.crash(random.Random(seed)).files().get(path) for seed in range(200)}


def durable_file(disk: FakeDisk, content: bytes) -> None:
    file = disk.open(FILE, create=True)
    file.pwrite(content, 0)
    file.datasync()
    disk.sync_directory(DATA)


def test_synced_bytes_stay(disk: FakeDisk) -> None:
    durable_file(disk, b"a" * 2000)
    assert contents(disk) == {b"a" * 2000}


def test_each_sector_of_an_unsynced_write_is_kept_or_lost(disk: FakeDisk) -> None:
    durable_file(disk, b"a" * 3 * SECTOR)
    disk.open(FILE).pwrite(b"b" * 2 * SECTOR, SECTOR // 2)
    found = contents(disk)
    a, b, half = b"a" * SECTOR, b"b" * SECTOR, SECTOR // 2
    first, last = a[:half] + b[:half], b[:half] + a[:half]
    assert found == {x + y + z for x in (a, first) for y in (a, b) for z in (a, last)}


def test_an_unsynced_length_may_be_lost_and_gaps_are_zeros(disk: FakeDisk) -> None:
    durable_file(disk, b"")
    disk.open(FILE).pwrite(b"b" * 2 * SECTOR, 0)
    b, zero = b"b" * SECTOR, bytes(SECTOR)
    assert contents(disk) == {b"", b, zero + b, b + b}


def test_a_name_lasts_only_with_its_directory(disk: FakeDisk) -> None:
    file = disk.open(FILE, create=True)
    file.pwrite(b"x", 0)
    file.datasync()
    assert contents(disk) == {None, b"x"}
    disk.sync_directory(DATA)
    assert contents(disk) == {b"x"}
    disk.remove(FILE)
    assert contents(disk) == {None, b"x"}
    disk.sync_directory(DATA)
    assert contents(disk) == {None}


def test_a_rename_happens_as_a_whole(disk: FakeDisk) -> None:
    durable_file(disk, b"old")
    new = disk.open(DATA / "new", create=True)
    new.pwrite(b"new", 0)
    new.datasync()
    disk.sync_directory(DATA)
    disk.rename(DATA / "new", FILE)
    assert contents(disk) == {b"old", b"new"}
    for seed in range(50):
        files = disk.crash(random.Random(seed)).files()
        assert files in ({FILE: b"new"}, {FILE: b"old", DATA / "new": b"new"})


def test_a_file_in_a_lost_directory_is_lost(disk: FakeDisk) -> None:
    disk.make_directory(DATA / "inner")
    disk.open(DATA / "inner" / "file", create=True)
    disk.sync_directory(DATA / "inner")
    assert contents(disk, DATA / "inner" / "file") == {None, b""}
    disk.sync_directory(DATA)
    assert contents(disk, DATA / "inner" / "file") == {b""}


def test_what_survived_is_durable(disk: FakeDisk) -> None:
    durable_file(disk, b"a" * 3000)
    disk.open(FILE).pwrite(b"b" * 3000, 0)
    survivor = disk.crash(random.Random(1))
    assert contents(survivor) == {survivor.files()[FILE]}


def test_a_truncation_is_kept_or_lost(disk: FakeDisk) -> None:
    durable_file(disk, b"abc")
    file = disk.open(FILE)
    file.truncate(1)
    assert contents(disk) == {b"a", b"abc"}
    file.datasync()
    assert contents(disk) == {b"a"}


def test_any_moment_can_be_had_again(disk: FakeDisk) -> None:
    durable_file(disk, b"one")
    disk.open(FILE).pwrite(b"two", 0)
    assert [step.kind for step in disk.steps] == ["create", "write", "datasync", "sync_directory", "write"]
    assert [moment.files().get(FILE) for moment in disk.moments()] == [None, b"", b"one", b"one", b"one", b"two"]
    assert disk.at(4).files() == {FILE: b"one"}
    assert contents(disk.at(2)) == {None, b"", b"one"}
    assert contents(disk.at(4)) == {b"one"}


def test_a_lying_disk_makes_nothing_durable() -> None:
    disk = FakeDisk({DATA: None}, is_lying=True)
    durable_file(disk, b"abc")
    assert contents(disk) == {b"", b"abc"}


def test_a_failure_comes_once_at_its_turn(disk: FakeDisk) -> None:
    durable_file(disk, b"abc")
    file = disk.open(FILE)
    disk.fail(1, {"datasync"}, errno.ENOSPC)
    file.datasync()
    with pytest.raises(OSError, match="No space left") as caught:
        file.datasync()
    assert caught.value.errno == errno.ENOSPC
    file.datasync()
    disk.fail(0, SYNCS)
    disk.mend()
    file.datasync()


def test_half_of_a_failed_write_may_have_gone_through(disk: FakeDisk) -> None:
    durable_file(disk, b"aaaa")
    file = disk.open(FILE)
    disk.fail(0)
    with pytest.raises(OSError, match="Input/output error"):
        file.pwrite(b"bbbb", 0)
    assert disk.files()[FILE] == b"bbaa"


def test_after_a_failed_sync_a_later_one_saves_nothing_that_was_not_written_again(disk: FakeDisk) -> None:
    a, b = b"a" * SECTOR, b"b" * SECTOR
    durable_file(disk, a + a)
    file = disk.open(FILE)
    file.pwrite(b + b, 0)
    disk.fail(0, SYNCS)
    with pytest.raises(OSError, match="Input/output error"):
        file.datasync()
    assert disk.files()[FILE] == b + b
    file.datasync()
    assert contents(disk) == {a + a, a + b, b + a, b + b}
    file.pwrite(b[:1], 0)  # one byte, and its whole sector is written
    file.datasync()
    assert contents(disk) == {b + a, b + b}


def test_without_steps_a_power_cut_is_still_possible() -> None:
    disk = FakeDisk({DATA: None}, keeps_steps=False)
    durable_file(disk, b"abc")
    assert disk.steps == []
    assert disk.count == 4
    assert contents(disk) == {b"abc"}
