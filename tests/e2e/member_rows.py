"""The rows of the contract about members: cluster-maintenance.md sections 1 to 3, of 5 the transfer of leadership."""

from tests.e2e.row import Row

THREE = "consensus/test_membership.py::test_each_of_three_members_lists_all_of_them"
MOVES = "consensus/test_maintenance.py::test_leadership_moves_around_three_members"

# fmt: off
IDENTITY_ROWS = (
    Row("cluster-1-member", "a member: ID, name, peerURLs, clientURLs"),
    Row("cluster-1-learner", "isLearner is absent when false",
        ("api/test_cluster.py::test_a_member_in_etcds_json_form",)),
    Row("cluster-1-unstarted", "name and clientURLs are absent until the member has started and published itself",
        ("consensus/test_membership.py::test_who_has_never_run_has_neither_name_nor_client_urls",)),
    Row("cluster-1-number", "IDs are uint64, as strings"),
    Row("cluster-1-order", "lists are in the order of IDs", (THREE,)),
    Row("cluster-1-id", "the ID of a bootstrap member, and that of the cluster, follow from URLs and token",
        ("consensus/test_cluster.py::test_ids_are_those_of_etcd_for_the_same_flags",
         "consensus/test_cluster.py::test_order_of_urls_and_members_does_not_matter",
         "consensus/test_cluster.py::test_the_token_makes_another_cluster")),
    Row("cluster-1-id-later", "an ID given later: unix seconds in the place of the token",
        ("consensus/test_membership.py::test_a_learner_joins_catches_up_and_is_promoted",)),
)

CALL_ROWS = (
    Row("cluster-2-header", "headers of member answers have no revision"),
    Row("cluster-2-list-local", "list: without a barrier by default, so also without a quorum",
        ("consensus/test_membership.py::test_without_a_quorum_there_still_is_a_list",)),
    Row("cluster-2-list-linearizable", "list, linearizable: behind a barrier",
        ("consensus/test_membership.py::test_a_linearizable_list_waits_for_its_barrier",
         "consensus/test_membership.py::test_without_a_quorum_a_linearizable_list_fails")),
    *[Row(f"cluster-2-{name}", text) for name, text in (
        ("add", "add: the member and all members; its errors"),
        ("remove", "remove: all members; MemberNotFound for an unknown one, 0, and one removed already"),
        ("update", "update: peer URLs only; MemberNotFound, PeerURLExist, MemberBadURLs"),
        ("promote", "promote: MemberNotFound, MemberNotLearner, LearnerNotReady; followers forward it"),
        ("strict", "what --strict-reconfig-check refuses"),
        ("removed", "a removed member stops by itself"),
        ("existing", "a new member compares its initial cluster with the members"),
        ("learner-serves", "what a learner serves, and what it refuses"),
        ("learner-ready", "/readyz of a learner: 503, non_learner"),
    )],
    Row("cluster-2-strict-promote", "a promotion with too few started voters: MemberNotEnoughStarted",
        ("consensus/test_reconfiguration.py::test_promotions",)),  # with a leader there are always enough
    Row("cluster-2-id-again", "the ID of a removed member is not used again",
        ("storage/test_members.py::test_a_removed_member_is_remembered",
         "storage/test_members.py::test_refused_changes")),
    Row("cluster-2-one-at-a-time", "one change at a time, in effect when applied",
        ("e2e/test_cluster_members.py::test_changes_asked_of_all_members_at_once_are_all_made",)),
    Row("cluster-2-no-quorum", "without a quorum: 503 after the request timeout",
        ("consensus/test_membership.py::test_without_a_quorum_a_change_ends_with_a_timeout",)),
)

STATUS_ROWS = (
    Row("cluster-3-fields", "what a status tells"),
    Row("cluster-3-local", "from any member, by its own data, without a quorum",
        ("consensus/test_maintenance.py::test_a_member_cut_off_tells_that_nobody_leads",)),
    Row("cluster-3-leader", "the leader by its ID, on every member", (MOVES,)),
    Row("cluster-3-no-leader", "no leader: its ID is absent, and errors begin with `etcdserver: no leader`",
        ("consensus/test_maintenance.py::test_a_member_cut_off_tells_that_nobody_leads",
         "consensus/test_maintenance.py::test_the_status_without_a_leader_says_so_before_the_alarms")),
    Row("cluster-3-alarms", "errors: one for each alarm, a space at its end"),
    Row("cluster-3-is-learner", "isLearner",
        ("consensus/test_maintenance.py::test_a_learner_tells_that_it_is_one",)),
    Row("cluster-3-36", "storageVersion, dbSizeQuota and downgradeInfo, which is always there"),
)

TRANSFER_ROWS = (
    Row("cluster-5-transfer", "leadership moves to the target before the answer comes", (MOVES,)),
    Row("cluster-5-transfer-follower", "asked of another member than the leader: NotLeader", (MOVES,)),
    Row("cluster-5-transfer-target", "an unknown target or 0: BadLeaderTransferee"),
    Row("cluster-5-transfer-learner", "a learner neither",
        ("consensus/test_maintenance.py::test_leadership_does_not_move",)),
    Row("cluster-5-downgrade-format", "a downgrade to what is no version"),
    Row("cluster-5-downgrade-target", "a downgrade to any version but the one below; raftgate: to any"),
    Row("cluster-5-downgrade-cancel", "nothing to cancel: 200 and the cluster's version"),
    Row("cluster-5-downgrade-action", "an action that does not exist"),
    Row("cluster-5-transfer-self", "the leader itself: nothing to do"),
)
# fmt: on

MEMBER_ROWS = (*IDENTITY_ROWS, *CALL_ROWS, *STATUS_ROWS, *TRANSFER_ROWS)
