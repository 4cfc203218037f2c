import pytest

from consensus.raft import confchange
from consensus.raft.errors import ConfChangePending, ConfChangeRefused, NotLeader, TooMuchUncommitted, TransferUnderWay
from consensus.raft.types import ConfChange, ConfChangeType, EntryType, Message, MessageType, ReadState, Role
from tests.consensus.raft.members import acknowledge, answer, append, beat, heartbeat, leader, member, terms_of

LEARNER = ConfChange(ConfChangeType.ADD_LEARNER_NODE, 2)
VOTER = ConfChange(ConfChangeType.ADD_NODE, 2)


def test_a_batch_of_proposals() -> None:
    subject = leader()
    subject.node.propose([b"a", b"b"])
    subject.node.propose([b"c"])
    subject.settle()
    assert [(entry.term, entry.index, entry.type, entry.data) for entry in subject.applied] == [
        (1, 1, EntryType.NORMAL, b""),
        (1, 2, EntryType.NORMAL, b"a"),
        (1, 3, EntryType.NORMAL, b"b"),
        (1, 4, EntryType.NORMAL, b"c"),
    ]


def test_no_proposals_are_no_entries() -> None:
    subject = leader()
    subject.node.propose([])
    assert not subject.node.has_ready()


def test_only_a_leader_takes_proposals() -> None:
    subject = member()
    with pytest.raises(NotLeader):
        subject.node.propose([b"x"])
    with pytest.raises(NotLeader):
        subject.node.propose_conf_change(VOTER)


def test_proposals_not_applied_are_bounded() -> None:
    subject = leader(max_uncommitted_bytes=10)
    subject.node.propose([b"four", b"six___"])
    with pytest.raises(TooMuchUncommitted):
        subject.node.propose([b"x"])
    subject.process()
    with pytest.raises(TooMuchUncommitted):
        subject.node.propose([b"x"])  # committed, but not applied
    subject.settle()
    subject.node.propose([b"longer than the bound"])
    assert subject.node.status().last_index == 4


def test_a_batch_that_is_too_much_leaves_nothing() -> None:
    subject = leader(max_uncommitted_bytes=10)
    subject.node.propose([b"x"])
    with pytest.raises(TooMuchUncommitted):
        subject.node.propose([b"four", b"six___"])
    assert subject.node.status().last_index == 2


def test_entries_of_earlier_terms_do_not_count_against_the_bound() -> None:
    subject = leader((1, 2), max_uncommitted_bytes=10)
    subject.node.propose([b"eight___"])
    subject.settle()
    subject.node.step(Message(type=MessageType.VOTE, to=1, sender=2, term=2))  # refused, but the term is over
    subject.node.campaign()
    subject.settle()
    subject.node.step(Message(type=MessageType.VOTE_RESP, to=1, sender=2, term=3))
    subject.node.propose([b"eight___"])
    subject.settle()
    subject.node.step(acknowledge(2, 3, 4))
    subject.settle()
    assert [entry.data for entry in subject.applied] == [b"", b"eight___", b"", b"eight___"]
    subject.node.propose([b"ten_______"])
    with pytest.raises(TooMuchUncommitted):
        subject.node.propose([b"x"])


def test_commit_needs_a_majority() -> None:
    subject = leader((1, 2, 3, 4, 5))
    subject.node.propose([b"x"])
    subject.settle()
    commits = []
    for sender, index in ((2, 2), (3, 1), (4, 2), (5, 2)):
        subject.node.step(acknowledge(sender, 1, index))
        commits.append(subject.node.status().commit)
    assert commits == [0, 1, 2, 2]


def test_an_acknowledgement_never_goes_back() -> None:
    subject = leader((1, 2))
    subject.node.step(acknowledge(2, 1, 1))
    subject.node.propose([b"x"])
    subject.node.step(acknowledge(2, 1, 2))
    subject.node.step(acknowledge(2, 1, 1))
    subject.settle()
    assert subject.node.status().commit == 2


def test_a_refused_append_acknowledges_nothing() -> None:
    subject = leader((1, 2))
    subject.node.step(Message(type=MessageType.APP_RESP, to=1, sender=2, term=1, index=1, reject=True))
    subject.node.step(Message(type=MessageType.VOTE_RESP, to=1, sender=2, term=1))
    assert subject.node.status().commit == 0


def test_its_own_log_counts_when_durable() -> None:
    subject = leader((1, 2))
    subject.node.propose([b"x"])
    ready = subject.node.ready()
    subject.node.step(acknowledge(2, 1, 2))  # the follower was faster
    assert subject.node.status().commit == 1
    subject.persist(ready)
    subject.node.advance(ready)
    assert subject.node.status().commit == 2


def test_a_lone_leader_needs_no_heartbeats() -> None:
    subject = leader(check_quorum=True)
    for _ in range(50):
        subject.node.tick()
    assert subject.node.status().role is Role.LEADER
    assert not subject.node.has_ready()


def test_heartbeats_go_out_each_interval() -> None:
    subject = leader((1, 2), heartbeat_ticks=3)
    sent = []
    for _ in range(7):
        subject.node.tick()
        sent.append([message.type for message in subject.settle()])
    heartbeat_only = [MessageType.HEARTBEAT]
    assert sent == [[], [], heartbeat_only, [], [], heartbeat_only, []]


def test_a_quorum_must_be_heard_each_election_timeout() -> None:
    subject = leader((1, 2, 3, 4, 5), check_quorum=True)
    for _ in range(3):
        for number in (2, 3):
            subject.node.step(beat(number, 1))
        for _ in range(10):
            assert subject.node.status().role is Role.LEADER
            subject.node.tick()
    subject.node.step(beat(2, 1))
    for _ in range(10):
        subject.node.tick()
    assert (subject.node.status().role, subject.node.status().leader) == (Role.FOLLOWER, 0)


def test_learners_make_no_quorum() -> None:
    subject = leader((1, 2, 3), check_quorum=True, learners=(4, 5))
    for number in (4, 5):
        subject.node.step(beat(number, 1))
        subject.node.step(acknowledge(number, 1, 1))
    assert subject.node.read_index(b"r")
    assert subject.node.status().commit == 0
    for _ in range(10):
        subject.node.tick()
    assert subject.node.status().role is Role.FOLLOWER


def test_late_votes_mean_nothing_to_a_leader() -> None:
    subject = leader((1, 2, 3))
    for kind in (MessageType.VOTE_RESP, MessageType.PRE_VOTE_RESP, MessageType.READ_INDEX_RESP):
        subject.node.step(Message(type=kind, to=1, sender=3, term=1))
    assert not subject.node.has_ready()


def test_a_round_of_reads_serves_members_that_asked() -> None:
    subject = leader((1, 2, 3))
    subject.node.step(acknowledge(2, 1, 1))
    subject.settle()
    subject.node.step(Message(type=MessageType.READ_INDEX, to=1, sender=3, term=0, context=b"theirs"))
    subject.node.read_index(b"own")
    heartbeats = subject.settle()
    assert {message.context for message in heartbeats} == {b"1"}
    subject.node.step(beat(2, 1, b"1"))
    subject.node.step(beat(2, 1, b"1"))
    assert Message(type=MessageType.READ_INDEX_RESP, to=3, sender=1, term=1, index=1, context=b"theirs") in (
        subject.settle()
    )
    assert subject.reads == []
    subject.node.step(beat(3, 1, b"2"))
    subject.settle()
    assert subject.reads == [ReadState(1, b"own")]


def test_it_hands_over_to_whoever_has_most_when_it_is_removed() -> None:
    subject = leader((1, 2, 3))
    subject.node.propose([b"x"])
    subject.settle()
    subject.node.step(acknowledge(3, 1, 2))
    subject.settle()
    subject.node.apply_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 1))
    assert subject.node.status().transferee == 3
    assert MessageType.TIMEOUT_NOW in [message.type for message in subject.settle() if message.to == 3]


def test_a_conf_change_is_an_entry() -> None:
    subject = leader()
    subject.node.propose_conf_change(LEARNER)
    subject.settle()
    assert subject.applied[-1].type is EntryType.CONF_CHANGE
    assert confchange.decode(subject.applied[-1].data) == LEARNER
    assert subject.conf.learners == (2,)


def test_one_conf_change_at_a_time() -> None:
    subject = leader()
    subject.node.propose_conf_change(LEARNER)
    with pytest.raises(ConfChangePending):
        subject.node.propose_conf_change(VOTER)
    subject.process()  # committed now, but not applied
    with pytest.raises(ConfChangePending):
        subject.node.propose_conf_change(VOTER)
    subject.process()
    subject.node.propose_conf_change(VOTER)


def test_a_refused_conf_change_is_not_pending() -> None:
    subject = leader()
    with pytest.raises(ConfChangeRefused):
        subject.node.propose_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 1))
    subject.node.propose_conf_change(LEARNER)


def test_a_new_leader_waits_for_changes_it_may_have_inherited() -> None:
    subject = member(terms=[1, 1])
    subject.node.campaign()
    subject.process()
    with pytest.raises(ConfChangePending):
        subject.node.propose_conf_change(LEARNER)
    subject.settle()
    subject.node.propose_conf_change(LEARNER)


def test_a_smaller_quorum_may_have_committed_more() -> None:
    subject = leader((1, 2))
    subject.node.propose([b"x"])
    subject.settle()
    assert subject.node.status().commit == 0
    subject.node.apply_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 2))
    assert subject.node.status().commit == 2


def test_a_member_that_comes_back_has_acknowledged_nothing() -> None:
    subject = leader((1, 2, 3, 4, 5))
    subject.node.step(acknowledge(2, 1, 1))
    subject.node.apply_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 2))
    subject.node.apply_conf_change(VOTER)
    subject.node.step(acknowledge(3, 1, 1))
    assert subject.node.status().commit == 0
    subject.node.step(acknowledge(2, 1, 1))
    assert subject.node.status().commit == 1


def test_acknowledgements_of_an_earlier_term_are_forgotten() -> None:
    subject = leader((1, 2, 3, 4, 5))
    subject.node.propose([b"x"])
    subject.settle()
    subject.node.step(acknowledge(2, 1, 2))
    subject.node.step(append(2, 0, 0, [2]))  # another leader: what member 2 acknowledged is no more
    subject.settle()
    subject.node.campaign()
    for request in subject.settle():
        subject.node.step(answer(request))
    subject.settle()
    subject.node.step(acknowledge(3, 3, 2))
    assert terms_of(subject) == [2, 3]
    assert subject.node.status().commit == 0


def test_a_leader_that_is_no_voter_any_more_steps_down() -> None:
    subject = leader((1, 2))
    subject.node.apply_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 1))
    assert subject.node.status().transferee == 2
    with pytest.raises(TransferUnderWay):
        subject.node.propose([b"x"])
    for _ in range(10):
        subject.node.tick()
    assert (subject.node.status().role, subject.node.status().leader) == (Role.FOLLOWER, 0)


def test_its_own_word_counts_no_more_after_its_removal() -> None:
    subject = leader((1, 2))
    subject.node.propose([b"x"])
    ready = subject.node.ready()
    subject.node.apply_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 1))
    subject.persist(ready)
    subject.node.advance(ready)
    assert subject.node.status().commit == 0
    subject.node.step(acknowledge(2, 1, 2))
    assert subject.node.status().commit == 2


def test_a_read_before_the_first_commit_of_the_term_waits() -> None:
    subject = member(terms=[1, 1])
    subject.node.campaign()
    subject.process()
    assert subject.node.read_index(b"r")
    subject.process()
    assert subject.reads == []
    subject.process()
    assert subject.reads == [ReadState(3, b"r")]


def test_a_read_needs_a_leader() -> None:
    assert not member().node.read_index(b"r")


def test_a_read_is_forgotten_with_the_leadership() -> None:
    subject = leader((1, 2))
    subject.node.step(acknowledge(2, 1, 1))
    assert subject.node.read_index(b"r")
    subject.node.step(heartbeat(2))
    subject.settle()
    subject.node.campaign()
    for request in subject.settle():
        subject.node.step(answer(request))
    subject.node.apply_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 2))
    subject.settle()
    assert subject.node.status().commit == 2
    assert subject.reads == []


def test_a_read_of_a_smaller_quorum() -> None:
    subject = leader((1, 2))
    subject.node.step(acknowledge(2, 1, 1))
    subject.node.read_index(b"r")
    subject.settle()
    assert subject.reads == []
    subject.node.apply_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 2))
    subject.settle()
    assert subject.reads == [ReadState(1, b"r")]


def test_the_log_of_a_leader_begins_with_what_it_had() -> None:
    assert terms_of(leader(terms=[1, 1, 2])) == [1, 1, 2, 3]
