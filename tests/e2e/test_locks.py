"""A lock among many clients, and one whose holder is lost: lease-lock-election.md section 4 on a real member."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import servers
from tests.e2e.case import Origin, Reading
from tests.e2e.client import Client
from tests.e2e.rpc import DELETE_RANGE, TXN
from tests.e2e.servers import Server
from tests.e2e.stream_rpc import GRANT, KEEPALIVE, LOCK, UNLOCK, lock, opened_half
from tests.e2e.streams import open_stream

pytestmark = pytest.mark.slow

CLIENTS = 20
TURNS = 3
HELD = 0.01
TTL = 2
LATEST = TTL + 1.0
NAME = base64.b64encode(b"m").decode()
GUARDED = base64.b64encode(b"guarded").decode()

Message = dict[str, Any]


@pytest.fixture
def member(tmp_path: Path) -> Iterator[Server]:
    server = servers.start(servers.raftgate_command(), tmp_path)
    yield server
    server.process.kill()


def call(client: Client, path: str, message: Message) -> Message:
    reply = client.send("POST", path, json.dumps(message).encode(), {})
    assert reply.status == 200, reply.body
    answer: Message = json.loads(reply.body)
    return answer


def take_turns(member: Server, lease: int, fences: list[int]) -> None:
    """Hold the lock again and again: inside, nobody else is, by the store's own word."""
    client = Client(member.client_port)
    for _ in range(TURNS):
        held = call(client, LOCK, {"name": NAME, "lease": lease})
        mine = {"key": held["key"], "target": "CREATE", "result": "GREATER", "create_revision": 0}
        free = {"key": GUARDED, "target": "CREATE", "result": "EQUAL", "create_revision": 0}
        enter = {"request_put": {"key": GUARDED, "value": held["key"]}}
        assert call(client, TXN, {"compare": [mine, free], "success": [enter]}).get("succeeded"), "two holders"
        fences.append(int(held["raftgate_fencing_revision"]))
        threading.Event().wait(HELD)
        call(client, DELETE_RANGE, {"key": GUARDED})
        call(client, UNLOCK, {"key": held["key"]})
    client.close()


def test_twenty_clients_never_hold_a_lock_together(member: Server) -> None:
    client = Client(member.client_port)
    leases = range(1, CLIENTS + 1)
    for lease in leases:
        call(client, GRANT, {"ID": lease, "TTL": 60})
    fences: list[int] = []
    clients = [threading.Thread(target=take_turns, args=(member, lease, fences)) for lease in leases]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    assert len(fences) == CLIENTS * TURNS
    assert fences == sorted(fences), "first come, first served"


def test_the_lock_of_a_lost_holder_moves(member: Server) -> None:
    client = Client(member.client_port)
    call(client, GRANT, {"ID": 7, "TTL": TTL})
    call(client, GRANT, {"ID": 8, "TTL": 60})
    call(client, LOCK, {"name": NAME, "lease": 7})
    origin = Origin("", "", "", 0)
    waiting = lock(b"m", 8).opening("")
    second = open_stream(member.client_port, waiting, waiting.encode(origin))
    kept = opened_half("", KEEPALIVE, {"ID": 7})
    holder = open_stream(member.client_port, kept, kept.encode(origin))
    assert b'"TTL":"2"' in holder.read(Reading(lines=1)).lines[0]
    assert second.read(Reading(lines=1, within=TTL / 2)).lines == ["<nothing>"]
    before = time.monotonic()
    holder.connection.send(b'{"ID":7}')
    holder.read(Reading(lines=1))
    after = time.monotonic()
    holder.connection.close()
    assert b'"key"' in second.read(Reading(lines=1)).lines[0]
    now = time.monotonic()
    assert now - before >= TTL
    assert now - after <= LATEST
