"""The Maintenance service of one member: status, hashes, defragmentation, alarms and the transfer of leadership."""

import asyncio
import logging

from consensus.cluster import conf_state
from consensus.env import Lane
from consensus.hashing import Hashing
from consensus.proposals import Proposals
from consensus.quota import Quota
from consensus.replica import Replica
from consensus.server import Handlers
from raftgate.api import errors
from raftgate.api.maintenance import (
    AlarmAction,
    AlarmRequest,
    AlarmResponse,
    AlarmType,
    DefragmentRequest,
    DefragmentResponse,
    DowngradeInfo,
    HashKVRequest,
    HashKVResponse,
    HashRequest,
    HashResponse,
    MoveLeaderRequest,
    MoveLeaderResponse,
    StatusRequest,
    StatusResponse,
)

log = logging.getLogger(__name__)


class Maintenance:
    """Answers what concerns the member itself rather than its keys."""

    def __init__(self, replica: Replica, proposals: Proposals, hashing: Hashing, quota: Quota) -> None:
        self._replica = replica
        self._machine = replica.machine
        self._proposals = proposals
        self._hashing = hashing
        self._quota = quota
        self._defragmenting = asyncio.Lock()
        self.handlers: Handlers = {
            StatusRequest: self._status,
            HashRequest: self._hash,
            HashKVRequest: self._hash_kv,
            DefragmentRequest: self._defragment,
            AlarmRequest: self._alarm,
            MoveLeaderRequest: self._move_leader,
        }

    async def _status(self, _request: StatusRequest) -> StatusResponse:
        """Local data, without a quorum (etcd v3rpc/maintenance.go)."""
        status, size, options = self._replica.node.status(), self._machine.writer.size, self._replica.options
        problems = [] if status.leader else [errors.NoLeader.default_text]
        problems += [_alarm_text(alarm.memberID, alarm.alarm) for alarm in self._machine.alarms]
        return StatusResponse(
            header=self._replica.header(self._machine.revision),
            version=options.server_version,
            dbSize=size.total,
            leader=status.leader,
            raftIndex=status.commit,
            raftTerm=status.term,
            raftAppliedIndex=status.applied,
            errors=tuple(problems),
            dbSizeInUse=size.in_use,
            isLearner=options.member.ID in conf_state(self._machine.members).learners,
            storageVersion=options.storage_version,
            dbSizeQuota=self._quota.limit,
            downgradeInfo=DowngradeInfo(),
        )

    async def _hash(self, _request: HashRequest) -> HashResponse:
        value = await self._hashing.all()
        return HashResponse(header=self._replica.header(self._machine.revision), hash=value)

    async def _hash_kv(self, request: HashKVRequest) -> HashKVResponse:
        await self._replica.applier.whole.wait()
        header = self._replica.header(self._machine.revision)
        found = await self._hashing.at(request.revision)
        return HashKVResponse(header, found.hash, found.compact_revision, found.hash_revision)

    async def _defragment(self, _request: DefragmentRequest) -> DefragmentResponse:
        """Rewrites the file; log, reads and writes in memory go on meanwhile."""
        async with self._defragmenting:
            started = self._replica.env.monotonic()
            await self._replica.applier.whole.wait()
            before = self._machine.writer.size.total
            await self._replica.env.run_blocking(Lane.DATABASE, self._machine.writer.defragment)
            took = self._replica.env.monotonic() - started
        fields = {"current-db-size-bytes-diff": self._machine.writer.size.total - before, "took": f"{took:.3f}s"}
        log.info("finished defragmenting directory", extra={"fields": fields})
        return DefragmentResponse()

    async def _alarm(self, request: AlarmRequest) -> AlarmResponse:
        if isinstance(request.action, int):
            raise errors.InvalidArgument("etcdserver: unknown alarm action")
        if request.action is AlarmAction.GET:
            await self._replica.reads.barrier()
            wanted = [alarm for alarm in self._machine.alarms if request.alarm in (AlarmType.NONE, alarm.alarm)]
            return AlarmResponse(header=self._replica.header(self._machine.revision), alarms=tuple(wanted))
        if request.action is AlarmAction.ACTIVATE and isinstance(request.alarm, int):
            raise errors.InvalidArgument("etcdserver: unknown alarm type")  # ends an etcd
        return await self._proposals.propose(request)

    async def _move_leader(self, request: MoveLeaderRequest) -> MoveLeaderResponse:
        """Answers when the target leads; what gets lost on the way is asked for again.

        etcd asks once and then waits for as long as its caller does (server.go, moveLeader).
        """
        node, options = self._replica.node, self._replica.options
        if node.leader != options.member.ID:
            raise errors.NotLeader
        if request.targetID not in conf_state(self._machine.members).voters:
            raise errors.BadLeaderTransferee
        fields = {"from": f"{node.leader:x}", "to": f"{request.targetID:x}"}
        try:
            async with asyncio.timeout(options.request_timeout):
                await node.hand_over(request.targetID, options.election_timeout)
        except TimeoutError:
            log.warning("leadership transfer took too long", extra={"fields": fields})
            raise errors.TimeoutLeaderTransfer from None
        log.info("leadership transferred", extra={"fields": fields})
        return MoveLeaderResponse()


def _alarm_text(member_id: int, alarm: AlarmType | int) -> str:
    """An alarm as Go prints the message, with its space at the end; a member of 0 is left out."""
    return (f"memberID:{member_id} " if member_id else "") + f"alarm:{alarm} "
