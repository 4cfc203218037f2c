"""kill -9 and failing disks under concurrent writers: what was acknowledged is there after the restart."""

import base64
import http.client
import itertools
import json
import resource
import shutil
import signal
import sqlite3
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.servers import Server, raftgate_command, start

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WRITERS = 8
MIB = 1 << 20


def encoded(data: str) -> str:
    return base64.b64encode(data.encode()).decode()


def call(port: int, path: str, message: dict[str, Any], timeout: float = 20) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("POST", path, json.dumps(message))
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@dataclass
class Writer:
    """Puts and two-key transactions on keys of its own, until the server goes away."""

    name: str
    size: int = 100
    acknowledged: dict[str, int] = field(default_factory=dict)
    """Key -> revision in which it was acknowledged; of a transaction both keys."""
    tried: set[str] = field(default_factory=set)

    def run(self, port: int, count: int | None = None) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        value = encoded("v" * self.size)
        try:
            for number in itertools.count() if count is None else range(count):
                keys = [f"{self.name}-{number}-a", f"{self.name}-{number}-b"][: 1 + number % 2]
                puts = [{"request_put": {"key": encoded(key), "value": value}} for key in keys]
                self.tried.update(keys)
                connection.request("POST", "/v3/kv/txn", json.dumps({"success": puts}))
                response = connection.getresponse()
                body = json.loads(response.read())
                if response.status != 200:
                    return
                self.acknowledged.update(dict.fromkeys(keys, int(body["header"]["revision"])))
        except (OSError, http.client.HTTPException, ValueError):
            return  # the server went away: what was under way is unknown
        finally:
            connection.close()


@dataclass
class Churn:
    """Writes and deletes keys of its own and compacts behind them: rows and pages are given back all the time."""

    compacted: int = 0

    def run(self, port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        value = encoded("v" * 4000)
        try:
            for number in itertools.count():
                for key in ("churn-a", "churn-b"):
                    self._post(connection, "/v3/kv/put", {"key": encoded(key), "value": value})
                body = self._post(connection, "/v3/kv/deleterange", {"key": encoded("churn-a")})
                if number % 20 == 0:
                    revision = int(body["header"]["revision"])
                    compaction = {"revision": str(revision), "physical": number % 40 == 0}
                    self._post(connection, "/v3/kv/compaction", compaction)
                    self.compacted = revision
        except (OSError, http.client.HTTPException, ValueError):
            return
        finally:
            connection.close()

    @staticmethod
    def _post(connection: http.client.HTTPConnection, path: str, message: dict[str, Any]) -> dict[str, Any]:
        connection.request("POST", path, json.dumps(message))
        response = connection.getresponse()
        body: dict[str, Any] = json.loads(response.read())
        if response.status != 200:
            raise ValueError(body)
        return body


def stored(port: int) -> tuple[int, dict[str, int]]:
    """The store's revision, and the create_revision of every key."""
    status, body = call(port, "/v3/kv/range", {"key": "AA==", "range_end": "AA==", "keys_only": True})
    assert status == 200
    kvs = body.get("kvs", [])
    found = {base64.b64decode(kv["key"]).decode(): int(kv["create_revision"]) for kv in kvs}
    return int(body["header"]["revision"]), found


def check(server: Server, writers: list[Writer], least_revision: int) -> int:
    """Everything acknowledged is there in its revision, the rest wholly or not at all; answers the revision."""
    revision, found = stored(server.client_port)
    assert revision >= least_revision
    for writer in writers:
        for key, acknowledged in writer.acknowledged.items():
            assert found.get(key) == acknowledged, key
    for writer in writers:
        for key in writer.tried:
            if key.endswith("-b"):
                assert found.get(key) == (found.get(key[:-1] + "a") if key in found else None), key
                assert (key in found) == (key[:-1] + "a" in found), key
    return revision


def check_history(server: Server, churn: Churn) -> None:
    """What was compacted stays so, and the revision at which it was compacted can still be read."""
    if not churn.compacted:
        return
    key = {"key": encoded("churn-b")}
    status, body = call(server.client_port, "/v3/kv/range", key | {"revision": str(churn.compacted - 1)})
    assert (status, body.get("code")) == (400, 11)
    status, body = call(server.client_port, "/v3/kv/range", key | {"revision": str(churn.compacted)})
    assert status == 200 or "compacted" in body["message"]  # a compaction that was under way may have gone through


def integrity(data_dir: Path, scratch: Path) -> str:
    """What SQLite says of a copy of the files as they lie there."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for path in (data_dir / "member").glob("kv-*"):
        shutil.copy(path, scratch)
    (database,) = scratch.glob("*.db")
    connection = sqlite3.connect(database)
    try:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    finally:
        connection.close()


def write_until_gone(server: Server, writers: list[Writer], churn: Churn, enough: int) -> None:
    """Writes from many threads and kills the server once `enough` writes are acknowledged."""
    threads = [threading.Thread(target=writer.run, args=(server.client_port,)) for writer in writers]
    threads.append(threading.Thread(target=churn.run, args=(server.client_port,)))
    for thread in threads:
        thread.start()
    while server.process.is_alive() and sum(len(writer.acknowledged) for writer in writers) < enough:
        threads[0].join(0.01)
    server.process.signal(signal.SIGKILL)
    for thread in threads:
        thread.join()
    server.process.wait()


def kill_loop(tmp_path: Path, rounds: int) -> None:
    revision = 1
    all_writers: list[Writer] = []
    churn = Churn()
    for number in range(rounds):
        # a small count makes checkpoints and cuts part of what is interrupted
        server = start(raftgate_command(), tmp_path, "--snapshot-count=500", "--snapshot-catchup-entries=100")
        revision = check(server, all_writers, revision)
        check_history(server, churn)
        writers = [Writer(f"{number}-{index}") for index in range(WRITERS)]
        write_until_gone(server, writers, churn, enough=300 + 977 * number % 1500)
        assert all(writer.acknowledged for writer in writers)
        all_writers += writers
        assert integrity(tmp_path / "data", tmp_path / "scratch") == "ok"
    server = start(raftgate_command(), tmp_path)
    check(server, all_writers, revision)
    check_history(server, churn)
    assert churn.compacted
    server.process.kill()


def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path) -> None:
    kill_loop(tmp_path, rounds=3)  # soak: 20


@pytest.mark.soak
def test_nothing_acknowledged_is_lost_by_kill_9_in_many_rounds(tmp_path: Path) -> None:
    kill_loop(tmp_path, rounds=20)


@pytest.mark.parametrize(
    ("limit", "failed"),
    [
        pytest.param(3 * MIB, "node", id="the log"),  # below a segment's full size: its next allocation fails
        pytest.param(20 * MIB, "flush", id="the database"),  # above every segment, below what SQLite's -wal comes to
    ],
)
def test_a_disk_that_fails_stops_the_member_and_loses_nothing(tmp_path: Path, limit: int, failed: str) -> None:
    server = start(raftgate_command(), tmp_path)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    writers = [Writer(f"w{index}", size=100_000) for index in range(4)]
    threads = [threading.Thread(target=writer.run, args=(server.client_port, 400)) for writer in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.process.wait() == 1
    assert "the member stops" in server.process.tail()
    assert failed in server.process.tail()
    assert sum(len(writer.acknowledged) for writer in writers) > 10
    again = start(raftgate_command(), tmp_path)
    check(again, writers, 1)
    again.process.kill()


def test_after_an_orderly_stop_nothing_is_replayed(tmp_path: Path) -> None:
    server = start(raftgate_command(), tmp_path)
    writer = Writer("w")
    writer.run(server.client_port, 50)
    server.process.signal(signal.SIGTERM)
    server.process.wait()
    (database,) = (tmp_path / "data" / "member").glob("kv-*.db")
    assert not database.with_name(database.name + "-wal").exists()
    connection = sqlite3.connect(database)
    revision = connection.execute("SELECT value FROM meta WHERE name = 'revision'").fetchone()[0]
    connection.close()
    assert revision == 51
