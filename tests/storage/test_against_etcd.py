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

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raftgate.api import json_codec
from raftgate.api.errors import EtcdError
from raftgate.api.kv import (
    CompactionRequest,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)
from raftgate.api.message import Message
from storage.machine import Machine
from storage.validation import check, is_read_only
from tests.fakes.kv_model import DELETES, PUTS, RANGES, READ_TXNS, READS, TXNS, WRITES
from tests.fakes.storage import apply, compact_step, finish_compaction, flush, open_machine, read, read_txn

PATHS = {
    RangeRequest: "range",
    PutRequest: "put",
    DeleteRangeRequest: "deleterange",
    TxnRequest: "txn",
    CompactionRequest: "compaction",
}
KvRequest = RangeRequest | PutRequest | DeleteRangeRequest | TxnRequest | CompactionRequest

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
    machine = open_machine(tmp_path_factory.mktemp("kv"), value_cache_bytes=200, large=3)
    yield machine
    machine.close()


def ours(machine: Machine, request: KvRequest) -> Any:  # Any: JSON
    answer: Message | EtcdError
    try:
        check(request)
        if isinstance(request, RangeRequest):
            answer = read(machine, request)
        elif isinstance(request, TxnRequest) and is_read_only(request):
            answer = read_txn(machine, request)
        else:
            answer = apply(machine, request)
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
    """Leaves out what crashes etcd: a put that needs a key which the txn has deleted."""
    ops = list(operations(request))
    puts = [op.request_put for op in ops if op.request_put is not None]
    may_crash = any(put.ignore_value or put.ignore_lease for put in puts) and any(op.request_delete_range for op in ops)
    return not may_crash


@settings(deadline=None, max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(WRITES | READS, min_size=5, max_size=20))
def test_answers_are_equal(machine: Machine, etcd: http.client.HTTPConnection, requests: list[KvRequest]) -> None:
    for request in filter(is_comparable, requests):
        revision = machine.revision
        assert ours(machine, request) == theirs(etcd, request), f"at revision {revision}: {request}"


# Revisions are named by how far back they are, since both stores go on from test to test.
PAST = st.builds(
    lambda request, back: (request, back),
    RANGES | READ_TXNS | TXNS | st.builds(CompactionRequest, physical=st.booleans()),
    st.integers(-1, 25),
)


def at(request: KvRequest, revision: int) -> KvRequest:
    """The request with each of its revisions put in the place of none."""
    if isinstance(request, TxnRequest):
        branches = {
            name: tuple(
                msgspec.structs.replace(op, request_range=at(op.request_range, revision))
                if op.request_range is not None
                else op
                for op in getattr(request, name)
            )
            for name in ("success", "failure")
        }
        return msgspec.structs.replace(request, **branches)
    if isinstance(request, RangeRequest | CompactionRequest):
        return msgspec.structs.replace(request, revision=revision)
    return request


@settings(deadline=None, max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PUTS | DELETES, max_size=8), st.lists(PAST, min_size=5, max_size=15), st.integers(0, 3))
def test_the_past_is_equal(
    machine: Machine,
    etcd: http.client.HTTPConnection,
    writes: list[KvRequest],
    reads: list[tuple[KvRequest, int]],
    steps: int,
) -> None:
    for write in filter(is_comparable, writes):
        assert ours(machine, write) == theirs(etcd, write)
    flush(machine)
    for request, back in reads:
        asked = at(request, max(machine.revision - back, 0))
        if not is_comparable(asked):
            continue
        context = f"at revision {machine.revision}, compacted {machine.compact_revision}: {asked}"
        assert ours(machine, asked) == theirs(etcd, asked), context
        for _ in range(steps):
            compact_step(machine)


def test_every_revision_of_a_small_history_through_every_compaction(
    machine: Machine, etcd: http.client.HTTPConnection
) -> None:
    """kv.md 7.3: compact at every revision, read each key at each revision."""
    first = machine.revision
    keys = [b"h1", b"h2", b"h3"]
    for n in range(12):
        key = keys[n % 3]
        write: KvRequest = DeleteRangeRequest(key) if n % 5 == 4 else PutRequest(key, b"%d" % n)
        assert ours(machine, write) == theirs(etcd, write)
    for compacted in range(first, machine.revision + 1):
        compaction = CompactionRequest(compacted, physical=True)
        assert ours(machine, compaction) == theirs(etcd, compaction)
        finish_compaction(machine)
        for revision in range(first, machine.revision + 2):
            for key in keys:
                request = RangeRequest(key, revision=revision)
                assert ours(machine, request) == theirs(etcd, request), (compacted, request)
