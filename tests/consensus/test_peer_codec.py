import dataclasses
import itertools
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.peer_codec import Control, FrameInvalid, FrameKind, FrameReader, decode_message, encode, encode_control
from consensus.raft.types import ConfState, Entry, EntryType, Message, MessageType, SnapshotMeta

GOLDEN = Path(__file__).parent / "golden"
BIG = 2**64 - 1

MESSAGES = [
    Message(type=MessageType.HEARTBEAT, to=1, sender=BIG, term=3, commit=7, context=b"\0\xff round"),
    Message(
        type=MessageType.APP,
        to=2**63,
        sender=BIG,
        term=4,
        log_term=3,
        index=9,
        entries=(Entry(4, 10, EntryType.NORMAL, b"\x01data"), Entry(4, 11, EntryType.CONF_CHANGE, b"")),
        commit=8,
    ),
    Message(type=MessageType.APP_RESP, to=1, sender=2, term=4, log_term=2, index=12, reject=True, reject_hint=5),
    Message(type=MessageType.SNAP, to=1, sender=2, term=4, snapshot=SnapshotMeta(BIG, 4, ConfState((1, 2, BIG), (5,)))),
]

messages = st.builds(
    Message,
    type=st.sampled_from(MessageType),
    to=st.integers(0, BIG),
    sender=st.integers(0, BIG),
    term=st.integers(0, BIG),
    index=st.integers(0, BIG),
    entries=st.lists(
        st.builds(Entry, st.integers(0, BIG), st.integers(0, BIG), st.sampled_from(EntryType), st.binary(max_size=40)),
        max_size=4,
    ).map(tuple),
    reject=st.booleans(),
    context=st.binary(max_size=20),
)


def read(*pieces: bytes, limit: int = 1 << 20) -> list[Message | Control]:
    reader = FrameReader(limit)
    return [frame for piece in pieces for frame in reader.feed(piece)]


@given(st.lists(messages, max_size=5), st.data())
def test_frames_come_back_however_they_are_cut(sent: list[Message], data: st.DataObject) -> None:
    frames = bytes(encode(sent)) + encode_control(FrameKind.PING, b"12345678")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(frames)), max_size=6)))
    edges = [0, *cuts, len(frames)]
    pieces = [frames[start:end] for start, end in itertools.pairwise(edges)]
    assert read(*pieces) == [*sent, Control(FrameKind.PING, b"12345678")]


def test_byte_by_byte() -> None:
    frames = bytes(encode(MESSAGES))
    assert read(*(frames[at : at + 1] for at in range(len(frames)))) == MESSAGES


def test_golden_frames_of_version_1_are_read(request: pytest.FixtureRequest) -> None:
    path = GOLDEN / "peer-1-frames.bin"
    if request.config.getoption("--rewrite"):
        path.write_bytes(bytes(encode(MESSAGES)) + encode_control(FrameKind.REFUSAL, b"text"))
    golden = path.read_bytes()
    assert read(golden) == [*MESSAGES, Control(FrameKind.REFUSAL, b"text")]


def test_each_field_of_a_message_is_on_the_wire() -> None:
    fields = {field.name for field in dataclasses.fields(Message)}
    payload = bytes(encode([MESSAGES[0]]))[5:]
    assert set(msgspec.msgpack.decode(payload)) == fields


def test_fields_of_a_later_version_are_passed_over_and_absent_ones_have_defaults() -> None:
    least = {"type": 8, "to": 1, "sender": 2, "term": 3, "invented": [1, {"x": b"y"}]}
    expected = Message(type=MessageType.HEARTBEAT, to=1, sender=2, term=3)
    assert decode_message(msgspec.msgpack.encode(least)) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0\0",
        b"\x7f\xff\xff\xff",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0\0\0\x01\x09",
        b"\0\0\0\x03\x01\xc1\xc1",
        b"\0\0\0\x02\x01\x80",
        bytes(encode([MESSAGES[0]]))[:5] + b"\xff" * 200,
        b"\0\0\0\x31\x01"
        + msgspec.msgpack.encode({"type": 99, "to": 1, "sender": 2, "term": 3, "index": 0, "x": "yyyy"}),
    ],
)
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(FrameInvalid):
        read(data, b"\0" * 300)


def test_an_oversized_frame_is_refused_by_its_length_alone() -> None:
    with pytest.raises(FrameInvalid, match="a frame of 101 bytes, at most 100 are read"):
        read(b"\0\0\0\x65", limit=100)


def test_the_messages_before_what_is_refused_arrive() -> None:
    frames = FrameReader().feed(bytes(encode(MESSAGES[:2])) + b"\0\0\0\x01\x2a")
    assert [next(frames), next(frames)] == MESSAGES[:2]
    with pytest.raises(FrameInvalid):
        next(frames)


def test_an_unfinished_frame_is_known() -> None:
    reader = FrameReader()
    frames = bytes(encode(MESSAGES[:1]))
    assert list(reader.feed(frames[:-1])) == []
    assert not reader.is_between_frames
    assert list(reader.feed(frames[-1:])) == MESSAGES[:1]
    assert reader.is_between_frames
