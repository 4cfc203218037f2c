"""What a log entry carries: the envelope of a replicated request, to bytes and back.

The first byte is the format version. Version 1: a MessagePack array of the envelope's fields in their order, the
request itself in its wire form. A format once written must be read for ever; golden entries hold this module to it.
"""

from typing import Any

import msgspec

from raftgate.api import cluster, lease, wire_codec
from raftgate.api.message import Request
from raftgate.api.services import RPCS

FORMAT_VERSION = 1

# Any: as in services
_INTERNAL: tuple[type[Request[Any]], ...] = (
    cluster.MemberAdded,
    cluster.MemberAttributes,
    cluster.MemberRemoved,
    cluster.MemberUpdated,
    cluster.MemberPromoted,
    cluster.ClusterVersionSet,
    lease.LeaseCheckpointRequest,
)
_CLASSES: dict[str, type[Request[Any]]] = {  # Any: as in services
    **{rpc.method: rpc.request for rpc in RPCS if rpc.request is not None},
    **{request.__name__: request for request in _INTERNAL},
}
_NAMES = {request: name for name, request in _CLASSES.items()}


class CommandUnreadable(Exception):
    """An entry's data is in no format that this version knows."""


class Envelope(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A request on its way through the log, with what apply needs beside it."""

    id: int
    """Names the waiter on the proposing member; unique across members and restarts."""
    method: str
    """The RPC's name in the services table, or the class of an internal request."""
    request: msgspec.Raw
    time: float = 0.0
    """The proposing leader's wall time in seconds: metadata only, never an input of apply."""
    user: str = ""
    auth_revision: int = 0
    idempotency_key: str = ""


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Envelope)
_PREFIX = bytes([FORMAT_VERSION])


def encode(request_id: int, request: Request[Any], time: float) -> bytes:  # Any: as in services
    """The entry data of a request."""
    raw = msgspec.Raw(wire_codec.encode(request))
    return _PREFIX + _ENCODER.encode(Envelope(request_id, _NAMES[type(request)], raw, time))


def decode(data: bytes) -> tuple[Envelope, Request[Any]]:  # Any: as in services
    """The envelope and the request of an entry's data.

    Raises: CommandUnreadable.
    """
    if data[0] != FORMAT_VERSION:
        raise CommandUnreadable(f"entry of format version {data[0]}, this version reads {FORMAT_VERSION}")
    try:
        envelope = _DECODER.decode(memoryview(data)[1:])
        return envelope, wire_codec.decode(_CLASSES[envelope.method], bytes(envelope.request))
    except (msgspec.MsgspecError, KeyError) as error:
        raise CommandUnreadable(f"entry of format version {FORMAT_VERSION}: {error}") from error
