import asyncio
from pathlib import Path

import pytest

from consensus.hashing import Hashing
from consensus.member import Member
from raftgate.api import errors
from raftgate.api.kv import CompactionRequest, PutRequest
from raftgate.api.message import Caller
from tests.fakes.env import FakeEnv
from tests.fakes.member import running

pytestmark = pytest.mark.anyio


async def puts(member: Member, *keys: bytes) -> None:
    for key in keys:
        await member.server.call(PutRequest(key=key), Caller())


async def test_what_has_just_been_written_counts(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        hashing: Hashing = member.hashing
        await puts(member, b"a")
        before = await hashing.at(0)
        await puts(member, b"b")
        after = await hashing.at(0)
        assert (before.hash_revision, after.hash_revision) == (2, 3)
        assert before.hash != after.hash
        assert await hashing.at(2) == before


async def test_what_is_not_there_cannot_be_hashed(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        await puts(member, b"a", b"a", b"a")
        await member.server.call(CompactionRequest(revision=3), Caller())
        with pytest.raises(errors.FutureRev):
            await member.hashing.at(5)
        with pytest.raises(errors.Compacted):
            await member.hashing.at(2)
        assert (await member.hashing.at(3)).compact_revision == 3


async def test_a_hash_waits_for_a_command_that_is_half_applied(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        member.applier.whole.clear()
        hashing = asyncio.ensure_future(member.hashing.at(0))
        await asyncio.sleep(0)
        assert not hashing.done()
        member.applier.whole.set()
        assert (await hashing).hash_revision == 1
