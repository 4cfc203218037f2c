"""Random writes and compactions, and watchers of all carriers that drop and resume at random points.

Each ends with exactly the events of its range and span, once and in order; what a compaction took from it, it was told.
"""

import base64
import http.client
import json
import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.e2e import servers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PREFIXES = 8
DEADLINE = 30.0

Event = tuple[int, str, str]
"""Revision, kind, key."""


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def decoded(text: str) -> str:
    return base64.b64decode(text).decode()


@dataclass
class Writer:
    """The one writer: it knows the whole history, since nobody else changes anything."""

    port: int
    random: random.Random
    keys: set[str] = field(default_factory=set)
    history: list[Event] = field(default_factory=list)
    compactions: int = 0
    half: threading.Event = field(default_factory=threading.Event)
    """Set when half of the writes are done: some watchers begin then, at what is compacted long since."""

    def __post_init__(self) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)

    def post(self, path: str, message: dict[str, Any]) -> dict[str, Any]:
        self._connection.request("POST", path, json.dumps(message))
        response = self._connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
        assert response.status == 200, answer
        return answer

    def run(self, count: int) -> None:
        for number in range(count):
            self.change()
            if number == count // 2:
                self.half.set()
            if self.random.random() < 0.05 and self.history:
                revision = max(self.history[-1][0] - self.random.choice((0, 0, 3, 40)), 1)
                if revision > self.compactions:
                    self.post("/v3/kv/compaction", {"revision": str(revision)})
                    self.compactions = revision
        for number in range(PREFIXES):
            self.put_all([f"p{number}/end"])

    def change(self) -> None:
        if self.random.random() < 0.2:
            self.delete(f"p{self.random.randrange(PREFIXES)}/")
        else:
            count = self.random.choice((1, 1, 1, 2, 5, 20))
            places = self.random.sample(range(PREFIXES * 12), count)
            self.put_all([f"p{place % PREFIXES}/{place}" for place in places])

    def put_all(self, keys: list[str]) -> None:
        puts = [{"request_put": {"key": encoded(key), "value": encoded("v" * 30)}} for key in keys]
        revision = int(self.post("/v3/kv/txn", {"success": puts})["header"]["revision"])
        self.history += [(revision, "PUT", key) for key in keys]
        self.keys.update(keys)

    def delete(self, prefix: str) -> None:
        request = {"key": encoded(prefix), "range_end": encoded(prefix[:-1] + "0")}
        revision = int(self.post("/v3/kv/deleterange", request)["header"]["revision"])
        doomed = sorted(key for key in self.keys if key.startswith(prefix))
        self.history += [(revision, "DELETE", key) for key in doomed]
        self.keys.difference_update(doomed)


@dataclass
class Follower(ABC):
    """One watcher: it reads a while, drops, and comes back where it was."""

    port: int
    random: random.Random
    first: int
    last: int
    """Prefixes watched: from `first` up to `last`, that one too."""
    begin: threading.Event
    seen: list[Event] = field(default_factory=list)
    gaps: list[tuple[int, int]] = field(default_factory=list)
    """Revisions `[from, to)` that it was told it cannot have."""
    next: int = 2
    resumed: int = 0

    @property
    def bounds(self) -> tuple[str, str]:
        return f"p{self.first}/", f"p{self.last}0"

    @property
    def is_done(self) -> bool:
        return {key for _, _, key in self.seen[-PREFIXES * 2 :]} >= {
            f"p{number}/end" for number in range(self.first, self.last + 1)
        }

    def run(self) -> None:
        assert self.begin.wait(DEADLINE * 4)
        while not self.is_done:
            self.follow(self.random.choice((1, 3, 10, 50, 1000)))
            self.resumed += 1

    @abstractmethod
    def follow(self, enough: int) -> None:
        """Reads until `enough` events have come, or it is done."""

    def take(self, message: dict[str, Any]) -> bool:
        """Notes one JSON message; false when the watch has ended."""
        for event in message.get("events", []):
            kv = event["kv"]
            self.seen.append((int(kv["mod_revision"]), event.get("type", "PUT"), decoded(kv["key"])))
            self.next = int(kv["mod_revision"]) + 1
        if message.get("canceled"):
            self.compacted(int(message["compact_revision"]))
            return False
        return True

    def compacted(self, revision: int) -> None:
        self.gaps.append((self.next, revision))
        self.next = revision

    def create(self) -> str:
        key, end = self.bounds
        request = {"key": encoded(key), "range_end": encoded(end), "start_revision": str(self.next)}
        return json.dumps({"create_request": request})

    def check(self, history: list[Event]) -> None:
        key, end = self.bounds
        expected = [event for event in history if key <= event[2] < end]
        expected = [event for event in expected if not any(low <= event[0] < high for low, high in self.gaps)]
        assert self.seen == expected


class JsonFollower(Follower):
    def follow(self, enough: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        with closing(connection):
            connection.request("POST", "/v3/watch", self.create())
            response = connection.getresponse()
            before = len(self.seen)
            while len(self.seen) - before < enough and not self.is_done:
                if not self.take(json.loads(response.readline())["result"]):
                    return


class SocketFollower(Follower):
    def follow(self, enough: int) -> None:
        with connect(f"ws://127.0.0.1:{self.port}/v3/watch", open_timeout=DEADLINE) as connection:
            connection.send(self.create())
            before = len(self.seen)
            while len(self.seen) - before < enough and not self.is_done:
                if not self.take(json.loads(connection.recv(DEADLINE))["result"]):
                    return


@dataclass
class EventsFollower(Follower):
    """By server-sent events: the last id is all that it keeps."""

    last_id: str = ""

    def follow(self, enough: int) -> None:
        key, end = self.bounds
        query = f"key={encoded(key)}&range_end={encoded(end)}&start_revision=2".replace("+", "%2B").replace("=", "%3D")
        query = (
            query.replace("key%3D", "key=", 1).replace("range_end%3D", "range_end=").replace("revision%3D", "revision=")
        )
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": self.last_id} if self.last_id else {})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        with closing(connection):
            connection.request("GET", f"/v3/watch?{query}", headers=headers)
            response = connection.getresponse()
            assert response.status == 200, response.read()
            before = len(self.seen)
            while len(self.seen) - before < enough and not self.is_done:
                if not self.take_block(self.read_block(response)):
                    return

    @staticmethod
    def read_block(response: http.client.HTTPResponse) -> dict[str, str]:
        block: dict[str, str] = {}
        while line := response.readline().decode().rstrip("\n"):
            name, _, value = line.partition(": ")
            block[name] = value
        return block

    def take_block(self, block: dict[str, str]) -> bool:
        if block.get("event") in ("put", "delete"):
            kv = json.loads(block["data"])["kv"]
            self.seen.append((int(kv["mod_revision"]), block["event"].upper(), decoded(kv["key"])))
            self.next = int(kv["mod_revision"]) + 1
        elif block.get("event") == "compacted":
            revision, _, part = self.last_id.partition(".")
            self.next = int(revision or 1) + (0 if part else 1)
            if part:  # the rest of that revision is among what it cannot have
                self.seen = [event for event in self.seen if event[0] < self.next]
            self.compacted(int(json.loads(block["data"])["compact_revision"]))
        self.last_id = block.get("id", self.last_id)
        return block.get("event") != "compacted"


CARRIERS = (JsonFollower, SocketFollower, EventsFollower)


def run_all(port: int, seed: int, writes: int) -> Iterator[Follower]:
    chance = random.Random(seed)
    writer = Writer(port, random.Random(chance.random()))
    followers: list[Follower] = []
    at_once = threading.Event()
    at_once.set()
    for number in range(12):
        first, last = sorted(chance.choices(range(PREFIXES), k=2))
        begin = writer.half if number >= 9 else at_once
        followers.append(CARRIERS[number % 3](port, random.Random(chance.random()), first, last, begin))
    threads = [threading.Thread(target=follower.run) for follower in followers]
    threads.append(threading.Thread(target=writer.run, args=(writes,)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert writer.compactions
    for follower in followers:
        follower.check(writer.history)
        yield follower


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    server = servers.start(servers.raftgate_command(), tmp_path)
    yield server.client_port
    server.process.kill()


def test_watchers_that_drop_and_resume(port: int) -> None:
    followers = list(run_all(port, seed=1, writes=600))
    assert sum(follower.resumed for follower in followers) > 50
    assert any(follower.gaps for follower in followers)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 22))
def test_watchers_that_drop_and_resume_for_long(port: int, seed: int) -> None:
    assert list(run_all(port, seed, writes=3000))
