import subprocess
import sys

from raftgate import __version__
from tests.fakes.terminal import Terminal


def test_prints_program_and_api_version() -> None:
    expected = (0, f"raftgatectl version: {__version__}\nAPI version: 3.6\n", "")
    for words in (["version"], ["version", "word"], ["version", "-w", "bogus"], ["ver"]):
        outcome = Terminal().run(*words)
        assert (outcome.code, outcome.out, outcome.err) == expected


def test_does_not_look_at_the_environment() -> None:
    outcome = Terminal(environ={"ETCDCTL_ENDPOINTS": "x"}).run("version", "--endpoints=y")
    assert outcome.code == 0


def test_loads_neither_http_client_nor_messages() -> None:
    code = (
        "import os, sys; from raftgate.ctl.__main__ import run; from raftgate.ctl.invocation import Console;"
        "code = run(['version'], {}, Console(sys.stdin.buffer, sys.stdout.buffer, sys.stderr.buffer));"
        "heavy = {'httpx', 'msgspec', 'asyncio', 'argparse'} & set(sys.modules);"
        "sys.exit(f'loaded {heavy}' if heavy else code)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert result.returncode == 0, result.stderr
