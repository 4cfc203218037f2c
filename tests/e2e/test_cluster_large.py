"""Operations over very many keys in a cluster: no member is thought dead because of them."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster, Connection, Program, encoded
from tests.e2e.rpc import COMPACTION, DELETE_RANGE, PUT, RANGE, TXN

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

BATCH = 128
WRITERS = 4
PATIENCE = 300.0
CHANGES = "etcd_server_leader_changes_seen_total"


@pytest.fixture
def cluster(program: Program, tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(program, tmp_path, linked=False) as cluster:
        yield cluster


def fill(cluster: Cluster, count: int) -> None:
    firsts = iter(range(0, count, BATCH))
    port = cluster.leader().client_port

    def write() -> None:
        connection = Connection(port)
        for first in firsts:
            keys = [b"bulk-%08d" % number for number in range(first, min(first + BATCH, count))]
            puts = [{"request_put": {"key": encoded(key), "value": "dmFsdWU="}} for key in keys]
            connection.post(TXN, {"success": puts})
        connection.close()

    threads = [threading.Thread(target=write) for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Writing:
    """Puts through one member all the time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._end = threading.Event()
        self.count = 0
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        connection = Connection(self._port)
        while not self._end.is_set():
            connection.post(PUT, {"key": encoded(b"probe"), "value": ""})
            self.count += 1
        connection.close()

    def end(self) -> None:
        self._end.set()
        self.thread.join()


def nobody_is_elected(cluster: Cluster, count: int) -> None:
    fill(cluster, count)
    leader, term = cluster.leader(), cluster.term()
    changes = [member.metric(CHANGES) for member in cluster.members]
    everything = {"key": encoded(b"bulk"), "range_end": encoded(b"bulm")}
    found = leader.ask(RANGE, everything | {"count_only": True})
    assert int(found["count"]) == count
    writing = Writing(cluster.followers()[0].client_port)
    writing.thread.start()
    deleted = leader.ask(DELETE_RANGE, everything, PATIENCE)
    assert int(deleted["deleted"]) == count
    before = writing.count
    cluster.wait_for(lambda: writing.count > before, "a write behind it", PATIENCE)
    leader.ask(COMPACTION, {"revision": deleted["header"]["revision"], "physical": True}, PATIENCE)
    writing.end()
    cluster.settle("large")
    assert cluster.leader() is leader
    assert cluster.term() == term
    assert [member.metric(CHANGES) for member in cluster.members] == changes


def test_a_delete_of_many_keys_causes_no_election(cluster: Cluster) -> None:
    nobody_is_elected(cluster, 50_000)  # soak: 1,000,000


@pytest.mark.soak
def test_a_delete_of_a_million_keys_causes_no_election(cluster: Cluster) -> None:
    nobody_is_elected(cluster, 1_000_000)
