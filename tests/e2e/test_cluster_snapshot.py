"""A follower whose next entries are gone from the leader's log gets the whole store, and its watchers miss nothing."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import QUICK, Cluster, Connection, Member, Program, encoded
from tests.e2e.history import Clients
from tests.e2e.load import load
from tests.e2e.rpc import PUT, STATUS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RECEIVED = "etcd_network_snapshot_receive_success"

# How many values of what size are put at a time: etcd keeps 5,000 entries, raftgate 64 MiB.
BULK = {"etcd": (1_000, 100), "raftgate": (64, 256 * 1024)}
FLAGS = {"etcd": ("--snapshot-count=100",), "raftgate": ("--snapshot-count=100", "--snapshot-catchup-entries=50")}
ENOUGH = 8
SOME = 100
PAUSE = 0.05
WRITERS = 4


@pytest.fixture
def cluster(program: Program, tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(program, tmp_path, *QUICK, *FLAGS[program.name]) as cluster:
        yield cluster


def fill(member: Member, count: int, size: int, revisions: set[int]) -> None:
    """Puts `count` values of `size` bytes on few keys and adds their revisions."""
    wanted = len(revisions) + count
    value = encoded(b"v" * size)
    numbers = iter(range(count))

    def write() -> None:
        connection = Connection(member.client_port)
        for number in numbers:
            answer = connection.post(PUT, {"key": encoded(b"bulk%d" % (number % 40)), "value": value})
            revisions.add(int(answer["header"]["revision"]))
        connection.close()

    threads = [threading.Thread(target=write) for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(revisions) == wanted, "a writer gave up"


def leave_behind(cluster: Cluster, program: Program, clients: Clients, follower: Member, revisions: set[int]) -> None:
    """Has the other members drop what a follower lacks who gets nothing; adds the revisions of what is written for it.

    For a while after a transfer they drop nothing.
    """
    others = cluster.others(follower)
    fill(others[0], *BULK[program.name], revisions)  # of this some may still be on its way to the follower
    lacking = int(others[0].ask(STATUS, {})["raftIndex"])
    fills = ENOUGH
    while min(first_index(member) for member in others) <= lacking:
        if fills:
            fill(others[0], *BULK[program.name], revisions)
            fills -= 1
        else:
            clients.go_on(SOME)


def first_index(member: Member) -> int:
    """What a member's log says of where its Raft log begins."""
    line = next((line for line in reversed(member.running.lines) if "compacted Raft logs" in line), "{}")
    fields = json.loads(line)
    return int(fields.get("first-index", fields.get("compact-index", 0)))


def fall_behind_and_catch_up(cluster: Cluster, program: Program, rounds: int) -> None:
    bulk: set[int] = set()
    with load(cluster, "some", elsewhere=bulk, pause=PAUSE) as (clients, logs):
        for number in range(rounds):
            follower = cluster.followers()[number % 2]
            received = follower.metric(RECEIVED)
            streams = logs[follower.number].streams
            cluster.isolate(follower)
            leave_behind(cluster, program, clients, follower, bulk)
            cluster.links.heal()
            clients.go_on(SOME)
            last = cluster.settle(f"some-round{number}")
            logs[follower.number].wait_for(last)
            assert follower.metric(RECEIVED) > received, "it has caught up without a snapshot"
            assert logs[follower.number].streams == streams, "its watch had to be opened again"


def test_a_follower_far_behind_catches_up_by_snapshot_under_load(cluster: Cluster, program: Program) -> None:
    fall_behind_and_catch_up(cluster, program, rounds=1)  # soak: 3


@pytest.mark.soak
def test_a_follower_that_was_down_catches_up_by_snapshot(cluster: Cluster, program: Program) -> None:
    bulk: set[int] = set()
    with load(cluster, "some", elsewhere=bulk, pause=PAUSE) as (clients, _):
        follower = cluster.followers()[0]
        follower.kill()
        leave_behind(cluster, program, clients, follower, bulk)
        cluster.start(follower)
        clients.go_on(SOME)
        cluster.settle("some-round")
        assert follower.metric(RECEIVED) > 0, "it has caught up without a snapshot"
        follower.kill()  # and the store it got is its own from now on
        cluster.start(follower)


@pytest.mark.soak
def test_a_follower_falls_behind_again_and_again(cluster: Cluster, program: Program) -> None:
    fall_behind_and_catch_up(cluster, program, rounds=3)


@pytest.mark.soak
def test_a_follower_that_is_killed_while_it_gets_a_snapshot_keeps_a_usable_store(
    cluster: Cluster, program: Program
) -> None:
    bulk: set[int] = set()
    with load(cluster, "some", elsewhere=bulk, pause=PAUSE) as (clients, _):
        follower = cluster.followers()[0]
        follower.kill()
        leave_behind(cluster, program, clients, follower, bulk)
        for number in range(8):
            cluster.launch(follower)
            clients.go_on(1, seconds=0.3 + 0.2 * number)
            follower.kill()
        cluster.start(follower)
        clients.go_on(SOME)
