"""The time of leases on a process that is stopped for a while, or ends and starts again.

A lease that is kept alive lives; one that is not ends, after the time that the member itself has been there.
"""

import base64
import http.client
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import servers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

TTL = 6
CHECKPOINT = TTL / 3
ELECTION_TIMEOUT = 1.0
LATEST = TTL + max(1.0, CHECKPOINT) + ELECTION_TIMEOUT
SCANNING = 1.0  # a lease is noticed to be over at the next look
STOPPED = 3.0
KEPT = range(1, 21)
LEFT = range(101, 121)


def encoded(data: str) -> str:
    return base64.b64encode(data.encode()).decode()


@dataclass
class Member:
    """A member, those who keep half of its leases alive, and when the keys of leases were seen to go."""

    directory: Path
    ports: list[int] = field(default_factory=lambda: servers.free_ports(2))
    gone: dict[str, float] = field(default_factory=dict)
    """Key -> when its deletion was seen."""
    absent: float = 0.0
    """Seconds in which the member was not there."""
    over: threading.Event = field(default_factory=threading.Event)
    all_left_gone: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.server = self.start()
        self.threads = [threading.Thread(target=self.keep, args=(lease,)) for lease in KEPT]
        self.threads.append(threading.Thread(target=self.follow))

    def start(self) -> servers.Server:
        return servers.start(servers.raftgate_command(), self.directory, ports=self.ports)

    def post(self, path: str, message: dict[str, Any]) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[0], timeout=20)
        try:
            connection.request("POST", path, json.dumps(message))
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
            return answer
        finally:
            connection.close()

    def grant_all(self) -> float:
        """Grants each lease with a key of its own; answers when the first was granted."""
        granted = time.monotonic()
        for lease in (*KEPT, *LEFT):
            assert self.post("/v3/lease/grant", {"ID": str(lease), "TTL": str(TTL)})["TTL"] == str(TTL)
            self.post("/v3/kv/put", {"key": encoded(f"lease/{lease}"), "lease": str(lease)})
        for thread in self.threads:
            thread.start()
        return granted

    def keep(self, lease: int) -> None:
        """Keeps a lease alive as a client would: three times in its TTL, and at once again when nobody answers."""
        while not self.over.wait(TTL / 3 / 2):
            try:
                self.post("/v3/lease/keepalive", {"ID": str(lease)})
            except (OSError, http.client.HTTPException, ValueError):
                continue

    def follow(self) -> None:
        """Notes deletions, from the last revision on after each break."""
        revision = 1
        while not self.over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.ports[0], timeout=20)
            try:
                create = {"key": encoded("lease/"), "range_end": encoded("lease0"), "start_revision": str(revision)}
                connection.request("POST", "/v3/watch", json.dumps({"create_request": create}))
                response = connection.getresponse()
                while line := response.readline():
                    for event in json.loads(line)["result"].get("events", []):
                        revision = int(event["kv"]["mod_revision"]) + 1
                        self.see(event)
            except (OSError, http.client.HTTPException, ValueError):
                self.over.wait(0.05)
            finally:
                connection.close()

    def see(self, event: dict[str, Any]) -> None:
        key = base64.b64decode(event["kv"]["key"]).decode()
        if event.get("type") == "DELETE":
            self.gone[key] = time.monotonic()
            if self.gone.keys() >= {f"lease/{lease}" for lease in LEFT}:
                self.all_left_gone.set()
        elif key == "end":
            self.over.set()

    def end(self) -> None:
        self.over.set()
        self.server.process.kill()
        for thread in self.threads:
            if thread.is_alive():
                thread.join()


def stop_and_continue(member: Member) -> None:
    process = member.server.process
    process.signal(signal.SIGSTOP)
    process.wait_for_news(STOPPED)  # it says nothing: this is how long it is stopped
    process.signal(signal.SIGCONT)


def kill_and_start(member: Member) -> None:
    member.server.process.signal(signal.SIGKILL)
    member.server.process.wait()
    member.server = member.start()


def end_and_start(member: Member) -> None:
    member.server.process.signal(signal.SIGTERM)
    member.server.process.wait()
    member.server = member.start()


@pytest.fixture
def member(tmp_path: Path) -> Iterator[Member]:
    member = Member(tmp_path)
    yield member
    member.end()


@pytest.mark.parametrize("disturb", [stop_and_continue, kill_and_start, end_and_start], ids=lambda each: each.__name__)
def test_leases_live_as_long_as_they_should(member: Member, disturb: Callable[[Member], None]) -> None:
    granted = member.grant_all()
    assert not member.all_left_gone.wait(CHECKPOINT * 1.5)
    before = time.monotonic()
    disturb(member)
    absent = time.monotonic() - before
    assert member.all_left_gone.wait(LATEST * 2 + absent), member.gone
    for lease in LEFT:
        lived = member.gone[f"lease/{lease}"] - granted
        assert lived >= TTL - 0.5, lease  # granting them all took a moment
        assert lived - absent <= LATEST + SCANNING, lease
    assert not member.gone.keys() & {f"lease/{lease}" for lease in KEPT}
    for lease in KEPT:
        assert int(member.post("/v3/lease/timetolive", {"ID": str(lease)})["TTL"]) > 0
