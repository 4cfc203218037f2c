"""The arithmetic of majorities: pure functions of voters and what they said.

Membership changes go one member at a time, where old and new majorities always overlap (Raft thesis 4.1), so that
there is no joint arithmetic here.
"""

from collections.abc import Collection, Mapping
from enum import Enum, auto


class VoteResult(Enum):
    """How an election stands."""

    PENDING = auto()
    WON = auto()
    LOST = auto()
    """A majority can no longer be reached."""


def majority(voters: Collection[int]) -> int:
    """How many of the voters decide."""
    return len(voters) // 2 + 1


def committed_index(voters: Collection[int], acked: Mapping[int, int]) -> int:
    """The highest index that a majority has acknowledged; 0 without voters.

    `acked`: member -> index up to which its log is durable; a voter missing there has acknowledged nothing.
    """
    if not voters:
        return 0
    return sorted((acked.get(voter, 0) for voter in voters), reverse=True)[majority(voters) - 1]


def vote_result(voters: Collection[int], votes: Mapping[int, bool]) -> VoteResult:
    """How the election stands; answers of others than voters count nothing. Without voters nobody can win."""
    granted = sum(votes.get(voter, False) for voter in voters)
    if granted >= majority(voters):
        return VoteResult.WON
    missing = sum(voter not in votes for voter in voters)
    return VoteResult.PENDING if granted + missing >= majority(voters) else VoteResult.LOST


def has_quorum(voters: Collection[int], members: Collection[int]) -> bool:
    """Whether `members` hold a majority of the voters."""
    return sum(voter in members for voter in voters) >= majority(voters)
