"""The space quota of a running member: refused, alarmed, and back to service without an operator."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.servers import Server, raftgate_command, start
from tests.e2e.test_crash import call, encoded
from tests.e2e.test_large import Client

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MIB = 1 << 20
QUOTA = 24 * MIB
VALUE = encoded("v" * 64 * 1024)
DEADLINE = 60.0


def put(server: Server, number: int, value: str = VALUE) -> tuple[int, dict[str, object]]:
    return call(server.client_port, "/v3/kv/put", {"key": encoded(f"fill-{number % 50}"), "value": value})


def file_size(server: Server) -> int:
    return sum(path.stat().st_size for path in (server.data_dir / "member").glob("kv-*.db"))


def database_size(server: Server) -> int:
    """What the quota counts: the pages of the file, those that are still in the -wal included."""
    return int(call(server.client_port, "/v3/maintenance/status", {})[1]["dbSize"])


def wait_until_written(server: Server) -> None:
    """What was refused counted rows on their way into the file as well: they arrive with the next flush."""
    deadline = time.monotonic() + DEADLINE
    while database_size(server) <= QUOTA * 0.8:
        assert time.monotonic() < deadline, database_size(server)
        server.process.wait_for_news(0.05)


def wait_until_given_back(server: Server) -> None:
    """A compaction answers when the rows are gone; the pages follow. Disarmed before, the next put would alarm anew."""
    deadline = time.monotonic() + DEADLINE
    while database_size(server) >= QUOTA * 0.9:
        assert time.monotonic() < deadline, database_size(server)
        server.process.wait_for_news(0.05)


def until_refused(server: Server) -> int:
    """Puts until the quota refuses; answers the revision."""
    for number in range(5000):
        status, body = put(server, number)
        if status == 429:
            assert body["message"] == "etcdserver: mvcc: database space exceeded"
            return int(call(server.client_port, "/v3/kv/range", {"key": "YQ=="})[1]["header"]["revision"])
        assert status == 200, body
    raise AssertionError("the quota never refused")


def test_after_delete_and_compaction_writes_go_on_by_themselves(tmp_path: Path) -> None:
    server = start(raftgate_command(), tmp_path, f"--quota-backend-bytes={QUOTA}")
    try:
        revision = until_refused(server)
        wait_until_written(server)
        alarms = wait_for_alarms(server, 1)
        assert alarms[0]["alarm"] == "NOSPACE"
        assert put(server, 0, "YQ==")[0] == 429  # under the alarm even what would fit
        deleted = {"key": encoded("fill"), "range_end": encoded("film")}
        assert call(server.client_port, "/v3/kv/deleterange", deleted)[0] == 200
        assert call(server.client_port, "/v3/kv/compaction", {"revision": str(revision + 1)})[0] == 200
        wait_for_alarms(server, 0)
        assert put(server, 0, "YQ==")[0] == 200
        assert database_size(server) < QUOTA * 0.9
        assert file_size(server) < QUOTA * 0.9
    finally:
        server.process.kill()


def wait_for_alarms(server: Server, count: int) -> list[dict[str, str]]:
    """The alarms, once there are so many."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        status, body = call(server.client_port, "/v3/maintenance/alarm", {})
        assert status == 200
        alarms: list[dict[str, str]] = body.get("alarms", [])
        if len(alarms) == count:
            return alarms
        server.process.wait_for_news(0.05)
    raise AssertionError(f"never {count} alarms; the log ends with {server.process.tail()}")


def small_puts(server: Server, goes_on: Callable[[int], bool]) -> list[float]:
    """Seconds that each of many small puts took, one after the other on one connection; all succeed."""
    client = Client(server.client_port)
    waits: list[float] = []
    while goes_on(len(waits)):
        began = time.monotonic()
        client.post("/v3/kv/put", {"key": "cHJvYmU=", "value": "eA=="})
        waits.append(time.monotonic() - began)
    return waits


def puts_during_vacuum(server: Server, quota: int) -> list[float]:
    """Fills the store, deletes and compacts, and puts while the pages are given back."""
    revision = until_refused(server)
    deleted = {"key": encoded("fill"), "range_end": encoded("film")}
    assert call(server.client_port, "/v3/kv/deleterange", deleted)[0] == 200
    compaction = {"revision": str(revision + 1), "physical": True}
    assert call(server.client_port, "/v3/kv/compaction", compaction)[0] == 200
    wait_for_alarms(server, 0)
    full = database_size(server)
    assert full > quota * 0.5  # most of it is still to be given back
    waits = small_puts(server, lambda count: count % 50 != 49 or database_size(server) > quota * 0.1)
    assert database_size(server) <= quota * 0.1
    return waits


def test_puts_succeed_during_the_vacuum(tmp_path: Path) -> None:
    server = start(raftgate_command(), tmp_path, f"--quota-backend-bytes={QUOTA}")
    try:
        assert max(puts_during_vacuum(server, QUOTA)) < 1  # the soak looks closer; here others may use the processor
    finally:
        server.process.kill()


@pytest.mark.soak
def test_puts_hardly_notice_the_vacuum(tmp_path: Path) -> None:
    quota = 256 * MIB
    server = start(raftgate_command(), tmp_path, f"--quota-backend-bytes={quota}")
    try:
        small_puts(server, lambda count: count < 500)  # what comes first is slower
        idle: list[float] = []
        vacuum: list[float] = []
        for _ in range(3):  # side by side, since disks and neighbours have moods
            idle += small_puts(server, lambda count: count < 2000)
            vacuum += puts_during_vacuum(server, quota)
            server.process.wait_for_news(1)
            idle += small_puts(server, lambda count: count < 2000)
    finally:
        server.process.kill()
    figures = {name: statistics.quantiles(waits, n=100)[98] for name, waits in (("idle", idle), ("vacuum", vacuum))}
    print(f"{len(idle)} and {len(vacuum)} puts, p99 in seconds: {figures}")  # noqa: T201 - what a soak has measured
    assert len(vacuum) > 1000
    assert figures["vacuum"] < 3 * figures["idle"], figures


def test_without_auto_disarm_the_operator_clears_the_alarm(tmp_path: Path) -> None:
    flags = (f"--quota-backend-bytes={QUOTA}", "--raftgate-auto-disarm=false")
    server = start(raftgate_command(), tmp_path, *flags)
    try:
        revision = until_refused(server)
        (alarm,) = wait_for_alarms(server, 1)
        deleted = {"key": encoded("fill"), "range_end": encoded("film")}
        assert call(server.client_port, "/v3/kv/deleterange", deleted)[0] == 200
        compaction = {"revision": str(revision + 1), "physical": True}
        assert call(server.client_port, "/v3/kv/compaction", compaction)[0] == 200
        assert put(server, 0, "YQ==")[0] == 429
        wait_until_given_back(server)
        disarm = {"action": "DEACTIVATE", "memberID": alarm["memberID"], "alarm": "NOSPACE"}
        assert call(server.client_port, "/v3/maintenance/alarm", disarm)[0] == 200
        assert put(server, 0, "YQ==")[0] == 200
    finally:
        server.process.kill()
