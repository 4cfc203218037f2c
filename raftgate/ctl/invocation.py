"""What a verb gets: its arguments and flags, and all that it may touch of the world outside."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from raftgate.ctl.commands import Found
from raftgate.ctl.flags import Values
from raftgate.ctl.quoting import to_bytes

if TYPE_CHECKING:  # a verb that calls no server must not load it
    import httpx


@dataclass(frozen=True, slots=True)
class Console:
    """The three standard streams; texts may hold any bytes as surrogate escapes."""

    stdin: BinaryIO
    stdout: BinaryIO
    stderr: BinaryIO

    def write(self, text: str) -> None:
        """Writes to stdout at once."""
        self.stdout.write(to_bytes(text))
        self.stdout.flush()

    def complain(self, line: str) -> None:
        """Writes a line to stderr at once."""
        self.stderr.write(to_bytes(line + "\n"))
        self.stderr.flush()


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as a verb sees it."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Invocation:
    """One run of a verb."""

    found: Found
    arguments: tuple[str, ...]
    flags: Values
    environ: Mapping[str, str]
    console: Console
    clock: Clock = field(default_factory=Clock)
    transport: "httpx.BaseTransport | None" = None
    """How requests travel; None: over the network."""
