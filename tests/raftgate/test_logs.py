import io
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from raftgate import logs
from raftgate.config import LogRotation
from raftgate.logs import Options, set_level, set_up

log = logging.getLogger("consensus.test_logs")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in root.handlers:
        if isinstance(handler, logs.SinkHandler):
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    for package in logs.PACKAGES:
        logging.getLogger(package).setLevel(logging.NOTSET)


def written(options: Options, say: Callable[[], object]) -> list[str]:
    stream = io.BytesIO()
    set_up(options, stderr=stream)
    say()
    return stream.getvalue().decode().splitlines()


def record(say: Callable[[], object]) -> dict[str, object]:
    (line,) = written(Options(level="debug"), say)
    parsed = json.loads(line)
    assert isinstance(parsed, dict)
    return parsed


def test_a_line_has_etcds_fields_in_etcds_order() -> None:
    found = record(lambda: log.info("opened %s", "db", extra={"fields": {"path": "/x", "took": 0.5, "ids": [1, 2]}}))
    assert list(found) == ["level", "ts", "caller", "msg", "path", "took", "ids"]
    assert (found["level"], found["msg"], found["ids"]) == ("info", "opened db", [1, 2])
    assert re.fullmatch(r"raftgate/test_logs\.py:\d+", str(found["caller"]))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", str(found["ts"]))
    at = datetime.strptime(str(found["ts"]), "%Y-%m-%dT%H:%M:%S.%f%z")
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60


@pytest.mark.parametrize(
    ("number", "name"),
    [(10, "debug"), (20, "info"), (30, "warn"), (40, "error"), (logs.PANIC, "panic"), (50, "fatal"), (35, "warn")],
)
def test_levels_have_zaps_names(number: int, name: str) -> None:
    assert record(lambda: log.log(number, "x"))["level"] == name


def test_a_level_below_debug_is_shown_as_debug() -> None:
    assert (
        logs.JsonFormatter()
        .format(logging.LogRecord("x", 5, "a/b.py", 1, "m", None, None))
        .startswith('{"level":"debug"')
    )


def fail() -> None:
    try:
        raise RuntimeError("the disk is gone")
    except RuntimeError:
        log.exception("stopped")


def test_an_exception_becomes_fields() -> None:
    found = record(fail)
    assert found["error"] == "the disk is gone"
    assert "Traceback" in str(found["stacktrace"])
    assert str(found["stacktrace"]).endswith("RuntimeError: the disk is gone")
    assert list(found)[-1] == "stacktrace"


def test_an_exception_without_text_and_one_beside_an_error_field() -> None:
    error = KeyError()
    found = record(lambda: log.warning("x", exc_info=error))
    assert found["error"] == "KeyError"
    found = record(lambda: log.warning("x", exc_info=error, extra={"fields": {"error": "told"}}))
    assert found["error"] == "told"


def test_a_stack_can_be_asked_for() -> None:
    assert "test_logs.py" in str(record(lambda: log.info("x", stack_info=True))["stacktrace"])


def test_fields_never_replace_the_head() -> None:
    found = record(lambda: log.info("x", extra={"fields": {"msg": "y", "level": 1}}))
    assert (found["msg"], found["msg_"], found["level"], found["level_"]) == ("x", "y", "info", 1)


@dataclass
class Rude:
    def __str__(self) -> str:
        raise ValueError("no")


def test_odd_values_are_written_as_text() -> None:
    found = record(lambda: log.info("\udcff", extra={"fields": {"path": Path("/x"), "key": b"k", "text": "ключ\n"}}))
    assert found == found | {"msg": "\udcff", "path": "/x", "key": "b'k'", "text": "ключ\n"}


def test_a_line_that_cannot_be_made_is_counted_and_the_next_is_written() -> None:
    stream = io.BytesIO()
    (handler,) = set_up(Options(), stderr=stream)
    log.info("x", extra={"fields": {"v": Rude()}})
    log.info("%d", "no number")
    log.info("fine", extra={"fields": "no mapping"})
    assert handler.dropped == 2
    assert json.loads(stream.getvalue())["msg"] == "fine"


class BrokenPipe(io.BytesIO):
    def write(self, _: object) -> int:
        raise BrokenPipeError


def test_a_broken_output_stops_nothing() -> None:
    stdout = io.BytesIO()
    first, second = set_up(Options(outputs=("stderr", "stdout")), stderr=BrokenPipe(), stdout=stdout)
    log.error("x")
    first.handleError(logging.LogRecord("x", 10, "a", 1, "m", None, None))
    assert (first.dropped, second.dropped) == (2, 0)
    assert json.loads(stdout.getvalue())["msg"] == "x"


def test_the_console_form_has_tabs() -> None:
    options = Options(format="console")
    (plain,) = written(options, lambda: log.info("ready"))
    assert re.fullmatch(r"\S+Z\tinfo\traftgate/test_logs\.py:\d+\tready", plain)
    (line,) = written(options, lambda: log.warning("slow", extra={"fields": {"took": 1}}))
    assert line.endswith('\tslow\t{"took":1}')
    lines = written(options, fail)
    assert lines[0].endswith('\tstopped\t{"error":"the disk is gone"}')
    assert lines[1] == "Traceback (most recent call last):"


def test_levels_filter_our_packages_and_quieten_others() -> None:
    def say() -> None:
        for name in ("raftgate.x", "gateway", "consensus.raft", "storage.kv", "httpx"):
            logging.getLogger(name).info(name)
            logging.getLogger(name).debug(name)
            logging.getLogger(name).error("!%s", name)

    said = [json.loads(line)["msg"] for line in written(Options(), say)]
    assert said == [
        "raftgate.x",
        "!raftgate.x",
        "gateway",
        "!gateway",
        "consensus.raft",
        "!consensus.raft",
        "storage.kv",
        "!storage.kv",
        "!httpx",
    ]
    assert len(written(Options(level="debug"), say)) == 13
    assert len(written(Options(level="fatal"), say)) == 0


def test_the_level_can_be_changed_while_running() -> None:
    def say() -> None:
        log.debug("a")
        set_level("debug")
        log.debug("b")

    assert [json.loads(line)["msg"] for line in written(Options(), say)] == ["b"]


def test_outputs(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("before\n")
    stdout, stderr = io.BytesIO(), io.BytesIO()
    outputs = ("stdout", "stderr", str(path), "default")
    assert len(set_up(Options(outputs=outputs), stdout=stdout, stderr=stderr)) == 4
    log.info("x")
    assert stdout.getvalue().count(b"\n") == 1
    assert stderr.getvalue().count(b"\n") == 2
    lines = path.read_text().splitlines()
    assert lines[0] == "before"
    assert json.loads(lines[1])["msg"] == "x"


def test_a_file_that_cannot_be_opened_leaves_logging_as_it_was(tmp_path: Path) -> None:
    stream = io.BytesIO()
    before = set_up(Options(), stderr=stream)
    with pytest.raises(OSError, match="No such file"):
        set_up(Options(outputs=(str(tmp_path / "a.log"), str(tmp_path / "no" / "x.log"))))
    assert logging.getLogger().handlers == before
    log.info("x")
    assert stream.getvalue()


def test_setting_up_again_closes_files_but_not_streams(tmp_path: Path) -> None:
    stream = io.BytesIO()
    set_up(Options(outputs=("stderr", str(tmp_path / "x.log"))), stderr=stream)
    set_up(Options(), stderr=stream)
    log.info("x")
    assert not stream.closed
    assert (tmp_path / "x.log").read_bytes() == b""


def test_the_journal_gets_priorities_if_the_stream_is_its_own(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with path.open("wb") as stream:
        found = os.fstat(stream.fileno())
        options = Options(level="debug", format="console", outputs=("systemd/journal",))
        set_up(options, stderr=stream, environ={"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
        for number in (10, 20, 30, 40, 50):
            log.log(number, "x")
        fail()
    lines = path.read_text().splitlines()
    assert [line[:3] for line in lines[:5]] == ["<7>", "<6>", "<4>", "<3>", "<2>"]
    assert all(line.startswith("<3>") for line in lines[5:])


@pytest.mark.parametrize("environ", [{}, {"JOURNAL_STREAM": "1:2"}])
def test_without_the_journal_it_is_plain_stderr(environ: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "err"
    with path.open("wb") as stream:
        set_up(Options(outputs=("systemd/journal",)), stderr=stream, environ=environ)
        log.info("x")
    assert path.read_text().startswith('{"level"')
    memory = io.BytesIO()
    set_up(Options(outputs=("systemd/journal",)), stderr=memory, environ={"JOURNAL_STREAM": "1:2"})
    log.info("x")
    assert memory.getvalue().startswith(b'{"level"')


def test_a_file_rotates(tmp_path: Path) -> None:
    path = tmp_path / "etcd.log"
    path.write_bytes(b"x" * 1024 * 1024)
    set_up(Options(outputs=(str(path),), rotation=LogRotation(maxsize=1)))
    log.info("new")
    assert json.loads(path.read_text())["msg"] == "new"
    (old,) = set(tmp_path.iterdir()) - {path}
    assert re.fullmatch(r"etcd-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}\.log", old.name)
