"""One run of a seed: a cluster, clients and faults on virtual time, then peace, then the judgement."""

import asyncio
import itertools
import logging
import random
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from raftgate.api.kv import RangeRequest
from raftgate.api.maintenance import HashKVRequest
from tests.sim import faults, leases, replay
from tests.sim.clients import KEYS, Client, History
from tests.sim.cluster import Cluster
from tests.sim.host import Host
from tests.sim.leases import Keeper
from tests.sim.ledger import Ledger
from tests.sim.replay import Replayed
from tests.sim.sqlite import Connections
from tests.sim.watchers import Watcher

OPERATIONS: Final = 300
"""Of all clients together, at least."""
CLIENTS: Final = 6
KEEPERS: Final = 2
WATCHED: Final = ((b"\0", b"\0"), (b"\0", b"\0"), (KEYS[0], b""))
"""Key and range end of each watcher: two want everything, one a key."""
FAULTS: Final = 8
KINDS: Final = 4
PAUSE: Final = 0.5
"""Seconds between two bursts of a client, on average."""
PATIENCE: Final = 60.0
"""Seconds within which all members must serve once nothing disturbs them."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a run has come to."""

    seed: int
    members: int
    trace: str
    """The hash of all that happened."""
    problem: str | None
    operations: int = 0
    steps: int = 0
    seconds: float = 0.0
    """Of virtual time."""
    faults: Counter[str] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    lines: tuple[str, ...] = ()
    """The last lines of the trace."""


def run(seed: int, members: int = 1, *, keeps_all: bool = False) -> Report:
    """Runs a seed; a problem is in the report, with the trace before it."""
    ledger = Ledger(keeps_all=keeps_all)
    problem: str | None = None
    history = History()
    # What a killed process would still say is nobody's concern.
    before, logging.root.manager.disable = logging.root.manager.disable, logging.CRITICAL
    try:
        with tempfile.TemporaryDirectory(prefix="sim-") as directory, Connections() as connections:
            cluster = Cluster(seed, members, Path(directory), connections, ledger)
            try:
                cluster.loop.run_until_complete(_simulate(cluster, history, Path(directory), seed))
            except Exception as error:  # noqa: BLE001 - it is what the report is about
                problem = f"{type(error).__name__}: {error}"
            finally:
                cluster.end()
    finally:
        logging.root.manager.disable = before
    return Report(
        seed,
        members,
        ledger.trace,
        problem,
        history.operations,
        cluster.loop.steps,
        cluster.loop.time(),
        ledger.faults,
        ledger.checks,
        ledger.events,
        tuple(ledger.lines),
    )


async def _simulate(cluster: Cluster, history: History, directory: Path, seed: int) -> None:
    chance = random.Random(f"{seed} faults")
    cluster.start()
    await cluster.recover(PATIENCE)
    disturbing = cluster.loop.create_task(_disturb(cluster, chance))
    watchers = [Watcher(cluster.world, cluster.hosts, f"w{number}", *wanted) for number, wanted in enumerate(WATCHED)]
    keepers = [Keeper(cluster.world, cluster.hosts, f"k{number}") for number in range(KEEPERS)]
    watching = [cluster.loop.create_task(watcher.run()) for watcher in watchers]
    values = itertools.count(1)
    clients = [Client(cluster.world, cluster.hosts, history, f"c{number}", values) for number in range(CLIENTS)]
    asking = [
        cluster.loop.create_task(client.run(OPERATIONS // CLIENTS, PAUSE, lambda: not disturbing.done()))
        for client in clients
    ]
    asking += [cluster.loop.create_task(keeper.run(lambda: not disturbing.done())) for keeper in keepers]
    for task in asking:
        await task
    await disturbing
    await cluster.recover(PATIENCE)
    for host in cluster.hosts:
        if host.id in cluster.voters:
            await leases.until_all_are_over(host, PATIENCE)
    await _judge(cluster, history, clients, watchers, directory)
    for task in watching:
        task.cancel()


async def _disturb(cluster: Cluster, chance: random.Random) -> None:
    strikes: list[asyncio.Task[None]] = []
    for fault in faults.plan(chance, len(cluster.hosts), FAULTS, KINDS):
        await cluster.loop.elapse(chance.uniform(0.2, 3.0))
        cluster.ledger.faults[fault.name] += 1
        cluster.ledger.note(cluster.loop.time(), "fault:", fault.name)
        strikes.append(cluster.loop.create_task(fault.strike(cluster, chance)))
    for strike in strikes:
        await strike


async def _judge(
    cluster: Cluster, history: History, clients: list[Client], watchers: list[Watcher], directory: Path
) -> None:
    """Reads everything from each member, and checks what all members and clients have seen.

    Raises: AssertionError.
    """
    voters = [host for host in cluster.hosts if host.id in cluster.voters]
    for host in voters:
        await clients[0].read_all(host)
    for watcher in watchers:
        await watcher.catch_up(history.looks[-1].revision, PATIENCE)
    found = replay.replay(cluster.invariants.committed, directory / "replayed.db", history.writes)
    for host in voters:
        answer = await host.call(HashKVRequest(revision=0), PATIENCE)
        assert answer.header is not None
        cluster.ledger.checks["members hold the same"] += 1
        state = (answer.header.revision, answer.compact_revision, answer.hash)
        assert state == found.state, f"{host.name} holds {state}, its log says {found.state}"
    for host in cluster.hosts:
        if host not in voters:
            await _judge_learner(host, found)
    for watcher in watchers:
        cluster.ledger.checks["watchers miss nothing"] += len(watcher.told_of.changes)
        problem = watcher.told_of.check(found.changes)
        assert problem is None, f"{watcher.name}: {problem}"
    cluster.ledger.checks["linearizability"] += len(history.calls)
    cluster.ledger.checks["revisions"] += len(history.looks)
    problem = history.check()
    assert problem is None, problem


async def _judge_learner(host: Host, found: Replayed) -> None:
    """Waits until a learner holds what all others do; it answers nothing but such reads.

    Raises: AssertionError.
    """
    deadline = host.loop.time() + PATIENCE
    while True:
        answer = await host.call(RangeRequest(key=b"\0", range_end=b"\0", serializable=True), PATIENCE)
        if list(answer.kvs) == found.content:
            return
        assert host.loop.time() < deadline, f"{host.name} holds {answer.kvs}, its log says {found.content}"
        await host.loop.elapse(0.1)
