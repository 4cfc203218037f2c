"""The replicated lease records, and which keys are attached to which lease (etcd server/lease/lessor.go).

No time lives here: who counts it proposes revocations and notes of what is left. Attachments follow from the live
KeyValues: `Kv` tells of each change, and of each that it takes back. A key that a sweep has deleted stays attached
until that is settled, so readers of attachments look whether a key is live.
"""

from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import Final, Protocol

import msgspec

from raftgate.api.errors import LeaseExist, LeaseNotFound, LeaseTTLTooLarge
from raftgate.api.lease import LeaseCheckpointRequest, LeaseGrantRequest, LeaseGrantResponse

MAX_TTL: Final = 9_000_000_000
"""Seconds: etcd lessor.go, MaxLeaseTTL."""
CHANGE_OVERHEAD: Final = 150
"""Bytes that a lease's change takes in memory until SQLite has it, about."""


class Lease(msgspec.Struct, frozen=True, gc=False):
    """A record. A Struct, since there may be many, and Python's collector need not look at these."""

    id: int
    ttl: int
    """Seconds, as granted."""
    remaining_ttl: int = 0
    """Seconds that were left when that was last noted, 0 if it never was since the last renewal."""


class Observer(Protocol):
    """Is told of changes to leases as they are applied; must neither raise nor look at the store."""

    def granted(self, lease: Lease) -> None:
        """Takes note of a new lease."""
        ...

    def revoked(self, lease_id: int) -> None:
        """Takes note that a lease is gone, with its keys."""
        ...


class Leases:
    """The leases that exist."""

    __slots__ = ("_keys", "_records", "changed", "observer")

    def __init__(self) -> None:
        self._records: dict[int, Lease] = {}
        self._keys: dict[int, set[bytes]] = {}
        self.changed: dict[int, Lease | None] = {}
        """What differs from the records that SQLite has been given; None where one is gone."""
        self.observer: Observer | None = None

    def __contains__(self, lease_id: int) -> bool:
        return lease_id in self._records

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Lease]:
        return iter(self._records.values())

    def load(self, leases: Iterable[Lease]) -> None:
        """Takes the leases that SQLite has."""
        self._records = {lease.id: lease for lease in leases}

    def get(self, lease_id: int) -> Lease | None:
        """The lease of an id, or None."""
        return self._records.get(lease_id)

    @property
    def pending_bytes(self) -> int:
        """Bytes of memory that changes take which SQLite does not have yet, about."""
        return len(self.changed) * CHANGE_OVERHEAD

    def take_changed(self) -> dict[int, Lease | None]:
        """Hands over the changes."""
        changed, self.changed = self.changed, {}
        return changed

    def grant(self, request: LeaseGrantRequest) -> LeaseGrantResponse:
        """Adds a lease; the least TTL is the proposer's affair, since it follows from settings.

        Raises: LeaseNotFound, LeaseTTLTooLarge, LeaseExist.
        """
        if not request.ID:
            raise LeaseNotFound
        if request.TTL > MAX_TTL:
            raise LeaseTTLTooLarge
        if request.ID in self._records:
            raise LeaseExist
        lease = Lease(request.ID, request.TTL)
        self._record(lease)
        if self.observer is not None:
            self.observer.granted(lease)
        return LeaseGrantResponse(None, request.ID, request.TTL)

    def checkpoint(self, request: LeaseCheckpointRequest) -> None:
        """Notes what leases have left, 0 for the whole TTL; those that are gone meanwhile are passed over."""
        for each in request.checkpoints:
            lease = self._records.get(each.ID)
            if lease is not None:
                left = max(each.remaining_TTL, 0)
                self._record(Lease(lease.id, lease.ttl, left if left < lease.ttl else 0))

    def remove(self, lease_id: int) -> None:
        """Drops a lease whose keys have been deleted."""
        del self._records[lease_id]
        self._keys.pop(lease_id, None)
        self.changed[lease_id] = None
        if self.observer is not None:
            self.observer.revoked(lease_id)

    def move(self, key: bytes, old: int, new: int) -> None:
        """Takes a key from a lease and attaches it to another one; 0 is none."""
        if old:
            self.detach(key, old)
        if new:
            keys = self._keys.get(new)
            if keys is None:
                keys = self._keys[new] = set()
            keys.add(key)

    def detach(self, key: bytes, lease_id: int) -> None:
        """Takes a key from a lease, which may be gone already."""
        keys = self._keys.get(lease_id)
        if keys is not None:
            keys.discard(key)
            if not keys:
                del self._keys[lease_id]

    def count(self, lease_id: int) -> int:
        """About how many keys are attached to a lease: some may be swept."""
        return len(self._keys.get(lease_id, ()))

    def keys(self, lease_id: int) -> list[bytes]:
        """The keys attached to a lease in order, swept ones among them."""
        return sorted(self._keys.get(lease_id, ()))

    def pieces(self, lease_id: int, size: int) -> Iterator[Sequence[bytes] | None]:
        """The same, `size` at a time, for very many: None in between, when only a part of the work is done.

        What is attached is looked up in the first step; a million keys take it a few milliseconds.
        """
        keys = list(self._keys.get(lease_id, ()))
        parts = []
        for start in range(0, len(keys), size):
            parts.append(sorted(keys[start : start + size]))
            yield None
        merged = merge(*parts)
        while piece := list(islice(merged, size)):
            yield piece

    def _record(self, lease: Lease) -> None:
        self._records[lease.id] = lease
        self.changed[lease.id] = lease
