import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from prometheus_client import CollectorRegistry

from consensus.metrics import Metrics
from consensus.node import Node
from consensus.raft.errors import ProposalDropped
from consensus.raft.log_store import MemoryLogStore
from consensus.raft.rawnode import Config, RawNode
from consensus.raft.types import ConfState, Entry, HardState, ReadState
from consensus.wal import Wal
from tests.fakes.env import FakeEnv, HeldEnv

pytestmark = pytest.mark.anyio

DEADLINE = 5


class Bench:
    """A node of one voter on a log in memory."""

    def __init__(self, env: FakeEnv) -> None:
        self.registry = CollectorRegistry()
        self.store = MemoryLogStore(HardState(term=1))
        raw = RawNode(Config(id=1, random=env.random, conf_state=ConfState(voters=(1,))), self.store)
        self.entries: list[Entry] = []
        self.states: list[ReadState] = []
        self.news = asyncio.Event()
        wal: Wal = self.store  # type: ignore[assignment]  # a node needs `save` alone
        self.node = Node(raw, wal, env, Metrics(self.registry), self, self)

    def apply(self, entry: Entry) -> None:
        self.entries.append(entry)

    def confirmed(self, state: ReadState) -> None:
        self.states.append(state)
        self.news.set()

    def applied(self, _index: int) -> None:
        self.news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():
                await self.news.wait()
                self.news.clear()

    def data(self) -> list[bytes]:
        return [entry.data for entry in self.entries if entry.data]


async def run(bench: Bench, test: Callable[[], Awaitable[None]]) -> None:
    task = asyncio.create_task(bench.node.run())
    try:
        await test()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_lone_voter_elects_itself_and_applies_what_is_proposed() -> None:
    bench = Bench(FakeEnv())

    async def test() -> None:
        bench.node.campaign()
        async with asyncio.timeout(DEADLINE):
            await bench.node.leader_known.wait()
        assert bench.node.leader == 1
        bench.node.propose(b"one")
        bench.node.propose(b"two")
        await bench.until(lambda: len(bench.data()) == 2)
        assert bench.data() == [b"one", b"two"]
        assert bench.store.last_index() == 3  # the empty entry of the term, and the two

    await run(bench, test)
    assert bench.registry.get_sample_value("etcd_server_leader_changes_seen_total") == 1


async def test_without_a_leader_a_proposal_is_dropped() -> None:
    bench = Bench(FakeEnv())
    with pytest.raises(ProposalDropped):
        bench.node.propose(b"lost")


async def test_nothing_is_applied_before_its_sync_returns_and_what_arrives_meanwhile_is_one_batch() -> None:
    env = HeldEnv()
    bench = Bench(env)

    async def arrived() -> None:
        async with asyncio.timeout(DEADLINE):
            await env.arrived.wait()
        env.arrived.clear()

    async def test() -> None:
        bench.node.campaign()
        for _ in range(2):  # the vote, then the empty entry
            await arrived()
            env.release()
        await bench.until(lambda: len(bench.entries) == 1)
        for _ in range(20):
            await asyncio.sleep(0)
        assert bench.node.status().applied == 1
        assert not env.held  # a commit index by itself is not saved
        bench.node.propose(b"first")
        await arrived()
        bench.node.propose(b"second")
        bench.node.propose(b"third")
        for _ in range(20):
            await asyncio.sleep(0)
        assert bench.data() == []
        assert len(env.held) == 1
        env.release()
        await arrived()
        assert bench.data() in ([], [b"first"])
        await bench.until(lambda: bench.data() == [b"first"])  # applied while the second batch is being synced
        assert len(env.held) == 1
        env.release()
        while len(bench.data()) < 3:
            await asyncio.sleep(0)
            if env.held:
                env.release()
        assert bench.data() == [b"first", b"second", b"third"]

    async with asyncio.timeout(DEADLINE):
        await run(bench, test)
    assert bench.registry.get_sample_value("raftgate_proposal_batch_entries_bucket", {"le": "2.0"}) == 3
    assert bench.registry.get_sample_value("raftgate_proposal_batch_entries_sum") == 4


async def test_reads_are_confirmed() -> None:
    bench = Bench(FakeEnv())

    async def test() -> None:
        bench.node.campaign()
        async with asyncio.timeout(DEADLINE):
            await bench.node.leader_known.wait()
        bench.node.read_index(b"round")
        await bench.until(lambda: bool(bench.states))
        assert bench.states == [ReadState(1, b"round")]

    await run(bench, test)


async def test_a_failed_save_ends_the_node_and_nothing_more_is_applied() -> None:
    env = FakeEnv()
    bench = Bench(env)

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    task = asyncio.create_task(bench.node.run())
    bench.node.campaign()
    async with asyncio.timeout(DEADLINE):
        await bench.node.leader_known.wait()
    await bench.until(lambda: len(bench.entries) == 1)
    bench.store.save = fail  # type: ignore[method-assign, assignment]  # the double's own failing form
    bench.node.propose(b"lost")
    async with asyncio.timeout(DEADLINE):
        await asyncio.wait([task])
    assert isinstance(task.exception(), OSError)
    assert bench.data() == []


async def test_ticks_bring_a_lone_voter_to_power_and_tell_of_a_late_loop() -> None:
    bench = Bench(FakeEnv())
    ticks = asyncio.create_task(bench.node.run_ticks(0.001))

    async def test() -> None:
        async with asyncio.timeout(DEADLINE):
            await bench.node.leader_known.wait()

    await run(bench, test)
    ticks.cancel()
    assert (bench.registry.get_sample_value("raftgate_event_loop_lag_seconds_count") or 0) >= 10
