import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from consensus.replica import Replica
from raftgate.api.kv import RangeRequest, RangeResponse, ResponseHeader
from tests.fakes.env import FakeEnv
from tests.fakes.member import RECORD, running

pytestmark = pytest.mark.anyio


class Stored:
    """A read that needs SQLite."""

    def collect(self) -> Iterator[None]:
        return iter(())

    def run(self) -> RangeResponse:
        return RangeResponse(ResponseHeader(revision=7), count=5)

    def close(self) -> None:
        pass


async def test_answers_get_ids_and_term_and_keep_their_revision(tmp_path: Path) -> None:
    env = FakeEnv()
    async with running(env, tmp_path) as member:
        replica = Replica(member.machine, member.node, member.applier, member.reads, env, member.options)
        in_memory = await replica.read(lambda: member.machine.range(RangeRequest(key=b"k")))
        assert in_memory.header == ResponseHeader(0xC1, RECORD.ID, 1, 2)
        fetched = await replica.read(Stored)
        assert (fetched.header, fetched.count) == (ResponseHeader(0xC1, RECORD.ID, 7, 2), 5)


async def test_nobody_reads_while_a_command_is_half_applied(tmp_path: Path) -> None:
    env = FakeEnv()
    async with running(env, tmp_path) as member:
        replica = Replica(member.machine, member.node, member.applier, member.reads, env, member.options)
        member.applier.whole.clear()
        read = asyncio.create_task(replica.read(lambda: member.machine.range(RangeRequest(key=b"k"))))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not read.done()
        member.applier.whole.set()
        assert (await read).count == 0
