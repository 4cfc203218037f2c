"""Transactions: compares, the check of the chosen branch, and its operations (etcd server/etcdserver/txn/txn.go).

All compares on the chosen path, nested ones included, look at the state before the transaction. Nothing here judges
what can be judged without state: that is `validation.py`. A level of nesting costs each walk one Python frame.
"""

from dataclasses import dataclass

from raftgate.api.errors import Compacted, KeyNotFound, LeaseNotFound
from raftgate.api.kv import (
    Compare,
    CompareResult,
    CompareTarget,
    KeyValue,
    RangeRequest,
    RequestOp,
    ResponseHeader,
    ResponseOp,
    TxnRequest,
    TxnResponse,
)
from storage.kv import Kv
from storage.metrics import Metrics
from storage.validation import is_read_only

_MISSING = KeyValue()


@dataclass(slots=True)
class _Branch:
    """The branch that a txn takes, and those of its nested txns in their order."""

    succeeded: bool
    ops: tuple[RequestOp, ...]
    nested: list["_Branch"]


def txn(kv: Kv, request: TxnRequest) -> TxnResponse:
    """Runs a transaction; its changes are left to be committed or, after an error, rolled back.

    Raises: KeyNotFound, LeaseNotFound, FutureRev, Compacted, Unimplemented.
    """
    metrics = kv.metrics
    before = metrics.operations()
    try:
        branch = _choose(kv, request)
        _check_puts(kv, branch)
        _check_ranges(kv, branch)
        if not is_read_only(request):
            before = _count(metrics, before)  # etcd compares in a read transaction of its own
        response = _run(kv, branch)
    finally:
        _count(metrics, before)
    return TxnResponse(ResponseHeader(revision=kv.seen_revision), response.succeeded, response.responses)


def _count(metrics: Metrics, before: int) -> int:
    """Counts a transaction if it had several operations, as etcd mvcc/metrics_txn.go does."""
    now = metrics.operations()
    if now - before > 1:
        metrics.txns += 1
    return now


def _choose(kv: Kv, request: TxnRequest) -> _Branch:
    succeeded = True
    for compare in request.compare:
        if not _holds(kv, compare):
            succeeded = False
            break
    ops = request.success if succeeded else request.failure
    return _Branch(succeeded, ops, [_choose(kv, op.request_txn) for op in ops if op.request_txn is not None])


def _check_puts(kv: Kv, branch: _Branch) -> None:
    nested = iter(branch.nested)
    for op in branch.ops:
        if op.request_txn is not None:
            _check_puts(kv, next(nested))
        put = op.request_put
        if put is None:
            continue
        if put.ignore_value or put.ignore_lease:
            kv.metrics.ranges += 1  # etcd reads the key through its own range
            if kv.index.get(put.key) is None:
                raise KeyNotFound
        if put.lease and put.lease not in kv.leases:
            raise LeaseNotFound


def _check_ranges(kv: Kv, branch: _Branch) -> None:
    nested = iter(branch.nested)
    for op in branch.ops:
        if op.request_txn is not None:
            _check_ranges(kv, next(nested))
        elif op.request_range is not None:
            _check_range(kv, op.request_range)


def _check_range(kv: Kv, request: RangeRequest) -> None:
    # A negative revision is below the first one here, while a plain range reads it as the current one.
    if request.revision and request.revision < kv.compact_revision:
        raise Compacted
    kv.check_revision(request.revision)


def _run(kv: Kv, branch: _Branch) -> TxnResponse:
    nested = iter(branch.nested)
    responses = []
    for op in branch.ops:
        if op.request_put is not None:
            response = ResponseOp(response_put=kv.put(op.request_put))
        elif op.request_range is not None:
            response = ResponseOp(response_range=kv.range(op.request_range))
        elif op.request_delete_range is not None:
            response = ResponseOp(response_delete_range=kv.delete_range(op.request_delete_range))
        else:
            response = ResponseOp(response_txn=_run(kv, next(nested)))
        responses.append(response)
    return TxnResponse(ResponseHeader(), branch.succeeded, tuple(responses))


def _holds(kv: Kv, compare: Compare) -> bool:
    """Whether a compare holds for its key, or for every key of its range."""
    kv.metrics.ranges += 1  # etcd reads what it compares through its own range
    kvs = kv.index.range(compare.key, compare.range_end)
    if not kvs:
        # There is no way to say "no value", so no compare of a value holds for a missing key.
        return compare.target is not CompareTarget.VALUE and _relation(compare, _MISSING)
    return all(_relation(compare, stored) for stored in kvs)


def _relation(compare: Compare, stored: KeyValue) -> bool:
    left: int | bytes = 0
    right: int | bytes | None = 0  # an unknown target compares equal
    match compare.target:
        case CompareTarget.VERSION:
            left, right = stored.version, compare.version
        case CompareTarget.CREATE:
            left, right = stored.create_revision, compare.create_revision
        case CompareTarget.MOD:
            left, right = stored.mod_revision, compare.mod_revision
        case CompareTarget.VALUE:
            left, right = stored.value, compare.value or b""
        case CompareTarget.LEASE:
            left, right = stored.lease, compare.lease
    right = right or type(left)()  # the field of another target was given, or none
    match compare.result:
        case CompareResult.EQUAL:
            return left == right
        case CompareResult.GREATER:
            return left > right  # type: ignore[operator]  # both are ints or both bytes
        case CompareResult.LESS:
            return left < right  # type: ignore[operator]  # as above
        case CompareResult.NOT_EQUAL:
            return left != right
    return True
