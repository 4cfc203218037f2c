import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.raft.confchange import apply, decode, encode
from consensus.raft.errors import ConfChangeRefused, ConfChangeUnreadable
from consensus.raft.types import ConfChange, ConfChangeType, ConfState

ADD, REMOVE, UPDATE, LEARN = ConfChangeType
CHANGES = st.builds(ConfChange, st.sampled_from(ConfChangeType), st.integers(1, 2**64 - 1), st.binary(max_size=20))
SMALL_CHANGES = st.builds(ConfChange, st.sampled_from(ConfChangeType), st.integers(1, 6))


@pytest.mark.parametrize(
    ("kind", "node", "voters", "learners"),
    [
        (ADD, 3, (1, 2, 3), (5,)),
        (ADD, 2, (1, 2), (5,)),
        (ADD, 5, (1, 2, 5), ()),  # promotion
        (REMOVE, 2, (1,), (5,)),
        (REMOVE, 5, (1, 2), ()),
        (REMOVE, 9, (1, 2), (5,)),
        (UPDATE, 2, (1, 2), (5,)),
        (LEARN, 3, (1, 2), (3, 5)),
        (LEARN, 2, (1,), (2, 5)),  # demotion
    ],
)
def test_changes(kind: ConfChangeType, node: int, voters: tuple[int, ...], learners: tuple[int, ...]) -> None:
    assert apply(ConfState((1, 2), (5,)), ConfChange(kind, node)) == ConfState(voters, learners)


def test_the_first_member_comes_from_nothing() -> None:
    assert apply(ConfState(), ConfChange(ADD, 7)) == ConfState((7,))
    assert apply(ConfState(), ConfChange(REMOVE, 7)) == ConfState()


@pytest.mark.parametrize("change", [ConfChange(REMOVE, 1), ConfChange(LEARN, 1), ConfChange(ADD, 0)])
def test_changes_that_cannot_be(change: ConfChange) -> None:
    with pytest.raises(ConfChangeRefused):
        apply(ConfState((1,), (2,)), change)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(SMALL_CHANGES))
def test_old_and_new_majorities_overlap(changes: list[ConfChange]) -> None:
    conf = ConfState((1,))
    for change in changes:
        try:
            after = apply(conf, change)
        except ConfChangeRefused:
            continue
        assert after.voters
        assert len(set(conf.voters) ^ set(after.voters)) <= 1  # Raft thesis 4.1
        assert not set(after.voters) & set(after.learners)
        assert after == ConfState(tuple(sorted(after.voters)), tuple(sorted(after.learners)))
        assert apply(after, change) == after
        conf = after


@settings(deadline=None)  # the machine may be busy
@given(CHANGES)
def test_bytes_and_back(change: ConfChange) -> None:
    assert decode(encode(change)) == change


def test_bytes_of_version_1() -> None:
    # On disk: this must be read for ever.
    golden = bytes.fromhex("01 03 8e9e05c52164694d 6d656d626572")
    change = ConfChange(LEARN, 0x8E9E05C52164694D, b"member")
    assert encode(change) == golden
    assert decode(golden) == change


@pytest.mark.parametrize(
    "data", ["", "01", "0100", "01 00 00000000000000", "02 00 0000000000000001", "01 04 0000000000000001"]
)
def test_unreadable_bytes(data: str) -> None:
    with pytest.raises(ConfChangeUnreadable):
        decode(bytes.fromhex(data))
