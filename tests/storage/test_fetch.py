"""Reads in three steps, and what they hold back; what is read is shown by test_model.py."""

from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from raftgate.api import errors
from raftgate.api.kv import (
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRangeRequest,
    KeyValue,
    PutRequest,
    RangeRequest,
    RangeResponse,
    RequestOp,
    ResponseHeader,
    ResponseOp,
    SortOrder,
    SortTarget,
    TxnRequest,
    TxnResponse,
)
from storage.fetch import Fetch
from storage.gathering import Gathering
from storage.machine import Command, Machine
from storage.row import Stub
from tests.fakes.storage import apply, finish, flush, open_machine, read, read_txn

LARGE = b"x" * 100
VALUE = CompareTarget.VALUE


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """k00 to k19, each put twice; the values of the second are large, and let go of."""
    machine = open_machine(tmp_path, value_cache_bytes=0, large=2)
    for value in (b"old", LARGE):
        for n in range(20):
            apply(machine, PutRequest(b"k%02d" % n, value))
    flush(machine)
    yield machine
    machine.close()


def fetch(machine: Machine, **options: Any) -> Fetch[RangeResponse]:  # Any: fields of the request
    answer = machine.range(RangeRequest(**options))
    assert isinstance(answer, Fetch)
    return answer


def range_op(**options: Any) -> RequestOp:  # Any: as above
    return RequestOp(request_range=RangeRequest(**options))


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"key": b"k01"}, id="a value that was let go"),
        pytest.param({"key": b"k01", "revision": 5}, id="a past one"),
        pytest.param({"key": b"k01", "keys_only": True, "revision": 22}, id="metadata of the past"),
    ],
)
def test_what_lies_in_sqlite_takes_a_fetch(machine: Machine, options: dict[str, Any]) -> None:  # Any: as above
    got = fetch(machine, **options)
    assert got.is_collected
    assert got.run() == read(machine, RangeRequest(**options))
    got.close()


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"key": b"k01", "keys_only": True}, id="metadata of a value that was let go"),
        pytest.param({"key": b"k01", "count_only": True, "revision": 5}, id="a past count"),
        pytest.param({"key": b"none"}, id="nothing"),
        pytest.param({"key": b"none", "revision": 5}, id="nothing in the past"),
        pytest.param({"key": b"k19", "revision": 5}, id="before the key was there"),
    ],
)
def test_what_memory_knows_is_answered_at_once(machine: Machine, options: dict[str, Any]) -> None:  # Any: as above
    assert isinstance(machine.range(RangeRequest(**options)), RangeResponse)
    assert machine._kv._readers == {}


def test_rows_that_are_pending_are_answered_at_once(machine: Machine) -> None:
    apply(machine, PutRequest(b"new", b"1"))
    apply(machine, PutRequest(b"new", b"2"))
    batch = machine.batch()
    apply(machine, PutRequest(b"new", b"3"))
    for back, value in ((1, b"2"), (2, b"1")):
        answer = machine.range(RangeRequest(b"new", revision=machine.revision - back))
        assert isinstance(answer, RangeResponse)
        assert answer.kvs[0].value == value
    assert batch is not None
    machine.writer.flush(batch)
    machine.committed(batch)
    assert finish(fetch(machine, key=b"new", revision=machine.revision - 1)).kvs[0].value == b"2"


def test_a_large_range_is_collected_in_pieces(machine: Machine) -> None:
    got = fetch(machine, key=b"k", range_end=b"\0")
    assert not got.is_collected
    with pytest.raises(RuntimeError, match="not everything is collected"):
        got.run()
    assert [len(list(got.collect())) for _ in range(2)] == [10, 0]
    assert got.run().count == 20
    got.close()


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"limit": 3}, id="that is cut early"),
        pytest.param({"count_only": True}, id="that is counted"),
    ],
)
def test_a_short_answer_of_a_large_range_is_given_at_once(tmp_path: Path, options: dict[str, Any]) -> None:
    # Any: fields of the request
    (tmp_path / "other").mkdir()
    machine = open_machine(tmp_path / "other", large=2)
    for n in range(20):
        apply(machine, PutRequest(b"k%02d" % n))
    assert isinstance(machine.range(RangeRequest(b"k", b"\0", **options)), RangeResponse)
    assert isinstance(machine.range(RangeRequest(b"k", b"\0", limit=15)), Fetch)
    machine.close()


def test_the_revision_is_held_until_the_fetch_is_closed(machine: Machine) -> None:
    one, two = fetch(machine, key=b"k01", revision=30), fetch(machine, key=b"k01", revision=30)
    three = fetch(machine, key=b"k01")
    assert machine._kv.lowest_read() == 30
    one.close()
    one.close()
    assert machine._kv.lowest_read() == 30
    two.close()
    assert machine._kv.lowest_read() == machine.revision
    apply(machine, PutRequest(b"k01"))
    assert machine._kv.lowest_read() == machine.revision - 1
    three.close()
    assert machine._kv._readers == {}


def test_run_in_a_thread_while_the_loop_writes(machine: Machine) -> None:
    got = fetch(machine, key=b"k", range_end=b"\0", revision=41)
    for _ in got.collect():
        apply(machine, PutRequest(b"k05", b"later"))
        apply(machine, DeleteRangeRequest(b"k1", b"k2"))
    answers: list[RangeResponse] = []
    thread = Thread(target=lambda: answers.append(got.run()))
    thread.start()
    for n in range(50):
        apply(machine, PutRequest(b"k%02d" % (n % 20), b"later"))
        flush(machine)
    thread.join()
    got.close()
    assert [(kv.mod_revision, kv.value) for kv in answers[0].kvs] == [(22 + n, LARGE) for n in range(20)]
    assert answers[0].header == ResponseHeader(revision=41)


@pytest.mark.parametrize(
    ("revision", "error"),
    [pytest.param(42, errors.FutureRev, id="future"), pytest.param(1, errors.Compacted, id="compacted")],
)
def test_refused_revisions_leave_nothing_registered(
    machine: Machine, revision: int, error: type[errors.EtcdError]
) -> None:
    machine._kv.compact_revision = 2
    past = range_op(key=b"k01", revision=20)
    with pytest.raises(error):
        machine.range(RangeRequest(b"k01", revision=revision))
    with pytest.raises(error):
        read_txn(machine, TxnRequest(success=(past, range_op(key=b"k01", revision=revision))))
    assert machine._kv._readers == {}


def test_a_txn_of_past_ranges(machine: Machine) -> None:
    answer = read_txn(
        machine,
        TxnRequest(
            (Compare(target=VALUE, key=b"k03", value=LARGE),),
            (range_op(key=b"k03", revision=5), range_op(key=b"k03"), range_op(key=b"k03", revision=4)),
            (range_op(key=b"k04"),),
        ),
    )
    header = ResponseHeader(revision=41)
    old, new = KeyValue(b"k03", 5, 5, 1, b"old"), KeyValue(b"k03", 5, 25, 2, LARGE)
    assert answer == TxnResponse(
        header,
        True,
        (
            ResponseOp(response_range=RangeResponse(header, (old,), count=1)),
            ResponseOp(response_range=RangeResponse(header, (new,), count=1)),
            ResponseOp(response_range=RangeResponse(header)),
        ),
    )


def test_the_branch_not_taken_is_not_checked(machine: Machine) -> None:
    future = range_op(key=b"k01", revision=99)
    fails = Compare(CompareResult.NOT_EQUAL, VALUE, key=b"k03", value=LARGE)
    answer = read_txn(machine, TxnRequest((fails,), (future,), (range_op(key=b"k01", revision=5),)))
    assert not answer.succeeded
    with pytest.raises(errors.FutureRev):
        read_txn(machine, TxnRequest((fails,), (range_op(key=b"k01"),), (future,)))
    with pytest.raises(errors.Compacted):
        read_txn(machine, TxnRequest((fails,), (), (range_op(key=b"k01", revision=-2), range_op(key=b"k01"))))


def test_a_txn_over_many_keys_is_collected_in_pieces(machine: Machine) -> None:
    whole = {"key": b"k", "range_end": b"\0"}
    holds = Compare(target=VALUE, value=LARGE, **whole)  # type: ignore[arg-type]  # both are bytes
    request = TxnRequest((holds,), (range_op(**whole), range_op(**whole, limit=1)), (range_op(key=b"k01"),))
    answer = machine.txn(request)
    assert isinstance(answer, Fetch)
    assert not answer.is_collected
    response = finish(answer)
    assert response.succeeded
    counts = [op.response_range.count for op in response.responses if op.response_range is not None]
    assert counts == [20, 20]


def test_fetches_are_counted_as_reads(machine: Machine) -> None:
    metrics = machine._kv.metrics
    before = metrics.ranges
    read(machine, RangeRequest(b"k01", revision=5))
    assert metrics.ranges == before + 1
    read_txn(machine, TxnRequest((Compare(key=b"k01", version=2),), (range_op(key=b"k01", revision=5),)))
    assert metrics.ranges == before + 3


def is_here(machine: Machine, key: bytes) -> bool:
    return machine._kv.index.get(key).__class__ is KeyValue


def test_the_value_of_a_single_key_comes_back(machine: Machine) -> None:
    read(machine, RangeRequest(b"k01", keys_only=True))
    read(machine, RangeRequest(b"k01", revision=5))
    read(machine, RangeRequest(b"k", b"\0"))
    assert not is_here(machine, b"k01")
    first = read(machine, RangeRequest(b"k01"))
    assert is_here(machine, b"k01")
    assert machine.range(RangeRequest(b"k01")) == first
    apply(machine, PutRequest(b"n"))
    flush(machine)
    assert not is_here(machine, b"k01")  # beyond the budget again


@pytest.mark.parametrize("change", [PutRequest(b"k01", LARGE + b"new"), DeleteRangeRequest(b"k01")])
def test_a_value_that_has_been_replaced_does_not_come_back(
    machine: Machine, change: PutRequest | DeleteRangeRequest
) -> None:
    reading = fetch(machine, key=b"k01")
    apply(machine, change)
    flush(machine)
    before = machine._kv.index.get(b"k01"), machine._kv.values.evicted
    assert finish(reading).kvs[0].value == LARGE
    assert before == (machine._kv.index.get(b"k01"), machine._kv.values.evicted)


def test_no_value_comes_back_while_a_command_is_half_applied(machine: Machine) -> None:
    reading = fetch(machine, key=b"k01")
    steps = machine.apply_in_slices(machine.applied_index + 1, Command(DeleteRangeRequest(b"k", b"\0", prev_kv=True)))
    missing = next(steps)
    assert missing is not None
    finish(reading)
    assert not is_here(machine, b"k01")
    missing.run()
    for each in steps:
        if each is not None:
            each.run()
    assert (machine._kv.values.size, machine._kv.values.evicted) == (0, 0)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="plain"),
        pytest.param({"keys_only": True}, id="keys"),
        pytest.param({"limit": 7, "sort_order": SortOrder.DESCEND}, id="the last keys"),
        pytest.param({"sort_target": SortTarget.MOD, "sort_order": SortOrder.DESCEND, "limit": 7}, id="sorted"),
        pytest.param({"sort_target": SortTarget.VALUE, "sort_order": SortOrder.DESCEND}, id="sorted by values"),
        pytest.param({"min_mod_revision": 5, "max_mod_revision": 18}, id="filtered"),
        pytest.param({"max_create_revision": 18, "keys_only": True}, id="filtered, keys"),
    ],
)
def test_many_stubs_are_replaced_in_their_places_and_let_go_of(tmp_path: Path, options: dict[str, Any]) -> None:
    wholes = []
    for large in (2, 1000):
        directory = tmp_path / str(large)
        directory.mkdir()
        machine = open_machine(directory, value_cache_bytes=0, large=large)
        for value in (b"", b"now"):
            for n in range(20):
                apply(machine, PutRequest(b"k%02d" % n, b"old%d" % (n * 7 % 20) + value + LARGE))
        flush(machine)
        got = fetch(machine, key=b"k", range_end=b"\0", revision=21, **options)
        gathering = got._source
        assert isinstance(gathering, Gathering)
        wholes.append(finish(got))
        assert gathering.kvs == []
        machine.close()
    assert wholes[0] == wholes[1]
    assert wholes[0].count == 20
    assert all(type(kv) is KeyValue for kv in wholes[0].kvs)


def test_a_read_that_fails_lets_go_as_well(machine: Machine) -> None:
    got = fetch(machine, key=b"k", range_end=b"\0", revision=25)
    for _ in got.collect():
        pass
    gathering = got._source
    assert isinstance(gathering, Gathering)
    assert len(gathering.kvs) == 20
    gathering.kvs[3] = Stub(b"no such row", mod_revision=1)
    with pytest.raises(RuntimeError, match="is not in the database"):
        got.run()
    assert gathering.kvs == []
    got.close()
