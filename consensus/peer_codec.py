"""Messages between members, to bytes and back: frames in the body of a long request and in its answer.

A frame is its length (4 bytes, big endian), its kind (one byte, counted in the length) and its payload. A message's
payload is the MessagePack map of its fields by name, straight from the dataclass: a field that is added there is here
at once. An older reader passes over a field that it does not know, and an absent one has its default; what an older
member must not pass over needs a new format version, which is part of the path (`consensus.peer_identity`).
"""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Final, NamedTuple

import msgspec

from consensus.raft.types import Message

FORMAT_VERSION: Final = 1

MAX_FRAME_BYTES: Final = 64 << 20
"""Longer ones are refused unless told otherwise: an append holds 1 MiB of entries, or one entry of any size."""


class FrameKind(IntEnum):
    """What a frame's payload is."""

    MESSAGE = 1
    PING = 2
    """Asks for a PONG of the same payload."""
    PONG = 3
    """Says that what was sent is being read; empty where nothing was asked."""
    REFUSAL = 4
    """Says in plain text why the stream ends."""


class Control(NamedTuple):
    """A frame that is no message."""

    kind: FrameKind
    payload: bytes


class FrameInvalid(Exception):
    """What came is no frame that this version reads; nothing behind it can be read either."""


_HEAD: Final = 5
_LENGTH: Final = 4
_EMPTY: Final = b"\0" * _HEAD
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Message)


def append(frames: bytearray, message: Message) -> None:
    """Puts a message's frame behind others."""
    start = len(frames)
    frames += _EMPTY
    _ENCODER.encode_into(message, frames, -1)
    length = len(frames) - start - _LENGTH
    frames[start : start + _HEAD] = length.to_bytes(_LENGTH, "big") + b"\x01"


def encode(messages: Iterable[Message]) -> bytearray:
    """The frames of messages, one behind the other."""
    frames = bytearray()
    for message in messages:
        append(frames, message)
    return frames


def encode_control(kind: FrameKind, payload: bytes = b"") -> bytes:
    """A frame that is no message."""
    return (len(payload) + 1).to_bytes(_LENGTH, "big") + bytes((kind,)) + payload


def decode_message(payload: bytes | memoryview) -> Message:
    """A message of its payload.

    Raises: FrameInvalid.
    """
    try:
        return _DECODER.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FrameInvalid(f"unreadable message: {error}") from error


class FrameReader:
    """Takes bytes as they come and gives frames; holds no more than one unfinished frame."""

    __slots__ = ("_limit", "_rest", "_wanted")

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._limit = max_frame_bytes
        self._rest = bytearray()
        self._wanted = 0
        """Bytes that the unfinished frame needs to be looked at again."""

    @property
    def is_between_frames(self) -> bool:
        """Whether no frame is unfinished."""
        return not self._rest

    def feed(self, data: bytes) -> Iterator[Message | Control]:
        """The frames that `data` completes; to be read to the end.

        Raises: FrameInvalid.
        """
        whole: bytes | bytearray = data
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return
            whole, self._rest = self._rest, bytearray()
        view = memoryview(whole)
        start, size = 0, len(whole)
        while True:
            self._wanted = _HEAD
            if size - start >= _LENGTH:
                length = int.from_bytes(view[start : start + _LENGTH], "big")
                if not 0 < length <= self._limit:
                    raise FrameInvalid(f"a frame of {length} bytes, at most {self._limit} are read")
                self._wanted = _LENGTH + length
            if size - start < self._wanted:
                break
            end = start + self._wanted
            yield _frame(view[start + _LENGTH], view[start + _HEAD : end])
            start = end
        self._rest += view[start:]


def _frame(kind: int, payload: memoryview) -> Message | Control:
    if kind == FrameKind.MESSAGE:
        return decode_message(payload)
    try:
        return Control(FrameKind(kind), bytes(payload))
    except ValueError:
        raise FrameInvalid(f"a frame of unknown kind {kind}") from None
