"""The replicated alarms, and what the store refuses while one is raised (etcd server/etcdserver/apply)."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from raftgate.api.errors import Corrupt, NoSpace
from raftgate.api.kv import CompactionRequest, DeleteRangeRequest, PutRequest, TxnRequest
from raftgate.api.lease import LeaseGrantRequest, LeaseRevokeRequest
from raftgate.api.maintenance import AlarmAction, AlarmMember, AlarmRequest, AlarmResponse, AlarmType
from raftgate.api.message import Message, Request
from storage.validation import cost

_ORDER = list(AlarmType)

LIMITED = (PutRequest, DeleteRangeRequest, TxnRequest, CompactionRequest, LeaseGrantRequest, LeaseRevokeRequest)
"""What an alarm may forbid; reads do not come here."""

Handlers = dict[type[Request[Any]], Callable[[Any], Message]]  # Any: by key of the table


class Alarms:
    """The alarms that are raised, at most one of each type for a member."""

    __slots__ = ("_raised", "changed")

    def __init__(self, alarms: Iterable[AlarmMember] = ()) -> None:
        self._raised = {_key(alarm): alarm for alarm in alarms}
        self.changed = False
        """Whether the records differ from those that SQLite has been given."""

    def all(self) -> tuple[AlarmMember, ...]:
        """All alarms by type, then by member."""
        return tuple(self._raised[key] for key in sorted(self._raised))

    def call(self, request: AlarmRequest) -> AlarmResponse:
        """Lists, raises or clears alarms; a member is meant exactly, 0 too, and an unknown type is none."""
        alarm = AlarmMember(request.memberID, request.alarm)
        key = _key(alarm)
        if request.action is AlarmAction.GET:
            wanted = (each for each in self.all() if request.alarm in (AlarmType.NONE, each.alarm))
            return AlarmResponse(None, tuple(wanted))
        if request.action is AlarmAction.ACTIVATE and key[0] > 0:
            self.changed = self.changed or key not in self._raised
            self._raised[key] = alarm
            return AlarmResponse(None, (alarm,))
        if request.action is AlarmAction.DEACTIVATE and key in self._raised:
            self.changed = True
            return AlarmResponse(None, (self._raised.pop(key),))
        return AlarmResponse()

    def check(self, request: Request[Any]) -> None:  # Any: whatever answers it
        """Refuses what the alarms forbid.

        Raises: Corrupt, NoSpace.
        """
        types = [alarm.alarm for alarm in self._raised.values()]
        if AlarmType.CORRUPT in types and isinstance(request, LIMITED):
            raise Corrupt
        if AlarmType.NOSPACE in types and cost(request):  # of the costlier branch, whether it is taken or not
            raise NoSpace

    def limit(self, handlers: Handlers) -> Handlers:
        """The handlers of requests, behind a check where alarms are raised."""
        if not self._raised:
            return handlers
        return {**handlers, **{kind: partial(self._checked, handlers[kind]) for kind in LIMITED}}

    def _checked(self, handler: Callable[[Any], Message], request: Request[Any]) -> Message:  # Any: as above
        self.check(request)
        return handler(request)


def _key(alarm: AlarmMember) -> tuple[int, int]:
    return _ORDER.index(alarm.alarm) if isinstance(alarm.alarm, AlarmType) else -1, alarm.memberID
