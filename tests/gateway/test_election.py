import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from gateway.concurrency import Concurrency
from raftgate.api import errors
from raftgate.api.concurrency import (
    CampaignRequest,
    CampaignResponse,
    LeaderKey,
    LeaderRequest,
    LeaderResponse,
    ProclaimRequest,
    ResignRequest,
)
from raftgate.api.errors import Code, EtcdError
from raftgate.api.kv import RangeRequest, TxnRequest
from raftgate.api.message import Caller, Request
from tests.fakes.keys import KeyBackend, Store
from tests.fakes.stores import KINDS, opened

pytestmark = pytest.mark.anyio

A, B, C = 0xA, 0xB, 0xC


@pytest.fixture(params=KINDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(request.param, tmp_path) as store:
        await store.grant(A, B, C)
        yield store


@pytest.fixture
def service(store: Store) -> Concurrency:
    return Concurrency(store.backend)


async def campaign(service: Concurrency, lease: int, value: bytes = b"v") -> CampaignResponse:
    async with asyncio.timeout(10):
        return await service.call(CampaignRequest(name=b"e", lease=lease, value=value), Caller())


async def campaigning(
    service: Concurrency, store: Store, lease: int, value: bytes = b"v"
) -> "asyncio.Task[CampaignResponse]":
    """A call that waits: its key is there."""
    task = asyncio.create_task(campaign(service, lease, value))
    await store.until(b"e/%x" % lease, present=True)
    return task


async def elected(service: Concurrency, lease: int, value: bytes = b"v") -> LeaderKey:
    leader = (await campaign(service, lease, value)).leader
    assert leader is not None
    return leader


async def refusal(service: Concurrency, request: Request[Any]) -> tuple[Code, str]:  # Any: its answer is none
    with pytest.raises(EtcdError) as caught:
        await service.call(request, Caller())
    return caught.value.code, caught.value.text


class Observer:
    """Reads what a stream of leaders yields, one at a time."""

    def __init__(self, service: Concurrency) -> None:
        self.answers = service.observe(LeaderRequest(name=b"e"), Caller())

    async def next(self) -> tuple[int, bytes, int, bytes]:
        """Revision of the header; key, mod revision and value of the leader."""
        async with asyncio.timeout(10):
            response: LeaderResponse = await anext(self.answers)
        assert response.header is not None
        assert response.kv is not None
        return response.header.revision, response.kv.key, response.kv.mod_revision, response.kv.value


async def test_the_first_candidate_leads(service: Concurrency, store: Store) -> None:
    await store.grant(200)
    response = await campaign(service, 200, b"v1")
    kv = (await store.keys())[b"e/c8"]
    assert response.leader == LeaderKey(name=b"e", key=b"e/c8", rev=kv.create_revision, lease=200)
    assert response.header is not None
    assert response.header.revision == kv.create_revision == response.raftgate_fencing_revision
    assert (kv.value, kv.lease) == (b"v1", 200)


async def test_the_next_leads_when_the_first_resigns(service: Concurrency, store: Store) -> None:
    first = await elected(service, A)
    second = await campaigning(service, store, B)
    own = (await store.keys())[b"e/b"].create_revision
    assert not second.done()
    await service.call(ResignRequest(leader=first), Caller())
    response = await second
    assert response.header is not None
    assert response.header.revision == own  # of its own entry, not of the moment of winning
    assert response.leader == LeaderKey(name=b"e", key=b"e/b", rev=own, lease=B)


async def test_the_end_of_the_leaders_lease(service: Concurrency, store: Store) -> None:
    await elected(service, A)
    second = await campaigning(service, store, B)
    await store.revoke(A)
    assert (await second).leader is not None


async def test_campaigning_again_with_the_same_value(service: Concurrency, store: Store) -> None:
    first = await elected(service, A)
    again = await campaign(service, A)
    assert again.leader == first
    assert (await store.keys())[b"e/a"].version == 1


async def test_campaigning_again_with_another_value_proclaims_it(service: Concurrency, store: Store) -> None:
    first = await elected(service, A)
    again = await campaign(service, A, b"v2")
    kv = (await store.keys())[b"e/a"]
    assert again.leader == first
    assert (kv.value, kv.version, kv.create_revision) == (b"v2", 2, first.rev)
    assert again.header is not None
    assert again.header.revision == first.rev  # of the first transaction, which read only


async def test_without_a_lease_the_server_grants_one(service: Concurrency, store: Store) -> None:
    leader = await elected(service, 0)
    assert leader.lease > 0
    assert (await store.keys())[leader.key].lease == leader.lease


async def test_an_unknown_lease(service: Concurrency) -> None:
    with pytest.raises(EtcdError) as caught:
        await campaign(service, 0x999)
    assert (caught.value.code, caught.value.text) == (Code.UNKNOWN, "etcdserver: requested lease not found")


async def test_a_candidate_whose_connection_closes(service: Concurrency, store: Store) -> None:
    await elected(service, A)
    second = await campaigning(service, store, B)
    second.cancel()
    await asyncio.wait([second])
    assert set(await store.keys()) == {b"e/a"}


async def test_a_candidate_whose_lease_ends(service: Concurrency, store: Store) -> None:
    await elected(service, A)
    second = await campaigning(service, store, B)
    await store.revoke(B)
    assert not second.done()
    await store.delete(b"e/a")
    with pytest.raises(EtcdError) as caught:
        await second
    assert (caught.value.code, caught.value.text) == (Code.UNKNOWN, "election: session is expired")


async def test_names_with_a_common_beginning_disturb_each_other(service: Concurrency, store: Store) -> None:
    await service.call(CampaignRequest(name=b"e/b", lease=A), Caller())
    second = await campaigning(service, store, B)
    assert not second.done()
    await store.delete(b"e/b/a")
    await second


async def test_proclaim(service: Concurrency, store: Store) -> None:
    leader = await elected(service, A)
    response = await service.call(ProclaimRequest(leader=leader, value=b"v2"), Caller())
    kv = (await store.keys())[b"e/a"]
    assert response.header is not None
    assert (kv.value, kv.lease, kv.mod_revision) == (b"v2", A, response.header.revision)


async def test_a_candidate_proclaims_before_it_leads(service: Concurrency, store: Store) -> None:
    await elected(service, A)
    second = await campaigning(service, store, B)
    own = LeaderKey(name=b"e", key=b"e/b", rev=(await store.keys())[b"e/b"].create_revision, lease=B)
    await service.call(ProclaimRequest(leader=own, value=b"new"), Caller())
    assert (await store.keys())[b"e/b"].value == b"new"
    await store.delete(b"e/a")
    assert (await second).leader == own


async def test_proclaiming_without_being_a_candidate(service: Concurrency, store: Store) -> None:
    leader = await elected(service, A)
    other = LeaderKey(name=b"e", key=leader.key, rev=leader.rev + 1, lease=A)
    assert await refusal(service, ProclaimRequest(leader=other)) == (2, "election: not leader")
    await store.delete(leader.key)
    assert await refusal(service, ProclaimRequest(leader=leader)) == (2, "election: not leader")


async def test_proclaiming_without_a_lease_takes_one_of_its_own(service: Concurrency, store: Store) -> None:
    leader = await elected(service, A)
    bare = LeaderKey(name=b"e", key=leader.key, rev=leader.rev)
    await service.call(ProclaimRequest(leader=bare, value=b"v2"), Caller())
    assert (await store.keys())[leader.key].lease not in (0, A)


async def test_the_leader(service: Concurrency, store: Store) -> None:
    await elected(service, A, b"first")
    task = await campaigning(service, store, B)
    response = await service.call(LeaderRequest(name=b"e"), Caller())
    keys = await store.keys()
    assert response.kv == keys[b"e/a"]
    assert response.header is not None
    assert response.header.revision == await store.revision()
    task.cancel()
    await asyncio.wait([task])


async def test_no_leader(service: Concurrency) -> None:
    assert await refusal(service, LeaderRequest(name=b"e")) == (2, "election: no leader")


async def test_resign(service: Concurrency, store: Store) -> None:
    leader = await elected(service, A)
    response = await service.call(ResignRequest(leader=leader), Caller())
    assert response.header is not None
    assert response.header.revision == leader.rev + 1
    assert await store.keys() == {}


async def test_resigning_without_being_the_leader(service: Concurrency, store: Store) -> None:
    leader = await elected(service, A)
    other = LeaderKey(name=b"e", key=leader.key, rev=leader.rev + 1, lease=A)
    response = await service.call(ResignRequest(leader=other), Caller())
    assert response.header is not None
    assert response.header.revision == leader.rev
    assert set(await store.keys()) == {b"e/a"}


async def test_the_field_leader_is_required(service: Concurrency) -> None:
    missing = (2, '"leader" field must be provided')
    assert await refusal(service, ProclaimRequest()) == missing
    assert await refusal(service, ResignRequest()) == missing


async def test_observing_from_the_leader_on(service: Concurrency, store: Store) -> None:
    leader = await elected(service, A, b"v1")
    await store.put(b"other")
    now = await store.revision()
    observer = Observer(service)
    async with aclosing(observer.answers):
        assert await observer.next() == (now, b"e/a", leader.rev, b"v1")
        await service.call(ProclaimRequest(leader=leader, value=b"v2"), Caller())
        await service.call(ProclaimRequest(leader=leader, value=b"v3"), Caller())
        assert await observer.next() == (now + 1, b"e/a", now + 1, b"v2")
        assert await observer.next() == (now + 2, b"e/a", now + 2, b"v3")
        second = await campaigning(service, store, B, b"w1")
        await service.call(ResignRequest(leader=leader), Caller())
        own = (await store.keys())[b"e/b"].create_revision
        assert await observer.next() == (now + 4, b"e/b", own, b"w1")  # the header tells when it took over
        await second


async def test_observing_before_there_is_a_leader(service: Concurrency, store: Store) -> None:
    await store.put(b"e")
    observer = Observer(service)
    async with aclosing(observer.answers):
        first = asyncio.create_task(observer.next())
        leader = await elected(service, A, b"v1")
        assert await first == (leader.rev, b"e/a", leader.rev, b"v1")
        await service.call(ResignRequest(leader=leader), Caller())
        leader = await elected(service, B, b"v2")
        assert await observer.next() == (leader.rev, b"e/b", leader.rev, b"v2")


async def test_who_stops_to_observe_leaves_no_watch() -> None:
    backend = KeyBackend()
    store = Store(backend)
    await store.put(b"e/a")
    observer = Observer(Concurrency(backend))
    await observer.next()
    pending = asyncio.create_task(observer.next())
    await backend.until(lambda: len(backend.streams) == 1)
    pending.cancel()
    await asyncio.wait([pending])
    await observer.answers.aclose()
    assert backend.streams == []


async def test_observing_goes_on_after_a_compaction() -> None:
    backend = KeyBackend()
    store = Store(backend)
    await store.put(b"e/a", b"v1")
    observer = Observer(Concurrency(backend))
    assert (await observer.next())[1:] == (b"e/a", 2, b"v1")
    pending = asyncio.create_task(observer.next())
    await backend.until(lambda: len(backend.streams) == 1)
    await backend.compact()
    backend.streams[0].next = 0  # as if it had been behind
    await backend.compact()
    await store.put(b"e/a", b"v2")
    assert await pending == (3, b"e/a", 3, b"v2")
    await observer.answers.aclose()


@pytest.mark.parametrize(
    ("request_class", "call"),
    [
        (TxnRequest, CampaignRequest(name=b"e", lease=A)),
        (TxnRequest, ProclaimRequest(leader=LeaderKey(key=b"e/a", rev=2, lease=A))),
        (TxnRequest, ResignRequest(leader=LeaderKey(key=b"e/a", rev=2, lease=A))),
        (RangeRequest, LeaderRequest(name=b"e")),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_refusals_lose_their_codes(request_class: type, call: ProclaimRequest) -> None:
    backend = KeyBackend()
    backend.failures[request_class] = errors.NoSpace()
    with pytest.raises(EtcdError) as caught:
        await Concurrency(backend).call(call, Caller())
    assert (caught.value.code, caught.value.text) == (2, "etcdserver: mvcc: database space exceeded")
