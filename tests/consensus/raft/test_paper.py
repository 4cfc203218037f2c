"""One test for each claim of the Raft paper that is implemented, named by its section.

Ongaro, Ousterhout: In Search of an Understandable Consensus Algorithm (extended version); "thesis" is Ongaro's. That
the properties of figure 3 hold whatever happens is shown in test_random_cluster.py.
"""

from typing import Any

import pytest

from consensus.raft.errors import ConfChangePending, LogCorrupt, NotLeader, TransferUnderWay
from consensus.raft.log import Log
from consensus.raft.log_store import MemoryLogStore
from consensus.raft.types import (
    ConfChange,
    ConfChangeType,
    ConfState,
    HardState,
    Message,
    MessageType,
    ReadState,
    Role,
    SnapshotMeta,
)
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


def exchange(*members: Member) -> int:
    """Lets members talk until they have nothing more to say; what is for others is lost.

    Returns how many appends were refused.
    """
    by_id = {subject.node.status().id: subject for subject in members}
    refused = 0
    waiting = [message for subject in members for message in subject.settle()]
    while waiting:
        for message in waiting:
            refused += message.type is MessageType.APP_RESP and message.reject
            if message.to in by_id:
                by_id[message.to].node.step(message)
        waiting = [message for subject in members for message in subject.settle()]
    return refused


def cluster(*, size: int = 3, **options: Any) -> list[Member]:  # Any: fields of Config
    """Members of which the first leads, and what it has committed is known to all."""
    voters = tuple(range(1, size + 1))
    members = [member(voters, [1], id=number, **options) for number in voters]
    members[0].node.campaign()
    exchange(*members)
    return members


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
    own = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]
    voters = (1, 2, 3)
    subject = member(voters, own, HardState(term=7))
    other = member(voters, terms, HardState(term=7), id=2)
    subject.node.campaign()
    for request in subject.settle():
        if request.to == 3:  # the others of the figure; this follower may have more and not vote for it
            subject.node.step(answer(request))
    refusals = exchange(subject, other)
    assert refusals <= 2  # not one for each entry, but for each term at most
    assert terms_of(other) == [*own, 8]
    assert subject.node.status().commit == other.node.status().commit == 11


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
    sent = subject.settle()
    # Thesis 4.2.2 and 3.10: it hands over at once, and is through after an election timeout in any case.
    assert [message.type for message in sent if message.to == 2][-1] is MessageType.TIMEOUT_NOW
    for _ in range(10):
        subject.node.tick()
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


def test_5_2_a_leader_sends_heartbeats_in_idle_times() -> None:
    first, *_others = cluster()
    for _ in range(5):
        first.node.tick()
        assert {(message.type, message.to) for message in first.settle()} == {
            (MessageType.HEARTBEAT, 2),
            (MessageType.HEARTBEAT, 3),
        }


def test_5_3_a_leader_sends_its_entries_in_parallel() -> None:
    first, *_others = cluster()
    first.node.propose([b"x"])
    assert {(message.type, message.to) for message in first.settle()} == {(MessageType.APP, 2), (MessageType.APP, 3)}


def test_5_3_a_leader_tries_again_until_all_have_all_entries() -> None:
    first, second, third = cluster()
    for _ in range(3):
        first.node.propose([b"x"])
        first.settle()  # lost
    for _ in range(3):
        first.node.tick()
        exchange(first, second, third)
    assert terms_of(second) == terms_of(third) == terms_of(first)
    assert first.node.status().commit == 5


def test_5_3_a_commit_takes_all_before_it_along() -> None:
    first, second, _third = cluster()
    for _ in range(3):
        first.node.propose([b"x"])
    exchange(first, second, _third)
    assert [entry.index for entry in second.applied] == [1, 2, 3, 4, 5]


def test_5_3_whatever_a_leader_commits_is_told_with_the_next_append_or_heartbeat() -> None:
    first, *_others = cluster()
    first.node.propose([b"x"])
    assert {message.commit for message in first.settle()} == {2}
    for number in (2, 3):
        first.node.step(acknowledge(number, 2, 3))
    assert {message.commit for message in first.settle()} == {3}
    first.node.tick()
    assert {message.commit for message in first.settle()} == {3}


def test_5_3_two_logs_that_agree_on_an_entry_agree_before_it() -> None:
    first, second, third = cluster()
    first.node.propose([b"a"])
    exchange(first, second, third)
    second.node.campaign()
    exchange(first, second, third)
    second.node.propose([b"b"])
    exchange(first, second, third)
    logs = [subject.store.entries(1, subject.store.last_index() + 1, 1 << 20) for subject in (first, second, third)]
    assert logs[0] == logs[1] == logs[2]


def test_5_4_a_leader_has_all_that_was_committed() -> None:
    first, second, third = cluster()
    first.node.propose([b"x"])
    exchange(first, second)
    third.node.campaign()
    exchange(first, second, third)
    assert third.node.status().role is Role.FOLLOWER
    second.node.campaign()
    exchange(first, second, third)
    assert second.node.status().role is Role.LEADER
    assert b"x" in [entry.data for entry in third.applied]


def test_5_5_a_follower_that_was_away_gets_what_it_lacks() -> None:
    first, second, third = cluster()
    first.node.propose([b"x"])
    exchange(first, second)
    again = member((1, 2, 3), terms_of(third), third.store.initial_state(), id=3)
    first.node.tick()
    exchange(first, second, again)
    assert terms_of(again) == terms_of(first)


def test_5_6_a_leader_survives_delays_below_the_election_timeout() -> None:
    first, second, third = cluster()
    for _ in range(20):
        for _ in range(9):
            first.node.tick()
            second.node.tick()
            third.node.tick()
        exchange(first, second, third)
    assert first.node.status().role is Role.LEADER


def test_6_who_hears_a_leader_does_not_vote() -> None:  # thesis 4.2.3
    first, second, _third = cluster(check_quorum=True)
    for subject in (first, second):
        subject.node.step(vote(9, 9, 9, sender=3))
        assert subject.node.status().term == 2


def test_6_new_servers_catch_up_without_a_vote() -> None:  # thesis 4.2.1
    first, *others = cluster()
    learner = member((), id=4)
    first.node.propose_conf_change(ConfChange(ConfChangeType.ADD_LEARNER_NODE, 4))
    exchange(first, *others, learner)
    assert terms_of(learner) == terms_of(first)
    assert learner.node.status().leader == 1
    learner.node.campaign()
    assert learner.node.status().role is Role.FOLLOWER


def test_6_a_removed_member_disturbs_nobody() -> None:
    first, second, third = cluster(check_quorum=True, pre_vote=True)
    first.node.propose_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 3))
    exchange(first, second)  # the removed one never hears of it
    for _ in range(40):
        third.node.tick()
        exchange(first, second, third)
    assert third.node.status().role is Role.PRE_CANDIDATE
    assert (first.node.status().role, first.node.status().term) == (Role.LEADER, 2)


def test_7_a_follower_that_needs_what_was_discarded_gets_a_snapshot() -> None:
    first, second, third = cluster()
    for _ in range(3):
        first.node.propose([b"x"])
        exchange(first, second)
    first.store.cut(5, first.conf)
    first.node.tick()
    exchange(first, second, third)
    assert third.store.first_index() == 6
    assert third.node.status().commit == 5
    first.node.propose([b"y"])
    exchange(first, second, third)
    assert [entry.data for entry in third.applied][-1] == b"y"


def test_7_a_snapshot_that_the_log_has_already_is_no_reason_to_drop_it() -> None:
    subject = member((1, 2), [1, 1, 1])
    meta = SnapshotMeta(2, 1, ConfState((1, 2)))
    subject.node.step(Message(type=MessageType.SNAP, to=1, sender=2, term=1, snapshot=meta))
    subject.settle()
    assert terms_of(subject) == [1, 1, 1]
    assert subject.node.status().commit == 2


def test_8_followers_pass_clients_on_to_the_leader() -> None:
    first, second, third = cluster()
    second.node.propose([b"x"])
    assert third.node.read_index(b"r")
    exchange(first, second, third)
    assert b"x" in [entry.data for entry in second.applied]
    assert [state.context for state in third.reads] == [b"r"]


def test_8_a_leader_that_was_replaced_confirms_no_read() -> None:
    first, second, third = cluster()
    second.node.campaign()
    exchange(second, third)
    second.node.propose([b"new"])
    exchange(second, third)
    first.node.read_index(b"stale")
    exchange(first, second, third)
    assert first.reads == []


def test_3_10_of_the_thesis_leadership_is_handed_over_at_once() -> None:
    members = cluster(check_quorum=True, pre_vote=True)
    members[0].node.transfer_leader(3)
    exchange(*members)
    assert [subject.node.status().role for subject in members] == [Role.FOLLOWER, Role.FOLLOWER, Role.LEADER]
    assert {subject.node.status().term for subject in members} == {3}


def test_3_10_of_the_thesis_a_hand_over_ends_after_an_election_timeout() -> None:
    first, *_others = cluster()
    first.node.transfer_leader(3)
    with pytest.raises(TransferUnderWay):
        first.node.propose([b"x"])
    for _ in range(10):
        first.node.tick()
    first.node.propose([b"x"])


def test_6_2_of_the_thesis_a_leader_without_a_quorum_steps_down() -> None:
    first, *_others = cluster(check_quorum=True)
    for _ in range(20):
        first.node.tick()
    assert first.node.status().role is Role.FOLLOWER


def test_6_4_of_the_thesis_one_round_serves_all_reads_that_came_before_it() -> None:
    first, second, third = cluster()
    contexts = [b"a", b"b", b"c", b"d"]
    for context in contexts:
        first.node.read_index(context)
    exchange(first, second, third)
    assert [state.context for state in first.reads] == contexts
    assert first.node._raft.reads._number == 2  # the first read did not wait for the others


def test_9_6_of_the_thesis_a_member_that_was_cut_off_comes_back_quietly() -> None:
    first, second, third = cluster(check_quorum=True, pre_vote=True)
    for _ in range(100):
        third.node.tick()
    third.settle()  # lost
    assert third.node.status().term == 2
    for _ in range(15):
        third.node.tick()
    exchange(first, second, third)
    first.node.tick()
    exchange(first, second, third)
    assert (first.node.status().role, first.node.status().term) == (Role.LEADER, 2)
    assert third.node.status().leader == 1


def test_10_2_1_of_the_thesis_a_leader_sends_while_it_writes() -> None:
    first, *_others = cluster()
    first.node.propose([b"x"])
    ready = first.node.ready()
    assert [message.type for message in ready.messages] == [MessageType.APP, MessageType.APP]
    assert first.store.last_index() == 2
