"""What goes wrong in a simulation. Each fault strikes once and takes itself back; several may overlap."""

import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Final

from consensus.env import Lane
from tests.sim.cluster import Cluster

Strike = Callable[[Cluster, random.Random], Coroutine[object, None, None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong."""

    name: str
    strike: Strike
    members: int = 1
    """The fewest members among which it makes sense."""


async def _kill(cluster: Cluster, chance: random.Random) -> None:
    host = chance.choice(cluster.hosts)
    host.down_until = cluster.loop.time() + chance.uniform(0.0, 2.0)
    host.kill()


async def _cut_power(cluster: Cluster, chance: random.Random) -> None:
    host = chance.choice(cluster.hosts)
    host.down_until = cluster.loop.time() + chance.uniform(0.0, 2.0)
    host.cut_power()


async def _cut_all_power(cluster: Cluster, chance: random.Random) -> None:
    until = cluster.loop.time() + chance.uniform(0.0, 1.0)
    for host in cluster.hosts:
        host.down_until = until
        host.cut_power()


async def _cut_power_while_writing(cluster: Cluster, chance: random.Random) -> None:
    """At any step of a save, a cut of the log or a start, between write and sync for instance."""
    host = chance.choice(cluster.hosts)
    host.cut_power_at(chance.randrange(12))


async def _stop_in_order(cluster: Cluster, chance: random.Random) -> None:
    host = chance.choice(cluster.hosts)
    host.down_until = cluster.loop.time() + 1.0
    await host.stop()


async def _pause(cluster: Cluster, chance: random.Random) -> None:
    host = chance.choice(cluster.hosts)
    process = host.process
    if process is not None and process.is_alive:
        process.stop()
        await cluster.loop.elapse(chance.choice((0.3, 1.5, 5.0)))
        process.resume()


async def _slow_disk(cluster: Cluster, chance: random.Random) -> None:
    host = chance.choice(cluster.hosts)
    lanes = chance.choice(((Lane.LOG,), (Lane.DATABASE,), (Lane.READERS,), tuple(Lane)))
    slow = chance.choice((0.05, 0.5, 3.0))
    for lane in lanes:
        pace = host.machinery.paces[lane]
        pace.until, pace.slow = cluster.loop.time() + chance.uniform(0.5, 3.0), slow


async def _fill_disk(cluster: Cluster, chance: random.Random) -> None:
    host = chance.choice(cluster.hosts)
    host.fill_disk()
    await cluster.loop.elapse(chance.uniform(0.3, 2.0))
    host.free_disk()


async def _set_clock(cluster: Cluster, chance: random.Random) -> None:
    host = chance.choice(cluster.hosts)
    host.machinery.clock.offset += chance.choice((-86400.0, -3.0, -0.01, 3.0, 86400.0))


async def _kill_leader(cluster: Cluster, chance: random.Random) -> None:
    host = cluster.leader() or chance.choice(cluster.hosts)
    host.down_until = cluster.loop.time() + chance.uniform(0.0, 4.0)
    host.kill()


async def _fell_leaders(cluster: Cluster, chance: random.Random) -> None:
    """Cuts each leader off soon after its election, so that logs end differently (Raft figure 8)."""
    for _ in range(chance.randint(2, 5)):
        deadline = cluster.loop.time() + 3.0
        while (leader := cluster.leader()) is None and cluster.loop.time() < deadline:
            await cluster.loop.elapse(0.01)
        if leader is None:
            return
        links = _around(cluster, [leader.id])
        links += _reversed(links)
        await cluster.loop.elapse(chance.uniform(0.0, 0.05))
        cluster.network.cut(links)
        await cluster.loop.elapse(chance.uniform(0.0, 0.3))
        if chance.random() < 0.5:
            leader.kill()
        await cluster.loop.elapse(chance.uniform(1.0, 2.0))
        cluster.network.mend(links)


async def _kill_all(cluster: Cluster, chance: random.Random) -> None:
    for host in cluster.hosts:
        host.down_until = cluster.loop.time() + chance.uniform(0.0, 2.0)
        host.kill()


async def _pause_leader(cluster: Cluster, chance: random.Random) -> None:
    """As often as not nobody tells it, when it wakes, that others have gone on without it."""
    host = cluster.leader() or chance.choice(cluster.hosts)
    process = host.process
    if process is None or not process.is_alive:
        return
    links = _around(cluster, [host.id]) if chance.random() < 0.5 else []
    links += _reversed(links)
    process.stop()
    cluster.network.cut(links)
    await cluster.loop.elapse(chance.uniform(2.0, 5.0))
    process.resume()
    await cluster.loop.elapse(chance.uniform(0.0, 1.0))
    cluster.network.mend(links)


async def _partition(cluster: Cluster, chance: random.Random) -> None:
    """Two sides that do not hear each other; as often as not the leader is on the smaller one."""
    links = _around(cluster, _minority(cluster, chance))
    cluster.network.cut([*links, *_reversed(links)])
    await cluster.loop.elapse(chance.uniform(0.5, 5.0))
    cluster.network.mend([*links, *_reversed(links)])


async def _one_way(cluster: Cluster, chance: random.Random) -> None:
    """One side hears the other, which does not hear it."""
    links = _around(cluster, _minority(cluster, chance))
    if chance.random() < 0.5:
        links = _reversed(links)
    cluster.network.cut(links)
    await cluster.loop.elapse(chance.uniform(0.5, 5.0))
    cluster.network.mend(links)


async def _flapping(cluster: Cluster, chance: random.Random) -> None:
    links = _around(cluster, _minority(cluster, chance))
    for _ in range(chance.randint(3, 12)):
        cluster.network.cut(links)
        await cluster.loop.elapse(chance.uniform(0.02, 0.4))
        cluster.network.mend(links)
        await cluster.loop.elapse(chance.uniform(0.02, 0.4))


async def _loss(cluster: Cluster, chance: random.Random) -> None:
    cluster.network.quality.loss = 0.3
    await cluster.loop.elapse(chance.uniform(0.5, 5.0))
    cluster.network.quality.loss = 0.0


async def _disorder(cluster: Cluster, chance: random.Random) -> None:
    """Messages overtake and repeat each other."""
    quality = cluster.network.quality
    quality.disorder, quality.repeats = 0.3, 0.2
    await cluster.loop.elapse(chance.uniform(0.5, 5.0))
    quality.disorder, quality.repeats = 0.01, 0.0


async def _leave_behind(cluster: Cluster, chance: random.Random) -> None:
    """One member is away until the others' logs no longer hold what it needs; at times power fails when that comes."""
    host = chance.choice(cluster.hosts)
    links = _around(cluster, [host.id])
    links += _reversed(links)
    until = cluster.loop.time() + 12.0
    last = host.log.last_index() if host.parts else 0
    if chance.random() < 0.5:
        host.down_until = until
        host.kill()
    if chance.random() < 0.5:
        host.cut_power_at_store(chance.randrange(30))
    cluster.network.cut(links)
    while cluster.loop.time() < until:
        leader = cluster.leader()
        if leader is not None and leader is not host and leader.log.first_index() > last + 1:
            break
        await cluster.loop.elapse(0.1)
    host.down_until = min(host.down_until, cluster.loop.time())
    cluster.network.mend(links)
    if chance.random() < 0.3:  # and again, in the midst of it
        await cluster.loop.elapse(chance.uniform(0.0, 1.0))
        cluster.network.cut(links)
        await cluster.loop.elapse(chance.uniform(0.0, 1.0))
        cluster.network.mend(links)


async def _slow_links(cluster: Cluster, chance: random.Random) -> None:
    cluster.network.quality.disorder = 1.0
    await cluster.loop.elapse(chance.uniform(0.5, 5.0))
    cluster.network.quality.disorder = 0.01


def _minority(cluster: Cluster, chance: random.Random) -> list[int]:
    """Some members, too few for a quorum; as often as not the leader is one of them."""
    ids = [host.id for host in cluster.hosts if host.id in cluster.voters]
    chance.shuffle(ids)
    leader = cluster.leader()
    if leader is not None and chance.random() < 0.5:
        ids.sort(key=lambda member: member != leader.id)
    learners = [host.id for host in cluster.hosts if host.id not in cluster.voters and chance.random() < 0.5]
    return ids[: chance.randint(1, max(1, (len(ids) - 1) // 2))] + learners


def _around(cluster: Cluster, side: Sequence[int]) -> list[tuple[int, int]]:
    """The links from one side to the other."""
    others = [host.id for host in cluster.hosts if host.id not in side]
    return [(member, other) for member in side for other in others]


def _reversed(links: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(to, sender) for sender, to in links]


async def _stop_leader(cluster: Cluster, chance: random.Random) -> None:
    host = cluster.leader() or chance.choice(cluster.hosts)
    host.down_until = cluster.loop.time() + chance.uniform(0.0, 2.0)
    await host.stop()


async def _transfer(cluster: Cluster, chance: random.Random) -> None:
    """Has leadership go from member to member, whoever is asked for it, with messages lost at times."""
    for _ in range(chance.randint(1, 4)):
        target = chance.choice(cluster.hosts)
        chance.choice(cluster.hosts).transfer_leader(target.id)
        await cluster.loop.elapse(chance.uniform(0.05, 1.5))
        leader = cluster.leader()
        cluster.ledger.events["leadership transferred"] += leader is target


FAULTS: Final[Sequence[Fault]] = (
    Fault("kill -9", _kill),
    Fault("power cut", _cut_power),
    Fault("power cut of all", _cut_all_power, members=3),
    Fault("power cut while writing", _cut_power_while_writing),
    Fault("orderly stop", _stop_in_order),
    Fault("pause", _pause),
    Fault("slow disk", _slow_disk),
    Fault("full disk", _fill_disk),
    Fault("clock set", _set_clock),
    Fault("kill -9 of the leader", _kill_leader, members=3),
    Fault("leaders felled in a row", _fell_leaders, members=3),
    Fault("kill -9 of all", _kill_all, members=3),
    Fault("pause of the leader", _pause_leader, members=3),
    Fault("partition", _partition, members=3),
    Fault("one-way partition", _one_way, members=3),
    Fault("flapping links", _flapping, members=3),
    Fault("loss of 30 %", _loss, members=3),
    Fault("repeats and disorder", _disorder, members=3),
    Fault("left behind", _leave_behind, members=3),
    Fault("slow links", _slow_links, members=3),
    Fault("orderly stop of the leader", _stop_leader, members=3),
    Fault("transfer of leadership", _transfer, members=3),
)


def plan(chance: random.Random, members: int, count: int, kinds: int) -> list[Fault]:
    """`count` faults of at least `kinds` kinds, in some order."""
    possible = [fault for fault in FAULTS if members >= fault.members]
    chosen = chance.sample(possible, kinds) + chance.choices(possible, k=count - kinds)
    chance.shuffle(chosen)
    return chosen
