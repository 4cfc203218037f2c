"""A member's disk in the simulation: a FakeDisk that can be full, slow, or lose power at any of its steps."""

import errno
import os
import random
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Final, NoReturn

from tests.fakes.disk import FakeDisk

_NEEDS_SPACE: Final = frozenset({"write", "allocate", "create", "mkdir"})


class PowerCut(BaseException):
    """Unwinds whoever writes to a disk at the moment in which it loses power."""


class SimDisk(FakeDisk):
    """A disk on which a step may be the last one."""

    def __init__(self, files: Mapping[Path, bytes | None] | None = None) -> None:
        super().__init__(files, keeps_steps=False)
        self.is_full = False
        self._left: int | None = None
        self._on_cut: Callable[[], None] = lambda: None

    def cut_at(self, steps: int, on_cut: Callable[[], None]) -> None:
        """Has the power fail before the step after so many more; `on_cut` is called, PowerCut unwinds the writer."""
        self._left, self._on_cut = steps, on_cut

    def spare(self) -> None:
        """Takes back a power cut that has not come yet."""
        self._left = None

    def survivor(self, chance: random.Random) -> "SimDisk":
        """A disk that may be found after a power cut now."""
        disk = SimDisk({Path(name): content for name, content in super().crash(chance)._base.items()})
        disk.is_full = self.is_full
        return disk

    def _fail(self, kind: str, path: PurePath) -> None:
        if self._left is not None:
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
