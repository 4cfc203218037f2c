"""A member's disk in the simulation: a FakeDisk that can be full, slow, or lose power at any of its steps.

Stores lie in a real directory, since SQLite opens them: what is written to them through the disk is mirrored there,
and what SQLite makes there by itself is seen, too.
"""

import errno
import os
import random
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Final, NoReturn

from tests.fakes.disk import WRITES, FakeDisk

_NEEDS_SPACE: Final = frozenset({"write", "allocate", "create", "mkdir"})
_STORES: Final = "kv-"


class PowerCut(BaseException):
    """Unwinds whoever writes to a disk at the moment in which it loses power."""


class SimDisk(FakeDisk):
    """A disk on which a step may be the last one."""

    def __init__(self, files: Mapping[Path, bytes | None] | None = None, mirror: Path | None = None) -> None:
        """`mirror`: the real directory of the stores."""
        super().__init__({**(files or {}), **({mirror: None} if mirror else {})}, keeps_steps=False)
        self.is_full = False
        self.mirror = mirror
        self.removed: dict[Path, bytes] = {}
        """Files of SQLite that were removed, and may be there again after a power cut."""
        self._left: int | None = None
        self._waits_for_store = False
        self._on_cut: Callable[[], None] = lambda: None

    # ---- the real directory ----

    def exists(self, path: Path) -> bool:
        """Whether there is such a file or directory."""
        return super().exists(path) or (self._is_store(path) and path.exists())

    def listdir(self, path: Path) -> list[str]:
        """The names in a directory."""
        names = super().listdir(path)
        if path == self.mirror:
            names = sorted({*names, *(each.name for each in path.iterdir())})
        return names

    def rename(self, old: Path, new: Path) -> None:
        """Renames a file."""
        super().rename(old, new)
        if self._is_store(old):
            old.rename(new)

    def remove(self, path: Path) -> None:
        """Removes a file."""
        if self._is_store(path) and not super().exists(path) and path.exists():
            self._fail("remove", path)
            self.removed[path] = path.read_bytes()
        else:
            super().remove(path)
        if self._is_store(path):
            path.unlink(missing_ok=True)

    def sync_directory(self, path: Path) -> None:
        """Makes the names in a directory durable."""
        super().sync_directory(path)
        if path == self.mirror:
            self.removed.clear()

    def _record(self, kind: str, path: PurePath, replay: Callable[[FakeDisk], None]) -> None:
        super()._record(kind, path, replay)
        inode = self._names.get(path)
        if self._is_store(path) and inode is not None and kind.removesuffix(" failed") in WRITES | {"create"}:
            Path(path).write_bytes(inode.content)

    def _is_store(self, path: PurePath) -> bool:
        return path.parent == self.mirror and path.name.startswith(_STORES)

    # ---- power cuts ----

    def cut_at(self, steps: int, on_cut: Callable[[], None]) -> None:
        """Has the power fail before the step after so many more; `on_cut` is called, PowerCut unwinds the writer."""
        self._left, self._on_cut = steps, on_cut

    def cut_at_store(self, steps: int, on_cut: Callable[[], None]) -> None:
        """The same, counted from the moment in which a store begins to come in from another member."""
        self._waits_for_store = True
        self.cut_at(steps, on_cut)

    def spare(self) -> None:
        """Takes back a power cut that has not come yet."""
        self._left = None

    def survivor(self, chance: random.Random) -> "SimDisk":
        """A disk that may be found after a power cut now; its stores are made by `tests.sim.stores`."""
        left = super().crash(chance)._base.items()
        disk = SimDisk({Path(name): content for name, content in left}, self.mirror)
        disk.is_full = self.is_full
        return disk

    def _fail(self, kind: str, path: PurePath) -> None:
        self._waits_for_store = self._waits_for_store and not self._is_store(path)
        if self._left is not None and not self._waits_for_store:
            self._left -= 1
            if self._left < 0:
                self._left = None
                self._cut()
        if self.is_full and kind in _NEEDS_SPACE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        super()._fail(kind, path)

    def _cut(self) -> NoReturn:
        self._on_cut()
        raise PowerCut
