"""Messages of etcd's Maintenance service."""

from enum import StrEnum
from typing import Annotated

from raftgate.api.kv import ResponseHeader
from raftgate.api.message import Message, Request, UInt64, unknown


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
