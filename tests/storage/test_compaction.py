"""Compaction: what is refused, what goes and what stays, in steps, behind readers, through crashes."""

from array import array
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftgate.api import errors
from raftgate.api.kv import (
    CompactionRequest,
    CompactionResponse,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RangeResponse,
    ResponseHeader,
)
from storage import compaction
from storage.compaction import _ascending, _Lot
from storage.fetch import Fetch
from storage.machine import Machine
from tests.fakes.storage import apply, compact_step, finish, finish_compaction, flush, open_machine, outcome, read


def fill(machine: Machine) -> None:
    """a at 2, 4, 6; b at 3, deleted at 5; c at 7, deleted at 8; d at 9."""
    for key in (b"a", b"b", b"a"):
        apply(machine, PutRequest(key, b"%d" % (machine.revision + 1)))
    apply(machine, DeleteRangeRequest(b"b"))
    for key in (b"a", b"c"):
        apply(machine, PutRequest(key, b"%d" % (machine.revision + 1)))
    apply(machine, DeleteRangeRequest(b"c"))
    apply(machine, PutRequest(b"d", b"9"))


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = open_machine(tmp_path)
    fill(machine)
    yield machine
    machine.close()


def rows(machine: Machine) -> list[tuple[int, str, int]]:
    with machine.database.connect() as connection:
        found = connection.exec_driver_sql("SELECT id >> 24, key, version FROM history ORDER BY id").fetchall()
    return [(revision, key.decode(), version) for revision, key, version in found]


def compact(machine: Machine, revision: int) -> object:
    return outcome(apply(machine, CompactionRequest(revision)))


REFUSAL_TABLE: list[tuple[str, list[int], object]] = [
    ("above the current revision", [10], "FutureRev"),
    ("negative", [-1], "Compacted"),
    ("0 on a store that was never compacted", [0], CompactionResponse(ResponseHeader(revision=9))),
    ("0 a second time", [0, 0], "Compacted"),
    ("0 after another", [3, 0], "Compacted"),
    ("the current revision", [9], CompactionResponse(ResponseHeader(revision=9))),
    ("the same again", [5, 5], "Compacted"),
    ("below the last", [5, 4], "Compacted"),
    ("above the last", [5, 6], CompactionResponse(ResponseHeader(revision=9))),
]


@pytest.mark.parametrize(("revisions", "last"), [pytest.param(*each[1:], id=each[0]) for each in REFUSAL_TABLE])
def test_what_is_refused(machine: Machine, revisions: list[int], last: object) -> None:
    assert [compact(machine, revision) for revision in revisions][-1] == last
    assert machine.revision == 9


def test_reads_below_are_refused_at_once_and_others_go_on(machine: Machine) -> None:
    before = {n: read(machine, RangeRequest(b"a", b"\0", revision=n)) for n in range(1, 10)}
    compact(machine, 6)
    for _ in range(2):
        for revision in range(1, 10):
            request = RangeRequest(b"a", b"\0", revision=revision)
            if revision < 6:
                with pytest.raises(errors.Compacted):
                    machine.range(request)
            else:
                assert read(machine, request) == before[revision]
        finish_compaction(machine)


ALL = [(2, "a", 1), (3, "b", 1), (4, "a", 2), (5, "b", 0), (6, "a", 3), (7, "c", 1), (8, "c", 0), (9, "d", 1)]

KEPT_TABLE: list[tuple[str, int, list[int]]] = [
    ("0 drops nothing", 0, [2, 3, 4, 5, 6, 7, 8, 9]),
    ("the first revision drops nothing", 2, [2, 3, 4, 5, 6, 7, 8, 9]),
    ("what has been replaced", 4, [3, 4, 5, 6, 7, 8, 9]),
    ("a tombstone exactly there stays", 5, [4, 5, 6, 7, 8, 9]),
    ("a tombstone below goes", 6, [6, 7, 8, 9]),
    ("a tombstone exactly there stays, alone", 8, [6, 8, 9]),
    ("the current revision", 9, [6, 9]),
]


@pytest.mark.parametrize(("revision", "kept"), [pytest.param(*each[1:], id=each[0]) for each in KEPT_TABLE])
def test_what_stays(machine: Machine, revision: int, kept: list[int]) -> None:
    compact(machine, revision)
    assert not machine.compaction_done(revision)
    finish_compaction(machine)
    assert machine.compaction_done(revision)
    assert rows(machine) == [row for row in ALL if row[0] in kept]
    assert machine.compaction_step() is None


def test_a_kept_tombstone_goes_with_the_next(machine: Machine) -> None:
    for revision in (5, 6):
        compact(machine, revision)
        finish_compaction(machine)
    assert (5, "b", 0) not in rows(machine)
    assert b"b" not in machine._kv.history.gone


def test_nothing_is_deleted_before_the_file_knows_of_the_compaction(machine: Machine) -> None:
    flush(machine)
    compact(machine, 9)
    assert machine.compaction_step() is None
    flush(machine)
    assert machine.compaction_step() is not None


def test_nothing_is_deleted_below_a_running_read(machine: Machine) -> None:
    flush(machine)
    reading = machine.range(RangeRequest(b"a", b"\0", revision=5))
    assert isinstance(reading, Fetch)
    compact(machine, 9)
    finish_compaction(machine)
    assert rows(machine) == ALL
    response = finish(reading)
    assert [kv.value for kv in response.kvs] == [b"4"]
    finish_compaction(machine)
    assert machine.compaction_done(9)


def test_a_read_that_comes_later_holds_nothing_back(machine: Machine) -> None:
    compact(machine, 6)
    flush(machine)
    reading = machine.range(RangeRequest(b"a", b"\0", revision=7))
    finish_compaction(machine)
    assert machine.compaction_done(6)
    answer = finish(reading) if isinstance(reading, Fetch) else reading
    assert isinstance(answer, RangeResponse)
    assert [kv.value for kv in answer.kvs] == [b"6", b"7"]


def test_a_compaction_that_comes_during_another(machine: Machine) -> None:
    compact(machine, 4)
    flush(machine)
    assert compact_step(machine)
    compact(machine, 9)
    finish_compaction(machine)
    assert machine.compaction_done(9)
    assert rows(machine) == [row for row in ALL if row[0] in (6, 9)]


def test_a_step_deletes_no_more_than_the_limit(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    machine = open_machine(tmp_path / "other", compaction_batch_limit=3)
    for n in range(20):
        apply(machine, PutRequest(b"k%d" % (n % 2)))
    compact(machine, machine.revision)
    flush(machine)
    deleted = []
    while (step := machine.compaction_step()) is not None:
        machine.writer.delete(step)
        machine.compacted(step)
        if step.row_ids:
            deleted.append(step.row_ids)
    assert [len(ids) for ids in deleted] == [3] * 6
    assert list(chain(*deleted)) == [n << 24 for n in range(2, 20)]
    machine.close()


@pytest.mark.parametrize("steps", range(12))
def test_a_restart_resumes(tmp_path: Path, steps: int) -> None:
    """Stopped after any step, with what was flushed: nothing old comes back, and the rest is deleted."""
    (tmp_path / "other").mkdir()
    machine = open_machine(tmp_path / "other", compaction_batch_limit=1)
    fill(machine)
    apply(machine, DeleteRangeRequest(b"a"))
    compact(machine, 10)
    flush(machine)
    live = read(machine, RangeRequest(b"a", b"\0"))
    for _ in range(steps):
        compact_step(machine)
    machine.close()
    again = open_machine(tmp_path / "other")
    assert read(again, RangeRequest(b"a", b"\0")) == live
    assert read(again, RangeRequest(b"a", b"\0", revision=10)) == live
    assert again.compact_revision == 10
    finish_compaction(again)
    assert again.compaction_done(10)
    assert rows(again) == [(9, "d", 1), (10, "a", 0)]
    again.close()
    third = open_machine(tmp_path / "other")
    assert third.compaction_done(10)
    assert third.compaction_step() is None
    third.close()


@pytest.mark.parametrize(
    "between",
    [
        pytest.param(lambda m: apply(m, DeleteRangeRequest(b"k3")), id="a live key goes"),
        pytest.param(lambda m: apply(m, PutRequest(b"k0", b"back")), id="a key comes back"),
        pytest.param(lambda m: apply(m, DeleteRangeRequest(b"k", b"\0")), id="all keys are swept"),
        pytest.param(lambda m: apply(m, PutRequest(b"k3", b"new")), id="a key is put"),
    ],
)
@pytest.mark.parametrize("steps", range(10))
def test_writes_between_the_steps(tmp_path: Path, between: Callable[[Machine], object], steps: int) -> None:
    (tmp_path / "other").mkdir()
    machine = open_machine(tmp_path / "other", large=1)
    for _ in range(3):
        for n in range(6):
            apply(machine, PutRequest(b"k%d" % n))
    for n in range(3):
        apply(machine, DeleteRangeRequest(b"k%d" % n))
    target = machine.revision
    compact(machine, target)
    flush(machine)
    for _ in range(steps):
        compact_step(machine)
    between(machine)
    finish_compaction(machine)
    kept = [row for row in rows(machine) if row[0] <= target]
    assert kept == [(17, "k3", 3), (18, "k4", 3), (19, "k5", 3), (22, "k2", 0)]
    while machine.settle():
        pass
    codes = machine._kv.history._codes
    machine.close()
    again = open_machine(tmp_path / "other")
    assert again._kv.history._codes == codes
    again.close()


def test_times_below_go_but_the_one_that_counts(machine: Machine) -> None:
    for n in range(5):
        apply(machine, PutRequest(b"t"), time=1000.0 + 10 * n)  # revisions 10 to 14
    compact(machine, 12)
    finish_compaction(machine)
    with machine.database.connect() as connection:
        revisions = connection.exec_driver_sql("SELECT revision FROM times ORDER BY revision").scalars().all()
    assert revisions == [12, 13, 14]


IDS = st.lists(st.integers(1, 1 << 62), unique=True, max_size=60)


@settings(deadline=None)
@given(IDS, st.integers(1, 7))
def test_row_ids_come_in_order(ids: list[int], limit: int) -> None:
    highest = max(ids, default=1)
    found = list(_ascending(_Lot(0, highest.bit_length(), array("Q", ids)), limit))
    assert list(chain(*found)) == sorted(ids)
    assert max(map(len, found), default=0) <= limit


@pytest.mark.parametrize(
    "ids",
    [
        pytest.param(range(1 << 24, (1 << 24) + 50_000), id="of one revision"),
        pytest.param(range(1 << 24, 50_000 << 24, 1 << 24), id="of many revisions"),
        pytest.param([*range(30_000), *range(1 << 60, (1 << 60) + 30_000), 1 << 62], id="in lumps"),
    ],
)
def test_many_row_ids_come_in_order(ids: "range | list[int]") -> None:
    shuffled = array("Q", [ids[n * 7919 % len(ids)] for n in range(len(ids))])
    low, high = min(ids), max(ids)
    found = list(_ascending(_Lot(low, (high - low).bit_length(), shuffled), 1000))
    assert list(chain(*found)) == sorted(ids)
    assert len(shuffled) == 0
    assert [] in found


def test_many_keys_are_pruned_in_many_steps(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    machine = open_machine(tmp_path / "other")
    for _ in range(2):
        for n in range(2 * compaction.WORK // compaction.PER_KEY):
            apply(machine, PutRequest(b"k%d" % n))
    compact(machine, machine.revision)
    flush(machine)
    empty = 0
    while (step := machine.compaction_step()) is not None:
        empty += not step.row_ids
        machine.writer.delete(step)
        machine.compacted(step)
    assert empty >= 3
    machine.close()
