import pytest

from consensus.raft import confchange
from consensus.raft.errors import LogCorrupt
from consensus.raft.types import (
    ConfChange,
    ConfChangeType,
    ConfState,
    Entry,
    EntryType,
    Message,
    MessageType,
    ReadState,
    Role,
    SnapshotMeta,
)
from tests.consensus.raft.members import append, heartbeat, member, terms_of


def accepted(index: int, term: int = 3) -> Message:
    return Message(type=MessageType.APP_RESP, to=2, sender=1, term=term, index=index)


def refused(index: int, log_term: int, hint: int, term: int = 3) -> Message:
    kind = MessageType.APP_RESP
    return Message(type=kind, to=2, sender=1, term=term, index=index, log_term=log_term, reject=True, reject_hint=hint)


@pytest.mark.parametrize(
    ("message", "answer", "terms"),
    [
        (append(3, 3, 2, [3]), accepted(4), [1, 2, 2, 3]),
        (append(3, 0, 0, [1, 2, 2, 3]), accepted(4), [1, 2, 2, 3]),
        (append(3, 1, 1, [3]), accepted(2), [1, 3]),
        (append(3, 1, 1), accepted(1), [1, 2, 2]),
        (append(3, 5, 3, [3]), refused(5, 2, 3), [1, 2, 2]),
        (append(3, 3, 1, [3]), refused(3, 1, 1), [1, 2, 2]),
        (append(3, 3, 3, [3]), refused(3, 2, 3), [1, 2, 2]),
    ],
)
def test_appends(message: Message, answer: Message, terms: list[int]) -> None:
    subject = member((1, 2), [1, 2, 2])
    subject.node.step(message)
    assert subject.settle() == [answer]
    assert terms_of(subject) == terms
    assert [entry.term for entry in subject.store.entries(1, len(terms) + 1, 1 << 20)] == terms


@pytest.mark.parametrize(
    ("message", "commit"),
    [
        (append(3, 3, 2, [3], commit=4), 4),
        (append(3, 3, 2, [3], commit=9), 4),
        (append(3, 3, 2, [3], commit=2), 2),
        (append(3, 1, 1, [], commit=3), 1),  # what lies behind may differ from the leader's
        (append(3, 1, 1, [2], commit=3), 2),
        (append(3, 3, 3, [3], commit=3), 0),
        (heartbeat(3, commit=3), 3),
    ],
)
def test_commit(message: Message, commit: int) -> None:
    subject = member((1, 2), [1, 2, 2])
    subject.node.step(message)
    subject.settle()
    assert subject.node.status().commit == commit
    assert [entry.index for entry in subject.applied] == list(range(1, commit + 1))


def test_an_old_append_is_answered_with_the_commit_index() -> None:
    subject = member((1, 2), [1, 1, 1])
    subject.node.step(append(3, 3, 1, [], commit=3))
    subject.settle()
    subject.node.step(append(3, 1, 1, [1]))
    assert subject.settle() == [accepted(3)]


def test_an_append_is_acknowledged_when_durable() -> None:
    subject = member((1, 2))
    subject.node.step(append(1, 0, 0, [1]))
    ready = subject.node.ready()
    assert ready.messages == []
    assert ready.messages_after_append == [accepted(1, term=1)]
    assert ready.must_sync


def test_a_heartbeat_is_answered_at_once_with_its_context() -> None:
    subject = member((1, 2))
    subject.node.step(heartbeat(1, context=b"7"))
    ready = subject.node.ready()
    assert ready.messages == [Message(type=MessageType.HEARTBEAT_RESP, to=2, sender=1, term=1, context=b"7")]
    assert ready.messages_after_append == []


@pytest.mark.parametrize("message", [append(1, 0, 0), heartbeat(1)])
def test_a_word_of_the_leader_starts_the_wait_anew(message: Message) -> None:
    subject = member((1, 2))
    for _ in range(5):
        for _ in range(14):
            subject.node.tick()
        subject.node.step(message)
    assert subject.node.status().role is Role.FOLLOWER
    assert subject.node.status().leader == 2


def test_answers_mean_nothing_to_a_follower() -> None:
    subject = member((1, 2))
    subject.node.step(Message(type=MessageType.VOTE_RESP, to=1, sender=2, term=0))
    assert not subject.node.has_ready()


def test_a_heartbeat_that_shows_a_cut_short_log_stops_the_member() -> None:
    with pytest.raises(LogCorrupt):
        member((1, 2), [1]).node.step(heartbeat(1, commit=2))


def test_it_passes_on_with_its_next_ready() -> None:
    subject = member((1, 2))
    subject.node.step(heartbeat(1))
    subject.settle()
    subject.node.propose([b"a"])
    subject.node.propose([b"b"])
    assert subject.node.has_ready()
    (message,) = subject.node.take_messages()
    assert (message.type, message.to, message.term) == (MessageType.PROP, 2, 0)
    assert message.entries == (Entry(0, 0, EntryType.NORMAL, b"a"), Entry(0, 0, EntryType.NORMAL, b"b"))
    assert not subject.node.has_ready()


def test_nothing_is_passed_on_to_a_leader_of_a_later_term() -> None:
    subject = member((1, 2))
    subject.node.step(heartbeat(1))
    subject.settle()
    subject.node.propose([b"a"])
    subject.node.step(heartbeat(2))
    assert [message.type for message in subject.settle()] == [MessageType.HEARTBEAT_RESP]


def test_a_confirmed_read_is_its_own_to_serve() -> None:
    subject = member((1, 2))
    subject.node.step(heartbeat(1))
    assert subject.node.read_index(b"r")
    answer = Message(type=MessageType.READ_INDEX_RESP, to=1, sender=2, term=1, index=7, context=b"r")
    subject.node.step(answer)
    subject.settle()
    assert subject.reads == [ReadState(7, b"r")]


def test_the_members_of_a_snapshot_count_from_the_switch_on() -> None:
    subject = member((1, 2), [1])
    meta = SnapshotMeta(7, 1, ConfState((1, 2, 3), (4,)))
    subject.node.step(Message(type=MessageType.SNAP, to=1, sender=2, term=1, snapshot=meta))
    ready = subject.process()
    assert ready.snapshot == meta
    assert ready.must_sync
    assert subject.node._raft.conf == meta.conf_state
    assert [message.index for message in ready.messages_after_append] == [7]


def test_an_old_change_applied_beside_a_snapshot_alters_nothing_of_it() -> None:
    subject = member((1, 2))
    change = ConfChange(ConfChangeType.ADD_NODE, 9)
    entry = Entry(1, 1, EntryType.CONF_CHANGE, confchange.encode(change))
    kind = MessageType.APP
    subject.node.step(Message(type=kind, to=1, sender=2, term=1, entries=(entry,), commit=1))
    subject.process()
    ready = subject.node.ready()
    meta = SnapshotMeta(7, 1, ConfState((1, 2)))
    subject.node.step(Message(type=MessageType.SNAP, to=1, sender=2, term=1, snapshot=meta))
    subject.apply(ready)
    subject.node.advance(ready)
    subject.process()
    assert subject.node._raft.conf == meta.conf_state
    assert subject.node.status().applied == 7
