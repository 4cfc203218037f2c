"""The Lease service of one member (etcd v3rpc/lease.go, v3_server.go).

Grants and revocations go through the log. A renewal does not: it is the leader's clock alone that it moves, so the
leader is asked, also of what a lease has left.
"""

import asyncio
import math
from heapq import merge
from typing import Final

import msgspec

from consensus.env import Lane
from consensus.leader_calls import LeaderCalls
from consensus.lease_clock import Timer
from consensus.lessor import Lessor
from consensus.options import Options
from consensus.proposals import Proposals
from consensus.quota import Quota
from consensus.replica import Replica
from consensus.server import Handlers
from raftgate.api import errors
from raftgate.api.kv import ResponseHeader
from raftgate.api.lease import (
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseKeepAliveRequest,
    LeaseKeepAliveResponse,
    LeaseLeasesRequest,
    LeaseLeasesResponse,
    LeaseRevokeRequest,
    LeaseRevokeResponse,
    LeaseStatus,
    LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
)
from storage import validation

APPLIED_TIMEOUT: Final = 1.0
"""Seconds that a renewal waits for entries to be applied: etcd v3_server.go, applyTimeout."""
SORT_AT_ONCE: Final = 2_000
"""Keys or leases that are sorted in one go: a millisecond or two, in which no other thread runs, either."""


class LeaseService:
    """Answers what concerns leases."""

    def __init__(
        self, replica: Replica, proposals: Proposals, quota: Quota, lessor: Lessor, leader_calls: LeaderCalls
    ) -> None:
        """Registers with `leader_calls` what this member answers while it leads."""
        self._replica = replica
        self._machine = replica.machine
        self._proposals = proposals
        self._quota = quota
        self._lessor = lessor
        self._leader_calls = leader_calls
        leader_calls.register({LeaseKeepAliveRequest: self._renew, LeaseTimeToLiveRequest: self._look_up})
        self._least_ttl = least_ttl(replica.options)
        self.handlers: Handlers = {
            LeaseGrantRequest: self._grant,
            LeaseRevokeRequest: self._revoke,
            LeaseKeepAliveRequest: self._keep_alive,
            LeaseTimeToLiveRequest: self._time_to_live,
            LeaseLeasesRequest: self._leases,
        }

    async def _grant(self, request: LeaseGrantRequest) -> LeaseGrantResponse:
        """What follows from settings or chance is decided here, so that all members apply the same."""
        granted = LeaseGrantRequest(max(request.TTL, self._least_ttl), request.ID or self._new_id())
        if not self._quota.fits(validation.cost(granted)):
            await self._quota.refuse()
        return await self._proposals.propose(granted)

    async def _revoke(self, request: LeaseRevokeRequest) -> LeaseRevokeResponse:
        return await self._proposals.propose(request)

    async def _keep_alive(self, request: LeaseKeepAliveRequest) -> LeaseKeepAliveResponse:
        answer = await self._leader_calls.ask(request)
        return msgspec.structs.replace(answer, header=self._own_header(answer.header))

    async def _time_to_live(self, request: LeaseTimeToLiveRequest) -> LeaseTimeToLiveResponse:
        answer = await self._leader_calls.ask(request)
        return msgspec.structs.replace(answer, header=self._own_header(answer.header))

    def _own_header(self, header: ResponseHeader | None) -> ResponseHeader:
        """What a client is told comes from the member that it asked (etcd v3rpc/lease.go)."""
        if header is not None and header.member_id == self._replica.options.member.ID:
            return header
        return self._replica.header(self._machine.revision)

    async def _renew(self, request: LeaseKeepAliveRequest) -> LeaseKeepAliveResponse:
        """Renews at once what is known here; a lease that is not may have been granted by a leader before.

        Raises: NotLeader.
        """
        if not self._lessor.promoted.is_set():
            raise errors.NotLeader
        if self._lessor.has_stalled() or request.ID not in self._machine.leases:
            await self._confirm()
        ttl = await self._lessor.renew(request.ID)
        if ttl is None:
            raise errors.NotLeader
        return LeaseKeepAliveResponse(self._replica.header(self._machine.revision), request.ID, ttl)

    async def _look_up(self, request: LeaseTimeToLiveRequest) -> LeaseTimeToLiveResponse:
        """Raises: NotLeader."""
        await self._replica.reads.barrier()
        await self._replica.applier.whole.wait()
        if not self._lessor.promoted.is_set():
            raise errors.NotLeader
        if request.keys and self._machine.leases.count(request.ID) > SORT_AT_ONCE:
            return await self._with_very_many_keys(request.ID)
        keys = self._machine.attached(request.ID) if request.keys else ()
        return self._with_keys(request.ID, keys)

    def _with_keys(self, lease_id: int, keys: tuple[bytes, ...]) -> LeaseTimeToLiveResponse:
        header = self._replica.header(self._machine.revision)
        lease = self._machine.leases.get(lease_id)
        if lease is None:
            return LeaseTimeToLiveResponse(header, lease_id, -1)
        left = math.floor(self._lessor.left(lease_id))
        return LeaseTimeToLiveResponse(header, lease_id, left, lease.ttl, keys)

    async def _with_very_many_keys(self, lease_id: int) -> LeaseTimeToLiveResponse:
        """The state is that of one turn of the loop, in which nothing is swept; only the sorting takes several."""
        while self._machine.settle():
            await asyncio.sleep(0)
            await self._replica.applier.whole.wait()
        pieces = self._machine.leases.pieces(lease_id, SORT_AT_ONCE)
        first = next(pieces, None)
        answer = self._with_keys(lease_id, ())
        keys: list[bytes] = list(first or ())
        for piece in pieces:
            keys += piece or ()
            await asyncio.sleep(0)
        return msgspec.structs.replace(answer, keys=tuple(keys))

    async def _leases(self, _request: LeaseLeasesRequest) -> LeaseLeasesResponse:
        """Local data, as in etcd; who does not count time has the ids' order."""
        header = self._replica.header(self._machine.revision)
        timers, leases = self._lessor.timers(), self._machine.leases
        if not timers:
            timers = [Timer(lease, 0.0, 0.0) for lease in leases]
        if len(timers) <= SORT_AT_ONCE:
            return LeaseLeasesResponse(header, _in_order(timers))
        return LeaseLeasesResponse(header, await self._replica.env.run_blocking(Lane.READERS, _in_order, timers))

    async def _confirm(self) -> None:
        """Returns when this member has been confirmed as leader, and has applied all that was committed before.

        Raises: TimeoutWaitAppliedIndex.
        """
        try:
            async with asyncio.timeout(APPLIED_TIMEOUT):
                await self._replica.reads.barrier()
        except TimeoutError:
            raise errors.TimeoutWaitAppliedIndex from None

    def _new_id(self) -> int:
        """A positive id that no lease has."""
        while True:
            lease_id = int.from_bytes(self._replica.env.random_bytes(8), "big") & (1 << 63) - 1
            if lease_id and lease_id not in self._machine.leases:
                return lease_id


def least_ttl(options: Options) -> int:
    """Seconds to which a shorter TTL is raised: one and a half election timeouts (etcd server.go, minTTL)."""
    return math.ceil(3 * options.election_ticks // 2 * options.heartbeat_interval)


def _in_order(timers: list[Timer]) -> tuple[LeaseStatus, ...]:
    """Sorts in parts, between which other threads may run."""
    parts = [timers[start : start + SORT_AT_ONCE] for start in range(0, len(timers), SORT_AT_ONCE)]
    found = merge(*(sorted((timer.deadline, timer.lease_id) for timer in part) for part in parts))
    return tuple(LeaseStatus(lease_id) for _, lease_id in found)
