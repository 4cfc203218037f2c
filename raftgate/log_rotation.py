"""A log file that is renamed when it is full; old ones are compressed and removed (as natefinch/lumberjack does it).

`etcd.log` becomes `etcd-2026-01-02T15-04-05.000.log`, and `.gz` after that when compressed.
"""

import contextlib
import gzip
import logging
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Protocol

MEGABYTE = 1024 * 1024
_log = logging.getLogger(__name__)
_STAMP = "%Y-%m-%dT%H-%M-%S"
_STAMP_PATTERN = re.compile(r"(?P<second>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d)\.(?P<millisecond>\d{3})")


class Rotation(Protocol):
    """When to rotate and what to keep; 0 is no limit, except for `maxsize`."""

    @property
    def maxsize(self) -> int:
        """MB of a full file."""

    @property
    def maxage(self) -> int:
        """Days that an old file is kept."""

    @property
    def maxbackups(self) -> int:
        """Old files that are kept."""

    @property
    def localtime(self) -> bool:
        """Whether names of old files hold local time instead of UTC."""

    @property
    def compress(self) -> bool:
        """Whether old files are compressed."""


def in_thread(work: Callable[[], None]) -> None:
    """Runs the work beside the program, which does not wait for it at its end."""
    threading.Thread(target=work, name="log-rotation", daemon=True).start()


class RotatingFile:
    """The file that is written to, and the old ones beside it. Not for several processes at once."""

    def __init__(
        self,
        path: Path,
        rotation: Rotation,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        run: Callable[[Callable[[], None]], None] = in_thread,
    ) -> None:
        """Opens the file, making its directory; `run` does the slow part of a rotation.

        Raises: OSError.
        """
        self._path = path
        self._rotation = rotation
        self._now = now
        self._run = run
        self._limit = rotation.maxsize * MEGABYTE
        self._milling = threading.Lock()
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._file, self._size = self._open()

    def write(self, line: bytes, /) -> None:
        """Appends the line, to a new file if the present one would become too large."""
        if self._size and self._size + len(line) > self._limit:
            self._rotate()
        self._size += self._file.write(line)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _open(self) -> tuple[BinaryIO, int]:
        file = self._path.open("ab", buffering=0)
        return file, file.seek(0, 2)

    def _rotate(self) -> None:
        self._file.close()
        with contextlib.suppress(OSError):  # a full file that cannot be renamed goes on: too long is better than lost
            self._path.rename(self._backup_path())
        self._file, self._size = self._open()
        self._run(self._mill)

    def _backup_path(self) -> Path:
        at = self._now() if not self._rotation.localtime else self._now().astimezone()
        while True:
            stamp = f"{at.strftime(_STAMP)}.{at.microsecond // 1000:03d}"
            path = self._path.with_name(f"{self._path.stem}-{stamp}{self._path.suffix}")
            if not path.exists() and not Path(f"{path}.gz").exists():
                return path
            at += timedelta(milliseconds=1)  # two in one millisecond: lumberjack would overwrite the first

    def _mill(self) -> None:
        with self._milling:
            try:
                self._remove_and_compress()
            except OSError:
                _log.warning("failed to remove or compress old log files", exc_info=True)

    def _remove_and_compress(self) -> None:
        oldest = self._now() - timedelta(days=self._rotation.maxage) if self._rotation.maxage else None
        for count, (at, path) in enumerate(sorted(self._backups(), reverse=True)):
            is_surplus = 0 < self._rotation.maxbackups <= count
            if is_surplus or (oldest is not None and at < oldest):
                path.unlink(missing_ok=True)
            elif self._rotation.compress and path.suffix != ".gz":
                _compress(path)

    def _backups(self) -> Iterator[tuple[datetime, Path]]:
        prefix, suffix = f"{self._path.stem}-", self._path.suffix
        for path in self._path.parent.iterdir():
            name = path.name.removesuffix(".gz")
            if not (name.startswith(prefix) and name.endswith(suffix)):
                continue
            stamp = _STAMP_PATTERN.fullmatch(name[len(prefix) : len(name) - len(suffix)])
            if stamp is not None:
                at = datetime.strptime(stamp["second"], _STAMP)  # noqa: DTZ007 - the zone follows
                at += timedelta(milliseconds=int(stamp["millisecond"]))
                yield at.astimezone() if self._rotation.localtime else at.replace(tzinfo=UTC), path


def _compress(path: Path) -> None:
    packed = Path(f"{path}.gz")
    unfinished = Path(f"{path}.gz.tmp")
    with path.open("rb") as source, gzip.open(unfinished, "wb") as target:
        shutil.copyfileobj(source, target)
    unfinished.rename(packed)
    path.unlink()
