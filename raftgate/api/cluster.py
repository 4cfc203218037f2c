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


class MemberAddResponse(Message, frozen=True):
    """The member that was added, and all members with it."""

    header: ResponseHeader | None = None
    member: Member | None = None
    members: tuple[Member, ...] = ()


class MemberAddRequest(Request[MemberAddResponse], frozen=True):
    """Adds a member, which is started afterwards."""

    peerURLs: tuple[str, ...] = ()
    isLearner: bool = False


class MemberRemoveResponse(Message, frozen=True):
    """The members that are left."""

    header: ResponseHeader | None = None
    members: tuple[Member, ...] = ()


class MemberRemoveRequest(Request[MemberRemoveResponse], frozen=True):
    """Removes a member, for ever."""

    ID: UInt64 = 0


class MemberUpdateResponse(Message, frozen=True):
    """All members after the change."""

    header: ResponseHeader | None = None
    members: tuple[Member, ...] = ()


class MemberUpdateRequest(Request[MemberUpdateResponse], frozen=True):
    """Gives a member other peer URLs."""

    ID: UInt64 = 0
    peerURLs: tuple[str, ...] = ()


class MemberPromoteResponse(Message, frozen=True):
    """All members after the change."""

    header: ResponseHeader | None = None
    members: tuple[Member, ...] = ()


class MemberPromoteRequest(Request[MemberPromoteResponse], frozen=True):
    """Gives a learner a vote."""

    ID: UInt64 = 0


class MembersRecorded(Message, frozen=True):
    """Answers the internal requests: all members after the change, by ascending ID."""

    members: tuple[Member, ...] = ()


class MemberAdded(Request[MembersRecorded], frozen=True):
    """Internal: records a member that a membership change has added."""

    member: Member | None = None
    maxLearners: int = 0
    """Learners that there may be with it, as the proposing member is set; 0 if it is none, or was not limited."""


class MemberRemoved(Request[MembersRecorded], frozen=True):
    """Internal: forgets a member that a membership change has removed."""

    ID: UInt64 = 0


class MemberUpdated(Request[MembersRecorded], frozen=True):
    """Internal: records other peer URLs of a member."""

    ID: UInt64 = 0
    peerURLs: tuple[str, ...] = ()


class MemberPromoted(Request[MembersRecorded], frozen=True):
    """Internal: records that a learner has become a voter."""

    ID: UInt64 = 0


class ClusterVersionRecorded(Message, frozen=True):
    """Answers the internal request: the version that the cluster has now."""

    ver: str = ""


class ClusterVersionSet(Request[ClusterVersionRecorded], frozen=True):
    """Internal: records what all members can do, `ver` such as `3.6.0`; it never becomes less."""

    ver: str = ""


class MemberAttributes(Request[MembersRecorded], frozen=True):
    """Internal: what a member publishes of itself once it has started."""

    ID: UInt64 = 0
    name: str = ""
    clientURLs: tuple[str, ...] = ()
