"""The machine: what moves the revision, determinism, batches, and what a restart finds."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from raftgate.api import errors
from raftgate.api.cluster import Member, MemberAdded, MemberAttributes
from raftgate.api.kv import (
    CompactionRequest,
    Compare,
    DeleteRangeRequest,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    RequestOp,
    ResponseHeader,
    TxnRequest,
    TxnResponse,
)
from raftgate.api.lease import LeaseGrantRequest
from raftgate.api.maintenance import StatusRequest
from raftgate.api.message import Request
from storage.fetch import Fetch
from storage.lease import Lease
from storage.machine import SPENT_AT_ONCE, Command, Machine
from storage.row import Row
from tests.fakes.kv_model import WRITES, Write
from tests.fakes.storage import apply, finish_compaction, flush, open_machine, outcome, read

ALL = RangeRequest(b"\0", b"\0")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = open_machine(tmp_path)
    apply(machine, PutRequest(b"k", b"v"))
    yield machine
    machine.close()


def put_op(key: bytes) -> RequestOp:
    return RequestOp(request_put=PutRequest(key))


def delete_op(key: bytes, range_end: bytes = b"") -> RequestOp:
    return RequestOp(request_delete_range=DeleteRangeRequest(key, range_end))


READ_OP = RequestOp(request_range=RangeRequest(b"k"))

REVISION_TABLE: list[tuple[str, Request[Any] | None, int]] = [  # Any: whatever answers it
    ("put", PutRequest(b"n"), 1),
    ("put with identical value", PutRequest(b"k", b"v"), 1),
    ("delete of one key", DeleteRangeRequest(b"k"), 1),
    ("delete of nothing", DeleteRangeRequest(b"n"), 0),
    ("delete of an empty range", DeleteRangeRequest(b"z", b"a"), 0),
    ("txn with a put", TxnRequest(success=(put_op(b"n"),)), 1),
    ("txn with many changes", TxnRequest(success=(put_op(b"n"), put_op(b"o"), delete_op(b"k"))), 1),
    ("txn with a nested put", TxnRequest(success=(RequestOp(request_txn=TxnRequest(success=(put_op(b"n"),))),)), 1),
    ("empty txn", TxnRequest(), 0),
    ("txn with only reads", TxnRequest(success=(READ_OP,)), 0),
    ("txn whose put is in the branch not taken", TxnRequest((Compare(key=b"k"),), (put_op(b"n"),)), 0),
    ("txn deleting nothing", TxnRequest(success=(delete_op(b"n"),)), 0),
    ("put and delete of one key in a txn", TxnRequest(success=(put_op(b"n"), delete_op(b"l", b"\0"))), 1),
    ("put that fails", PutRequest(b"n", lease=5), 0),
    ("txn that fails", TxnRequest(success=(put_op(b"n"), RequestOp(request_put=PutRequest(b"n", lease=5)))), 0),
    ("member call", MemberAdded(Member(1)), 0),
    ("nothing", None, 0),
]


@pytest.mark.parametrize(("request_", "moves"), [pytest.param(*row[1:], id=row[0]) for row in REVISION_TABLE])
def test_what_moves_the_revision(machine: Machine, request_: Request[Any] | None, moves: int) -> None:
    # Any: whatever answers it
    assert (machine.revision, machine.applied_index) == (2, 1)
    apply(machine, request_)
    assert (machine.revision, machine.applied_index) == (2 + moves, 2)
    assert read(machine, ALL).header == ResponseHeader(revision=2 + moves)


def test_a_fresh_store(tmp_path: Path) -> None:
    machine = open_machine(tmp_path)
    assert (machine.applied_index, machine.revision, machine.compact_revision) == (0, 1, -1)
    assert (machine.members, machine.pending_bytes, machine.batch()) == ((), 0, None)
    assert read(machine, RangeRequest(b"k")).header == ResponseHeader(revision=1)


def test_errors_are_answers(machine: Machine) -> None:
    answer = apply(machine, PutRequest(b"n", lease=5))
    assert isinstance(answer, errors.LeaseNotFound)
    assert answer.__traceback__ is None
    assert machine.applied_index == 2


def test_an_entry_that_changes_nothing_answers_the_revision(machine: Machine) -> None:
    assert apply(machine, None) == ResponseHeader(revision=2)


@pytest.mark.parametrize("index", [0, 1, 3])
def test_entries_come_one_after_the_other(machine: Machine, index: int) -> None:
    with pytest.raises(ValueError, match=f"entry {index} cannot follow entry 1"):
        machine.apply(index, Command(None))


def test_a_request_that_is_not_known_stops_without_a_trace(machine: Machine) -> None:
    with pytest.raises(KeyError):
        apply(machine, StatusRequest())
    assert machine.applied_index == 1


def test_reads(machine: Machine) -> None:
    for revision in (0, 2, -1):
        assert read(machine, RangeRequest(b"k", revision=revision)).count == 1
    with pytest.raises(errors.FutureRev):
        machine.range(RangeRequest(b"k", revision=3))
    assert read(machine, RangeRequest(b"k", revision=1, count_only=True)) == RangeResponse(ResponseHeader(revision=2))


def test_read_only_txns_do_not_go_through_the_log(machine: Machine) -> None:
    answer = machine.txn(TxnRequest((Compare(key=b"n"),), (READ_OP,)))
    assert isinstance(answer, TxnResponse)
    assert answer.header == ResponseHeader(revision=2)
    assert machine.applied_index == 1
    with pytest.raises(ValueError, match="goes through the log"):
        machine.txn(TxnRequest(success=(put_op(b"n"),)))
    with pytest.raises(errors.FutureRev):
        machine.txn(TxnRequest(success=(RequestOp(request_range=RangeRequest(b"k", revision=9)),)))


def test_members_are_kept(tmp_path: Path, machine: Machine) -> None:
    apply(machine, MemberAdded(Member(2, peerURLs=("http://two:2380",))))
    apply(machine, MemberAdded(Member(1, peerURLs=("http://one:2380",))))
    apply(machine, MemberAttributes(2, "two", ("http://two:2379",)))
    assert isinstance(apply(machine, MemberAdded(Member(2))), errors.MemberExist)
    assert [member.name for member in machine.members] == ["", "two"]
    flush(machine)
    assert open_machine(tmp_path).members == machine.members


def test_a_batch_holds_all_that_sqlite_lacks_and_is_let_go(machine: Machine) -> None:
    first = machine.batch()
    assert first is not None
    assert (first.applied_index, first.revision, len(first.rows), first.members) == (1, 2, 1, None)
    assert machine.pending_bytes == first.size > 0
    apply(machine, PutRequest(b"n", b"x" * 1000))
    assert machine.pending_bytes > first.size + 1000
    with pytest.raises(RuntimeError):
        machine.batch()
    machine.writer.flush(first)
    machine.committed(first)
    second = machine.batch()
    assert second is not None
    assert (second.applied_index, second.revision, len(second.rows)) == (2, 3, 1)
    assert machine.pending_bytes == second.size
    with pytest.raises(ValueError, match="not the batch"):
        machine.committed(first)
    machine.committed(second)
    assert (machine.batch(), machine.pending_bytes) == (None, 0)


def test_an_entry_without_changes_still_moves_the_flushed_index(tmp_path: Path, machine: Machine) -> None:
    flush(machine)
    apply(machine, None)
    batch = machine.batch()
    assert batch is not None
    assert (batch.applied_index, batch.rows) == (2, [])
    machine.writer.flush(batch)
    assert machine.database.probe() == 2
    assert open_machine(tmp_path).applied_index == 2


def test_revisions_are_timed_once_a_second_of_the_leaders_clock(tmp_path: Path, machine: Machine) -> None:
    for time in (0.0, 100.0, 100.5, 101.2, 50.0, 50.9, 51.5):
        apply(machine, PutRequest(b"k"), time)
    apply(machine, None, 200.0)
    batch = machine.batch()
    assert batch is not None
    assert batch.times == [(4, 100_000), (6, 101_200), (7, 50_000), (9, 51_500)]
    machine.writer.flush(batch)
    machine.committed(batch)
    again = open_machine(tmp_path)
    apply(again, PutRequest(b"k"), 51.9)
    apply(again, PutRequest(b"k"), 52.6)
    batch = again.batch()
    assert batch is not None
    assert batch.times == [(11, 52_600)]


def test_time_is_no_input_of_apply(tmp_path: Path, machine: Machine) -> None:
    (tmp_path / "other").mkdir()
    other = open_machine(tmp_path / "other")
    apply(other, PutRequest(b"k", b"v"), 5.0)
    assert other.range(ALL) == machine.range(ALL)


def test_metrics_show_the_store(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    machine = open_machine(tmp_path, registry)
    apply(machine, PutRequest(b"k", b"value"))
    apply(machine, PutRequest(b"l", b"", prev_kv=True))
    apply(machine, DeleteRangeRequest(b"l", prev_kv=True))
    machine.range(ALL)
    expected = {
        "etcd_mvcc_put_total": 2,
        "etcd_mvcc_delete_total": 1,
        "etcd_mvcc_range_total": 3,
        "etcd_mvcc_txn_total": 2,
        "etcd_debugging_mvcc_current_revision": 4,
        "etcd_debugging_mvcc_keys_total": 1,
        "etcd_debugging_mvcc_total_put_size_in_bytes": 7,
        "etcd_mvcc_db_total_size_in_bytes": machine.writer.size.total,
        "etcd_mvcc_db_total_size_in_use_in_bytes": machine.writer.size.in_use,
    }
    assert {name: registry.get_sample_value(name) for name in expected} == expected


def rows_of(machine: Machine) -> list[Row]:
    flush(machine)
    with machine.database.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql("SELECT * FROM history ORDER BY id")]


@settings(deadline=None, max_examples=12)
@given(st.lists(WRITES, max_size=10))
def test_the_same_commands_give_the_same_answers_and_rows(writes: list[Write]) -> None:
    seen = []
    for flushing in (True, False):  # when the database is written must not show
        with TemporaryDirectory() as directory:
            machine = open_machine(Path(directory))
            answers = []
            for write in writes:
                answers.append(outcome(apply(machine, write)))
                if flushing:
                    flush(machine)
            seen.append((answers, rows_of(machine), machine.revision, machine.range(ALL)))
            machine.close()
    assert seen[0] == seen[1]


def test_128_nested_txns_apply(machine: Machine) -> None:
    request = TxnRequest(success=(put_op(b"deep"),))
    for _ in range(127):
        request = TxnRequest(success=(RequestOp(request_txn=request),))
    answer = apply(machine, request)
    assert isinstance(answer, TxnResponse)
    assert answer.header == ResponseHeader(revision=3)
    assert apply(machine, PutRequest(b"deep", prev_kv=True)) != PutResponse(ResponseHeader(revision=4))


def test_what_is_committed(machine: Machine) -> None:
    assert machine.committed_revision == 1
    batch = machine.batch()
    assert batch is not None
    apply(machine, PutRequest(b"k"))
    machine.writer.flush(batch)
    assert machine.committed_revision == 1
    machine.committed(batch)
    assert (machine.committed_revision, machine.revision) == (2, 3)


def test_many_rows_are_let_go_of_a_piece_at_a_time(machine: Machine) -> None:
    for n in range(2 * SPENT_AT_ONCE):
        machine.apply(machine.applied_index + 1, Command(PutRequest(b"k%d" % n)))
    batch = machine.batch()
    assert batch is not None
    machine.writer.flush(batch)
    machine.committed(batch)
    left = [len(batch.rows)]
    while machine.settle():
        left.append(len(batch.rows))
    assert left == [SPENT_AT_ONCE + 1, 1, 0]
    assert not machine.settle()


def test_reads_through_pooled_connections_end_with_the_machine(tmp_path: Path, machine: Machine) -> None:
    apply(machine, PutRequest(b"k"))
    flush(machine)
    read(machine, RangeRequest(b"k", revision=2))
    machine.close()
    assert not (tmp_path / "kv.db-wal").exists()  # SQLite removes it with the last connection


# ---- another store ----


def twin(directory: Path, machine: Machine, more: int) -> Path:
    """A copy of a machine's store to which further entries were applied."""
    flush(machine)
    directory.mkdir()
    copy = machine.copy(directory / "copy.tmp")
    pieces = list(copy.stream(1))
    copy.close()
    (directory / "kv.db").write_bytes(b"".join(pieces[1:-1]))
    ahead = open_machine(directory)
    apply(ahead, LeaseGrantRequest(50, ID=8))
    for number in range(more):
        apply(ahead, PutRequest(b"more%d" % number, b"w" * 100, lease=8))
    apply(ahead, DeleteRangeRequest(b"k"))
    flush(ahead)
    ahead.close()
    return directory / "kv.db"


def exchange(machine: Machine, path: Path) -> None:
    opened = machine.load(path)
    machine.close()
    machine.install(opened)


def test_another_store_takes_the_place_of_this_one(machine: Machine, tmp_path: Path) -> None:
    path = twin(tmp_path / "twin", machine, 20)
    apply(machine, PutRequest(b"dropped"))  # what SQLite does not have yet is in the other store or never was
    exchange(machine, path)
    again = open_machine(tmp_path / "twin")
    assert (machine.applied_index, machine.revision) == (again.applied_index, again.revision)
    assert read(machine, ALL) == read(again, ALL)
    again.close()
    assert machine.batch() is None
    assert machine.pending_bytes == 0
    assert machine.leases.count(8) == 20
    assert isinstance(apply(machine, PutRequest(b"next")), PutResponse)
    flush(machine)
    assert machine.database.probe() == machine.applied_index
    assert machine.database.path == path


def test_a_batch_on_its_way_is_forgotten(machine: Machine, tmp_path: Path) -> None:
    path = twin(tmp_path / "twin", machine, 3)
    apply(machine, PutRequest(b"dropped"))
    assert machine.batch() is not None
    exchange(machine, path)
    apply(machine, PutRequest(b"next"))
    flush(machine)


def test_what_was_being_read_ends_with_a_timeout(machine: Machine, tmp_path: Path) -> None:
    path = twin(tmp_path / "twin", machine, 3)
    apply(machine, PutRequest(b"k", b"later"))
    flush(machine)
    past = machine.range(RangeRequest(b"k", revision=2))
    assert isinstance(past, Fetch)
    hashing = machine.hash_kv(0)
    exchange(machine, path)
    for run in (past.run, hashing.run):
        with pytest.raises(errors.Timeout):
            run()
    past.close()
    hashing.close()


def test_a_compaction_of_the_store_before_is_forgotten(machine: Machine, tmp_path: Path) -> None:
    path = twin(tmp_path / "twin", machine, 3)
    for number in range(5):
        apply(machine, PutRequest(b"k", b"%d" % number))
    apply(machine, CompactionRequest(machine.revision))
    flush(machine)
    step = machine.compaction_step()
    assert step is not None
    exchange(machine, path)
    machine.compacted(step)
    apply(machine, CompactionRequest(machine.revision))
    finish_compaction(machine)
    assert machine.compaction_done(machine.compact_revision)


def test_leases_are_observed_in_the_other_store_too(machine: Machine, tmp_path: Path) -> None:
    granted: list[int] = []

    class Observer:
        def granted(self, lease: Lease) -> None:
            granted.append(lease.id)

        def revoked(self, lease_id: int) -> None:
            granted.remove(lease_id)

    machine.leases.observer = Observer()
    exchange(machine, twin(tmp_path / "twin", machine, 3))
    apply(machine, LeaseGrantRequest(50, ID=9))
    assert granted == [9]
