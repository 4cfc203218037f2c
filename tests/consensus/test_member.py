from pathlib import Path

import pytest
from msgspec import structs

from consensus.member import StoreMismatch
from consensus.options import Options
from raftgate.api.kv import PutRequest, RangeRequest
from raftgate.api.message import Caller
from tests.fakes.env import FakeEnv
from tests.fakes.member import RECORD, open_member, options, running

pytestmark = pytest.mark.anyio


async def test_a_new_member_adds_and_publishes_itself(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        assert member.machine.members == (RECORD,)
        assert member.machine.revision == 1
        assert member.node.status().term == 2


async def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        await member.server.call(PutRequest(key=b"k", value=b"v"), Caller())
        members = member.machine.members
    async with running(FakeEnv(), tmp_path) as member:
        assert member.machine.members == members
        answer = await member.server.call(RangeRequest(key=b"k"), Caller())
        assert answer.kvs[0].value == b"v"
        assert answer.header is not None
        assert (answer.header.revision, answer.header.raft_term) == (2, 3)


async def test_without_an_orderly_stop_the_log_is_replayed(tmp_path: Path) -> None:
    env = FakeEnv()
    async with running(env, tmp_path, options(batch_interval=1000.0)) as member:
        await member.server.call(PutRequest(key=b"k", value=b"v"), Caller())
        assert member.machine.pending_bytes > 0
        copy = tmp_path / "copy"
        copy.mkdir()
        (copy / "wal").mkdir()
        for path in (tmp_path / "wal").iterdir():
            (copy / "wal" / path.name).write_bytes(path.read_bytes())
    async with running(FakeEnv(), copy) as again:  # the log alone, with an empty store
        assert again.machine.revision == 2
        assert (await again.server.call(RangeRequest(key=b"k"), Caller())).kvs[0].value == b"v"


async def test_a_start_that_was_cut_off_before_the_first_entry_begins_anew(tmp_path: Path) -> None:
    member = open_member(FakeEnv(), tmp_path, options())
    await member.close()
    async with running(FakeEnv(), tmp_path) as again:
        assert again.machine.members == (RECORD,)


async def test_a_store_without_its_log_is_refused(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        await member.server.call(PutRequest(key=b"k", value=b"v"), Caller())
    for path in (tmp_path / "wal").iterdir():
        path.unlink()
    with pytest.raises(StoreMismatch, match="the log ends at 0"):
        open_member(FakeEnv(), tmp_path, options())


async def test_the_store_of_another_member_is_refused(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path):
        pass
    other = Options(member=structs.replace(RECORD, ID=0xB2), cluster_id=0xC1)
    with pytest.raises(StoreMismatch, match="knows no member b2"):
        open_member(FakeEnv(), tmp_path, other)


async def test_a_term_survives_a_restart(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path):
        pass
    member = open_member(FakeEnv(), tmp_path, options())
    assert member.node.status().term == 2
    await member.close()
