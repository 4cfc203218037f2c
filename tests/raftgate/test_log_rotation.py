import gzip
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from raftgate.config import LogRotation
from raftgate.log_rotation import MEGABYTE, RotatingFile, in_thread

START = datetime(2026, 1, 2, 15, 4, 5, 678000, tzinfo=UTC)
FULL = b"x" * MEGABYTE


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def at_once(work: Callable[[], None]) -> None:
    work()


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def rotate(file: RotatingFile, clock: Clock, times: int, step: timedelta = timedelta(hours=1)) -> None:
    for _ in range(times):
        file.write(FULL)
        clock.now += step
    file.write(b"last\n")


def make(path: Path, rotation: LogRotation, clock: Clock) -> RotatingFile:
    return RotatingFile(path, rotation, now=clock, run=at_once)


def test_a_full_file_is_renamed_after_the_time(tmp_path: Path) -> None:
    file = make(tmp_path / "etcd.log", LogRotation(maxsize=1), Clock())
    file.write(b"a" * (MEGABYTE - 1))
    file.write(b"\n")
    assert names(tmp_path) == ["etcd.log"]
    file.write(b"b\n")
    file.close()
    assert names(tmp_path) == ["etcd-2026-01-02T15-04-05.678.log", "etcd.log"]
    assert (tmp_path / "etcd.log").read_bytes() == b"b\n"
    assert (tmp_path / "etcd-2026-01-02T15-04-05.678.log").stat().st_size == MEGABYTE


def test_an_old_file_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "etcd.log"
    path.write_bytes(b"old\n")
    file = make(path, LogRotation(maxsize=1), Clock())
    file.write(b"new\n")
    file.flush()
    assert path.read_bytes() == b"old\nnew\n"
    file.write(FULL)
    assert len(names(tmp_path)) == 2
    file.close()


def test_a_line_longer_than_a_file_is_written(tmp_path: Path) -> None:
    file = make(tmp_path / "x.log", LogRotation(maxsize=1), Clock())
    file.write(FULL + FULL)
    assert names(tmp_path) == ["x.log"]
    file.close()


def test_two_rotations_in_a_millisecond_keep_both(tmp_path: Path) -> None:
    file = make(tmp_path / "x.log", LogRotation(maxsize=1), Clock())
    rotate(file, Clock(), 2)
    file.close()
    assert names(tmp_path) == ["x-2026-01-02T15-04-05.678.log", "x-2026-01-02T15-04-05.679.log", "x.log"]


def test_surplus_files_are_removed(tmp_path: Path) -> None:
    clock = Clock()
    file = make(tmp_path / "x.log", LogRotation(maxsize=1, maxbackups=2), clock)
    rotate(file, clock, 4)
    file.close()
    assert names(tmp_path) == ["x-2026-01-02T18-04-05.678.log", "x-2026-01-02T19-04-05.678.log", "x.log"]


@pytest.mark.parametrize("localtime", [False, True])
def test_files_that_are_too_old_are_removed(tmp_path: Path, *, localtime: bool) -> None:
    clock = Clock()
    file = make(tmp_path / "x.log", LogRotation(maxsize=1, maxage=2, localtime=localtime), clock)
    rotate(file, clock, 5, timedelta(days=1))
    file.close()
    assert len(names(tmp_path)) == 4


def test_old_files_are_compressed_and_counted(tmp_path: Path) -> None:
    clock = Clock()
    file = make(tmp_path / "x.log", LogRotation(maxsize=1, maxbackups=2, compress=True), clock)
    rotate(file, clock, 3)
    file.close()
    assert names(tmp_path) == ["x-2026-01-02T17-04-05.678.log.gz", "x-2026-01-02T18-04-05.678.log.gz", "x.log"]
    assert gzip.decompress((tmp_path / "x-2026-01-02T18-04-05.678.log.gz").read_bytes()) == FULL


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    foreign = ["x-2026.log", "y-2026-01-02T15-04-05.678.log", "x-2026-01-02T15-04-05.678.txt", "x-.log"]
    for name in foreign:
        (tmp_path / name).touch()
    clock = Clock()
    file = make(tmp_path / "x.log", LogRotation(maxsize=1, maxbackups=1, compress=True), clock)
    rotate(file, clock, 3)
    file.close()
    assert set(foreign) < set(names(tmp_path))


def test_the_directory_is_made(tmp_path: Path) -> None:
    make(tmp_path / "a" / "b" / "x.log", LogRotation(), Clock()).close()
    assert (tmp_path / "a" / "b" / "x.log").exists()


def test_a_file_that_cannot_be_renamed_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    file = make(path, LogRotation(maxsize=1), Clock())
    file.write(FULL)
    path.unlink()  # somebody else took it away
    file.write(b"next\n")
    file.close()
    assert path.read_bytes() == b"next\n"


def test_a_failing_clean_up_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "x-2026-01-02T15-04-05.000.log").mkdir()  # a directory cannot be unlinked or compressed
    file = make(tmp_path / "x.log", LogRotation(maxsize=1, compress=True), Clock())
    rotate(file, Clock(), 1)
    file.close()
    assert "failed to remove or compress old log files" in caplog.text
    assert (tmp_path / "x.log").read_bytes() == b"last\n"


def test_the_slow_part_runs_beside_the_program() -> None:
    done = threading.Event()
    in_thread(done.set)
    assert done.wait(10)
