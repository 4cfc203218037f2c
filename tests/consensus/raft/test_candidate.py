from random import Random

import pytest

from consensus.raft.rawnode import Config
from consensus.raft.types import TRANSFER, ConfChange, ConfChangeType, ConfState, Message, MessageType, Role
from tests.consensus.raft.members import Member, answer, append, heartbeat, leader, member


def test_it_asks_all_other_voters() -> None:
    subject = member((1, 2, 3), [1, 1])
    subject.node.campaign()
    ready = subject.process()
    assert ready.messages == []
    assert ready.messages_after_append == [
        Message(type=MessageType.VOTE, to=to, sender=1, term=2, index=2, log_term=1) for to in (2, 3)
    ]
    assert ready.must_sync


@pytest.mark.parametrize(
    ("voters", "refusals", "grants", "role"),
    [
        ((1,), (), (), Role.LEADER),
        ((1, 2), (), (), Role.CANDIDATE),
        ((1, 2), (), (2,), Role.LEADER),
        ((1, 2), (2,), (), Role.FOLLOWER),
        ((1, 2, 3), (2,), (), Role.CANDIDATE),
        ((1, 2, 3), (2,), (3,), Role.LEADER),
        ((1, 2, 3), (2, 3), (), Role.FOLLOWER),
        ((1, 2, 3), (2,), (2,), Role.CANDIDATE),  # no second answer counts
        ((1, 2, 3, 4, 5), (), (2,), Role.CANDIDATE),
        ((1, 2, 3, 4, 5), (2, 3), (4, 5), Role.LEADER),
    ],
)
def test_the_count(voters: tuple[int, ...], refusals: tuple[int, ...], grants: tuple[int, ...], role: Role) -> None:
    subject = member(voters)
    subject.node.campaign()
    requests = {request.to: request for request in subject.settle()}
    for voter in refusals:
        subject.node.step(answer(requests[voter], reject=True))
    for voter in grants:
        subject.node.step(answer(requests[voter]))
    assert subject.node.status().role is role


def test_answers_of_others_than_members_are_dropped() -> None:
    subject = member((1, 2, 3))
    subject.node.campaign()
    subject.settle()
    for sender in (7, 8, 9):
        subject.node.step(Message(type=MessageType.VOTE_RESP, to=1, sender=sender, term=1))
    assert subject.node.status().role is Role.CANDIDATE


def test_it_gives_way_to_the_leader_of_its_term() -> None:
    subject = member((1, 2))
    subject.node.campaign()
    subject.settle()
    subject.node.step(append(1, 0, 0, [1]))
    assert subject.node.status().role is Role.FOLLOWER
    assert subject.node.status().leader == 2
    assert subject.node.status().last_index == 1


def test_it_heeds_nothing_else() -> None:
    subject = member((1, 2))
    subject.node.campaign()
    subject.settle()
    subject.node.step(Message(type=MessageType.HEARTBEAT_RESP, to=1, sender=2, term=1))
    assert not subject.node.has_ready()


def test_it_does_not_campaign_before_what_is_committed_is_applied() -> None:
    subject = member((1, 2), [1, 1])
    subject.node.step(heartbeat(1, commit=2))
    subject.node.campaign()
    for _ in range(30):
        subject.node.tick()
    assert subject.node.status().role is Role.FOLLOWER
    subject.settle()
    subject.node.tick()
    assert subject.node.status().role is Role.CANDIDATE


def test_a_leader_does_not_campaign() -> None:
    subject = leader()
    subject.node.campaign()
    assert subject.node.status().term == 1


def test_a_removed_member_does_not_campaign() -> None:
    subject = member((1, 2))
    subject.node.apply_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 1))
    for _ in range(40):
        subject.node.tick()
    assert subject.node.status().term == 0


def test_a_lone_voter_asks_nobody_first() -> None:
    subject = member(pre_vote=True)
    subject.node.campaign()
    assert subject.node.status().role is Role.CANDIDATE


def test_a_pre_candidate_has_opened_no_term() -> None:
    subject = member((1, 2), [1], pre_vote=True)
    for _ in range(3):
        subject.node.campaign()
        ready = subject.process()
        assert not ready.must_sync
    assert (subject.node.status().term, subject.node.status().role) == (1, Role.PRE_CANDIDATE)
    assert subject.store.initial_state().vote == 0


def test_a_won_pre_vote_opens_the_term_that_was_asked_about() -> None:
    subject = member((1, 2, 3), [1], pre_vote=True)
    subject.node.campaign()
    (request, _other) = subject.settle()
    grant = Message(type=MessageType.PRE_VOTE_RESP, to=1, sender=2, term=request.term)
    subject.node.step(grant)
    subject.settle()
    assert (subject.node.status().term, subject.node.status().role) == (2, Role.CANDIDATE)
    subject.node.step(grant)
    assert subject.node.status().role is Role.CANDIDATE, "a pre-vote is no vote"
    for _ in range(20):
        subject.node.tick()
    assert subject.node.status().role is Role.PRE_CANDIDATE, "a lost election is followed by a question again"


def test_whoever_is_called_asks_nobody_first() -> None:
    subject = member((1, 2, 3), [1], pre_vote=True)
    subject.node.step(Message(type=MessageType.TIMEOUT_NOW, to=1, sender=2, term=1))
    requests = subject.settle()
    assert {(request.type, request.context) for request in requests} == {(MessageType.VOTE, TRANSFER)}


def test_a_learner_that_is_called_does_not_campaign() -> None:
    subject = member((2,), [1], learners=(1,))
    subject.node.step(Message(type=MessageType.TIMEOUT_NOW, to=1, sender=2, term=1))
    assert subject.node.status().role is Role.FOLLOWER


class Elections:
    """Three voters campaign, crash, and lose, delay and double messages at random."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.members = {number: self.elector(number) for number in (1, 2, 3)}
        self.pool: list[Message] = []
        self.leaders: dict[int, int] = {}
        """term -> its leader."""

    def elector(self, number: int, before: Member | None = None) -> Member:
        config = Config(id=number, conf_state=ConfState((1, 2, 3)), random=self.chance.random, pre_vote=False)
        return Member(config, before.store if before else None)

    def campaign(self, subject: Member) -> None:
        subject.node.campaign()

    def crash(self, subject: Member) -> None:
        """Nothing but the store is left; a Ready may be lost before or after it was saved."""
        if subject.node.has_ready():
            ready = subject.node.ready()
            if self.chance.random() < 0.5:
                subject.persist(ready)
        number = subject.node.status().id
        self.members[number] = self.elector(number, subject)

    def process(self, subject: Member) -> None:
        if subject.node.has_ready():
            self.pool += subject.process().messages_after_append

    def deliver(self, _subject: Member) -> None:
        if self.pool:
            message = self.pool.pop(self.chance.randrange(len(self.pool)))
            if self.chance.random() < 0.8:
                self.members[message.to].node.step(message)
            if self.chance.random() < 0.2:
                self.pool.append(message)

    def check(self) -> None:
        for member_ in self.members.values():
            status = member_.node.status()
            if status.role is Role.LEADER:
                assert self.leaders.setdefault(status.term, status.id) == status.id, "two leaders in one term"

    def play(self) -> int:
        """Returns how many terms had a leader."""
        events = [self.campaign, self.crash, self.process, self.deliver]
        for _ in range(300):
            (event,) = self.chance.choices(events, weights=(10, 5, 45, 40))
            event(self.members[self.chance.choice((1, 2, 3))])
            self.check()
        return len(self.leaders)


def test_election_safety() -> None:
    # Raft 5.2: at most one leader in a term, whatever is lost, late, doubled or crashed.
    assert sum(Elections(seed).play() for seed in range(150)) > 150
