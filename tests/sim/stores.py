"""The stores of one machine in a real directory, and what is left of them when it loses power.

What SQLite has written follows SQLite's rules (`tests.sim.sqlite`); a store that has come from another member is as
durable as the disk's model says of what was written through it.
"""

import random
from collections.abc import Mapping
from pathlib import Path

from tests.sim.disk import SimDisk
from tests.sim.sqlite import StoreFile

Photos = Mapping[Path, tuple[bytes, bytes]]
"""Path of a store -> its file and its -wal."""


class Stores:
    """All stores of a machine, the one in use and others."""

    def __init__(self, directory: Path) -> None:
        """`directory`: a real one."""
        self.directory = directory
        self._files: dict[Path, StoreFile] = {}

    def checkpointed(self, path: Path) -> None:
        """Notes that all commits of a store are durable so far; to be called after each checkpoint."""
        self._file(path).checkpointed()

    def photograph(self) -> Photos:
        """All as they are."""
        found = {path: self._file(path).photograph() for path in sorted(self.directory.glob("kv-*.db"))}
        return {path: photo for path, photo in found.items() if photo is not None}

    def put_back(self, photos: Photos) -> None:
        """Makes all as they were, once nobody has them open."""
        for path, photo in photos.items():
            self._file(path).put_back(photo, None)

    def survive(self, photos: Photos, before: SimDisk, after: SimDisk, chance: random.Random) -> int:
        """Makes of all what a power cut leaves; `before` and `after`: the disk. Answers how many commits are lost."""
        for path in self.directory.iterdir():
            path.unlink()
        written, left = before.files(), after.files()
        lost = 0
        for path, (main, wal) in photos.items():
            if path in written and path not in left:  # its name was not durable
                self._files.pop(path, None)
                continue
            content = left[path] if path in written and written[path] == main else main  # else SQLite has changed it
            lost += self._file(path).put_back((content, wal), chance)
        for path, content in before.removed.items():
            if chance.random() < 0.5:
                path.write_bytes(content)
        for path, content in left.items():
            if path.parent == self.directory and path.name.startswith("kv-") and path not in photos:
                path.write_bytes(content)
        return lost

    def _file(self, path: Path) -> StoreFile:
        return self._files.setdefault(path, StoreFile(path))
