"""What a command needs of SQLite, read before it is applied."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raftgate.api import errors
from raftgate.api.kv import (
    Compare,
    CompareTarget,
    DeleteRangeRequest,
    KeyValue,
    PutRequest,
    PutResponse,
    RangeRequest,
    RequestOp,
    ResponseHeader,
    SortTarget,
    TxnRequest,
)
from raftgate.api.message import Request
from storage.kv import NotInMemory
from storage.machine import Command, Machine
from tests.fakes.storage import apply, flush, open_machine

LARGE = b"x" * 100


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """a, b, c put twice, with values that are let go; d, whose value is small."""
    machine = open_machine(tmp_path, value_cache_bytes=0)
    for _ in range(2):
        for key in (b"a", b"b", b"c"):
            apply(machine, PutRequest(key, LARGE + key))
    apply(machine, PutRequest(b"d", b"small"))
    flush(machine)
    yield machine
    machine.close()


def range_op(key: bytes, range_end: bytes = b"", **options: Any) -> RequestOp:  # Any: fields of the request
    return RequestOp(request_range=RangeRequest(key, range_end, **options))


def put_op(key: bytes, **options: Any) -> RequestOp:  # Any: as above
    return RequestOp(request_put=PutRequest(key, **options))


def delete_op(key: bytes, range_end: bytes = b"", **options: Any) -> RequestOp:  # Any: as above
    return RequestOp(request_delete_range=DeleteRangeRequest(key, range_end, **options))


def value_of(key: bytes, value: bytes = b"") -> Compare:
    return Compare(target=CompareTarget.VALUE, key=key, value=value)


PUT = put_op(b"n")  # makes a transaction one that writes

# What is missing, round by round.
TABLE: list[tuple[str, Request[Any], list[list[int]]]] = [  # Any: whatever answers it
    ("put", PutRequest(b"a", b"1"), []),
    ("put with prev_kv", PutRequest(b"a", b"1", prev_kv=True), [[5]]),
    ("put with prev_kv of a small value", PutRequest(b"d", b"1", prev_kv=True), []),
    ("put with prev_kv of a new key", PutRequest(b"n", b"1", prev_kv=True), []),
    ("put with ignore_value", PutRequest(b"a", ignore_value=True), [[5]]),
    ("put with ignore_lease", PutRequest(b"a", ignore_lease=True), []),
    ("delete", DeleteRangeRequest(b"a", b"\0"), []),
    ("delete with prev_kv", DeleteRangeRequest(b"a", b"\0", prev_kv=True), [[5, 6, 7]]),
    ("compares of values, all at once", TxnRequest((value_of(b"a", LARGE), value_of(b"b")), (PUT,)), [[5, 6]]),
    ("compares of other things", TxnRequest((Compare(key=b"a", version=2),), (PUT,)), []),
    ("the branch taken", TxnRequest((value_of(b"a"),), (range_op(b"b"), PUT), (range_op(b"c"), PUT)), [[5], [7]]),
    ("a nested compare", TxnRequest(success=(RequestOp(request_txn=TxnRequest((value_of(b"b"),), (PUT,))),)), [[6]]),
    ("a range", TxnRequest(success=(range_op(b"a", b"\0"), PUT)), [[5, 6, 7]]),
    ("a range with a limit", TxnRequest(success=(range_op(b"a", b"\0", limit=1), PUT)), [[5]]),
    ("a limit behind deletes", TxnRequest(success=(delete_op(b"a"), range_op(b"a", b"\0", limit=1))), [[6]]),
    ("keys only", TxnRequest(success=(range_op(b"a", b"\0", keys_only=True), PUT)), []),
    ("keys only by value", TxnRequest(success=(range_op(b"a", b"\0", keys_only=True, sort_target=SortTarget.VALUE),
                                               PUT)), [[5, 6, 7]]),
    ("what the txn has put itself", TxnRequest(success=(put_op(b"a"), range_op(b"a"))), []),
    ("a past range", TxnRequest(success=(range_op(b"a", revision=2), PUT)), [[2]]),
    ("a past range in a nested txn", TxnRequest(success=(RequestOp(request_txn=TxnRequest(success=(
        range_op(b"a", b"\0", revision=3),))),)), [[2, 3]]),
    ("a past count", TxnRequest(success=(range_op(b"a", revision=2, count_only=True), PUT)), []),
    ("the state before it", TxnRequest(success=(put_op(b"a"), range_op(b"a", revision=8))), [[5]]),
    ("put options in a txn", TxnRequest(success=(put_op(b"a", prev_kv=True), put_op(b"b", ignore_value=True))),
     [[5, 6]]),
    ("delete in a txn", TxnRequest(success=(delete_op(b"c", prev_kv=True),)), [[7]]),
    ("a txn that fails", TxnRequest(success=(range_op(b"a", revision=99), PUT)), []),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "rounds"), [pytest.param(*each[1:], id=each[0]) for each in TABLE])
def test_what_is_missing(machine: Machine, request_: Request[Any], rounds: list[list[int]]) -> None:  # Any: as above
    command = Command(request_)
    before = (machine.revision, machine.pending_bytes, machine._kv.metrics.counts(), machine._kv.values.size)
    found = []
    while (missing := machine.missing(command)) is not None:
        found.append(sorted(row_id >> 24 for row_id in missing._stubs))
        missing.run()
        machine.supply(missing)
    assert found == rounds
    assert before == (machine.revision, machine.pending_bytes, machine._kv.metrics.counts(), machine._kv.values.size)
    machine.apply(machine.applied_index + 1, command)
    assert machine._kv.supplied == {}


def test_what_was_supplied_is_answered(machine: Machine) -> None:
    answer = apply(machine, PutRequest(b"a", b"1", prev_kv=True))
    assert answer == PutResponse(ResponseHeader(revision=9), KeyValue(b"a", 2, 5, 2, LARGE + b"a"))
    apply(machine, PutRequest(b"b", ignore_value=True))
    assert machine._kv.index.get(b"b") == KeyValue(b"b", 3, 10, 3, LARGE + b"b")


def test_to_apply_without_is_a_defect_that_changes_nothing(machine: Machine) -> None:
    with pytest.raises(NotInMemory):
        machine.apply(machine.applied_index + 1, Command(PutRequest(b"a", prev_kv=True)))
    assert (machine.revision, machine.applied_index) == (8, 7)


def test_values_let_go_between_two_rounds_are_asked_for_again(machine: Machine) -> None:
    command = Command(TxnRequest((value_of(b"a", LARGE + b"a"),), (range_op(b"n"), PUT)))
    missing = machine.missing(command)
    assert missing is not None
    missing.run()
    machine.supply(missing)
    assert machine.missing(command) is None
    answer = machine.apply(machine.applied_index + 1, command)
    assert not isinstance(answer, errors.EtcdError)
    assert answer.succeeded  # type: ignore[attr-defined]  # it answers a transaction


def test_a_past_range_needs_no_evicted_value(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    machine = open_machine(tmp_path / "other")
    for value in (b"1", b"2"):
        apply(machine, PutRequest(b"a", value))
        flush(machine)
    answer = apply(machine, TxnRequest(success=(range_op(b"a", revision=2), PUT)))
    assert not isinstance(answer, errors.EtcdError)
    ranged = answer.responses[0].response_range  # type: ignore[attr-defined]  # as above
    assert ranged.kvs == (KeyValue(b"a", 2, 2, 1, b"1"),)
    machine.close()
