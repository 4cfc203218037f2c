"""How three members come to be a cluster, and how one that does not belong to it is kept out."""

import contextlib
import http.client
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consensus.cluster import cluster_id, member_id
from tests.e2e.cluster import Cluster, Member, Program, encoded
from tests.e2e.rpc import PUT, RANGE, STATUS
from tests.e2e.servers import READY, Process, free_ports

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

KEEP_ALIVE = "/v3/lease/keepalive"
GRANT = "/v3/lease/grant"
PROBES = ("/readyz", "/livez")
NOT_READY = """\
[+]data_corruption ok
[+]serializable_read ok
[-]linearizable_read failed: etcdserver: no leader
[+]non_learner ok
[-]bootstrap failed: nothing was confirmed by a quorum since the start

"""
TIME_TO_LIVE = "/v3/lease/timetolive"


@pytest.fixture(scope="module")
def cluster(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(program, tmp_path_factory.mktemp("start"), linked=False) as cluster:
        yield cluster


@pytest.fixture
def unstarted(program: Program, tmp_path: Path) -> Iterator[Cluster]:
    """A cluster whose members the test starts."""
    with contextlib.ExitStack() as stack:
        cluster = Cluster(program, tmp_path, linked=False)
        stack.push(cluster)
        yield cluster


def get(port: int, path: str) -> tuple[int, Any]:  # Any: what JSON holds
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"connection": "close"})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, json.loads(body) if path not in PROBES else body.decode()


def keys(member: Member, **fields: object) -> list[str]:
    """All keys that a member knows."""
    answer = member.ask(RANGE, {"key": encoded(b"\0"), "range_end": encoded(b"\0"), **fields})
    return sorted(kv["key"] for kv in answer.get("kvs", []))


def put(member: Member, key: str) -> str:
    """Puts a key and answers it as the answers show it."""
    name = encoded(key.encode())
    member.ask(PUT, {"key": name, "value": ""})
    return name


def refused(process: Process) -> str:
    """What a program has said that must not start; quotes as they were before JSON had them."""
    assert process.wait() == 1
    return process.tail().replace('\\"', '"')


def urls(cluster: Cluster) -> dict[str, str]:
    return {member.name: f"http://127.0.0.1:{member.peer_port}" for member in cluster.members}


# ---- the start ----


def test_members_start_one_by_one_and_in_any_order(unstarted: Cluster, program: Program) -> None:
    first, late, second = unstarted.members
    unstarted.launch(second)
    if program.name == "raftgate":  # etcd serves nobody before it has a leader
        second.running.wait_for_line("peer became inactive")
        assert get(second.client_port, "/readyz") == (503, NOT_READY)
        assert get(second.client_port, "/health") == (503, {"health": "false", "reason": "RAFT NO LEADER"})
        assert keys(second, serializable=True) == []
        assert get(second.client_port, "/version")[1]["etcdcluster"] == "not_decided"
        assert second.ask(STATUS, {})["errors"] == ["etcdserver: no leader"]
    unstarted.launch(first)
    for member in (first, second):
        member.running.wait_for_line(READY)
    written = [put(first, "a"), put(second, "b")]
    assert keys(first) == keys(second) == written
    unstarted.start(late)
    written.append(put(late, "c"))
    assert keys(first) == keys(second) == keys(late) == written
    unstarted.settle("d")


def test_ids_and_records_are_as_in_etcd(cluster: Cluster) -> None:
    token = cluster.members[0].data_dir.parent.name
    ids = {name: member_id([url], token) for name, url in urls(cluster).items()}
    expected = [
        {
            "id": ids[member.name],
            "name": member.name,
            "peerURLs": [f"http://127.0.0.1:{member.peer_port}"],
            "clientURLs": [f"http://127.0.0.1:{member.client_port}"],
        }
        for member in sorted(cluster.members, key=lambda member: ids[member.name])
    ]
    cluster.settle("records")
    for member in cluster.members:
        assert get(member.peer_port, "/members") == (200, expected)
        header = member.ask(STATUS, {})["header"]
        assert (header["cluster_id"], header["member_id"]) == (
            str(cluster_id(list(ids.values()))),
            str(ids[member.name]),
        )
        assert re.fullmatch(r"3\.\d\.0", get(member.peer_port, "/version")[1]["etcdcluster"])


def test_leases_work_through_every_member(cluster: Cluster) -> None:
    for member in cluster.members:
        lease = member.ask(GRANT, {"TTL": 60})["ID"]
        key = encoded(f"leased through {member.name}".encode())
        member.ask(PUT, {"key": key, "value": "", "lease": lease})
        for asked in cluster.members:
            renewed = asked.ask(KEEP_ALIVE, {"ID": lease})["result"]
            assert (renewed["ID"], renewed["TTL"], renewed["header"]["member_id"]) == (lease, "60", asked.id)
            left = asked.ask(TIME_TO_LIVE, {"ID": lease, "keys": True})
            assert (left["grantedTTL"], left["keys"], left["header"]["member_id"]) == ("60", [key], asked.id)
            assert 58 <= int(left["TTL"]) <= 60
            assert "TTL" not in asked.ask(KEEP_ALIVE, {"ID": "9999"})["result"]
            assert asked.ask(TIME_TO_LIVE, {"ID": "9999"})["TTL"] == "-1"


# ---- the stop and the return ----


def test_a_leader_that_is_stopped_comes_back_without_its_cluster_flags(program: Program, tmp_path: Path) -> None:
    with Cluster(program, tmp_path, linked=False) as cluster:
        leader = cluster.leader()
        leader.terminate()
        others = cluster.others(leader)
        following = cluster.leader(others)
        assert following is not leader
        put(following, "while it was away")
        # What a member has once joined it knows; it goes by what it has written then.
        cluster.launch(leader, "--initial-cluster-state=existing", "--initial-cluster=m9=http://127.0.0.1:1")
        leader.running.wait_for_line(READY)
        assert keys(leader) == keys(following)
        cluster.settle("again")


def test_without_a_quorum_a_member_stops_at_once(unstarted: Cluster, program: Program) -> None:
    if program.name == "etcd":
        pytest.skip("etcd waits for its leader with the signal, too")
    member = unstarted.members[0]
    unstarted.launch(member)
    member.running.wait_for_line("peer became inactive")
    assert member.terminate() < 5


def test_a_member_that_has_lost_its_data_is_not_taken_for_a_new_one(cluster: Cluster) -> None:
    member = cluster.followers()[0]
    member.kill()
    kept = member.data_dir.rename(member.data_dir.with_suffix(".kept"))
    cluster.launch(member)
    assert f"member {int(member.id):x} has already been bootstrapped" in refused(member.running)
    shutil.rmtree(member.data_dir, ignore_errors=True)
    kept.rename(member.data_dir)
    cluster.start(member)
    cluster.settle("kept")


# ---- strangers ----


def test_a_member_of_another_cluster_is_kept_out(cluster: Cluster, program: Program, tmp_path: Path) -> None:
    term, known = cluster.term(), cluster.leader()
    client_port, peer_port = free_ports(2)
    own = f"http://127.0.0.1:{peer_port}"
    client = f"http://127.0.0.1:{client_port}"
    listed = [f"stranger={own}", *(f"{name}={url}" for name, url in urls(cluster).items())]
    stranger = Process([
        *program.command,
        "--name=stranger",
        f"--data-dir={tmp_path / 'stranger'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={own}",
        f"--initial-advertise-peer-urls={own}",
        f"--initial-cluster={','.join(listed)}",
    ])  # fmt: skip
    try:
        for member in cluster.members:
            member.running.wait_for_line("cluster ID mismatch")
        for number in range(10):
            put(cluster.members[number % 3], f"undisturbed {number}")
    finally:
        stranger.kill()
    assert (cluster.term(), cluster.leader()) == (term, known)


def test_a_request_of_another_cluster_is_answered_412(cluster: Cluster, program: Program) -> None:
    member = cluster.members[0]
    paths = {"raftgate": ["/raft/v1/messages", "/raft/v1/call"], "etcd": ["/raft"]}[program.name]
    headers = {
        "X-Etcd-Cluster-ID": "abc",
        "X-Server-From": "1",
        "X-Server-Version": "3.6.0",
        "X-Min-Cluster-Version": "3.0.0",
        "X-Raft-To": f"{int(member.id):x}",
    }
    for path in paths:
        connection = http.client.HTTPConnection("127.0.0.1", member.peer_port, timeout=10)
        connection.request("POST", path, b"", headers)
        response = connection.getresponse()
        assert (response.status, response.read()) == (412, b"cluster ID mismatch\n")
        connection.close()


# ---- flags that do not fit ----

PEER = "http://127.0.0.1:23801"
OTHER = "http://127.0.0.1:23802"


@pytest.mark.parametrize(
    ("cluster_flag", "text"),
    [
        (f"n2={OTHER},n3={PEER}", 'couldn\'t find local name "n1" in the initial cluster configuration'),
        (
            f"n1={OTHER},n2={PEER}",
            f"--initial-cluster has n1={OTHER} but missing from --initial-advertise-peer-urls={PEER}",
        ),
        (f"n1={PEER},n1={OTHER},n2=http://127.0.0.1:1", f'(len(["{PEER}"]) != len(["{PEER}" "{OTHER}"]))'),
        (f"n1={PEER},n2={OTHER},n3={OTHER}", f"initial cluster n1={PEER},n2={OTHER},n3={OTHER} has duplicate url"),
    ],
    ids=["no such name", "other URL", "unequal counts", "duplicate URL"],
)
def test_flags_that_do_not_fit_are_refused(program: Program, tmp_path: Path, cluster_flag: str, text: str) -> None:
    ports = free_ports(2)
    flags = [
        "--name=n1",
        f"--data-dir={tmp_path / 'data'}",
        f"--listen-client-urls=http://127.0.0.1:{ports[0]}",
        f"--advertise-client-urls=http://127.0.0.1:{ports[0]}",
        f"--listen-peer-urls=http://127.0.0.1:{ports[1]}",
        f"--initial-advertise-peer-urls={PEER}",
        f"--initial-cluster={cluster_flag}",
    ]
    assert text in refused(Process([*program.command, *flags]))
