"""Three members while processes die or stand still and links fail: histories linearizable, watches whole, stores equal.

The timers are short, and so is the log: its cuts are part of what is interrupted.
"""

import contextlib
import json
import random
import resource
import socket
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.e2e.cluster import QUICK, Cluster, Member, NotAnswered, Program, encoded
from tests.e2e.history import Clients, decoded
from tests.e2e.links import CUT, Weather
from tests.e2e.load import load
from tests.e2e.rpc import PUT, RANGE, STATUS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SOME = 80
"""Calls that must be answered during a fault which leaves a majority."""
LONG = 1.2
"""Seconds that such a fault lasts at least: over two election timeouts."""


@pytest.fixture(scope="module")
def cluster(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(program, tmp_path_factory.mktemp("faults"), *QUICK, "--snapshot-count=500") as cluster:
        yield cluster


# ---- faults: each is done to a cluster under load ----


def kill_the_leader(cluster: Cluster, clients: Clients) -> None:
    cluster.leader().kill()
    clients.go_on(SOME)


def kill_a_follower(cluster: Cluster, clients: Clients) -> None:
    cluster.followers()[0].kill()
    clients.go_on(SOME)


def kill_all(cluster: Cluster, clients: Clients) -> None:
    for member in cluster.members:
        member.kill()
    clients.go_on(2, "not connected")


def pause_the_leader(cluster: Cluster, clients: Clients) -> None:
    leader = cluster.leader()
    leader.pause()
    cluster.leader(cluster.others(leader))
    clients.go_on(SOME)


def pause_a_follower(cluster: Cluster, clients: Clients) -> None:
    cluster.followers()[1].pause()
    clients.go_on(SOME, seconds=LONG)


def cut_the_leader_off(cluster: Cluster, clients: Clients) -> None:
    leader = cluster.leader()
    cluster.isolate(leader)
    cluster.leader(cluster.others(leader))
    clients.go_on(SOME)


def cut_a_follower_off(cluster: Cluster, clients: Clients) -> None:
    cluster.isolate(cluster.followers()[0])
    clients.go_on(SOME, seconds=LONG)


def make_the_leader_deaf(cluster: Cluster, clients: Clients) -> None:
    leader = cluster.leader()
    cluster.links.change(CUT, [(other.number, leader.number) for other in cluster.others(leader)])
    cluster.leader(cluster.others(leader))
    clients.go_on(SOME)


def make_the_leader_mute(cluster: Cluster, clients: Clients) -> None:
    leader = cluster.leader()
    cluster.links.change(CUT, [(leader.number, other.number) for other in cluster.others(leader)])
    cluster.leader(cluster.others(leader))
    clients.go_on(SOME)


def cut_one_way_to_a_follower(cluster: Cluster, clients: Clients) -> None:
    leader, follower = cluster.leader(), cluster.followers()[0]
    cluster.links.change(CUT, [(leader.number, follower.number)])
    clients.go_on(SOME, seconds=LONG)


def cut_two_members_from_each_other(cluster: Cluster, clients: Clients) -> None:
    """The third one hears both (of which the leader is one)."""
    leader, follower = cluster.leader(), cluster.followers()[1]
    cluster.links.change(CUT, [(leader.number, follower.number), (follower.number, leader.number)])
    clients.go_on(SOME, seconds=LONG)


def flap(cluster: Cluster, clients: Clients) -> None:
    chance = random.Random(7)
    for _ in range(5):
        cluster.isolate(chance.choice(cluster.members))
        clients.go_on(10)
        cluster.links.heal()
        clients.go_on(10)


def lose(cluster: Cluster, clients: Clients) -> None:
    cluster.links.change(Weather(loss=0.3), cluster.links.all_pairs())
    clients.go_on(SOME // 4, seconds=LONG)  # about ten calls a second get through, of etcd's members as well


def delay(cluster: Cluster, clients: Clients) -> None:
    cluster.links.change(Weather(delay=0.1), cluster.links.all_pairs())
    clients.go_on(SOME // 2, seconds=LONG)


def break_connections(cluster: Cluster, clients: Clients) -> None:
    cluster.links.change(Weather(breaks=0.05), cluster.links.all_pairs())
    clients.go_on(SOME, seconds=LONG)


FAULTS = (
    kill_the_leader, kill_all, pause_the_leader, cut_the_leader_off, make_the_leader_deaf, cut_one_way_to_a_follower,
    flap, lose, delay,
)  # fmt: skip
FURTHER_FAULTS = (
    kill_a_follower, pause_a_follower, cut_a_follower_off, make_the_leader_mute, cut_two_members_from_each_other,
    break_connections,
)  # fmt: skip
Fault = Callable[[Cluster, Clients], None]


@pytest.mark.parametrize(
    "fault",
    [
        *(pytest.param(fault, id=fault.__name__) for fault in FAULTS),
        *(pytest.param(fault, id=fault.__name__, marks=pytest.mark.soak) for fault in FURTHER_FAULTS),
    ],
)
def test_nothing_is_lost_or_out_of_order(cluster: Cluster, fault: Fault) -> None:
    with load(cluster, fault.__name__) as (clients, _):
        fault(cluster, clients)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(5))
def test_many_faults_one_after_the_other(cluster: Cluster, seed: int) -> None:
    chance = random.Random(seed)
    with load(cluster, f"many{seed}") as (clients, _):
        for fault in chance.choices(FAULTS + FURTHER_FAULTS, k=12):
            fault(cluster, clients)
            if chance.random() < 0.7:
                cluster.recover()
                clients.go_on(SOME)
            else:
                cluster.recover()


# ---- what single members may and must not say ----


def test_a_leader_that_wakes_serves_no_stale_read(cluster: Cluster) -> None:
    cluster.recover()
    for number in range(2):
        leader = cluster.leader()
        put(leader, "stale", f"old{number}")
        leader.pause()
        cluster.isolate(leader)  # nor is it told by others when it wakes
        other = cluster.leader(cluster.others(leader))
        put(other, "stale", f"new{number}")
        questions = [ask_without_waiting(leader, "stale") for _ in range(5)]
        leader.resume()
        cluster.wait_for(partial(does_not_lead, leader), "its own doubts")
        cluster.links.heal()
        for question in questions:
            status, value = answer_of(question)
            assert status != 200 or value == f"new{number}"
        cluster.settle("stale-end")


def test_a_leader_that_is_cut_off_answers_nothing_and_forgets_what_it_took(cluster: Cluster) -> None:
    cluster.recover()
    leader = cluster.leader()
    put(leader, "alone", "before")
    cluster.isolate(leader)
    with pytest.raises(NotAnswered):
        leader.ask(PUT, {"key": encoded(b"alone"), "value": encoded(b"lost")}, timeout=1.0)
    other = cluster.leader(cluster.others(leader))
    put(other, "together", "kept")
    question = ask_without_waiting(leader, "together")
    cluster.links.heal()
    status, value = answer_of(question)
    assert status != 200 or value == "kept"
    cluster.settle("alone-end")
    for member in cluster.members:
        assert get(member, "alone") == "before"
        assert get(member, "together") == "kept"


@pytest.mark.parametrize(
    "leads", [pytest.param(True, id="leader"), pytest.param(False, id="follower", marks=pytest.mark.soak)]
)
def test_a_full_disk_ends_one_member_and_hinders_nobody_else(cluster: Cluster, leads: bool) -> None:  # noqa: FBT001  # a parameter of pytest
    with load(cluster, f"full-disk-{leads}") as (clients, _):
        member = cluster.leader() if leads else cluster.followers()[0]
        limit_files(member, 0)
        member.running.wait()
        clients.go_on(SOME)


def limit_files(member: Member, size: int) -> None:
    """No file of a member may be longer from now on: its disk is full."""
    resource.prlimit(member.running.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def does_not_lead(member: Member) -> bool:
    return bool(member.ask(STATUS, {}).get("leader") != member.id)


def put(member: Member, key: str, value: str) -> None:
    message = {"key": encoded(key.encode()), "value": encoded(value.encode())}
    for _ in range(20):
        with contextlib.suppress(NotAnswered):
            member.ask(PUT, message, timeout=3.0)
            return
    pytest.fail(f"{member.name} does not take {key}")


def get(member: Member, key: str) -> str:
    kvs = member.ask(RANGE, {"key": encoded(key.encode())})["kvs"]
    return decoded(kvs[0]["value"]).decode()


def ask_without_waiting(member: Member, key: str) -> socket.socket:
    """Sends a linearizable read, which waits in the socket's buffer while the member stands still."""
    sock = socket.create_connection(("127.0.0.1", member.client_port), timeout=30)
    body = json.dumps({"key": encoded(key.encode())}).encode()
    head = f"POST {RANGE} HTTP/1.1\r\nHost: it\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    sock.sendall(head.encode() + body)
    return sock


def answer_of(sock: socket.socket) -> tuple[int, str]:
    with sock, sock.makefile("rb") as stream:
        head, _, body = stream.read().partition(b"\r\n\r\n")
    status = int(head.split(b" ")[1])
    kvs = json.loads(body).get("kvs", []) if status == 200 else []
    return status, decoded(kvs[0]["value"]).decode() if kvs else ""
