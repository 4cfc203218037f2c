"""How streams end: with the member that serves them, and with the client that opened them."""

import base64
import json
import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e import servers
from tests.e2e.case import Origin, Reading, Step
from tests.e2e.client import Client
from tests.e2e.rpc import post, put
from tests.e2e.servers import Server
from tests.e2e.stream_rpc import (
    KEEPALIVE,
    LOCK,
    WATCH,
    cancel,
    create,
    grant,
    lock,
    observe,
    opened,
    opened_half,
    websocket,
)
from tests.e2e.streams import CUT, END, Stream, open_stream

pytestmark = pytest.mark.slow

STOPPING = 5.0
LOOKS = 200
KEY = base64.b64encode(b"a").decode()
LINE = Reading(lines=1)
ORIGIN = Origin("", "", "", 0)
EVENTS = Step("GET", f"{WATCH}?key={KEY}", None, {"Accept": "text/event-stream"})

# A name of a stream, and what opens it.
STREAMS = {
    "a watch": opened("", WATCH, create(b"a")),
    "a watch whose request goes on": opened_half("", WATCH, create(b"a")),
    "a watch without a watch": opened("", WATCH),
    "events": EVENTS,
    "keepalive": opened_half("", KEEPALIVE, {"ID": 7}),
    "observe": observe("", b"e"),
    "a WebSocket": websocket("", WATCH, create(b"a")),
    "a WebSocket of keepalive": websocket("", KEEPALIVE, {"ID": 7}),
    "a lock that waits": lock(b"m", 8),
    "a campaign that waits": post("/v3/election/campaign", {"name": b"e", "lease": 8}),
}


@pytest.fixture
def member(tmp_path: Path) -> Iterator[Server]:
    server = servers.start(servers.raftgate_command(), tmp_path)
    yield server
    server.process.kill()


@pytest.fixture
def client(member: Server) -> Iterator[Client]:
    client = Client(member.client_port)
    yield client
    client.close()


def call(client: Client, step: Step) -> None:
    assert client.send(step.method, step.path, step.encode(ORIGIN), {}).status == 200


def opening(member: Server, step: Step) -> Stream:
    return open_stream(member.client_port, step, step.encode(ORIGIN))


def metrics(client: Client) -> dict[str, float]:
    text = client.send("GET", "/metrics", None, {}).body.decode()
    return {name: float(value) for name, value in re.findall(r"^(\w+) (\S+)$", text, re.MULTILINE)}


def wait_until(member: Server, happened: Callable[[], bool]) -> None:
    for _ in range(LOOKS):
        if happened():
            return
        member.process.wait_for_news(0.05)
    pytest.fail("it never happened")


def test_a_stop_ends_all_streams(member: Server, client: Client) -> None:
    for step in (grant(60, 7), grant(60, 8), lock(b"m", 7), put(b"e/7", b"v")):
        call(client, step)
    waiting = opening(member, opened("", WATCH, create(b"e/8"), create(b"m/8")))
    assert waiting.read(Reading(lines=2)).reply.status == 200
    streams = {name: opening(member, step) for name, step in STREAMS.items()}
    for name, stream in streams.items():
        if name not in ("a watch without a watch", "a lock that waits", "a campaign that waits"):
            assert isinstance(stream.read(LINE).lines[0], bytes), name
    assert len(waiting.read(Reading(events=2)).lines) == 2
    member.process.signal(signal.SIGTERM)
    assert member.process.wait(STOPPING) == -signal.SIGTERM
    assert "Traceback" not in "\n".join(member.process.lines)
    for name, stream in streams.items():
        assert stream.read(Reading()).lines[-1] in (END, CUT), name


def test_a_closed_connection_frees_its_watchers(member: Server, client: Client) -> None:
    streams = [opening(member, opened("", WATCH, create(b"a"), create(b"b"), create(b"c"))) for _ in range(3)]
    streams.append(opening(member, websocket("", WATCH, create(b"a"), create(b"b"))))
    for stream, count in zip(streams, (3, 3, 3, 2), strict=True):
        assert len(stream.read(Reading(lines=count)).lines) == count
    before = metrics(client)
    assert before["etcd_debugging_mvcc_watcher_total"] == 11
    assert before["etcd_debugging_mvcc_watch_stream_total"] == 4
    assert before["etcd_debugging_mvcc_slow_watcher_total"] == 0
    assert before["etcd_debugging_mvcc_pending_events_total"] == 0
    call(client, put(b"a"))
    for stream in streams:
        stream.read(LINE)
    assert metrics(client)["etcd_debugging_mvcc_events_total"] == before["etcd_debugging_mvcc_events_total"] + 4
    streams[-1].connection.send(json.dumps(cancel(0)).encode())
    streams[-1].read(LINE)
    assert metrics(client)["etcd_debugging_mvcc_watcher_total"] == 10
    for stream in streams:
        stream.connection.close()
    wait_until(member, lambda: metrics(client)["etcd_debugging_mvcc_watcher_total"] == 0)
    wait_until(member, lambda: metrics(client)["etcd_debugging_mvcc_watch_stream_total"] == 0)


def test_a_stream_over_http_1_0(member: Server, client: Client) -> None:
    body = json.dumps({"create_request": {"key": KEY}}).encode()
    with socket.create_connection(("127.0.0.1", member.client_port), timeout=10) as connection:
        connection.sendall(b"POST /v3/watch HTTP/1.0\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        answer = connection.makefile("rb")
        head = b"".join(iter(answer.readline, b"\r\n")).lower()
        assert b"transfer-encoding" not in head
        assert json.loads(answer.readline())["result"]["created"]
        call(client, put(b"a"))
        assert json.loads(answer.readline())["result"]["events"]


def test_a_waiting_call_over_http_1_0(member: Server, client: Client) -> None:
    call(client, grant(60, 7))
    body = json.dumps({"name": KEY, "lease": 7}).encode()
    with socket.create_connection(("127.0.0.1", member.client_port), timeout=10) as connection:
        connection.sendall(b"POST %b HTTP/1.0\r\nContent-Length: %d\r\n\r\n%b" % (LOCK.encode(), len(body), body))
        answer = connection.makefile("rb").read()
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["key"] == base64.b64encode(b"a/7").decode()
