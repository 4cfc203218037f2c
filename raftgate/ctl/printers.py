"""etcdctl's output formats (etcdctl/ctlv3/command/printer*.go): responses in, text out.

Nothing is written here. The JSON form is not the gateway's: numbers stay numbers, ids are unsigned decimals.
"""

from base64 import b64encode
from collections.abc import Callable, Iterable
from typing import Any

from raftgate.api.kv import (
    DeleteRangeResponse,
    KeyValue,
    PutResponse,
    RangeResponse,
    ResponseHeader,
    ResponseOp,
    TxnResponse,
)
from raftgate.api.message import Field, Kind, Message, describe
from raftgate.ctl.errors import CommandError, ExitCode
from raftgate.ctl.literals import format_bool
from raftgate.ctl.quoting import quote, to_text

KvResponse = RangeResponse | PutResponse | DeleteRangeResponse | TxnResponse
Printer = Callable[[KvResponse], str]

_IDS = ("cluster_id", "member_id", "ID")


def printer(output: str, *, is_hex: bool = False, values_only: bool = False) -> Printer:
    """The printer of KV responses for an output format; the format exists already (`settings.FORMATS`).

    Raises: CommandError for a format that is not for KV responses.
    """
    if output == "simple":
        return Simple(is_hex=is_hex, values_only=values_only)
    if output == "json":
        return lambda response: to_json(response) + "\n"
    if output == "fields":
        return Fields(is_hex=is_hex)
    raise CommandError(f"{output} not supported as output format", ExitCode.BAD_FEATURE)


class Simple:
    """Keys and values on lines of their own."""

    def __init__(self, *, is_hex: bool = False, values_only: bool = False) -> None:
        self.is_hex = is_hex
        self.values_only = values_only

    def __call__(self, response: KvResponse) -> str:
        """The text of one response."""
        if isinstance(response, RangeResponse):
            return self.pairs(response.kvs)
        if isinstance(response, PutResponse):
            return "OK\n" + self.pairs(() if response.prev_kv is None else (response.prev_kv,))
        if isinstance(response, DeleteRangeResponse):
            return f"{response.deleted}\n" + self.pairs(response.prev_kvs)
        texts = [f"\n{self(inner)}" for inner in map(_inner, response.responses)]
        return ("SUCCESS\n" if response.succeeded else "FAILURE\n") + "".join(texts)

    def pairs(self, pairs: Iterable[KeyValue]) -> str:
        """A line for the key and one for the value of each pair."""
        lines = []
        for pair in pairs:
            if not self.values_only:
                lines.append(self.text(pair.key))
            lines.append(self.text(pair.value))
        return "".join(f"{line}\n" for line in lines)

    def text(self, data: bytes) -> str:
        """A key or value as it is, or each of its bytes in hex."""
        return "".join(f"\\x{byte:02x}" for byte in data) if self.is_hex else to_text(data)


class Fields:
    """One `"Name" : value` a line."""

    def __init__(self, *, is_hex: bool = False) -> None:
        self.is_hex = is_hex

    def __call__(self, response: KvResponse) -> str:
        """The text of one response."""
        lines = self.header(response.header or ResponseHeader())
        if isinstance(response, RangeResponse):
            for pair in response.kvs:
                lines += self.pair(pair)
            lines += [f'"More" : {format_bool(response.more)}', f'"Count" : {response.count}']
        elif isinstance(response, PutResponse):
            if response.prev_kv is not None:
                lines += self.pair(response.prev_kv, "Prev")
        elif isinstance(response, DeleteRangeResponse):
            lines.append(f'"Deleted" : {response.deleted}')
            for pair in response.prev_kvs:
                lines += self.pair(pair, "Prev")
        else:
            lines.append(f'"Succeeded" : {format_bool(response.succeeded)}')
            return _lines(lines) + "".join(self(inner) for inner in map(_inner, response.responses))
        return _lines(lines)

    def header(self, header: ResponseHeader) -> list[str]:
        """The lines of a response's header."""
        return [
            f'"ClusterID" : {self.id(header.cluster_id)}',
            f'"MemberID" : {self.id(header.member_id)}',
            f'"Revision" : {header.revision}',
            f'"RaftTerm" : {header.raft_term}',
        ]

    def pair(self, pair: KeyValue, prefix: str = "") -> list[str]:
        """The lines of a key and all that belongs to it."""
        lease = f"{pair.lease:016x}" if self.is_hex else str(pair.lease)
        return [
            f'"{prefix}Key" : {quote(pair.key)}',
            f'"{prefix}CreateRevision" : {pair.create_revision}',
            f'"{prefix}ModRevision" : {pair.mod_revision}',
            f'"{prefix}Version" : {pair.version}',
            f'"{prefix}Value" : {quote(pair.value)}',
            f'"{prefix}Lease" : {lease}',
        ]

    def id(self, value: int) -> str:
        """An id in decimal, or in hex when asked for (3.6)."""
        return f"{value:x}" if self.is_hex else str(value)


def to_json(message: Message, *, ids_in_hex: bool = False) -> str:
    """A message as Go's encoding/json writes its protobuf struct: zero fields left out, 64-bit as numbers.

    `ids_in_hex`: the ids of clusters and members are strings, as `--hex` has them in the answers about members.
    """
    if isinstance(message, ResponseOp):  # the wrapper of a oneof has a name of its own in Go
        return f'{{"Response":{_object(message, ids_in_hex=ids_in_hex)}}}'
    return _object(message, ids_in_hex=ids_in_hex)


def json_text(text: str) -> str:
    """A JSON string as Go writes it: `<`, `>` and `&` escaped, other characters as they are."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
    plain = [escapes.get(c, f"\\u{ord(c):04x}" if c < " " or c in "<>&\u2028\u2029" else c) for c in text]
    return '"' + "".join(plain) + '"'


def _inner(op: ResponseOp) -> KvResponse:
    inner = op.response_range or op.response_put or op.response_delete_range or op.response_txn
    assert inner is not None  # a server answers every operation
    return inner


def _object(message: Message, *, ids_in_hex: bool) -> str:
    parts = []
    for field in describe(type(message)):
        value = getattr(message, field.name)
        if value is None or (not field.oneof and value == field.default):
            continue
        text = ",".join(_value(field, item, ids_in_hex=ids_in_hex) for item in (value if field.repeated else (value,)))
        parts.append(f'"{field.name}":[{text}]' if field.repeated else f'"{field.name}":{text}')
    return "{" + ",".join(parts) + "}"


def _value(field: Field, value: Any, *, ids_in_hex: bool) -> str:  # Any: the field's own type
    if field.kind is Kind.MESSAGE:
        return to_json(value, ids_in_hex=ids_in_hex)
    if field.kind is Kind.BYTES:
        return f'"{b64encode(value).decode()}"'
    if field.kind is Kind.STRING:
        return json_text(value)
    if field.kind is Kind.BOOL:
        return format_bool(value)
    if field.kind is Kind.ENUM and field.of is not None and isinstance(value, str):
        return str(list(field.of.__members__).index(value))
    return f'"{value:x}"' if ids_in_hex and field.name in _IDS else str(value)


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
