"""A backend that holds keys and leases and tells of their changes: as much of a store as locks and elections use."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec

from gateway.backend import Backend
from raftgate.api.errors import EmptyKey, LeaseNotFound
from raftgate.api.kv import (
    Compare,
    DeleteRangeRequest,
    DeleteRangeResponse,
    KeyValue,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    RequestOp,
    ResponseHeader,
    ResponseOp,
    SortOrder,
    TxnRequest,
    TxnResponse,
)
from raftgate.api.lease import LeaseGrantRequest, LeaseGrantResponse, LeaseRevokeRequest, LeaseRevokeResponse
from raftgate.api.message import Caller, Message, R, Request
from raftgate.api.watch import (
    Event,
    EventType,
    WatchCreateRequest,
    WatchFilter,
    WatchRequest,
    WatchResponse,
)

FILTERS: dict[object, WatchFilter] = {EventType.PUT: WatchFilter.NOPUT, EventType.DELETE: WatchFilter.NODELETE}


class KeyBackend:
    """A store of one revision at a time, with all its events and none of its past values."""

    def __init__(self) -> None:
        self.revision = 1
        self.compacted = 0
        self.keys: dict[bytes, KeyValue] = {}
        self.leases: set[int] = set()
        self.events: list[Event] = []
        self.streams: list[KeyStream] = []
        """Those that are open."""
        self.calls: list[Request[Any]] = []
        self.callers: set[Caller] = set()
        self.failures: dict[type[Request[Any]], Exception] = {}
        """What calls raise, by the class of their request."""
        self.refusal: str = ""
        """Why watches are refused."""
        self.gate: asyncio.Event | None = None
        """Writes are done at once and answered when it is set."""
        self.changed = asyncio.Condition()

    async def call(self, request: Request[R], caller: Caller) -> R:
        self.calls.append(request)
        self.callers.add(caller)
        failure = self.failures.get(type(request))
        if failure is not None:
            raise failure
        answer = self._answer(request)
        await self._tell()
        if self.gate is not None and isinstance(request, TxnRequest | LeaseGrantRequest):
            await self.gate.wait()
        return cast("R", answer)

    async def watch(self, caller: Caller) -> "KeyStream":  # noqa: ARG002 - as in the interface
        failure = self.failures.get(WatchRequest)
        if failure is not None:
            raise failure
        stream = KeyStream(self)
        self.streams.append(stream)
        await self._tell()
        return stream

    async def compact(self) -> None:
        """Forgets all events, which ends the watches that have not heard of them."""
        self.compacted = self.revision
        await self._tell()

    async def until(self, claim: Callable[[], bool]) -> None:
        """Waits until something holds."""
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(claim)

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    def header(self) -> ResponseHeader:
        return ResponseHeader(cluster_id=1, member_id=2, revision=self.revision, raft_term=3)

    def _answer(self, request: Request[Any]) -> Message:
        if isinstance(request, TxnRequest):
            return self._txn(request)
        if isinstance(request, RangeRequest):
            return self._range(request)
        if isinstance(request, LeaseGrantRequest):
            lease = request.ID or max(self.leases, default=1000) + 1
            self.leases.add(lease)
            return LeaseGrantResponse(header=self.header(), ID=lease, TTL=request.TTL)
        if isinstance(request, LeaseRevokeRequest):
            if request.ID not in self.leases:
                raise LeaseNotFound
            self.leases.remove(request.ID)
            gone = [key for key, kv in self.keys.items() if kv.lease == request.ID]
            self.revision += bool(gone)
            for key in sorted(gone):
                self._delete(key)
            return LeaseRevokeResponse(header=self.header())
        if isinstance(request, PutRequest | DeleteRangeRequest):
            return self._operation(request, self.revision + 1)
        raise AssertionError(request)

    def _txn(self, request: TxnRequest) -> TxnResponse:
        succeeded = all(map(self._holds, request.compare))
        revision = self.revision + 1
        responses = tuple(self._op(op, revision) for op in (request.success if succeeded else request.failure))
        return TxnResponse(header=self.header(), succeeded=succeeded, responses=responses)

    def _holds(self, compare: Compare) -> bool:
        kv = self.keys.get(compare.key, KeyValue())
        return kv.create_revision == compare.create_revision

    def _op(self, op: RequestOp, revision: int) -> ResponseOp:
        if op.request_range is not None:
            return ResponseOp(response_range=self._range(op.request_range))
        if op.request_put is not None:
            return ResponseOp(response_put=cast("PutResponse", self._operation(op.request_put, revision)))
        assert op.request_delete_range is not None
        deleted = cast("DeleteRangeResponse", self._operation(op.request_delete_range, revision))
        return ResponseOp(response_delete_range=deleted)

    def _range(self, request: RangeRequest) -> RangeResponse:
        end = request.range_end or request.key + b"\0"
        kvs = [kv for key, kv in self.keys.items() if request.key <= key < end]
        kvs.sort(key=lambda kv: kv.create_revision, reverse=request.sort_order is SortOrder.DESCEND)
        bound = request.max_create_revision or self.revision
        found = tuple(kv for kv in kvs if kv.create_revision <= bound)[: request.limit or None]
        return RangeResponse(header=self.header(), kvs=found, count=len(kvs))

    def _operation(self, request: PutRequest | DeleteRangeRequest, revision: int) -> Message:
        if not request.key:
            raise EmptyKey
        if isinstance(request, DeleteRangeRequest):
            deleted = request.key in self.keys
            if deleted:
                self.revision = revision
                self._delete(request.key)
            return DeleteRangeResponse(header=self.header(), deleted=int(deleted))
        if request.lease and request.lease not in self.leases:
            raise LeaseNotFound
        self.revision = revision
        old = self.keys.get(request.key) or KeyValue(key=request.key, create_revision=revision)
        kv = msgspec.structs.replace(
            old, mod_revision=revision, version=old.version + 1, value=request.value, lease=request.lease
        )
        self.keys[request.key] = kv
        self.events.append(Event(kv=kv))
        return PutResponse(header=self.header())

    def _delete(self, key: bytes) -> None:
        del self.keys[key]
        self.events.append(Event(type=EventType.DELETE, kv=KeyValue(key=key, mod_revision=self.revision)))


class KeyStream:
    """A stream of one watch."""

    def __init__(self, backend: KeyBackend) -> None:
        self.backend = backend
        self.key, self.end, self.next = b"", b"", 0
        self.filters: tuple[object, ...] = ()
        self.is_created = False

    def send(self, request: WatchRequest) -> None:
        create = request.create_request
        assert create is not None
        self.key, self.end = create.key, create.range_end or create.key + b"\0"
        self.next, self.filters = create.start_revision, create.filters

    async def receive(self) -> Sequence[WatchResponse]:
        backend = self.backend
        if not self.is_created:
            self.is_created = True
            if backend.refusal:
                return [WatchResponse(watch_id=-1, created=True, canceled=True, cancel_reason=backend.refusal)]
            return [WatchResponse(header=backend.header(), created=True)]
        async with backend.changed:
            await backend.changed.wait_for(lambda: self.next < backend.compacted or self._matching())
        if self.next < backend.compacted:
            return [WatchResponse(canceled=True, compact_revision=backend.compacted)]
        events = self._matching()
        self.next = backend.revision + 1
        return [WatchResponse(header=backend.header(), events=events)]

    def _matching(self) -> tuple[Event, ...]:
        return tuple(
            event
            for event in self.backend.events
            if event.kv is not None
            and event.kv.mod_revision >= self.next
            and self.key <= event.kv.key < self.end
            and FILTERS[event.type] not in self.filters
        )

    def close(self) -> None:
        if self in self.backend.streams:
            self.backend.streams.remove(self)


class Store:
    """What tests do to a backend beside the calls that they are about."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    async def call(self, request: Request[R]) -> R:
        return await self.backend.call(request, Caller())

    async def put(self, key: bytes, value: bytes = b"", lease: int = 0) -> int:
        return _revision(await self.call(PutRequest(key=key, value=value, lease=lease)))

    async def delete(self, key: bytes) -> int:
        return _revision(await self.call(DeleteRangeRequest(key=key)))

    async def grant(self, *leases: int) -> None:
        for lease in leases:
            await self.call(LeaseGrantRequest(TTL=60, ID=lease))

    async def revoke(self, lease: int) -> int:
        return _revision(await self.call(LeaseRevokeRequest(ID=lease)))

    async def revision(self) -> int:
        return _revision(await self.call(RangeRequest(key=b"-")))

    async def keys(self, prefix: bytes = b"") -> dict[bytes, KeyValue]:
        found = await self.call(RangeRequest(key=prefix or b"\0", range_end=prefix + b"\xff"))
        return {kv.key: kv for kv in found.kvs}

    async def until(self, key: bytes, *, present: bool) -> None:
        """Waits until a key is there, or is not."""
        found = await self.call(RangeRequest(key=key))
        stream = await self.backend.watch(Caller())
        assert found.header is not None
        create = WatchCreateRequest(key=key, start_revision=found.header.revision + 1)
        wanted = EventType.PUT if present else EventType.DELETE
        try:
            stream.send(WatchRequest(create_request=create))
            async with asyncio.timeout(10):
                while bool(found.kvs) is not present:
                    events = [event for response in await stream.receive() for event in response.events]
                    if any(event.type == wanted for event in events):
                        return
        finally:
            stream.close()


def _revision(response: Any) -> int:  # Any: a response that has a header
    revision: int = response.header.revision
    return revision
