import asyncio
from pathlib import Path
from typing import Any

import pytest

from raftgate.api import errors
from raftgate.api.kv import (
    Compare,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    ResponseHeader,
    TxnRequest,
)
from raftgate.api.maintenance import AlarmRequest
from raftgate.api.message import Caller, Request
from tests.fakes.env import FakeEnv, HeldEnv
from tests.fakes.member import RECORD, open_member, options, running

pytestmark = pytest.mark.anyio

CALLER = Caller()
PUT = RequestOp(request_put=PutRequest(key=b"k"))
READ = RequestOp(request_range=RangeRequest(key=b"k"))


def header(revision: int) -> ResponseHeader:
    return ResponseHeader(0xC1, RECORD.ID, revision, 2)


async def test_put_range_delete(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        call = member.server.call
        assert (await call(PutRequest(key=b"k", value=b"v"), CALLER)).header == header(2)
        answer = await call(RangeRequest(key=b"k"), CALLER)
        assert (answer.header, answer.count, answer.kvs[0].value) == (header(2), 1, b"v")
        assert (await call(RangeRequest(key=b"k", serializable=True), CALLER)).kvs == answer.kvs
        deleted = await call(DeleteRangeRequest(key=b"k", prev_kv=True), CALLER)
        assert (deleted.header, deleted.deleted, deleted.prev_kvs) == (header(3), 1, answer.kvs)
        assert (await call(RangeRequest(key=b"k"), CALLER)).header == header(3)


async def test_txn_that_writes_and_that_only_reads(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        call = member.server.call
        written = await call(TxnRequest(compare=(Compare(key=b"k", version=0),), success=(PUT,)), CALLER)
        assert (written.header, written.succeeded) == (header(2), True)
        applied = member.machine.applied_index
        read = await call(TxnRequest(success=(READ,)), CALLER)
        assert read.header == header(2)
        assert read.responses[0].response_range is not None
        assert read.responses[0].response_range.count == 1
        assert (await call(TxnRequest(), CALLER)).header == header(2)
        assert member.machine.applied_index == applied  # reads leave no entry


REFUSED: list[tuple[str, Request[Any], type[errors.EtcdError]]] = [
    ("range without key", RangeRequest(), errors.EmptyKey),
    ("put without key", PutRequest(), errors.EmptyKey),
    ("delete without key", DeleteRangeRequest(), errors.EmptyKey),
    ("unknown sort target", RangeRequest(key=b"k", sort_target=99), errors.InvalidSortOption),
    ("value beside ignore_value", PutRequest(key=b"k", value=b"v", ignore_value=True), errors.ValueProvided),
    ("two puts of a key", TxnRequest(success=(PUT, PUT)), errors.DuplicateKey),
    ("too many operations", TxnRequest(success=(READ,) * 129), errors.TooManyOps),
    ("too large", PutRequest(key=b"abc", value=bytes(1_572_838)), errors.RequestTooLarge),
    ("unknown lease", PutRequest(key=b"k", lease=-1), errors.LeaseNotFound),
    ("future revision", RangeRequest(key=b"k", revision=99), errors.FutureRev),
    ("unknown alarm action", AlarmRequest(action=9), errors.InvalidArgument),
]


@pytest.mark.parametrize(("request_", "error"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_refusals(tmp_path: Path, request_: Request[Any], error: type[errors.EtcdError]) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        with pytest.raises(error):
            await member.server.call(request_, CALLER)
        assert member.machine.revision == 1


async def test_the_largest_put_that_etcd_takes(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        await member.server.call(PutRequest(key=b"abc", value=bytes(1_572_837)), CALLER)
        assert member.machine.revision == 2


async def test_alarms_are_an_empty_list(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        answer = await member.server.call(AlarmRequest(), CALLER)
        assert (answer.header, answer.alarms) == (header(1), ())


async def test_without_a_leader(tmp_path: Path) -> None:
    member = open_member(FakeEnv(), tmp_path, options())
    with pytest.raises(errors.NoLeader):
        await member.server.call(RangeRequest(key=b"k", serializable=True), Caller(needs_leader=True))
    assert (await member.server.call(RangeRequest(key=b"k", serializable=True), CALLER)).count == 0
    await member.close()


async def test_a_write_that_does_not_become_durable_times_out_with_its_outcome_open(tmp_path: Path) -> None:
    env = HeldEnv()
    env.holding = False
    async with running(env, tmp_path) as member:
        env.holding = True
        write = asyncio.create_task(member.server.call(PutRequest(key=b"k"), CALLER))
        async with asyncio.timeout(5):
            await env.arrived.wait()
        member.applier.expire(asyncio.get_running_loop().time() + 100, lambda _: errors.Timeout())
        with pytest.raises(errors.Timeout):
            await write
        env.holding = False
        env.release()
        assert (await member.server.call(RangeRequest(key=b"k"), CALLER)).count == 1


async def test_a_caller_that_leaves_does_not_take_its_proposal_along(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        call = asyncio.create_task(member.server.call(PutRequest(key=b"k"), CALLER))
        await asyncio.sleep(0)
        call.cancel()
        await member.server.call(PutRequest(key=b"l"), CALLER)
        assert member.machine.revision == 3
        assert member.applier.pending == 0


async def test_a_stopped_server_refuses(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        member.server.stop()
        with pytest.raises(errors.Stopped):
            await member.server.call(RangeRequest(key=b"k"), CALLER)
