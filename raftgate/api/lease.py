"""Messages of etcd's Lease service."""

from raftgate.api.kv import ResponseHeader
from raftgate.api.message import Int64, Message, Request


class LeaseGrantResponse(Message, frozen=True):
    """The lease as granted; `error` is never set."""

    header: ResponseHeader | None = None
    ID: Int64 = 0
    TTL: Int64 = 0
    error: str = ""


class LeaseGrantRequest(Request[LeaseGrantResponse], frozen=True):
    """Grants a lease of `TTL` seconds; an ID of 0 lets the server choose."""

    TTL: Int64 = 0
    ID: Int64 = 0


class LeaseRevokeResponse(Message, frozen=True):
    """Answers a revocation; `header.revision` is that of the deletion, if the lease had keys."""

    header: ResponseHeader | None = None


class LeaseRevokeRequest(Request[LeaseRevokeResponse], frozen=True):
    """Ends a lease and deletes its keys in one revision."""

    ID: Int64 = 0


class LeaseCheckpoint(Message, frozen=True):
    """How many seconds a lease had left."""

    ID: Int64 = 0
    remaining_TTL: Int64 = 0


class LeaseCheckpointResponse(Message, frozen=True):
    """Answers a checkpoint."""

    header: ResponseHeader | None = None


class LeaseCheckpointRequest(Request[LeaseCheckpointResponse], frozen=True):
    """Internal: what the leader notes of its leases, so that the next one does not start them anew."""

    checkpoints: tuple[LeaseCheckpoint, ...] = ()


class LeaseKeepAliveResponse(Message, frozen=True):
    """The lease's full TTL; none if there is no such lease any more."""

    header: ResponseHeader | None = None
    ID: Int64 = 0
    TTL: Int64 = 0


class LeaseKeepAliveRequest(Request[LeaseKeepAliveResponse], frozen=True):
    """Starts a lease's time anew; one message of a stream."""

    ID: Int64 = 0


class LeaseTimeToLiveResponse(Message, frozen=True):
    """Whole seconds left, -1 if there is no such lease; `keys` ascend."""

    header: ResponseHeader | None = None
    ID: Int64 = 0
    TTL: Int64 = 0
    grantedTTL: Int64 = 0
    keys: tuple[bytes, ...] = ()


class LeaseTimeToLiveRequest(Request[LeaseTimeToLiveResponse], frozen=True):
    """Asks for a lease's time, and with `keys` for the keys attached to it."""

    ID: Int64 = 0
    keys: bool = False


class LeaseStatus(Message, frozen=True):
    """A lease that exists."""

    ID: Int64 = 0


class LeaseLeasesResponse(Message, frozen=True):
    """All leases, the soonest to expire first."""

    header: ResponseHeader | None = None
    leases: tuple[LeaseStatus, ...] = ()


class LeaseLeasesRequest(Request[LeaseLeasesResponse], frozen=True):
    """Lists the leases."""
