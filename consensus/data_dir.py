"""The data directory: what lies where in it.

    LOCK                        held by the process that serves it
    member/wal/SEQ-INDEX.wal    the Raft log, unless a directory of its own was given
    member/kv-TERM-INDEX.db     the store; TERM and INDEX of the snapshot that it began with, zeros for none
    member/CURRENT              the name of the store in use
    member/*.tmp                what is being received or copied; worthless after a stop

A store is changed for another by renaming a new CURRENT into place: half a snapshot can never be taken for a store.
"""

import itertools
import re
import stat
from pathlib import Path
from typing import Final

from consensus.env import Disk, File
from consensus.raft.types import SnapshotMeta

MODE = 0o700
SYNC_BYTES: Final = 16 << 20
"""Received bytes after which the disk is asked to keep them: a gigabyte at once would hold up the log's syncs."""

_STORE = re.compile(r"kv-([0-9a-f]{16})-([0-9a-f]{16})\.db")
_TEMPORARY = ".tmp"
_SQLITE = ("", "-wal", "-shm")


class DataDirInvalid(Exception):
    """The directory names a store that is not there."""


class DataDir:
    """One member's directory."""

    def __init__(self, disk: Disk, path: Path, wal_directory: Path | None = None) -> None:
        """`wal_directory`: where the log lies if not inside."""
        self._disk = disk
        self._path = path
        self._member = path / "member"
        self.wal_directory = wal_directory or self._member / "wal"
        self.stores = Stores(disk, self._member)

    def prepare(self) -> None:
        """Makes the directories that are missing, durably; the data directory itself exists."""
        for path in (self._member, self.wal_directory.parent):
            if not self._disk.exists(path):
                self._disk.make_directory(path)
                self._disk.sync_directory(path.parent)

    def is_open_to_others(self) -> bool:
        """Whether anyone but the owner may enter."""
        return bool(stat.S_IMODE(self._path.stat().st_mode) & ~MODE)

    def database(self) -> Path:
        """The path of the store in use; a fresh directory gets its name now, and what a stop has left is removed.

        Raises: DataDirInvalid.
        """
        current = self.stores.current()
        self.stores.clean(current)
        return current


class Stores:
    """The stores in one directory, of which one is in use; blocking."""

    def __init__(self, disk: Disk, directory: Path) -> None:
        self._disk = disk
        self._directory = directory
        self._numbers = itertools.count(1)

    def current(self) -> Path:
        """The path of the store in use; in a fresh directory the first one gets its name.

        Raises: DataDirInvalid.
        """
        pointer = self._directory / "CURRENT"
        if not self._disk.exists(pointer):
            others = [name for name in self._disk.listdir(self._directory) if _began(name)]
            if others:
                raise DataDirInvalid(f"{pointer} is missing, but there are stores: {', '.join(others)}")
            self.use(SnapshotMeta())
        file = self._disk.open(pointer)
        try:
            name = file.pread(256, 0).decode(errors="replace").strip()
        finally:
            file.close()
        if not _STORE.fullmatch(name):
            raise DataDirInvalid(f"{pointer} names {name!r}, which is no store")
        return self._directory / name

    def path(self, meta: SnapshotMeta) -> Path:
        """Where the store that began with a snapshot lies."""
        return self._directory / f"kv-{meta.term:016x}-{meta.index:016x}.db"

    def temporary(self, name: str) -> Path:
        """A path that nobody else uses, for a file that nobody misses after a stop."""
        return self._directory / f"{name}.{next(self._numbers)}{_TEMPORARY}"

    def receive(self, meta: SnapshotMeta) -> "Incoming":
        """Begins to receive the store of a snapshot."""
        final = self.path(meta)
        return Incoming(self._disk, self.temporary(final.name), final)

    def use(self, meta: SnapshotMeta) -> None:
        """Makes the store of a snapshot, which is durable, the one in use; also that is durable then."""
        new = self._directory / f"CURRENT{_TEMPORARY}"
        file = self._disk.open(new, create=True)
        try:
            file.pwrite(f"{self.path(meta).name}\n".encode(), 0)
            file.datasync()
        finally:
            file.close()
        self._disk.rename(new, self._directory / "CURRENT")
        self._disk.sync_directory(self._directory)

    def remove(self, path: Path) -> None:
        """Removes a store that is not in use, with what SQLite keeps beside it; nobody has it open."""
        for suffix in _SQLITE:
            beside = path.with_name(path.name + suffix)
            if self._disk.exists(beside):
                self._disk.remove(beside)

    def clean(self, current: Path) -> None:
        """Removes what an interrupted transfer or exchange has left: all but the store in use."""
        for name in self._disk.listdir(self._directory):
            base = name.removesuffix("-wal").removesuffix("-shm")
            if name.endswith(_TEMPORARY) or (_STORE.fullmatch(base) and base != current.name):
                self._disk.remove(self._directory / name)


class Incoming:
    """A store that is being received, under a temporary name; blocking."""

    def __init__(self, disk: Disk, path: Path, final: Path) -> None:
        self._disk = disk
        self.path = path
        """Where it lies until it is kept."""
        self.final = final
        """Where it lies then."""
        self._file: File | None = disk.open(path, create=True)
        self._size = 0
        self._synced = 0

    def write(self, data: bytes) -> None:
        """Takes the next bytes."""
        assert self._file is not None
        self._file.pwrite(data, self._size)
        self._size += len(data)
        if self._size - self._synced >= SYNC_BYTES:
            self._file.datasync()
            self._synced = self._size

    def sync(self) -> None:
        """Makes what has come durable; nothing is written after it."""
        assert self._file is not None
        self._file.datasync()
        self._file.close()
        self._file = None

    def keep(self) -> None:
        """Gives it its name, durably: it may be used from now on."""
        self._disk.rename(self.path, self.final)
        self._disk.sync_directory(self.path.parent)

    def discard(self) -> None:
        """Removes it, unless it was kept; may be called at any time."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._disk.exists(self.path):
            self._disk.remove(self.path)


def began_with(path: Path) -> SnapshotMeta:
    """The snapshot with which a store began, by its name; zeros for none."""
    return _began(path.name) or SnapshotMeta()


def _began(name: str) -> SnapshotMeta | None:
    found = _STORE.fullmatch(name)
    return None if found is None else SnapshotMeta(index=int(found[2], 16), term=int(found[1], 16))
