import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import pytest
from prometheus_client import CollectorRegistry

from consensus.metrics import Metrics
from consensus.node import DEFERRED, Node
from consensus.raft import confchange
from consensus.raft.errors import LogCorrupt, ProposalDropped
from consensus.raft.log_store import MemoryLogStore
from consensus.raft.rawnode import Config, RawNode
from consensus.raft.types import (
    ConfChange,
    ConfChangeType,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
    ReadState,
    SnapshotMeta,
)
from consensus.wal import Wal
from tests.fakes.env import FakeEnv, HeldEnv

pytestmark = pytest.mark.anyio

DEADLINE = 5


class Bench:
    """The node of a voter, a lone one unless others are named, on a log in memory."""

    def __init__(self, env: FakeEnv, voters: tuple[int, ...] = (1,)) -> None:
        self.registry = CollectorRegistry()
        self.store = MemoryLogStore(HardState(term=1))
        raw = RawNode(Config(id=1, random=env.random, conf_state=ConfState(voters=voters)), self.store)
        self.sent: list[Message] = []
        self.entries: list[Entry] = []
        self.states: list[ReadState] = []
        self.news = asyncio.Event()
        wal: Wal = self.store  # type: ignore[assignment]  # a node needs `save` alone
        self.node = Node(raw, wal, env, Metrics(self.registry), self, self)
        self.node.send = self.take_sent

    def apply(self, entry: Entry) -> None:
        self.entries.append(entry)

    def room(self) -> None:
        return

    def take_sent(self, messages: Sequence[Message]) -> None:
        self.sent += messages
        self.news.set()

    def kinds(self) -> list[MessageType]:
        return [message.type for message in self.sent]

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


# ---- with others ----


def append(*entries: Entry, index: int = 0, log_term: int = 0, commit: int = 0) -> Message:
    kind = MessageType.APP
    return Message(type=kind, to=1, sender=2, term=2, index=index, log_term=log_term, entries=entries, commit=commit)


def heartbeat(context: bytes = b"") -> Message:
    return Message(type=MessageType.HEARTBEAT, to=1, sender=2, term=2, context=context)


async def test_a_follower_promises_after_its_sync_and_answers_heartbeats_meanwhile() -> None:
    env = HeldEnv()
    bench = Bench(env, voters=(1, 2, 3))

    async def test() -> None:
        bench.node.step(append(Entry(2, 1, EntryType.NORMAL, b"one"), commit=0))
        await env.arrived.wait()
        bench.node.step(heartbeat(b"round"))
        await bench.until(lambda: MessageType.HEARTBEAT_RESP in bench.kinds())
        assert MessageType.APP_RESP not in bench.kinds()
        assert bench.sent[-1].context == b"round"
        env.release()
        await bench.until(lambda: MessageType.APP_RESP in bench.kinds())
        assert bench.sent[-1].index == 1

    async with asyncio.timeout(DEADLINE):
        await run(bench, test)


async def test_a_promise_does_not_wait_for_what_is_applied_meanwhile() -> None:
    bench = Bench(FakeEnv(), voters=(1, 2, 3))
    applying = asyncio.get_running_loop().create_future()

    async def test() -> None:
        bench.node.step(append(Entry(2, 1, EntryType.NORMAL, b"long")))
        await bench.until(lambda: bench.kinds().count(MessageType.APP_RESP) == 1)
        bench.apply = lambda _: applying  # type: ignore[method-assign, assignment]  # a command that takes long
        two = append(Entry(2, 2, EntryType.NORMAL, b"next"), index=1, log_term=2, commit=1)
        bench.node.step(two)
        await bench.until(lambda: bench.kinds().count(MessageType.APP_RESP) == 2)
        assert bench.node.status().applied == 0
        applying.set_result(None)
        await bench.until(lambda: bench.node.status().applied == 1)

    async with asyncio.timeout(DEADLINE):
        await run(bench, test)


async def test_what_a_follower_is_asked_goes_to_its_leader() -> None:
    env = HeldEnv()
    bench = Bench(env, voters=(1, 2, 3))

    async def test() -> None:
        bench.node.step(append(Entry(2, 1, EntryType.NORMAL, b"one")))
        await env.arrived.wait()  # its log is busy, which does not hold this up
        bench.node.propose(b"mine")
        assert bench.node.read_index(b"round")
        bench.node.transfer_leader(1)
        wanted = {MessageType.PROP, MessageType.READ_INDEX, MessageType.TRANSFER_LEADER}
        await bench.until(lambda: wanted <= set(bench.kinds()))
        env.release()

    async with asyncio.timeout(DEADLINE):
        await run(bench, test)


async def test_a_contradiction_in_the_log_ends_the_node() -> None:
    bench = Bench(FakeEnv(), voters=(1, 2, 3))
    task = asyncio.create_task(bench.node.run())
    bench.node.step(append(Entry(2, 1, EntryType.NORMAL, b"one"), commit=1))
    async with asyncio.timeout(DEADLINE):
        await bench.until(lambda: len(bench.entries) == 1)
        bench.node.step(Message(type=MessageType.APP, to=1, sender=2, term=3, index=0, log_term=0, commit=9))
        bench.node.step(append(Entry(3, 1, EntryType.NORMAL, b"other"), commit=1))
        assert not task.done()
        bench.node.step(Message(type=MessageType.HEARTBEAT, to=1, sender=2, term=3, commit=9))
        await asyncio.wait([task])
    assert isinstance(task.exception(), LogCorrupt)
    bench.sent.clear()
    bench.node.step(heartbeat())
    assert bench.sent == []


async def test_a_proposal_that_is_dropped_here_ends_nothing() -> None:
    bench = Bench(FakeEnv(), voters=(1, 2))

    async def test() -> None:
        bench.node.step(Message(type=MessageType.PROP, to=1, sender=2, term=0))
        bench.node.report_unreachable(2)
        bench.node.step(heartbeat())
        await bench.until(lambda: MessageType.HEARTBEAT_RESP in bench.kinds())

    async with asyncio.timeout(DEADLINE):
        await run(bench, test)


async def test_a_followers_change_waits_until_the_one_before_it_is_applied() -> None:
    bench = Bench(FakeEnv())

    def changes() -> list[bytes]:
        return [entry.data for entry in bench.entries if entry.type is EntryType.CONF_CHANGE]

    def asked(number: int) -> Message:
        data = confchange.encode(ConfChange(ConfChangeType.UPDATE_NODE, 1, b"%d" % number))
        entry = Entry(0, 0, EntryType.CONF_CHANGE, data)
        return Message(type=MessageType.PROP, to=1, sender=2, term=0, entries=(entry,))

    async def test() -> None:
        bench.node.campaign()
        await bench.node.leader_known.wait()
        for number in range(2 * DEFERRED):
            bench.node.step(asked(number))
        await bench.until(lambda: len(changes()) >= DEFERRED)
        bench.node.propose(b"last")
        await bench.until(lambda: b"last" in bench.data())
        taken = [confchange.decode(data).context for data in changes()]
        assert taken == [b"%d" % number for number in range(len(taken))]
        assert len(taken) <= DEFERRED + 1  # more than may wait are lost

    async with asyncio.timeout(DEADLINE):
        await run(bench, test)


async def test_a_leader_whose_change_is_under_way_hears_of_its_successor() -> None:
    env = HeldEnv()
    bench = Bench(env)

    async def test() -> None:
        bench.node.campaign()
        while bench.node.status().applied < 1:  # its own empty entry
            await env.arrived.wait()
            env.arrived.clear()
            while env.held:
                env.release()
            await asyncio.sleep(0)
        change = ConfChange(ConfChangeType.UPDATE_NODE, 1, b"mine")
        bench.node.propose_conf_change(change)
        theirs = Entry(9, 1, EntryType.CONF_CHANGE, confchange.encode(change))
        bench.node.step(Message(type=MessageType.APP, to=1, sender=2, term=9, entries=(theirs,), index=0))
        assert (bench.node.term, bench.node.status().leader) == (9, 2)
        while env.held:
            env.release()

    async with asyncio.timeout(DEADLINE):
        await run(bench, test)


async def test_a_store_is_installed_before_anything_else_of_its_turn() -> None:
    bench = Bench(FakeEnv(), voters=(1, 2))
    meta = SnapshotMeta(index=7, term=2, conf_state=ConfState(voters=(1, 2)))
    steps: list[str] = []

    async def install(wanted: SnapshotMeta) -> None:
        assert wanted == meta
        steps.append(f"installed, {bench.kinds()}")
        bench.store.restore(wanted)

    bench.node.install_snapshot = install

    async def test() -> None:
        bench.node.step(Message(type=MessageType.SNAP, to=1, sender=2, term=2, snapshot=meta))
        await bench.until(lambda: MessageType.APP_RESP in bench.kinds())
        assert steps == ["installed, []"]
        assert bench.sent[-1].index == 7
        while bench.node.status().applied != 7:  # noqa: ASYNC110 - it is advanced in the same turn
            await asyncio.sleep(0)

    async with asyncio.timeout(DEADLINE):
        await run(bench, test)


async def test_where_nobody_installs_a_store_the_node_ends() -> None:
    bench = Bench(FakeEnv(), voters=(1, 2))
    task = asyncio.create_task(bench.node.run())
    meta = SnapshotMeta(index=7, term=2, conf_state=ConfState(voters=(1, 2)))
    bench.node.step(Message(type=MessageType.SNAP, to=1, sender=2, term=2, snapshot=meta))
    async with asyncio.timeout(DEADLINE):
        await asyncio.wait([task])
    assert isinstance(task.exception(), RuntimeError)


def answer(kind: MessageType, sender: int, term: int = 2) -> Message:
    return Message(type=kind, to=1, sender=sender, term=term)


async def test_a_leader_that_hands_over_does_not_ask_again_while_the_voter_is_silent() -> None:
    bench = Bench(FakeEnv(), voters=(1, 2, 3))

    def transferee() -> int:
        return bench.node.status().transferee

    async def test() -> None:
        bench.node.campaign()
        bench.node.step(answer(MessageType.PRE_VOTE_RESP, 3))
        await bench.until(lambda: MessageType.VOTE in bench.kinds())
        bench.node.step(answer(MessageType.VOTE_RESP, 3))
        await bench.until(lambda: bench.node.leader == 1)
        handing = asyncio.create_task(bench.node.hand_over(2, 0.01))
        await asyncio.sleep(0)
        assert transferee() == 2
        for _ in range(10):  # an election timeout
            bench.node.tick()
            bench.node.step(answer(MessageType.HEARTBEAT_RESP, 3))
        assert (bench.node.status().leader, transferee()) == (1, 0)
        await asyncio.wait([handing], timeout=0.05)
        assert transferee() == 0
        bench.node.step(answer(MessageType.HEARTBEAT_RESP, 2))
        async with asyncio.timeout(DEADLINE):
            while transferee() != 2:
                await asyncio.wait([handing], timeout=0.01)
        handing.cancel()

    await run(bench, test)


async def test_a_request_to_hand_over_is_repeated_until_another_leads() -> None:
    bench = Bench(FakeEnv(), voters=(1, 2, 3))

    async def test() -> None:
        bench.node.step(heartbeat())
        await bench.until(lambda: bench.node.leader == 2)
        handing = asyncio.create_task(bench.node.hand_over(3, 0.01))
        await bench.until(lambda: bench.kinds().count(MessageType.TRANSFER_LEADER) == 3)
        assert not handing.done()
        bench.node.step(Message(type=MessageType.HEARTBEAT, to=1, sender=3, term=3))
        await handing

    async with asyncio.timeout(DEADLINE):
        await run(bench, test)
