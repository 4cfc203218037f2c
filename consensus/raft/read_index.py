"""Reads that wait for the leader to prove that it still leads (Raft thesis 6.4; etcd-io/raft read_only.go).

One round serves all reads that came before it began; those that come later wait for the next one, since an answer
to an earlier question proves nothing about the time of a later read. No clock takes part.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from consensus.raft import quorum
from consensus.raft.types import ReadState


@dataclass(slots=True)
class _Round:
    index: int
    contexts: list[bytes]
    acks: set[int] = field(default_factory=set)


class ReadIndex:
    """A leader's pending reads: those that wait for a round, and the round under way."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self._round: _Round | None = None
        self._number = 0

    def add(self, context: bytes) -> None:
        """Lets a read wait for the next round."""
        self._waiting.append(context)

    def start(self, index: int) -> int:
        """Begins a round with all that wait, unless one is under way; `index`: the commit index now.

        Returns the number of the round under way, 0 when no read waits.
        """
        if self._round is None:
            if not self._waiting:
                return 0
            self._round = _Round(index, self._waiting)
            self._waiting = []
            self._number += 1
        return self._number

    def ack(self, number: int, member: int, voters: Collection[int]) -> list[ReadState]:
        """Counts a member's answer to a round; with a quorum the round ends and its reads are returned."""
        if self._round is None or number != self._number:
            return []  # a late answer, to a round that is over
        self._round.acks.add(member)
        if not quorum.has_quorum(voters, self._round.acks):
            return []
        ended, self._round = self._round, None
        return [ReadState(ended.index, context) for context in ended.contexts]
