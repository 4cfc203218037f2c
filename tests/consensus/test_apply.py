import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from consensus import command
from consensus.apply import Applier
from consensus.cluster import bootstrap_changes
from consensus.metrics import Metrics
from consensus.raft import confchange
from consensus.raft.types import ConfChange, Entry, EntryType
from raftgate.api.errors import KeyNotFound, Stopped, Timeout
from raftgate.api.kv import (
    DeleteRangeRequest,
    DeleteRangeResponse,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    RequestOp,
    TxnRequest,
)
from raftgate.api.message import Request
from storage.machine import Machine
from storage.metrics import Metrics as StorageMetrics
from storage.options import Options as StorageOptions
from tests.fakes.env import FakeEnv
from tests.fakes.member import RECORD, options

pytestmark = pytest.mark.anyio


class Bench:
    """An applier and what lies around it."""

    def __init__(self, directory: Path) -> None:
        self.registry = CollectorRegistry()
        self.env = FakeEnv()
        self.machine = Machine.open(directory / "kv.db", StorageOptions(), StorageMetrics(CollectorRegistry()))
        self.changes: list[ConfChange] = []
        self.applier = Applier(self.machine, self.changes.append, self.env, options(), Metrics(self.registry))
        self.index = 0

    def apply(self, data: bytes, kind: EntryType = EntryType.NORMAL) -> None:
        self.index += 1
        self.applier.apply(Entry(1, self.index, kind, data))

    def put(self, request_id: int, request: Request[Any]) -> None:  # Any: whatever answers it
        self.apply(command.encode(request_id, request, 1.0))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_the_result_goes_to_the_waiter_of_the_id(bench: Bench) -> None:
    future = bench.applier.wait(7, deadline=1e9)
    bench.put(6, PutRequest(key=b"other"))
    assert not future.done()
    assert bench.applier.pending == 1
    bench.put(7, PutRequest(key=b"k"))
    response = await future
    assert isinstance(response, PutResponse)
    assert response.header is not None
    assert response.header.revision == 3
    assert bench.applier.pending == 0


async def test_a_refusal_is_raised_at_the_waiter_and_counts_as_applied(bench: Bench) -> None:
    future = bench.applier.wait(1, deadline=1e9)
    bench.put(1, PutRequest(key=b"k", ignore_value=True))
    with pytest.raises(KeyNotFound):
        await future
    assert bench.machine.applied_index == 1
    assert bench.machine.revision == 1


async def test_an_empty_entry_moves_only_the_index(bench: Bench) -> None:
    bench.apply(b"")
    assert (bench.machine.applied_index, bench.machine.revision) == (1, 1)


async def test_a_membership_change_reaches_the_core_and_the_store(bench: Bench) -> None:
    (change,) = bootstrap_changes([RECORD])
    bench.apply(confchange.encode(change), EntryType.CONF_CHANGE)
    assert bench.changes == [change]
    assert bench.machine.members == (msgspec.structs.replace(RECORD, name="", clientURLs=()),)


async def test_waiters_expire_in_order(bench: Bench) -> None:
    first, second = bench.applier.wait(1, deadline=10), bench.applier.wait(2, deadline=11)
    bench.applier.expire(10.5, lambda _: Timeout())
    with pytest.raises(Timeout):
        await first
    assert not second.done()
    bench.put(1, PutRequest(key=b"late"))  # the outcome was open: it is applied all the same
    answer = bench.machine.range(RangeRequest(key=b"late"))
    assert isinstance(answer, RangeResponse)
    assert answer.count == 1
    assert bench.registry.get_sample_value("etcd_server_proposals_failed_total") == 1


async def test_a_waiter_that_has_gone_is_passed_over(bench: Bench) -> None:
    future = bench.applier.wait(1, deadline=10)
    future.cancel()
    bench.put(1, PutRequest(key=b"k"))
    bench.applier.wait(2, deadline=10)
    bench.applier.forget(2)
    bench.put(2, PutRequest(key=b"k"))
    bench.applier.expire(11, lambda _: Timeout())
    assert bench.machine.revision == 3


async def test_stopping_fails_all(bench: Bench) -> None:
    future = bench.applier.wait(1, deadline=10)
    bench.applier.stop(Stopped)
    with pytest.raises(Stopped):
        await future
    assert bench.applier.pending == 0


async def test_applies_are_counted_by_method_and_success(bench: Bench) -> None:
    bench.put(1, PutRequest(key=b"k"))
    bench.put(2, PutRequest(key=b"x", ignore_lease=True))
    for success in ("true", "false"):
        labels = {"version": "v3", "op": "Put", "success": success}
        assert bench.registry.get_sample_value("etcd_server_apply_duration_seconds_count", labels) == 1


async def test_a_large_command_is_applied_in_slices_and_others_wait(bench: Bench) -> None:
    keys = [b"%06d" % number for number in range(6000)]
    for start in range(0, len(keys), 100):
        puts = tuple(RequestOp(request_put=PutRequest(key=key)) for key in keys[start : start + 100])
        bench.put(start, TxnRequest(success=puts))
    future = bench.applier.wait(1, deadline=1e9)
    bench.index += 1
    request = DeleteRangeRequest(key=b"0", range_end=b"1", prev_kv=True)
    entry = Entry(1, bench.index, EntryType.NORMAL, command.encode(1, request, 1.0))
    slow = bench.applier.apply(entry)
    assert slow is not None
    task = asyncio.ensure_future(slow)
    await asyncio.sleep(0)
    assert not bench.applier.whole.is_set()
    await task
    assert bench.applier.whole.is_set()
    answer = await future
    assert isinstance(answer, DeleteRangeResponse)
    assert answer.deleted == 6000


async def test_a_stop_in_the_middle_of_a_large_command_completes_it(bench: Bench) -> None:
    keys = [b"%06d" % number for number in range(6000)]
    for start in range(0, len(keys), 100):
        puts = tuple(RequestOp(request_put=PutRequest(key=key)) for key in keys[start : start + 100])
        bench.put(start, TxnRequest(success=puts))
    bench.index += 1
    request = DeleteRangeRequest(key=b"0", range_end=b"1", prev_kv=True)
    slow = bench.applier.apply(Entry(1, bench.index, EntryType.NORMAL, command.encode(1, request, 1.0)))
    assert slow is not None
    task = asyncio.ensure_future(slow)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert bench.applier.whole.is_set()
    assert bench.machine.applied_index == bench.index


async def test_a_term_has_begun_when_its_first_entry_is_applied(bench: Bench) -> None:
    seen: list[tuple[int, int]] = []
    bench.applier.on_term = lambda term: seen.append((term, bench.machine.applied_index))
    bench.put(1, PutRequest(key=b"k"))
    assert seen == []
    bench.apply(b"")
    assert seen == [(1, 2)]
