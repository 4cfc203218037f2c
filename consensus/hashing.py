"""The hashes over what one member has: brings what it covers into SQLite first, and runs in a reader's thread."""

from consensus.env import Lane
from consensus.flush import Flush
from consensus.replica import Replica
from raftgate.api.errors import FutureRev
from storage.hash import KvHash


class Hashing:
    """Hashes what one member has."""

    def __init__(self, replica: Replica, flush: Flush) -> None:
        self._replica = replica
        self._flush = flush

    async def all(self) -> int:
        """The hash over the whole file."""
        await self._flush.up_to(self._replica.machine.applied_index)
        return await self._replica.env.run_blocking(Lane.READERS, self._replica.machine.hash_all)

    async def at(self, revision: int) -> KvHash:
        """The hash over the keys up to `revision`, 0 for the one that is current now.

        Raises: FutureRev, Compacted, StoreExchanged, DatabaseUnsound.
        """
        machine, whole = self._replica.machine, self._replica.applier.whole
        await whole.wait()
        revision = revision or machine.revision
        if revision > machine.revision:
            raise FutureRev
        await self._flush.up_to(machine.applied_index)  # writes that come meanwhile are above the revision
        await whole.wait()
        hashing = machine.hash_kv(revision)
        try:
            return await self._replica.env.run_blocking(Lane.READERS, hashing.run)
        finally:
            hashing.close()
