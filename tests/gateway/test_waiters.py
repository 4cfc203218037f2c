import asyncio
import logging

import pytest

from gateway.waiters import Waiters, is_over, prefix_end
from raftgate.api import errors
from raftgate.api.errors import Code, EtcdError
from raftgate.api.kv import RangeRequest, TxnRequest
from raftgate.api.lease import LeaseRevokeRequest
from raftgate.api.message import Caller
from raftgate.api.watch import WatchResponse
from tests.fakes.keys import KeyBackend, Store

pytestmark = pytest.mark.anyio

CALLER = Caller()
A, B = 0xA, 0xB
PATIENT = 60.0


async def line(backend: KeyBackend, check_interval: float = PATIENT) -> tuple[Waiters, Store]:
    """A line whose first key is of lease A."""
    store = Store(backend)
    await store.grant(A, B)
    await store.put(b"n/a", lease=A)
    return Waiters(backend, check_interval), store


async def stand(waiters: Waiters, lease: int) -> bytes:
    async with asyncio.timeout(10), waiters.standing(b"n", lease, b"", CALLER) as waiter:
        if not waiter.is_first:
            await waiters.wait(waiter, CALLER)
    return waiter.key


async def test_the_key_stays_when_all_goes_well() -> None:
    backend = KeyBackend()
    waiters, store = await line(backend)
    task = asyncio.create_task(stand(waiters, B))
    await backend.until(lambda: bool(backend.streams))
    await store.delete(b"n/a")
    assert await task == b"n/b"
    assert set(backend.keys) == {b"n/b"}
    assert backend.streams == []


async def test_cancelled_while_waiting() -> None:
    backend = KeyBackend()
    waiters, _ = await line(backend)
    task = asyncio.create_task(stand(waiters, B))
    await backend.until(lambda: bool(backend.streams))
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert set(backend.keys) == {b"n/a"}
    assert backend.streams == []
    assert B in backend.leases


async def test_a_lease_of_its_own_goes_with_the_key() -> None:
    backend = KeyBackend()
    waiters, _ = await line(backend)
    task = asyncio.create_task(stand(waiters, 0))
    await backend.until(lambda: bool(backend.streams))
    task.cancel()
    await asyncio.wait([task])
    assert set(backend.keys) == {b"n/a"}
    assert backend.leases == {A, B}


@pytest.mark.parametrize("lease", [B, 0])
async def test_cancelled_before_its_place_is_known(lease: int) -> None:
    backend = KeyBackend()
    waiters, _ = await line(backend)
    backend.gate = asyncio.Event()
    calls = len(backend.calls)
    task = asyncio.create_task(stand(waiters, lease))
    if not lease:
        backend.gate.set()
        await backend.until(lambda: len(backend.keys) == 2)
        backend.gate.clear()
    await backend.until(lambda: len(backend.calls) > calls and len(backend.keys) == 2)
    task.cancel()
    backend.gate.set()
    await asyncio.wait([task])
    assert task.cancelled()
    await backend.until(lambda: len(backend.keys) == 1)
    assert backend.leases == {A, B}


async def test_cancelled_twice_it_still_leaves() -> None:
    backend = KeyBackend()
    waiters, _ = await line(backend)
    task = asyncio.create_task(stand(waiters, B))
    await backend.until(lambda: bool(backend.streams))
    backend.gate = asyncio.Event()
    task.cancel()
    await backend.until(lambda: set(backend.keys) == {b"n/a"})
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    backend.gate.set()


async def test_a_repeated_call_keeps_the_key_of_the_first() -> None:
    backend = KeyBackend()
    waiters, store = await line(backend)
    first = asyncio.create_task(stand(waiters, B))
    await backend.until(lambda: len(backend.streams) == 1)
    created = backend.keys[b"n/b"].create_revision
    second = asyncio.create_task(stand(waiters, B))
    await backend.until(lambda: len(backend.streams) == 2)
    first.cancel()
    await asyncio.wait([first])
    assert backend.keys[b"n/b"].create_revision == created
    await store.delete(b"n/a")
    assert await second == b"n/b"


async def test_who_left_deletes_no_key_that_another_made_since() -> None:
    backend = KeyBackend()
    waiters, store = await line(backend)
    task = asyncio.create_task(stand(waiters, B))
    await backend.until(lambda: bool(backend.streams))
    await store.delete(b"n/b")
    await store.put(b"n/b", lease=B)
    task.cancel()
    await asyncio.wait([task])
    assert b"n/b" in backend.keys


async def test_what_leaving_fails_with_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    backend = KeyBackend()
    waiters, _ = await line(backend)
    task = asyncio.create_task(stand(waiters, 0))
    await backend.until(lambda: bool(backend.streams))
    backend.failures[LeaseRevokeRequest] = errors.Timeout()
    with caplog.at_level(logging.WARNING):
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()
    assert [record.message for record in caplog.records] == [
        "the key of a waiter that has left stays until its lease ends: Timeout"
    ]


async def test_a_store_that_stops_is_nothing_to_log(caplog: pytest.LogCaptureFixture) -> None:
    backend = KeyBackend()
    waiters, _ = await line(backend)
    task = asyncio.create_task(stand(waiters, B))
    await backend.until(lambda: bool(backend.streams))
    backend.failures[TxnRequest] = errors.Stopped()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert caplog.records == []


async def test_a_waiter_that_fails_leaves_too() -> None:
    backend = KeyBackend()
    waiters, _ = await line(backend)
    backend.refusal = "rpc error: code = PermissionDenied desc = etcdserver: permission denied"
    with pytest.raises(EtcdError) as caught:
        await stand(waiters, B)
    assert (caught.value.code, caught.value.text) == (Code.UNKNOWN, "etcdserver: permission denied")
    assert set(backend.keys) == {b"n/a"}


async def test_a_lost_quorum_ends_the_wait_as_unavailable() -> None:
    backend = KeyBackend()
    waiters, _ = await line(backend, check_interval=0.01)
    task = asyncio.create_task(stand(waiters, B))
    await backend.until(lambda: bool(backend.streams))
    backend.failures[RangeRequest] = errors.Timeout()
    with pytest.raises(errors.Timeout):
        await task


async def test_a_check_finds_a_key_that_is_gone() -> None:
    backend = KeyBackend()
    waiters, _ = await line(backend, check_interval=0.01)
    task = asyncio.create_task(stand(waiters, B))
    await backend.until(lambda: bool(backend.streams))
    del backend.keys[b"n/a"]  # without an event
    assert await task == b"n/b"


async def test_checks_leave_a_waiter_where_it_is() -> None:
    backend = KeyBackend()
    waiters, store = await line(backend, check_interval=0.001)
    task = asyncio.create_task(stand(waiters, B))
    await backend.until(lambda: bool(backend.streams))
    await backend.until(lambda: sum(isinstance(call, RangeRequest) and call.count_only for call in backend.calls) > 2)
    assert len(backend.streams) == 1
    assert not task.done()
    await store.delete(b"n/a")
    await task


async def test_a_compacted_watch_looks_again() -> None:
    backend = KeyBackend()
    waiters, store = await line(backend)
    task = asyncio.create_task(stand(waiters, B))
    await backend.until(lambda: bool(backend.streams))
    backend.streams[0].next = 0
    await store.delete(b"n/a")
    await backend.compact()
    assert await task == b"n/b"


async def test_waiters_watch_the_one_before_them() -> None:
    backend = KeyBackend()
    waiters, _ = await line(backend)
    tasks = []
    for lease in (B, 0xC, 0xD):
        await Store(backend).grant(lease)
        tasks.append(asyncio.create_task(stand(waiters, lease)))
        await backend.until(lambda: len(backend.streams) == len(tasks))
    assert [stream.key for stream in backend.streams] == [b"n/a", b"n/b", b"n/c"]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_an_uncontended_place_is_one_transaction() -> None:
    backend = KeyBackend()
    await Store(backend).grant(A)
    calls = len(backend.calls)
    await stand(Waiters(backend, PATIENT), A)
    assert [type(call) for call in backend.calls[calls:]] == [TxnRequest]


@pytest.mark.parametrize(("prefix", "end"), [(b"m/", b"m0"), (b"/", b"0"), (b"\xff/", b"\xff0")])
def test_prefix_end(prefix: bytes, end: bytes) -> None:
    assert prefix_end(prefix) == end


def test_is_over() -> None:
    assert not is_over(WatchResponse(created=True))
    assert is_over(WatchResponse(canceled=True, compact_revision=5))
    with pytest.raises(EtcdError, match="etcdserver: watch canceled"):
        is_over(WatchResponse(canceled=True))
