"""One flipped byte in one member's database: it is found within one check interval, and nobody writes any more.

The same processes show the cluster's version, and that there is none to go back to.
"""

import contextlib
import http.client
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import servers
from tests.e2e.cluster import QUICK, Cluster, Member, NotAnswered, Program, encoded
from tests.e2e.rpc import ALARM, COMPACTION, DELETE_RANGE, MEMBERS, PUT, RANGE, STATUS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

INTERVAL = 2.0
GRACE = 1.0
"""Seconds for the check itself, on a machine that does much else."""
CHECKS = (f"--corrupt-check-time={INTERVAL:g}s",)
INITIAL = "--experimental-initial-corrupt-check"
CHECKED = "finished peer corruption check"
ROWS = 300
NEEDLE = b"the byte behind this flips:\x00"
WRITES: tuple[tuple[str, dict[str, Any]], ...] = (
    (PUT, {"key": encoded(b"k")}),
    (DELETE_RANGE, {"key": encoded(b"k")}),
    (COMPACTION, {"revision": "2"}),
    ("/v3/lease/grant", {"TTL": "60"}),
    ("/v3/kv/txn", {"success": [{"request_put": {"key": encoded(b"k")}}]}),
)


@pytest.fixture
def make_cluster(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Starts a cluster with flags."""
    with contextlib.ExitStack() as stack:
        program = Program("raftgate", servers.raftgate_command())
        yield lambda *flags: stack.enter_context(Cluster(program, tmp_path, *QUICK, *flags, linked=False))


def get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"connection": "close"})
    response = connection.getresponse()
    body = response.read().decode().strip()
    connection.close()
    return response.status, body


def fill(cluster: Cluster) -> None:
    """Writes what is to be spoiled, and so much behind it that its page is not written again."""
    member = cluster.members[0]
    member.ask(PUT, {"key": encoded(b"needle"), "value": encoded(NEEDLE)})
    for number in range(ROWS):
        member.ask(PUT, {"key": encoded(b"%d" % number), "value": encoded(b"v" * 100)})
    cluster.settle("filled")


def restart(cluster: Cluster, member: Member) -> None:
    """Has a member bring all it holds into its file."""
    member.terminate()
    cluster.start(member)


def database(member: Member) -> Path:
    (path,) = (member.data_dir / "member").glob("kv*.db")
    return path


def flip(member: Member) -> None:
    """Flips one bit of one byte of a member's database; again, it is as before."""
    path = database(member)
    content = path.read_bytes()
    assert content.count(NEEDLE[:-1]) == 1, "the value is not in the file, or more than once"
    place = content.index(NEEDLE[:-1]) + len(NEEDLE) - 1
    with path.open("r+b") as file:
        file.seek(place)
        file.write(bytes([content[place] ^ 1]))


def alarms(member: Member) -> list[dict[str, str]]:
    answer: list[dict[str, str]] = member.ask(ALARM, {}).get("alarms", [])
    return answer


def wait_for_alarm(cluster: Cluster, asked: Member, spoiled: Member, began: float) -> None:
    """Waits for the alarm of a member, which must come in time."""
    expected = [{"memberID": spoiled.id, "alarm": "CORRUPT"}]
    cluster.wait_for(lambda: alarms(asked) == expected, f"the alarm of {spoiled.name}")
    took = time.monotonic() - began
    assert took < INTERVAL + GRACE, f"it took {took:.1f} s"


def check_refusals(cluster: Cluster, spoiled: Member) -> None:
    """Whatever changes keys or leases is refused by each member; the rest works."""
    text = f"memberID:{spoiled.id} alarm:CORRUPT "
    for member in cluster.members:
        cluster.wait_for(lambda member=member: text in member.ask(STATUS, {}).get("errors", []), "the alarm everywhere")  # type: ignore[misc]  # mypy infers no type of a default
        for path, message in WRITES:
            with pytest.raises(NotAnswered) as refused:
                member.ask(path, message)
            assert (refused.value.status, json.loads(refused.value.text)["error"]) == (
                500,
                "etcdserver: corrupt cluster",
            )
        assert member.ask(RANGE, {"key": encoded(b"0")})["count"] == "1"
        assert len(member.ask(MEMBERS, {"linearizable": True})["members"]) == len(cluster.members)
        assert get(member.client_port, "/health") == (503, '{"health":"false","reason":"ALARM CORRUPT"}')
        status, readiness = get(member.client_port, "/readyz")
        assert (status, "[-]data_corruption failed: alarm activated: CORRUPT" in readiness) == (503, True)
        assert get(member.client_port, "/livez")[0] == 200


def disarm(cluster: Cluster, asked: Member, spoiled: Member) -> None:
    """Takes the alarm back, and sees that it stays away."""
    answer = asked.ask(ALARM, {"action": "DEACTIVATE", "memberID": spoiled.id, "alarm": "CORRUPT"})
    assert answer["alarms"] == [{"memberID": spoiled.id, "alarm": "CORRUPT"}]
    leader = cluster.leader()
    before = len(leader.running.lines)
    cluster.wait_for(partial(_is_checked, leader, before), "another check")
    assert alarms(asked) == []
    cluster.settle("writes go on")


def _is_checked(member: Member, lines: int) -> bool:
    return any(CHECKED in line for line in member.running.lines[lines:])


def test_a_byte_that_flips_while_the_follower_is_down(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(*CHECKS)
    fill(cluster)
    spoiled, other = cluster.followers()
    spoiled.terminate()
    flip(spoiled)
    cluster.start(spoiled)
    wait_for_alarm(cluster, other, spoiled, time.monotonic())
    check_refusals(cluster, spoiled)
    spoiled.terminate()
    flip(spoiled)
    cluster.start(spoiled)
    disarm(cluster, other, spoiled)


@pytest.mark.parametrize("whose", ["follower", "leader"])
def test_a_byte_that_flips_while_the_member_runs(make_cluster: Callable[..., Cluster], whose: str) -> None:
    cluster = make_cluster(*CHECKS)
    fill(cluster)
    for member in cluster.members:
        restart(cluster, member)
    spoiled = cluster.leader() if whose == "leader" else cluster.followers()[0]
    asked = cluster.others(spoiled)[0]
    began = time.monotonic()
    flip(spoiled)
    wait_for_alarm(cluster, asked, spoiled, began)
    check_refusals(cluster, spoiled)
    flip(spoiled)
    disarm(cluster, asked, spoiled)


def test_a_page_that_sqlite_cannot_read_is_an_alarm_too(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(*CHECKS)
    fill(cluster)
    spoiled, other = cluster.followers()
    restart(cluster, spoiled)
    began = time.monotonic()
    path = database(spoiled)
    with path.open("r+b") as file:
        content = file.read()
        file.seek(content.index(NEEDLE) // 8192 * 8192)
        file.write(bytes(8192))
    wait_for_alarm(cluster, other, spoiled, began)


@pytest.mark.parametrize("flag", [INITIAL, "--feature-gates=InitialCorruptCheck=true"])
def test_a_member_that_differs_does_not_start(make_cluster: Callable[..., Cluster], flag: str) -> None:
    cluster = make_cluster(flag)
    fill(cluster)
    spoiled = cluster.followers()[0]
    spoiled.terminate()
    flip(spoiled)
    cluster.launch(spoiled)
    assert spoiled.running.wait() == 1
    log = spoiled.running.tail()
    assert f"{int(spoiled.id):x} found data inconsistency with peers" in log
    assert "Traceback" not in log
    flip(spoiled)
    cluster.start(spoiled)
    assert "initial corruption checking passed; no corruption" in "\n".join(spoiled.running.lines)
    cluster.settle("all is well")
    for member in cluster.members:
        member.terminate()
    began = time.monotonic()
    cluster.start(*cluster.members)
    assert time.monotonic() - began < 10, "members that start together answer each other"


def test_the_history_behind_a_compaction_is_compared(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster("--feature-gates=CompactHashCheck=true", "--compact-hash-check-time=500ms")
    fill(cluster)
    for member in cluster.members:
        restart(cluster, member)
    spoiled, other = cluster.followers()
    flip(spoiled)
    other.ask(COMPACTION, {"revision": "100"})
    wait_for_alarm(cluster, other, spoiled, time.monotonic())


def test_the_clusters_version_is_decided_and_nothing_is_below_it(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    for member in cluster.members:
        for port in (member.client_port, member.peer_port):
            cluster.wait_for(partial(_has_version, port), "a version")
        assert member.metric("etcd_cluster_version") == 1
        answer = member.ask("/v3/maintenance/downgrade", {"action": "CANCEL"})
        assert (answer["version"], answer["header"]["member_id"]) == ("3.6", member.id)
        for action in ("VALIDATE", "ENABLE"):
            for version, text in (
                ("3.5", "etcdserver: invalid downgrade target version"),
                ("3.6.0", "etcdserver: invalid downgrade target version"),
                ("three", "etcdserver: wrong downgrade target version format"),
            ):
                with pytest.raises(NotAnswered) as refused:
                    member.ask("/v3/maintenance/downgrade", {"action": action, "version": version})
                assert (refused.value.status, json.loads(refused.value.text)["error"]) == (400, text)
        with pytest.raises(NotAnswered) as refused:
            member.ask("/v3/maintenance/downgrade", {"action": 9, "version": "3.5"})
        assert (refused.value.status, json.loads(refused.value.text)["error"]) == (500, "etcdserver: unknown method")
    restart(cluster, cluster.members[0])
    assert _has_version(cluster.members[0].client_port), "it is remembered"


def _has_version(port: int) -> bool:
    version: dict[str, str] = json.loads(get(port, "/version")[1])
    return version["etcdcluster"] == "3.6.0"
