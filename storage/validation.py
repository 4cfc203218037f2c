"""Checks that need no state: what etcd refuses before proposing (etcd api/v3rpc/key.go), in etcd's order.

Limits are checked first, so that the rest meets only what they let through. Recursion takes at most two Python
frames a level of nesting.
"""

from typing import Any

from sortedcontainers import SortedDict, SortedSet

from raftgate.api import wire_codec
from raftgate.api.errors import (
    DuplicateKey,
    EmptyKey,
    InvalidSortOption,
    KeyNotFound,
    LeaseProvided,
    TooManyOps,
    ValueProvided,
)
from raftgate.api.kv import (
    Compare,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    SortOrder,
    SortTarget,
    TxnRequest,
)
from raftgate.api.lease import LeaseGrantRequest
from raftgate.api.message import Request

MAX_TXN_OPS = 128  # etcd embed/config.go
REQUEST_OVERHEAD = 24  # bytes of an encoded request besides key and value
PUT_OVERHEAD = 256  # etcd server/storage/quota.go, kvOverhead
LEASE_OVERHEAD = 64  # bytes of a lease, likewise (leaseOverhead)
OP_OVERHEAD = 10  # bytes of an encoded operation of a txn, likewise


def check(request: Request[Any], max_txn_ops: int = MAX_TXN_OPS) -> None:  # Any: whatever answers it
    """Checks a request of the KV service; others have nothing to check here.

    Raises: what the check of the request's class raises.
    """
    if isinstance(request, PutRequest):
        check_put(request)
    elif isinstance(request, RangeRequest):
        check_range(request)
    elif isinstance(request, TxnRequest):
        check_txn(request, max_txn_ops)
    elif isinstance(request, DeleteRangeRequest):
        check_delete_range(request)


def check_range(request: RangeRequest) -> None:
    """Checks a range.

    Raises: EmptyKey, InvalidSortOption.
    """
    if not request.key:
        raise EmptyKey
    if not isinstance(request.sort_order, SortOrder) or not isinstance(request.sort_target, SortTarget):
        raise InvalidSortOption


def check_put(request: PutRequest) -> None:
    """Checks a put.

    Raises: EmptyKey, ValueProvided, LeaseProvided.
    """
    if not request.key:
        raise EmptyKey
    if request.ignore_value and request.value:
        raise ValueProvided
    if request.ignore_lease and request.lease:
        raise LeaseProvided


def check_delete_range(request: DeleteRangeRequest) -> None:
    """Checks a deleterange.

    Raises: EmptyKey.
    """
    if not request.key:
        raise EmptyKey


def check_txn(request: TxnRequest, max_txn_ops: int = MAX_TXN_OPS) -> None:
    """Checks a transaction with all that is nested in it.

    Raises: TooManyOps, EmptyKey, InvalidSortOption, ValueProvided, LeaseProvided, KeyNotFound, DuplicateKey.
    """
    _check_level(request, max_txn_ops)
    for ops in (request.success, request.failure):
        if all(op.request_put is not None or op.request_range is not None for op in ops):  # the usual list
            keys = [op.request_put.key for op in ops if op.request_put is not None]
            if len(set(keys)) != len(keys):
                raise DuplicateKey
        else:
            _writes(ops)


def is_read_only(request: TxnRequest) -> bool:
    """Whether both branches hold only ranges; a nested txn makes it a write txn whatever it holds."""
    return all(op.request_range is not None for ops in (request.success, request.failure) for op in ops)


def is_serializable(request: TxnRequest) -> bool:
    """Whether both branches hold only serializable ranges, as those of an empty txn do."""
    return all(
        op.request_range is not None and op.request_range.serializable
        for ops in (request.success, request.failure)
        for op in ops
    )


def encoded_size(request: Request[Any]) -> int:  # Any: whatever answers it
    """Bytes that `--max-request-bytes` counts, close to those of etcd's protobuf encoding."""
    if isinstance(request, PutRequest):
        return REQUEST_OVERHEAD + len(request.key) + len(request.value)
    if isinstance(request, RangeRequest | DeleteRangeRequest):
        return REQUEST_OVERHEAD + len(request.key) + len(request.range_end)
    if isinstance(request, TxnRequest):
        return REQUEST_OVERHEAD + _txn_size(request)
    return REQUEST_OVERHEAD + len(wire_codec.encode(request))


def cost(request: Request[Any]) -> int:  # Any: whatever answers it
    """Bytes that the space quota counts for a request, of a transaction's costlier branch (etcd storage/quota.go)."""
    if isinstance(request, PutRequest):
        return PUT_OVERHEAD + len(request.key) + len(request.value)
    if isinstance(request, TxnRequest):
        return max(_branch_cost(request.success), _branch_cost(request.failure))
    if isinstance(request, LeaseGrantRequest):
        return LEASE_OVERHEAD
    return 0


def _branch_cost(ops: tuple[RequestOp, ...]) -> int:
    puts = sum(cost(op.request_put) for op in ops if op.request_put is not None)
    return puts + sum(cost(op.request_txn) for op in ops if op.request_txn is not None)


def _txn_size(request: TxnRequest) -> int:
    size = sum(map(_compare_size, request.compare))
    for ops in (request.success, request.failure):
        for op in ops:
            size += OP_OVERHEAD
            put, ranged = op.request_put, op.request_range or op.request_delete_range
            if put is not None:
                size += len(put.key) + len(put.value)
            elif ranged is not None:
                size += len(ranged.key) + len(ranged.range_end)
            elif op.request_txn is not None:
                size += _txn_size(op.request_txn)
    return size


def _compare_size(compare: Compare) -> int:
    return OP_OVERHEAD + len(compare.key) + len(compare.range_end) + len(compare.value or b"")


def _check_level(request: TxnRequest, allowance: int) -> None:
    widest = max(len(request.compare), len(request.success), len(request.failure))
    if widest > allowance:
        raise TooManyOps
    for compare in request.compare:
        if not compare.key:
            raise EmptyKey
    for ops in (request.success, request.failure):
        for op in ops:
            if op.request_put is not None:
                check_put(op.request_put)
            elif op.request_range is not None:
                check_range(op.request_range)
            elif op.request_delete_range is not None:
                check_delete_range(op.request_delete_range)
            elif op.request_txn is not None:
                _check_level(op.request_txn, allowance - widest)
            else:
                raise KeyNotFound  # etcd's error for an operation that is none


class _Intervals:
    """A set of keys made of intervals `[start, end)`, kept disjoint."""

    __slots__ = ("ends",)

    def __init__(self) -> None:
        self.ends = SortedDict()  # start -> end

    def __len__(self) -> int:
        return len(self.ends)

    def __contains__(self, key: bytes) -> bool:
        at = self.ends.bisect_right(key) - 1
        return at >= 0 and bool(self.ends.peekitem(at)[1] > key)

    def add(self, start: bytes, end: bytes) -> None:
        """Adds `[start, end)`, which is empty unless start < end."""
        if start >= end:
            return
        at = self.ends.bisect_left(start)
        if at > 0:
            before, before_end = self.ends.peekitem(at - 1)
            if before_end >= start:
                start, end = before, max(end, before_end)
                at -= 1
        while at < len(self.ends) and self.ends.peekitem(at)[0] <= end:
            end = max(end, self.ends.popitem(at)[1])
        self.ends[start] = end


class _Writes:
    """What a list of operations may write, for the check of duplicate keys."""

    __slots__ = ("deletes", "puts")

    def __init__(self) -> None:
        self.puts = SortedSet()
        self.deletes = _Intervals()

    def check(self, other: "_Writes") -> None:
        """Refuses puts of `other` that are already here, put or deleted. Takes the smaller side's size in time."""
        if not self.puts.isdisjoint(other.puts):
            raise DuplicateKey
        if len(other.puts) < len(self.deletes):
            if any(key in self.deletes for key in other.puts):
                raise DuplicateKey
            return
        for start, end in self.deletes.ends.items():
            if next(other.puts.irange(start, end, (True, False)), None) is not None:
                raise DuplicateKey

    def merge(self, other: "_Writes") -> None:
        """Adds `other`, which is given up. Takes the smaller side's size in time."""
        if len(self.puts) < len(other.puts):
            self.puts, other.puts = other.puts, self.puts
        for key in other.puts:
            self.puts.add(key)
        if len(self.deletes) < len(other.deletes):
            self.deletes, other.deletes = other.deletes, self.deletes
        for start, end in other.deletes.ends.items():
            self.deletes.add(start, end)


def _writes(ops: tuple[RequestOp, ...]) -> _Writes | None:
    """Collects what a list may write, None for nothing, in the order of etcd's checkIntervals.

    That order shows: a nested put is checked against deletes of this list and of nested txns before it only, and a
    range_end of one zero byte is an interval that ends below every key, so that such a delete is never seen.

    Raises: DuplicateKey.
    """
    deletes = [op.request_delete_range for op in ops if op.request_delete_range is not None]
    nested = [op.request_txn for op in ops if op.request_txn is not None]
    puts = [op.request_put.key for op in ops if op.request_put is not None]
    if not deletes and not nested:
        return _only_puts(puts)
    writes = _Writes()
    for delete in deletes:
        writes.deletes.add(delete.key, delete.range_end or delete.key + b"\0")
    for txn in nested:
        branches = [branch for branch in (_writes(txn.success), _writes(txn.failure)) if branch is not None]
        for branch in branches:  # against this list only: one of the two runs
            writes.check(branch)
        for branch in branches:
            writes.merge(branch)
    own = _only_puts(puts)
    if own is not None:
        writes.check(own)
        writes.merge(own)
    return writes


def _only_puts(keys: list[bytes]) -> _Writes | None:
    if not keys:
        return None
    unique = set(keys)
    if len(unique) != len(keys):
        raise DuplicateKey
    writes = _Writes()
    writes.puts.update(unique)
    return writes
