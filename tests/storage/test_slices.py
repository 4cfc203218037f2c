"""Large commands in slices: the same answers, errors, rows and state as when applied at once."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftgate.api import errors
from raftgate.api.kv import (
    Compare,
    CompareTarget,
    DeleteRangeRequest,
    DeleteRangeResponse,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)
from raftgate.api.lease import LeaseRevokeRequest
from raftgate.api.maintenance import AlarmAction, AlarmRequest, AlarmType
from raftgate.api.message import Request
from storage.machine import Command, Machine
from storage.slices import touched
from tests.fakes.kv_model import PUTS, TXNS
from tests.fakes.storage import apply, flush, open_machine, outcome, read

LARGE = b"x" * 100


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """k00 to k19, every other value let go, with slices of two keys."""
    machine = open_machine(tmp_path, large=4, value_cache_bytes=0)
    for n in range(20):
        apply(machine, PutRequest(b"k%02d" % n, LARGE if n % 2 else b"s"))
    apply(machine, DeleteRangeRequest(b"k19"))
    flush(machine)
    yield machine
    machine.close()


def range_op(key: bytes = b"k", range_end: bytes = b"\0", **options: Any) -> RequestOp:  # Any: fields of the request
    return RequestOp(request_range=RangeRequest(key, range_end, **options))


def delete_op(key: bytes, range_end: bytes = b"", **options: Any) -> RequestOp:  # Any: as above
    return RequestOp(request_delete_range=DeleteRangeRequest(key, range_end, **options))


def put_op(key: bytes, **options: Any) -> RequestOp:  # Any: as above
    return RequestOp(request_put=PutRequest(key, **options))


TOUCHED_TABLE: list[tuple[str, Request[Any], int]] = [  # Any: whatever answers it
    ("put", PutRequest(b"k00"), 1),
    ("delete: it may be a sweep", DeleteRangeRequest(b"k", b"\0"), 1),
    ("delete with prev_kv", DeleteRangeRequest(b"k", b"\0", prev_kv=True), 19),
    ("delete of one key", DeleteRangeRequest(b"k", prev_kv=True), 1),
    ("compare of a range", TxnRequest((Compare(key=b"k", range_end=b"\0"),)), 19),
    ("compare of a key", TxnRequest((Compare(key=b"k"),)), 1),
    ("both branches", TxnRequest(success=(put_op(b"k"),), failure=(range_op(),)), 20),
    ("range with a limit", TxnRequest(success=(range_op(limit=5),)), 5),
    ("sorted range with a limit", TxnRequest(success=(range_op(limit=5, min_mod_revision=1),)), 19),
    ("count", TxnRequest(success=(range_op(count_only=True),)), 1),
    ("past range: keys that are gone too", TxnRequest(success=(range_op(revision=3),)), 20),
    ("delete in a txn", TxnRequest(success=(delete_op(b"k", b"k05"),)), 5),
    ("revoke", LeaseRevokeRequest(7), 0),
    ("nested", TxnRequest(success=(RequestOp(request_txn=TxnRequest(success=(range_op(),))),)), 19),
]


@pytest.mark.parametrize(("request_", "keys"), [pytest.param(*each[1:], id=each[0]) for each in TOUCHED_TABLE])
def test_how_many_keys_are_touched(machine: Machine, request_: Request[Any], keys: int) -> None:  # Any: as above
    assert touched(machine._kv, request_) == keys
    is_write = isinstance(request_, TxnRequest | DeleteRangeRequest)
    assert machine.is_large(Command(request_)) == (is_write and keys > 4)


def test_others_get_their_turn(machine: Machine) -> None:
    command = Command(DeleteRangeRequest(b"k", b"k10", prev_kv=True))
    steps = machine.apply_in_slices(machine.applied_index + 1, command)
    turns, reads = 0, 0
    for missing in steps:
        if missing is None:
            turns += 1
        else:
            reads += 1
            missing.run()
    assert turns >= 5
    assert reads == 5
    assert machine.missing(command) is None
    assert isinstance(machine.sliced_result, DeleteRangeResponse)


def finish(machine: Machine, request: Request[Any]) -> Any:  # Any: whatever answers it
    steps = machine.apply_in_slices(machine.applied_index + 1, Command(request))
    while True:
        try:
            missing = next(steps)
        except StopIteration as end:
            return end.value
        if missing is not None:
            missing.run()


def test_what_lies_in_sqlite_is_read_between_the_slices(machine: Machine) -> None:
    answer = finish(machine, DeleteRangeRequest(b"k", b"k04", prev_kv=True))
    assert machine.sliced_result == answer
    assert [kv.value for kv in answer.prev_kvs] == [b"s", LARGE, b"s", LARGE]


def test_what_is_missing_has_to_be_read(machine: Machine) -> None:
    steps = machine.apply_in_slices(machine.applied_index + 1, Command(DeleteRangeRequest(b"k", b"\0", prev_kv=True)))
    with pytest.raises(RuntimeError, match="was not read"):
        list(steps)
    assert machine.applied_index == 21


def test_commits_between_the_slices_let_nothing_go_that_is_needed(machine: Machine) -> None:
    request = TxnRequest(success=(put_op(b"k00", value=LARGE), range_op(), put_op(b"k00", ignore_value=True)))
    for missing in machine.apply_in_slices(machine.applied_index + 1, Command(request)):
        if missing is not None:
            missing.run()
        flush(machine)
    assert machine._kv.index.get(b"k00") is not None
    assert read(machine, RangeRequest(b"k00")).kvs[0].value == LARGE


@pytest.mark.parametrize(
    "failing",
    [
        pytest.param(put_op(b"k05", ignore_value=True), id="a put that has lost its key"),
        pytest.param(put_op(b"k05", lease=5), id="in the pre-check"),
    ],
)
def test_an_error_takes_back_everything(machine: Machine, failing: RequestOp) -> None:
    before = read(machine, RangeRequest(b"k", b"\0")), machine.pending_bytes
    answer = finish(machine, TxnRequest(success=(put_op(b"n"), delete_op(b"k", b"\0"), failing)))
    assert isinstance(answer, errors.EtcdError)
    assert before == (read(machine, RangeRequest(b"k", b"\0")), machine.pending_bytes)
    assert machine.applied_index == 22


def test_steps_given_up_take_back_everything(machine: Machine) -> None:
    before = read(machine, RangeRequest(b"k", b"\0"))
    steps = machine.apply_in_slices(machine.applied_index + 1, Command(TxnRequest(success=(delete_op(b"k", b"\0"),))))
    for _ in range(4):
        next(steps)
    steps.close()
    assert read(machine, RangeRequest(b"k", b"\0")) == before
    assert machine.applied_index == 21


def test_alarms_hold_for_slices_too(machine: Machine) -> None:
    request = DeleteRangeRequest(b"k", b"\0", prev_kv=True)
    for alarm, error in ((AlarmType.NOSPACE, None), (AlarmType.CORRUPT, errors.Corrupt)):
        apply(machine, AlarmRequest(AlarmAction.ACTIVATE, 1, alarm))
        answer = finish(machine, request)
        assert isinstance(answer, errors.EtcdError) == (error is not None)
        if error is not None:
            assert isinstance(answer, error)


def test_entries_come_one_after_the_other(machine: Machine) -> None:
    with pytest.raises(ValueError, match="cannot follow"):
        next(machine.apply_in_slices(1, Command(DeleteRangeRequest(b"k", b"\0", prev_kv=True))))


def test_a_value_compare_over_a_range(machine: Machine) -> None:
    holds = Compare(target=CompareTarget.VALUE, key=b"k", range_end=b"\0", value=LARGE)
    assert not finish(machine, TxnRequest((holds,), (put_op(b"n"),))).succeeded
    finish(machine, TxnRequest(success=tuple(put_op(b"k%02d" % n, value=LARGE) for n in range(19))))
    flush(machine)
    assert finish(machine, TxnRequest((holds,), (put_op(b"n"),))).succeeded


WHOLE = st.builds(RequestOp, request_range=st.builds(RangeRequest, key=st.just(b"\0"), range_end=st.just(b"\0")))
BIG_TXNS = st.builds(lambda txn, op: TxnRequest(txn.compare, (*txn.success, op), txn.failure), TXNS, WHOLE)


def applied(large: int, requests: list[Request[Any]], flushes: list[int]) -> object:  # Any: as above
    with TemporaryDirectory() as name:
        machine = open_machine(Path(name), large=large, value_cache_bytes=0)
        answers: list[Any] = []
        for n, request in enumerate(requests):
            answers.append(outcome(apply(machine, request)))
            if n in flushes:
                flush(machine)
        flush(machine)
        with machine.database.connect() as connection:
            rows = connection.exec_driver_sql("SELECT * FROM history ORDER BY id").fetchall()
        kv = machine._kv
        state = (kv.revision, kv.history._codes, list(kv.history.gone), list(kv.index.keys), kv.metrics.counts())
        found = read(machine, RangeRequest(b"\0", b"\0"))
        machine.close()
        return answers, rows, state, found


@settings(deadline=None, max_examples=40)
@given(st.lists(PUTS | BIG_TXNS, max_size=6), st.lists(st.integers(0, 5), max_size=3))
def test_slices_do_not_show(requests: list[Request[Any]], flushes: list[int]) -> None:  # Any: as above
    assert applied(1, requests, flushes) == applied(1000, requests, flushes)
