"""Watches through followers while their leader goes: no event is missing, none comes twice, no stream ends."""

import signal
from collections.abc import Iterator

import pytest

from tests.e2e import watch_log
from tests.e2e.cluster import QUICK, Cluster, Program
from tests.e2e.history import Clients
from tests.e2e.load import load
from tests.e2e.watch_log import WatchLog

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SOME = 100


@pytest.fixture(scope="module")
def cluster(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(program, tmp_path_factory.mktemp("watch"), *QUICK, linked=False) as cluster:
        yield cluster


def leave(cluster: Cluster, clients: Clients, logs: list[WatchLog], how: signal.Signals) -> None:
    """Ends the leader under the watches of its followers, which must tell what comes after it."""
    leader = cluster.leader()
    followers = cluster.others(leader)
    streams = [logs[member.number].streams for member in followers]
    leader.running.signal(how)
    leader.running.wait()
    cluster.leader(followers)
    clients.go_on(SOME)
    cluster.start(leader)
    last = cluster.settle(f"{clients.prefix.decode()}-{leader.name}")
    for member in followers:
        logs[member.number].wait_for(last)
    assert [logs[member.number].streams for member in followers] == streams, "a stream has ended"


@pytest.mark.parametrize(
    "how",
    [pytest.param(signal.SIGKILL, id="killed"), pytest.param(signal.SIGTERM, id="stopped", marks=pytest.mark.soak)],
)
def test_a_followers_watch_outlives_the_leader(cluster: Cluster, how: signal.Signals) -> None:
    with load(cluster, f"outlive-{how.name}") as (clients, logs):
        for _ in range(2):
            leave(cluster, clients, logs, how)


@pytest.mark.soak
def test_a_followers_watch_outlives_many_leaders(cluster: Cluster) -> None:
    with load(cluster, "outlive-many") as (clients, logs):
        for number in range(15):
            leave(cluster, clients, logs, signal.SIGTERM if number % 3 == 0 else signal.SIGKILL)


@pytest.mark.soak
def test_a_watch_of_the_past_is_whole_on_each_member_while_the_leader_is_killed(cluster: Cluster) -> None:
    cluster.recover()
    first = cluster.settle("past-begin") + 1
    with Clients(cluster.members, "past") as clients:
        clients.go_on(SOME)
        leader = cluster.leader()
        followers = cluster.others(leader)
        leader.kill()
        logs = [WatchLog(member, clients.prefix, first) for member in followers]
        with logs[0], logs[1]:
            cluster.leader(followers)
            clients.go_on(SOME)
            cluster.start(leader)
            clients.go_on(SOME)
            reached = cluster.settle("past-end")
            for log in logs:
                log.wait_for(reached)
            clients.go_on(1)
    last = cluster.settle("past-last")
    assert reached < last
    with WatchLog(leader, clients.prefix, first) as log:
        log.wait_for(last)
    for each in logs:  # they were closed earlier, at any revision
        assert each.events == log.events[: len(each.events)]
    watch_log.check([log], clients.history, range(first, last + 1))
    clients.history.check()
