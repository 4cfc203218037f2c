"""The way of a write into the log: size and backlog checks, an id, the wait for its entry to be applied.

Texts of timeouts are etcd's (v3_server.go, processInternalRaftRequestOnce).
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar, cast

import msgspec

from consensus import command
from consensus.apply import Waiter
from consensus.raft.errors import ProposalDropped
from consensus.replica import Replica
from raftgate.api import errors
from raftgate.api.message import Message, Request
from storage import validation
from storage.options import PENDING_LIMIT

R = TypeVar("R", bound=Message)

MAX_BACKLOG = 5000  # etcd v3_server.go, maxGapBetweenApplyAndCommitIndex


class Proposals:
    """Replicates the requests that one member takes."""

    def __init__(self, replica: Replica, waiting_bytes: Callable[[], int]) -> None:
        """`waiting_bytes`: of applied rows whose write into SQLite has not begun."""
        self._waiting_bytes = waiting_bytes
        self._replica = replica
        self._node = replica.node
        self._applier = replica.applier
        self._env = replica.env
        self._options = replica.options
        self._loop = asyncio.get_running_loop()
        self._next_id = first_request_id(replica.options.member.ID, replica.env.wall_time())

    async def propose(self, request: Request[R]) -> R:
        """Replicates a client's request; the answer's header is completed.

        Raises: EtcdError; Timeout and DeadlineExceeded leave the outcome open.
        """
        response = await self.replicate(request)
        revision = response.header.revision  # type: ignore[attr-defined]  # every answer to a client has a header
        return msgspec.structs.replace(response, header=self._replica.header(revision))

    async def replicate(self, request: Request[R]) -> R:
        """Replicates any request; the answer is as the state machine made it.

        Raises: as `propose`.
        """
        deadline = self._loop.time() + self._options.request_timeout
        self._check_backlog()
        if validation.encoded_size(request) > self._options.max_request_bytes:
            raise errors.RequestTooLarge
        if not self._node.leader:
            await self._wait_for_leader()
        request_id = self._next_id
        waiter = self.submit(request, deadline)
        try:
            return cast("R", await waiter)
        except asyncio.CancelledError:
            self._applier.forget(request_id)
            raise

    def submit(self, request: Request[R], deadline: float | None = None) -> Waiter:
        """Proposes a request at once, of the member's own, too; the future has its answer or error.

        `deadline`: the loop's time, by default that of the request timeout.
        Raises: TooManyRequests.
        """
        if deadline is None:
            deadline = self._loop.time() + self._options.request_timeout
        request_id = self._next_id
        self._next_id += 1
        try:
            self._node.propose(command.encode(request_id, request, self._env.wall_time()))
        except ProposalDropped:
            raise errors.TooManyRequests from None
        return self._applier.wait(request_id, deadline)

    def _check_backlog(self) -> None:
        status = self._node.status()
        if status.commit - status.applied > MAX_BACKLOG or self._waiting_bytes() > PENDING_LIMIT:
            raise errors.TooManyRequests

    async def _wait_for_leader(self) -> None:
        try:
            async with asyncio.timeout(self._options.request_timeout):
                await self._node.leader_known.wait()
        except TimeoutError:
            raise errors.DeadlineExceeded from None


def first_request_id(member_id: int, wall_time: float) -> int:
    """The id from which a member counts its requests: 16 bits of member, 40 of milliseconds, 8 of counter.

    The counter may run over into the milliseconds: ids stay unique across restarts as long as fewer than 256 requests
    a millisecond are made (etcd pkg/idutil).
    """
    milliseconds = int(wall_time * 1000) & (2**40 - 1)
    return (member_id & 0xFFFF) << 48 | milliseconds << 8
