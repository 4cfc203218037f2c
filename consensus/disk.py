"""OsDisk: the operating system's files behind `consensus.env.Disk`, and the lock of a data directory.

Nothing is retried here but interrupted and short calls: a failed write or sync goes up as the OSError it is.
"""

import errno
import fcntl
import os
import shlex
import sys
from pathlib import Path

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
ZEROS = bytes(1 << 20)


class OsFile:
    """An open file descriptor (`consensus.env.File`)."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def pwrite(self, data: bytes, offset: int) -> None:
        """Writes all of `data`, in several calls where the system takes only a part."""
        written = os.pwrite(self._descriptor, data, offset)
        if written < len(data):
            self._write_rest(memoryview(data), written, offset)

    def _write_rest(self, data: memoryview, done: int, offset: int) -> None:
        # A full disk or a file-size limit first gives a short write; only the next call tells the error.
        while done < len(data):
            written = os.pwrite(self._descriptor, data[done:], offset + done)
            if written == 0:
                raise OSError(errno.EIO, "the disk takes no more bytes and gives no reason")
            done += written

    def pread(self, size: int, offset: int) -> bytes:
        """Reads `size` bytes, fewer only at the end of the file."""
        data = os.pread(self._descriptor, size, offset)
        if not data or len(data) == size:
            return data
        parts = [data]
        done = len(data)
        while done < size and (data := os.pread(self._descriptor, size - done, offset + done)):
            parts.append(data)
            done += len(data)
        return b"".join(parts)

    def size(self) -> int:
        """The file's length in bytes."""
        return os.fstat(self._descriptor).st_size

    def allocate(self, size: int) -> None:
        """Lengthens the file with written zeros.

        Not posix_fallocate: that leaves unwritten extents, whose first write costs a journal commit at each
        fdatasync, which is what writing ahead is meant to save (ext4, measured).
        """
        offset = self.size()
        while offset < size:
            count = min(len(ZEROS), size - offset)
            self.pwrite(ZEROS[:count], offset)
            offset += count

    def truncate(self, size: int) -> None:
        """Sets the file's length."""
        os.ftruncate(self._descriptor, size)

    def datasync(self) -> None:
        """Makes content and length durable."""
        if self._descriptor < 0:  # Python's calls would raise ValueError
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        _sync(self._descriptor)

    def close(self) -> None:
        """Closes the descriptor; a second call does nothing."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


def _sync(descriptor: int) -> None:
    if sys.platform == "darwin":
        # fsync of macOS leaves the bytes in the drive's cache (fsync(2) there).
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    elif hasattr(os, "fdatasync"):
        os.fdatasync(descriptor)
    else:
        os.fsync(descriptor)


class OsDisk:
    """The operating system's file system (`consensus.env.Disk`)."""

    def open(self, path: Path, *, create: bool = False) -> OsFile:
        """Opens a file for reading and writing, with `create` an empty one."""
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_TRUNC if create else 0)
        return OsFile(os.open(path, flags, FILE_MODE))

    def listdir(self, path: Path) -> list[str]:
        """The names in a directory, sorted."""
        return sorted(os.listdir(path))  # noqa: PTH208 - names are wanted, not paths

    def make_directory(self, path: Path) -> None:
        """Makes one directory unless it is there."""
        path.mkdir(DIRECTORY_MODE, exist_ok=True)

    def rename(self, old: Path, new: Path) -> None:
        """Renames a file over whatever has the new name."""
        old.replace(new)

    def remove(self, path: Path) -> None:
        """Removes a file's name."""
        path.unlink()

    def sync_directory(self, path: Path) -> None:
        """Makes the directory's names durable."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def exists(self, path: Path) -> bool:
        """Whether there is a file or directory of this name."""
        return path.exists()


class DirectoryLocked(Exception):
    """Another process serves this data directory."""

    def __init__(self, path: Path, holder: str) -> None:
        super().__init__(f"data directory is locked by another process: {path} is held by {holder}")
        self.path = path
        self.holder = holder
        """`pid N (COMMAND LINE)`."""


class DirectoryLock:
    """The lock on a data directory, held until closed or until the process ends, however it ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def close(self) -> None:
        """Lets go of the directory; a second call does nothing."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


def lock_directory(path: Path) -> DirectoryLock:
    """Locks the data directory, which is made (mode 0700, durably) if it is missing; never waits.

    The lock is flock's on the file `LOCK`, which the system lets go with the process; the file's content, the
    holder's pid and command line, only serves the message and may be stale.
    Raises: DirectoryLocked, OSError.
    """
    _make_directories(path)
    descriptor = os.open(path / "LOCK", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n{shlex.join(sys.orig_argv)}\n".encode(errors="surrogateescape"), 0)
    except BlockingIOError:
        holder = _holder(os.pread(descriptor, 1 << 16, 0))
        os.close(descriptor)
        raise DirectoryLocked(path, holder) from None
    except BaseException:
        os.close(descriptor)
        raise
    return DirectoryLock(descriptor)


def _make_directories(path: Path) -> None:
    if path.is_dir():
        return
    _make_directories(path.parent)
    disk = OsDisk()
    disk.make_directory(path)
    disk.sync_directory(path.parent)


def _holder(content: bytes) -> str:
    pid, _, command = content.decode(errors="replace").partition("\n")
    return f"pid {pid} ({command.strip()})" if pid else "a process that has not yet written its name"
