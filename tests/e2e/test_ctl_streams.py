"""The verbs `watch`, `lease`, `lock` and `elect`: one script played by etcdctl on etcd, and by raftgatectl on both.

Exit codes, stdout and stderr must be equal, but for what a run makes up: lease ids, ids of members, the raft term. The
servers are fresh, so that revisions are equal.
"""

import base64
import re
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
import pytest

from tests.e2e import servers
from tests.e2e.terminals import OURS, Ended, Running, etcdctl

pytestmark = [pytest.mark.peer, pytest.mark.slow]

LEASE = "{lease}"
"""In the words of a step: a lease of ten minutes that was granted before."""

DUMP = "env | grep ^ETCD_ | sort"
MASKS = (
    (r"\b[0-9a-f]{13,16}\b|\b\d{15,20}\b", "ID"),
    (r'("(?:lease|ID|id|cluster_id|member_id)":|"(?:Lease|ID|ClusterID|MemberID)" : )\d+', r"\1ID"),
    (r'("raft_term":|"RaftTerm" : )\d+', r"\1N"),
    (r'"key":"(?:TC[89]|RS[89])[^"]*"', '"key":"OF A LEASE"'),
    (r"remaining\(5\d\ds\)", "remaining(REST)"),
    (r'("ttl":|"TTL" : )5\d\d', r"\1REST"),
)
# Keys whose lease is left to expire go when they go.
REVISIONS = (r'("(?:create_|mod_)?revision":|"(?:Create|Mod)?Revision" : )\d+', r"\1N")


@dataclass(frozen=True, slots=True)
class Step:
    """A command, and how it ends: by itself, or by a signal as soon as its output is long enough or a key is there."""

    words: tuple[str, ...]
    lines: int = 0
    """So many lines come before the signal."""
    waiters: int = 0
    """So many keys below the name are there before the signal."""
    by: signal.Signals | None = signal.SIGINT
    """None: by the end of its input."""
    stdin: str = ""
    beside: str = ""
    """The command line of one that runs meanwhile, started before."""
    calls: tuple[tuple[str, str], ...] = ()
    """Calls that are made before: a path of the API and a body."""
    environ: tuple[tuple[str, str], ...] = field(default=())


def step(line: str | Sequence[str], lines: int = 0, **rest: object) -> Step:
    words = tuple(line.split() if isinstance(line, str) else line)
    return Step(words, lines, **rest)  # type: ignore[arg-type]  # named after its fields


def text(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def put(key: str, value: str) -> tuple[str, str]:
    return "/v3/kv/put", f'{{"key":"{text(key)}","value":"{text(value)}"}}'


def deletion(key: str) -> tuple[str, str]:
    return "/v3/kv/deleterange", f'{{"key":"{text(key)}"}}'


# Revisions 2 to 6; what follows may not count on its own.
HISTORY = (put("w1", "a"), put("w1", "b"), deletion("w1"), put("w2", 'c\n"q" é'), put("w3", ""))
FROM = ("--rev", "2")
KEY = (("ETCDCTL_WATCH_KEY", "w1"),)
KEY_AND_END = (*KEY, ("ETCDCTL_WATCH_RANGE_END", "w3"))
LEADER = "elect E one"

SCRIPT = (
    # watch
    step(["watch", "w1", *FROM], 9, calls=HISTORY),
    step(["watch", "w", "--prefix", *FROM, "--prev-kv"], 20),
    step(["watch", "w1", "w3", "--rev", "3"], 10),
    step(["watch", "w1", *FROM, "--hex"], 9),
    step(["watch", "w1", "w3", *FROM, "-w", "json", "--prev-kv"], 1),
    step(["watch", "w1", "w4", *FROM, "-w", "fields", "--prev-kv"], 51),
    step(["watch", "", "--prefix", *FROM], 16),
    step(["watch", "w1", *FROM], 9, by=signal.SIGTERM),
    step(["watch", *FROM], 9, environ=KEY),
    step(["watch", *FROM], 13, environ=KEY_AND_END),
    step(["watch", *FROM, "--", "echo", "x"], 12, environ=KEY),
    step("watch w1", environ=KEY),
    step("watch w1 -- echo", environ=KEY),
    step("watch w1", environ=KEY_AND_END[1:]),
    step("watch"),
    step("watch a b --prefix"),
    step("watch a --"),
    step("watch -- a"),
    step(["watch", "w1", *FROM, "-w", "table"]),
    step("watch b a"),
    step("watch b a -w json"),
    step(["watch", "w1", *FROM, "--", "sh", "-c", DUMP], 21),
    step(["watch", "w2", *FROM, "--", "sh", "-c", DUMP], 8),
    step(["watch", "w", "--prefix", *FROM, "--", "sh", "-c", "echo $ETCD_WATCH_KEY; cat"], 21),
    step(["watch", "w1", *FROM, "--", "sh", "-c", "exit 9"]),
    step(["watch", "w1", *FROM, "--", "sh", "-c", "kill -9 $$"]),
    step(["watch", "w1", *FROM, "--", "no such program", 'a "b"']),
    step("watch -i", 16, stdin="watch w --prefix --rev 2\n", by=None),
    step("watch -i", stdin="bogus\n\nwatch\nwatch a b --prefix\nwatch -- echo\nprogress\n"),
    step("watch -i", stdin="watch a --bogus\n"),
    step("watch -i", stdin="watch a --\n"),
    step("watch -i", stdin="watch --rev 3\n"),
    step("watch -i", stdin="watch w1\n", environ=KEY),
    step("watch -i", stdin="watch w1 --rev 2 -- false\n", lines=99),
    step(["watch", "w1", *FROM], calls=(("/v3/kv/compaction", '{"revision":"3"}'),)),
    step(["watch", "w1", *FROM, "-w", "json"]),
    step(["watch", "w1", *FROM, "-w", "fields"]),
    step("watch w1 --rev 3", 6),
    step("watch w1 --rev=-1"),
    step("watch w1 --rev=-1 -w fields"),
    # lease
    step("lease grant 60"),
    step("lease grant 60 -w json"),
    step("lease grant 60 -w fields"),
    step("lease grant 0"),
    step("lease grant 9999999999999"),
    step("lease grant"),
    step("lease grant zz"),
    step("lease grant 60 -w table"),
    step(["put", "k", "v", "--lease", LEASE]),
    step(["lease", "timetolive", LEASE]),
    step(["lease", "timetolive", LEASE, "--keys"]),
    step(["lease", "timetolive", LEASE, "--keys", "-w", "json"]),
    step(["lease", "timetolive", LEASE, "--keys", "-w", "fields"]),
    step(["lease", "timetolive", LEASE, "-w", "json"]),
    step("lease timetolive 1234 --keys"),
    step("lease timetolive 1234 -w json"),
    step("lease timetolive -- -1"),
    step(["lease", "keep-alive", LEASE, "--once"]),
    step(["lease", "keep-alive", LEASE, "--once", "-w", "json"]),
    step(["lease", "keep-alive", LEASE, "-w", "fields"], 6),
    step(["lease", "keep-alive", LEASE], 1, by=signal.SIGTERM),
    step("lease keep-alive 1234"),
    step("lease keep-alive 1234 --once"),
    step(["lease", "revoke", LEASE]),
    step(["lease", "revoke", LEASE]),
    step("lease revoke zz"),
    step("put k v --lease 1234"),
    # lock
    step("lock L", 2),
    step("lock L", 2, by=signal.SIGTERM),
    step("lock L -w json", 1),
    step(["lock", "L", "--", "sh", "-c", "env | grep ^ETCD_LOCK | sort | sed 's/=[0-9]*$/=REV/'; cat"]),
    step(["lock", "L", "--", "sh", "-c", "exit 7"]),
    step(["lock", "L", "--", "sh", "-c", "kill -9 $$"]),
    step(["lock", "L", "no such program"]),
    step(["lock", "", "true"]),
    step("lock L --ttl=-4 true"),
    step("lock L", waiters=2, beside="lock L"),
    step("lock L true", waiters=2, beside="lock L", by=signal.SIGTERM),
    step(["lock", "L", "--", "sh", "-c", "echo begun; sleep 1; echo over"], 1),
    step("lock L -w table"),
    step("lock"),
    # elect
    step("elect E v", 2),
    step("elect E v -w json", 1),
    step("elect -l E", 2, beside=LEADER),
    step("elect -l E -w fields", 12, beside=LEADER),
    step("elect E v", waiters=2, beside=LEADER),
    step("elect E"),
    step("elect E v -l"),
    step("elect"),
)


def play(tool: Sequence[str], port: int) -> list[Ended]:
    """Plays the script with one tool on one server."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
        lease = int(http.post("/v3/lease/grant", json={"TTL": "600", "ID": "7777777777777777"}).json()["ID"])
        return [_play(tool, port, each, http, f"{lease:x}") for each in SCRIPT]


def _play(tool: Sequence[str], port: int, each: Step, http: httpx.Client, lease: str) -> Ended:
    for path, body in each.calls:
        http.post(path, content=body).raise_for_status()
    beside = Running(tool, port, each.beside.split()) if each.beside else None
    if beside is not None:
        beside.wait_for(lambda seen: seen.count("\n") == 2)
    words = [word.replace(LEASE, lease) for word in each.words]
    running = Running(tool, port, words, dict(each.environ))
    running.write(each.stdin)
    if each.lines:
        running.wait_for(lambda seen: seen.count("\n") >= each.lines)
    while each.waiters and _waiters(http, words[1]) < each.waiters and running.process.poll() is None:
        pass
    if each.by is not None and (each.lines or each.waiters) and running.process.poll() is None:
        running.process.send_signal(each.by)
    ended = running.wait()
    if beside is not None:
        beside.end(signal.SIGINT)
    return ended


def _waiters(http: httpx.Client, name: str) -> int:
    body = {"key": text(f"{name}/"), "range_end": text(f"{name}0"), "count_only": True}
    return int(http.post("/v3/kv/range", json=body).json().get("count", 0))


def mask(each: Step, ended: Ended) -> Ended:
    """What does not differ from run to run."""
    out, err = ended.out, "\n".join(line for line in ended.err.splitlines() if not line.startswith("{"))
    for pattern, replacement in (*MASKS, REVISIONS) if each.words[0] in ("lock", "elect") else MASKS:
        out, err = re.sub(pattern, replacement, out), re.sub(pattern, replacement, err)
    return Ended(ended.code, out, err)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[Ended]]]:
    etcd, theirs = servers.find_peer("etcd"), etcdctl()
    if etcd is None or not theirs:
        pytest.skip("no etcd and etcdctl found (variables ETCD and ETCDCTL, PATH, installed peers)")
    kinds = {
        "etcdctl on etcd": (theirs, [etcd]),
        "raftgatectl on etcd": (OURS, [etcd]),
        "raftgatectl on raftgate": (OURS, servers.raftgate_command()),
    }
    started: list[servers.Server] = []
    try:
        with ThreadPoolExecutor() as pool:
            futures = {}
            for kind, (tool, command) in kinds.items():
                started.append(servers.start(command, tmp_path_factory.mktemp("member")))
                futures[kind] = pool.submit(play, tool, started[-1].client_port)
            yield {kind: list(map(mask, SCRIPT, future.result())) for kind, future in futures.items()}
    finally:
        for server in started:
            server.process.kill()


@pytest.mark.parametrize("kind", ["raftgatectl on etcd", "raftgatectl on raftgate"])
@pytest.mark.parametrize("verb", ["watch", "lease", "put", "lock", "elect"])
def test_as_etcdctl_on_etcd(played: dict[str, list[Ended]], kind: str, verb: str) -> None:
    different = [
        f"{each}\n  etcdctl     {expected}\n  raftgatectl {actual}"
        for each, expected, actual in zip(SCRIPT, played["etcdctl on etcd"], played[kind], strict=True)
        if each.words[0] == verb and expected != actual
    ]
    if different:
        pytest.fail("\n".join(different), pytrace=False)


def test_the_script_meets_all_kinds_of_ends(played: dict[str, list[Ended]]) -> None:
    codes = {ended.code for ended in played["etcdctl on etcd"]}
    assert codes == {0, 1, 2, 3, 4, 5, 7, 128, 255, -signal.SIGINT, -signal.SIGTERM}
