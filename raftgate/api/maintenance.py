"""Messages of etcd's Maintenance service."""

from enum import StrEnum
from typing import Annotated

from raftgate.api.kv import ResponseHeader
from raftgate.api.message import Int64, Message, Request, UInt32, UInt64, unknown


class AlarmAction(StrEnum):
    """What an alarm call does."""

    GET = "GET"
    ACTIVATE = "ACTIVATE"
    DEACTIVATE = "DEACTIVATE"


class AlarmType(StrEnum):
    """What is wrong with a member."""

    NONE = "NONE"
    NOSPACE = "NOSPACE"
    CORRUPT = "CORRUPT"


class AlarmMember(Message, frozen=True):
    """One raised alarm."""

    memberID: UInt64 = 0
    alarm: AlarmType | Annotated[int, unknown(3)] = AlarmType.NONE


class AlarmResponse(Message, frozen=True):
    """The alarms that a call found or changed."""

    header: ResponseHeader | None = None
    alarms: tuple[AlarmMember, ...] = ()


class AlarmRequest(Request[AlarmResponse], frozen=True):
    """Lists, raises or clears alarms."""

    action: AlarmAction | Annotated[int, unknown(3)] = AlarmAction.GET
    memberID: UInt64 = 0
    alarm: AlarmType | Annotated[int, unknown(3)] = AlarmType.NONE


class StatusResponse(Message, frozen=True):
    """One member as it sees itself."""

    header: ResponseHeader | None = None
    version: str = ""
    dbSize: Int64 = 0
    leader: UInt64 = 0
    raftIndex: UInt64 = 0
    raftTerm: UInt64 = 0
    raftAppliedIndex: UInt64 = 0
    errors: tuple[str, ...] = ()
    dbSizeInUse: Int64 = 0
    isLearner: bool = False
    storageVersion: str = ""
    dbSizeQuota: Int64 = 0
    downgradeInfo: "DowngradeInfo | None" = None


class DowngradeInfo(Message, frozen=True):
    """Whether a downgrade is under way; all defaults when not."""

    enabled: bool = False
    targetVersion: str = ""


class StatusRequest(Request[StatusResponse], frozen=True):
    """Asks a member how it is."""


class DowngradeAction(StrEnum):
    """What a downgrade call does."""

    VALIDATE = "VALIDATE"
    ENABLE = "ENABLE"
    CANCEL = "CANCEL"


class DowngradeResponse(Message, frozen=True):
    """Tells the cluster's version, major and minor."""

    header: ResponseHeader | None = None
    version: str = ""


class DowngradeRequest(Request[DowngradeResponse], frozen=True):
    """Asks whether the cluster may go back to a version, has it do so, or stay."""

    action: DowngradeAction | Annotated[int, unknown(3)] = DowngradeAction.VALIDATE
    version: str = ""


class DefragmentResponse(Message, frozen=True):
    """Answers a defragmentation; etcd leaves the header out."""

    header: ResponseHeader | None = None


class DefragmentRequest(Request[DefragmentResponse], frozen=True):
    """Gives the free space of one member's file back."""


class MoveLeaderResponse(Message, frozen=True):
    """Answers once the other member leads; etcd leaves the header out."""

    header: ResponseHeader | None = None


class MoveLeaderRequest(Request[MoveLeaderResponse], frozen=True):
    """Asks the leader to hand leadership over to a voter, itself included."""

    targetID: UInt64 = 0


class HashResponse(Message, frozen=True):
    """A hash over the whole local database."""

    header: ResponseHeader | None = None
    hash: UInt32 = 0


class HashRequest(Request[HashResponse], frozen=True):
    """Asks for a hash over the whole local database; for tests."""


class HashKVResponse(Message, frozen=True):
    """A hash over the keys up to a revision, equal on all members whose three numbers are equal."""

    header: ResponseHeader | None = None
    hash: UInt32 = 0
    compact_revision: Int64 = 0
    hash_revision: Int64 = 0


class HashKVRequest(Request[HashKVResponse], frozen=True):
    """Asks for the hash at `revision`, 0 for the current one."""

    revision: Int64 = 0
