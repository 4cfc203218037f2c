"""The space quota of a running member: refused, alarmed, and back to service without an operator."""

import statistics
import time
from pathlib import Path

import pytest

from tests.e2e.servers import Server, raftgate_command, start
from tests.e2e.test_crash import call, encoded

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
        idle = p99(server)
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
        assert idle > 0
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


def p99(server: Server, count: int = 300) -> float:
    """Seconds that 99 of 100 small puts stay below."""
    waits = []
    for _ in range(count):
        began = time.monotonic()
        assert call(server.client_port, "/v3/kv/put", {"key": "cHJvYmU=", "value": "eA=="})[0] == 200
        waits.append(time.monotonic() - began)
    return statistics.quantiles(waits, n=100)[98]


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
