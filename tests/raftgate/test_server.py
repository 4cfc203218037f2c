"""The composition root as a process of its own; what it serves is told by the black-box tests."""

import http.client
import json
import os
import resource
import signal
import socket
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from consensus.cluster import cluster_id, member_id
from consensus.member import open_wal
from consensus.metrics import Metrics
from consensus.wal_format import Identity
from tests.e2e.servers import Process, Server, free_ports, member_flags, raftgate_command, start
from tests.fakes.env import FakeEnv

pytestmark = pytest.mark.slow


def get(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, body


def stop(server: Server) -> int:
    server.process.signal(signal.SIGTERM)
    return server.process.wait()


def test_ids_follow_from_the_flags_and_stay_when_they_change(tmp_path: Path) -> None:
    server = start(raftgate_command(), tmp_path)
    member = member_id([f"http://127.0.0.1:{server.peer_port}"], "etcd-cluster")
    (first,) = json.loads(get(server.peer_port, "/members")[1])
    assert first["id"] == member
    assert stop(server) == -signal.SIGTERM
    again = start(raftgate_command(), tmp_path)  # on other ports
    (second,) = json.loads(get(again.peer_port, "/members")[1])
    assert second["id"] == member
    assert second["clientURLs"] == [f"http://127.0.0.1:{again.client_port}"]
    assert f"{cluster_id([member]):x}" in again.process.wait_for_line("published local member")
    again.process.kill()


def test_a_metrics_listener_serves_probes_alone(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    server = start(raftgate_command(), tmp_path, f"--listen-metrics-urls=http://127.0.0.1:{port}")
    assert get(port, "/health") == (200, b'{"health":"true","reason":""}')
    assert get(port, "/readyz") == (200, b"ok\n")
    assert b"etcd_server_has_leader 1.0" in get(port, "/metrics")[1]
    assert get(port, "/version")[0] == 404
    server.process.kill()


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = Process([*raftgate_command(), *member_flags(tmp_path / "data", port, free_ports(1)[0])])
        assert process.wait() == 1
    assert f"listen tcp 127.0.0.1:{port}: bind: address already in use" in process.tail()


def leave_an_empty_log(data_dir: Path, identity: Identity) -> None:
    """As a stop does that comes right after the making of the log."""
    directory = data_dir / "member" / "wal"
    directory.mkdir(parents=True)
    open_wal(FakeEnv(), directory, identity, Metrics(CollectorRegistry()), fsync=True).close()


def test_a_log_that_a_stop_has_left_empty_is_begun_as_the_flags_say(tmp_path: Path) -> None:
    client_port, *peer_ports = free_ports(4)
    urls = [f"http://127.0.0.1:{port}" for port in peer_ports]
    ids = [member_id([url], "etcd-cluster") for url in urls]
    leave_an_empty_log(tmp_path / "data", Identity(cluster_id(ids), ids[0]))
    flags = member_flags(tmp_path / "data", client_port, peer_ports[0])[:-1]
    listed = ",".join(f"{name}={url}" for name, url in zip(("default", "n2", "n3"), urls, strict=True))
    process = Process([*raftgate_command(), *flags, f"--initial-cluster={listed}"])
    process.wait_for_line("peer became inactive")
    found: list[int] = []
    for _ in range(500):
        found = [member["id"] for member in json.loads(get(peer_ports[0], "/members")[1])]
        if found:
            break
        process.wait_for_news(0.02)
    assert found == sorted(ids)
    process.kill()


def test_an_empty_log_of_other_flags_is_refused(tmp_path: Path) -> None:
    leave_an_empty_log(tmp_path / "data", Identity(1, 2))
    process = Process([*raftgate_command(), *member_flags(tmp_path / "data", *free_ports(2))])
    assert process.wait() == 1
    assert "the log was begun with other flags" in process.tail()


def test_files_are_the_owners_alone(tmp_path: Path) -> None:
    server = start(raftgate_command(), tmp_path)
    for folder, _, names in os.walk(server.data_dir):
        assert Path(folder).stat().st_mode & 0o077 == 0, folder
        for name in names:
            assert (Path(folder) / name).stat().st_mode & 0o077 == 0, name
    server.process.kill()


def test_a_log_elsewhere_and_a_name(tmp_path: Path) -> None:
    wal = tmp_path / "elsewhere"
    server = start(raftgate_command(), tmp_path, f"--wal-dir={wal}")
    assert list(wal.glob("*.wal"))
    assert not (server.data_dir / "member" / "wal").exists()
    server.process.kill()


def test_draining_is_told_before_the_listeners_close(tmp_path: Path) -> None:
    server = start(raftgate_command(), tmp_path, "--raftgate-shutdown-delay=2s")
    assert get(server.client_port, "/readyz")[0] == 200
    server.process.signal(signal.SIGTERM)
    server.process.wait_for_line("received SIGTERM")
    status, body = get(server.client_port, "/readyz")
    assert (status, b"draining" in body) == (503, True)
    assert server.process.wait() == -signal.SIGTERM


def test_it_takes_the_open_files_that_it_may_have(tmp_path: Path) -> None:
    shell = ["sh", "-c", 'ulimit -S -n 64; exec "$@"', "sh"]
    server = start([*shell, *raftgate_command()], tmp_path)
    soft, hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    assert soft == hard
    clients = [socket.create_connection(("127.0.0.1", server.client_port)) for _ in range(200)]
    assert get(server.client_port, "/livez") == (200, b"ok\n")
    for client in clients:
        client.close()
    server.process.kill()
