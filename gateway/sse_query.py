"""What a client asks of a stream of server-sent events: by the query of a GET or the body of a POST, and by headers."""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote_to_bytes

from msgspec.structs import replace as with_fields
from starlette.types import Scope

from gateway.sse_events import Position, parse_position
from raftgate.api import json_codec
from raftgate.api.errors import EmptyKey, InvalidArgument
from raftgate.api.watch import WatchCreateRequest, WatchFilter, WatchRequest

_BOOLS = {b"": True, b"true": True, b"1": True, b"false": False, b"0": False}
_MAX_INT64 = 2**63 - 1
_MAX_SECONDS = 1e9

Query = dict[str, list[bytes]]


@dataclass(frozen=True, slots=True)
class Wish:
    """A watch, and how to tell of it."""

    create: WatchCreateRequest
    utf8: bool = False
    """Keys and values as text."""
    seconds: float = 0.0
    """After which the stream ends at a point that can be resumed from; 0: it does not."""
    after: Position | None = None
    """What the client has been told before."""


def accepts_events(scope: Scope) -> bool:
    """Whether a request asks for server-sent events."""
    if scope["method"] not in ("GET", "POST"):
        return False
    return any(name == b"accept" and b"text/event-stream" in value.lower() for name, value in scope["headers"])


def parse_query(text: bytes) -> Query:
    """The parameters of a query, each with its values."""
    query: Query = {}
    for part in text.split(b"&"):
        name, _, value = part.partition(b"=")
        decoded = unquote_to_bytes(value.replace(b"+", b" "))
        query.setdefault(unquote_to_bytes(name).decode("latin-1"), []).append(decoded)
    return query


def read_wish(query: Query, body: bytes | None, headers: Sequence[tuple[bytes, bytes]]) -> Wish:
    """Reads what a client asks for; `body` is None for a GET.

    Raises: InvalidArgument, EmptyKey.
    """
    utf8 = _choice(query, "encoding", (b"base64", b"utf8")) == b"utf8"
    create = _from_query(query, utf8=utf8) if body is None else _from_body(body)
    wish = Wish(create=with_fields(create, watch_id=0, fragment=False), utf8=utf8, seconds=_seconds(query))
    given_back = next((value for name, value in headers if name == b"last-event-id"), b"").strip()
    if not given_back:
        return wish
    after = parse_position(given_back)
    return replace(wish, create=with_fields(wish.create, start_revision=after.next_revision), after=after)


def _from_body(body: bytes) -> WatchCreateRequest:
    """The same object as over JSON lines."""
    request = json_codec.decode(WatchRequest, body)
    if request.create_request is None:
        raise InvalidArgument("a stream of events takes one create_request")
    return request.create_request


def _from_query(query: Query, *, utf8: bool) -> WatchCreateRequest:
    key, range_end = _bytes(query, "key", utf8=utf8), _bytes(query, "range_end", utf8=utf8)
    if _bool(query, "prefix"):
        if range_end:
            raise InvalidArgument("range_end and prefix exclude each other")
        key, range_end = key or b"\0", _prefix_end(key)
    elif not key and not range_end:
        raise EmptyKey
    return WatchCreateRequest(
        key=key,
        range_end=range_end,
        start_revision=_integer(query, "start_revision"),
        prev_kv=_bool(query, "prev_kv"),
        filters=_filters(query),
    )


def _prefix_end(prefix: bytes) -> bytes:
    """The end of the range of a prefix (etcd client/v3/op.go: getPrefix)."""
    head = prefix.rstrip(b"\xff")
    return head[:-1] + bytes((head[-1] + 1,)) if head else b"\0"


def _one(query: Query, name: str) -> bytes | None:
    values = query.get(name)
    if values is None:
        return None
    if len(values) > 1:
        raise InvalidArgument(f"{name} is given twice")
    return values[0]


def _bytes(query: Query, name: str, *, utf8: bool) -> bytes:
    value = _one(query, name) or b""
    if utf8:
        return value
    text = value.translate(bytes.maketrans(b" -_", b"++/")).rstrip(b"=")  # a plus sign may have come as it is
    try:
        return b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except Base64Error:
        raise InvalidArgument(f"{name} is not base64; with encoding=utf8 it is plain text") from None


def _bool(query: Query, name: str) -> bool:
    value = _one(query, name)
    if value is None:
        return False
    if value not in _BOOLS:
        raise InvalidArgument(f"{name} is neither true nor false")
    return _BOOLS[value]


def _integer(query: Query, name: str) -> int:
    value = _one(query, name) or b"0"
    digits = value.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > 19 or abs(int(value)) > _MAX_INT64:
        raise InvalidArgument(f"{name} is no number")
    return int(value)


def _seconds(query: Query) -> float:
    value = (_one(query, "timeout") or b"0").removesuffix(b"s")
    whole, _, part = value.partition(b".")
    if not whole.isdigit() or not (part or b"0").isdigit() or float(value) > _MAX_SECONDS:
        raise InvalidArgument("timeout is no number of seconds")
    return float(value)


def _choice(query: Query, name: str, choices: Sequence[bytes]) -> bytes:
    value = _one(query, name) or choices[0]
    if value not in choices:
        raise InvalidArgument(f"{name} is none of {', '.join(choice.decode() for choice in choices)}")
    return value


def _filters(query: Query) -> tuple[WatchFilter, ...]:
    names = [name for value in query.get("filters", []) for name in value.decode("latin-1").split(",") if name]
    try:
        return tuple(WatchFilter(name) for name in names)
    except ValueError:
        raise InvalidArgument("filters are NOPUT and NODELETE") from None
