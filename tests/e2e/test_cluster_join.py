"""How a member comes into a cluster that there is, and how one goes on alone when the others are lost."""

import contextlib
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from consensus.cluster import cluster_id, member_id
from consensus.member import open_wal
from consensus.metrics import Metrics
from consensus.wal_format import Identity
from tests.e2e.cluster import QUICK, Cluster, Member, NotAnswered, Program, encoded
from tests.e2e.rpc import PUT, RANGE, STATUS
from tests.e2e.servers import READY, Process, free_ports
from tests.fakes.dns import DnsServer
from tests.fakes.env import FakeEnv

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ADD = "/v3/cluster/member/add"
LIST = "/v3/cluster/member/list"
REMOVE = "/v3/cluster/member/remove"
TRANSFER = "/v3/maintenance/transfer-leadership"
EXISTING = "--initial-cluster-state=existing"
AUTO_JOIN = "--raftgate-auto-join=learner"
FORCE = "--force-new-cluster"


class Growing(Cluster):
    """A cluster that gets further members."""

    def newcomer(self) -> Member:
        """A place for one more, which `--initial-cluster` names from now on."""
        client_port, peer_port = free_ports(2)
        directory = self.members[0].data_dir.parent
        member = Member(len(self.members), client_port, peer_port, directory / f"m{len(self.members)}")
        self.members.append(member)
        self._peer_ports.append(peer_port)
        return member

    def url(self, member: Member) -> str:
        """Its peer URL."""
        return f"http://127.0.0.1:{member.peer_port}"

    def add(self, member: Member, via: Member) -> dict[str, Any]:  # Any: what JSON holds
        """Adds a member to the cluster as soon as that is safe, and answers its record."""
        answer = self.when_healthy(lambda: via.ask(ADD, {"peerURLs": [self.url(member)]}))
        found: dict[str, Any] = answer["member"]
        return found

    def remove(self, member: Member, via: Member) -> None:
        """Removes a member as soon as that is safe."""
        self.when_healthy(lambda: via.ask(REMOVE, {"ID": member.id}))

    def when_healthy(self, call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The answer of a call that is refused until all have been there for a while."""

        def attempt() -> dict[str, Any] | None:
            try:
                return call()
            except NotAnswered as refused:
                if refused.status != 503:
                    raise
                return None

        return self.wait_for(attempt, "a membership change")


@pytest.fixture
def cluster(program: Program, tmp_path: Path) -> Iterator[Growing]:
    with Growing(program, tmp_path, *QUICK, linked=False) as cluster:
        yield cluster


@pytest.fixture
def ours(cluster: Growing, program: Program) -> Growing:
    if program.name != "raftgate":
        pytest.skip("etcd has no such thing")
    return cluster


def refused(process: Process) -> str:
    """What a program has said that must not start; quotes as they were before JSON had them."""
    assert process.wait() == 1
    return process.tail().replace('\\"', '"')


def started(member: Member) -> None:
    member.running.wait_for_line(READY)
    member.id = member.ask(STATUS, {})["header"]["member_id"]


def listed(member: Member) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = member.ask(LIST, {})["members"]
    return answer


def keys(member: Member) -> list[str]:
    answer = member.ask(RANGE, {"key": encoded(b"\0"), "range_end": encoded(b"\0")})
    return sorted(kv["key"] for kv in answer.get("kvs", []))


def put(member: Member, *names: str) -> list[str]:
    for name in names:
        member.ask(PUT, {"key": encoded(name.encode()), "value": ""})
    return [encoded(name.encode()) for name in names]


def wipe(member: Member) -> None:
    member.kill()
    shutil.rmtree(member.data_dir)


# ---- an existing cluster ----


def test_an_added_member_joins_and_starts_again(cluster: Growing) -> None:
    cluster.settle("before")
    new = cluster.newcomer()
    record = cluster.add(new, cluster.members[0])
    cluster.launch(new, EXISTING)
    started(new)
    assert new.id == record["ID"]
    cluster.settle("between")
    new.kill()
    cluster.start(new)  # what the flags say of the cluster counts no more
    cluster.settle("after")
    assert [member["name"] for member in sorted(listed(new), key=lambda each: str(each["name"]))] == [
        "m0", "m1", "m2", "m3",
    ]  # fmt: skip


def test_a_list_that_is_not_the_clusters_is_refused(cluster: Growing) -> None:
    new = cluster.newcomer()
    cluster.launch(new, EXISTING)
    text = refused(new.running)
    assert "error validating peerURLs {ClusterID:" in text
    assert re.search(r"RaftAttributes:{PeerURLs:\[http://127.0.0.1:\d+\] IsLearner:false} Attributes:{Name:m\d", text)
    assert "RemovedMemberIDs:[]}: member count is unequal" in text
    shutil.rmtree(new.data_dir, ignore_errors=True)
    record = cluster.add(new, cluster.members[0])
    other = free_ports(1)[0]
    given = [f"{each.name}={cluster.url(each)}" for each in cluster.members[:3]]
    flags = [f"--initial-cluster={','.join(given)},m3=http://127.0.0.1:{other}"]
    cluster.launch(new, EXISTING, *flags, f"--initial-advertise-peer-urls=http://127.0.0.1:{other}")
    text = refused(new.running)
    assert re.search(
        r"PeerURLs: no match found for existing member \([0-9a-f]+, \[http://127.0.0.1:\d+\]\), last resolver error "
        r'\(resolved urls: "http://127.0.0.1:\d+" != "http://127.0.0.1:\d+"\)',
        text,
    )
    assert f"{int(record['ID']):x}, [{cluster.url(new)}]" in text


def test_where_nobody_answers_nobody_joins(program: Program, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        cluster = Growing(program, tmp_path, linked=False)
        stack.push(cluster)
        cluster.launch(cluster.members[0], EXISTING)
        text = "could not retrieve cluster information from the given URLs"
        cluster.members[0].running.wait_for_line(f"cannot fetch cluster info from peer urls: {text}", 30)
        assert cluster.members[0].running.wait() == 1


def test_a_start_that_died_early_joins_again(ours: Growing) -> None:
    new = ours.newcomer()
    record = ours.add(new, ours.members[0])
    of_cluster = int(ours.members[0].ask(STATUS, {})["header"]["cluster_id"])
    directory = new.data_dir / "member" / "wal"
    directory.mkdir(parents=True)
    identity = Identity(of_cluster, int(record["ID"]))
    open_wal(FakeEnv(), directory, identity, Metrics(CollectorRegistry()), fsync=True).close()
    ours.launch(new)  # as one who founds a cluster: it is none of the founders
    assert "the log was begun with other flags" in refused(new.running)
    ours.launch(new, EXISTING)
    started(new)
    ours.settle("joined")


def test_a_member_with_an_empty_disk_is_refused(ours: Growing) -> None:
    lost = ours.followers()[0]
    wipe(lost)
    put(ours.leader(), "without")
    for flags in ([], [EXISTING], [AUTO_JOIN]):
        ours.launch(lost, *flags)
        text = refused(lost.running)
        assert f"member {int(lost.id):x} has already been bootstrapped" in text
        assert f"raftgatectl member remove {int(lost.id):x}" in text
    assert len(listed(ours.leader())) == 3


def test_a_lagging_member_hears_a_leader_that_it_does_not_know(program: Program, tmp_path: Path) -> None:
    with Growing(program, tmp_path, *QUICK, "--strict-reconfig-check=false", linked=False) as cluster:
        late, first, second = cluster.members
        cluster.settle("known to all")
        late.kill()
        new = cluster.newcomer()
        cluster.add(new, first)
        cluster.launch(new, EXISTING)
        started(new)
        leader = cluster.leader([first, second, new])
        if leader is not new:
            leader.ask(TRANSFER, {"targetID": new.id})
        put(first, *(f"k{number}" for number in range(20)))
        assert cluster.leader([first, second, new]) is new
        cluster.start(late)
        cluster.settle("all again")


# ---- joining by itself ----


def test_a_new_name_joins_by_itself_and_gets_a_vote(ours: Growing) -> None:
    written = put(ours.members[0], "a", "b")
    named = [f"{each.name}={ours.url(each)}" for each in ours.members]
    new = ours.newcomer()
    flags = [f"--initial-cluster={','.join(named)}", AUTO_JOIN]
    ours.launch(new, *flags)
    new.running.wait_for_line("promoted to a voter", 60)
    started(new)
    assert keys(new) == written
    assert [member.get("isLearner", False) for member in listed(new)] == [False] * 4
    ours.settle("with four")
    wipe(new)  # it comes again with nothing
    ours.launch(new, *flags)
    assert f"raftgatectl member remove {int(new.id):x}" in refused(new.running)
    known = new.id
    ours.remove(new, ours.members[0])
    ours.launch(new, *flags)
    new.running.wait_for_line("promoted to a voter", 60)
    started(new)
    assert new.id != known
    ours.settle("with four again")


def test_founders_with_auto_join_found(program: Program, tmp_path: Path) -> None:
    if program.name != "raftgate":
        pytest.skip("etcd has no such thing")
    with Growing(program, tmp_path, *QUICK, AUTO_JOIN, linked=False) as cluster:
        cluster.settle("founded")
        ids = [member_id([cluster.url(each)], tmp_path.name) for each in cluster.members]
        assert [int(each.id) for each in cluster.members] == ids
        for member in cluster.members:
            member.kill()
        cluster.start(*cluster.members)
        cluster.settle("again")


# ---- going on alone ----


def test_one_member_goes_on_alone_with_all_data(cluster: Growing, program: Program) -> None:
    alone, second, third = cluster.members
    written = put(alone, *(f"k{number}" for number in range(50)))
    cluster.settle("last")
    known = alone.id
    for member in cluster.members:
        member.kill()
    cluster.launch(alone, FORCE)
    alone.kill()  # wherever it is
    cluster.launch(alone, FORCE)
    started(alone)
    assert alone.id == known
    assert [member["ID"] for member in listed(alone)] == [known]
    written += put(alone, "more")
    kept = keys(alone)
    last = encoded(b"last")  # etcd has been seen to lose it: of its log it keeps what it knows to be committed
    assert last in kept or program.name == "etcd"
    assert [key for key in kept if key != last] == sorted(written)
    written = kept
    alone.kill()
    cluster.start(alone)
    assert keys(alone) == sorted(written)
    if program.name == "raftgate":
        cluster.launch(second)
        assert second.running.wait(30) == 0
        assert "the member has been permanently removed from the cluster" in second.running.tail()
    cluster.members = [alone]
    cluster._peer_ports[1:] = []
    new = cluster.newcomer()
    cluster.add(new, alone)
    cluster.launch(new, EXISTING, f"--data-dir={third.data_dir}x")
    started(new)
    assert keys(new) == sorted(written)


# ---- discovery ----


def test_members_find_each_other_by_srv_records(program: Program, tmp_path: Path) -> None:
    if program.name != "raftgate":
        pytest.skip("etcd asks the system's name servers only")
    ports = free_ports(6)
    clients, peers = ports[:3], ports[3:]
    records = {"_etcd-server-blue._tcp.kv.example": [(0, 0, port, "localhost") for port in peers]}
    processes: list[Process] = []
    with DnsServer(records) as server:
        server.is_cut = True
        try:
            for client, peer in zip(clients, peers, strict=True):
                processes.append(Process([
                    *program.command,
                    f"--name=n{peer}",
                    f"--data-dir={tmp_path / str(peer)}",
                    f"--listen-client-urls=http://127.0.0.1:{client}",
                    f"--advertise-client-urls=http://127.0.0.1:{client}",
                    f"--listen-peer-urls=http://127.0.0.1:{peer}",
                    f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
                    "--discovery-srv=kv.example",
                    "--discovery-srv-name=blue",
                    f"--raftgate-dns-server={server.address}",
                ]))  # fmt: skip
            for process in processes:
                process.wait_for_line(READY)
            found = listed(Member(0, clients[0], peers[0], tmp_path))
        finally:
            for process in processes:
                process.kill()
    ids = {member_id([f"http://localhost:{peer}"], "etcd-cluster"): f"n{peer}" for peer in peers}
    assert {int(member["ID"]): member["name"] for member in found} == ids
    assert f"{cluster_id(list(ids)):x}" in processes[0].wait_for_line("published local member")


def test_records_without_this_member_are_refused(program: Program, tmp_path: Path) -> None:
    if program.name != "raftgate":
        pytest.skip("etcd asks the system's name servers only")
    client, peer = free_ports(2)
    with DnsServer({"_etcd-server._tcp.kv.example": [(0, 0, 1, "localhost")]}) as server:
        flags = [
            "--name=n1",
            f"--data-dir={tmp_path / 'data'}",
            f"--listen-client-urls=http://127.0.0.1:{client}",
            f"--advertise-client-urls=http://127.0.0.1:{client}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--raftgate-dns-server={server.address}",
        ]
        process = Process([*program.command, *flags, "--discovery-srv=kv.example"])
        assert 'cannot find local etcd member "n1" in SRV records' in refused(process)
        process = Process([*program.command, *flags, "--discovery-srv=other.example"])
        assert "error querying DNS SRV records for _etcd-server lookup _etcd-server._tcp.other.example" in (
            refused(process)
        )
