import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from consensus.member import Member
from consensus.peer_identity import Refused
from consensus.raft.types import ConfState, Message, MessageType, SnapshotMeta
from consensus.snapshots import MAX_TRANSFERS, RELEASE_SECONDS
from consensus.wal import WalOptions
from raftgate.api.kv import DeleteRangeRequest, PutRequest, RangeRequest
from raftgate.api.lease import LeaseGrantRequest
from raftgate.api.maintenance import HashKVRequest
from raftgate.api.message import Caller
from raftgate.api.watch import WatchCreateRequest, WatchRequest
from tests.fakes.cluster import LocalCluster, cluster_of
from tests.fakes.env import FakeEnv
from tests.fakes.member import open_member
from tests.fakes.peers import turns_until

pytestmark = pytest.mark.anyio

CALLER = Caller()
EVERYTHING = WatchRequest(create_request=WatchCreateRequest(b"", b"\0"))
SMALL = WalOptions(segment_bytes=4096, allocation_bytes=1024, memory_bytes=3000, keep_bytes=0)


async def put(member: Member, key: bytes, value: bytes = b"v", lease: int = 0) -> None:
    await member.server.call(PutRequest(key, value, lease), CALLER)


@asynccontextmanager
async def small_cluster(directory: Path) -> AsyncIterator[LocalCluster]:
    """Three members that keep little log."""
    async with cluster_of(directory, 3, SMALL, snapshot_count=20, snapshot_catchup_entries=5) as running:
        yield running


async def cut_log(leader: Member, floor: int) -> None:
    """Writes until the leader has cut its log above an index."""
    number = 0
    async with asyncio.timeout(20):
        while leader._wal.first_index() <= floor:
            await put(leader, b"many %d" % (number % 7), b"%d" % number * 20)
            number += 1
            if number % 10 == 0:
                await leader.flush.once()


async def lagging(running: LocalCluster) -> tuple[Member, Member]:
    """The leader, and a member that is cut off and needs the store to come back."""
    leader = await running.leader()
    assert isinstance(leader._env, FakeEnv)
    leader._env.now += RELEASE_SECONDS  # from an earlier transfer
    lagged = next(member for member in running.members if member is not leader)
    await turns_until(lambda: lagged.machine.applied_index == leader.machine.applied_index)
    running.network.isolate(lagged.options.member.ID)
    await cut_log(leader, lagged._wal.last_index() + 1)
    return leader, lagged


async def caught_up(leader: Member, lagged: Member) -> None:
    await turns_until(lambda: lagged.machine.applied_index == leader.machine.applied_index)


async def digest(member: Member, revision: int) -> int:
    return (await member.server.call(HashKVRequest(revision), CALLER)).hash


def folder(member: Member) -> list[str]:
    return sorted(path.name for path in member.machine.database.path.parent.iterdir() if path.is_file())


async def test_a_member_far_behind_gets_the_store_and_goes_on(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as running:
        first = await running.leader()
        await first.server.call(LeaseGrantRequest(100, ID=7), CALLER)
        await put(first, b"leased", lease=7)
        lagged = next(member for member in running.members if member is not first)
        stream = await lagged.server.watch(CALLER)
        stream.send(EVERYTHING)
        await stream.receive()
        leader, lagged = await lagging(running)
        assert lagged.machine.revision < leader.machine.revision
        before = lagged.machine.revision
        running.network.cut.clear()
        await caught_up(leader, lagged)
        assert [message.type for message in running.network.sent].count(MessageType.SNAP) == 1
        assert lagged._wal.first_index() > 20
        assert (lagged.machine.members, lagged.machine.leases.count(7)) == (leader.machine.members, 1)
        await put(leader, b"after")
        await caught_up(leader, lagged)
        assert await digest(lagged, leader.machine.revision) == await digest(leader, leader.machine.revision)
        told: list[int] = []
        async with asyncio.timeout(10):
            while not told or told[-1] < leader.machine.revision:
                for response in await stream.receive():
                    told += [event.kv.mod_revision for event in response.events if event.kv is not None]
        assert told[-(leader.machine.revision - before) :] == list(range(before + 1, leader.machine.revision + 1))
        name = lagged.machine.database.path.name
        assert [file for file in folder(lagged) if file.startswith("kv")] == [name, f"{name}-shm", f"{name}-wal"]
        assert (lagged.machine.database.path.parent / "CURRENT").read_text() == f"{name}\n"
        assert (await lagged.server.call(RangeRequest(b"leased"), CALLER)).kvs


async def test_after_a_restart_the_received_store_is_the_one_in_use(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as running:
        leader, lagged = await lagging(running)
        running.network.cut.clear()
        await caught_up(leader, lagged)
        number = int(lagged.options.member.name[1:]) - 1
        index = lagged.machine.applied_index
        await running.stop(lagged)
        started = running.start(number)
        async with asyncio.timeout(10):
            await started.wait()
        again = running.network.members[lagged.options.member.ID]
        assert again.machine.applied_index >= index
        assert again.machine.database.path.name != "kv.db"
        leader = await running.leader()
        await put(leader, b"more")
        await caught_up(leader, again)


async def test_half_a_transfer_changes_nothing_and_is_repeated(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as running:
        leader, lagged = await lagging(running)
        tries: list[Message] = []

        async def first_half(member: Member, message: Message, store: AsyncIterator[bytes]) -> None:
            async def half() -> AsyncIterator[bytes]:
                pieces = [piece async for piece in store]
                whole = b"".join(pieces)
                yield whole[: len(whole) // 2] if len(tries) < 3 else whole

            tries.append(message)
            before = lagged.machine.database.path
            try:
                await member.incoming.receive(message, half())
            finally:
                assert len(tries) == 3 or lagged.machine.database.path == before

        running.network.bring = first_half
        running.network.cut.clear()
        await caught_up(leader, lagged)
        assert len(tries) == 3
        assert not [name for name in folder(lagged) if name.endswith(".tmp")]


async def sent_store(running: LocalCluster, to: Member, change: Callable[[bytes], bytes]) -> tuple[Message, bytes]:
    """A SNAP and its store as the leader would send them now."""
    leader = await running.leader()
    await leader.flush.flush()
    copy = leader.machine.copy(leader.machine.database.path.with_name("test.tmp"))
    term = leader._wal.term(copy.index)
    whole = b"".join(copy.stream(term))
    copy.close()
    members = tuple(sorted(member.ID for member in leader.machine.members))
    message = Message(
        type=MessageType.SNAP,
        to=to.options.member.ID,
        sender=leader.options.member.ID,
        term=leader.node.term,
        snapshot=SnapshotMeta(copy.index, term, ConfState(members)),
    )
    return message, change(whole)


async def pieces(whole: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(whole), 10_000):
        yield whole[start : start + 10_000]


def flipped(whole: bytes) -> bytes:
    place = len(whole) // 2
    return whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (flipped, "checksum"),
        (lambda whole: whole[:-1], "too early"),
        (lambda whole: whole + b"x", "longer than it says"),
        (lambda whole: b"x" + whole, "does not begin like a store"),
        (lambda _: b"", "too early"),
    ],
)
async def test_what_is_not_whole_is_refused(tmp_path: Path, change: Callable[[bytes], bytes], text: str) -> None:
    async with small_cluster(tmp_path) as running:
        _, lagged = await lagging(running)
        message, whole = await sent_store(running, lagged, change)
        before = folder(lagged)
        with pytest.raises(Refused, match=text):
            await lagged.incoming.receive(message, pieces(whole))
        assert folder(lagged) == before


async def test_a_store_that_is_not_what_its_message_says_is_refused(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as running:
        _, lagged = await lagging(running)
        message, whole = await sent_store(running, lagged, lambda whole: whole)
        meta = message.snapshot
        assert meta is not None
        for wrong in (replace(meta, index=meta.index + 1), replace(meta, conf_state=ConfState((1,)))):
            with pytest.raises(Refused):
                await lagged.incoming.receive(replace(message, snapshot=wrong), pieces(whole))
        with pytest.raises(Refused):
            await lagged.incoming.receive(replace(message, type=MessageType.APP), pieces(whole))
        assert not [name for name in folder(lagged) if name.endswith(".tmp")]


async def test_a_store_that_the_core_does_not_want_is_removed(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as running:
        _, lagged = await lagging(running)
        message, whole = await sent_store(running, lagged, lambda whole: whole)
        before = folder(lagged)
        await lagged.incoming.receive(replace(message, term=1), pieces(whole))  # of a leader that is none any more
        assert folder(lagged) == before


async def test_a_store_that_is_older_is_not_even_read(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as running:
        leader = await running.leader()
        other = next(member for member in running.members if member is not leader)
        await put(leader, b"k")
        message, _ = await sent_store(running, other, lambda whole: whole)
        await turns_until(lambda: other.node.status().commit >= leader.machine.applied_index)

        unread = pieces(b"whatever")
        await other.incoming.receive(message, unread)
        assert [piece async for piece in unread] == [b"whatever"]


async def test_a_newer_transfer_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as running:
        leader, lagged = await lagging(running)
        message, whole = await sent_store(running, lagged, lambda whole: whole)
        reading = asyncio.Event()

        async def stuck() -> AsyncIterator[bytes]:
            yield whole[:1000]
            reading.set()
            await asyncio.Event().wait()

        first = asyncio.create_task(lagged.incoming.receive(message, stuck()))
        async with asyncio.timeout(10):
            await reading.wait()
        with pytest.raises(Refused, match="later term"):
            await lagged.incoming.receive(replace(message, term=message.term - 1), pieces(whole))
        await lagged.incoming.receive(message, pieces(whole))
        with pytest.raises(Refused, match="another snapshot"):
            await first
        running.network.cut.clear()
        await caught_up(leader, lagged)


async def test_who_goes_away_leaves_nothing(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as running:
        _, lagged = await lagging(running)
        message, whole = await sent_store(running, lagged, lambda whole: whole)
        before, reading = folder(lagged), asyncio.Event()

        async def stuck() -> AsyncIterator[bytes]:
            yield whole[:20_000]
            reading.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(lagged.incoming.receive(message, stuck()))
        async with asyncio.timeout(10):
            await reading.wait()
        task.cancel()
        await asyncio.wait([task])
        assert folder(lagged) == before


async def test_the_log_is_kept_while_a_store_is_on_its_way(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as running:
        leader, lagged = await lagging(running)
        going, asked = asyncio.Event(), asyncio.Event()

        async def slow(member: Member, message: Message, store: AsyncIterator[bytes]) -> None:
            asked.set()
            await going.wait()
            await member.incoming.receive(message, store)

        running.network.bring = slow
        running.network.cut.clear()
        async with asyncio.timeout(10):
            await asked.wait()
        first = leader._wal.first_index()
        for number in range(100):
            await put(leader, b"during %d" % number, bytes(100))
        await leader.flush.once()
        assert leader.outgoing.keeps_log()
        assert leader._wal.first_index() == first
        going.set()
        await caught_up(leader, lagged)
        assert [message.type for message in running.network.sent].count(MessageType.SNAP) == 1
        assert leader.outgoing.keeps_log()  # a moment longer, for those who still catch up
        assert isinstance(leader._env, FakeEnv)
        leader._env.now += RELEASE_SECONDS
        assert not leader.outgoing.keeps_log()


async def test_only_so_many_transfers_at_once(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as running:
        leader, _ = await lagging(running)
        meta = SnapshotMeta(leader.machine.applied_index, 1, ConfState((1,)))
        for to in range(MAX_TRANSFERS + 1):
            leader.outgoing.send(Message(type=MessageType.SNAP, to=to + 1, sender=1, term=1, snapshot=meta))
        assert len(leader.outgoing._running) == MAX_TRANSFERS
        await leader.outgoing.close()
        assert not leader.outgoing._running


async def test_deletes_and_later_writes_survive_several_stores(tmp_path: Path) -> None:
    chance = random.Random(1)
    async with small_cluster(tmp_path) as running:
        for _ in range(3):
            leader, lagged = await lagging(running)
            await leader.server.call(DeleteRangeRequest(b"many %d" % chance.randrange(7)), CALLER)
            running.network.cut.clear()
            await caught_up(leader, lagged)
            assert await digest(lagged, leader.machine.revision) == await digest(leader, leader.machine.revision)


async def test_a_lone_member_opens_its_own_received_store(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as running:
        leader, lagged = await lagging(running)
        running.network.cut.clear()
        await caught_up(leader, lagged)
        settings, directory = lagged.options, lagged.machine.database.path.parent
        await running.stop(lagged)
        again = open_member(lagged._env, directory, settings, wal_options=SMALL)
        assert again.machine.database.path.name.startswith("kv-")
        await again.close()
