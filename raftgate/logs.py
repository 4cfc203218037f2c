"""Logging set-up: etcd's JSON lines (zap) or its console form, to the outputs that `--log-outputs` names.

Modules use `logging.getLogger(__name__)` and pass fields by the plain convention
`log.info("opened", extra={"fields": {"path": path}})`; an exception in `exc_info` becomes the fields `error` and
`stacktrace`. Never keys' values, tokens or passwords. An output that fails loses its lines, never the server:
each handler counts them in `dropped`.
"""

import json
import logging
import os
import sys
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from raftgate.log_rotation import RotatingFile, Rotation

PACKAGES = ("raftgate", "gateway", "consensus", "storage")
PANIC = 45
"""Between error and fatal, as in zap; fatal is logging.CRITICAL."""
LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "panic": PANIC,
    "fatal": logging.CRITICAL,
}
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))  # syslog(3)
_DEBUG_PRIORITY = 7


class Sink(Protocol):
    """What a handler writes to."""

    def write(self, line: bytes, /) -> object:
        """Takes a whole line with its newline."""

    def flush(self) -> object:
        """Hands on what was written."""

    def close(self) -> object:
        """Lets go of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the flags say about logging; `outputs` as in `--log-outputs`."""

    level: str = "info"
    format: str = "json"
    outputs: tuple[str, ...] = ("default",)
    rotation: Rotation | None = None


class JsonFormatter(logging.Formatter):
    """Lines as zap's JSON encoder writes them for etcd: level, ts, caller, msg, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object, without the newline."""
        head = {
            "level": _level_name(record.levelno),
            "ts": _timestamp(record),
            "caller": _caller(record),
            "msg": record.getMessage(),
        }
        tail = {f"{name}_" if name in head else name: value for name, value in _fields(record).items()}
        return _to_json(head | tail)


class ConsoleFormatter(logging.Formatter):
    """Lines as zap's console encoder writes them: tabs between ts, level, caller, msg and the fields as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the stack below it if there is one."""
        fields = _fields(record)
        stack = fields.pop("stacktrace", None)
        parts = [_timestamp(record), _level_name(record.levelno), _caller(record), record.getMessage()]
        if fields:
            parts.append(_to_json(fields))
        line = "\t".join(parts)
        return f"{line}\n{stack}" if stack else line


class SinkHandler(logging.Handler):
    """Writes each record as one write of a whole line; a failure costs the line and is counted in `dropped`."""

    def __init__(self, sink: Sink, *, owns_sink: bool = False, has_priorities: bool = False) -> None:
        super().__init__()
        self.dropped = 0
        self._sink = sink
        self._owns_sink = owns_sink
        self._has_priorities = has_priorities

    def emit(self, record: logging.LogRecord) -> None:
        """Formats and writes."""
        try:
            line = self.format(record)
            if self._has_priorities:
                prefix = f"<{_priority(record.levelno)}>"
                line = prefix + line.replace("\n", f"\n{prefix}")
            self._sink.write(line.encode("utf-8", "backslashreplace") + b"\n")
            self._sink.flush()
        except Exception:  # noqa: BLE001 - whatever a field's str() or a full disk raises: the server goes on
            self.dropped += 1

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Counts; there is no better place to tell it."""
        del record
        self.dropped += 1

    def close(self) -> None:
        """Closes a file; standard streams stay open."""
        super().close()
        if self._owns_sink:
            self._sink.close()


def set_up(
    options: Options,
    *,
    stdout: BinaryIO | None = None,
    stderr: BinaryIO | None = None,
    environ: Mapping[str, str] = os.environ,
) -> list[SinkHandler]:
    """Replaces the root logger's handlers by those of the outputs, and gives them back.

    Our packages log from the level given on, everything else from warnings on at least.

    Raises: OSError for a file that cannot be opened; logging is then as it was.
    """
    streams = {"stdout": stdout or sys.stdout.buffer, "stderr": stderr or sys.stderr.buffer}
    formatter = JsonFormatter() if options.format == "json" else ConsoleFormatter()
    handlers: list[SinkHandler] = []
    try:
        for output in dict.fromkeys(options.outputs):
            handlers.append(_handler(output, options, streams, environ))
            handlers[-1].setFormatter(formatter)
    except OSError:
        _close(handlers)
        raise
    root = logging.getLogger()
    _close([handler for handler in root.handlers if isinstance(handler, SinkHandler)])
    root.handlers[:] = handlers
    set_level(options.level)
    return handlers


def set_level(level: str) -> None:
    """Changes the level of our packages, one of LEVELS; other packages stay at warnings or above."""
    number = LEVELS[level]
    logging.addLevelName(PANIC, "PANIC")
    logging.getLogger().setLevel(max(number, logging.WARNING))
    for package in PACKAGES:
        logging.getLogger(package).setLevel(number)


def _handler(output: str, options: Options, streams: Mapping[str, BinaryIO], environ: Mapping[str, str]) -> SinkHandler:
    if output == "stdout":
        return SinkHandler(streams["stdout"])
    if output in {"default", "stderr"}:
        return SinkHandler(streams["stderr"])
    if output == "systemd/journal":
        return SinkHandler(streams["stderr"], has_priorities=_is_journal(streams["stderr"], environ))
    if options.rotation is not None:
        return SinkHandler(RotatingFile(Path(output), options.rotation), owns_sink=True)
    return SinkHandler(Path(output).open("ab", buffering=0), owns_sink=True)


def _is_journal(stream: BinaryIO, environ: Mapping[str, str]) -> bool:
    # JOURNAL_STREAM is inherited; it is ours only if it names the very file that the stream is (systemd.exec(5))
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _close(handlers: Iterable[SinkHandler]) -> None:
    for handler in handlers:
        handler.close()


def _level_name(number: int) -> str:
    return next((name for name, lowest in reversed(LEVELS.items()) if number >= lowest), "debug")


def _priority(number: int) -> int:
    return next((priority for lowest, priority in _PRIORITIES if number >= lowest), _DEBUG_PRIORITY)


def _timestamp(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _caller(record: logging.LogRecord) -> str:
    path = Path(record.pathname)
    return f"{path.parent.name}/{path.name}:{record.lineno}"


def _fields(record: logging.LogRecord) -> dict[str, object]:
    given = getattr(record, "fields", None)
    fields: dict[str, object] = dict(given) if isinstance(given, Mapping) else {}
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        fields.setdefault("error", str(error) or type(error).__name__)
        fields["stacktrace"] = "".join(traceback.format_exception(error)).rstrip()
    elif record.stack_info:
        fields["stacktrace"] = record.stack_info
    return fields


def _to_json(fields: Mapping[str, object]) -> str:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"), default=str)
