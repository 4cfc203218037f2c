"""A script of commands on three members: etcdctl on etcds, raftgatectl on etcds, and raftgatectl on raftgates.

What is compared is as in `test_peer`, but lines in any order: members are listed by ids, which follow from ports.
"""

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from raftgate.ctl.__main__ import run
from raftgate.ctl.invocation import Console
from tests.e2e import servers
from tests.e2e.cluster import QUICK, Cluster, Member, NotAnswered, Program
from tests.e2e.rpc import STATUS, TRANSFER
from tests.raftgate.ctl.outcomes import Outcome, outcome

pytestmark = [pytest.mark.peer, pytest.mark.slow]

Raw = tuple[int, bytes, bytes]
Tool = Callable[[Sequence[str]], Raw]

VERBS = ("status", "health", "hashkv")
KILL = "KILL"

# `{m0}` is a member's id, what stands behind @ are endpoints. Member 0 leads at the beginning; KILL ends it.
SCRIPT = (
    *[f"member list {rest} @m1" for rest in ("", "-w json", "-w fields", "-w table", "--hex", "--hex -w json")],
    "member list @m2,m0",
    *[f"endpoint {verb} --cluster @m{number}" for number, verb in enumerate(VERBS)],
    *[f"endpoint {verb} --cluster -w {form} @m1" for verb in VERBS for form in ("json", "fields", "table")],
    *[f"endpoint {verb} @m2,m0,m1" for verb in VERBS],
    "put a 1 @m1",
    "get a -w fields @m2",
    "endpoint hashkv --cluster @m2",
    "endpoint hashkv --cluster --rev 2 -w json @m2",
    "endpoint hashkv --cluster --rev 9 @m2",
    "defrag --cluster @m1",
    "alarm list @m2",
    "move-leader {m1} @m1,m2",
    "move-leader {m1} @m2",
    "move-leader 5 @m1,m0",
    "move-leader {m1} @m0,m1,m2",
    "endpoint status --cluster @m0",
    "endpoint status --cluster -w json @m0",
    "move-leader {m1} @m0,m1,m2",
    "move-leader {m2} -w json @m0,m1",
    "endpoint status --cluster -w table @m1",
    "get a @m0",
    "move-leader {m0} @m0,m1",
    "move-leader {m0} @m2",
    "move-leader {m1} @m0",
    "endpoint status --cluster @m2",
    KILL,
    "member list @m1",
    "member list @m0,m1",
    "member list --command-timeout 500ms @m0",
    *[f"endpoint {verb} --cluster --command-timeout 500ms @m1" for verb in VERBS],
    "endpoint health --cluster --command-timeout 500ms -w json @m1",
    "defrag --cluster --command-timeout 500ms @m1",
    "put a 2 @m2",
    "get a -w json @m1",
    "move-leader {m2} --command-timeout 500ms @m0,m1",
)


@dataclass(frozen=True, slots=True)
class Played:
    """The outcomes of the script, step by step."""

    theirs: list[Outcome]
    """etcdctl on etcd."""
    ours: list[Outcome]
    """raftgatectl on etcd."""
    alone: list[Outcome]
    """raftgatectl on raftgate."""


def etcdctl(program: str) -> Tool:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ETCD")}

    def tool(words: Sequence[str]) -> Raw:
        done = subprocess.run([program, *words], capture_output=True, check=False, env=clean, timeout=30)
        return done.returncode, done.stdout, done.stderr

    return tool


def raftgatectl(words: Sequence[str]) -> Raw:
    out, err = BytesIO(), BytesIO()
    code = run(words, {}, Console(BytesIO(), out, err))
    return code, out.getvalue(), err.getvalue()


def play(program: Program, directory: Path, tool: Tool) -> list[Outcome]:
    """Plays the script on a cluster of its own."""
    outcomes = []
    with Cluster(program, directory, *QUICK, linked=False) as cluster:
        first = cluster.members[0]
        leader = cluster.leader()
        leader.ask(TRANSFER, {"targetID": first.id})
        for line in SCRIPT:
            if line == KILL:
                first.kill()
                continue
            alive = [member for member in cluster.members if member.is_alive]
            cluster.wait_for(lambda alive=alive: agree(alive), "a leader for all")  # type: ignore[misc]  # mypy sees no type in the default
            outcomes.append(named(tool(words(line, cluster)), cluster))
    return outcomes


def agree(members: Sequence[Member]) -> bool:
    """Whether members know the same leader, and have the same."""
    try:
        answers = [member.ask(STATUS, {}) for member in members]
    except NotAnswered:
        return False
    found = {(answer.get("leader"), answer["header"]["revision"]) for answer in answers}
    return len(found) == 1 and "leader" in answers[0]


def words(line: str, cluster: Cluster) -> list[str]:
    text, _, endpoints = line.partition("@")
    ids = {member.name: f"{int(member.id):x}" for member in cluster.members}
    ports = {member.name: member.client_port for member in cluster.members}
    addresses = ",".join(f"127.0.0.1:{ports[name]}" for name in endpoints.split(","))
    return [*text.format(**ids).split(), f"--endpoints={addresses}"]


def named(raw: Raw, cluster: Cluster) -> Outcome:
    """An outcome with names in the place of addresses, and its lines in order."""
    code, *streams = raw
    texts = []
    for stream in streams:
        text = stream.decode()
        for member in cluster.members:
            text = text.replace(f"127.0.0.1:{member.client_port}", f"{member.name}.ENDPOINT")
            text = text.replace(f"127.0.0.1:{member.peer_port}", f"{member.name}.PEER")
        texts.append(text.encode())
    found = outcome(code, *texts)
    return replace(found, out=in_order(found.out))


def in_order(text: str) -> str:
    try:
        return json.dumps(sorted_lists(json.loads(text.replace(":N", ":0"))), separators=(",", ":"))
    except ValueError:
        return "\n".join(sorted(text.splitlines()))


def sorted_lists(value: Any) -> Any:  # Any: JSON
    if isinstance(value, dict):
        return {name: sorted_lists(item) for name, item in value.items()}
    return sorted(map(sorted_lists, value), key=json.dumps) if isinstance(value, list) else value


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    etcd, tool = servers.find_peer("etcd"), servers.find_peer("etcdctl")
    if etcd is None or tool is None:
        pytest.skip("no etcd and etcdctl found (variables ETCD and ETCDCTL, PATH, installed peers)")
    etcds, raftgates = Program("etcd", [etcd]), Program("raftgate", servers.raftgate_command())
    rounds = ((etcds, etcdctl(tool)), (etcds, raftgatectl), (raftgates, raftgatectl))
    with ThreadPoolExecutor() as pool:
        playing = [pool.submit(play, program, tmp_path_factory.mktemp("round"), tool) for program, tool in rounds]
        return Played(*(each.result() for each in playing))


def differences(theirs: list[Outcome], ours: list[Outcome]) -> str:
    lines = [line for line in SCRIPT if line != KILL]
    return "\n".join(
        f"{line}\n  etcdctl     {expected}\n  raftgatectl {actual}"
        for line, expected, actual in zip(lines, theirs, ours, strict=True)
        if expected != actual
    )


def test_the_script_meets_all_kinds_of_ends(played: Played) -> None:
    assert {outcome.code for outcome in played.theirs} == {0, 1, 128}
    assert sum(bool(outcome.complaints) for outcome in played.theirs) >= 5


def test_both_tools_on_etcds(played: Played) -> None:
    assert differences(played.theirs, played.ours) == ""


def test_etcdctl_on_etcds_and_raftgatectl_on_raftgates(played: Played) -> None:
    theirs, alone = ([each.without_the_servers_own() for each in side] for side in (played.theirs, played.alone))
    assert differences(theirs, alone) == ""


def test_hashes_are_equal_on_all_members(played: Played) -> None:
    for outcomes in (played.theirs, played.ours, played.alone):
        texts = [each.out for each in outcomes if '"HashKV"' in each.out and not each.error]
        assert len(texts) == 2
        for text in texts:
            answers = [item["HashKV"] for item in json.loads(text)]
            assert len({(answer["hash"], answer["compact_revision"]) for answer in answers}) == 1
            assert len(answers) == 3
