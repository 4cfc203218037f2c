"""The data directory: what lies where in it.

    LOCK                        held by the process that serves it
    member/wal/SEQ-INDEX.wal    the Raft log, unless a directory of its own was given
    member/kv-TERM-INDEX.db     the store; TERM and INDEX of the snapshot that it began with, zeros for none
    member/CURRENT              the name of the store in use

A store is changed for another by renaming a new CURRENT into place: half a snapshot can never be taken for a store.
"""

import stat
from pathlib import Path

from consensus.env import Disk

MODE = 0o700


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
        """The path of the store in use; a fresh directory gets its name now.

        Raises: DataDirInvalid.
        """
        current = self._member / "CURRENT"
        if not self._disk.exists(current):
            self.use(0, 0)
        file = self._disk.open(current)
        try:
            name = file.pread(256, 0).decode().strip()
        finally:
            file.close()
        if not name.startswith("kv-") or not name.endswith(".db") or "/" in name:
            raise DataDirInvalid(f"{current} names {name!r}, which is no store")
        return self._member / name

    def use(self, term: int, index: int) -> None:
        """Makes the store of a snapshot the one in use."""
        new = self._member / "CURRENT.tmp"
        file = self._disk.open(new, create=True)
        try:
            file.pwrite(f"kv-{term:016x}-{index:016x}.db\n".encode(), 0)
            file.datasync()
        finally:
            file.close()
        self._disk.rename(new, self._member / "CURRENT")
        self._disk.sync_directory(self._member)
