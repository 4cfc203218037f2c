import pytest

from raftgate.api import errors
from raftgate.api.cluster import Member, MemberAdded, MemberAttributes, MembersRecorded
from storage.members import Members

ONE = Member(1, peerURLs=("http://one:2380",))
TWO = Member(2**64 - 1, peerURLs=("http://two:2380",), isLearner=True)


def test_members_are_listed_by_id() -> None:
    members = Members()
    members.add(MemberAdded(TWO))
    assert members.add(MemberAdded(ONE)) == MembersRecorded((ONE, TWO))
    assert members.all() == (ONE, TWO)
    assert members.changed


def test_publishing_fills_in_name_and_client_urls() -> None:
    members = Members([ONE, TWO])
    assert not members.changed
    members.publish(MemberAttributes(1, "one", ("http://one:2379",)))
    assert members.all()[0] == Member(1, "one", ("http://one:2380",), ("http://one:2379",))
    assert members.changed


@pytest.mark.parametrize(
    ("member", "error"),
    [
        pytest.param(Member(1, peerURLs=("http://new:2380",)), errors.MemberExist, id="same id"),
        pytest.param(Member(3, peerURLs=("http://x:1", "http://one:2380")), errors.PeerURLExist, id="same peer URL"),
    ],
)
def test_refused_additions(member: Member, error: type[errors.EtcdError]) -> None:
    members = Members([ONE])
    with pytest.raises(error):
        members.add(MemberAdded(member))
    assert members.all() == (ONE,)
    assert not members.changed


def test_publishing_for_an_unknown_member() -> None:
    with pytest.raises(errors.MemberNotFound):
        Members([ONE]).publish(MemberAttributes(5, "x"))
