"""One script of commands, run with etcdctl (gRPC) and with raftgatectl (JSON), each against a server of its own.

Exit codes, stdout with what differs between two runs masked, the lines about single endpoints and the last `Error:`
line must be equal. Where the tools differ on purpose (etcdctl panics; TLS and users come later) the command is not in
the script but in the unit tests. Of what etcdctl 3.6 prints beyond 3.5 only the unit tests know, see `NEWER`.
"""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO

import httpx
import pytest

from raftgate.ctl.__main__ import run
from raftgate.ctl.invocation import Console
from raftgate.ctl.table import table
from tests.e2e import servers
from tests.raftgate.ctl.outcomes import Outcome, mask, outcome
from tests.raftgate.ctl.script import PARTS, SCRIPT, Step

pytestmark = [pytest.mark.peer, pytest.mark.slow]

ENDPOINT = "127.0.0.1:{port}"
ALARM = "/v3/maintenance/alarm"
STATUS = "/v3/maintenance/status"


def environment(command: Step, port: int) -> dict[str, str]:
    variables = {"ETCDCTL_ENDPOINTS": ENDPOINT} | dict(command.environ)
    return {name: value.replace("{port}", str(port)) for name, value in variables.items()}


def member_of(port: int) -> str:
    """A member's id in hex, as it stands for `{member}` in the script."""
    answer = httpx.post(f"http://127.0.0.1:{port}{STATUS}", content=b"{}", trust_env=False)
    return f"{int(answer.json()['header']['member_id']):x}"


def words(command: Step, member: str) -> list[str]:
    return [word.replace("{member}", member) for word in command.words]


def play_theirs(program: str, port: int) -> list[Outcome]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ETCD")}
    member = member_of(port)
    outcomes = []
    for command in SCRIPT:
        is_raised = raise_alarm(command, port)
        done = subprocess.run(
            [program, *words(command, member)],
            input=command.stdin.encode(),
            capture_output=True,
            check=False,
            env=clean | environment(command, port),
            timeout=30,
        )
        outcomes.append(outcome(done.returncode, done.stdout, done.stderr, is_raised=is_raised))
    return outcomes


def play_ours(port: int) -> list[Outcome]:
    """In this process: its own start-up is test_main's subject, and would take most of the time here."""
    outcomes = []
    member = member_of(port)
    for command in SCRIPT:
        is_raised = raise_alarm(command, port)
        out, err = BytesIO(), BytesIO()
        code = run(
            words(command, member), environment(command, port), Console(BytesIO(command.stdin.encode()), out, err)
        )
        outcomes.append(outcome(code, out.getvalue(), err.getvalue(), is_raised=is_raised))
    return outcomes


def raise_alarm(command: Step, port: int) -> bool:
    """Makes the alarm call that a step begins with; False when the server does not implement it."""
    if not command.raises:
        return True
    answer = httpx.post(f"http://127.0.0.1:{port}{ALARM}", content=command.raises, trust_env=False)
    assert answer.status_code in (200, 501), answer.text
    return answer.status_code == 200


@dataclass(frozen=True, slots=True)
class Played:
    """The outcomes of the whole script, step by step."""

    theirs: list[Outcome]
    """etcdctl on etcd."""
    ours: list[Outcome]
    """raftgatectl on etcd."""
    alone: list[Outcome]
    """raftgatectl on raftgate."""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    etcd, etcdctl = servers.find_peer("etcd"), servers.find_peer("etcdctl")
    if etcd is None or etcdctl is None:
        pytest.skip("no etcd and etcdctl found (variables ETCD and ETCDCTL, PATH, installed peers)")
    # An alarm that the script raises has to stay until the script clears it, as in etcd.
    raftgate = [*servers.raftgate_command(), "--raftgate-auto-disarm=false"]
    started: list[servers.Server] = []
    try:
        for command in ([etcd], [etcd], raftgate):
            started.append(servers.start(command, tmp_path_factory.mktemp("member")))
        etcds_own, etcds, raftgates = (server.client_port for server in started)
        with ThreadPoolExecutor() as pool:
            theirs = pool.submit(play_theirs, etcdctl, etcds_own)
            ours, alone = pool.submit(play_ours, etcds), pool.submit(play_ours, raftgates)
            return Played(theirs.result(), ours.result(), alone.result())
    finally:
        for server in started:
            server.process.kill()


def differences(theirs: list[Outcome], ours: list[Outcome], part: str | None = None) -> str:
    return "\n".join(
        f"{command}\n  etcdctl     {expected}\n  raftgatectl {actual}"
        for command, expected, actual in zip(SCRIPT, theirs, ours, strict=True)
        if expected != actual and part in (None, command.part)
    )


def test_the_script_is_long_and_meets_all_kinds_of_ends(played: Played) -> None:
    assert len(SCRIPT) >= 280
    assert {outcome.code for outcome in played.theirs} == {0, 1, 3, 4, 128}
    assert len({outcome.error for outcome in played.theirs}) > 50
    assert {command.part for command in SCRIPT} == {"", *PARTS}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "127.0.0.1:2379, 4992d4aad482f355, 3.5.16, 25 kB, true, false, 2, 8, 8, alarm:CORRUPT \n",
            "127.0.0.1:2379, 4, 3.6.13, 3.6.0, 29 kB, 9 kB, 3%, 2 GB, true, false, 3, 9, 9, alarm:CORRUPT , , false\n",
        ),
        (
            '"DBSize" : 24576\n"Leader" : 9\n"Endpoint" : "127.0.0.1:2379"\n\n',
            """\
"StorageVersion" : "3.6.0"
"DBSize" : 2
"DBSizeInUse" : 2
"DBSizeQuota" : 2
"Leader" : 3
"Endpoint" : "127.0.0.1:2379"
"DowngradeTargetVersion" : ""
"DowngradeEnabled" : false

""",
        ),
        (
            '{"version":"3.5.16","dbSizeInUse":12288}',
            '{"version":"3.6.13","dbSizeInUse":1,"storageVersion":"3.6.0","dbSizeQuota":5,"downgradeInfo":{}}',
        ),
        ("http://127.0.0.1:2379, 1553004478\n", "http://127.0.0.1:2379, 3, 27\n"),
        ('"Hash" : 1553004478\n\n', '"Hash" : 3\n"HashRevision" : 27\n\n'),
        ('{"hash":1553004478,"compact_revision":-1}', '{"hash":3,"compact_revision":-1,"hash_revision":27}'),
        (table(("endpoint", "hash"), [("a", "1")]), table(("endpoint", "hash", "hash revision"), [("a", "2", "27")])),
        (
            "Finished defragmenting etcd member[127.0.0.1:2379]\n",
            "Finished defragmenting etcd member[127.0.0.1:2379]. took 1.2ms\n",
        ),
        (
            "Failed to defragment etcd member[127.0.0.1:1] (context deadline exceeded)",
            "Failed to defragment etcd member[127.0.0.1:1]. took 5.000322035s. (context deadline exceeded)",
        ),
    ],
    ids=lambda text: text[:16],
)
def test_the_masks_bring_the_forms_of_both_versions_together(old: str, new: str) -> None:
    before, after = (Outcome(0, mask(text), "").without_the_servers_own() for text in (old, new))
    assert before == after
    assert before.out


def test_both_tools_on_etcd(played: Played) -> None:
    assert all(outcome.is_served for outcome in (*played.theirs, *played.ours, *played.alone))
    assert differences(played.theirs, played.ours) == ""


@pytest.mark.parametrize("part", ["", *PARTS])
def test_etcdctl_on_etcd_and_raftgatectl_on_raftgate(played: Played, part: str) -> None:
    theirs, alone = ([each.without_the_servers_own() for each in side] for side in (played.theirs, played.alone))
    assert differences(theirs, alone, part) == ""
