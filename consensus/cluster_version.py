"""The version of the cluster: the lowest of all members, found out by the leader and agreed on through the log.

What a version newer than some members would do differently must wait until the cluster has it (etcd
server/etcdserver/version/monitor.go). It never becomes less: there is no older raftgate to go back to, so a downgrade
is answered, never begun.
"""

import asyncio
import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from consensus.peer_http import PeerUnreachable
from consensus.peer_identity import Refused
from consensus.proposals import Proposals
from consensus.replica import Replica
from consensus.server import Handlers
from consensus.transport import Transport
from raftgate.api import errors
from raftgate.api.cluster import ClusterVersionSet
from raftgate.api.errors import EtcdError
from raftgate.api.maintenance import DowngradeAction, DowngradeRequest, DowngradeResponse

log = logging.getLogger(__name__)

NOT_DECIDED: Final = "not_decided"
FIRST: Final = (3, 6)
"""The version of the first raftgate: whoever cannot be asked has no lower one (etcd begins at 3.0)."""
INTERVAL: Final = 5.0
"""Seconds between two looks at the members: etcd server.go, monitorVersionInterval."""

Version = tuple[int, int]


class VersionTooLow(Exception):
    """The cluster does what this program does not know."""


class ClusterVersion:
    """One member's part in it."""

    def __init__(self, replica: Replica, proposals: Proposals, transport: Transport) -> None:
        """Takes the version of this program from the options; where they have none, there is nothing to decide.

        Raises: VersionTooLow.
        """
        self._replica = replica
        self._machine = replica.machine
        self._proposals = proposals
        self._transport = transport
        self._own = _parse(replica.options.server_version)
        self.wake = asyncio.Event()
        """Set when a leader has begun its term."""
        self.handlers: Handlers = {DowngradeRequest: self._downgrade}
        if self._own is not None and self._decided() > self._own:
            raise VersionTooLow(
                "invalid downgrade; server version is lower than determined cluster version: "
                f"{replica.options.server_version} < {self._machine.cluster_version}"
            )

    @property
    def text(self) -> str:
        """The version as /version tells it: `3.6.0`, or `not_decided`."""
        return self._machine.cluster_version or NOT_DECIDED

    async def run(self) -> None:
        """Decides whenever this member leads and there may be something to decide, until cancelled."""
        own = self._replica.options.member.ID
        while self._own is not None:
            self.wake.clear()
            if self._replica.node.leader == own and self._decided() < self._own:
                await self._decide(self._own)
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL):
                    await self.wake.wait()

    async def _decide(self, own: Version) -> None:
        lowest = await self._lowest(own)
        decided = self._decided()
        version = FIRST if lowest is None and decided < FIRST else lowest
        if version is None or version <= decided:
            return
        ver = f"{version[0]}.{version[1]}.0"
        fields = {"from": self.text, "to": ver}
        try:
            await self._proposals.replicate(ClusterVersionSet(ver))
        except EtcdError as error:
            log.warning("failed to set the cluster version", extra={"fields": {**fields, "error": error.text}})
        else:
            log.info("set the cluster version", extra={"fields": fields})

    def _decided(self) -> Version:
        return _parse(self._machine.cluster_version) or (0, 0)

    async def _lowest(self, own: Version) -> Version | None:
        """The lowest version of all members, None as long as one of them does not say."""
        others = [each.ID for each in self._machine.members if self._replica.options.member.ID != each.ID]
        if not others:
            return own
        versions = [own]
        for version in await asyncio.gather(*map(self._ask, others)):
            if version is None:
                return None
            versions.append(version)
        return min(versions)

    async def _ask(self, member_id: int) -> Version | None:
        said: Mapping[str, str] = {}
        try:
            async with asyncio.timeout(self._replica.options.election_timeout):
                said = await self._transport.version(member_id)
        except (TimeoutError, PeerUnreachable, Refused) as error:
            fields = {"remote-member-id": f"{member_id:x}", "error": f"{error}"}
            log.warning("failed to get the version of a member", extra={"fields": fields})
        return _parse(said.get("etcdserver", ""))

    async def _downgrade(self, request: DowngradeRequest) -> DowngradeResponse:
        """Refuses as etcd would (v3_server.go, Downgrade): no version is one below.

        Raises: UnknownMethod, WrongDowngradeVersionFormat, ClusterVersionUnavailable, InvalidDowngradeTargetVersion.
        """
        if isinstance(request.action, int):
            raise errors.UnknownMethod
        is_cancel = request.action is DowngradeAction.CANCEL
        if not is_cancel and not _is_version(request.version):
            raise errors.WrongDowngradeVersionFormat
        major, minor = self._decided()
        if not major:
            raise errors.ClusterVersionUnavailable
        if is_cancel:  # of none
            return DowngradeResponse(self._replica.header(self._machine.revision), f"{major}.{minor}")
        await self._replica.reads.barrier()
        raise errors.InvalidDowngradeTargetVersion


_SEMVER = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:-[0-9A-Za-z.-]*)?(?:\+[0-9A-Za-z.-]*)?", re.ASCII)


def _parse(version: str) -> Version | None:
    """Major and minor of a version, None if it is none."""
    found = _SEMVER.fullmatch(version)
    return (int(found[1]), int(found[2])) if found else None


def _is_version(text: str) -> bool:
    """Whether a text is a version, its last part may be absent (etcd v3_server.go, convertToClusterVersion)."""
    return _parse(text) is not None or _parse(f"{text}.0") is not None
