"""The Cluster service of one member: who takes part.

Changes of the membership find their place here, too; they are entries of the log, one at a time.
"""

from consensus.replica import Replica
from consensus.server import Handlers
from raftgate.api.cluster import MemberListRequest, MemberListResponse


class Membership:
    """Answers what concerns the members, from the records of the replicated state."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self.handlers: Handlers = {MemberListRequest: self._list}

    async def _list(self, request: MemberListRequest) -> MemberListResponse:
        """Without a barrier unless it is asked for: whoever seeks members may have no quorum (etcd v3rpc/member.go)."""
        if request.linearizable:
            await self._replica.reads.barrier()
        return MemberListResponse(self._replica.header(0), self._replica.machine.members)
