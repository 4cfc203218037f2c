"""The scrape beside etcd's: the families that dashboards and alerts read, with their types, labels and buckets."""

import http.client
import json
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.servers import Process, Server, find_peer, free_ports, raftgate_command, start

pytestmark = pytest.mark.slow

# The families of metrics.md marked R whose part is built; those of peers, watches, quota and alarms come with theirs.
REQUIRED = (
    "etcd_server_has_leader",
    "etcd_server_is_leader",
    "etcd_server_leader_changes_seen",
    "etcd_server_heartbeat_send_failures",
    "etcd_server_proposals_committed_total",
    "etcd_server_proposals_applied_total",
    "etcd_server_proposals_pending",
    "etcd_server_proposals_failed",
    "etcd_server_version",
    "etcd_server_id",
    "etcd_server_healthcheck",
    "etcd_server_healthchecks",
    "etcd_disk_wal_fsync_duration_seconds",
    "etcd_disk_backend_commit_duration_seconds",
    "etcd_network_client_grpc_sent_bytes",
    "etcd_network_client_grpc_received_bytes",
    "etcd_mvcc_db_total_size_in_bytes",
    "etcd_mvcc_db_total_size_in_use_in_bytes",
    "etcd_mvcc_put",
    "etcd_mvcc_delete",
    "etcd_mvcc_txn",
    "etcd_mvcc_range",
    "etcd_debugging_mvcc_current_revision",
    "etcd_debugging_mvcc_compact_revision",
    "etcd_debugging_mvcc_keys_total",
    "grpc_server_started",
    "grpc_server_handled",
    "grpc_server_handling_seconds",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
    "process_cpu_seconds",
)
# Useful ones that are built all the same.
USEFUL = (
    "etcd_server_is_learner",
    "etcd_server_slow_apply",
    "etcd_server_slow_read_indexes",
    "etcd_server_read_indexes_failed",
    "etcd_server_apply_duration_seconds",
    "etcd_server_client_requests",
    "etcd_server_health_success",
    "etcd_server_health_failures",
    "etcd_cluster_version",
    "etcd_disk_wal_write_duration_seconds",
    "etcd_disk_wal_write_bytes_total",
    "etcd_debugging_mvcc_total_put_size_in_bytes",
    "grpc_server_msg_received",
    "grpc_server_msg_sent",
)
OWN = ("raftgate_http_requests", "raftgate_http_request_duration_seconds", "raftgate_build_info", "raftgate_raft_term")

TXN = {
    "success": [
        {"request_put": {"key": "eA=="}},
        {"request_range": {"key": "eA=="}},
        {"request_delete_range": {"key": "YQ=="}},
    ]
}
TRAFFIC = (
    [("/v3/kv/put", {"key": "YQ==", "value": "YmFy"})] * 5
    + [("/v3/kv/range", {"key": "YQ=="})] * 3
    + [("/v3/kv/txn", TXN)] * 2
    + [("/v3/kv/deleterange", {"key": "YQ=="})]
)


def request(port: int, method: str, path: str, body: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, body)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


def scrape(port: int) -> dict[str, Metric]:
    status, text = request(port, "GET", "/metrics")
    assert status == 200
    return {family.name: family for family in text_string_to_metric_families(text)}


def drive(port: int) -> None:
    for path, message in TRAFFIC:
        assert request(port, "POST", path, json.dumps(message))[0] == 200
    for path in ("/health", "/livez", "/readyz"):
        assert request(port, "GET", path)[0] == 200


def shape(family: Metric) -> tuple[str, frozenset[str], tuple[float, ...]]:
    """Type, label names and bucket bounds."""
    labels = frozenset(label for sample in family.samples for label in sample.labels) - {"le"}
    bounds = {float(sample.labels["le"]) for sample in family.samples if "le" in sample.labels}
    return family.type, labels, tuple(sorted(bounds))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start(raftgate_command(), tmp_path_factory.mktemp("metrics"))
    drive(server.client_port)
    yield server
    server.process.kill()


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    program = find_peer("etcd")
    if program is None:
        pytest.skip("etcd is not installed")
    server = start([program], tmp_path_factory.mktemp("etcd"), "--metrics=extensive")
    drive(server.client_port)
    yield server
    server.process.kill()


@pytest.mark.parametrize("name", [*REQUIRED, *USEFUL, *OWN])
def test_the_family_is_there(server: Server, name: str) -> None:
    assert name in scrape(server.client_port)


@pytest.mark.peer
@pytest.mark.parametrize("name", [*REQUIRED, *USEFUL])
def test_the_family_has_etcds_shape(server: Server, etcd: Server, name: str) -> None:
    ours, theirs = scrape(server.client_port)[name], scrape(etcd.client_port)[name]
    assert shape(ours) == shape(theirs)


def growth(server: Server, sample: str, **labels: str) -> float:
    """By how much a counter grows while the traffic goes through once more."""
    values = []
    for step in (drive, None):
        families = scrape(server.client_port).values()
        found = [
            s for family in families for s in family.samples if s.name == sample and labels.items() <= s.labels.items()
        ]
        values.append(sum(s.value for s in found))
        if step is not None:
            step(server.client_port)
    return values[1] - values[0]


COUNTED: list[tuple[str, dict[str, str], int]] = [
    ("etcd_mvcc_put_total", {}, 5 + 2),
    ("etcd_mvcc_txn_total", {}, 2),
    ("etcd_mvcc_delete_total", {}, 2 + 1),
    ("grpc_server_handled_total", {"grpc_method": "Put", "grpc_code": "OK"}, 5),
    ("grpc_server_started_total", {"grpc_method": "Txn"}, 2),
    ("etcd_debugging_mvcc_current_revision", {}, 5 + 2),
    ("etcd_server_healthchecks_total", {"type": "readyz", "name": "linearizable_read", "status": "success"}, 1),
]


@pytest.mark.parametrize(("sample", "labels", "times"), COUNTED, ids=[row[0] for row in COUNTED])
def test_operations_are_counted_honestly(server: Server, sample: str, labels: dict[str, str], times: int) -> None:
    assert growth(server, sample, **labels) == times


@pytest.mark.peer
@pytest.mark.parametrize(("sample", "labels", "times"), COUNTED, ids=[row[0] for row in COUNTED])
def test_etcd_counts_the_same(etcd: Server, sample: str, labels: dict[str, str], times: int) -> None:
    assert growth(etcd, sample, **labels) == times


def test_requests_are_counted_by_route(server: Server) -> None:
    assert growth(server, "raftgate_http_requests_total", route="/v3/kv/put", status="200") == 5


def test_series_do_not_grow_with_what_clients_send(server: Server) -> None:
    def series() -> int:
        return sum(len(family.samples) for family in scrape(server.client_port).values())

    chance = random.Random(1)
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"):  # what may be new once
        request(server.client_port, method, "/v3/none")
        request(server.client_port, method, "/none")
    for _ in range(20):
        request(server.client_port, "POST", "/v3/kv/put", json.dumps({"key": "YQ=="}))
        request(server.client_port, "POST", "/v3/kv/put", "{")
    before = series()
    for number in range(1000):  # 10,000 by the contract; the paths differ as much
        method = chance.choice(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
        request(server.client_port, method, f"/v3/{chance.randbytes(4).hex()}/{number}", "{}")
    assert series() - before < 50
    assert series() < 3000


def test_promtool_can_read_it(server: Server) -> None:
    program = find_peer("promtool")
    if program is None:
        pytest.skip("promtool is not installed")
    text = request(server.client_port, "GET", "/metrics")[1]
    done = subprocess.run([program, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert "error while linting" not in done.stderr
    remarks = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    assert all(line.startswith("etcd_") for line in remarks), remarks


def scraped(port: int, process: Process) -> dict[str, str]:
    """What Prometheus says of its one target once it has looked at it."""
    for _ in range(200):
        answer = json.loads(request(port, "GET", "/api/v1/targets?state=active")[1])
        for target in answer["data"]["activeTargets"]:
            if target["health"] != "unknown":
                return dict(target)
        process.wait_for_news(0.1)
    raise AssertionError(process.tail())


@pytest.mark.peer
def test_prometheus_scrapes_it(server: Server, tmp_path: Path) -> None:
    program = find_peer("prometheus") or shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed")
    (port,) = free_ports(1)
    config = tmp_path / "prometheus.yml"
    target = f"127.0.0.1:{server.client_port}"
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs: [{{job_name: raftgate-etcd, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    flags = [
        f"--config.file={config}",
        f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    process = Process([program, *flags])
    try:
        process.wait_for_line("Server is ready to receive web requests")
        found = scraped(port, process)
        assert found["health"] == "up", found
    finally:
        process.kill()
