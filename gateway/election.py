"""The service Election (etcd server/etcdserver/api/v3election/election.go)."""

from collections.abc import AsyncGenerator, AsyncIterator

import msgspec

from gateway.backend import Backend, WatchStream
from gateway.codeless import Codeless
from gateway.waiters import OWN_TTL, Waiter, Waiters, is_over, oldest, prefix_end
from raftgate.api.concurrency import (
    CampaignRequest,
    CampaignResponse,
    LeaderKey,
    LeaderRequest,
    LeaderResponse,
    ProclaimRequest,
    ProclaimResponse,
    ResignRequest,
    ResignResponse,
)
from raftgate.api.errors import ElectionNoLeader, ElectionNotLeader, ElectionSessionExpired, LeaderMissing
from raftgate.api.kv import (
    Compare,
    CompareTarget,
    DeleteRangeRequest,
    KeyValue,
    PutRequest,
    RequestOp,
    ResponseHeader,
    TxnRequest,
    TxnResponse,
)
from raftgate.api.lease import LeaseGrantRequest
from raftgate.api.message import Caller
from raftgate.api.watch import Event, EventType, WatchCreateRequest, WatchFilter, WatchRequest


class Election:
    """Elections of a backend: the candidate whose key is the oldest leads."""

    def __init__(self, backend: Backend, waiters: Waiters) -> None:
        self._client = Codeless(backend)
        self._waiters = waiters

    async def campaign(self, request: CampaignRequest, caller: Caller) -> CampaignResponse:
        """Waits until the caller leads; at once if its lease leads already.

        Raises: errors of the catalogue; ElectionSessionExpired where etcd names a leader whose key is gone.
        """
        async with self._waiters.standing(request.name, request.lease, request.value, caller) as waiter:
            leader = LeaderKey(name=request.name, key=waiter.key, rev=waiter.revision, lease=waiter.lease)
            if waiter.found is not None and waiter.found.value != request.value:
                await self._proclaim(leader, request.value, caller)
            if not waiter.is_first:
                await self._win(waiter, caller)
        return CampaignResponse(header=waiter.header, leader=leader, raftgate_fencing_revision=waiter.revision)

    async def proclaim(self, request: ProclaimRequest, caller: Caller) -> ProclaimResponse:
        """Gives a candidate's key a new value, also before it leads.

        Raises: errors of the catalogue.
        """
        leader = _required(request.leader)
        if not leader.lease:  # etcd opens a session here, too
            lease = (await self._client.call(LeaseGrantRequest(TTL=OWN_TTL), caller)).ID
            leader = msgspec.structs.replace(leader, lease=lease)
        return ProclaimResponse(header=await self._proclaim(leader, request.value, caller))

    async def leader(self, request: LeaderRequest, caller: Caller) -> LeaderResponse:
        """Tells who leads.

        Raises: errors of the catalogue.
        """
        response = await self._client.call(oldest(request.name + b"/"), caller)
        if not response.kvs:
            raise ElectionNoLeader
        return LeaderResponse(header=response.header, kv=response.kvs[0])

    async def resign(self, request: ResignRequest, caller: Caller) -> ResignResponse:
        """Deletes a candidate's key, if it is still the candidate's.

        Raises: errors of the catalogue.
        """
        leader = _required(request.leader)
        delete = RequestOp(request_delete_range=DeleteRangeRequest(key=leader.key))
        response = await self._if_still(leader, delete, caller)
        return ResignResponse(header=response.header)

    async def observe(self, request: LeaderRequest, caller: Caller) -> AsyncGenerator[LeaderResponse]:
        """Yields the leader, or the next one, then each new value and each new leader, until it is closed.

        Values that were overwritten while no leader was watched may be left out, and those that a compaction took.

        Raises: errors of the catalogue.
        """
        shown = b"", 0
        while True:
            header, kv = await self._present_or_next(request.name + b"/", caller)
            if (kv.key, kv.mod_revision) != shown:  # a watch that a compaction ended finds what is known
                yield LeaderResponse(header=header, kv=kv)
            stream = await self._client.watch(caller)
            try:
                create = WatchCreateRequest(key=kv.key, start_revision=header.revision + 1)
                async for heading, event in _events(stream, create):
                    if event.type is EventType.DELETE:
                        break
                    kv = _kv(event)
                    yield LeaderResponse(header=_as_of(heading, kv), kv=kv)
            finally:
                stream.close()
            shown = kv.key, kv.mod_revision

    async def _win(self, waiter: Waiter, caller: Caller) -> None:
        await self._waiters.wait(waiter, caller)
        if await self._waiters.look(waiter, caller) is None:
            raise ElectionSessionExpired

    async def _proclaim(self, leader: LeaderKey, value: bytes, caller: Caller) -> ResponseHeader | None:
        put = RequestOp(request_put=PutRequest(key=leader.key, value=value, lease=leader.lease))
        response = await self._if_still(leader, put, caller)
        if not response.succeeded:
            raise ElectionNotLeader
        return response.header

    async def _if_still(self, leader: LeaderKey, op: RequestOp, caller: Caller) -> TxnResponse:
        """Runs an operation if the key is the one that the candidate made."""
        mine = Compare(target=CompareTarget.CREATE, key=leader.key, create_revision=leader.rev)
        return await self._client.call(TxnRequest(compare=(mine,), success=(op,)), caller)

    async def _present_or_next(self, prefix: bytes, caller: Caller) -> tuple[ResponseHeader, KeyValue]:
        """The leader with the header of when it was seen to lead."""
        while True:
            response = await self._client.call(oldest(prefix), caller)
            header = response.header or ResponseHeader()
            if response.kvs:
                return header, response.kvs[0]
            create = WatchCreateRequest(
                key=prefix,
                range_end=prefix_end(prefix),
                start_revision=header.revision + 1,
                filters=(WatchFilter.NODELETE,),
            )
            stream = await self._client.watch(caller)
            try:
                async for heading, event in _events(stream, create):
                    kv = _kv(event)
                    return _as_of(heading, kv), kv
            finally:
                stream.close()


async def _events(stream: WatchStream, create: WatchCreateRequest) -> AsyncIterator[tuple[ResponseHeader, Event]]:
    """What a watch tells, until its history is gone."""
    stream.send(WatchRequest(create_request=create))
    while True:
        for response in await stream.receive():
            if is_over(response):
                return
            for event in response.events:
                yield response.header or ResponseHeader(), event


def _kv(event: Event) -> KeyValue:
    assert event.kv is not None  # every event has one
    return event.kv


def _as_of(header: ResponseHeader, kv: KeyValue) -> ResponseHeader:
    """A response of past events bears the revision of now."""
    return msgspec.structs.replace(header, revision=kv.mod_revision)


def _required(leader: LeaderKey | None) -> LeaderKey:
    if leader is None:
        raise LeaderMissing
    return leader
