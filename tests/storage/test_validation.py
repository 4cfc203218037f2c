"""What is refused before proposing: limits, order of errors, duplicate keys, sizes."""

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftgate.api import errors
from raftgate.api.cluster import Member, MemberAdded
from raftgate.api.kv import Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, SortOrder, TxnRequest
from raftgate.api.lease import LeaseGrantRequest, LeaseRevokeRequest
from raftgate.api.message import Request
from storage.validation import check, cost, encoded_size, is_read_only, is_serializable
from tests.fakes.kv_model import OPS

Ops = tuple[RequestOp, ...]


def put(key: bytes, value: bytes = b"", **options: Any) -> RequestOp:  # Any: fields of the request
    return RequestOp(request_put=PutRequest(key, value, **options))


def read(key: bytes, **options: Any) -> RequestOp:  # Any: fields of the request
    return RequestOp(request_range=RangeRequest(key, **options))


def delete(key: bytes, range_end: bytes = b"") -> RequestOp:
    return RequestOp(request_delete_range=DeleteRangeRequest(key, range_end))


def nested(*success: RequestOp, failure: Ops = (), compare: tuple[Compare, ...] = ()) -> RequestOp:
    return RequestOp(request_txn=TxnRequest(compare, success, failure))


SINGLE_TABLE: list[tuple[str, Request[Any], type[errors.EtcdError] | None]] = [  # Any: whatever answers it
    ("range", RangeRequest(b"k"), None),
    ("range without key", RangeRequest(range_end=b"z", sort_order=9), errors.EmptyKey),
    ("unknown sort order", RangeRequest(b"k", sort_order=3), errors.InvalidSortOption),
    ("unknown sort target", RangeRequest(b"k", sort_order=SortOrder.ASCEND, sort_target=99), errors.InvalidSortOption),
    ("put", PutRequest(b"k", b"v", lease=1), None),
    ("put without key", PutRequest(value=b"v", ignore_value=True), errors.EmptyKey),
    ("value with ignore_value", PutRequest(b"k", b"v", 1, ignore_value=True, ignore_lease=True), errors.ValueProvided),
    ("lease with ignore_lease", PutRequest(b"k", b"v", 1, ignore_lease=True), errors.LeaseProvided),
    ("ignore both", PutRequest(b"k", ignore_value=True, ignore_lease=True), None),
    ("deleterange", DeleteRangeRequest(b"k", b"a"), None),
    ("deleterange without key", DeleteRangeRequest(range_end=b"z"), errors.EmptyKey),
    ("txn", TxnRequest(), None),
    ("anything else", MemberAdded(), None),
]


@pytest.mark.parametrize(("request_", "error"), [pytest.param(*row[1:], id=row[0]) for row in SINGLE_TABLE])
def test_single_requests(request_: Request[Any], error: type[errors.EtcdError] | None) -> None:  # Any: as above
    expect(request_, error)


def expect(request: Request[Any], error: type[errors.EtcdError] | None) -> None:  # Any: whatever answers it
    if error is None:
        check(request)
    else:
        with pytest.raises(error):
            check(request)


def some(count: int) -> Ops:
    return tuple(read(b"k%d" % number) for number in range(count))


def chain(levels: int) -> TxnRequest:
    request = TxnRequest(success=(put(b"x"),))
    for _ in range(levels - 1):
        request = TxnRequest(success=(RequestOp(request_txn=request),))
    return request


LIMIT_TABLE: list[tuple[str, TxnRequest, type[errors.EtcdError] | None]] = [
    ("128 in success", TxnRequest(success=some(128)), None),
    ("128 everywhere", TxnRequest((Compare(key=b"k"),) * 128, some(128), some(128)), None),
    ("129 in success", TxnRequest(success=some(129)), errors.TooManyOps),
    ("129 in failure", TxnRequest(failure=some(129)), errors.TooManyOps),
    ("129 compares", TxnRequest((Compare(key=b"k"),) * 129), errors.TooManyOps),
    ("128 of which one is a txn of 1", TxnRequest(success=(*some(127), nested(*some(1)))), errors.TooManyOps),
    ("128 of which one is an empty txn", TxnRequest(success=(*some(127), nested())), None),
    ("127 with a nested 1", TxnRequest(success=(*some(126), nested(*some(1)))), None),
    ("127 with a nested 2", TxnRequest(success=(*some(126), nested(*some(2)))), errors.TooManyOps),
    (
        "the widest of the parent counts",
        TxnRequest((Compare(key=b"k"),) * 128, (nested(read(b"k")),)),
        errors.TooManyOps,
    ),
    ("siblings have an allowance each", TxnRequest(success=(nested(*some(126)), nested(*some(126)))), None),
    ("128 levels", chain(128), None),
    ("129 levels", chain(129), errors.TooManyOps),
    ("the limit comes before any key", TxnRequest((Compare(),) * 129), errors.TooManyOps),
]


@pytest.mark.parametrize(("request_", "error"), [pytest.param(*row[1:], id=row[0]) for row in LIMIT_TABLE])
def test_limits(request_: TxnRequest, error: type[errors.EtcdError] | None) -> None:
    expect(request_, error)


def test_the_limit_is_an_argument() -> None:
    check(TxnRequest(success=some(3)), 3)
    with pytest.raises(errors.TooManyOps):
        check(TxnRequest(success=some(3)), 2)
    check(chain(160), 1000)


BAD_VALUE = put(b"k", b"v", ignore_value=True)
BAD_LEASE = put(b"k", lease=1, ignore_lease=True)

ORDER_TABLE: list[tuple[str, TxnRequest, type[errors.EtcdError]]] = [
    ("compare without key comes before operations", TxnRequest((Compare(),), (RequestOp(),)), errors.EmptyKey),
    ("success before failure", TxnRequest(success=(read(b""),), failure=(RequestOp(),)), errors.EmptyKey),
    ("in list order", TxnRequest(success=(BAD_VALUE, read(b""))), errors.ValueProvided),
    ("depth first", TxnRequest(success=(nested(BAD_LEASE), read(b""))), errors.LeaseProvided),
    ("both branches of a nested one", TxnRequest(success=(nested(failure=(BAD_LEASE,)),)), errors.LeaseProvided),
    ("compare of a nested one", TxnRequest(success=(nested(compare=(Compare(),)), RequestOp())), errors.EmptyKey),
    ("an operation that is none", TxnRequest(success=(RequestOp(),)), errors.KeyNotFound),
    ("unknown sort order", TxnRequest(success=(read(b"k", sort_order=9),)), errors.InvalidSortOption),
    ("deleterange without key", TxnRequest(failure=(delete(b""),)), errors.EmptyKey),
    (
        "duplicates come after all of it",
        TxnRequest(success=(put(b"k"), put(b"k")), failure=(RequestOp(),)),
        errors.KeyNotFound,
    ),
    ("a nested limit before later keys", TxnRequest(success=(nested(*some(128)), read(b""))), errors.TooManyOps),
]


@pytest.mark.parametrize(("request_", "error"), [pytest.param(*row[1:], id=row[0]) for row in ORDER_TABLE])
def test_order_of_errors(request_: TxnRequest, error: type[errors.EtcdError]) -> None:
    expect(request_, error)


DUPLICATE_TABLE: list[tuple[str, Ops, bool]] = [
    ("two puts", (put(b"k"), put(b"k")), True),
    ("two puts of two keys", (put(b"k"), put(b"l")), False),
    ("put and delete", (put(b"k"), delete(b"k")), True),
    ("delete and put", (delete(b"k"), put(b"k")), True),
    ("put in a deleted range", (put(b"k"), delete(b"a", b"z")), True),
    ("put at the end of a deleted range", (put(b"k"), delete(b"a", b"k")), False),
    ("put at the start of a deleted range", (put(b"a"), delete(b"a", b"k")), True),
    ("put in an empty range", (put(b"k"), delete(b"z", b"a")), False),
    ("put below overlapping deletes", (delete(b"b", b"d"), delete(b"c", b"f"), put(b"a"), put(b"f")), False),
    ("put in one of several deletes", (delete(b"b", b"d"), delete(b"x"), delete(b"c", b"f"), put(b"e")), True),
    ("delete and delete", (delete(b"k"), delete(b"k"), delete(b"a", b"z")), False),
    ("ranges never matter", (put(b"k"), read(b"k"), read(b"k")), False),
    ("the gap: a delete from key on is not seen", (put(b"k"), delete(b"a", b"\0")), False),
    ("the gap at the key itself", (put(b"a"), delete(b"a", b"\0")), False),
    ("nested put and parent's put", (nested(put(b"k")), put(b"k")), True),
    ("parent's put and nested put in else", (put(b"k"), nested(failure=(put(b"k"),))), True),
    ("then and else of one txn", (nested(put(b"k"), failure=(put(b"k"),)),), False),
    ("then and else of one txn, and parent", (nested(put(b"k"), failure=(put(b"k"),)), put(b"k")), True),
    ("two siblings", (nested(put(b"k")), nested(put(b"k"))), True),
    ("two siblings, then and else", (nested(put(b"k")), nested(failure=(put(b"k"),))), True),
    ("nested put, parent's delete", (nested(put(b"k")), delete(b"a", b"z")), True),
    ("parent's put, nested delete", (put(b"k"), nested(delete(b"k"))), True),
    ("parent's put, nested delete in else", (nested(failure=(delete(b"k"),)), put(b"k")), True),
    ("put in then, delete in else", (nested(put(b"k"), failure=(delete(b"k"),)),), False),
    ("nested delete before a sibling's put", (nested(delete(b"k")), nested(put(b"k"))), True),
    ("nested put before a sibling's delete", (nested(put(b"k")), nested(delete(b"k"))), False),
    ("two levels down", (nested(nested(put(b"k"))), put(b"k")), True),
    ("two levels down, delete", (nested(nested(delete(b"a", b"z"))), put(b"k")), True),
    ("two levels down, the gap", (nested(nested(delete(b"a", b"\0"))), put(b"k")), False),
    ("within a nested txn", (nested(nested(put(b"k"), put(b"k"))),), True),
]


@pytest.mark.parametrize("in_success", [True, False], ids=["success", "failure"])
@pytest.mark.parametrize(("ops", "refused"), [pytest.param(*row[1:], id=row[0]) for row in DUPLICATE_TABLE])
def test_duplicate_keys(ops: Ops, refused: bool, in_success: bool) -> None:  # noqa: FBT001 - columns of the table
    request = TxnRequest(success=ops) if in_success else TxnRequest(failure=ops)
    expect(request, errors.DuplicateKey if refused else None)


def test_success_and_failure_do_not_meet() -> None:
    check(TxnRequest(success=(put(b"k"), delete(b"x")), failure=(put(b"k"), put(b"x"))))


Item = tuple[tuple[int, ...], str, bytes, bytes]  # path, "put" or "delete", key, range_end


def flat(ops: Ops, path: tuple[int, ...] = ()) -> list[Item]:
    """All puts and deletes with their path: position in the list, branch, position in that list, ..."""
    items: list[Item] = []
    for at, op in enumerate(ops):
        here = (*path, at)
        if op.request_put:
            items.append((here, "put", op.request_put.key, b""))
        elif op.request_delete_range:
            items.append((here, "delete", op.request_delete_range.key, op.request_delete_range.range_end))
        elif op.request_txn:
            items += flat(op.request_txn.success, (*here, 0)) + flat(op.request_txn.failure, (*here, 1))
    return items


def conflict(one: Item, other: Item) -> bool:
    """The rule pair by pair: where two paths part decides (an odd position is a branch of one txn: no conflict)."""
    if one[1] == other[1] == "delete":
        return False
    parted = next(at for at, (a, b) in enumerate(zip(one[0], other[0], strict=False)) if a != b)
    if parted % 2 == 1:
        return False
    if one[1] == other[1]:
        return one[2] == other[2]
    deleted, written = (one, other) if one[1] == "delete" else (other, one)
    both_nested = min(len(one[0]), len(other[0])) > parted + 1
    if both_nested and written[0][parted] < deleted[0][parted]:
        return False  # the sibling's delete comes too late to be seen
    end = deleted[3] or deleted[2] + b"\0"
    return deleted[2] <= written[2] < end


@settings(deadline=None, max_examples=60)
@given(st.lists(OPS, max_size=5).map(tuple))
def test_duplicate_keys_follow_the_rule_pair_by_pair(ops: Ops) -> None:
    refused = any(conflict(one, other) for one, other in combinations(flat(ops), 2))
    try:
        check(TxnRequest(success=ops))
    except errors.DuplicateKey:
        assert refused
    except errors.ValueProvided:
        pass
    else:
        assert not refused


def tower(depth: int, width: int) -> RequestOp:
    """Many distinct puts deep down, and a put and two deletes of other keys on each level above."""
    op = nested(*(put(b"p%d" % n) for n in range(width)), *(delete(b"d%d" % n) for n in range(width)))
    for level in range(depth):
        op = nested(op, put(b"q%d" % level), delete(b"e%d" % level), delete(b"f%d" % level, b"f%d\0" % level))
    return op


def test_a_huge_txn_is_checked_in_one_pass() -> None:
    """Quadratic work over 20,000 writes through 40 levels would take minutes."""
    check(TxnRequest(success=(tower(40, 10_000),)), 10**6)
    with pytest.raises(errors.DuplicateKey):
        check(TxnRequest(success=(tower(40, 10_000), put(b"d9999"))), 10**6)


READ_ONLY_TABLE: list[tuple[str, Ops, Ops, bool, bool]] = [
    ("empty", (), (), True, True),
    ("ranges", (read(b"k"),), (read(b"k"),), True, False),
    ("serializable ranges", (read(b"k", serializable=True),), (read(b"l", serializable=True),), True, True),
    ("one is not serializable", (read(b"k", serializable=True),), (read(b"l"),), True, False),
    ("a put in failure", (read(b"k", serializable=True),), (put(b"k"),), False, False),
    ("a delete", (delete(b"k"),), (), False, False),
    ("a nested txn of ranges is a write txn", (nested(read(b"k", serializable=True)),), (), False, False),
]


@pytest.mark.parametrize(
    ("success", "failure", "read_only", "serializable"), [pytest.param(*row[1:], id=row[0]) for row in READ_ONLY_TABLE]
)
def test_read_only_txns(success: Ops, failure: Ops, read_only: bool, serializable: bool) -> None:  # noqa: FBT001 - columns
    request = TxnRequest(success=success, failure=failure)
    assert (is_read_only(request), is_serializable(request)) == (read_only, serializable)


@pytest.mark.parametrize(
    ("request_", "size"),
    [
        pytest.param(PutRequest(b"abc", b"x" * 1572837), 1572864, id="the largest put of a 3-byte key"),
        pytest.param(DeleteRangeRequest(b"abc", b"abd"), 30, id="deleterange"),
        pytest.param(RangeRequest(b"abc", b"abd"), 30, id="range"),
        pytest.param(TxnRequest(), 24, id="empty txn"),
        pytest.param(TxnRequest(success=(put(b"abc", b"12"),), failure=(delete(b"a", b"b"),)), 51, id="both branches"),
        pytest.param(TxnRequest((Compare(key=b"abc", range_end=b"d", value=b"ef"),)), 40, id="compares"),
        pytest.param(
            TxnRequest(success=(nested(put(b"a"), compare=(Compare(key=b"b"),)), read(b"c"))), 67, id="nested"
        ),
    ],
)
def test_encoded_size(request_: Request[Any], size: int) -> None:  # Any: whatever answers it
    assert encoded_size(request_) == size


def test_encoded_size_of_other_requests_is_that_of_their_encoding() -> None:
    assert encoded_size(MemberAdded(Member(1, "x" * 1000))) > 1000


COST_TABLE: list[tuple[str, Request[Any], int]] = [  # Any: whatever answers it
    ("put", PutRequest(b"key", b"value"), 256 + 8),
    ("range", RangeRequest(b"key"), 0),
    ("delete", DeleteRangeRequest(b"key"), 0),
    (
        "the costlier branch",
        TxnRequest(success=(put(b"k"), put(b"l")), failure=(put(b"k", b"v" * 100), put(b"m"))),
        614,
    ),
    ("puts only", TxnRequest(success=(delete(b"k"), read(b"k"))), 0),
    ("nested puts too", TxnRequest(success=(put(b"k"), nested(put(b"l"), failure=(put(b"m"), put(b"n"))))), 3 * 257),
    ("nothing", TxnRequest(), 0),
    ("lease grant", LeaseGrantRequest(60, 7), 64),
    ("lease revoke", LeaseRevokeRequest(7), 0),
    ("another service", MemberAdded(Member(1)), 0),
]


@pytest.mark.parametrize(("request_", "size"), [pytest.param(*row[1:], id=row[0]) for row in COST_TABLE])
def test_cost(request_: Request[Any], size: int) -> None:  # Any: as above
    assert cost(request_) == size
