from consensus import command
from consensus.cluster import bootstrap_changes, cluster_id, conf_state, member_id
from consensus.raft.types import ConfChangeType, ConfState
from raftgate.api.cluster import Member, MemberAdded


def test_ids_are_those_of_etcd_for_the_same_flags() -> None:
    # seen on a live etcd: one member, http://127.0.0.1:43631, token etcd-cluster
    member = member_id(["http://127.0.0.1:43631"], "etcd-cluster")
    assert member == 5254653468255845245
    assert cluster_id([member]) == 12937114891848778040


def test_order_of_urls_and_members_does_not_matter() -> None:
    assert member_id(["http://b:1", "http://a:1"], "t") == member_id(["http://a:1", "http://b:1"], "t")
    assert cluster_id([2, 1]) == cluster_id([1, 2])


def test_the_token_makes_another_cluster() -> None:
    assert member_id(["http://a:1"], "one") != member_id(["http://a:1"], "two")


def test_a_new_cluster_begins_with_a_change_for_each_member_in_order() -> None:
    members = [
        Member(ID=9, peerURLs=("http://b:1",)),
        Member(ID=3, name="known to itself alone", peerURLs=("http://a:1",), clientURLs=("http://a:2",)),
    ]
    changes = bootstrap_changes(members)
    assert [change.node_id for change in changes] == [3, 9]
    _, request = command.decode(changes[0].context)
    assert request == MemberAdded(member=Member(ID=3, peerURLs=("http://a:1",)))


def test_a_new_cluster_may_begin_with_learners() -> None:
    changes = bootstrap_changes([Member(ID=9, isLearner=True), Member(ID=3)])
    assert [change.type for change in changes] == [ConfChangeType.ADD_NODE, ConfChangeType.ADD_LEARNER_NODE]


def test_learners_have_no_vote() -> None:
    members = [Member(ID=9), Member(ID=3, isLearner=True), Member(ID=1)]
    assert conf_state(members) == ConfState(voters=(1, 9), learners=(3,))
