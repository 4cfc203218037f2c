"""etcd's JSON form of messages: int64 as strings, bytes as base64, fields at their default left out.

Bodies in the usual form take msgspec's typed decoder. Whatever it refuses but etcd may accept (numbers as strings,
camelCase names, enum numbers, unknown fields, text after the value) goes to `json_tolerant`. Encoders and counters
are generated once per message class, since they run for every request and every key of an answer.
"""

import re
from binascii import b2a_base64
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, TypeVar

import msgspec

from raftgate.api import json_tolerant
from raftgate.api.errors import InvalidArgument
from raftgate.api.message import Field, Kind, Message, describe

PIECE_BYTES = 128 * 1024
"""What a piece of a long encoding measures at least, unless it is the last one."""

MAX_DEPTH = 500  # etcd allows about 10,000; a txn within the default limits needs under 400

M = TypeVar("M", bound=Message)

_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]')


def decode(cls: type[M], body: bytes) -> M:
    """Decodes the first JSON value of `body`; an empty body is an empty message.

    Raises: InvalidArgument.
    """
    if not body or body.isspace():
        return cls()
    _check_depth(body)
    try:
        message: M = _decoder(cls).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return json_tolerant.decode(cls, body)
    if _counter(cls)(message) != body.count(b":") or _beyond_uint64(message):
        # A name given twice, or just an explicit default or a colon in a text: the tolerant decoder can tell.
        return json_tolerant.decode(cls, body)
    return message


def encode(message: Message) -> bytes:
    """Encodes a message, its fields in the order of their numbers."""
    return encoder(type(message))(message)


def pieces(message: Message) -> Iterator[bytes]:
    """Encodes a message as `encode` does, in pieces: joining a hundred megabytes would hold all threads up."""
    parts: list[bytes] = []
    size = 0
    for part in _parts(message):
        parts.append(part)
        size += len(part)
        if size >= PIECE_BYTES:
            yield b"".join(parts)
            parts.clear()
            size = 0
    if parts:
        yield b"".join(parts)


def _parts(message: Message) -> Iterator[bytes]:
    """The encoding of a message that may be long, an item of its lists or less at a time."""
    cls = type(message)
    separator = b"{"
    for field in describe(cls):
        value = getattr(message, field.name)
        if not _may_be_long(field):
            part = encode(cls(**{field.name: value}))[1:-1]
            if part:
                yield separator + part
                separator = b","
        elif value:
            yield b'%b"%b":' % (separator, field.name.encode())
            yield from _items(value) if field.repeated else _parts(value)
            separator = b","
    yield b"{}" if separator == b"{" else b"}"


def _items(messages: tuple[Message, ...]) -> Iterator[bytes]:
    separator = b"["
    is_long = any(map(_may_be_long, describe(type(messages[0]))))
    for message in messages:
        if is_long:
            yield separator
            yield from _parts(message)
        else:
            yield separator + encode(message)
        separator = b","
    yield b"]"


@cache
def _may_be_long(field: Field) -> bool:
    """Whether a field holds a list of messages, itself or within."""
    of: type[Message] | None = field.of
    return field.kind is Kind.MESSAGE and of is not None and (field.repeated or any(map(_may_be_long, describe(of))))


def _check_depth(body: bytes) -> None:
    if body.count(b"{") + body.count(b"[") <= MAX_DEPTH:
        return
    depth = 0
    for token in _STRUCTURE.finditer(body):
        first = body[token.start()]
        if first in b"{[":
            depth += 1
            if depth > MAX_DEPTH:
                raise InvalidArgument("exceeded max depth")
        elif first in b"]}":
            depth -= 1
            if depth <= 0:  # the first value has ended; what follows is not read
                return


@cache
def _decoder(cls: type[M]) -> msgspec.json.Decoder[M]:
    return msgspec.json.Decoder(cls)


def _beyond_uint64(message: Message) -> bool:
    return any(getattr(message, name) > json_tolerant.MAX_UINT64 for name in _uint64_fields(type(message)))


@cache
def _uint64_fields(cls: type[Message]) -> tuple[str, ...]:
    return tuple(field.name for field in describe(cls) if field.kind is Kind.UINT64 and not field.repeated)


@cache
def _counter(cls: type[Message]) -> Callable[[Message], int]:
    """A function that counts the fields unlike their default, nested ones included."""
    terms = ["0"]
    namespace: dict[str, Any] = {}  # Any: what the generated text refers to
    for field in describe(cls):
        value = f"m.{field.name}"
        if field.kind is not Kind.MESSAGE:
            namespace[f"d_{field.name}"] = field.default
            terms.append(f"({value} != d_{field.name})")
            continue
        namespace[f"c_{field.name}"] = _late(_counter, field)
        if field.repeated:
            terms.append(f"(1 + sum(map(c_{field.name}, {value})) if {value} else 0)")
        else:
            terms.append(f"(0 if {value} is None else 1 + c_{field.name}({value}))")
    return _generated(f"def generated(m):\n    return {' + '.join(terms)}\n", namespace)


@cache
def encoder(cls: type[Message]) -> Callable[[Message], bytes]:
    """A function that encodes messages of class `cls`."""
    namespace: dict[str, Any] = {"b2a": b2a_base64, "text": msgspec.json.encode}  # Any: see above
    lines = ["def generated(m):", "    parts = []"]
    for field in describe(cls):
        condition, value = _encoding(field, namespace)
        lines.append(f"    v = m.{field.name}")
        lines.append(f"    if {condition}:")
        lines.append(f"        parts.append({value})")
    lines.append("    return b'{' + b','.join(parts) + b'}'")
    return _generated("\n".join(lines), namespace)


def _encoding(field: Field, namespace: dict[str, Any]) -> tuple[str, str]:  # Any: see above
    """The condition under which a field is written, and the expression that writes it."""
    namespace[f"d_{field.name}"] = field.default
    namespace[f"e_{field.name}"] = _late(encoder, field) if field.kind is Kind.MESSAGE else None
    formats = {
        Kind.INT64: ("%d", '"%d"'),
        Kind.UINT64: ("%d", '"%d"'),
        Kind.INT32: ("%d", "%d"),
        Kind.UINT32: ("%d", "%d"),
        Kind.BOOL: ("text(%s)", "%b"),
        Kind.ENUM: ("text(%s)", "%b"),
        Kind.STRING: ("text(%s)", "%b"),
        Kind.BYTES: ("b2a(%s, newline=False)", '"%b"'),
        Kind.MESSAGE: (f"e_{field.name}(%s)", "%b"),
    }
    call, template = formats[field.kind]
    call = call.replace("%d", "%s")
    if field.repeated:
        item = f"b'{template}' % {call % 'i'}"
        return "v", f"""b'"{field.name}":[%b]' % b','.join([{item} for i in v])"""
    condition = f"v is not d_{field.name} and v != d_{field.name}" if field.default is not None else "v is not None"
    return condition, f"""b'"{field.name}":{template}' % {call % "v"}"""


def _late(make: Callable[[Any], Callable[[Any], Any]], field: Field) -> Callable[[Any], Any]:  # Any: see above
    """A call of the function made for a field's class, made on first use: messages may nest in themselves."""
    made: list[Callable[[Any], Any]] = []

    def call(message: Message) -> object:
        if not made:
            made.append(make(field.of))
        return made[0](message)

    return call


def _generated(source: str, namespace: dict[str, Any]) -> Callable[[Any], Any]:  # Any: see above
    exec(source, namespace)  # noqa: S102 - only names of our own fields enter the text, as in dataclasses
    function: Callable[[Any], Any] = namespace["generated"]
    return function
