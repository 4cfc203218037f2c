import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from raftgate.api.kv import RangeResponse
from raftgate.ctl.commands import ROOT, find
from raftgate.ctl.usage import render
from tests.fakes.terminal import FakeServer, Terminal, failure


def test_an_unknown_verb_is_told_twice_around_a_hint() -> None:
    outcome = Terminal().run("bogus")
    line = 'Error: unknown command "bogus" for "raftgatectl"\n'
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == f"{line}Run 'raftgatectl --help' for usage.\n{line}"


@pytest.mark.parametrize("words", [["get", "a", "--bogus"], ["--bogus"], ["endpoint", "health", "--bogus"]])
def test_an_unknown_flag_is_told_twice_and_usage_goes_to_stdout(words: list[str]) -> None:
    outcome = Terminal().run(*words)
    assert outcome.code == 1
    assert outcome.err == "Error: unknown flag: --bogus\n\nError: unknown flag: --bogus\n"
    assert outcome.out == render(find(ROOT, [word for word in words if word != "--bogus"]))


@pytest.mark.parametrize("words", [[], ["--"], ["-h"], ["--help"], ["--", "get", "a"], ["-w", "json"]])
def test_no_verb_prints_the_usage(words: list[str]) -> None:
    outcome = Terminal().run(*words)
    assert (outcome.code, outcome.out, outcome.err) == (0, render(find(ROOT, [])), "")


def test_a_flag_beside_its_variable_prints_only_the_log_line() -> None:
    outcome = Terminal(environ={"ETCDCTL_ENDPOINTS": "a:1"}).run("get", "k", "--endpoints=b:1")
    assert (outcome.code, outcome.out, outcome.error) == (1, "", "")
    assert '"environment-variable":"ETCDCTL_ENDPOINTS"' in outcome.err


def test_a_command_that_has_told_everything_prints_no_error_line() -> None:
    server = FakeServer({"/v3/maintenance/status": failure(503, 14, "etcdserver: no leader")})
    outcome = Terminal(server).run("endpoint", "status", "--command-timeout=100ms")
    assert (outcome.code, outcome.out, outcome.error) == (1, "", "")
    assert outcome.err.startswith("Failed to get the status of endpoint 127.0.0.1:2379 (")


def test_arguments_are_judged_before_variables() -> None:
    outcome = Terminal(environ={"ETCDCTL_ENDPOINTS": "a:1"}).run("get", "--endpoints=b:1")
    assert outcome.code == 128


def test_help_false_runs_the_verb() -> None:
    assert Terminal(FakeServer({"/v3/kv/range": RangeResponse()})).run("get", "k", "--help=false").code == 0


def start(*words: str | bytes) -> subprocess.CompletedProcess[bytes]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ETCDCTL_")}
    command = [sys.executable, "-m", "raftgate.ctl", *words]
    root = Path(__file__).parents[3]
    return subprocess.run(command, capture_output=True, check=False, env=environ, cwd=root, stdin=subprocess.DEVNULL)


def test_the_process_exits_with_the_commands_code() -> None:
    result = start("put", "k")
    assert result.returncode == 128
    assert result.stderr == b"Error: put command needs 1 argument and input from stdin or 2 arguments\n"


def test_the_process_takes_words_that_are_not_utf8() -> None:
    result = start(b"get", b"k", b"--order", b"\xff")
    assert result.returncode == 4
    assert result.stderr == b"Error: bad sort order \xff\n"


def test_closed_streams_are_empty_ones() -> None:
    command = f"{shlex.quote(sys.executable)} -m raftgate.ctl put k <&- >&-"
    result = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, check=False)
    assert result.returncode == 128
    assert result.stderr == b"Error: put command needs 1 argument and input from stdin or 2 arguments\n"


def test_a_reader_that_leaves_is_no_traceback() -> None:
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run(
        [sys.executable, "-m", "raftgate.ctl", "help"], stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert (result.returncode, result.stderr) == (141, b"")
