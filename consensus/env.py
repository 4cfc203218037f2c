"""Env: all that differs between production and simulation, as Protocols - disk, time, chance and threads.

No implementation lives here: the production Env is put together in the composition root, its disk is
`consensus.disk.OsDisk`, and tests hand in doubles which forget unsynced bytes or run on virtual time.
"""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Lane(StrEnum):
    """A queue of blocking work: calls in one lane run one after another, lanes never wait for each other."""

    LOG = "log"
    DATABASE = "database"
    READERS = "readers"
    """The one lane whose calls may overlap."""


class File(Protocol):
    """An open file. Positions are explicit, so that threads may share it; any failure is an OSError."""

    def pwrite(self, data: bytes, offset: int) -> None:
        """Writes all of `data` at `offset`, durable only after `datasync`; a gap before it reads as zeros."""
        ...

    def pread(self, size: int, offset: int) -> bytes:
        """Reads `size` bytes at `offset`, fewer only at the end of the file."""
        ...

    def size(self) -> int:
        """The file's length in bytes."""
        ...

    def allocate(self, size: int) -> None:
        """Lengthens the file with written zeros up to `size`, durable after `datasync`; never shortens it."""
        ...

    def truncate(self, size: int) -> None:
        """Sets the length, durable after `datasync`."""
        ...

    def datasync(self) -> None:
        """Returns when everything written before is durable together with the length.

        After a failure nobody knows what is durable, and a second call must not be trusted: Linux reports a lost
        write once and calls the page clean from then on.
        """
        ...

    def close(self) -> None:
        """Lets go of the file, without making anything durable."""
        ...


class Disk(Protocol):
    """A file system. What happens to names is durable only after `sync_directory` of their directory."""

    def open(self, path: Path, *, create: bool = False) -> File:
        """Opens an existing file for reading and writing, or with `create` makes it empty (mode 0600)."""
        ...

    def listdir(self, path: Path) -> list[str]:
        """The names in a directory, sorted."""
        ...

    def make_directory(self, path: Path) -> None:
        """Makes one directory (mode 0700); one that exists is left as it is."""
        ...

    def rename(self, old: Path, new: Path) -> None:
        """Gives a file another name, replacing what had it, all at once."""
        ...

    def remove(self, path: Path) -> None:
        """Removes a file's name."""
        ...

    def sync_directory(self, path: Path) -> None:
        """Returns when all names made, changed and removed in the directory before are durable."""
        ...

    def exists(self, path: Path) -> bool:
        """Whether there is a file or directory of this name."""
        ...


class Env(Protocol):
    """What a member has besides its own state."""

    @property
    def disk(self) -> Disk:
        """The file system."""
        ...

    def random(self) -> float:
        """A number in [0, 1), for timeouts; not secret."""
        ...

    def random_bytes(self, n: int) -> bytes:
        """`n` bytes that nobody can guess."""
        ...

    def wall_time(self) -> float:
        """Seconds since 1970; may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        ...

    def run_blocking(self, lane: Lane, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """Starts a blocking call off the loop, in its lane, awaited or not; the result is what it returns or raises."""
        ...
