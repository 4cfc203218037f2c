"""How long nobody can write when the leader goes, at default timers."""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster, Member, NotAnswered, Program, encoded
from tests.e2e.rpc import PUT
from tests.e2e.servers import find_peer, raftgate_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

OUTAGE = 3.0
"""Seconds after kill -9 of the leader within which writes succeed again (median)."""
GRACEFUL = {"raftgate": 0.5, "etcd": 3.0}
"""Seconds that an orderly stop of the leader takes, and that nobody can write after it."""
PATIENCE = 0.2


@pytest.fixture(scope="module")
def cluster(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(program, tmp_path_factory.mktemp("recovery"), linked=False) as cluster:
        yield cluster


def seconds_until_written(members: list[Member]) -> float:
    """How long none of some members takes a write; each is asked in turn and given little time."""
    began = time.monotonic()
    message = {"key": encoded(b"written"), "value": encoded(b"again")}
    while time.monotonic() < began + 30:
        for member in members:
            with contextlib.suppress(NotAnswered):
                member.ask(PUT, message, PATIENCE)
                return time.monotonic() - began
    pytest.fail("nobody can write any more")


def outage(cluster: Cluster) -> float:
    """Kills the leader; answers after how many seconds a write succeeds again."""
    leader = cluster.leader()
    leader.kill()
    seconds = seconds_until_written(cluster.others(leader))
    cluster.start(leader)
    cluster.settle("outage")
    return seconds


def test_writes_succeed_again_soon_after_the_leader_was_killed(cluster: Cluster) -> None:
    outages = [outage(cluster) for _ in range(3)]  # soak: 20, beside etcd
    assert statistics.median(outages) < OUTAGE, outages


def test_a_leader_that_is_stopped_hands_over(cluster: Cluster, program: Program) -> None:
    stops, outages = [], []
    for _ in range(3):
        leader = cluster.leader()
        stops.append(leader.terminate())
        outages.append(seconds_until_written(cluster.others(leader)))
        cluster.start(leader)
        cluster.settle("stop")
    assert statistics.median(stops) < GRACEFUL[program.name], stops
    assert statistics.median(outages) < GRACEFUL[program.name], outages


@pytest.mark.soak
@pytest.mark.peer
def test_writes_succeed_again_as_soon_as_with_etcd(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    etcd = find_peer("etcd")
    if etcd is None:
        pytest.skip("no etcd found (variable ETCD, PATH, installed peers)")
    programs = [Program("raftgate", raftgate_command()), Program("etcd", [etcd])]
    outages: dict[str, list[float]] = {program.name: [] for program in programs}
    with contextlib.ExitStack() as stack:
        clusters = {
            program.name: stack.enter_context(Cluster(program, tmp_path / program.name, linked=False))
            for program in programs
        }
        for _ in range(20):
            for name, cluster in clusters.items():
                outages[name].append(outage(cluster))
    medians = {name: statistics.median(seconds) for name, seconds in outages.items()}
    record_property("outages", {name: sorted(round(each, 2) for each in found) for name, found in outages.items()})
    assert medians["raftgate"] < OUTAGE, outages
