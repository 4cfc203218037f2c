"""The operating system's files and the lock, on a real file system; and what FakeDisk has in common with them."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from consensus.disk import DirectoryLocked, OsDisk, lock_directory
from consensus.env import Disk
from tests.fakes.disk import FakeDisk


@pytest.fixture(params=["os", "fake"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Disk, Path]:
    """A disk and an empty directory on it: whatever holds for one kind holds for both."""
    if request.param == "os":
        return OsDisk(), tmp_path
    return FakeDisk({Path("/place"): None}), Path("/place")


def test_what_is_written_is_read(place: tuple[Disk, Path]) -> None:
    disk, directory = place
    file = disk.open(directory / "file", create=True)
    file.pwrite(b"hello", 3)
    assert file.size() == 8
    assert file.pread(100, 0) == b"\0\0\0hello"
    assert file.pread(2, 4) == b"el"
    assert file.pread(5, 8) == b""
    file.datasync()
    file.close()
    file.close()
    again = disk.open(directory / "file")
    assert again.pread(8, 0) == b"\0\0\0hello"
    again.close()


def test_creating_empties_what_was_there(place: tuple[Disk, Path]) -> None:
    disk, directory = place
    file = disk.open(directory / "file", create=True)
    file.pwrite(b"old", 0)
    assert disk.open(directory / "file", create=True).size() == 0


def test_allocating_lengthens_with_zeros_and_never_shortens(place: tuple[Disk, Path]) -> None:
    disk, directory = place
    file = disk.open(directory / "file", create=True)
    file.pwrite(b"abc", 0)
    file.allocate(3 << 20)
    assert file.size() == 3 << 20
    assert file.pread(10, 0) == b"abc" + bytes(7)
    assert file.pread(1 << 20, 2 << 20) == bytes(1 << 20)
    file.allocate(10)
    assert file.size() == 3 << 20
    file.truncate(2)
    assert file.pread(10, 0) == b"ab"
    file.truncate(4)
    assert file.pread(10, 0) == b"ab\0\0"


def test_names(place: tuple[Disk, Path]) -> None:
    disk, directory = place
    disk.make_directory(directory / "b")
    disk.make_directory(directory / "b")
    disk.open(directory / "b" / "inside", create=True).close()
    disk.open(directory / "a", create=True).close()
    assert disk.listdir(directory) == ["a", "b"]
    disk.open(directory / "c", create=True).pwrite(b"c", 0)
    disk.rename(directory / "c", directory / "a")
    assert disk.listdir(directory) == ["a", "b"]
    assert disk.open(directory / "a").pread(9, 0) == b"c"
    disk.remove(directory / "a")
    assert disk.listdir(directory) == ["b"]
    assert disk.exists(directory / "b")
    assert not disk.exists(directory / "a")
    disk.sync_directory(directory)


def test_what_is_not_there_is_told(place: tuple[Disk, Path]) -> None:
    disk, directory = place
    missing = directory / "missing"
    with pytest.raises(FileNotFoundError):
        disk.open(missing)
    with pytest.raises(FileNotFoundError):
        disk.remove(missing)
    with pytest.raises(FileNotFoundError):
        disk.rename(missing, directory / "x")
    for call in (disk.listdir, disk.sync_directory):
        with pytest.raises(FileNotFoundError):
            call(missing)
    with pytest.raises(FileNotFoundError):
        disk.open(missing / "file", create=True)
    with pytest.raises(FileNotFoundError):
        disk.make_directory(missing / "directory")


def test_a_closed_file_is_told(place: tuple[Disk, Path]) -> None:
    disk, directory = place
    file = disk.open(directory / "file", create=True)
    file.close()
    for call in (lambda: file.pwrite(b"x", 0), lambda: file.pread(1, 0), file.datasync, file.size):
        with pytest.raises(OSError, match="Bad file descriptor") as caught:
            call()
        assert caught.value.errno == errno.EBADF


def test_modes_are_for_the_owner_only(tmp_path: Path) -> None:
    disk = OsDisk()
    disk.make_directory(tmp_path / "directory")
    disk.open(tmp_path / "file", create=True).close()
    assert (tmp_path / "directory").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


LIMITED = """
import resource, sys
from pathlib import Path
from consensus.disk import OsDisk
file = OsDisk().open(Path(sys.argv[1]), create=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
for call in (lambda: file.pwrite(b"x" * 3000, 10), lambda: file.allocate(5000)):
    try:
        call()
    except OSError as error:
        print(error.strerror, file.size())
"""


def test_a_short_write_goes_on_and_tells_the_error_behind_it(tmp_path: Path) -> None:
    """The system first takes the bytes up to the limit and reports that many; the rest must not be lost in silence."""
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "File too large 1000\nFile too large 1000\n"


# ---- the lock ----


HOLDER = """
import sys
from pathlib import Path
from consensus.disk import lock_directory
lock = lock_directory(Path(sys.argv[1]))
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_told_who_holds_the_directory(tmp_path: Path) -> None:
    directory = tmp_path / "some" / "default.etcd"
    command = [sys.executable, "-c", HOLDER, str(directory), "--name=first one"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(DirectoryLocked) as caught:
            lock_directory(directory)
        assert str(caught.value).startswith("data directory is locked by another process: ")
        assert f"pid {holder.pid} (" in caught.value.holder
        assert "'--name=first one')" in caught.value.holder
        holder.kill()
        holder.wait()
        lock_directory(directory).close()  # the system let it go with the process


def test_the_same_process_cannot_lock_twice_but_again(tmp_path: Path) -> None:
    lock = lock_directory(tmp_path)
    with pytest.raises(DirectoryLocked, match=f"pid {os.getpid()} "):
        lock_directory(tmp_path)
    lock.close()
    lock.close()
    lock_directory(tmp_path).close()


def test_the_lock_makes_the_directory_for_the_owner_only(tmp_path: Path) -> None:
    lock_directory(tmp_path / "a" / "b").close()
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a" / "b" / "LOCK").stat().st_mode & 0o777 == 0o600


def test_a_holder_that_has_not_written_its_name_yet(tmp_path: Path) -> None:
    lock = lock_directory(tmp_path)
    (tmp_path / "LOCK").write_bytes(b"")
    with pytest.raises(DirectoryLocked, match="held by a process that has not yet written its name"):
        lock_directory(tmp_path)
    lock.close()


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileExistsError):
        lock_directory(tmp_path / "file" / "data")
