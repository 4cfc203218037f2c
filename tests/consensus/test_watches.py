import asyncio
import random
from pathlib import Path

import pytest

from consensus.env import Lane
from consensus.member import Member
from raftgate.api import errors
from raftgate.api.kv import CompactionRequest, DeleteRangeRequest, PutRequest
from raftgate.api.message import Caller
from raftgate.api.watch import WatchCreateRequest, WatchRequest, WatchResponse
from tests.fakes.env import FakeEnv, HeldEnv
from tests.fakes.member import running

pytestmark = pytest.mark.anyio

CALLER = Caller()
EVERYTHING = WatchRequest(create_request=WatchCreateRequest(b"", b"\0"))


def since(revision: int) -> WatchRequest:
    return WatchRequest(create_request=WatchCreateRequest(b"", b"\0", revision))


async def put(member: Member, key: bytes) -> None:
    await member.server.call(PutRequest(key), CALLER)


async def test_equal_responses_of_several_streams_are_one_object(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        streams = [await member.server.watch(CALLER) for _ in range(3)]
        for stream in streams:
            stream.send(EVERYTHING)
            await stream.receive()
        await put(member, b"a")
        assert len({id((await stream.receive())[0]) for stream in streams}) == 1


async def test_a_stop_ends_all_streams_and_refuses_others(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        stream = await member.server.watch(CALLER)
        stream.send(EVERYTHING)
        member.server.stop()
        with pytest.raises(errors.Stopped):
            await stream.receive()
        with pytest.raises(errors.Stopped):
            await member.server.watch(CALLER)
        assert member.watches.hub.count == 0


async def test_streams_that_need_a_leader_end_without_one(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        needy, other = await member.server.watch(Caller(needs_leader=True)), await member.server.watch(CALLER)
        watches, leader = member.watches, member.node.leader
        watches.expire(0.0)
        member.node.leader = 0
        with pytest.raises(errors.NoLeader):
            await member.server.watch(Caller(needs_leader=True))
        for now in (100.0, 100.2):
            watches.expire(now)
        assert watches.streams == 2
        watches.expire(100.3)
        with pytest.raises(errors.NoLeader):
            await needy.receive()
        member.node.leader = leader
        watches.expire(200.0)
        other.send(EVERYTHING)
        assert (await other.receive())[0].created


async def test_history_is_read_in_a_readers_thread_while_others_write(tmp_path: Path) -> None:
    env = HeldEnv()
    env.lane = Lane.READERS
    async with running(env, tmp_path) as member:
        for _ in range(300):
            await put(member, b"a")
        await member.flush.flush()
        stream = await member.server.watch(CALLER)
        stream.send(since(2))
        assert (await stream.receive())[0].created
        await asyncio.wait_for(env.arrived.wait(), 5)
        await put(member, b"b")
        env.release()
        env.holding = False
        revisions: list[int] = []
        while len(revisions) < 301:
            for response in await asyncio.wait_for(stream.receive(), 5):
                revisions += [event.kv.mod_revision for event in response.events if event.kv]
        assert revisions == list(range(2, 303))


async def test_a_member_stops_while_history_is_read(tmp_path: Path) -> None:
    env = HeldEnv()
    env.lane = Lane.READERS
    async with running(env, tmp_path) as member:
        for _ in range(300):
            await put(member, b"a")
        await member.flush.flush()
        stream = await member.server.watch(CALLER)
        stream.send(since(2))
        await asyncio.wait_for(env.arrived.wait(), 5)
    assert member.watches.hub.count == 1


async def test_a_large_command_is_one_message(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        await asyncio.gather(*(put(member, b"k%04d" % n) for n in range(2_500)))
        live = await member.server.watch(CALLER)
        live.send(EVERYTHING)
        await live.receive()
        await member.server.call(DeleteRangeRequest(b"k", b"l"), CALLER)
        await put(member, b"z")
        responses: list[WatchResponse] = []
        while sum(len(response.events) for response in responses) < 2_501:
            responses += await asyncio.wait_for(live.receive(), 5)
        events = [event for response in responses for event in response.events]
        assert [event.kv.key for event in events if event.kv] == [b"k%04d" % n for n in range(2_500)] + [b"z"]
        assert len(responses[0].events) >= 2_500


class Follower:
    """Reads a few responses, goes, and comes back for what is next."""

    def __init__(self, member: Member, chance: random.Random) -> None:
        self.member = member
        self.chance = chance
        self.first = 2
        self.revisions: list[int] = []

    async def run(self, done: asyncio.Event) -> None:
        while not done.is_set() or self.first <= self.member.machine.revision:
            stream = await self.member.server.watch(CALLER)
            stream.send(since(self.first))
            for _ in range(self.chance.randrange(1, 5)):
                for _ in range(self.chance.choice((0, 0, 50))):
                    await asyncio.sleep(0)
                try:
                    responses = await asyncio.wait_for(stream.receive(), 0.2)
                except TimeoutError:
                    break
                for response in responses:
                    self.take(response)
            stream.close()

    def take(self, response: WatchResponse) -> None:
        if response.canceled:
            assert response.compact_revision > self.first
            self.first = response.compact_revision
            self.revisions.clear()
        for event in response.events:
            assert event.kv is not None
            assert event.kv.mod_revision == self.first
            self.revisions.append(self.first)
            self.first += 1


async def test_followers_of_random_writes_and_compactions(tmp_path: Path) -> None:
    """Each gets all events from where it began, once, in order, however often it resumes, or learns why not."""
    async with running(FakeEnv(), tmp_path) as member:
        chance, done = random.Random(7), asyncio.Event()
        followers = [Follower(member, chance) for _ in range(8)]
        tasks = [asyncio.create_task(follower.run(done)) for follower in followers]
        for n in range(1_500):
            await put(member, b"k%d" % chance.randrange(20))
            if n % 300 == 299:
                revision = member.machine.revision - chance.randrange(1, 200)
                await member.server.call(CompactionRequest(revision), CALLER)
        done.set()
        await asyncio.wait_for(asyncio.gather(*tasks), 20)
        for follower in followers:
            assert follower.revisions == list(range(follower.revisions[0], member.machine.revision + 1))
        assert (member.watches.hub.count, member.watches.streams) == (0, 0)


async def test_thousands_that_come_and_vanish_leave_nothing(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        for n in range(5_000):
            stream = await member.server.watch(CALLER)
            key = b"%d" % n
            stream.send(WatchRequest(create_request=WatchCreateRequest(key, key + b"0", n % 3, progress_notify=True)))
            if n % 10 == 0:
                await put(member, key)
                await stream.receive()
            stream.close()
        hub = member.watches.hub
        assert (hub.count, hub.slow, hub.is_behind, member.watches.streams) == (0, 0, False, 0)
        assert not hub._groups
        assert hub._ranges.find(b"12345") == []
