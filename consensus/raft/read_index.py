"""Reads that wait for the leader to prove that it still leads (Raft thesis 6.4; etcd-io/raft read_only.go).

One round serves all reads that came before it began; those that come later wait for the next one, since an answer
to an earlier question proves nothing about the time of a later read. No clock takes part.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from consensus.raft import quorum


class Read(NamedTuple):
    """A read that waits: the member that asks, and its name there."""

    member: int
    context: bytes


@dataclass(slots=True)
class _Round:
    index: int
    reads: list[Read]
    acks: set[int] = field(default_factory=set)


class ReadIndex:
    """A leader's pending reads: those that wait for a round, and the round under way."""

    def __init__(self) -> None:
        self._waiting: list[Read] = []
        self._round: _Round | None = None
        self._number = 0

    @property
    def context(self) -> bytes:
        """The name of the round under way, in the leader's term; empty when there is none."""
        return b"%d" % self._number if self._round is not None else b""

    @property
    def is_due(self) -> bool:
        """Whether reads wait and no round is under way."""
        return self._round is None and bool(self._waiting)

    def add(self, read: Read) -> None:
        """Lets a read wait for the next round."""
        self._waiting.append(read)

    def start(self, index: int) -> None:
        """Begins a round, which is due, with all that wait; `index`: the commit index now."""
        self._round = _Round(index, self._waiting)
        self._waiting = []
        self._number += 1

    def ack(self, context: bytes, member: int, voters: Collection[int]) -> tuple[int, list[Read]]:
        """Counts a member's answer to a round; with a quorum the round ends: its index, and the reads it was for."""
        if self._round is None or context != self.context:
            return 0, []  # a late answer, to a round that is over
        self._round.acks.add(member)
        if not quorum.has_quorum(voters, self._round.acks):
            return 0, []
        ended, self._round = self._round, None
        return ended.index, ended.reads
