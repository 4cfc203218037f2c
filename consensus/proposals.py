"""The way of a write into the log: size and backlog checks, an id, the wait for its entry to be applied.

Texts of timeouts are etcd's (v3_server.go, processInternalRaftRequestOnce).
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar, cast

import msgspec

from consensus import command
from consensus.apply import Waiter
from consensus.raft.errors import ProposalDropped, TooMuchUncommitted
from consensus.raft.types import ConfChange, ConfChangeType
from consensus.replica import Replica
from raftgate.api import errors
from raftgate.api.errors import EtcdError
from raftgate.api.message import Message, Request
from storage import validation
from storage.options import PENDING_LIMIT

R = TypeVar("R", bound=Message)

MAX_BACKLOG = 5000  # etcd v3_server.go, maxGapBetweenApplyAndCommitIndex


class Proposals:
    """Replicates the requests that one member takes."""

    def __init__(
        self, replica: Replica, waiting_bytes: Callable[[], int], is_connected: Callable[[float], bool]
    ) -> None:
        """`waiting_bytes`: of applied rows whose write into SQLite has not begun.

        `is_connected`: whether the leader, or from the leader a quorum, was there for the last so many seconds.
        """
        self._is_connected = is_connected
        self._waiting_bytes = waiting_bytes
        self._replica = replica
        self._node = replica.node
        self._applier = replica.applier
        self._env = replica.env
        self._options = replica.options
        self._loop = asyncio.get_running_loop()
        self._next_id = first_request_id(replica.options.member.ID, replica.env.random_bytes(6))

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
        self._check_backlog()
        if validation.encoded_size(request) > self._options.max_request_bytes:
            raise errors.RequestTooLarge
        return await self._replicate(lambda deadline: self._submit(request, deadline))

    async def change(self, kind: ConfChangeType, member_id: int, request: Request[R]) -> R:
        """Replicates a membership change, once no other is under way; `request` records it in the store.

        Raises: as `propose`.
        """
        return await self._replicate(lambda deadline: self._submit_change(kind, member_id, request, deadline))

    async def _replicate(self, submit: Callable[[float], Waiter]) -> R:
        """Proposes as soon as somebody leads who takes it: what was dropped is not in the log. Waits for the answer."""
        deadline = self._loop.time() + self._options.request_timeout
        while True:
            if not self._node.leader:
                await self._wait_for_leader(deadline)
            request_id = self._next_id
            try:
                return await self._answer(request_id, submit(deadline))
            except TooMuchUncommitted:
                raise errors.TooManyRequests from None
            except ProposalDropped:  # the leader hands over, leads no more, or another change is under way
                if self._loop.time() >= deadline:
                    raise errors.Timeout from None
                await asyncio.sleep(self._options.heartbeat_interval)

    async def _answer(self, request_id: int, waiter: Waiter) -> R:
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
        try:
            return self._submit(request, deadline)
        except ProposalDropped:
            raise errors.TooManyRequests from None

    def timed_out(self, deadline: float) -> EtcdError:
        """Why a request that had to wait until its deadline, the loop's time, may have no answer.

        As etcd v3_server.go, parseProposeCtxErr.
        """
        node, options = self._node, self._options
        began = deadline - options.request_timeout
        if node.leader_since - 2 * options.election_timeout < began < node.leader_since:
            return errors.TimeoutDueToLeaderFail()
        if node.leader and not self._is_connected(self._loop.time() - began):
            return errors.TimeoutDueToConnectionLost()
        return errors.Timeout()

    def _submit(self, request: Request[R], deadline: float) -> Waiter:
        """Raises: ProposalDropped."""
        request_id = self._next_id
        self._next_id += 1
        self._node.propose(command.encode(request_id, request, self._env.wall_time()))
        return self._applier.wait(request_id, deadline)

    def _submit_change(self, kind: ConfChangeType, member_id: int, request: Request[R], deadline: float) -> Waiter:
        """Raises: ProposalDropped."""
        request_id = self._next_id
        self._next_id += 1
        data = command.encode(request_id, request, self._env.wall_time())
        self._node.propose_conf_change(ConfChange(kind, member_id, data))
        return self._applier.wait(request_id, deadline)

    def _check_backlog(self) -> None:
        status = self._node.status()
        if status.commit - status.applied > MAX_BACKLOG or self._waiting_bytes() > PENDING_LIMIT:
            raise errors.TooManyRequests

    async def _wait_for_leader(self, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await self._node.leader_known.wait()
        except TimeoutError:
            raise errors.DeadlineExceeded from None


def first_request_id(member_id: int, chance: bytes) -> int:
    """The id from which a member counts its requests in this run: 16 bits of member, and 48 of chance.

    etcd takes the time in milliseconds (pkg/idutil); a clock that is set back would then give ids of the run before
    to others, and an entry that is still to be applied would answer a request that it is not of.
    """
    return (member_id & 0xFFFF) << 48 | int.from_bytes(chance[:6], "big")
