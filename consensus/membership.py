"""The Cluster service of one member: who takes part, and who shall.

A change is an entry of the log, one at a time; it counts from when it is applied (Raft thesis 4.1, as etcd has it).
"""

import logging
from typing import Any

from consensus.cluster import member_id
from consensus.leader_calls import LeaderCalls
from consensus.peers import Peers
from consensus.proposals import Proposals
from consensus.raft.types import ConfChangeType, Role
from consensus.reconfiguration import READY_SHARE, Safety, checked_urls
from consensus.replica import Replica
from consensus.server import Handlers
from raftgate.api import errors
from raftgate.api.cluster import (
    Member,
    MemberAdded,
    MemberAddRequest,
    MemberAddResponse,
    MemberListRequest,
    MemberListResponse,
    MemberPromoted,
    MemberPromoteRequest,
    MemberPromoteResponse,
    MemberRemoved,
    MemberRemoveRequest,
    MemberRemoveResponse,
    MembersRecorded,
    MemberUpdated,
    MemberUpdateRequest,
    MemberUpdateResponse,
)
from raftgate.api.message import Request

log = logging.getLogger(__name__)


class Membership:
    """Answers what concerns the members, from the records of the replicated state."""

    def __init__(self, replica: Replica, proposals: Proposals, peers: Peers, leader_calls: LeaderCalls) -> None:
        """Registers with `leader_calls` what this member answers while it leads."""
        self._replica = replica
        self._machine = replica.machine
        self._options = replica.options
        self._proposals = proposals
        self._leader_calls = leader_calls
        self._safety = Safety(replica.options.member.ID, lambda: replica.machine.members, peers)
        leader_calls.register({MemberPromoteRequest: self._promote_here, MemberAddRequest: self._add})
        self.handlers: Handlers = {
            MemberListRequest: self._list,
            MemberAddRequest: self._add,
            MemberRemoveRequest: self._remove,
            MemberUpdateRequest: self._update,
            MemberPromoteRequest: self._promote,
        }

    async def _list(self, request: MemberListRequest) -> MemberListResponse:
        """Without a barrier unless it is asked for: whoever seeks members may have no quorum (etcd v3rpc/member.go)."""
        if request.linearizable:
            await self._replica.reads.barrier()
        return MemberListResponse(self._replica.header(0), self._machine.members)

    async def _add(self, request: MemberAddRequest) -> MemberAddResponse:
        """The id follows from the URLs and the second (etcd membership/member.go, NewMember)."""
        urls = checked_urls(request.peerURLs)
        if request.isLearner and self._options.max_learners < 1:  # in the entry 0 is no limit
            raise errors.TooManyLearners
        if self._options.strict_reconfig_check:
            self._safety.check_add(is_learner=request.isLearner)
        new_id = member_id(urls, f"{int(self._replica.env.wall_time())}")
        member = Member(new_id, peerURLs=urls, isLearner=request.isLearner)
        kind = ConfChangeType.ADD_LEARNER_NODE if request.isLearner else ConfChangeType.ADD_NODE
        limit = self._options.max_learners if request.isLearner else 0
        recorded = await self._change(kind, new_id, MemberAdded(member, limit))
        return MemberAddResponse(self._replica.header(0), member, recorded.members)

    async def _remove(self, request: MemberRemoveRequest) -> MemberRemoveResponse:
        await self._check_known(request.ID)
        if self._options.strict_reconfig_check:
            self._safety.check_remove(request.ID)
        recorded = await self._change(ConfChangeType.REMOVE_NODE, request.ID, MemberRemoved(request.ID))
        return MemberRemoveResponse(self._replica.header(0), recorded.members)

    async def _update(self, request: MemberUpdateRequest) -> MemberUpdateResponse:
        urls = checked_urls(request.peerURLs)
        await self._check_known(request.ID)
        recorded = await self._change(ConfChangeType.UPDATE_NODE, request.ID, MemberUpdated(request.ID, urls))
        return MemberUpdateResponse(self._replica.header(0), recorded.members)

    async def _promote(self, request: MemberPromoteRequest) -> MemberPromoteResponse:
        answer = await self._leader_calls.ask(request)
        return MemberPromoteResponse(self._replica.header(0), answer.members)

    async def _promote_here(self, request: MemberPromoteRequest) -> MemberPromoteResponse:
        """Only the leader knows how far a learner is.

        Raises: NotLeader, MemberNotFound, LearnerNotReady, MemberNotEnoughStarted, MemberNotLearner.
        """
        status, promoted = self._replica.node.status(), request.ID
        if status.role is not Role.LEADER:
            raise errors.NotLeader
        if promoted not in status.progress:
            raise errors.MemberNotFound
        if status.progress[promoted].match < READY_SHARE * status.progress[status.id].match:
            raise errors.LearnerNotReady
        if self._options.strict_reconfig_check:
            self._safety.check_promote()
        recorded = await self._change(ConfChangeType.ADD_NODE, promoted, MemberPromoted(promoted))
        return MemberPromoteResponse(self._replica.header(0), recorded.members)

    async def _check_known(self, asked: int) -> None:
        """What cannot be need not enter the log; this member may have to learn first of one that was just added.

        Raises: MemberNotFound.
        """
        if not self._is_known(asked):
            await self._replica.reads.barrier()
            if not self._is_known(asked):
                raise errors.MemberNotFound

    def _is_known(self, asked: int) -> bool:
        return asked in [member.ID for member in self._machine.members]

    async def _change(self, kind: ConfChangeType, changed: int, request: Request[MembersRecorded]) -> MembersRecorded:
        fields: dict[str, Any] = {"change": kind.name, "member-id": f"{changed:x}"}  # Any: as logging has it
        log.info("proposing a membership change", extra={"fields": fields})
        return await self._proposals.change(kind, changed, request)
