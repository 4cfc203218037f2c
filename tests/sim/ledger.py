"""What a simulation writes down: a hash of all that happened, the last lines of it, and how often each thing did."""

import hashlib
from collections import Counter, deque
from typing import Final

KEPT: Final = 400
"""Lines that a report of a failure may show."""


class Ledger:
    """One run's trace and counters."""

    def __init__(self, *, keeps_all: bool = False) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self.lines: deque[str] = deque(maxlen=None if keeps_all else KEPT)
        self.faults: Counter[str] = Counter()
        """Fault -> how often it struck."""
        self.checks: Counter[str] = Counter()
        """Invariant -> how often it was checked on something."""
        self.events: Counter[str] = Counter()
        """Whatever else should have happened: elections, restarts, cuts of the log, unknown outcomes."""

    def note(self, time: float, *words: object) -> None:
        """Adds a line to the trace; nothing that differs from process to process may be in it."""
        line = " ".join((f"{time:.9f}", *map(str, words)))
        self._hash.update(line.encode())
        self._hash.update(b"\n")
        self.lines.append(line)

    @property
    def trace(self) -> str:
        """The hash of all lines so far."""
        return self._hash.hexdigest()
