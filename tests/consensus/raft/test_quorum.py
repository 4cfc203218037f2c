"""The arithmetic against models too naive to be wrong."""

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.raft.quorum import VoteResult, committed_index, has_quorum, majority, vote_result

VOTERS = st.sets(st.integers(1, 9), max_size=7).map(lambda voters: tuple(sorted(voters)))
ACKED = st.dictionaries(st.integers(1, 12), st.integers(0, 20))
VOTES = st.dictionaries(st.integers(1, 12), st.booleans())
MEMBERS = st.sets(st.integers(1, 12))


def naive_committed_index(voters: tuple[int, ...], acked: dict[int, int]) -> int:
    """Tries each index."""
    committed = 0
    for index in range(30):
        if 2 * sum(acked.get(voter, 0) >= index for voter in voters) > len(voters):
            committed = index
    return committed


def naive_vote_result(voters: tuple[int, ...], votes: dict[int, bool]) -> VoteResult:
    """Tries all that those who have not voted may say."""
    missing = [voter for voter in voters if voter not in votes]
    wins = set()
    for answers in product((True, False), repeat=len(missing)):
        final = {**votes, **dict(zip(missing, answers, strict=True))}
        wins.add(2 * sum(final[voter] for voter in voters) > len(voters))
    if len(wins) == 2:
        return VoteResult.PENDING
    return VoteResult.WON if wins == {True} else VoteResult.LOST


@settings(deadline=None)  # the machine may be busy
@given(VOTERS, ACKED)
def test_committed_index(voters: tuple[int, ...], acked: dict[int, int]) -> None:
    assert committed_index(voters, acked) == naive_committed_index(voters, acked)


@settings(deadline=None)  # the machine may be busy
@given(VOTERS, VOTES)
def test_vote_result(voters: tuple[int, ...], votes: dict[int, bool]) -> None:
    assert vote_result(voters, votes) is naive_vote_result(voters, votes)


@settings(deadline=None)  # the machine may be busy
@given(VOTERS, MEMBERS)
def test_has_quorum(voters: tuple[int, ...], members: set[int]) -> None:
    assert has_quorum(voters, members) == (2 * len(members & set(voters)) > len(voters))


@settings(deadline=None)  # the machine may be busy
@given(VOTERS.filter(bool), MEMBERS, MEMBERS)
def test_two_quorums_share_a_voter(voters: tuple[int, ...], one: set[int], other: set[int]) -> None:
    if has_quorum(voters, one) and has_quorum(voters, other):
        assert one & other & set(voters)


def test_majorities() -> None:
    assert [majority(range(count)) for count in range(1, 8)] == [1, 2, 2, 3, 3, 4, 4]


def test_nobody_decides_nothing() -> None:
    assert committed_index((), {1: 5}) == 0
    assert vote_result((), {1: True}) is VoteResult.LOST
    assert not has_quorum((), {1})
