from consensus.raft.types import (
    ConfChange,
    ConfChangeType,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
    ProgressState,
    SnapshotMeta,
)
from tests.consensus.raft.members import Member, acknowledge, answer, beat, entries_of, leader, member, refuse


def sent_to(subject: Member, number: int) -> list[Message]:
    return [message for message in subject.settle() if message.to == number]


def test_a_new_leader_sends_its_first_entry_to_all() -> None:
    subject = member((1, 2, 3), [1, 1])
    subject.node.campaign()
    for request in subject.settle():
        subject.node.step(answer(request))
    appends = [
        (message.to, message.index, message.log_term, message.entries)
        for message in subject.settle()
        if message.type is MessageType.APP
    ]
    assert appends == [(number, 2, 1, tuple(entries_of([2], 3))) for number in (2, 3)]


def test_proposals_of_a_turn_go_as_one_message() -> None:
    subject = leader((1, 2))
    subject.node.step(acknowledge(2, 1, 1))
    subject.settle()
    for data in (b"a", b"b", b"c"):
        subject.node.propose([data])
    (message,) = sent_to(subject, 2)
    assert [entry.data for entry in message.entries] == [b"a", b"b", b"c"]
    assert (message.index, message.log_term, message.commit) == (1, 1, 1)


def test_a_message_is_bounded_by_bytes_and_one_entry_always_goes() -> None:
    subject = leader((1, 2), max_message_bytes=4)
    subject.node.step(acknowledge(2, 1, 1))
    subject.settle()
    subject.node.propose([b"ab", b"cd", b"longer than four", b"e"])
    sizes = [[len(entry.data) for entry in message.entries] for message in sent_to(subject, 2)]
    assert sizes == [[2, 2], [16], [1]]


def test_a_slow_member_holds_up_nobody() -> None:
    subject = leader((1, 2, 3), max_inflight=1)
    for number in (2, 3):
        subject.node.step(acknowledge(number, 1, 1))
    subject.settle()
    for index in range(2, 6):
        subject.node.propose([b"x"])
        subject.settle()
        subject.node.step(acknowledge(2, 1, index))
    assert subject.node.status().commit == 5
    assert subject.node.status().progress[3].next == 3


def test_a_refusal_goes_back_by_terms() -> None:
    subject = leader((1, 2), [1, 1, 1, 4, 4, 5, 5, 6, 6, 6])
    subject.node.step(refuse(2, 7, index=10, log_term=3, hint=10))
    (message,) = sent_to(subject, 2)
    assert (message.index, message.log_term) == (3, 1)


def test_a_hint_below_what_is_known_or_cut_is_taken_as_it_is() -> None:
    subject = leader((1, 2, 3), [1, 1, 1])
    for number in (2, 3):
        subject.node.step(acknowledge(number, 2, 4))
    subject.settle()
    subject.store.cut(2)
    subject.node.step(refuse(2, 2, index=4, log_term=1, hint=3))  # an old one: it has acknowledged more
    assert subject.node.status().progress[2].match == 4
    assert not subject.node.has_ready()


def test_a_refusal_below_the_cut_leads_to_a_snapshot() -> None:
    subject = leader((1, 2, 3), [1, 1, 1])
    subject.node.step(acknowledge(2, 2, 4))
    subject.settle()
    subject.store.cut(3)
    subject.node.step(refuse(3, 2, index=3, log_term=1, hint=1))
    assert sent_to(subject, 3) == [
        Message(
            type=MessageType.SNAP,
            to=3,
            sender=1,
            term=2,
            snapshot=SnapshotMeta(4, 2, ConfState((1, 2, 3))),
        )
    ]
    assert subject.node.status().progress[3].state is ProgressState.SNAPSHOT


def test_no_snapshot_to_whoever_gave_no_sign_of_life() -> None:
    subject = leader((1, 2, 3), [1, 1, 1], check_quorum=True)
    subject.node.step(acknowledge(2, 2, 4))
    subject.node.step(refuse(3, 2, index=3, log_term=1, hint=3))
    subject.settle()
    subject.node.step(acknowledge(3, 2, 4))
    subject.settle()
    for index in range(5, 8):
        subject.node.propose([b"x"])
        subject.settle()
        subject.node.step(acknowledge(2, 2, index))
    subject.settle()
    for _ in range(10):
        subject.node.tick()
    subject.settle()
    subject.store.cut(7)
    subject.node.report_unreachable(3)
    assert sent_to(subject, 3) == []
    subject.node.tick()
    subject.node.step(beat(3, 2))
    assert MessageType.SNAP in [message.type for message in sent_to(subject, 3)]


def test_the_snapshot_names_who_takes_part_as_of_its_index() -> None:
    subject = leader((1, 2), [1])
    subject.node.step(acknowledge(2, 2, 2))
    subject.settle()
    subject.node.propose_conf_change(ConfChange(ConfChangeType.ADD_LEARNER_NODE, 3))
    subject.settle()
    subject.node.step(acknowledge(2, 2, 3))
    ready = subject.node.ready()
    subject.apply(ready)  # it counts already, but the Ready that says so is not done
    subject.store.cut(2)
    subject.node.step(refuse(3, 2, index=2, log_term=0, hint=0))
    (snapshot,) = [message.snapshot for message in subject.node.take_messages() if message.to == 3]
    assert snapshot == SnapshotMeta(2, 2, ConfState((1, 2)))
    subject.node.advance(ready)


def test_a_heartbeat_says_no_more_than_is_known_to_match() -> None:
    subject = leader((1, 2, 3))
    subject.node.step(acknowledge(2, 1, 1))
    subject.settle()
    subject.node.tick()
    commits = {message.to: message.commit for message in subject.settle()}
    assert commits == {2: 1, 3: 0}


def test_the_end_of_a_snapshot_sends_what_follows() -> None:
    subject = leader((1, 2, 3), [1, 1, 1])
    subject.node.step(acknowledge(2, 2, 4))
    subject.settle()
    subject.store.cut(4)
    subject.node.step(refuse(3, 2, index=3, log_term=0, hint=0))
    subject.node.propose([b"x"])
    subject.settle()
    subject.node.step(acknowledge(3, 2, 4))
    (message,) = sent_to(subject, 3)
    assert (message.type, message.index, len(message.entries)) == (MessageType.APP, 4, 1)


def test_entries_are_sent_before_they_are_durable_here() -> None:
    subject = leader((1, 2))
    subject.node.step(acknowledge(2, 1, 1))
    subject.settle()
    subject.node.propose([b"x"])
    ready = subject.node.ready()
    assert [message.entries for message in ready.messages] == [(Entry(1, 2, EntryType.NORMAL, b"x"),)]
    assert subject.store.last_index() == 1
    assert subject.store.initial_state() == HardState(1, 1, 1)
