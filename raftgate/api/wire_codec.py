"""The MessagePack form of messages: what log entries carry, and later what raftgate's own processes speak.

A message is a map of its fields unlike their defaults. Decoding is strict, since a field that is not known
here must not be dropped from a replicated command in silence.
"""

from functools import cache
from typing import TypeVar

import msgspec

from raftgate.api.message import Message

M = TypeVar("M", bound=Message)

_ENCODER = msgspec.msgpack.Encoder()


def encode(message: Message) -> bytes:
    """Encodes a message."""
    return _ENCODER.encode(message)


def decode(cls: type[M], data: bytes) -> M:
    """Decodes a message of class `cls`.

    Raises: msgspec.DecodeError, msgspec.ValidationError.
    """
    message: M = _decoder(cls).decode(data)
    return message


@cache
def _decoder(cls: type[M]) -> msgspec.msgpack.Decoder[M]:
    return msgspec.msgpack.Decoder(cls)
