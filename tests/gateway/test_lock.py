import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.concurrency import Concurrency
from raftgate.api import errors
from raftgate.api.concurrency import LockRequest, LockResponse, UnlockRequest
from raftgate.api.errors import Code, EtcdError
from raftgate.api.kv import TxnRequest
from raftgate.api.lease import LeaseGrantRequest
from raftgate.api.message import Caller
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


async def lock(service: Concurrency, lease: int, name: bytes = b"m") -> LockResponse:
    async with asyncio.timeout(10):
        return await service.call(LockRequest(name=name, lease=lease), Caller())


async def waiting(service: Concurrency, store: Store, lease: int) -> "asyncio.Task[LockResponse]":
    """A call that waits: its key is there."""
    task = asyncio.create_task(lock(service, lease))
    await store.until(b"m/%x" % lease, present=True)
    return task


async def test_a_free_lock(service: Concurrency, store: Store) -> None:
    await store.grant(100)
    response = await lock(service, 100)
    assert response.key == b"m/64"
    assert response.header is not None
    kv = (await store.keys())[b"m/64"]
    assert (kv.value, kv.lease, kv.create_revision) == (b"", 100, response.header.revision)
    assert response.raftgate_fencing_revision == kv.create_revision


async def test_a_negative_lease_prints_with_its_sign(service: Concurrency, store: Store) -> None:
    await store.grant(-5)
    assert (await lock(service, -5)).key == b"m/-5"


async def test_an_empty_name(service: Concurrency, store: Store) -> None:
    await store.grant(0x66)
    assert (await lock(service, 0x66, b"")).key == b"/66"


async def test_without_a_lease_the_server_grants_one(service: Concurrency, store: Store) -> None:
    response = await lock(service, 0)
    kv = (await store.keys())[response.key]
    assert kv.lease > 0
    assert response.key == b"m/%x" % kv.lease
    await store.revoke(kv.lease)
    assert await store.keys() == {}


async def test_its_own_lease_is_of_a_minute() -> None:
    backend = KeyBackend()
    await lock(Concurrency(backend), 0)
    assert backend.calls[0] == LeaseGrantRequest(TTL=60)


async def test_the_same_lease_again_is_answered_at_once(service: Concurrency, store: Store) -> None:
    first = await lock(service, A)
    await store.put(b"other")
    again = await lock(service, A)
    assert (again.key, again.raftgate_fencing_revision) == (first.key, first.raftgate_fencing_revision)
    assert (await store.keys(b"m/"))[first.key].version == 1


async def test_names_do_not_disturb_each_other(service: Concurrency) -> None:
    await lock(service, A, b"m")
    await lock(service, B, b"m0")
    await lock(service, C, b"l")


async def test_waiters_win_in_their_order(service: Concurrency, store: Store) -> None:
    await lock(service, A)
    second = await waiting(service, store, B)
    third = await waiting(service, store, C)
    assert not second.done()
    freed = await store.delete(b"m/a")
    response = await second
    assert response.header is not None
    assert response.header.revision >= freed
    assert response.raftgate_fencing_revision == (await store.keys())[b"m/b"].create_revision
    assert not third.done()
    await store.delete(b"m/b")
    assert (await third).key == b"m/c"


async def test_the_end_of_the_holders_lease_frees_the_lock(service: Concurrency, store: Store) -> None:
    await lock(service, A)
    second = await waiting(service, store, B)
    await store.revoke(A)
    assert (await second).key == b"m/b"


async def test_a_waiter_in_the_middle_that_goes(service: Concurrency, store: Store) -> None:
    await lock(service, A)
    second = await waiting(service, store, B)
    third = await waiting(service, store, C)
    second.cancel()
    await asyncio.wait([second])
    assert second.cancelled()
    assert set(await store.keys()) == {b"m/a", b"m/c"}
    assert not third.done()
    await store.delete(b"m/a")
    assert (await third).key == b"m/c"


async def test_a_key_of_the_go_library_counts(service: Concurrency, store: Store) -> None:
    await store.put(b"m/7b", lease=C)
    second = await waiting(service, store, B)
    await store.delete(b"m/7b")
    assert (await second).key == b"m/b"


async def test_an_unknown_lease(service: Concurrency, store: Store) -> None:
    with pytest.raises(EtcdError) as caught:
        await lock(service, 0x999)
    assert (caught.value.code, caught.value.text) == (Code.UNKNOWN, "etcdserver: requested lease not found")
    assert await store.keys() == {}


async def test_the_own_lease_ends_while_waiting(service: Concurrency, store: Store) -> None:
    await lock(service, A)
    second = await waiting(service, store, B)
    await store.revoke(B)
    assert not second.done()
    await store.delete(b"m/a")
    with pytest.raises(EtcdError) as caught:
        await second
    assert (caught.value.code, caught.value.text) == (Code.UNKNOWN, "mutex: session is expired")


async def test_unlock_is_a_delete(service: Concurrency, store: Store) -> None:
    response = await lock(service, A)
    before = await store.revision()
    answer = await service.call(UnlockRequest(key=response.key), Caller())
    assert answer.header is not None
    assert answer.header.revision == before + 1
    again = await service.call(UnlockRequest(key=response.key), Caller())
    assert again.header is not None
    assert again.header.revision == before + 1
    await store.put(b"no lock")
    await service.call(UnlockRequest(key=b"no lock"), Caller())
    assert await store.keys() == {}


async def test_unlock_without_a_key(service: Concurrency) -> None:
    with pytest.raises(EtcdError) as caught:
        await service.call(UnlockRequest(), Caller())
    assert (caught.value.code, caught.value.text) == (Code.UNKNOWN, "etcdserver: key is not provided")


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (errors.NoSpace(), 2, "etcdserver: mvcc: database space exceeded"),
        (errors.PermissionDenied(), 2, "etcdserver: permission denied"),
        (errors.UserEmpty(), 2, "etcdserver: user name is empty"),
        (errors.NoLeader(), 4, "context deadline exceeded"),
        (errors.DeadlineExceeded(), 4, "context deadline exceeded"),
        (errors.Timeout(), 2, "etcdserver: request timed out"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_refusals(error: EtcdError, code: int, text: str) -> None:
    backend = KeyBackend()
    await Store(backend).grant(A)
    backend.failures[TxnRequest] = error
    with pytest.raises(EtcdError) as caught:
        await lock(Concurrency(backend), A)
    assert (caught.value.code, caught.value.text) == (code, text)


async def test_twenty_clients_never_hold_it_together(service: Concurrency, store: Store) -> None:
    leases = range(1001, 1021)
    await store.grant(*leases)
    holders: list[int] = []
    order: list[int] = []

    async def client(lease: int) -> None:
        response = await lock(service, lease)
        holders.append(lease)
        order.append(response.raftgate_fencing_revision)
        assert holders == [lease]
        await store.put(b"guarded", b"%d" % lease)  # gives the others their turn
        assert holders == [lease]
        holders.remove(lease)
        await service.call(UnlockRequest(key=response.key), Caller())

    await asyncio.gather(*map(client, leases))
    assert order == sorted(order)
    assert len(set(order)) == len(leases)
    assert await store.keys(b"m/") == {}
