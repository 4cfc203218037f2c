"""Messages of etcd's Cluster service, and the internal requests that record members in the replicated state."""

from raftgate.api.kv import ResponseHeader
from raftgate.api.message import Message, Request, UInt64


class Member(Message, frozen=True):
    """A participant of the cluster; name and client URLs are absent until it has started and published itself."""

    ID: UInt64 = 0
    name: str = ""
    peerURLs: tuple[str, ...] = ()
    clientURLs: tuple[str, ...] = ()
    isLearner: bool = False


class MemberListResponse(Message, frozen=True):
    """All members by ascending ID; the header of this service's answers tells no revision."""

    header: ResponseHeader | None = None
    members: tuple[Member, ...] = ()


class MemberListRequest(Request[MemberListResponse], frozen=True):
    """Asks for the members: as the member that is asked knows them, or behind a read barrier."""

    linearizable: bool = False


class MembersRecorded(Message, frozen=True):
    """Answers the internal requests: all members after the change, by ascending ID."""

    members: tuple[Member, ...] = ()


class MemberAdded(Request[MembersRecorded], frozen=True):
    """Internal: records a member that a membership change has added."""

    member: Member | None = None


class MemberAttributes(Request[MembersRecorded], frozen=True):
    """Internal: what a member publishes of itself once it has started."""

    ID: UInt64 = 0
    name: str = ""
    clientURLs: tuple[str, ...] = ()
