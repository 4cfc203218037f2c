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
from storage.kv import Kv, NotInMemory
from storage.metrics import Metrics
from storage.row import Load, has_stub
from storage.validation import is_read_only

_MISSING = KeyValue()


@dataclass(slots=True)
class Branch:
    """The branch that a txn takes, and those of its nested txns in their order."""

    succeeded: bool
    ops: tuple[RequestOp, ...]
    nested: list["Branch"]


def txn(kv: Kv, request: TxnRequest) -> TxnResponse:
    """Runs a transaction; its changes are left to be committed or, after an error, rolled back.

    Raises: KeyNotFound, LeaseNotFound, FutureRev, Compacted, NotInMemory.
    """
    metrics = kv.metrics
    before = metrics.operations()
    try:
        branch = _choose(kv, request)
        check_puts(kv, branch)
        check_ranges(kv, branch)
        if not is_read_only(request):
            before = count(metrics, before)  # etcd compares in a read transaction of its own
        response = _run(kv, branch)
    finally:
        count(metrics, before)
    return TxnResponse(ResponseHeader(revision=kv.seen_revision), response.succeeded, response.responses)


def count(metrics: Metrics, before: int) -> int:
    """Counts a transaction if it had several operations since `before`, as etcd mvcc/metrics_txn.go does."""
    now = metrics.operations()
    if now - before > 1:
        metrics.txns += 1
    return now


def _choose(kv: Kv, request: TxnRequest) -> Branch:
    if kv.values.evicted:
        _need_values(kv, request.compare)
    succeeded = True
    for compare in request.compare:
        if not _holds(kv, compare):
            succeeded = False
            break
    ops = request.success if succeeded else request.failure
    return Branch(succeeded, ops, [_choose(kv, op.request_txn) for op in ops if op.request_txn is not None])


def _need_values(kv: Kv, compares: tuple[Compare, ...]) -> None:
    """Asks for all values that are to be compared, rather than for one after the other.

    Raises: NotInMemory.
    """
    for compare in compares:
        if compare.target is CompareTarget.VALUE:
            kv.load(kv.index.range(compare.key, compare.range_end), values=True)
    if kv.wanted:
        raise NotInMemory(kv.wanted)


def check_puts(kv: Kv, branch: Branch) -> None:
    """Checks the puts of the branch taken.

    Raises: KeyNotFound, LeaseNotFound.
    """
    nested = iter(branch.nested)
    for op in branch.ops:
        if op.request_txn is not None:
            check_puts(kv, next(nested))
        put = op.request_put
        if put is None:
            continue
        if put.ignore_value or put.ignore_lease:
            kv.metrics.ranges += 1  # etcd reads the key through its own range
            if kv.index.get(put.key) is None:
                raise KeyNotFound
        if put.lease and put.lease not in kv.leases:
            raise LeaseNotFound


def check_ranges(kv: Kv, branch: Branch) -> None:
    """Checks the ranges of the branch taken.

    Raises: FutureRev, Compacted.
    """
    nested = iter(branch.nested)
    for op in branch.ops:
        if op.request_txn is not None:
            check_ranges(kv, next(nested))
        elif op.request_range is not None:
            check_range(kv, op.request_range)


def check_range(kv: Kv, request: RangeRequest) -> None:
    """Checks the revision of a range in a transaction.

    Raises: FutureRev, Compacted.
    """
    # A negative revision is below the first one here, while a plain range reads it as the current one.
    if request.revision and request.revision < kv.compact_revision:
        raise Compacted
    kv.check_revision(request.revision)


def _run(kv: Kv, branch: Branch) -> TxnResponse:
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
    kv.metrics.ranges += 1  # etcd reads what it compares through its own range
    return holds(compare, kv.index.range(compare.key, compare.range_end), kv.load)


def holds(compare: Compare, kvs: list[KeyValue], load: Load) -> bool:
    """Whether a compare holds for its key, or for every key of its range."""
    is_of_value = compare.target is CompareTarget.VALUE
    if not kvs:
        # There is no way to say "no value", so no compare of a value holds for a missing key.
        return not is_of_value and _relation(compare, _MISSING)
    if is_of_value and has_stub(kvs):
        kvs = load(kvs, values=True)
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
