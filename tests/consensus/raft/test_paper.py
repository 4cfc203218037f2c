"""One test for each claim of the Raft paper that is implemented, named by its section.

Ongaro, Ousterhout: In Search of an Understandable Consensus Algorithm (extended version); "thesis" is Ongaro's. What
concerns sending to followers' logs, snapshots and clients that follow leaders comes with the parts that do it.
"""

import pytest

from consensus.raft.errors import ConfChangePending, LogCorrupt, NotLeader
from consensus.raft.log import Log
from consensus.raft.log_store import MemoryLogStore
from consensus.raft.types import ConfChange, ConfChangeType, HardState, Message, MessageType, ReadState, Role
from tests.consensus.raft.members import (
    Member,
    acknowledge,
    answer,
    append,
    entries_of,
    heartbeat,
    leader,
    member,
    terms_of,
    vote,
)


def candidate(voters: tuple[int, ...] = (1, 2, 3)) -> Member:
    subject = member(voters)
    subject.node.campaign()
    subject.settle()
    return subject


def test_5_1_a_larger_term_is_taken_over_by_each_role() -> None:
    for subject in (member((1, 2, 3)), candidate(), leader((1, 2, 3))):
        subject.node.step(append(9, 0, 0))
        assert subject.node.status().term == 9
        assert subject.node.status().role is Role.FOLLOWER


def test_5_1_terms_never_go_down() -> None:
    subject = member((1, 2), hard_state=HardState(term=5))
    subject.node.step(append(4, 0, 0))
    assert subject.node.status().term == 5


def test_5_1_a_request_with_a_stale_term_is_rejected() -> None:
    subject = member((1, 2), hard_state=HardState(term=5))
    subject.node.step(append(4, 0, 0, [4]))
    subject.node.step(vote(4, 9, 4))
    assert all(message.reject and message.term == 5 for message in subject.settle())
    assert subject.node.status().last_index == 0


def test_5_2_a_member_starts_as_a_follower() -> None:
    assert member().node.status().role is Role.FOLLOWER


def test_5_2_a_follower_stays_one_while_it_hears_from_a_leader() -> None:
    subject = member((1, 2))
    for _ in range(100):
        subject.node.tick()
        subject.node.step(heartbeat(1))
    assert subject.node.status().role is Role.FOLLOWER


def test_5_2_without_a_leader_an_election_begins() -> None:
    subject = member((1, 2))
    for _ in range(15):
        subject.node.tick()
    ready = subject.process()
    assert subject.node.status().term == 1
    assert ready.hard_state == HardState(term=1, vote=1)
    assert [(message.type, message.to) for message in ready.messages_after_append] == [(MessageType.VOTE, 2)]


@pytest.mark.parametrize("size", range(1, 8))
def test_5_2_a_majority_makes_a_leader(size: int) -> None:
    subject = member(tuple(range(1, size + 1)))
    subject.node.campaign()
    votes = 1
    for request in subject.settle():
        assert subject.node.status().role is (Role.LEADER if votes > size // 2 else Role.CANDIDATE)
        subject.node.step(answer(request))
        votes += 1
    assert subject.node.status().role is Role.LEADER


def test_5_2_one_vote_a_term_first_come_first_served() -> None:
    subject = member((1, 2, 3))
    subject.node.step(vote(1, 0, 0, sender=3))
    subject.node.step(vote(1, 0, 0, sender=2))
    assert [(message.to, message.reject) for message in subject.settle()] == [(3, False), (2, True)]
    subject.node.step(vote(2, 0, 0, sender=2))
    assert [(message.to, message.reject) for message in subject.settle()] == [(2, False)]


def test_5_2_a_vote_is_durable_before_it_counts_or_leaves() -> None:
    lone = member()
    lone.node.campaign()
    ready = lone.node.ready()
    assert lone.node.status().role is Role.CANDIDATE
    lone.persist(ready)
    lone.node.advance(ready)
    assert lone.node.status().role is Role.LEADER
    voter = member((1, 2))
    voter.node.step(vote(1, 0, 0))
    ready = voter.node.ready()
    assert (ready.messages, ready.must_sync, len(ready.messages_after_append)) == ([], True, 1)


def test_5_2_a_candidate_gives_way_to_the_leader_of_its_term() -> None:
    subject = candidate()
    subject.node.step(append(1, 0, 0))
    assert (subject.node.status().role, subject.node.status().leader) == (Role.FOLLOWER, 2)


def test_5_2_a_candidate_ignores_a_leader_of_an_older_term() -> None:
    subject = member((1, 2), hard_state=HardState(term=5))
    subject.node.campaign()
    subject.node.step(append(5, 0, 0))
    assert subject.node.status().role is Role.CANDIDATE


def test_5_2_after_a_split_vote_there_is_another_election() -> None:
    subject = candidate()
    for _ in range(15):
        subject.node.tick()
    assert (subject.node.status().role, subject.node.status().term) == (Role.CANDIDATE, 2)


def test_5_2_election_timeouts_are_random() -> None:
    numbers = iter([index / 10 for index in range(10)] * 2)
    timeouts = set()
    for _ in range(10):
        subject = member((1, 2), random=lambda: next(numbers))
        ticks = 0
        while subject.node.status().role is Role.FOLLOWER:
            subject.node.tick()
            ticks += 1
        timeouts.add(ticks)
    assert len(timeouts) >= 5
    assert min(timeouts) >= 10
    assert max(timeouts) < 20


def test_5_3_a_leader_appends_each_proposal_as_a_new_entry() -> None:
    subject = leader()
    subject.node.propose([b"a", b"b"])
    ready = subject.node.ready()
    assert [(entry.term, entry.index, entry.data) for entry in ready.entries] == [(1, 2, b"a"), (1, 3, b"b")]


def test_5_3_an_entry_is_committed_when_a_majority_has_it() -> None:
    subject = leader((1, 2, 3))
    subject.node.propose([b"x"])
    subject.settle()
    assert subject.node.status().commit == 0
    subject.node.step(acknowledge(3, 1, 2))
    assert subject.node.status().commit == 2


def test_5_3_committed_entries_are_applied_in_log_order() -> None:
    subject = leader()
    for data in (b"a", b"b", b"c"):
        subject.node.propose([data])
        if data != b"b":
            subject.process()
    subject.settle()
    assert [entry.index for entry in subject.applied] == [1, 2, 3, 4]


def test_5_3_a_follower_learns_of_commits_and_applies() -> None:
    subject = member((1, 2))
    subject.node.step(append(1, 0, 0, [1, 1]))
    subject.settle()
    assert subject.applied == []
    subject.node.step(append(1, 2, 1, [], commit=2))
    subject.settle()
    assert [entry.index for entry in subject.applied] == [1, 2]


def test_5_3_a_follower_refuses_what_does_not_follow_its_log() -> None:
    subject = member((1, 2), [1, 2])
    for index, term in ((2, 3), (3, 2)):
        subject.node.step(append(3, index, term, [3]))
    assert [message.reject for message in subject.settle()] == [True, True]
    assert terms_of(subject) == [1, 2]


@pytest.mark.parametrize(
    "terms",
    [
        [1, 1, 1, 4, 4, 5, 5, 6, 6],  # (a) of figure 7
        [1, 1, 1, 4],  # (b)
        [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],  # (c)
        [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],  # (d)
        [1, 1, 1, 4, 4, 4, 4],  # (e)
        [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],  # (f)
    ],
)
def test_5_3_a_leader_brings_the_logs_of_figure_7_into_line(terms: list[int]) -> None:
    leaders = [0, 1, 1, 1, 4, 4, 5, 5, 6, 6, 6]
    subject = member((1, 2), terms)
    at, rounds = 10, 0
    while True:
        subject.node.step(append(8, at, leaders[at], leaders[at + 1 :]))
        (reply,) = subject.settle()
        if not reply.reject:
            break
        # What progress.py will do: go back to where the logs may agree (Raft 5.3, the optimisation).
        at = max(index for index in range(reply.reject_hint + 1) if leaders[index] <= reply.log_term)
        rounds += 1
    assert rounds <= 2
    if at == 10:  # it has all of the leader's, and may have more until the leader appends
        subject.node.step(append(8, 10, 6, [8]))
        subject.settle()
        leaders.append(8)
    assert terms_of(subject) == leaders[1:]


def test_5_3_an_append_that_comes_twice_or_late_does_no_harm() -> None:
    subject = member((1, 2))
    messages = [append(1, 0, 0, [1]), append(1, 1, 1, [1]), append(1, 0, 0, [1, 1, 1]), append(1, 0, 0, [1])]
    for message in messages:
        subject.node.step(message)
        subject.settle()
    assert terms_of(subject) == [1, 1, 1]


def test_5_3_a_leader_never_alters_its_own_log() -> None:
    subject = leader(terms=[1, 1])
    before = terms_of(subject)
    subject.node.step(append(2, 1, 1, [2]))  # of the term in which it leads itself: nobody else does
    subject.settle()
    assert terms_of(subject) == before


@pytest.mark.parametrize(
    ("index", "log_term", "granted"), [(2, 2, True), (3, 2, True), (1, 3, True), (1, 2, False), (5, 1, False)]
)
def test_5_4_1_a_vote_needs_a_log_at_least_as_up_to_date(index: int, log_term: int, *, granted: bool) -> None:
    subject = member((1, 2), [1, 2])
    subject.node.step(vote(3, index, log_term))
    assert [message.reject for message in subject.settle()] == [not granted]


def test_5_4_2_only_entries_of_its_own_term_are_committed_by_counting() -> None:
    subject = leader((1, 2, 3), [1, 2])
    subject.node.step(acknowledge(2, 3, 2))
    assert subject.node.status().commit == 0  # figure 8: a majority has entry 2, and it may yet be replaced
    subject.node.step(acknowledge(2, 3, 3))
    assert subject.node.status().commit == 3


def test_5_4_3_a_committed_entry_is_never_replaced() -> None:
    log = Log(MemoryLogStore(HardState(commit=2), entries_of([1, 1, 1])), applied=2)
    with pytest.raises(LogCorrupt):
        log.maybe_append(1, 1, entries_of([2], 2))


def test_5_5_requests_may_be_repeated() -> None:
    subject = member((1, 2))
    replies = []
    for _ in range(2):
        subject.node.step(vote(1, 0, 0))
        replies.append(subject.settle())
    assert replies[0] == replies[1]


def test_5_5_a_member_that_restarts_keeps_term_vote_and_log() -> None:
    subject = member((1, 2))
    subject.node.step(vote(3, 0, 0))
    subject.node.step(append(3, 0, 0, [3]))
    subject.settle()
    assert subject.store.initial_state() == HardState(term=3, vote=2)
    again = member((1, 2), [3], subject.store.initial_state())
    again.node.step(vote(3, 1, 3, sender=3))
    assert again.settle()[0].reject


def test_6_one_membership_change_at_a_time() -> None:  # thesis 4.1
    subject = leader()
    subject.node.propose_conf_change(ConfChange(ConfChangeType.ADD_LEARNER_NODE, 2))
    with pytest.raises(ConfChangePending):
        subject.node.propose_conf_change(ConfChange(ConfChangeType.ADD_LEARNER_NODE, 3))


def test_6_a_new_member_does_not_count_until_it_votes() -> None:  # thesis 4.2.1
    subject = leader()
    subject.node.propose_conf_change(ConfChange(ConfChangeType.ADD_LEARNER_NODE, 2))
    subject.settle()
    subject.node.propose([b"x"])
    subject.settle()
    assert subject.node.status().commit == 3


def test_6_a_leader_that_is_removed_steps_down_when_that_is_committed() -> None:
    subject = leader((1, 2))
    subject.node.step(acknowledge(2, 1, 1))
    subject.settle()
    subject.node.propose_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 1))
    subject.settle()
    assert subject.node.status().role is Role.LEADER
    subject.node.step(acknowledge(2, 1, 2))
    subject.settle()
    assert subject.node.status().role is Role.FOLLOWER


def test_8_a_leader_opens_its_term_with_an_empty_entry() -> None:
    subject = leader(terms=[1])
    assert [(entry.term, entry.data) for entry in subject.applied] == [(1, b""), (2, b"")]


def test_8_no_read_before_an_entry_of_the_term_is_committed() -> None:
    subject = leader((1, 2), [1])
    subject.node.step(acknowledge(2, 2, 1))
    subject.node.read_index(b"r")
    subject.node.apply_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 2))
    subject.settle()
    assert subject.reads == [ReadState(2, b"r")]


def test_8_no_read_on_the_leaders_word_alone() -> None:
    subject = leader((1, 2))
    subject.node.step(acknowledge(2, 1, 1))
    subject.node.read_index(b"r")
    subject.settle()
    assert subject.reads == []


def test_8_only_a_leader_takes_proposals() -> None:
    with pytest.raises(NotLeader):
        member().node.propose([b"x"])


def test_10_2_1_of_the_thesis_a_leader_may_commit_before_its_own_disk() -> None:
    subject = leader((1, 2, 3))
    subject.node.propose([b"x"])
    ready = subject.node.ready()
    for sender in (2, 3):
        subject.node.step(acknowledge(sender, 1, 2))
    assert subject.node.status().commit == 2
    subject.persist(ready)
    subject.node.advance(ready)
    # Applied here only when durable here.
    assert [entry.index for entry in subject.node.ready().committed_entries] == [1, 2]


def test_a_message_names_its_sender_and_term() -> None:
    subject = candidate()
    subject.node.step(heartbeat(1))
    (reply,) = subject.settle()
    assert reply == Message(type=MessageType.HEARTBEAT_RESP, to=2, sender=1, term=1)
