"""One script of commands, run with etcdctl (gRPC) and with raftgatectl (JSON), each against a server of its own.

Exit codes, stdout with what differs between two runs masked, and the last `Error:` line must be equal. Where the
tools differ on purpose (raftgatectl follows 3.6, the peer is 3.5; etcdctl panics; TLS and users come later) the
command is not in the script but in the unit tests.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from io import BytesIO

import pytest

from raftgate.ctl.__main__ import run
from raftgate.ctl.invocation import Console
from tests.e2e import servers

pytestmark = [pytest.mark.peer, pytest.mark.slow]

ENDPOINT = "127.0.0.1:{port}"
MASKS = (
    (r"\d+(?:\.\d+)?(?:ns|µs|ms|s)\b", "TIME"),
    (r"127\.0\.0\.1:\d{2,}", "ENDPOINT"),
    (r'(ClusterID|MemberID|cluster_id|member_id|RaftTerm|raft_term)("\s?:\s?)\d+', r"\1\2N"),
    (r"version: \S+", "version: V"),
    (r"(?s)\ANAME:.*", "USAGE"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One command: words, stdin, variables beside ETCDCTL_ENDPOINTS."""

    words: tuple[str, ...]
    stdin: str = ""
    environ: tuple[tuple[str, str], ...] = ()
    needs_history: bool = False
    """Reads a past revision."""


def step(line: str, stdin: str = "", *, history: bool = False, **environ: str) -> Step:
    return Step(tuple(line.split()), stdin, tuple(environ.items()), history)


SCRIPT = (
    # put
    step("put a 1"),
    step("put a 2 --prev-kv"),
    step("put --prev-kv=false a 3"),
    step("put a", "from stdin\nwith lines\n"),
    step("put a"),
    step("put"),
    Step(("put", "", "x")),
    Step(("put", "empty", "")),
    Step(("put", "with space", "é\tü\n")),
    step("put -- -k -v"),
    step("put a -v"),
    step("put x y z more"),
    step("put a b --lease zz"),
    step("put a b --lease 123"),
    step("put a --ignore-value"),
    step("put a x --ignore-value"),
    step("put a x --ignore-lease"),
    step("put absent --ignore-value"),
    step("put a 4 --prev-kv -w json"),
    step("put a 5 --prev-kv -w fields"),
    step("put a 5 --hex --prev-kv"),
    step("put --prev-kv=zz a 3"),
    # get
    step("get a"),
    step("get a --keys-only"),
    step("get a --print-value-only"),
    step("get a --print-value-only --keys-only"),
    step("get a --hex"),
    step("get a -w json"),
    step("get a -wjson"),
    step("get a -w=fields"),
    step("get absent"),
    step("get absent -w json"),
    step("get absent -w fields"),
    step("get a -w table"),
    step("get a -w bogus"),
    step("get a --write-out"),
    step("get a --count-only"),
    step("get a --count-only -w fields"),
    step("get a --keys-only --count-only"),
    step("get a --print-value-only -w json"),
    Step(("get", "", "--prefix")),
    Step(("get", "", "--from-key", "--keys-only", "-w", "json")),
    Step(("get", "")),
    step("get"),
    step("get a z"),
    step("get a z extra"),
    step("get a b --prefix"),
    step("get a --prefix --from-key"),
    step("get a --from-key -w fields"),
    step("get a z --limit 2 -w json"),
    step("get a z --limit 0x2"),
    step("get a --limit zz"),
    step("get a --limit 99999999999999999999"),
    step("get a --limit"),
    step("get a --bogus"),
    step("get a -z"),
    step("get a z --order descend"),
    step("get a z --order ASCEND --sort-by VALUE"),
    step("get a z --order DESCEND --sort-by modify --limit 1"),
    step("get a z --sort-by version"),
    step("get a --order XX"),
    step("get a --sort-by mod"),
    step("get a --consistency z"),
    step("get a --consistency s"),
    step("get a --rev 1000000"),
    step("get a --rev 3", history=True),
    step("get a --rev=-3"),
    step("get a --command-timeout 5"),
    step("get a --command-timeout 1ns"),
    step("get a --command-timeout 1m1.5s"),
    step("get a --dial-timeout 5x"),
    step("get -- -k"),
    step("get -- --prefix"),
    step("ge a"),
    step("--hex get a"),
    step("-w json get a"),
    # variables
    step("get a", ETCDCTL_HEX="true"),
    step("get a", ETCDCTL_WRITE_OUT="json"),
    step("get a", ETCDCTL_WRITE_OUT="bogus"),
    step("get a", ETCDCTL_API="3"),
    step("get a --endpoints=127.0.0.1:1"),
    step("get a -w simple", ETCDCTL_WRITE_OUT="json"),
    step("get --endpoints=127.0.0.1:1"),
    step("version --endpoints=127.0.0.1:1"),
    step("get a", ETCDCTL_ENDPOINTS="http://127.0.0.1:{port}/"),
    step("get a", ETCDCTL_ENDPOINTS="127.0.0.1:1,127.0.0.1:{port}"),
    step("get a --command-timeout 300ms", ETCDCTL_ENDPOINTS="127.0.0.1:1"),
    step("put a b --command-timeout 300ms", ETCDCTL_ENDPOINTS="127.0.0.1:1"),
    step("get a --command-timeout=0", ETCDCTL_ENDPOINTS="127.0.0.1:1"),
    # txn
    step("txn", "\n\n\n"),
    step("txn -i", "\n\n\n"),
    step("txn", 'val("a") = "5"\n\nput t 1\nget a\ndel absent\n\nget absent\n\n'),
    step("txn", 'val("a") = "wrong"\nmod("a") > "0"\n\nput t 2\n\nget t\nput f 1\n\n'),
    step("txn -w json", 'c("t") > "0"\nver("t") < "9"\n\nput u 1\nget t --prefix\ndel f --prev-kv\n\n\n'),
    step("txn -w json", 'm("t") = "0"\n\n\nget t\n\n'),
    step("txn -w fields", 'create("t") != "0"\n\nput u 2 --prev-kv\nget t\ndel f\nget t --count-only\n\n\n'),
    step("txn --hex", "\nget t\n\n\n"),
    step("txn", '\nput "q 1" "v\\n\\x41\\101\\u00e9 \\"x\\""\nget "q 1"\n\n\n'),
    step("txn", '\nput w a"b"c\nget w\n\n\n'),
    step("txn", '  version("t") > "0"  \n   \n  get t  \n\n\n'),
    step("txn", "\npu t 3\n\n\n"),
    step("txn", "\nget t --prefix --limit 1 --order DESCEND\nget t --keys-only\n\n\n"),
    step("txn", "\nput -- -k x\nget -- -k\n\n\n"),
    step("txn", 'val(`t`) > "0" trailing\n\nget t\n\n\n'),
    step("txn", "bogus\n\n\n"),
    step("txn", 'bogus("key1") = "nope"\n\n\n'),
    step("txn", 'val(key1) = "nope"\n\n\n'),
    step("txn", 'val("key1") = nope\n\n\n'),
    step("txn", 'val("key1") ="nope"\n\n\n'),
    step("txn", 'val ("key1") = "nope"\n\n\n'),
    step("txn", 'ver("a") = "x"\n\n\n'),
    step("txn", "\nfrob key1\n\n\n"),
    step("txn", "\nfrob\n\n\n"),
    step("txn", "\nput a\n\n\n"),
    step("txn", "\nput a b --bogus\n\n\n"),
    step("txn", "\nget --prefix\n\n\n"),
    step("txn", "\nget a --order ZZ\n\n\n"),
    step("txn", "\ndel a b c\n\n\n"),
    step("txn", "\nput k v --lease zz\n\n\n"),
    step("txn", "\nput k v --lease 123\n\n\n"),
    step("txn", "\nput k v\nput k w\n\n\n"),
    step("txn", '\nput k "\\q"\n\n\n'),
    step("txn x"),
    step("txn -w bogus", "bogus\n\n\n"),
    step("txn -w table", "\n\n\n"),
    # del
    step("del absent"),
    step("del absent -w json"),
    step("del u --prev-kv"),
    step("del t -w fields --prev-kv"),
    step("del w x --range"),
    step("del"),
    step("del a b c"),
    step("del a b --prefix"),
    step("del a --prefix --from-key"),
    step("del absent -w table"),
    Step(("del", "", "--prefix", "-w", "json", "--prev-kv")),
    Step(("del", "", "--from-key")),
    # endpoint, version, help and what does not exist
    step("endpoint health"),
    step("endpoint health -w json"),
    step("endpoint health -w fields"),
    step("endpoint health -w table"),
    step("endpoint health -w protobuf"),
    step("endpoint health --command-timeout 1ns"),
    step("endpoint health --command-timeout 500ms", ETCDCTL_ENDPOINTS="127.0.0.1:1,127.0.0.1:{port}"),
    step("endpoint health --command-timeout 500ms -w json", ETCDCTL_ENDPOINTS="127.0.0.1:1,127.0.0.1:{port}"),
    step("end he extra"),
    step("endpoint h"),
    step("endpoint"),
    step("endpoint bogus"),
    step("version"),
    step("version -w json"),
    step("version --bogus"),
    step("help"),
    step("help get"),
    step("help bogus"),
    step("get -h"),
    step(""),
    step("bogus"),
    step("puy"),
    step("--bogus"),
    step("-z"),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a user or a script sees of a command."""

    code: int
    out: str
    error: str


def environment(command: Step, port: int) -> dict[str, str]:
    variables = {"ETCDCTL_ENDPOINTS": ENDPOINT} | dict(command.environ)
    return {name: value.replace("{port}", str(port)) for name, value in variables.items()}


def play_theirs(program: str, port: int) -> list[Outcome]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ETCD")}
    outcomes = []
    for command in SCRIPT:
        done = subprocess.run(
            [program, *command.words],
            input=command.stdin.encode(),
            capture_output=True,
            check=False,
            env=clean | environment(command, port),
            timeout=30,
        )
        outcomes.append(outcome(done.returncode, done.stdout, done.stderr))
    return outcomes


def play_ours(port: int) -> list[Outcome]:
    """In this process: its own start-up is test_main's subject, and would take most of the time here."""
    outcomes = []
    for command in SCRIPT:
        out, err = BytesIO(), BytesIO()
        code = run(command.words, environment(command, port), Console(BytesIO(command.stdin.encode()), out, err))
        outcomes.append(outcome(code, out.getvalue(), err.getvalue()))
    return outcomes


def outcome(code: int, out: bytes, err: bytes) -> Outcome:
    errors = [line for line in err.decode(errors="replace").splitlines() if line.startswith("Error: ")]
    return Outcome(code, mask(out.decode(errors="replace")), mask(errors[-1]) if errors else "")


def mask(text: str) -> str:
    """Takes out what differs between two runs or is the tool's own name."""
    for pattern, replacement in MASKS:
        text = re.sub(pattern, replacement, text)
    if text.startswith("+-"):  # cells, not borders: their width depends on what is masked
        text = "\n".join(re.sub(r"[\s|+-]+", " ", line) for line in text.splitlines())
    return text.replace("raftgatectl", "etcdctl")


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
    started: list[servers.Server] = []

    try:
        for command in ([etcd], [etcd], servers.raftgate_command()):
            started.append(servers.start(command, tmp_path_factory.mktemp("member")))
        return Played(
            theirs=play_theirs(etcdctl, started[0].client_port),
            ours=play_ours(started[1].client_port),
            alone=play_ours(started[2].client_port),
        )
    finally:
        for server in started:
            server.process.kill()


def differences(theirs: list[Outcome], ours: list[Outcome], *, with_history: bool = True) -> str:
    return "\n".join(
        f"{command}\n  etcdctl     {expected}\n  raftgatectl {actual}"
        for command, expected, actual in zip(SCRIPT, theirs, ours, strict=True)
        if expected != actual and (with_history or not command.needs_history)
    )


def test_the_script_is_long_and_meets_all_kinds_of_ends(played: Played) -> None:
    assert len(SCRIPT) >= 150
    assert {outcome.code for outcome in played.theirs} == {0, 1, 3, 4, 128}
    assert len({outcome.error for outcome in played.theirs}) > 40


def test_both_tools_on_etcd(played: Played) -> None:
    assert differences(played.theirs, played.ours) == ""


def test_etcdctl_on_etcd_and_raftgatectl_on_raftgate(played: Played) -> None:
    assert differences(played.theirs, played.alone, with_history=False) == ""
