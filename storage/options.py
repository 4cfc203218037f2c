"""What storage lets its composition root choose, and its constants."""

from dataclasses import dataclass
from typing import Final

PENDING_LIMIT = 64 << 20
"""Bytes of rows not yet in SQLite, above which a leader refuses proposals and a follower delays apply."""

UNBOUNDED: Final = 1 << 62
"""A budget that never runs out."""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the database file and of the state in memory."""

    fsync: bool = True
    """False only for `--unsafe-no-fsync`: a power failure may then destroy the file."""
    value_cache_bytes: int = UNBOUNDED
    """Values beyond this leave memory when SQLite has them (`--raftgate-value-cache-bytes`)."""
    compaction_batch_limit: int = 1000
    """Rows that a step of a compaction deletes at most."""
    large: int = 2_000
    """Keys above which a command is not applied in one go; it decides how something is done, never what is done."""

    @property
    def piece(self) -> int:
        """Keys that are changed in one go of many: three to four milliseconds."""
        return max(self.large // 2, 1)
