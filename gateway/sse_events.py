"""Watch responses as server-sent events, and the ids by which a client resumes.

An id is `REV`: all up to that revision has been told; or `REV.N`: of the revision's events the first N, too.
"""

import re
from typing import NamedTuple

import msgspec

from raftgate.api import json_codec
from raftgate.api.errors import InvalidArgument
from raftgate.api.kv import KeyValue
from raftgate.api.watch import Event, EventType, WatchResponse

COMMENT = b":\n\n"

_ID = re.compile(rb"([0-9]{1,19})(?:\.([0-9]{1,19}))?")
_MAX_REVISION = 2**63 - 2


class Position(NamedTuple):
    """How far a client has been told."""

    revision: int
    """All events below it, and those of itself if `events` is 0."""
    events: int = 0
    """How many of the revision's own events, if not all."""

    @property
    def next_revision(self) -> int:
        """Where a watch that goes on from here starts."""
        return self.revision if self.events else self.revision + 1

    def __bytes__(self) -> bytes:
        return b"%d.%d" % self if self.events else b"%d" % self.revision


def parse_position(text: bytes) -> Position:
    """Reads an id that a client gives back.

    Raises: InvalidArgument.
    """
    match = _ID.fullmatch(text)
    if match is None or int(match[1]) > _MAX_REVISION:
        raise InvalidArgument("invalid Last-Event-ID")
    return Position(int(match[1]), int(match[2] or 0))


def opening(position: Position) -> bytes:
    """The block that a stream opens with: a client that loses it before any event has somewhere to go on from."""
    return b"id: %b\n\n" % bytes(position)


def event_blocks(response: WatchResponse, *, utf8: bool, after: Position | None = None) -> bytes:
    """The events of a response; without those that a client which stopped within a revision has been told."""
    events = response.events
    blocks: list[bytes] = []
    nth = 0
    for index, event in enumerate(events):
        revision = _revision(event)
        is_last = index + 1 == len(events) or _revision(events[index + 1]) != revision
        nth += 1
        if after is None or revision > after.revision or nth > after.events:
            position = Position(revision) if is_last else Position(revision, nth)
            data = _plain_event(event) if utf8 else json_codec.encode(event)
            name = b"delete" if event.type == EventType.DELETE else b"put"
            blocks.append(b"event: %b\nid: %b\ndata: %b\n\n" % (name, bytes(position), data))
        if is_last:
            nth = 0
    return b"".join(blocks)


def last_revision(response: WatchResponse) -> int:
    """The revision of a response's last event."""
    return _revision(response.events[-1])


def _revision(event: Event) -> int:
    return event.kv.mod_revision if event.kv else 0


def progress_block(revision: int) -> bytes:
    """Tells that all up to the revision has been told."""
    return b'event: progress\nid: %d\ndata: {"revision":"%d"}\n\n' % (revision, revision)


def compacted_block(compact_revision: int) -> bytes:
    """Tells that events are lost; its id makes an automatic reconnect go on with what is left."""
    return b'event: compacted\nid: %d\ndata: {"compact_revision":"%d"}\n\n' % (compact_revision - 1, compact_revision)


def canceled_block(reason: str) -> bytes:
    """Tells that the server has ended the watch."""
    return b"event: canceled\ndata: %b\n\n" % msgspec.json.encode({"cancel_reason": reason} if reason else {})


def _plain_event(event: Event) -> bytes:
    """An event whose keys and values are text where they are UTF-8; where not, `key_base64` and `value_base64`."""
    fields: dict[str, object] = {} if event.type == EventType.PUT else {"type": event.type}
    for name, kv in (("kv", event.kv), ("prev_kv", event.prev_kv)):
        if kv is not None:
            fields[name] = _plain_kv(kv)
    return msgspec.json.encode(fields)


def _plain_kv(kv: KeyValue) -> dict[str, object]:
    numbers: dict[str, object] = msgspec.json.decode(json_codec.encode(msgspec.structs.replace(kv, key=b"", value=b"")))
    return {**_plain("key", kv.key), **numbers, **_plain("value", kv.value)}


def _plain(name: str, value: bytes) -> dict[str, object]:
    if not value:
        return {}
    try:
        return {name: value.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": value}  # msgspec writes bytes as base64
