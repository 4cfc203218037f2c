"""How reading the configuration ends when it does not end in a Config, and what it has to say to the log."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Note:
    """A line for the log, kept until logging is set up; `level` is one of the standard library's numbers."""

    level: int
    message: str
    fields: Mapping[str, object] = field(default_factory=dict)


class Finished(Exception):
    """Raised when an answer on stdout is all that was asked for; the exit code is 0."""

    def __init__(self, stdout: str) -> None:
        super().__init__(stdout)
        self.stdout = stdout


class ConfigError(Exception):
    """The configuration is refused: write `stderr` as it stands, then `notes` as log lines, and exit with `exit_code`.

    2 is a mistake in the syntax of a flag (a line and the short usage), 1 a value that was understood and refused.
    """

    def __init__(self, exit_code: int, *, stderr: str = "", notes: Sequence[Note] = ()) -> None:
        last = notes[-1] if notes else None
        super().__init__(stderr or (last and (last.fields.get("error") or last.message)) or "")
        self.exit_code = exit_code
        self.stderr = stderr
        self.notes = tuple(notes)


class Refusal(Exception):
    """Raised within this package by a check; `load` turns it into a ConfigError with exit code 1."""

    def __init__(self, note: Note) -> None:
        super().__init__(note.fields.get("error", note.message))
        self.note = note


def invalid(text: str) -> Refusal:
    """The refusal of a value, in etcd's form (etcd server/etcdmain/etcd.go)."""
    return Refusal(Note(logging.WARNING, "failed to verify flags", {"error": text}))


def fatal(text: str) -> Refusal:
    """The refusal of what etcd finds only when it starts, in etcd's form (etcd server/etcdmain/etcd.go)."""
    return Refusal(Note(logging.CRITICAL, "discovery failed", {"error": text}))
