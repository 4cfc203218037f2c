"""Servers for the black-box tests: each kind is started once, at its first use."""

import json
from collections.abc import Iterator

import pytest

from tests.e2e import servers
from tests.e2e.cluster import Program
from tests.e2e.golden import RECORDED_VERSION
from tests.e2e.runner import Flags, Running


@pytest.fixture(scope="session")
def raftgates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    def start(flags: Flags) -> servers.Server:
        return servers.start(servers.raftgate_command(), tmp_path_factory.mktemp("raftgate"), *flags)

    running = Running(start, takes_own_flags=True)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def etcds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    program = servers.find_peer("etcd")
    if program is None:
        pytest.skip("no etcd found (variable ETCD, PATH, installed peers)")

    def start(flags: Flags) -> servers.Server:
        return servers.start([program], tmp_path_factory.mktemp("etcd"), *flags)

    running = Running(start)
    try:
        _, client = running.with_flags()
        version = json.loads(client.send("GET", "/version", None, {}).body)["etcdserver"]
        if version != RECORDED_VERSION or b'"error"' in client.send("POST", "/v3/kv/range", b"{}", {}).body:
            pytest.skip(f"{program} is etcd {version}, whose answers are not the recorded ones of {RECORDED_VERSION}")
        yield running
    finally:
        running.stop()


@pytest.fixture
def raftgate(raftgates: Running) -> servers.Server:
    return raftgates.with_flags()[0]


@pytest.fixture(
    scope="module",
    params=["raftgate", pytest.param("etcd", marks=[pytest.mark.peer, pytest.mark.soak])],
)
def program(request: pytest.FixtureRequest) -> Program:
    if request.param == "raftgate":
        return Program("raftgate", servers.raftgate_command())
    found = servers.find_peer("etcd")
    if found is None:
        pytest.skip("no etcd found (variable ETCD, PATH, installed peers)")
    return Program("etcd", [found])
