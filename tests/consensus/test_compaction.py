import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from consensus.env import Lane
from raftgate.api.errors import Compacted, FutureRev
from raftgate.api.kv import CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest
from raftgate.api.message import Caller
from tests.fakes.env import FakeEnv
from tests.fakes.member import options, running

pytestmark = pytest.mark.anyio

CALLER = Caller()
SETTINGS = options(compaction_pause=0.0)


async def test_a_compaction_answers_at_once_and_removes_behind(tmp_path: Path) -> None:
    env = FakeEnv()
    async with running(env, tmp_path, SETTINGS) as member:
        call = member.server.call
        for number in range(50):
            await call(PutRequest(key=b"k", value=b"%d" % number), CALLER)
        answer = await call(CompactionRequest(revision=51), CALLER)
        assert answer.header is not None
        assert answer.header.revision == 51
        with pytest.raises(Compacted):
            await call(RangeRequest(key=b"k", revision=50), CALLER)
        async with asyncio.timeout(10):
            await member.compaction.done(51)
        assert (Lane.DATABASE, "delete") in env.calls
        assert (await call(RangeRequest(key=b"k"), CALLER)).kvs[0].value == b"49"


async def test_a_physical_one_answers_when_the_history_is_gone(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path, SETTINGS) as member:
        call = member.server.call
        for _ in range(20):
            await call(PutRequest(key=b"k"), CALLER)
        await call(DeleteRangeRequest(key=b"k"), CALLER)
        async with asyncio.timeout(10):
            await call(CompactionRequest(revision=22, physical=True), CALLER)
        assert member.machine.compaction_done(22)
        await member.compaction.done(22)  # long over


async def test_refusals(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path, SETTINGS) as member:
        with pytest.raises(FutureRev):
            await member.server.call(CompactionRequest(revision=9), CALLER)
        with pytest.raises(Compacted):
            await member.server.call(CompactionRequest(revision=-1), CALLER)


async def test_a_restart_takes_up_what_was_left(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path, options(compaction_pause=1000.0)) as member:
        for number in range(30):
            await member.server.call(PutRequest(key=b"%d" % (number % 3)), CALLER)
        await member.server.call(CompactionRequest(revision=31), CALLER)
    async with running(FakeEnv(), tmp_path, SETTINGS) as again:
        async with asyncio.timeout(10):
            await again.compaction.done(31)
        assert (await again.server.call(RangeRequest(key=b"0"), CALLER)).count == 1


async def test_past_reads_go_through_a_readers_thread(tmp_path: Path) -> None:
    env = FakeEnv()
    async with running(env, tmp_path, SETTINGS) as member:
        for number in range(3):
            await member.server.call(PutRequest(key=b"k", value=b"%d" % number), CALLER)
        past = RangeRequest(key=b"k", revision=2)
        assert (await member.server.call(past, CALLER)).kvs[0].value == b"0"  # its row is still in memory
        assert (Lane.READERS, "run") not in env.calls
        await member.flush.once()
        answer = await member.server.call(past, CALLER)
        assert answer.kvs[0].value == b"0"
        assert answer.header is not None
        assert answer.header.revision == 4
        assert (Lane.READERS, "run") in env.calls


async def test_automatic_compaction_by_revision(tmp_path: Path) -> None:
    settings = replace(SETTINGS, auto_compaction_mode="revision", auto_compaction_retention=5.0)
    async with running(FakeEnv(), tmp_path, settings) as member:
        for _ in range(20):
            await member.server.call(PutRequest(key=b"k"), CALLER)
    async with running(FakeEnv(), tmp_path, settings) as again:  # it looks at once, then each five minutes
        async with asyncio.timeout(10):
            await again.compaction.done(16)
        assert again.machine.compact_revision == 16
