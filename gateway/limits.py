"""Bounds of what a request may make the server hold or do: body size and pace, message size, time on the loop."""

import asyncio
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from starlette.types import Message, Receive, Scope

from gateway.errors import closing_reply
from gateway.options import Options
from gateway.replies import Reply
from raftgate.api import message as api
from raftgate.api.errors import Canceled, DeadlineExceeded, MessageTooLarge
from raftgate.api.kv import DeleteRangeResponse, KeyValue, RangeResponse, TxnResponse
from raftgate.api.message import Field, Kind, describe

P = ParamSpec("P")
T = TypeVar("T")

# Encoding costs about a microsecond per key and a few per kilobyte, so that both bounds stand for about a millisecond.
_LIGHT_KEYS = 500
_LIGHT_BYTES = 128 * 1024


COMPLETE_KEY = "raftgate.complete"
"""In the scope of a request whose body had arrived with its headers; set by a listener that can tell."""

_NOTHING_YET: Message = {"type": "http.request", "body": b"", "more_body": True}


class BodyRefused(Exception):
    """A body that is not read to its end; `reply` is the answer."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


async def read_body(scope: Scope, receive: Receive, options: Options) -> bytes:
    """Reads a request body.

    Raises: BodyRefused when it is too large or too slow.
            Canceled when the client goes away.
    """
    limit = options.max_body_bytes
    announced = _content_length(scope)
    if announced > limit:  # before the first read, which would ask a waiting client to go on
        raise BodyRefused(_too_large(announced, limit))
    if COMPLETE_KEY in scope:  # nothing to wait for, hence no timer
        message = await receive()
        if message["type"] == "http.request" and not message["more_body"] and len(message["body"]) <= limit:
            body: bytes = message["body"]
            return body
        return await _read_slowly(message, receive, options)
    return await _read_slowly(_NOTHING_YET, receive, options)


async def _read_slowly(message: Message, receive: Receive, options: Options) -> bytes:
    """The body that begins with `message`; each window must bring its share."""
    parts: list[bytes] = []
    total = window_total = 0
    window_end = options.clock() + options.body_window
    while True:
        if message["type"] == "http.disconnect":
            raise Canceled
        parts.append(message.get("body", b""))
        total += len(parts[-1])
        window_total += len(parts[-1])
        if total > options.max_body_bytes:
            raise BodyRefused(_too_large(total, options.max_body_bytes))
        if not message.get("more_body", False):
            return b"".join(parts)
        if window_total >= options.body_rate * options.body_window:
            window_total, window_end = 0, options.clock() + options.body_window
        try:
            async with asyncio.timeout(window_end - options.clock()):
                message = await receive()
        except TimeoutError:
            raise BodyRefused(closing_reply(408, DeadlineExceeded("request body comes too slowly"))) from None


def _content_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value)  # the HTTP parser lets digits through only
    return 0


def _too_large(size: int, limit: int) -> Reply:
    return closing_reply(429, too_large(size, limit))


def too_large(size: int, limit: int) -> MessageTooLarge:
    """The error of grpc-go for a message above its bound."""
    return MessageTooLarge(f"grpc: received message larger than max ({size} vs. {limit})")


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs what would hold the loop too long in a worker thread."""
    return await asyncio.to_thread(function, *args, **kwargs)


def is_heavy(response: api.Message) -> bool:
    """Whether encoding the response would hold the loop for milliseconds."""
    keys, size = _weight(response)
    return keys > _LIGHT_KEYS or size > _LIGHT_BYTES


def _weight(response: api.Message | None) -> tuple[int, int]:
    """Keys in a response, and bytes of their values where the keys alone do not decide."""
    if isinstance(response, RangeResponse):
        return _weight_of(response.kvs)
    if isinstance(response, DeleteRangeResponse):
        return _weight_of(response.prev_kvs)
    if not isinstance(response, TxnResponse):
        return 0, 0
    keys = size = 0
    pending = [response]
    while pending:
        for op in pending.pop().responses:
            if op.response_txn is not None:
                pending.append(op.response_txn)
                continue
            more_keys, more_size = _weight(op.response_range or op.response_delete_range)
            keys, size = keys + more_keys + 1, size + more_size
    return keys, size


def _weight_of(kvs: tuple[KeyValue, ...]) -> tuple[int, int]:
    count = len(kvs)
    if count > _LIGHT_KEYS:
        return count, 0
    size = 0
    for kv in kvs:
        size += len(kv.value)
    return count, size


def message_size(message: api.Message) -> int:
    """Bytes of a message's protobuf encoding, which etcd's bounds are defined on."""
    total = 0
    for field in describe(type(message)):
        value = getattr(message, field.name)
        if field.repeated:
            for item in value:
                total += _field_size(field, item)
        elif value is not None and (field.oneof or value != field.default):
            total += _field_size(field, value)
    return total


def _field_size(field: Field, value: Any) -> int:  # Any: the field's own type
    tag = _varint_size(field.number << 3)
    if field.kind is Kind.MESSAGE:
        inner = message_size(value)
        return tag + _varint_size(inner) + inner
    if field.kind is Kind.BYTES or field.kind is Kind.STRING:
        inner = len(value)
        return tag + _varint_size(inner) + inner
    return tag + (_varint_size(value) if isinstance(value, int) else 1)  # a known enum has a small number


def _varint_size(value: int) -> int:
    if value < 0:
        return 10  # two's complement on 64 bits
    return max(1, (value.bit_length() + 6) // 7)
