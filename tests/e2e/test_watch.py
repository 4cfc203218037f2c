"""Watches while many write, and while nobody reads: the hard cases of watch.md section 8 on a real member."""

import base64
import json
import random
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import servers
from tests.e2e.case import Step
from tests.e2e.client import Client
from tests.e2e.rpc import COMPACTION, DELETE_RANGE, PUT, RANGE, REVOKE, TXN
from tests.e2e.servers import Server
from tests.e2e.stream_rpc import GRANT, WATCH
from tests.e2e.streams import HttpConnection

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

WRITERS = 4
WRITES = 2_500
KEYS = 200
MOST_REVISIONS = 1_000  # of one message, etcd mvcc/watcher_group.go
LARGE = 300_000
MANY_LARGE = 200  # far more than a stream's queue and the buffers of a connection hold

ROUNDS = 10
HISTORY = 200

Message = dict[str, Any]


@pytest.fixture
def member(tmp_path: Path) -> Iterator[Server]:
    server = servers.start(servers.raftgate_command(), tmp_path)
    yield server
    server.process.kill()


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Caller:
    """Sends one call after another."""

    def __init__(self, server: Server) -> None:
        self._client = Client(server.client_port)

    def call(self, path: str, message: Message) -> Message:
        reply = self._client.send("POST", path, json.dumps(message).encode(), {})
        assert reply.status == 200, reply.body
        answer: Message = json.loads(reply.body)
        return answer

    def put(self, key: bytes, value: bytes, **fields: object) -> int:
        return self._revision(self.call(PUT, {"key": encoded(key), "value": encoded(value), **fields}))

    def compact(self, revision: int) -> None:
        self.call(COMPACTION, {"revision": revision})

    def state(self) -> dict[str, tuple[str, int]]:
        answer = self.call(RANGE, {"key": "AA==", "range_end": "AA=="})
        return {kv["key"]: (kv.get("value", ""), int(kv["mod_revision"])) for kv in answer.get("kvs", [])}

    @staticmethod
    def _revision(answer: Message) -> int:
        return int(answer["header"]["revision"])


@dataclass
class Told:
    """What one watch of the whole store was told, and whether it was told right."""

    start: int
    events: list[Message] = field(default_factory=list)
    revisions: list[int] = field(default_factory=list)
    compacted: int = 0

    def take(self, result: Message) -> None:
        """Look at one message: its revisions go on where the former ended, and are whole."""
        events = result.get("events", [])
        each = [int(event["kv"]["mod_revision"]) for event in events]
        revisions = sorted(set(each))
        following = self.revisions[-1] + 1 if self.revisions else self.start
        assert each == sorted(each)
        assert revisions == list(range(following, following + len(revisions))), "a gap, or a duplicate"
        assert len(revisions) <= MOST_REVISIONS
        self.events += events
        self.revisions += revisions
        if result.get("canceled"):
            self.compacted = int(result["compact_revision"])

    def state(self) -> dict[str, tuple[str, int]]:
        """Give the store that the events make."""
        state: dict[str, tuple[str, int]] = {}
        for event in self.events:
            kv = event["kv"]
            if event.get("type") == "DELETE":
                del state[kv["key"]]
            else:
                state[kv["key"]] = (kv.get("value", ""), int(kv["mod_revision"]))
        return state


def watch_all(server: Server, **fields: object) -> Iterator[Message]:
    """Watch the whole store, and read a message only when one is asked for; the created one has been read."""
    body = json.dumps({"create_request": {"key": "AA==", "range_end": "AA==", **fields}}).encode()
    connection = HttpConnection(server.client_port, Step("POST", WATCH), body)
    assert connection.begin().status == 200
    results = (json.loads(line)["result"] for line in connection)
    assert next(results)["created"]
    return results


def write(server: Server, seed: int) -> None:
    """Put, delete and change several keys at once: each call makes one revision."""
    chance = random.Random(seed)
    caller = Caller(server)
    for number in range(WRITES):
        key = b"%d/%d" % (seed, chance.randrange(KEYS))
        put = {"request_put": {"key": encoded(key), "value": encoded(b"%d" % number)}}
        other = {"request_put": {"key": encoded(b"shared/%d" % chance.randrange(KEYS))}}
        kind = chance.randrange(10)
        if kind < 2:
            caller.call(TXN, {"success": [put, other]})
        elif kind < 3:
            caller.put(key, b"")
            caller.call(DELETE_RANGE, {"key": encoded(key)})
        else:
            caller.put(key, b"%d" % number)


def read_until(results: Iterator[Message], told: Told, revision: int) -> None:
    for result in results:
        told.take(result)
        if told.compacted or (told.revisions and told.revisions[-1] >= revision):
            return
    pytest.fail("the stream ended")


def test_from_the_first_revision_while_many_write(member: Server) -> None:
    live, behind = Told(2), Told(2)
    first = watch_all(member, start_revision=1)
    writers = [threading.Thread(target=write, args=(member, seed)) for seed in range(WRITERS)]
    for writer in writers:
        writer.start()
    read_until(first, live, WRITES)
    second = watch_all(member, start_revision=1)
    for writer in writers:
        writer.join()
    caller = Caller(member)
    last = caller.put(b"end", b"")
    assert last > WRITERS * WRITES
    read_until(first, live, last)
    read_until(second, behind, last)
    for told in (live, behind):
        assert told.revisions == list(range(2, last + 1))
        assert told.state() == caller.state()
    assert live.events == behind.events


def test_a_txn_of_128_puts_is_one_message(member: Server) -> None:
    results = watch_all(member)
    keys = [b"k%03d" % number for number in reversed(range(128))]
    Caller(member).call(TXN, {"success": [{"request_put": {"key": encoded(key)}} for key in keys]})
    assert keys_of(next(results)["events"]) == [encoded(key) for key in keys]


def keys_of(events: Sequence[Message]) -> list[str]:
    return [event["kv"]["key"] for event in events]


def test_put_and_delete_of_a_key_in_one_txn(member: Server) -> None:
    results = watch_all(member)
    put = {"request_put": {"key": encoded(b"x"), "value": encoded(b"1")}}
    Caller(member).call(TXN, {"success": [put, {"request_delete_range": {"key": encoded(b"a"), "range_end": "AA=="}}]})
    (one, other) = next(results)["events"]
    assert one["kv"]["value"] == encoded(b"1")
    assert other == {"type": "DELETE", "kv": {"key": encoded(b"x"), "mod_revision": one["kv"]["mod_revision"]}}


def test_the_revoke_of_a_lease_with_many_keys_is_one_message(member: Server) -> None:
    caller = Caller(member)
    caller.call(GRANT, {"ID": 7, "TTL": 60})
    keys = [encoded(b"k%04d" % number) for number in range(1_000)]
    mixed = random.Random(1).sample(keys, len(keys))
    for part in range(0, len(keys), 100):
        puts = [{"request_put": {"key": key, "lease": 7}} for key in mixed[part : part + 100]]
        caller.call(TXN, {"success": puts})
    results = watch_all(member)
    caller.call(REVOKE, {"ID": 7})
    message = next(results)
    assert keys_of(message["events"]) == keys
    assert {event["kv"]["mod_revision"] for event in message["events"]} == {message["header"]["revision"]}
    assert {event["type"] for event in message["events"]} == {"DELETE"}


def fill(server: Server) -> tuple[Caller, int]:
    """Write more than a stream that nobody reads can hold."""
    caller = Caller(server)
    for number in range(MANY_LARGE):
        caller.put(b"k%d" % (number % 10), b"%d" % number * LARGE)
    return caller, caller.put(b"end", b"")


def test_a_slow_reader_misses_nothing(member: Server) -> None:
    results, told = watch_all(member), Told(2)
    caller, last = fill(member)
    read_until(results, told, last)
    assert told.revisions == list(range(2, last + 1))
    assert told.state() == caller.state()


def test_a_compaction_overtakes_a_slow_watch(member: Server) -> None:
    results, told = watch_all(member), Told(2)
    caller, last = fill(member)
    caller.compact(last)
    read_until(results, told, last)
    assert told.compacted == last
    assert told.revisions == list(range(2, told.revisions[-1] + 1))
    assert told.revisions[-1] < last


def test_compactions_race_with_a_watch(member: Server) -> None:
    """It gets every event up to the notice, or every event."""
    caller = Caller(member)
    for _ in range(ROUNDS):
        for number in range(HISTORY):
            caller.put(b"k%d" % (number % 10), b"%d" % number)
        current = caller.put(b"k", b"")
        start = current - HISTORY + 1
        results, told = watch_all(member, start_revision=start), Told(start)
        caller.compact(current)
        read_until(results, told, current)
        assert told.revisions == list(range(told.start, told.start + len(told.revisions)))
        assert told.compacted in {0, current}
