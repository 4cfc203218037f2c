"""Watchers that vanish, and watchers that never read: the member stays small, and others notice nothing."""

import base64
import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import servers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MIB = 1 << 20
DEADLINE = 20.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[servers.Server]:
    server = servers.start(servers.raftgate_command(), tmp_path)
    yield server
    server.process.kill()


def encoded(data: str) -> str:
    return base64.b64encode(data.encode()).decode()


def post(server: servers.Server, path: str, message: dict[str, Any]) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.client_port, timeout=DEADLINE)
    try:
        connection.request("POST", path, json.dumps(message))
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        return answer
    finally:
        connection.close()


def resident(server: servers.Server) -> int:
    """Bytes of memory that the member holds."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


def metric(server: servers.Server, name: str) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", server.client_port, timeout=DEADLINE)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    assert found, name
    return float(found[1])


def open_watch(port: int, *creates: dict[str, Any], receive_buffer: int = 0) -> socket.socket:
    """Opens a stream with watches, and waits until they are created."""
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(DEADLINE)
    connection.connect(("127.0.0.1", port))
    body = b"".join(json.dumps({"create_request": create}).encode() for create in creates)
    head = f"POST /v3/watch HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    seen = b""
    while seen.count(b'"created":true') < len(creates):
        piece = connection.recv(1 << 16)
        assert piece, seen
        seen += piece
    return connection


def vanish(server: servers.Server, count: int) -> None:
    """`count` watchers come, and go without a word; a hundred at a time."""
    for _ in range(count // 100):
        connections = [open_watch(server.client_port, {"key": encoded(f"k{number}")}) for number in range(100)]
        for connection in connections:
            connection.close()


def wait_for_no_watcher(server: servers.Server) -> None:
    for _ in range(200):
        if metric(server, "etcd_debugging_mvcc_watcher_total") == 0:
            return
        server.process.wait_for_news(0.05)
    pytest.fail("there are still watchers")


def test_five_thousand_watchers_come_and_vanish(server: servers.Server) -> None:
    vanish(server, 2000)  # until the collector has come by, and the allocator has what it keeps
    wait_for_no_watcher(server)
    before = resident(server)
    vanish(server, 5000)
    wait_for_no_watcher(server)
    assert metric(server, "etcd_debugging_mvcc_watch_stream_total") == 0
    assert resident(server) <= before * 1.1


def put_all(server: servers.Server, count: int, size: int) -> None:
    """`count` values of `size` bytes, all under one key."""
    value = encoded("v" * size)
    for _ in range(count):
        post(server, "/v3/kv/put", {"key": encoded("big"), "value": value})


@contextmanager
def reader(server: servers.Server, expected: int) -> Iterator[threading.Event]:
    """A well-behaved watcher, and the event that tells that it has all it expects."""
    connection = open_watch(server.client_port, {"key": encoded("big")})
    complete = threading.Event()

    def read() -> None:
        events, tail = 0, b""
        while events < expected:
            tail += connection.recv(1 << 20)
            events += tail.count(b'"mod_revision"')
            tail = tail[-13:] if not tail.endswith(b'"mod_revision"') else b""
        complete.set()

    thread = threading.Thread(target=read)
    thread.start()
    yield complete
    thread.join(DEADLINE)
    connection.close()


def test_watchers_that_never_read(server: servers.Server) -> None:
    count, size = 300, MIB // 4
    put_all(server, count, size)
    before = resident(server)
    stuck = [open_watch(server.client_port, {"key": encoded("big")}, receive_buffer=4096) for _ in range(20)]
    with reader(server, count) as complete:
        put_all(server, count, size)
        assert complete.wait(DEADLINE)
    # 20 x 100 MB are due to them. What a stream holds is bounded by number, and shared.
    assert resident(server) <= before + 96 * MIB
    # One that reads again, late, has missed nothing.
    events, tail = 0, b""
    while events < count:
        tail += stuck[0].recv(1 << 20)
        events += tail.count(b'"mod_revision"')
        tail = tail[-13:] if not tail.endswith(b'"mod_revision"') else b""
    assert events == count
    for connection in stuck:
        connection.close()
    wait_for_no_watcher(server)


def test_what_waits_takes_little_memory(server: servers.Server) -> None:
    count, each = 500, 20
    before = resident(server)
    idle = [http.client.HTTPConnection("127.0.0.1", server.client_port, timeout=DEADLINE) for _ in range(count)]
    for connection in idle:
        connection.request("GET", "/health")
        connection.getresponse().read()
    connected = resident(server)
    assert (connected - before) / count < 40 * 1024
    creates = [{"key": encoded(f"k{number}")} for number in range(each)]
    watching = [open_watch(server.client_port, *creates) for _ in range(count)]
    assert metric(server, "etcd_debugging_mvcc_watcher_total") == count * each
    assert (resident(server) - connected) / (count * each) < 4 * 1024
    for stream in watching:
        stream.close()
    for connection in idle:
        connection.close()
