"""Random requests to the machine and to a real etcd, side by side: every answer and every error must be equal."""

import http.client
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from raftgate.api import json_codec
from raftgate.api.errors import EtcdError
from raftgate.api.kv import DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest
from raftgate.api.message import Message
from storage.machine import Command, Machine
from storage.metrics import Metrics
from storage.options import Options
from storage.validation import check, is_read_only
from tests.fakes.kv_model import RANGES, WRITES

PATHS = {RangeRequest: "range", PutRequest: "put", DeleteRangeRequest: "deleterange", TxnRequest: "txn"}
KvRequest = RangeRequest | PutRequest | DeleteRangeRequest | TxnRequest

pytestmark = pytest.mark.peer


def etcd_program() -> str:
    found = shutil.which("etcd") or shutil.which("etcd", path=str(Path.home() / ".cache/raftgate-peers/bin"))
    if found is None:
        pytest.skip("etcd is not installed")
    return found


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[http.client.HTTPConnection]:
    client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    arguments = {
        "data-dir": str(tmp_path_factory.mktemp("etcd")),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
    }
    command = [etcd_program(), "--unsafe-no-fsync", *(f"--{name}={value}" for name, value in arguments.items())]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=environ)
    assert process.stderr is not None
    log = process.stderr
    assert any(b"ready to serve client requests" in line for line in log), "etcd did not start"
    Thread(target=log.read, daemon=True).start()  # or it would stop when the pipe is full
    connection = http.client.HTTPConnection(client.removeprefix("http://"), timeout=30)
    yield connection
    connection.close()
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    machine = Machine.open(tmp_path_factory.mktemp("kv") / "kv.db", Options(), Metrics(CollectorRegistry()))
    yield machine
    machine.close()


def ours(machine: Machine, request: KvRequest) -> Any:  # Any: JSON
    answer: Message | EtcdError
    try:
        check(request)
        if isinstance(request, RangeRequest):
            answer = machine.range(request)
        elif isinstance(request, TxnRequest) and is_read_only(request):
            answer = machine.txn(request)
        else:
            answer = machine.apply(machine.applied_index + 1, Command(request))
    except EtcdError as error:
        answer = error
    if isinstance(answer, EtcdError):
        return {"message": answer.text, "code": answer.code}
    return json.loads(json_codec.encode(answer))


def theirs(etcd: http.client.HTTPConnection, request: KvRequest) -> Any:  # Any: JSON
    etcd.request("POST", f"/v3/kv/{PATHS[type(request)]}", json_codec.encode(request))
    answer = json.loads(etcd.getresponse().read())
    answer.pop("error", None)  # the same text again, in some versions
    header = answer.get("header", {})
    for name in ("cluster_id", "member_id", "raft_term"):
        header.pop(name, None)
    return answer


def operations(request: KvRequest) -> Iterator[RequestOp]:
    if isinstance(request, TxnRequest):
        for op in (*request.success, *request.failure):
            yield op
            if op.request_txn is not None:
                yield from operations(op.request_txn)


def is_comparable(request: KvRequest) -> bool:
    """Leaves out what is not served yet, and what crashes etcd: a put that needs a key which the txn has deleted."""
    ops = list(operations(request))
    puts = [op.request_put for op in ops if op.request_put is not None]
    may_crash = any(put.ignore_value or put.ignore_lease for put in puts) and any(op.request_delete_range for op in ops)
    return not may_crash and all(op.request_range is None or op.request_range.revision <= 1 for op in ops)


@settings(deadline=None, max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(WRITES | RANGES, min_size=5, max_size=20))
def test_answers_are_equal(machine: Machine, etcd: http.client.HTTPConnection, requests: list[KvRequest]) -> None:
    for request in filter(is_comparable, requests):
        revision = machine.revision
        mine = ours(machine, request)
        if mine.get("code") == 12:  # revision 1 is past: not served yet
            continue
        assert mine == theirs(etcd, request), f"at revision {revision}: {request}"
