"""Many keys deleted at once, worked off later: nobody sees a difference, whatever comes between."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from raftgate.api.kv import DeleteRangeRequest, DeleteRangeResponse, KeyValue, PutRequest, RangeRequest, ResponseHeader
from storage.history import History
from storage.index import Index
from storage.kv import Kv
from storage.metrics import Metrics
from storage.options import Options
from storage.row import SUB_BITS, Row
from storage.sweep import BYTES_PER_KEY, Sweep
from tests.fakes.storage import apply, flush, open_machine, read


def kv_of(keys: int, large: int = 2) -> Kv:
    kv = Kv(Index(), History(), 1, -1, Metrics(CollectorRegistry()), Options(large=large))
    for n in range(keys):
        kv.put(PutRequest(b"k%03d" % n, b"v" * 40))
        kv.commit()
    return kv


def delete(kv: Kv, key: bytes, range_end: bytes) -> DeleteRangeResponse:
    response = kv.delete_range(DeleteRangeRequest(key, range_end), alone=True)
    kv.commit()
    return response


def test_a_sweep_answers_and_shows_at_once() -> None:
    kv = kv_of(10)
    pending = kv.pending_bytes
    assert delete(kv, b"k002", b"k007") == DeleteRangeResponse(ResponseHeader(revision=12), 5)
    assert kv.revision == 12
    assert kv.pending_bytes == pending + 5 * BYTES_PER_KEY
    assert [each.key[-1:] for each in kv.index.range(b"k", b"\0")] == [b"0", b"1", b"7", b"8", b"9"]
    assert [kv.index.get(b"k00%d" % n) is not None for n in (1, 2, 6, 7)] == [True, False, False, True]
    assert kv.index.count(b"k002", b"") == 0
    assert len(kv.index) == 5
    assert kv.range(RangeRequest(b"k004")).kvs == ()


@pytest.mark.parametrize(
    ("key", "end", "answer"),
    [
        (b"a", b"c", False),
        (b"a", b"c\0", True),
        (b"d", b"e", True),
        (b"f", b"g", False),
        (b"a", None, True),
        (b"f", None, False),
    ],
)
def test_which_ranges_a_sweep_may_have_keys_of(key: bytes, end: bytes | None, answer: bool) -> None:  # noqa: FBT001 - a column
    assert Sweep(2, b"c", b"f", [[b"d"]]).overlaps(key, end) is answer
    assert Sweep(2, b"c", b"\0", [[b"d"]]).overlaps(key, end) is (answer or key == b"f")


@pytest.mark.parametrize(
    ("request_", "alone"),
    [
        pytest.param(DeleteRangeRequest(b"k", b"\0", prev_kv=True), True, id="prev_kv"),
        pytest.param(DeleteRangeRequest(b"k", b"\0"), False, id="in a transaction"),
        pytest.param(DeleteRangeRequest(b"k000", b"k002"), True, id="few keys"),
    ],
)
def test_other_deletions_are_not_sweeps(request_: DeleteRangeRequest, alone: bool) -> None:  # noqa: FBT001 - a column
    kv = kv_of(10)
    kv.delete_range(request_, alone=alone)
    assert kv.sweeps.unsettled == []


def test_settling_takes_a_piece_at_a_time_and_leaves_what_deleting_one_by_one_leaves() -> None:
    kv, other = kv_of(10), kv_of(10, large=100)
    delete(kv, b"k", b"\0")
    delete(other, b"k", b"\0")
    pieces = 1
    while kv.sweeps.settle():
        pieces += 1
    assert pieces == 10
    assert kv.history._codes == other.history._codes
    assert kv.history.gone == other.history.gone
    assert (kv.values.size, kv.index._current) == (other.values.size, other.index._current) == (0, {})
    assert not kv.sweeps.settle()


def test_a_key_that_comes_back_starts_over() -> None:
    kv = kv_of(10)
    delete(kv, b"k", b"\0")
    kv.put(PutRequest(b"k005", b"new"))
    kv.commit()
    new = KeyValue(b"k005", 13, 13, 1, b"new")
    assert kv.index.get(b"k005") == new
    while kv.sweeps.settle():
        pass
    assert kv.index.get(b"k005") == new
    assert kv.history.row_at(b"k005", 12) is None
    assert kv.history.row_at(b"k005", 11) == 7 << SUB_BITS
    assert kv.range(RangeRequest(b"k", b"\0")).kvs == (new,)


def test_a_key_that_comes_back_in_a_command_that_fails_is_gone_again() -> None:
    kv = kv_of(10)
    delete(kv, b"k", b"\0")
    kv.put(PutRequest(b"k005", b"new"))
    kv.rollback()
    assert kv.index.get(b"k005") is None
    while kv.sweeps.settle():
        pass
    assert list(kv.history.gone) == [b"k%03d" % n for n in range(10)]


def test_sweeps_over_each_other() -> None:
    kv = kv_of(10)
    delete(kv, b"k002", b"k006")
    kv.put(PutRequest(b"k003"))
    kv.commit()
    delete(kv, b"k", b"\0")
    kv.put(PutRequest(b"k003", b"last"))
    kv.commit()
    assert [sweep.count for sweep in kv.sweeps.unsettled] == [4, 7]
    while kv.sweeps.settle():
        pass
    assert [kv.history.row_at(b"k003", revision) for revision in (11, 12, 13, 14)] == [
        5 << SUB_BITS,
        None,
        13 << SUB_BITS,
        None,
    ]
    assert [each.value for each in kv.index.range(b"k", b"\0")] == [b"last"]


@pytest.mark.parametrize("sizes", [[1], [3, 1, 2], [2, 2, 2, 2]])
def test_rows_are_numbered_in_key_order(sizes: list[int]) -> None:
    names = iter([b"k%02d" % n for n in range(20)])
    parts = [[next(names) for _ in range(size)] for size in sizes]
    sweep = Sweep(7, b"k", b"\0", parts)
    keys = [key for part in parts for key in part]
    rows: list[Row] = [(7 << SUB_BITS | n, key, 0, 0, b"", 0) for n, key in enumerate(keys)]
    assert sweep.rows(0, 100) == rows
    assert [row for start in range(0, sweep.count, 2) for row in sweep.rows(start, 2)] == rows
    assert [sweep.row_id(key) for key in keys] == [row[0] for row in rows]


Step = tuple[bool, int, int]


def written(steps: list[Step], large: int, *, flushes: bool) -> object:
    """Rows, reads of every revision, and what a restart finds."""
    with TemporaryDirectory() as name:
        machine = open_machine(Path(name), large=large)
        for is_put, low, high in steps:
            request = PutRequest(b"k%02d" % low) if is_put else DeleteRangeRequest(b"k%02d" % low, b"k%02d" % high)
            apply(machine, request)
            if flushes:
                flush(machine)
        flush(machine)
        with machine.database.connect() as connection:
            rows = connection.exec_driver_sql("SELECT * FROM history ORDER BY id").fetchall()
        reads = [read(machine, RangeRequest(b"k", b"\0", revision=n)) for n in range(1, machine.revision + 1)]
        machine.close()
        again = open_machine(Path(name))
        found = read(again, RangeRequest(b"k", b"\0"))
        again.close()
        return rows, reads, found


@settings(deadline=None, max_examples=20)
@given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 10)), max_size=12))
@pytest.mark.parametrize("flushes", [False, True])
def test_the_file_holds_what_deleting_one_by_one_writes(flushes: bool, steps: list[Step]) -> None:  # noqa: FBT001 - both
    assert written(steps, 1, flushes=flushes) == written(steps, 1000, flushes=flushes)


def test_rows_before_and_after_a_sweep_are_in_one_batch(tmp_path: Path) -> None:
    machine = open_machine(tmp_path, large=2)
    for n in range(5):
        apply(machine, PutRequest(b"k%d" % n))
    apply(machine, DeleteRangeRequest(b"k", b"\0"))
    apply(machine, PutRequest(b"k1"))
    batch = machine.batch()
    assert batch is not None
    assert (len(batch.rows), [before for before, _ in batch.swept]) == (6, [5])
    machine.writer.flush(batch)
    machine.committed(batch)
    with machine.database.connect() as connection:
        ids = connection.exec_driver_sql("SELECT id >> 24, id & 0xffffff FROM history ORDER BY rowid").fetchall()
    assert [tuple(each) for each in ids] == [
        *((n, 0) for n in range(2, 7)),
        *((7, n) for n in range(5)),
        (8, 0),
    ]
    machine.close()
