"""Transactions: compares, pre-checks and nesting row by row, then random ones against a naive model."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from raftgate.api import errors
from raftgate.api.kv import (
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRangeRequest,
    KeyValue,
    PutRequest,
    RangeRequest,
    RequestOp,
    ResponseHeader,
    ResponseOp,
    TxnRequest,
    TxnResponse,
)
from raftgate.api.lease import LeaseGrantRequest
from storage.history import History
from storage.index import Index
from storage.kv import Kv
from storage.metrics import Metrics
from storage.row import SUB_BITS
from storage.txn import txn
from tests.fakes.kv_model import RANGES, WRITES, Model, Write

VERSION, CREATE, MOD, VALUE, LEASE = CompareTarget
EQUAL, GREATER, LESS, NOT_EQUAL = CompareResult


def put_op(key: bytes, value: bytes = b"", **options: Any) -> RequestOp:  # Any: fields of the request
    return RequestOp(request_put=PutRequest(key, value, **options))


def range_op(key: bytes, range_end: bytes = b"", **options: Any) -> RequestOp:  # Any: as above
    return RequestOp(request_range=RangeRequest(key, range_end, **options))


def delete_op(key: bytes, range_end: bytes = b"") -> RequestOp:
    return RequestOp(request_delete_range=DeleteRangeRequest(key, range_end))


def nested(*success: RequestOp, failure: tuple[RequestOp, ...] = (), compare: tuple[Compare, ...] = ()) -> RequestOp:
    return RequestOp(request_txn=TxnRequest(compare, success, failure))


def run(kv: Kv, *success: RequestOp, compare: tuple[Compare, ...] = ()) -> TxnResponse:
    try:
        response = txn(kv, TxnRequest(compare, success))
    except errors.EtcdError:
        kv.rollback()
        raise
    kv.commit()
    return response


@pytest.fixture
def kv() -> Kv:
    """k at create 3, mod 5, version 3, value "m", lease 7; z likewise but created last."""
    kv = Kv(Index(), History(), 1, -1, Metrics(CollectorRegistry()))
    kv.leases.grant(LeaseGrantRequest(60, 7))
    for key in (b"a", b"k", b"k", b"k", b"z"):
        kv.put(PutRequest(key, b"m", lease=7 if key == b"k" else 0))
        kv.commit()
    return kv


COMPARE_TABLE: list[tuple[str, Compare, bool]] = [
    ("version", Compare(key=b"k", version=3), True),
    ("version greater: the stored one stands left", Compare(GREATER, key=b"k", version=2), True),
    ("version less", Compare(LESS, key=b"k", version=2), False),
    ("version not equal", Compare(NOT_EQUAL, key=b"k", version=3), False),
    ("create", Compare(target=CREATE, key=b"k", create_revision=3), True),
    ("mod", Compare(target=MOD, key=b"k", mod_revision=5), True),
    ("value", Compare(target=VALUE, key=b"k", value=b"m"), True),
    ("value less", Compare(LESS, VALUE, key=b"k", value=b"n"), True),
    ("lease", Compare(target=LEASE, key=b"k", lease=7), True),
    ("missing key, version 0", Compare(key=b"x", version=0), True),
    ("missing key, create 0: does not exist", Compare(target=CREATE, key=b"x", create_revision=0), True),
    ("missing key, mod greater -1", Compare(GREATER, MOD, key=b"x", mod_revision=-1), True),
    ("missing key, lease 0", Compare(target=LEASE, key=b"x", lease=0), True),
    ("missing key, value equal", Compare(target=VALUE, key=b"x", value=b""), False),
    ("missing key, value not equal", Compare(NOT_EQUAL, VALUE, key=b"x", value=b"m"), False),
    ("missing key, value greater", Compare(GREATER, VALUE, key=b"x", value=b""), False),
    ("missing key, value of unknown result", Compare(99, VALUE, key=b"x", value=b""), False),
    ("range: holds for every key", Compare(GREATER, key=b"a", range_end=b"\0", version=0), True),
    ("range: fails for one key", Compare(key=b"a", range_end=b"\0", version=1), False),
    ("empty range is like a missing key", Compare(key=b"p", range_end=b"q", version=0), True),
    ("empty range by its end", Compare(key=b"q", range_end=b"p", version=0), True),
    ("empty range, value", Compare(NOT_EQUAL, VALUE, key=b"p", range_end=b"q", value=b"m"), False),
    ("another target's field counts as 0", Compare(GREATER, MOD, key=b"k", version=9), True),
    ("another target's field counts as empty", Compare(GREATER, VALUE, key=b"k", version=9), True),
    ("no field is 0", Compare(GREATER, MOD, key=b"k"), True),
    ("no field is empty", Compare(GREATER, VALUE, key=b"k"), True),
    ("key alone: does not exist", Compare(key=b"x"), True),
    ("key alone of a key that exists", Compare(key=b"k"), False),
    ("unknown target, equal", Compare(EQUAL, 99, key=b"k"), True),
    ("unknown target, greater", Compare(GREATER, 99, key=b"k"), False),
    ("unknown target, less", Compare(LESS, 99, key=b"k"), False),
    ("unknown target, not equal", Compare(NOT_EQUAL, 99, key=b"k"), False),
    ("unknown target, missing key", Compare(EQUAL, 99, key=b"x"), True),
    ("unknown result", Compare(99, key=b"k", version=77), True),
]


@pytest.mark.parametrize(("compare", "expected"), [pytest.param(*row[1:], id=row[0]) for row in COMPARE_TABLE])
def test_compare(kv: Kv, compare: Compare, expected: bool) -> None:  # noqa: FBT001 - a column of the table
    assert run(kv, compare=(compare,)) == TxnResponse(ResponseHeader(revision=6), expected)


def test_all_compares_must_hold_and_none_holds(kv: Kv) -> None:
    holds, fails = Compare(key=b"x"), Compare(key=b"k")
    assert run(kv).succeeded
    assert run(kv, compare=(holds, holds)).succeeded
    assert not run(kv, compare=(holds, fails)).succeeded


def test_headers_of_operations_before_and_after_the_first_change(kv: Kv) -> None:
    response = run(kv, range_op(b"n"), delete_op(b"n"), put_op(b"n"), range_op(b"n", count_only=True), delete_op(b"zz"))
    revisions = []
    for op in response.responses:
        part = op.response_range or op.response_delete_range or op.response_put
        assert part is not None
        assert part.header is not None
        revisions.append(part.header.revision)
    assert revisions == [6, 6, 7, 7, 7]
    assert response.header == ResponseHeader(revision=7)


def test_reads_see_earlier_operations_and_compares_do_not(kv: Kv) -> None:
    response = run(
        kv,
        put_op(b"n", b"1"),
        range_op(b"n"),
        nested(range_op(b"n"), failure=(delete_op(b"n"),), compare=(Compare(target=CREATE, key=b"n"),)),
    )
    created = KeyValue(b"n", 7, 7, 1, b"1")
    assert response.responses[1].response_range is not None
    assert response.responses[1].response_range.kvs == (created,)
    inner = response.responses[2].response_txn
    assert inner is not None
    assert inner.header == ResponseHeader()
    assert inner.succeeded
    assert inner.responses[0].response_range == response.responses[1].response_range


def test_changes_are_numbered_in_execution_order(kv: Kv) -> None:
    kv.take_pending()
    run(kv, put_op(b"c"), nested(put_op(b"b"), delete_op(b"k", b"\0")), put_op(b"a"), delete_op(b"a", b"\0"))
    assert [(row[0] - (7 << SUB_BITS), row[1], row[3]) for row in kv.pending] == [
        (0, b"c", 1),
        (1, b"b", 1),
        (2, b"k", 0),
        (3, b"z", 0),
        (4, b"a", 2),
        (5, b"a", 0),
        (6, b"b", 0),
        (7, b"c", 0),
    ]
    assert (kv.revision, len(kv.index)) == (7, 0)


def test_put_and_delete_of_one_key_through_the_gap_share_a_revision(kv: Kv) -> None:
    response = run(kv, put_op(b"x"), delete_op(b"x", b"\0"))
    assert response.header == ResponseHeader(revision=7)
    assert kv.index.get(b"x") is None


PRECHECK_TABLE: list[tuple[str, RequestOp, type[errors.EtcdError] | None]] = [
    ("the current revision", range_op(b"k", revision=6), None),
    ("no revision", range_op(b"k"), None),
    ("the revision that the txn will make", range_op(b"k", revision=7), errors.FutureRev),
    ("a past revision", range_op(b"k", revision=5), None),
    ("-1 on a store that was never compacted", range_op(b"k", revision=-1), None),
    ("-2", range_op(b"k", revision=-2), errors.Compacted),
    ("count_only does not matter", range_op(b"k", revision=-2, count_only=True), errors.Compacted),
    ("nested", nested(nested(range_op(b"k", revision=7))), errors.FutureRev),
    ("ignore_value of a key that is missing before", put_op(b"new", ignore_value=True), errors.KeyNotFound),
    ("ignore_lease of a key that is missing before", put_op(b"new", ignore_lease=True), errors.KeyNotFound),
    ("ignore_value of a key that is there", put_op(b"k", ignore_value=True), None),
    ("unknown lease", put_op(b"k", lease=8), errors.LeaseNotFound),
    ("known lease", put_op(b"k", lease=7), None),
    ("the key comes before the lease", put_op(b"q", lease=8, ignore_value=True), errors.KeyNotFound),
    ("the branch not taken is not looked at", nested(failure=(put_op(b"q", lease=8),)), None),
]


@pytest.mark.parametrize(("op", "error"), [pytest.param(*row[1:], id=row[0]) for row in PRECHECK_TABLE])
def test_precheck(kv: Kv, op: RequestOp, error: type[errors.EtcdError] | None) -> None:
    before = kv.index.range(b"\0", b"\0")
    if error is None:
        assert run(kv, put_op(b"new"), op).header == ResponseHeader(revision=7)
        return
    with pytest.raises(error):
        run(kv, put_op(b"new"), op)
    assert (kv.revision, kv.index.range(b"\0", b"\0")) == (6, before)


def test_puts_are_checked_before_ranges(kv: Kv) -> None:
    with pytest.raises(errors.LeaseNotFound):
        run(kv, range_op(b"k", revision=99), put_op(b"k", lease=8))


def test_negative_revisions_below_a_compacted_one_are_refused(kv: Kv) -> None:
    kv.compact_revision = 4
    with pytest.raises(errors.Compacted):
        run(kv, range_op(b"k", revision=-1))


def test_a_read_at_the_current_revision_shows_the_state_before(kv: Kv) -> None:
    before = kv.index.range(b"a", b"n")
    response = run(
        kv,
        put_op(b"a", b"new"),
        put_op(b"b", b"new"),
        delete_op(b"k"),
        range_op(b"a", b"n", revision=6),
        range_op(b"a", b"n", revision=6, limit=1),
        range_op(b"b", revision=6),
    )
    ranges = [op.response_range for op in response.responses if op.response_range is not None]
    assert ranges[0].kvs == tuple(before)
    assert ranges[0].header == ResponseHeader(revision=7)
    assert (ranges[1].kvs, ranges[1].more, ranges[1].count) == (tuple(before[:1]), True, 2)
    assert ranges[2].kvs == ()


def test_a_put_that_loses_its_key_within_the_txn_undoes_all_of_it(kv: Kv) -> None:
    """etcd crashes here: the pre-check passes, since the key is there before the txn."""
    before, pending = kv.index.range(b"\0", b"\0"), len(kv.pending)
    with pytest.raises(errors.KeyNotFound):
        run(kv, put_op(b"new"), delete_op(b"a", b"\0"), put_op(b"k", ignore_value=True))
    assert (kv.revision, kv.index.range(b"\0", b"\0"), len(kv.pending)) == (6, before, pending)


def deep(levels: int) -> TxnRequest:
    request = TxnRequest(success=(put_op(b"deep"), range_op(b"deep")))
    for _ in range(levels - 1):
        request = TxnRequest(compare=(Compare(key=b"deep"),), success=(RequestOp(request_txn=request),))
    return request


def test_128_levels_run_under_a_deep_stack(kv: Kv) -> None:
    def below(frames: int) -> TxnResponse:
        return below(frames - 1) if frames else txn(kv, deep(128))

    response = below(150)
    for _ in range(127):
        inner = response.responses[0].response_txn
        assert inner is not None
        response = inner
    assert response.responses[0] == ResponseOp(response_put=kv.put(PutRequest(b"other")))


@pytest.mark.parametrize(
    ("request_", "counts"),
    [
        pytest.param(TxnRequest(success=(put_op(b"p"),)), (1, 0, 0, 0), id="one put is no multi-op txn"),
        pytest.param(TxnRequest(success=(put_op(b"p"), put_op(b"q"))), (2, 0, 0, 1), id="two puts"),
        pytest.param(TxnRequest((Compare(key=b"p"),), (put_op(b"p"),)), (1, 0, 1, 0), id="compare and put"),
        pytest.param(TxnRequest((Compare(key=b"p"),), (range_op(b"p"),)), (0, 0, 2, 1), id="compare and range"),
        pytest.param(TxnRequest(success=(delete_op(b"p"), range_op(b"p"))), (0, 1, 1, 1), id="delete and range"),
    ],
)
def test_counts_as_etcd_does(request_: TxnRequest, counts: tuple[int, int, int, int]) -> None:
    metrics = Metrics(CollectorRegistry())
    txn(Kv(Index(), History(), 1, -1, metrics), request_)
    assert (metrics.puts, metrics.deletes, metrics.ranges, metrics.txns) == counts


@settings(deadline=None)
@given(st.lists(WRITES, max_size=8), RANGES)
def test_follows_the_model(writes: list[Write], read: RangeRequest) -> None:
    kv, model = Kv(Index(), History(), 1, -1, Metrics(CollectorRegistry())), Model()
    for write in writes:
        request = write if isinstance(write, TxnRequest) else TxnRequest(success=(op_of(write),))
        answer: TxnResponse | str
        try:
            answer = txn(kv, request)
            kv.commit()
        except errors.EtcdError as error:
            kv.rollback()
            answer = type(error).__name__
        assert answer == model.apply(request)
        assert kv.range(read) == model.range(read)
    assert kv.revision == model.revision
    assert [(row[0] >> SUB_BITS, row[1], row[3]) for row in kv.pending] == model.events


def op_of(write: Write) -> RequestOp:
    if isinstance(write, PutRequest):
        return RequestOp(request_put=write)
    assert isinstance(write, DeleteRangeRequest)
    return RequestOp(request_delete_range=write)
