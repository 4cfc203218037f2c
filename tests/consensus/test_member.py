import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec import structs
from prometheus_client import CollectorRegistry

from consensus.apply import Applier
from consensus.member import Member, StoreMismatch
from consensus.metrics import Metrics
from consensus.options import Options
from raftgate.api import errors
from raftgate.api.kv import PutRequest, RangeRequest
from raftgate.api.message import Caller
from storage.machine import Machine
from storage.metrics import Metrics as StorageMetrics
from storage.options import Options as StorageOptions
from tests.fakes.cluster import RECORDS, cluster_of
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


async def test_a_term_survives_a_restart(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path):
        pass
    member = open_member(FakeEnv(), tmp_path, options())
    assert member.node.status().term == 2
    await member.close()


# ---- several members ----


async def put(member: Member, key: bytes, value: bytes = b"v") -> None:
    async with asyncio.timeout(10):
        await member.server.call(PutRequest(key=key, value=value), Caller())


async def get(member: Member, key: bytes) -> bytes:
    async with asyncio.timeout(10):
        answer = await member.server.call(RangeRequest(key=key), Caller())
    return b"".join(kv.value for kv in answer.kvs)


async def test_three_members_publish_themselves_and_serve_through_each(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        for number, member in enumerate(cluster.members):
            await put(member, b"k%d" % number, b"v%d" % number)
        for member in cluster.members:
            assert [await get(member, b"k%d" % number) for number in range(3)] == [b"v0", b"v1", b"v2"]
            assert member.machine.members == RECORDS
            assert sorted(member.transport.peers) == [  # type: ignore[attr-defined]  # the test's own transport
                record.ID for record in RECORDS if record != member.options.member
            ]


async def test_two_of_three_go_on_and_the_third_catches_up(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        gone = await cluster.leader()
        await put(gone, b"k", b"before")
        await cluster.stop(gone)
        leader = await cluster.leader()
        await put(leader, b"k", b"after")
        number = RECORDS.index(gone.options.member)
        async with asyncio.timeout(10):
            await cluster.start(number).wait()
        assert await get(cluster.network.members[gone.options.member.ID], b"k") == b"after"


async def test_a_leader_that_is_cut_off_answers_no_read_and_loses_its_write(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        old = await cluster.leader()
        await put(old, b"k", b"before")
        cluster.network.isolate(old.options.member.ID)
        read = asyncio.create_task(get(old, b"k"))
        write = asyncio.create_task(put(old, b"k", b"lost"))
        others = [member for member in cluster.members if member is not old]
        await cluster.leader(among=others)
        for member in others:
            await put(member, b"k", b"after")
        assert not read.done()
        cluster.network.cut.clear()
        with suppress(errors.LeaderChanged):  # or it was asked again, and the new leader has answered
            assert await read == b"after"
        write.cancel()
        for member in cluster.members:
            assert await get(member, b"k") == b"after"


async def test_leadership_is_handed_over_and_writes_go_on(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        old = await cluster.leader()
        async with asyncio.timeout(5):
            await old.hand_over()
        assert old.node.leader != old.options.member.ID
        await put(old, b"k")
        follower = old
        await follower.hand_over()  # it has nothing to hand over
        assert await get(follower, b"k") == b"v"


async def test_who_is_alone_hands_over_to_nobody(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        await member.hand_over()
        assert member.node.leader == member.options.member.ID


async def test_without_a_quorum_nothing_is_written(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        leader = await cluster.leader()
        for member in cluster.members:
            if member is not leader:
                await cluster.stop(member)
        write, read = await asyncio.gather(put(leader, b"k"), get(leader, b"k"), return_exceptions=True)
        assert isinstance(write, errors.Timeout)  # the leader has stepped down: nobody leads, so no connection was lost
        assert isinstance(read, errors.Timeout)
        local = await leader.server.call(RangeRequest(key=b"k", serializable=True), Caller())
        assert local.count == 0


async def test_a_founder_that_has_applied_a_part_of_the_founding_goes_on(tmp_path: Path) -> None:
    """The store may hold the first members only, when the process ended between two entries."""
    async with cluster_of(tmp_path) as cluster:
        member = cluster.members[2]
        entry = member._wal.entries(1, 2, 1 << 20)[0]
        copy = tmp_path / "copy"
        copy.mkdir()
        (copy / "wal").mkdir()
        for path in (tmp_path / member.options.member.name / "wal").iterdir():
            (copy / "wal" / path.name).write_bytes(path.read_bytes())
    machine = Machine.open(copy / "kv.db", StorageOptions(), StorageMetrics(CollectorRegistry()))
    Applier(machine, lambda _: None, FakeEnv(), options(), Metrics(CollectorRegistry())).apply(entry)
    batch = machine.batch()
    assert batch is not None
    machine.writer.flush(batch)
    machine.close()
    again = open_member(FakeEnv(), copy, cluster.settings(RECORDS[2]))
    assert again.machine.members == (structs.replace(RECORDS[0], name="", clientURLs=()),)
    await again.close()


async def test_who_founds_a_cluster_alone_leads_at_once(tmp_path: Path) -> None:
    """What --initial-cluster says of a founder lacks the client URLs that its own flags give."""
    settings = Options(
        RECORD, 0xC1, 5.0, election_timeout=50.0, initial_members=(structs.replace(RECORD, clientURLs=()),)
    )
    async with running(FakeEnv(), tmp_path, settings) as member:  # which waits for less than an election timeout
        assert member.node.leader == RECORD.ID
