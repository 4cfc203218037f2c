"""Server: the gateway's Backend in the process of a member.

A write is validated, stamped, proposed, and answered when its entry is applied; a linearizable read waits for its
barrier and then reads memory. Texts of timeouts are etcd's (v3_server.go, processInternalRaftRequestOnce).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import msgspec

from consensus import command
from consensus.apply import Applier
from consensus.env import Env
from consensus.node import Node
from consensus.options import Options
from consensus.raft.errors import ProposalDropped
from consensus.reads import Reads
from raftgate.api import errors
from raftgate.api.cluster import MemberAttributes
from raftgate.api.kv import (
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RangeResponse,
    ResponseHeader,
    TxnRequest,
    TxnResponse,
)
from raftgate.api.maintenance import AlarmAction, AlarmRequest, AlarmResponse
from raftgate.api.message import Caller, Message, Request
from storage import validation
from storage.machine import Machine
from storage.options import PENDING_LIMIT

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Message)

MAX_BACKLOG = 5000  # etcd v3_server.go, maxGapBetweenApplyAndCommitIndex


class Server:
    """Answers requests from one member's machine and node."""

    def __init__(
        self, machine: Machine, node: Node, applier: Applier, reads: Reads, env: Env, options: Options
    ) -> None:
        self._machine = machine
        self._node = node
        self._applier = applier
        self._reads = reads
        self._env = env
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._next_id = first_request_id(options.member.ID, env.wall_time())
        self._stopped = False
        self._handlers: dict[type[Request[Any]], Callable[[Any], Awaitable[Message]]] = {  # Any: one request class each
            RangeRequest: self._range,
            PutRequest: self._put,
            DeleteRangeRequest: self._delete_range,
            TxnRequest: self._txn,
            AlarmRequest: self._alarm,
        }
        node.on_leader_change = reads.leader_changed

    async def call(self, request: Request[R], caller: Caller) -> R:
        """Answers one request.

        Raises: EtcdError.
        """
        if self._stopped:
            raise errors.Stopped
        if caller.needs_leader and not self._node.leader:
            raise errors.NoLeader
        handler = self._handlers.get(type(request))
        if handler is None:
            raise errors.Unimplemented
        return cast("R", await handler(request))

    def stop(self) -> None:
        """Refuses what comes and fails what waits."""
        self._stopped = True
        self._applier.stop(errors.Stopped)
        self._reads.stop(errors.Stopped)

    async def run_deadlines(self, interval: float) -> None:
        """Looks each `interval` seconds for those who have waited too long, until cancelled."""
        while True:
            await asyncio.sleep(interval)
            now = self._loop.time()
            self._applier.expire(now, errors.Timeout)
            self._reads.expire(now)

    async def publish(self) -> None:
        """Tells the cluster this member's name and client URLs, unless it knows them (etcd server.go, publishV3).

        Returns when everything that was committed before is applied here: from then on the member may serve.
        """
        await self._reads.barrier()
        member = self._options.member
        known = next((known for known in self._machine.members if known.ID == member.ID), None)
        if known is None or (known.name, known.clientURLs) != (member.name, member.clientURLs):
            await self._replicate(MemberAttributes(ID=member.ID, name=member.name, clientURLs=member.clientURLs))
        fields = {"local-member-id": f"{member.ID:x}", "cluster-id": f"{self._options.cluster_id:x}"}
        log.info("published local member to cluster through raft", extra={"fields": fields})

    async def _range(self, request: RangeRequest) -> RangeResponse:
        validation.check_range(request)
        if not request.serializable:
            await self._reads.barrier()
        response = self._machine.range(request)
        return msgspec.structs.replace(response, header=self._header(self._machine.revision))

    async def _put(self, request: PutRequest) -> Message:
        validation.check_put(request)
        return await self._propose(request)

    async def _delete_range(self, request: DeleteRangeRequest) -> Message:
        validation.check_delete_range(request)
        return await self._propose(request)

    async def _txn(self, request: TxnRequest) -> Message:
        validation.check_txn(request, self._options.max_txn_ops)
        if not validation.is_read_only(request):
            if _reads_below(request, self._machine.revision):
                # It must not enter the log: a later version, which can read it, would apply the entry otherwise.
                raise errors.Unimplemented("reads of past revisions are not served yet")
            return await self._propose(request)
        if not validation.is_serializable(request):
            await self._reads.barrier()
        response: TxnResponse = self._machine.txn(request)
        return msgspec.structs.replace(response, header=self._header(self._machine.revision))

    async def _alarm(self, request: AlarmRequest) -> AlarmResponse:
        if isinstance(request.action, int):
            raise errors.InvalidArgument("etcdserver: unknown alarm action")
        if request.action is not AlarmAction.GET:
            raise errors.Unimplemented("raising and clearing alarms is not served yet")
        await self._reads.barrier()
        return AlarmResponse(header=self._header(self._machine.revision))

    async def _propose(self, request: Request[R]) -> R:
        """Replicates a client's request; the answer's header is completed.

        Raises: EtcdError; Timeout and DeadlineExceeded leave the outcome open.
        """
        response = await self._replicate(request)
        revision = response.header.revision  # type: ignore[attr-defined]  # every answer to a client has a header
        return msgspec.structs.replace(response, header=self._header(revision))

    async def _replicate(self, request: Request[R]) -> R:
        deadline = self._loop.time() + self._options.request_timeout
        self._check_backlog()
        if validation.encoded_size(request) > self._options.max_request_bytes:
            raise errors.RequestTooLarge
        if not self._node.leader:
            await self._wait_for_leader()
        request_id = self._next_id
        self._next_id += 1
        try:
            self._node.propose(command.encode(request_id, request, self._env.wall_time()))
        except ProposalDropped:
            raise errors.TooManyRequests from None
        try:
            return cast("R", await self._applier.wait(request_id, deadline))
        except asyncio.CancelledError:
            self._applier.forget(request_id)
            raise

    def _check_backlog(self) -> None:
        status = self._node.status()
        if status.commit - status.applied > MAX_BACKLOG or self._machine.pending_bytes > PENDING_LIMIT:
            raise errors.TooManyRequests

    async def _wait_for_leader(self) -> None:
        try:
            async with asyncio.timeout(self._options.request_timeout):
                await self._node.leader_known.wait()
        except TimeoutError:
            raise errors.DeadlineExceeded from None

    def _header(self, revision: int) -> ResponseHeader:
        term = self._node.status().term
        return ResponseHeader(self._options.cluster_id, self._options.member.ID, revision, term)


def _reads_below(request: TxnRequest, revision: int) -> bool:
    """Whether a range of the transaction asks for a past revision."""
    for op in (*request.success, *request.failure):
        if op.request_range is not None and 0 < op.request_range.revision < revision:
            return True
        if op.request_txn is not None and _reads_below(op.request_txn, revision):
            return True
    return False


def first_request_id(member_id: int, wall_time: float) -> int:
    """The id from which a member counts its requests: 16 bits of member, 40 of milliseconds, 8 of counter.

    The counter may run over into the milliseconds: ids stay unique across restarts as long as fewer than 256 requests
    a millisecond are made (etcd pkg/idutil).
    """
    milliseconds = int(wall_time * 1000) & (2**40 - 1)
    return (member_id & 0xFFFF) << 48 | milliseconds << 8
