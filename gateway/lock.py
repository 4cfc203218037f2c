"""The service Lock (etcd server/etcdserver/api/v3lock/lock.go)."""

from gateway.backend import Backend
from gateway.codeless import Codeless
from gateway.waiters import Waiters
from raftgate.api.concurrency import LockRequest, LockResponse, UnlockRequest, UnlockResponse
from raftgate.api.errors import LockSessionExpired
from raftgate.api.kv import DeleteRangeRequest
from raftgate.api.message import Caller


class Lock:
    """Locks of a backend: whoever waits gets its lock in the order in which the keys were made."""

    def __init__(self, backend: Backend, waiters: Waiters) -> None:
        self._client = Codeless(backend)
        self._waiters = waiters

    async def lock(self, request: LockRequest, caller: Caller) -> LockResponse:
        """Waits until the lock is the caller's; at once if its lease has it already.

        Raises: errors of the catalogue.
        """
        async with self._waiters.standing(request.name, request.lease, b"", caller) as waiter:
            header = waiter.header
            if not waiter.is_first:
                await self._waiters.wait(waiter, caller)
                now = await self._waiters.look(waiter, caller)
                if now is None:
                    raise LockSessionExpired
                header = now
        return LockResponse(header=header, key=waiter.key, raftgate_fencing_revision=waiter.revision)

    async def unlock(self, request: UnlockRequest, caller: Caller) -> UnlockResponse:
        """Deletes a key, whatever it is.

        Raises: errors of the catalogue.
        """
        response = await self._client.call(DeleteRangeRequest(key=request.key), caller)
        return UnlockResponse(header=response.header)
