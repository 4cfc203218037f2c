"""Bounds of what a request may make the server hold or do: body size and pace, message size, time on the loop."""

import asyncio
from collections.abc import Callable, Iterator
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
_LET_GO_AT_ONCE = 2_000
"""Keys whose end takes about 0.2 milliseconds."""


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


def let_go(response: list[api.Message]) -> None:
    """Takes a response out of its box, of which nobody else knows, and lets go of its keys a few at a time.

    A million of them at once would keep the interpreter for a tenth of a second, whatever the thread.
    """
    kvs: list[KeyValue] = []
    for each in _lists(response.pop()):
        for start in range(0, len(each), _LET_GO_AT_ONCE):
            kvs += each[start : start + _LET_GO_AT_ONCE]
        del each
    while kvs:
        del kvs[-_LET_GO_AT_ONCE:]


def is_heavy(response: api.Message) -> bool:
    """Whether encoding the response would hold the loop for milliseconds."""
    keys = size = 0
    for kvs in _lists(response):
        keys += len(kvs) + 1
        if keys > _LIGHT_KEYS + 1:
            return True
        for kv in kvs:
            size += len(kv.value)
    return size > _LIGHT_BYTES


def _lists(response: api.Message) -> Iterator[tuple[KeyValue, ...]]:
    """The keys in a response, a tuple for each operation that answers some."""
    if isinstance(response, RangeResponse):
        yield response.kvs
    elif isinstance(response, DeleteRangeResponse):
        yield response.prev_kvs
    elif isinstance(response, TxnResponse):
        for op in response.responses:
            inner = op.response_range or op.response_delete_range or op.response_txn
            if inner is not None:
                yield from _lists(inner)
            elif op.response_put is not None:
                yield (op.response_put.prev_kv,) if op.response_put.prev_kv else ()


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
