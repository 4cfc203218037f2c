"""The space quota: refuses what would grow the store beyond it, and raises and clears this member's NOSPACE alarm.

It is looked at before proposing only: file sizes differ between members, so apply must never see them
(etcd storage/quota.go checks once more there).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NoReturn

from raftgate.api.errors import EtcdError, NoSpace
from raftgate.api.maintenance import AlarmAction, AlarmRequest, AlarmType

log = logging.getLogger(__name__)

DEFAULT_BYTES = 2 * 1024**3  # etcd storage/quota.go, DefaultQuotaBytes
MAX_BYTES = 8 * 1024**3
"""Above it etcd warns: storage/quota.go, MaxQuotaBytes."""

WARN_SHARE = 0.8
CLEAR_SHARE = 0.9


def effective(configured: int) -> int:
    """The bound in bytes for `--quota-backend-bytes`; 0 when there is none."""
    return DEFAULT_BYTES if configured == 0 else max(configured, 0)


class Quota:
    """One member's quota; `use` is the store's size with what is still to be written."""

    def __init__(
        self,
        limit: int,
        use: Callable[[], int],
        has_alarm: Callable[[], bool],
        member_id: int,
        change_alarm: Callable[[AlarmRequest], Awaitable[object]],
        *,
        auto_disarm: bool,
    ) -> None:
        """`limit`: bytes, 0 for none; `has_alarm`: whether this member's own NOSPACE alarm is raised."""
        self.limit = limit
        self._use = use
        self._has_alarm = has_alarm
        self._member_id = member_id
        self._change_alarm = change_alarm
        self._auto_disarm = auto_disarm
        self._changing = asyncio.Lock()
        self._has_warned = False

    def fits(self, cost: int) -> bool:
        """Whether a request of this cost in bytes may be proposed; 0 always may."""
        return not (cost and self.limit and self._use() + cost >= self.limit)

    async def refuse(self) -> NoReturn:
        """Raises this member's alarm, unless it is raised, and refuses (etcd v3rpc/quota.go).

        Raises: NoSpace.
        """
        async with self._changing:
            if not self._has_alarm():
                await self._change(AlarmAction.ACTIVATE)
        raise NoSpace

    async def turn(self) -> None:
        """Clears the alarm once there is room again, and warns before there is none."""
        if not self.limit:
            return
        use = self._use()
        async with self._changing:
            if self._auto_disarm and self._has_alarm() and use < self.limit * CLEAR_SHARE:
                await self._change(AlarmAction.DEACTIVATE)
        self._warn(use)

    async def _change(self, action: AlarmAction) -> None:
        fields = {"action": action.value, "use-bytes": self._use(), "quota-bytes": self.limit}
        try:
            await self._change_alarm(AlarmRequest(action=action, memberID=self._member_id, alarm=AlarmType.NOSPACE))
        except EtcdError as error:
            log.warning("failed to change the NOSPACE alarm", extra={"fields": {**fields, "error": error.text}})
        else:
            log.warning("changed the NOSPACE alarm", extra={"fields": fields})

    def _warn(self, use: int) -> None:
        is_near = use >= self.limit * WARN_SHARE
        if is_near and not self._has_warned:
            fields = {"use-bytes": use, "quota-bytes": self.limit}
            log.warning("the database is near its quota", extra={"fields": fields})
        self._has_warned = is_near
