"""Messages of etcd's Watch service."""

from enum import StrEnum
from typing import Annotated, ClassVar

from raftgate.api.kv import KeyValue, ResponseHeader
from raftgate.api.message import Int64, Message, OneofMessage, Request, number, unknown


class EventType(StrEnum):
    """What happened to a key; a member's position is its protobuf number."""

    PUT = "PUT"
    DELETE = "DELETE"


class WatchFilter(StrEnum):
    """Which events a watch does not want; a member's position is its protobuf number."""

    NOPUT = "NOPUT"
    NODELETE = "NODELETE"


class Event(Message, frozen=True):
    """One change of one key; a deletion's `kv` has only the key and the revision of the deletion."""

    package: ClassVar[str] = "mvccpb"
    type: EventType | Annotated[int, unknown(2)] = EventType.PUT
    kv: KeyValue | None = None
    prev_kv: KeyValue | None = None


class WatchCreateRequest(Message, frozen=True):
    """Opens a watch of `[key, range_end)` from `start_revision` on, 0: from now on."""

    key: bytes = b""
    range_end: bytes = b""
    start_revision: Int64 = 0
    progress_notify: bool = False
    filters: tuple[WatchFilter | Annotated[int, unknown(2)], ...] = ()
    prev_kv: bool = False
    watch_id: Int64 = 0
    fragment: bool = False


class WatchCancelRequest(Message, frozen=True):
    """Ends a watch."""

    watch_id: Int64 = 0


class WatchProgressRequest(Message, frozen=True):
    """Asks up to which revision every watch of the stream has been told everything."""


class WatchResponse(Message, frozen=True):
    """Tells of one watch, or with the id -1 of the whole stream."""

    header: ResponseHeader | None = None
    watch_id: Int64 = 0
    created: bool = False
    canceled: bool = False
    compact_revision: Int64 = 0
    cancel_reason: str = ""
    fragment: bool = False
    events: Annotated[tuple[Event, ...], number(11)] = ()


class WatchRequest(OneofMessage, Request[WatchResponse], frozen=True):
    """One message of a watch stream; one without any member is ignored."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {
        "request_union": ("create_request", "cancel_request", "progress_request")
    }
    create_request: WatchCreateRequest | None = None
    cancel_request: WatchCancelRequest | None = None
    progress_request: WatchProgressRequest | None = None
