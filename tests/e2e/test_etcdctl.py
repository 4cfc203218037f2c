"""Stock etcdctl speaks gRPC only: pointed at raftgate's client port it fails soon, with a reason to act on."""

import subprocess
import time

import pytest

from tests.e2e import servers
from tests.e2e.servers import Server

pytestmark = [pytest.mark.slow, pytest.mark.peer]

ALLOWED = 2.0


@pytest.fixture(scope="module")
def etcdctl() -> str:
    program = servers.find_peer("etcdctl")
    if program is None:
        pytest.skip("no etcdctl found (variable ETCDCTL, PATH, installed peers)")
    return program


@pytest.mark.parametrize(
    "arguments",
    [
        ["get", "foo"],
        ["put", "foo", "bar"],
        ["del", "foo"],
        ["endpoint", "status"],
        ["member", "list"],
        ["watch", "foo"],
    ],
    ids=" ".join,
)
def test_it_is_told_about_raftgatectl(arguments: list[str], etcdctl: str, raftgate: Server) -> None:
    started = time.monotonic()
    done = subprocess.run(
        [etcdctl, f"--endpoints=127.0.0.1:{raftgate.client_port}", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        env=servers.clean_environment(),
    )
    elapsed = time.monotonic() - started
    assert "raftgatectl" in done.stdout + done.stderr
    assert elapsed < ALLOWED
    assert arguments[0] == "watch" or done.returncode != 0
    assert raftgate.process.is_alive()
