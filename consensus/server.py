"""Server: the gateway's Backend in the process of a member.

A write is validated, held against the quota, replicated, and answered when its entry is applied. A linearizable read
waits for its barrier; it is then answered from memory, or in a reader's thread where rows must come from SQLite.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar, cast

from consensus.compaction import Compaction
from consensus.proposals import Proposals
from consensus.quota import Quota
from consensus.replica import Replica
from consensus.watch_stream import WatchStream
from consensus.watches import Watches
from raftgate.api import errors
from raftgate.api.cluster import MemberAttributes
from raftgate.api.kv import (
    CompactionRequest,
    CompactionResponse,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RangeResponse,
    TxnRequest,
)
from raftgate.api.maintenance import StatusRequest
from raftgate.api.message import Caller, Message, Request
from storage import validation

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Message)

Handlers = Mapping[type[Request[Any]], Callable[[Any], Awaitable[Message]]]  # Any: one request class each


class Server:
    """Answers requests from one member's replica."""

    def __init__(
        self,
        replica: Replica,
        proposals: Proposals,
        quota: Quota,
        compaction: Compaction,
        watches: Watches,
        others: Handlers,
    ) -> None:
        """`others` answer what is not of the KV service."""
        self.is_learner: Callable[[], bool] = lambda: False
        """Whether this member has no vote yet: it serves little then."""
        self._replica = replica
        self._proposals = proposals
        self._quota = quota
        self._compaction = compaction
        self._watches = watches
        self._stopped = False
        self._handlers: Handlers = {
            RangeRequest: self._range,
            PutRequest: self._put,
            DeleteRangeRequest: self._delete_range,
            TxnRequest: self._txn,
            CompactionRequest: self._compact,
            **others,
        }

    async def call(self, request: Request[R], caller: Caller) -> R:
        """Answers one request.

        Raises: EtcdError.
        """
        self._admit(caller)
        if self.is_learner() and not _is_for_learners(request):
            raise errors.NotSupportedForLearner
        return cast("R", await self._handlers[type(request)](request))

    async def watch(self, caller: Caller) -> WatchStream:
        """Opens a stream of watches, to be closed.

        Raises: EtcdError.
        """
        self._admit(caller)
        if self.is_learner():
            raise errors.NotSupportedForLearner
        return self._watches.open(caller)

    def _admit(self, caller: Caller) -> None:
        if self._stopped:
            raise errors.Stopped
        if caller.needs_leader and not self._replica.node.leader:
            raise errors.NoLeader

    def stop(self) -> None:
        """Refuses what comes and fails what waits."""
        self._stopped = True
        self._replica.applier.stop(errors.Stopped)
        self._replica.reads.stop(errors.Stopped)
        self._watches.stop(errors.Stopped)

    async def run_deadlines(self, interval: float) -> None:
        """Looks each `interval` seconds for those who have waited too long, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(interval)
            self._replica.applier.expire(loop.time(), self._proposals.timed_out)
            self._replica.reads.expire(loop.time())
            self._watches.expire(loop.time())

    async def publish(self) -> None:
        """Tells the cluster this member's name and client URLs, unless it knows them (etcd server.go, publishV3).

        Returns when everything that was committed before is applied here: from then on the member may serve.
        """
        await self._replica.reads.barrier()
        options = self._replica.options
        member = options.member
        known = next((known for known in self._replica.machine.members if known.ID == member.ID), None)
        if known is None or (known.name, known.clientURLs) != (member.name, member.clientURLs):
            attributes = MemberAttributes(ID=member.ID, name=member.name, clientURLs=member.clientURLs)
            await self._proposals.replicate(attributes)
        fields = {"local-member-id": f"{member.ID:x}", "cluster-id": f"{options.cluster_id:x}"}
        log.info("published local member to cluster through raft", extra={"fields": fields})

    async def _range(self, request: RangeRequest) -> RangeResponse:
        validation.check_range(request)
        if not request.serializable:
            await self._replica.reads.barrier()
        return await self._replica.read(lambda: self._replica.machine.range(request))

    async def _put(self, request: PutRequest) -> Message:
        validation.check_put(request)
        if not self._quota.fits(validation.cost(request)):
            await self._quota.refuse()
        return await self._proposals.propose(request)

    async def _delete_range(self, request: DeleteRangeRequest) -> Message:
        validation.check_delete_range(request)
        return await self._proposals.propose(request)

    async def _txn(self, request: TxnRequest) -> Message:
        validation.check_txn(request, self._replica.options.max_txn_ops)
        if not validation.is_read_only(request):
            if not self._quota.fits(validation.cost(request)):
                await self._quota.refuse()
            return await self._proposals.propose(request)
        if not validation.is_serializable(request):
            await self._replica.reads.barrier()
        return await self._replica.read(lambda: self._replica.machine.txn(request))

    async def _compact(self, request: CompactionRequest) -> CompactionResponse:
        response = await self._proposals.propose(request)
        if request.physical:
            await self._compaction.done(request.revision)
        return response


def _is_for_learners(request: Request[Any]) -> bool:  # Any: whatever answers it
    """Whether a member without a vote serves it (etcd v3rpc/interceptor.go, isRPCSupportedForLearner)."""
    return isinstance(request, StatusRequest) or (isinstance(request, RangeRequest) and request.serializable)
