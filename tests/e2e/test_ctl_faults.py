"""raftgatectl's streams where something breaks: a server that is killed, a holder that is killed, many at a time."""

import base64
import json
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e import servers
from tests.e2e.terminals import OURS, Running

pytestmark = pytest.mark.slow


@pytest.fixture
def member(tmp_path: Path) -> Iterator[servers.Server]:
    server = servers.start(servers.raftgate_command(), tmp_path)
    yield server
    server.process.kill()


def put(port: int, key: str, value: str) -> int:
    """Writes a pair and gives its revision."""
    body = {"key": _base64(key), "value": _base64(value)}
    return int(_call(port, "kv/put", body)["header"]["revision"])


class Lines:
    """Claims that so many lines have been written."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __call__(self, seen: str) -> bool:
        return seen.count("\n") >= self.count


def test_a_watch_misses_and_repeats_nothing_while_the_server_is_killed(tmp_path: Path) -> None:
    command = servers.raftgate_command()
    member = servers.start(command, tmp_path)
    ports = member.client_port, member.peer_port
    watch = Running(OURS, ports[0], ["watch", "k", "--prefix", "--rev", "1", "-w", "json"])
    written = []
    try:
        for _ in range(4):
            written += [put(ports[0], f"k{n}", "v") for n in range(50)]
            member.process.kill()
            member = servers.start(command, tmp_path, ports=ports)
        written.append(put(ports[0], "k", "last"))
        watch.wait_for(lambda seen: f'"mod_revision":{written[-1]},' in seen)
        told = [json.loads(line)["Events"] for line in watch.end(signal.SIGTERM).out.splitlines()]
    finally:
        member.process.kill()
    assert [event["kv"]["mod_revision"] for events in told for event in events] == written


def test_a_program_for_each_of_many_events_in_their_order(member: servers.Server) -> None:
    words = ["watch", "", "--prefix", "--rev", "1", "--", "printenv", "ETCD_WATCH_VALUE"]
    watch = Running(OURS, member.client_port, words)
    for n in range(200):
        put(member.client_port, "k", f"{n:04}")
    watch.wait_for(lambda seen: seen.count('"') == 400)
    dumps = [line for line in watch.end(signal.SIGTERM).out.splitlines() if line.startswith('"')]
    assert dumps == [f'"{n:04}"' for n in range(200)]


def test_five_at_a_time_never_hold_the_lock_together(member: servers.Server, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    program = f"echo in >> {journal}; sleep 0.05; echo out >> {journal}"
    running = [Running(OURS, member.client_port, ["lock", "L", "--", "sh", "-c", program]) for _ in range(5)]
    assert [each.wait().code for each in running] == [0] * 5
    assert journal.read_text().splitlines() == ["in", "out"] * 5


@pytest.mark.parametrize(("verb", "number"), [("lock L", signal.SIGINT), ("elect L value", signal.SIGTERM)], ids=str)
def test_a_signal_lets_the_next_one_in(verb: str, number: signal.Signals, member: servers.Server) -> None:
    first = Running(OURS, member.client_port, verb.split())
    first.wait_for(Lines(2))
    second = Running(OURS, member.client_port, verb.split())
    while _keys(member) < 2:
        member.process.wait_for_news(0.02)
    assert first.end(number).code == 0
    began = time.monotonic()
    second.wait_for(Lines(2))
    assert time.monotonic() - began < 1.0
    assert second.end(number).code == 0
    assert _keys(member) == 0
    assert _leases(member) == 0


def test_a_holder_that_is_killed_loses_the_lock_with_its_lease(member: servers.Server) -> None:
    first = Running(OURS, member.client_port, ["lock", "L", "--ttl", "2"])
    first.wait_for(Lines(2))
    second = Running(OURS, member.client_port, ["lock", "L"])
    while _keys(member) < 2:
        member.process.wait_for_news(0.02)
    first.end(signal.SIGKILL)
    began = time.monotonic()
    second.wait_for(Lines(2))
    assert time.monotonic() - began < 3.5
    assert second.end(signal.SIGINT).code == 0


def test_a_lock_that_is_held_for_longer_than_its_lease(member: servers.Server) -> None:
    held = Running(OURS, member.client_port, ["lock", "L", "--ttl", "2", "--", "sleep", "5"])
    assert held.wait().code == 0
    assert _leases(member) == 0


def test_listening_goes_on_when_the_server_is_killed(tmp_path: Path) -> None:
    command = servers.raftgate_command()
    member = servers.start(command, tmp_path)
    ports = member.client_port, member.peer_port
    listener = Running(OURS, ports[0], ["elect", "-l", "E"])
    try:
        put(ports[0], "E/1", "one")
        listener.wait_for(Lines(2))
        member.process.kill()
        member = servers.start(command, tmp_path, ports=ports)
        put(ports[0], "E/1", "two")
        listener.wait_for(Lines(4))
        ended = listener.end(signal.SIGINT)
    finally:
        member.process.kill()
    assert (ended.code, ended.out) == (0, "E/1\none\nE/1\ntwo\n")


def test_progress_on_demand(member: servers.Server) -> None:
    watch = Running(OURS, member.client_port, ["watch", "-i"])
    watch.write("watch k --prefix --rev 1\n")
    revision = put(member.client_port, "kA", "v")
    watch.wait_for(Lines(3))
    put(member.client_port, "other", "v")
    watch.write("progress\n")
    watch.wait_for(lambda seen: f"progress notify: {revision + 1}\n" in seen)
    put(member.client_port, "kA", "v")
    watch.wait_for(Lines(7))
    ended = watch.wait()
    assert (ended.code, ended.out) == (3, f"PUT\nkA\nv\nprogress notify: {revision + 1}\nPUT\nkA\nv\n")


def _keys(member: servers.Server) -> int:
    body = {"key": _base64("L/"), "range_end": _base64("L0"), "count_only": True}
    return int(_call(member.client_port, "kv/range", body).get("count", 0))


def _leases(member: servers.Server) -> int:
    return len(_call(member.client_port, "lease/leases", {}).get("leases", ()))


def _call(port: int, path: str, body: Mapping[str, object]) -> Any:  # Any: JSON
    return httpx.post(f"http://127.0.0.1:{port}/v3/{path}", json=body, trust_env=False).raise_for_status().json()


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
