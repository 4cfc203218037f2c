"""What storage lets its composition root choose, and its constants."""

from dataclasses import dataclass

PENDING_LIMIT = 64 << 20
"""Bytes of rows not yet in SQLite, above which a leader refuses proposals and a follower delays apply."""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the database file."""

    fsync: bool = True
    """False only for `--unsafe-no-fsync`: a power failure may then destroy the file."""
