"""Messages of etcd's Lock and Election services.

`raftgate_fencing_revision` is raftgate's own: whatever a holder guards may refuse all who show a lower one.
"""

from typing import Annotated, ClassVar

from raftgate.api.kv import KeyValue, ResponseHeader
from raftgate.api.message import Int64, Message, Request, number

FencingRevision = Annotated[Int64, number(1000)]
"""The create revision of the holder's key: it rises from holder to holder."""


class LockResponse(Message, frozen=True):
    """The key that exists as long as the lock is held."""

    package: ClassVar[str] = "v3lockpb"
    header: ResponseHeader | None = None
    key: bytes = b""
    raftgate_fencing_revision: FencingRevision = 0


class LockRequest(Request[LockResponse], frozen=True):
    """Waits for the lock of a name; a lease of 0 stands for one of 60 s that nobody keeps alive."""

    package: ClassVar[str] = "v3lockpb"
    name: bytes = b""
    lease: Int64 = 0


class UnlockResponse(Message, frozen=True):
    """Answers an unlock."""

    package: ClassVar[str] = "v3lockpb"
    header: ResponseHeader | None = None


class UnlockRequest(Request[UnlockResponse], frozen=True):
    """Deletes a lock's key, whoever holds it."""

    package: ClassVar[str] = "v3lockpb"
    key: bytes = b""


class LeaderKey(Message, frozen=True):
    """A candidate's key and the revision that created it."""

    package: ClassVar[str] = "v3electionpb"
    name: bytes = b""
    key: bytes = b""
    rev: Int64 = 0
    lease: Int64 = 0


class CampaignResponse(Message, frozen=True):
    """The key of the candidate that has won."""

    package: ClassVar[str] = "v3electionpb"
    header: ResponseHeader | None = None
    leader: LeaderKey | None = None
    raftgate_fencing_revision: FencingRevision = 0


class CampaignRequest(Request[CampaignResponse], frozen=True):
    """Waits for leadership of a name; lease as for a lock."""

    package: ClassVar[str] = "v3electionpb"
    name: bytes = b""
    lease: Int64 = 0
    value: bytes = b""


class LeaderResponse(Message, frozen=True):
    """The key and the value of whoever leads."""

    package: ClassVar[str] = "v3electionpb"
    header: ResponseHeader | None = None
    kv: KeyValue | None = None


class LeaderRequest(Request[LeaderResponse], frozen=True):
    """Asks who leads, or to observe, for all who will."""

    package: ClassVar[str] = "v3electionpb"
    name: bytes = b""


class ResignResponse(Message, frozen=True):
    """Answers a resignation."""

    package: ClassVar[str] = "v3electionpb"
    header: ResponseHeader | None = None


class ResignRequest(Request[ResignResponse], frozen=True):
    """Gives leadership, or a candidacy, up."""

    package: ClassVar[str] = "v3electionpb"
    leader: LeaderKey | None = None


class ProclaimResponse(Message, frozen=True):
    """Answers a proclamation."""

    package: ClassVar[str] = "v3electionpb"
    header: ResponseHeader | None = None


class ProclaimRequest(Request[ProclaimResponse], frozen=True):
    """Gives a candidate's key a new value."""

    package: ClassVar[str] = "v3electionpb"
    leader: LeaderKey | None = None
    value: bytes = b""
