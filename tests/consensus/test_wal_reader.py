"""Reading back what is no longer in memory."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from consensus.raft.errors import Compacted
from consensus.raft.types import HardState
from consensus.wal import Wal
from consensus.wal_reader import READ_BYTES, read_back
from tests.fakes.disk import FakeDisk, FakeFile
from tests.fakes.wal import DIRECTORY, SMALL, create, make_entries


class CountingDisk(FakeDisk):
    """Counts how often a file is opened."""

    opened = 0

    def open(self, path: Path, *, create: bool = False) -> FakeFile:
        self.opened += 1
        return super().open(path, create=create)


@pytest.fixture
def disk() -> CountingDisk:
    return CountingDisk({DIRECTORY.parent: None})


@pytest.fixture
def wal(disk: CountingDisk) -> Iterator[Wal]:
    wal = create(disk, replace(SMALL, segment_bytes=1 << 20, memory_bytes=0, keep_bytes=0))
    yield wal
    wal.close()


def test_neighbours_are_read_together(disk: CountingDisk, wal: Wal) -> None:
    entries = make_entries(1, 300, size=100)
    for entry in entries:
        wal.save(HardState(1, 1, 0), [entry], must_sync=True)
    disk.opened = 0
    assert list(read_back(disk, wal._index, 1, 301)) == entries
    assert disk.opened == 1
    assert list(read_back(disk, wal._index, 250, 252)) == entries[249:251]


def test_a_read_is_bounded(disk: CountingDisk, wal: Wal) -> None:
    entries = make_entries(1, 20, size=READ_BYTES // 8)
    for entry in entries:
        wal.save(HardState(1, 1, 0), [entry], must_sync=True)
    disk.opened = 0
    assert list(read_back(disk, wal._index, 1, 21)) == entries
    assert disk.opened == 3
    next(read_back(disk, wal._index, 1, 21))
    assert disk.opened == 4


def test_replaced_entries_are_passed_over(disk: CountingDisk, wal: Wal) -> None:
    old = make_entries(1, 6, size=100)
    wal.save(HardState(1, 1, 0), old[:3], must_sync=True)
    wal.save(HardState(1, 1, 0), old[3:], must_sync=True)
    new = make_entries(3, 1, term=2, size=100)
    wal.save(HardState(2, 1, 0), new, must_sync=True)
    newer = make_entries(4, 2, term=2, size=100)
    wal.save(HardState(2, 1, 0), newer, must_sync=True)
    assert list(read_back(disk, wal._index, 1, 6)) == [*old[:2], *new, *newer]


def test_entries_cut_off_meanwhile_are_compacted(disk: CountingDisk, wal: Wal) -> None:
    for index in range(1, 30):
        wal.save(HardState(1, 1, index), make_entries(index, 1, size=100_000), must_sync=True)
    going = read_back(disk, wal._index, 1, 30)
    assert next(going).index == 1
    assert wal.cut(29) > 10
    with pytest.raises(Compacted, match="was cut off while it was being read"):
        list(going)
    with pytest.raises(Compacted, match="index 1 was cut off"):
        list(read_back(disk, wal._index, 1, 2))
