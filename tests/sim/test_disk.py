"""The simulated disk: full, and without power at any step (what is lost is tests/fakes/test_disk.py's)."""

import errno
import random
from pathlib import Path

import pytest

from tests.sim.disk import PowerCut, SimDisk

FILE = Path("/file")


def test_a_full_disk_takes_nothing_and_still_reads() -> None:
    disk = SimDisk()
    file = disk.open(FILE, create=True)
    file.pwrite(b"abc", 0)
    disk.is_full = True
    with pytest.raises(OSError, match="No space") as caught:
        file.pwrite(b"def", 3)
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="No space"):
        disk.open(FILE.with_name("other"), create=True)
    file.datasync()
    assert file.pread(3, 0) == b"abc"
    disk.is_full = False
    disk.open(FILE.with_name("other"), create=True)


@pytest.mark.parametrize("steps", range(4))
def test_the_power_fails_before_the_chosen_step(steps: int) -> None:
    disk, cuts = SimDisk(), []
    disk.cut_at(steps, lambda: cuts.append(disk.count))
    done = 0

    def work() -> None:
        nonlocal done
        file = disk.open(FILE, create=True)
        done = 1
        file.pwrite(b"abc", 0)
        done = 2
        file.datasync()
        done = 3
        disk.sync_directory(FILE.parent)
        done = 4

    with pytest.raises(PowerCut):
        work()
    assert cuts == [steps]
    assert done == steps
    disk.open(FILE.with_name("other"), create=True)  # it comes once


def test_a_cut_that_is_taken_back_does_not_come() -> None:
    disk = SimDisk()
    disk.cut_at(0, lambda: None)
    disk.spare()
    disk.open(FILE, create=True)


def test_the_survivor_has_what_was_synced_and_is_as_full() -> None:
    disk = SimDisk()
    file = disk.open(FILE, create=True)
    file.pwrite(b"abc", 0)
    file.datasync()
    disk.sync_directory(FILE.parent)
    disk.is_full = True
    found = disk.survivor(random.Random(1))
    assert found.files() == {FILE: b"abc"}
    assert found.is_full
