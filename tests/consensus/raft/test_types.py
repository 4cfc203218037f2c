from dataclasses import FrozenInstanceError

import pytest

from consensus.raft.types import (
    ConfChangeType,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
    SnapshotMeta,
    SoftState,
)


def test_numbers_are_etcds_for_ever() -> None:
    # etcd-io/raft raftpb/raft.proto: they are on disk and between members.
    assert {kind.name: kind.value for kind in EntryType} == {"NORMAL": 0, "CONF_CHANGE": 1}
    assert {kind.name: kind.value for kind in MessageType} == {
        "PROP": 2,
        "APP": 3,
        "APP_RESP": 4,
        "VOTE": 5,
        "VOTE_RESP": 6,
        "SNAP": 7,
        "HEARTBEAT": 8,
        "HEARTBEAT_RESP": 9,
        "TRANSFER_LEADER": 13,
        "TIMEOUT_NOW": 14,
        "READ_INDEX": 15,
        "READ_INDEX_RESP": 16,
        "PRE_VOTE": 17,
        "PRE_VOTE_RESP": 18,
    }
    assert {kind.name: kind.value for kind in ConfChangeType} == {
        "ADD_NODE": 0,
        "REMOVE_NODE": 1,
        "UPDATE_NODE": 2,
        "ADD_LEARNER_NODE": 3,
    }


def test_an_entry_is_its_fields_in_order() -> None:
    assert tuple(Entry(3, 7, EntryType.NORMAL, b"x")) == (3, 7, EntryType.NORMAL, b"x")
    assert Entry._fields == ("term", "index", "type", "data")


def test_a_new_member_has_promised_nothing() -> None:
    assert HardState() == HardState(term=0, vote=0, commit=0)
    assert SoftState().leader == 0
    assert SnapshotMeta() == SnapshotMeta(0, 0, ConfState((), ()))


def test_values_cannot_be_altered() -> None:
    message = Message(type=MessageType.APP, to=1, sender=2, term=3)
    with pytest.raises(FrozenInstanceError):
        message.term = 4  # type: ignore[misc] # that is the point
    with pytest.raises(AttributeError):
        Entry(1, 1, EntryType.NORMAL, b"").term = 2  # type: ignore[misc] # that is the point
