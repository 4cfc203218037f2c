"""The tolerant JSON decoder: everything that etcd 3.6's JSON gateway accepts, with its errors (Go protojson).

The first value is checked as JSON by the standard library, so that the walk over it, which follows the message's
fields and knows the place of every token, meets no syntax error.
"""

import json
import re
from binascii import a2b_base64
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Any, NoReturn, TypeVar

from raftgate.api.errors import InvalidArgument
from raftgate.api.message import MAX_INT32, Field, Kind, Message, describe

MAX_UINT64 = 2**64 - 1

M = TypeVar("M", bound=Message)

_BOUNDS = {
    Kind.INT32: (-(2**31), MAX_INT32),
    Kind.ENUM: (-(2**31), MAX_INT32),
    Kind.UINT32: (0, 2**32 - 1),
    Kind.INT64: (-(2**63), 2**63 - 1),
    Kind.UINT64: (0, MAX_UINT64),
}
_KIND_NAMES = {kind: kind.name.lower() for kind in Kind}
_ESCAPE_LENGTH = 6  # of `\u0000`; what follows half a pair is looked at as the other half (Go protobuf, string.go)
_MAX_DIGITS = 20  # of a 64-bit integer, with one to spare
_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_BAD_UTF8 = re.compile(r"[\udc80-\udcff]")  # what `surrogateescape` makes of a byte that is not UTF-8
_ESCAPE = re.compile(r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|u([dD][89a-fA-F]..)|.)")
"""An escape; the group matches the half of a surrogate pair."""
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_TO_STANDARD = str.maketrans("-_", "+/")


def decode(cls: type[M], body: bytes) -> M:
    """Decodes the first JSON value of `body`.

    Raises: InvalidArgument.
    """
    text = body.decode(errors="surrogateescape")
    start = _SPACE.match(text).end()  # type: ignore[union-attr]  # the pattern matches anywhere
    end = _check_syntax(text, start)
    walk = _Walk(text[:end])
    if text[start] != "{":
        walk.unexpected(start)
    return walk.message(cls, start)[0]


class _Number(str):
    """A number as it was written."""

    __slots__ = ()


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidArgument(f"invalid character {name[0]!r} looking for beginning of value")


_SCANNER = json.JSONDecoder(parse_int=_Number, parse_float=_Number, parse_constant=_refuse_constant)


def _check_syntax(text: str, start: int) -> int:
    """Where the value that begins at `start` ends."""
    try:
        return _SCANNER.raw_decode(text, start)[1]
    except json.JSONDecodeError as error:
        position = error.pos
        if position >= len(text) or error.msg.startswith("Unterminated"):
            raise InvalidArgument("unexpected EOF") from None
        looking = "looking for beginning of value" if error.msg == "Expecting value" else "after object key:value pair"
        if error.msg.startswith("Expecting property name"):
            looking = "looking for beginning of object key string"
        character = text[position].encode(errors="surrogateescape").decode(errors="replace")
        quoted = "'\\''" if character == "'" else f"'{character}'"
        raise InvalidArgument(f"invalid character {quoted} {looking}") from None


@cache
def _fields_by_name(cls: type[Message]) -> dict[str, Field]:
    fields = describe(cls)
    return {field.json_name: field for field in fields} | {field.name: field for field in fields}


class _Walk:
    """Reads messages out of JSON that is known to be well-formed."""

    def __init__(self, text: str) -> None:
        self.text = text

    def message(self, cls: type[M], start: int) -> tuple[M, int]:
        """The message whose object opens at `start`, and where it ends."""
        fields = _fields_by_name(cls)
        values: dict[str, Any] = {}  # Any: each field has its own type
        seen: set[str] = set()
        oneofs: set[str] = set()
        position = self.skip_space(start + 1)
        while self.text[position] != "}":
            name_at = position
            name, position = self.scan(position)
            position = self.skip_space(self.skip_space(position) + 1)  # the colon
            field = fields.get(name)
            if field is None:
                position = self.scan(position)[1]
            else:
                if field.name in seen:
                    self.fail(name_at, f"duplicate field {self.token(name_at)}")
                seen.add(field.name)
                position = self.field(field, position, name_at, values, oneofs, cls)
            position = self.skip_space(position)
            if self.text[position] == ",":
                position = self.skip_space(position + 1)
        return cls(**values), position + 1

    def field(
        self, field: Field, at: int, name_at: int, values: dict[str, Any], oneofs: set[str], cls: type[Message]
    ) -> int:
        """Reads one field's value into `values`; answers where it ends."""
        if self.text.startswith("null", at):
            return at + 4
        if field.oneof:
            if field.oneof in oneofs:
                path = f"{cls.package}.{cls.__name__}.{field.oneof}"
                self.fail(name_at, f"error parsing {self.token(name_at)}, oneof {path} is already set")
            oneofs.add(field.oneof)
        if not field.repeated:
            value, end = self.value(field, at)
            if value is not None:
                values[field.name] = value
            return end
        if self.text[at] != "[":
            self.unexpected(at)
        items = []
        at = self.skip_space(at + 1)
        while self.text[at] != "]":
            value, at = self.value(field, at)
            if value is not None:
                items.append(value)
            at = self.skip_space(at)
            if self.text[at] == ",":
                at = self.skip_space(at + 1)
        values[field.name] = tuple(items)
        return at + 1

    def value(self, field: Field, at: int) -> tuple[Any, int]:  # Any: the field's own type
        """One value of a field, None for the unknown name of an enum, and where it ends."""
        if field.kind is Kind.MESSAGE:
            if self.text[at] != "{":
                self.unexpected(at)
            assert field.of is not None
            return self.message(field.of, at)
        if self.text[at] in "{[":
            self.invalid(field, at)
        raw, end = self.scan(at)
        try:
            return _scalar(field, raw), end
        except ValueError:
            self.invalid(field, at)

    def scan(self, at: int) -> tuple[Any, int]:  # Any: what JSON may hold
        """The JSON value at `at`, numbers as text, and where it ends."""
        value, end = _SCANNER.raw_decode(self.text, at)
        if bad := _BAD_UTF8.search(self.text, at, end):
            line, column = self.place(bad.start())
            raise InvalidArgument(f"proto: syntax error (line {line}:{column}): invalid UTF-8 in string")
        if self.text.find("\\u", at, end) >= 0:
            self.check_escapes(at, end)
        return value, end

    def check_escapes(self, at: int, end: int) -> None:
        """Refuses half a surrogate pair in the strings of `[at, end)`, which the standard library lets pass."""
        for escape in _ESCAPE.finditer(self.text, at, end):
            if escape[1] is None:
                continue
            if len(self.text) - escape.end() < _ESCAPE_LENGTH:
                raise InvalidArgument("proto: unexpected EOF")
            line, column = self.place(self.text.rfind('"', at, escape.start()))
            following = self.text[escape.end() : escape.end() + _ESCAPE_LENGTH]
            raise InvalidArgument(
                f"proto: syntax error (line {line}:{column}): invalid escape code {json.dumps(following)} in string"
            )

    def skip_space(self, at: int) -> int:
        """The next position that is not white space."""
        return _SPACE.match(self.text, at).end()  # type: ignore[union-attr]  # the pattern matches anywhere

    def token(self, at: int) -> str:
        """The token at `at` as it was written; of an object or a list only its bracket."""
        if self.text[at] in "{[":
            return self.text[at]
        return self.text[at : self.scan(at)[1]]

    def place(self, at: int) -> tuple[int, int]:
        """Line and column of a position, from 1 on."""
        before = self.text[:at]
        return before.count("\n") + 1, at - before.rfind("\n")

    def invalid(self, field: Field, at: int) -> NoReturn:
        """Refuses the value at `at`."""
        kind = _KIND_NAMES[field.kind]
        self.fail(at, f"invalid value for {kind} field {field.json_name}: {self.token(at)}")

    def unexpected(self, at: int) -> NoReturn:
        """Refuses the token at `at` as out of place."""
        line, column = self.place(at)
        raise InvalidArgument(f"proto: syntax error (line {line}:{column}): unexpected token {self.token(at)}")

    def fail(self, at: int, what: str) -> NoReturn:
        """Refuses the message because of the token at `at`."""
        line, column = self.place(at)
        raise InvalidArgument(f"proto: (line {line}:{column}): {what}")


def _scalar(field: Field, raw: Any) -> Any:  # Any: what JSON may hold, and the field's own type
    """Raises: ValueError."""
    if field.kind is Kind.BOOL:
        if isinstance(raw, bool):
            return raw
        raise ValueError
    if field.kind is Kind.ENUM:
        return _enum(field, raw)
    if not isinstance(raw, str):
        raise ValueError  # noqa: TRY004 - the caller turns this one into the answer
    if field.kind is Kind.BYTES or field.kind is Kind.STRING:
        if isinstance(raw, _Number):
            raise ValueError
        return _bytes(raw) if field.kind is Kind.BYTES else raw
    return _integer(field.kind, raw)


def _enum(field: Field, raw: Any) -> StrEnum | int | None:  # Any: what JSON may hold
    assert field.of is not None
    members: list[StrEnum] = list(field.of.__members__.values())
    if isinstance(raw, _Number):
        value = _integer(Kind.ENUM, raw)
        if 0 <= value < len(members):
            return members[value]
        return (
            value if value > 0 else MAX_INT32
        )  # etcd knows no negative number either, and the wire form needs no sign
    if isinstance(raw, str):
        return next((member for member in members if member.value == raw), None)
    raise ValueError


def _integer(kind: Kind, raw: str) -> int:
    if not _NUMBER.fullmatch(raw):
        raise ValueError
    number = Decimal(raw)
    if not number:
        return 0
    if number.adjusted() > _MAX_DIGITS or number != number.to_integral_value():
        raise ValueError
    value = int(number)
    low, high = _BOUNDS[kind]
    if not low <= value <= high:
        raise ValueError
    return value


def _bytes(raw: str) -> bytes:
    """Base64 of either alphabet, with or without padding (Go protojson, unmarshalBytes)."""
    url_safe = "-" in raw or "_" in raw
    if url_safe and ("+" in raw or "/" in raw):
        raise ValueError
    unpadded = len(raw) % 4 != 0
    text = raw.translate(_TO_STANDARD).replace("\n", "").replace("\r", "")
    if unpadded:
        if "=" in text:
            raise ValueError
        text += "=" * (-len(text) % 4)
    if not _BASE64.fullmatch(text):
        raise ValueError
    return a2b_base64(text)
