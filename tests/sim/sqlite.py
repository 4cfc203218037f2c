"""What a crash leaves of a SQLite file in WAL mode: the state of some commit, at or after the last checkpoint.

With synchronous=NORMAL the -wal is synced when it is checkpointed, so that each commit since may be lost, and with it
all after it. The -wal itself tells where its commits end (sqlite.org/fileformat2.html#the_write_ahead_log).
"""

import random
import sqlite3
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from sqlalchemy import Engine, event

_HEADER: Final = 32  # bytes
_FRAME_HEADER: Final = 24


@dataclass(frozen=True, slots=True)
class Log:
    """The valid part of a -wal."""

    salts: bytes = b""
    """Another value after each time that it is begun anew."""
    commits: tuple[int, ...] = ()
    """Where each commit ends, in bytes."""

    @property
    def end(self) -> int:
        """Where the last commit ends."""
        return self.commits[-1] if self.commits else 0


def parse(content: bytes) -> Log:
    """Reads a -wal's commits."""
    if len(content) < _HEADER:
        return Log()
    page_size: int = struct.unpack_from(">I", content, 8)[0]
    salts = content[16:24]
    return Log(salts, tuple(_commits(content, page_size, salts)))


def _commits(content: bytes, page_size: int, salts: bytes) -> Iterator[int]:
    for start in range(_HEADER, len(content), _FRAME_HEADER + page_size):
        end = start + _FRAME_HEADER + page_size
        _, size_after, found = struct.unpack_from(">II8s", content[start : start + 16].ljust(16, b"\0"))
        if found != salts or end > len(content):
            return
        if size_after:
            yield end


class Connections:
    """All connections of SQLAlchemy that are opened while it is entered, so that a death can close them.

    One left open would, once it is collected, remove the -wal of whoever has opened the file since.
    """

    def __init__(self) -> None:
        self._open: list[tuple[Path, sqlite3.Connection]] = []

    def __enter__(self) -> Self:
        event.listen(Engine, "connect", self._opened)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(Engine, "connect", self._opened)
        for _path, connection in self._open:
            connection.close()

    def close(self, directory: Path) -> None:
        """Closes those to the files of a directory."""
        for path, connection in self._open:
            if path.parent == directory:
                connection.close()
        self._open = [(path, connection) for path, connection in self._open if path.parent != directory]

    def _opened(self, connection: sqlite3.Connection, _: object) -> None:
        path = Path(connection.execute("PRAGMA database_list").fetchone()[2])
        self._open.append((path, connection))


class StoreFile:
    """A database and its -wal, in a real directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._wal = path.with_name(path.name + "-wal")
        self._synced = Log()

    def checkpointed(self) -> None:
        """Notes that all commits so far are durable; to be called after each checkpoint."""
        self._synced = self._parse()

    def photograph(self) -> tuple[bytes, bytes] | None:
        """The two files as they are, None where there are none."""
        if not self.path.exists():
            return None
        return self.path.read_bytes(), self._wal.read_bytes() if self._wal.exists() else b""

    def put_back(self, photo: tuple[bytes, bytes] | None, chance: random.Random | None) -> int:
        """Makes the files again once nobody has them open; with `chance` as a power cut may leave them.

        Answers how many commits are lost.
        """
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        if photo is None:
            return 0
        main, wal = photo
        lost = 0
        if chance is not None:
            log = parse(wal)
            floor = self._synced.end if log.salts == self._synced.salts else 0
            ends = [floor, *(end for end in log.commits if end > floor)]
            place = chance.randrange(len(ends))
            lost = len(ends) - 1 - place
            wal = wal[: ends[place]]
        self.path.write_bytes(main)
        self._wal.write_bytes(wal)
        self._synced = parse(wal)  # what was found is durable
        return lost

    def _parse(self) -> Log:
        return parse(self._wal.read_bytes()) if self._wal.exists() else Log()
