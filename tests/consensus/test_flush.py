import asyncio
from pathlib import Path

import pytest

from consensus.env import Lane
from raftgate.api.kv import PutRequest
from raftgate.api.message import Caller
from tests.fakes.env import FakeEnv, HeldEnv
from tests.fakes.member import open_member, options, running

pytestmark = pytest.mark.anyio


async def test_applied_rows_are_in_the_database_after_a_turn(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        await member.server.call(PutRequest(key=b"k", value=b"v"), Caller())
        await member.flush.once()
        assert member.machine.pending_bytes == 0
        assert member.machine.database.probe() == member.machine.applied_index


async def test_the_log_is_cut_only_behind_a_complete_checkpoint(tmp_path: Path) -> None:
    env = FakeEnv()
    async with running(env, tmp_path, options(snapshot_count=50, snapshot_catchup_entries=10)) as member:
        for number in range(60):
            await member.server.call(PutRequest(key=b"%d" % number, value=b"v"), Caller())
        await member.flush.once()
        order = [name for lane, name in env.calls if name in ("checkpoint", "cut")]
        assert order[-2:] == ["checkpoint", "cut"]
        assert (Lane.DATABASE, "checkpoint") in env.calls


async def test_a_reader_that_holds_the_checkpoint_back_keeps_the_log_whole(tmp_path: Path) -> None:
    env = FakeEnv()
    async with running(env, tmp_path, options(snapshot_count=50, snapshot_catchup_entries=10)) as member:
        await member.server.call(PutRequest(key=b"k"), Caller())
        await member.flush.once()
        with member.machine.database.connect() as reader, reader.begin():
            reader.exec_driver_sql("SELECT count(*) FROM meta").scalar()
            for number in range(60):
                await member.server.call(PutRequest(key=b"%d" % number), Caller())
            await member.flush.once()
        assert "cut" not in [name for _, name in env.calls]


async def test_closing_leaves_nothing_to_replay(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        await member.server.call(PutRequest(key=b"k", value=b"v"), Caller())
    again = open_member(FakeEnv(), tmp_path, options())
    assert again.machine.revision == 2
    await again.close()


async def test_many_bytes_call_for_a_checkpoint(tmp_path: Path) -> None:
    env = FakeEnv()
    async with running(env, tmp_path) as member:
        for number in range(70):  # 70 MB: beyond 64 MiB
            await member.server.call(PutRequest(key=b"%d" % number, value=bytes(1_000_000)), Caller())
            if number % 16 == 0:
                await member.flush.once()
        await member.flush.once()
        await member.flush.once()  # the bytes are looked at before what is new has been added
        assert (Lane.DATABASE, "checkpoint") in env.calls


class SlowDatabase(HeldEnv):
    """Holds the database's lane instead of the log's."""

    lane = Lane.DATABASE


async def test_a_stop_while_a_batch_is_on_its_way_waits_for_it(tmp_path: Path) -> None:
    env = SlowDatabase()
    env.holding = False
    async with running(env, tmp_path, options(batch_interval=1000.0)) as member:
        await member.server.call(PutRequest(key=b"k", value=b"v"), Caller())
        env.holding = True
        turn = asyncio.create_task(member.flush.once())
        async with asyncio.timeout(5):
            await env.arrived.wait()
        turn.cancel()
        await asyncio.wait([turn])
        await member.server.call(PutRequest(key=b"l", value=b"v"), Caller())
        env.holding = False
        env.release()
    again = open_member(FakeEnv(), tmp_path, options())
    assert again.machine.revision == 3
    await again.close()


async def test_the_log_stays_whole_while_somebody_needs_it(tmp_path: Path) -> None:
    env = FakeEnv()
    async with running(env, tmp_path, options(snapshot_count=50, snapshot_catchup_entries=10)) as member:
        needed = [True]
        member.flush.keeps_log = lambda: needed[0]
        for number in range(60):
            await member.server.call(PutRequest(key=b"%d" % number, value=b"v"), Caller())
        await member.flush.once()
        assert "cut" not in [name for _, name in env.calls]
        needed[0] = False
        await member.flush.once()
        assert "cut" in [name for _, name in env.calls]


async def test_two_who_wait_for_the_machine_write_one_batch(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path, options(batch_interval=1000.0)) as member:
        await member.server.call(PutRequest(key=b"k", value=b"v"), Caller())
        member.applier.whole.clear()
        turns = [asyncio.create_task(member.flush.flush()) for _ in range(3)]
        await asyncio.sleep(0)
        member.applier.whole.set()
        async with asyncio.timeout(5):
            assert sum(await asyncio.gather(*turns)) >= 1
        assert member.machine.pending_bytes == 0
