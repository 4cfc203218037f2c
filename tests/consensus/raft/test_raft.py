"""What holds in every role. Elections, appends and commits are in the tests of the roles, claims in test_paper.py."""

from collections.abc import Callable

import pytest

from consensus.raft.raft import Config
from consensus.raft.types import TRANSFER, HardState, Message, MessageType, Role
from tests.consensus.raft.members import Member, append, half, heartbeat, leader, member, vote


@pytest.mark.parametrize(
    ("number", "election_ticks", "heartbeat_ticks"), [(0, 10, 1), (1, 10, 10), (1, 10, 0), (1, 1, 1)]
)
def test_a_config_that_cannot_work(number: int, election_ticks: int, heartbeat_ticks: int) -> None:
    with pytest.raises(ValueError):
        Config(id=number, random=half, election_ticks=election_ticks, heartbeat_ticks=heartbeat_ticks)


def test_without_a_trace_nothing_is_said() -> None:
    Config(id=1, random=half).trace("to nobody")


@pytest.mark.parametrize(("number", "ticks"), [(0.0, 10), (0.5, 15), (0.999, 19)])
def test_the_election_timeout_is_between_one_and_two_times_the_ticks(number: float, ticks: int) -> None:
    lone = member(random=lambda: number)
    for _ in range(ticks - 1):
        lone.node.tick()
    assert lone.node.status().role is Role.FOLLOWER
    lone.node.tick()
    assert lone.node.status().role is Role.CANDIDATE


def test_each_timeout_is_drawn_anew() -> None:
    numbers = iter([0.0, 0.3, 0.9])
    subject = member((1, 2), random=lambda: next(numbers))
    terms = []
    for _ in range(24):
        subject.node.tick()
        terms.append(subject.node.status().term)
    assert terms == [0] * 9 + [1] * 13 + [2] * 2


@pytest.mark.parametrize("start", [member, leader])
def test_what_a_word_from_a_leader_of_a_later_term_does(start: Callable[[], Member]) -> None:
    subject = start()
    subject.node.step(heartbeat(7))
    status = subject.node.status()
    assert (status.term, status.role, status.leader) == (7, Role.FOLLOWER, 2)


def test_a_candidate_of_a_later_term_is_not_its_leader() -> None:
    subject = member((1, 2))
    subject.node.step(vote(7, 0, 0))
    assert subject.node.status().leader == 0


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        (append(1, 0, 0, [1]), MessageType.APP_RESP),
        (heartbeat(1), MessageType.APP_RESP),
        (vote(1, 9, 9), MessageType.VOTE_RESP),
    ],
)
def test_a_request_of_an_old_term_is_refused_with_the_present_one(message: Message, answer: MessageType) -> None:
    subject = member((1, 2), hard_state=HardState(term=3))
    subject.node.step(message)
    assert subject.settle() == [Message(type=answer, to=2, sender=1, term=3, reject=True)]
    assert subject.node.status().last_index == 0


def test_an_answer_of_an_old_term_is_not_answered() -> None:
    subject = member((1, 2), hard_state=HardState(term=3))
    subject.node.step(Message(type=MessageType.VOTE_RESP, to=1, sender=2, term=2))
    assert not subject.node.has_ready()


@pytest.mark.parametrize(
    ("voted", "candidate", "index", "log_term", "granted"),
    [
        (0, 2, 2, 2, True),
        (0, 2, 1, 3, True),
        (0, 2, 1, 2, False),
        (0, 2, 9, 1, False),
        (2, 2, 2, 2, True),
        (3, 2, 2, 2, False),
        (3, 2, 9, 9, False),
    ],
)
def test_votes(voted: int, candidate: int, index: int, log_term: int, *, granted: bool) -> None:
    subject = member((1, 2, 3), [1, 2], HardState(term=4, vote=voted))
    subject.node.step(vote(4, index, log_term, candidate))
    ready = subject.process()
    expected = Message(type=MessageType.VOTE_RESP, to=candidate, sender=1, term=4, reject=not granted)
    assert ready.messages_after_append == [expected]
    assert subject.store.initial_state().vote == (candidate if granted else voted)


def test_giving_a_vote_starts_the_wait_anew() -> None:
    subject = member((1, 2))
    for _ in range(14):
        subject.node.tick()
    subject.node.step(vote(1, 0, 0))
    subject.node.tick()
    assert subject.node.status().role is Role.FOLLOWER


def test_what_happens_can_be_traced() -> None:
    lines: list[str] = []
    leader(trace=lines.append)
    assert lines == ["is a candidate at term 1", "got the vote of 1 at term 1: WON", "leads at term 1, from index 1 on"]


def pre_vote(term: int, index: int = 0, log_term: int = 0, sender: int = 2, context: bytes = b"") -> Message:
    kind = MessageType.PRE_VOTE
    return Message(type=kind, to=1, sender=sender, term=term, index=index, log_term=log_term, context=context)


@pytest.mark.parametrize(
    ("message", "granted", "term"),
    [
        (pre_vote(5, 2, 2), True, 5),
        (pre_vote(9, 1, 3), True, 9),
        (pre_vote(5, 1, 2), False, 4),
        (pre_vote(4, 2, 2, sender=3), True, 4),  # it has its vote already
        (pre_vote(4, 2, 2), False, 4),
        (pre_vote(3, 9, 9), False, 4),
    ],
)
def test_pre_votes(message: Message, term: int, *, granted: bool) -> None:
    subject = member((1, 2, 3), [1, 2], HardState(term=4, vote=3))
    subject.node.step(message)
    ready = subject.process()
    kind = MessageType.PRE_VOTE_RESP
    assert ready.messages_after_append == [
        Message(type=kind, to=message.sender, sender=1, term=term, reject=not granted)
    ]
    assert subject.store.initial_state() == HardState(term=4, vote=3)


@pytest.mark.parametrize("kind", [MessageType.VOTE, MessageType.PRE_VOTE])
@pytest.mark.parametrize(
    ("check_quorum", "ticks", "context", "ignored"),
    [(True, 9, b"", True), (True, 10, b"", False), (True, 0, TRANSFER, False), (False, 0, b"", False)],
)
def test_who_hears_a_leader_keeps_it(
    kind: MessageType, ticks: int, context: bytes, *, check_quorum: bool, ignored: bool
) -> None:
    subject = member((1, 2, 3), check_quorum=check_quorum)
    subject.node.step(heartbeat(1))
    subject.settle()
    for _ in range(ticks):
        subject.node.tick()
    subject.node.step(Message(type=kind, to=1, sender=3, term=2, context=context))
    assert bool(subject.settle()) is not ignored


def test_a_leader_that_is_heard_keeps_itself() -> None:
    subject = leader((1, 2, 3), check_quorum=True)
    for _ in range(5):
        subject.node.step(Message(type=MessageType.HEARTBEAT_RESP, to=1, sender=2, term=1))
        for _ in range(10):
            subject.node.step(vote(2, 9, 9, sender=3))
            subject.node.tick()
    assert subject.node.status().role is Role.LEADER


def test_a_refused_pre_vote_of_a_later_term_is_a_later_term() -> None:
    subject = member((1, 2), pre_vote=True)
    subject.node.campaign()
    subject.node.step(Message(type=MessageType.PRE_VOTE_RESP, to=1, sender=2, term=7, reject=True))
    assert (subject.node.status().term, subject.node.status().role) == (7, Role.FOLLOWER)
