"""Operations over very many keys, while others go on: nobody waits for them longer than a moment."""

import base64
import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.servers import Server, raftgate_command, start

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

LONGEST_WAIT = 0.1
"""Seconds that any other call may take meanwhile."""
ALL = {"key": "AA==", "range_end": "AA=="}
BATCH = 128


def encoded(data: str) -> str:
    return base64.b64encode(data.encode()).decode()


class Client:
    """One kept-alive connection."""

    def __init__(self, port: int, timeout: float = 300) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def post(self, path: str, message: dict[str, Any]) -> dict[str, Any]:
        self._connection.request("POST", path, json.dumps(message))
        response = self._connection.getresponse()
        body = response.read()
        assert response.status == 200, (path, body[:300])
        answer: dict[str, Any] = json.loads(body)
        return answer

    def get(self, path: str) -> int:
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        response.read()
        return response.status


def fill(server: Server, count: int, prefix: str = "bulk") -> None:
    """Puts `count` keys in transactions."""

    def put(first: int) -> None:
        keys = [f"{prefix}-{number:08d}" for number in range(first, min(first + BATCH, count))]
        puts = [{"request_put": {"key": encoded(key), "value": "dmFsdWU="}} for key in keys]
        clients.client.post("/v3/kv/txn", {"success": puts})

    class Clients(threading.local):
        def __init__(self) -> None:
            self.client = Client(server.client_port)

    clients = Clients()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, range(0, count, BATCH)))


class Probe:
    """Puts and asks for liveness all the time, and notes the longest wait."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stop = threading.Event()
        self.has_begun = threading.Event()
        self.waits: list[tuple[float, str]] = []
        self.failures: list[str] = []

    def run(self) -> None:
        client = Client(self._server.client_port)
        number = 0
        while not self._stop.is_set():
            number += 1
            self._timed("put", lambda: client.post("/v3/kv/put", {"key": encoded("probe"), "value": "eA=="}))
            self._timed("livez", lambda: client.get("/livez"))
            self._timed("range", lambda: client.post("/v3/kv/range", {"key": encoded("probe")}))
            self.has_begun.set()

    def _timed(self, name: str, call: Callable[[], object]) -> None:
        began = time.monotonic()
        try:
            answer = call()
        except (AssertionError, OSError) as error:
            self.failures.append(f"{name}: {error}")
            self._stop.set()
            return
        if isinstance(answer, int) and answer != 200:
            self.failures.append(f"{name}: {answer}")
        self.waits.append((time.monotonic() - began, name))

    def end(self) -> None:
        self._stop.set()


@contextmanager
def probing(server: Server) -> Iterator[Probe]:
    probe = Probe(server)
    thread = threading.Thread(target=probe.run)
    thread.start()
    try:
        assert probe.has_begun.wait(30)
        yield probe
    finally:
        probe.end()
        thread.join()


# A hundred megabytes of JSON, read in this process, would hold up the probe itself.
POST = """
import http.client, json, sys
port, path, message = sys.argv[1:]
connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=300)
connection.request("POST", path, message)
response = connection.getresponse()
body = response.read()
assert response.status == 200, body[:300]
answer = json.loads(body)
json.dump({name: value for name, value in answer.items() if name != "kvs"}, sys.stdout)
"""


def post_elsewhere(server: Server, path: str, message: dict[str, Any]) -> dict[str, Any]:
    """An answer without its keys, got by a process of its own."""
    command = [sys.executable, "-c", POST, str(server.client_port), path, json.dumps(message)]
    answer: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return answer


def large_operations(tmp_path: Path, count: int) -> dict[str, tuple[float, str]]:
    """Ranges over, deletes and compacts `count` keys; answers the longest wait of others during each."""
    server = start(raftgate_command(), tmp_path)
    client = Client(server.client_port)
    longest = {}
    try:
        fill(server, count)
        revision = int(client.post("/v3/kv/range", ALL | {"count_only": True})["header"]["revision"])
        operations: list[tuple[str, str, dict[str, Any]]] = [
            ("range", "/v3/kv/range", ALL | {"keys_only": True}),
            ("sorted range", "/v3/kv/range", ALL | {"sort_target": "VALUE", "sort_order": "DESCEND", "limit": 10}),
            ("deleterange", "/v3/kv/deleterange", {"key": encoded("bulk"), "range_end": encoded("bulm")}),
            ("past range", "/v3/kv/range", ALL | {"revision": str(revision), "keys_only": True}),
            ("compaction", "/v3/kv/compaction", {"revision": str(revision + 1), "physical": True}),
        ]
        for name, path, message in operations:
            with probing(server) as probe:
                answer = post_elsewhere(server, path, message)
            assert not probe.failures
            longest[name] = max(probe.waits)
            if name == "deleterange":
                assert int(answer["deleted"]) == count
            if name in ("range", "past range"):
                assert int(answer["count"]) >= count
    finally:
        server.process.kill()
    return longest


def test_nobody_waits_for_an_operation_on_many_keys(tmp_path: Path) -> None:
    longest = large_operations(tmp_path, 50_000)  # soak: 1,000,000
    assert all(wait < LONGEST_WAIT for wait, _ in longest.values()), longest


@pytest.mark.soak
def test_nobody_waits_for_an_operation_on_a_million_keys(tmp_path: Path) -> None:
    longest = large_operations(tmp_path, 1_000_000)
    assert all(wait < LONGEST_WAIT for wait, _ in longest.values()), longest
