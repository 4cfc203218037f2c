"""raftgate as a process: its log when it serves, how it stops, its lock, its peer port, its data after a restart."""

import http.client
import json
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import servers
from tests.e2e.client import Client
from tests.e2e.rpc import PUT, RANGE
from tests.e2e.servers import Process, Server

pytestmark = pytest.mark.slow

# A member alone waits an election timeout before it serves, and many are started here.
QUICK = ("--heartbeat-interval=20", "--election-timeout=200")
LOCKED = "data directory is locked by another process"


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A member that every test leaves as it was."""
    server = servers.start(servers.raftgate_command(), tmp_path_factory.mktemp("steady"))
    yield server
    server.process.kill()


@pytest.fixture
def member(tmp_path: Path) -> Iterator[Server]:
    """A member of its own, which the test may stop."""
    server = servers.start(servers.raftgate_command(), tmp_path, *QUICK)
    yield server
    server.process.kill()


def _send(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
    client = Client(port)
    try:
        reply = client.send(method, path, body, {})
    finally:
        client.close()
    return reply.status, dict(reply.headers), reply.body


def _messages(process: Process) -> list[str]:
    return [json.loads(line)["msg"] for line in process.lines if line.startswith("{")]


def test_the_log_says_published_and_then_ready(steady: Server) -> None:
    messages = _messages(steady.process)
    published = next(number for number, message in enumerate(messages) if "published" in message)
    ready = next(number for number, message in enumerate(messages) if servers.READY in message)
    assert published < ready


def test_every_line_of_the_log_is_json(steady: Server) -> None:
    for line in steady.process.lines:
        record = json.loads(line)
        assert {"level", "ts", "msg"} <= record.keys()


def test_it_serves_as_soon_as_it_says_so(steady: Server) -> None:
    status, _, _ = _send(steady.client_port, "POST", PUT, b'{"key":"Zm9v","value":"YmFy"}')
    assert status == 200


# etcd raises the signal again after the clean-up (etcd pkg/osutil/interrupt_unix.go): a shell sees 143 and 130.
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(number: signal.Signals, member: Server) -> None:
    member.process.signal(number)
    assert member.process.wait() == -number
    assert "Traceback" not in "\n".join(member.process.lines)


def test_a_signal_stops_it_while_clients_are_connected(member: Server) -> None:
    idle = http.client.HTTPConnection("127.0.0.1", member.client_port, timeout=10)
    idle.request("POST", RANGE, b'{"key":"Zm9v"}')
    idle.getresponse().read()
    half = http.client.HTTPConnection("127.0.0.1", member.client_port, timeout=10)
    half.putrequest("POST", RANGE)
    half.putheader("Content-Length", "100")
    half.endheaders(b"{")
    member.process.signal(signal.SIGTERM)
    assert member.process.wait() == -signal.SIGTERM
    idle.close()
    half.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_acknowledged_is_there_after_a_restart(number: signal.Signals, member: Server) -> None:
    last = b""
    for count in range(20):
        status, _, last = _send(member.client_port, "POST", PUT, b'{"key":"Zm9v","value":"%d000"}' % (count % 10))
        assert status == 200
    before = json.loads(last)["header"]
    member.process.signal(number)
    member.process.wait()
    again = servers.start(servers.raftgate_command(), member.data_dir.parent, *QUICK)
    try:
        _, _, body = _send(again.client_port, "POST", RANGE, b'{"key":"Zm9v"}')
    finally:
        again.process.kill()
    answer = json.loads(body)
    assert answer["header"]["cluster_id"] == before["cluster_id"]
    assert answer["header"]["member_id"] == before["member_id"]
    assert answer["header"]["revision"] == before["revision"]
    assert int(answer["header"]["raft_term"]) >= int(before["raft_term"])
    assert answer["kvs"][0]["value"] == "9000"
    assert answer["kvs"][0]["version"] == "20"


def test_a_second_process_on_the_same_directory_ends_at_once(steady: Server) -> None:
    flags = servers.member_flags(steady.data_dir, *servers.free_ports(2))
    second = Process([*servers.raftgate_command(), *flags])
    assert second.wait(10) == 1
    log = "\n".join(second.lines)
    assert LOCKED in log
    assert str(steady.process.pid) in log
    assert "Traceback" not in log
    status, _, _ = _send(steady.client_port, "POST", RANGE, b'{"key":"Zm9v"}')
    assert status == 200


def test_a_taken_port_ends_it(steady: Server, tmp_path: Path) -> None:
    flags = servers.member_flags(tmp_path / "other", steady.client_port, servers.free_ports(1)[0])
    second = Process([*servers.raftgate_command(), *flags])
    assert second.wait(10) == 1
    assert "address already in use" in "\n".join(second.lines).lower()


def test_the_data_directory_is_private(steady: Server) -> None:
    assert stat.S_IMODE(steady.data_dir.stat().st_mode) == 0o700
    assert (steady.data_dir / "member" / "wal").is_dir()


def test_the_peer_port_serves_version_and_members(steady: Server) -> None:
    status, headers, body = _send(steady.peer_port, "GET", "/version")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body)["etcdserver"].startswith("3.6.")
    status, headers, body = _send(steady.peer_port, "GET", "/members")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert headers["x-etcd-cluster-id"]
    (one,) = json.loads(body)
    assert one["name"] == "default"
    assert one["peerURLs"] == [f"http://127.0.0.1:{steady.peer_port}"]
    assert one["clientURLs"] == [f"http://127.0.0.1:{steady.client_port}"]


def test_the_peer_port_serves_no_client(steady: Server) -> None:
    for method, path in (("GET", "/health"), ("POST", RANGE), ("GET", "/metrics"), ("GET", "/nothing")):
        status, headers, body = _send(steady.peer_port, method, path, b"{}" if method == "POST" else None)
        assert (status, body) == (404, b"404 page not found\n"), path
        assert "access-control-allow-origin" not in headers
