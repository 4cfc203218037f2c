"""One script of commands, run with etcdctl (gRPC) and with raftgatectl (JSON), each against a server of its own.

Exit codes, stdout with what differs between two runs masked, the lines about single endpoints and the last `Error:`
line must be equal. Where the tools differ on purpose (etcdctl panics; TLS and users come later) the command is not in
the script but in the unit tests. Of what etcdctl 3.6 prints beyond 3.5 only the unit tests know, see `NEWER`.
"""

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO

import httpx
import pytest

from raftgate.ctl.__main__ import run
from raftgate.ctl.invocation import Console
from raftgate.ctl.table import table
from tests.e2e import servers
from tests.raftgate.ctl.script import PARTS, SCRIPT, Step

pytestmark = [pytest.mark.peer, pytest.mark.slow]

ENDPOINT = "127.0.0.1:{port}"
ALARM = "/v3/maintenance/alarm"

# What etcdctl 3.6 prints and 3.5 does not: taken out of the outputs of both tools, whichever version the peer has.
NEWER = (
    r"\. took TIME\.?",  # defrag; where it failed the reason follows
    r'(?m)^"(?:StorageVersion|DBSizeInUse|DBSizeQuota|DowngradeTargetVersion|DowngradeEnabled|HashRevision)" : .*\n',
    r',"(?:storageVersion":"[^"]*"|(?:dbSizeQuota|hash_revision)":\d+|downgradeInfo":\{[^}]*\})',
)
NEWER_TITLES = frozenset(
    {
        "STORAGE VERSION", "IN USE", "PERCENTAGE NOT IN USE", "QUOTA", "DOWNGRADE TARGET VERSION", "DOWNGRADE ENABLED",
        "HASH REVISION",
    }
)  # fmt: skip

MASKS = (
    (r"\d+(?:\.\d+)?(?:ns|µs|ms|s)\b", "TIME"),
    (r"127\.0\.0\.1:\d{2,}", "ENDPOINT"),
    (r'(ClusterID|MemberID|cluster_id|member_id|RaftTerm|raft_term)("\s?:\s?)\d+', r"\1\2N"),
    (r'"(DBSize|Leader|RaftIndex|RaftAppliedIndex)" : \d+', r'"\1" : N'),
    (r'"(dbSize|dbSizeInUse|leader|raftIndex|raftTerm|raftAppliedIndex)":\d+', r'"\1":N'),
    (r"version: \S+", "version: V"),
    (r"(?s)\ANAME:.*", "USAGE"),
)
MASKED_TITLES = frozenset({"ID", "DB SIZE", "RAFT TERM", "RAFT INDEX", "RAFT APPLIED INDEX"})

# What two kinds of servers never have in common: versions, and hashes that each computes in its own way.
OF_THE_SERVER = (
    (r'((?:"[vV]ersion"\s?:\s?|VERSION=|ENDPOINT, ID, )"?)\d+\.\d+\.\d+', r"\1V"),
    (r'("hash":|"Hash" : |HASH=|ENDPOINT, )\d+', r"\1HASH"),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a user or a script sees of a command."""

    code: int
    out: str
    error: str
    complaints: tuple[str, ...] = ()
    """What stderr says of single endpoints."""
    is_served: bool = field(default=True, compare=False)
    """False when the server answered that it does not implement the call."""

    def without_the_servers_own(self) -> "Outcome":
        out = self.out
        for pattern, replacement in OF_THE_SERVER:
            out = re.sub(pattern, replacement, out)
        return Outcome(self.code, out, self.error, self.complaints, self.is_served)


def environment(command: Step, port: int) -> dict[str, str]:
    variables = {"ETCDCTL_ENDPOINTS": ENDPOINT} | dict(command.environ)
    return {name: value.replace("{port}", str(port)) for name, value in variables.items()}


def play_theirs(program: str, port: int) -> list[Outcome]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ETCD")}
    outcomes = []
    for command in SCRIPT:
        is_raised = raise_alarm(command, port)
        done = subprocess.run(
            [program, *command.words],
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
    for command in SCRIPT:
        is_raised = raise_alarm(command, port)
        out, err = BytesIO(), BytesIO()
        code = run(command.words, environment(command, port), Console(BytesIO(command.stdin.encode()), out, err))
        outcomes.append(outcome(code, out.getvalue(), err.getvalue(), is_raised=is_raised))
    return outcomes


def raise_alarm(command: Step, port: int) -> bool:
    """Makes the alarm call that a step begins with; False when the server does not implement it."""
    if not command.raises:
        return True
    answer = httpx.post(f"http://127.0.0.1:{port}{ALARM}", content=command.raises, trust_env=False)
    assert answer.status_code in (200, 501), answer.text
    return answer.status_code == 200


def outcome(code: int, out: bytes, err: bytes, *, is_raised: bool = True) -> Outcome:
    lines = err.decode(errors="replace").splitlines()
    errors = [line for line in lines if line.startswith("Error: ")]
    complaints = [line for line in lines if line.startswith("Failed to ") or " is unhealthy: " in line]
    return Outcome(
        code=code,
        out=mask(out.decode(errors="replace")),
        error=mask(errors[-1]) if errors else "",
        complaints=tuple(sorted(map(mask, complaints))),
        is_served=is_raised and not any("code = Unimplemented" in line for line in lines),
    )


def mask(text: str) -> str:
    """Takes out what differs between two runs or versions or is the tool's own name."""
    for pattern, replacement in MASKS:
        text = re.sub(pattern, replacement, text)
    if text.startswith("+-"):
        return "\n".join(" ".join(f"{title}={cell}" for title, cell in row) for row in cells(text))
    text = "".join(map(mask_status, text.splitlines(keepends=True)))
    for pattern in NEWER:
        text = re.sub(pattern, "", text)
    return text.replace("raftgatectl", "etcdctl")


def mask_status(line: str) -> str:
    """The row of `endpoint status`, or of `endpoint hashkv`, without what a later run or a newer tool shows."""
    row = line.rstrip("\n").split(", ")
    if not row[0].endswith("ENDPOINT"):
        return line
    if len(row) == 3 and row[1].isdigit():  # a hash and, from 3.6 on, its revision
        return f"{', '.join(row[:2])}\n"
    if len(row) >= 16:  # 3.6
        row = [*row[:3], row[4], *row[8:-2]]
    if len(row) >= 10:
        row = [row[0], "ID", row[2], "SIZE", *row[4:6], "TERM", "INDEX", "INDEX", *row[9:]]
    return f"{', '.join(row)}\n"


def cells(text: str) -> list[list[tuple[str, str]]]:
    """The rows of a table as titles and cells; not its borders, whose width depends on what is masked."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    titles = [title.strip() for title in rows[0]]
    return [
        [
            (title, title if title in MASKED_TITLES and cell.strip() else cell.strip())
            for title, cell in zip(titles, row, strict=True)
            if title not in NEWER_TITLES
        ]
        for row in rows
    ]


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
    assert all(outcome.is_served for outcome in (*played.theirs, *played.ours))
    assert differences(played.theirs, played.ours) == ""


@pytest.mark.parametrize("part", ["", *PARTS])
def test_etcdctl_on_etcd_and_raftgatectl_on_raftgate(played: Played, part: str) -> None:
    missing = [
        command
        for command, done in zip(SCRIPT, played.alone, strict=True)
        if command.part == part and not done.is_served
    ]
    if missing and part:  # what has no part is served by every version
        pytest.skip(f"raftgate answers 501 to {len(missing)} steps of {part}, first: {' '.join(missing[0].words)}")
    theirs, alone = ([each.without_the_servers_own() for each in side] for side in (played.theirs, played.alone))
    assert differences(theirs, alone, part) == ""
