from collections.abc import Callable
from typing import Any

import pytest

from raftgate.api import errors
from raftgate.api.cluster import (
    ClusterVersionRecorded,
    ClusterVersionSet,
    Member,
    MemberAdded,
    MemberAttributes,
    MemberPromoted,
    MemberRemoved,
    MembersRecorded,
    MemberUpdated,
)
from storage.members import Members, Records

ONE = Member(1, peerURLs=("http://one:2380",))
TWO = Member(2**64 - 1, peerURLs=("http://two:2380",), isLearner=True)
URL = ("http://new:2380",)


def members(*records: Member, removed: tuple[int, ...] = ()) -> Members:
    return Members(Records(records, frozenset(removed)))


def test_members_are_listed_by_id() -> None:
    subject = Members()
    subject.add(MemberAdded(TWO))
    assert subject.add(MemberAdded(ONE)) == MembersRecorded((ONE, TWO))
    assert subject.all() == (ONE, TWO)
    assert subject.records() == Records((ONE, TWO))
    assert subject.changed


def test_publishing_fills_in_name_and_client_urls() -> None:
    subject = members(ONE, TWO)
    assert not subject.changed
    subject.publish(MemberAttributes(1, "one", ("http://one:2379",)))
    assert subject.all()[0] == Member(1, "one", ("http://one:2380",), ("http://one:2379",))
    assert subject.changed


def test_a_removed_member_is_remembered() -> None:
    subject = members(ONE, Member(3), removed=(7,))
    assert subject.remove(MemberRemoved(3)) == MembersRecorded((ONE,))
    assert subject.removed == {3, 7}
    assert subject.records() == Records((ONE,), frozenset({3, 7}))
    assert subject.changed


def test_other_urls_and_a_vote() -> None:
    subject = members(ONE, TWO)
    subject.update(MemberUpdated(1, URL))
    subject.update(MemberUpdated(1, URL))  # its own are not taken
    assert subject.promote(MemberPromoted(TWO.ID)).members == (
        Member(1, peerURLs=URL),
        Member(TWO.ID, peerURLs=TWO.peerURLs),
    )


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        pytest.param(MemberAdded(Member(1, peerURLs=URL)), errors.MemberExist, id="add: same id"),
        pytest.param(MemberAdded(Member(7, peerURLs=URL)), errors.MemberNotFound, id="add: removed once"),
        pytest.param(
            MemberAdded(Member(3, peerURLs=("http://x:1", "http://one:2380"))), errors.PeerURLExist, id="add: same URL"
        ),
        pytest.param(
            MemberAdded(Member(3, peerURLs=URL, isLearner=True), 1), errors.TooManyLearners, id="add: second learner"
        ),
        pytest.param(MemberRemoved(5), errors.MemberNotFound, id="remove: unknown"),
        pytest.param(MemberRemoved(7), errors.MemberNotFound, id="remove: again"),
        pytest.param(MemberRemoved(1), errors.MemberNotEnoughStarted, id="remove: the last voter"),
        pytest.param(MemberUpdated(5, URL), errors.MemberNotFound, id="update: unknown"),
        pytest.param(MemberUpdated(1, TWO.peerURLs), errors.PeerURLExist, id="update: URL of another"),
        pytest.param(MemberPromoted(5), errors.MemberNotFound, id="promote: unknown"),
        pytest.param(MemberPromoted(1), errors.MemberNotLearner, id="promote: a voter"),
        pytest.param(MemberAttributes(5, "x"), errors.MemberNotFound, id="publish: unknown"),
        pytest.param(MemberAttributes(7, "x"), errors.MemberNotFound, id="publish: removed"),
    ],
)
def test_refused_changes(request_: object, error: type[errors.EtcdError]) -> None:
    subject = members(ONE, TWO, removed=(7,))
    takers: dict[object, Callable[[Any], MembersRecorded]] = {  # Any: each its own class
        MemberAdded: subject.add,
        MemberRemoved: subject.remove,
        MemberUpdated: subject.update,
        MemberPromoted: subject.promote,
        MemberAttributes: subject.publish,
    }
    with pytest.raises(error):
        takers[type(request_)](request_)
    assert subject.records() == Records((ONE, TWO), frozenset({7}))
    assert not subject.changed


@pytest.mark.parametrize("limit", [0, 2])
def test_further_learners_up_to_the_limit(limit: int) -> None:
    subject = members(ONE, TWO)
    assert len(subject.add(MemberAdded(Member(3, peerURLs=URL, isLearner=True), limit)).members) == 3


def test_the_clusters_version_never_becomes_less() -> None:
    subject = members(ONE)
    assert subject.version == ""
    for given, expected in (("3.6.0", "3.6.0"), ("3.5.0", "3.6.0"), ("3.10.0", "3.10.0"), ("3.9.0", "3.10.0")):
        assert subject.set_version(ClusterVersionSet(given)) == ClusterVersionRecorded(expected)
        assert subject.version == expected
    assert subject.changed
    assert subject.records() == Records((ONE,), frozenset(), (3, 10))
    again = Members(subject.records())
    again.set_version(ClusterVersionSet("3.10.0"))
    assert not again.changed
