"""Commands that touch very many keys, applied a slice at a time; the result is as if they were applied at once.

The same steps as in `txn.py` and `kv.py`, as generators. Between two slices the loop may turn, but nobody may read or
apply anything else. A slice that lacks rows of SQLite yields what is `Missing`, to be run before the next one.

What is not sliced: the sorting of more than ten thousand keys by anything but the key, in a transaction that writes.
"""

from collections.abc import Callable, Generator
from functools import partial
from typing import Any, TypeVar

from raftgate.api.errors import LeaseNotFound
from raftgate.api.kv import (
    Compare,
    DeleteRangeRequest,
    DeleteRangeResponse,
    KeyValue,
    RangeRequest,
    RangeResponse,
    RequestOp,
    ResponseHeader,
    ResponseOp,
    TxnRequest,
    TxnResponse,
)
from raftgate.api.lease import LeaseRevokeRequest, LeaseRevokeResponse
from raftgate.api.message import Request
from storage.gathering import Gathering
from storage.kv import Kv, NotInMemory
from storage.missing import Missing
from storage.ranges import cuts_early
from storage.reader import Readers
from storage.txn import Branch, check_puts, check_ranges, holds
from storage.txn import count as count_txn
from storage.validation import is_read_only

T = TypeVar("T")
Slices = Generator[Missing | None, None, T]


def touched(kv: Kv, request: Request[Any] | None) -> int:  # Any: whatever answers it
    """About how many keys a command touches, of both branches of a transaction."""
    if isinstance(request, DeleteRangeRequest):
        return kv.index.count(request.key, request.range_end) if request.range_end and request.prev_kv else 1
    if isinstance(request, LeaseRevokeRequest):
        return kv.leases.count(request.ID)
    if not isinstance(request, TxnRequest):
        return 1
    count = 0
    for compare in request.compare:
        count += kv.index.count(compare.key, compare.range_end) if compare.range_end else 1
    for ops in (request.success, request.failure):
        for op in ops:
            count += 1 if op.request_put is not None else _operation(kv, op)
    return count


def _operation(kv: Kv, op: RequestOp) -> int:
    ranged, delete = op.request_range, op.request_delete_range
    if ranged is not None and ranged.range_end:
        live = kv.index.count(ranged.key, ranged.range_end)
        if kv.is_past(ranged.revision):
            return live + kv.history.count_gone(ranged.key, ranged.range_end)
        return 1 if ranged.count_only else min(live, ranged.limit) if cuts_early(ranged) else live
    if delete is not None and delete.range_end:
        return kv.index.count(delete.key, delete.range_end)
    return touched(kv, op.request_txn) if op.request_txn is not None else 1


class Slicer:
    """Applies one large command."""

    def __init__(self, kv: Kv, readers: Readers) -> None:
        self._kv = kv
        self._readers = readers
        self._piece = kv.options.piece
        self._done = 0

    def apply(self, request: Request[Any]) -> Slices[Any]:  # Any: whatever answers it
        """Runs the command; its changes are left to be committed or, after an error, taken back.

        Raises: what the command does.
        """
        if isinstance(request, TxnRequest):
            return (yield from self._txn(request))
        if isinstance(request, LeaseRevokeRequest):
            return (yield from self._revoke(request))
        assert isinstance(request, DeleteRangeRequest), "other commands touch one key"
        self._kv.metrics.txns += request.prev_kv
        return (yield from self._delete_range(request))

    def _txn(self, request: TxnRequest) -> Slices[TxnResponse]:
        kv = self._kv
        before = kv.metrics.operations()
        try:
            branch = yield from self._choose(request)
            check_puts(kv, branch)
            check_ranges(kv, branch)
            if not is_read_only(request):
                before = count_txn(kv.metrics, before)
            response = yield from self._run(branch)
        finally:
            count_txn(kv.metrics, before)
        return TxnResponse(ResponseHeader(revision=kv.seen_revision), response.succeeded, response.responses)

    def _choose(self, request: TxnRequest) -> Slices[Branch]:
        succeeded = True
        for compare in request.compare:
            succeeded = yield from self._holds(compare)
            if not succeeded:
                break
        ops = request.success if succeeded else request.failure
        nested = []
        for op in ops:
            if op.request_txn is not None:
                nested.append((yield from self._choose(op.request_txn)))  # noqa: PERF401 - a comprehension cannot yield
        return Branch(succeeded, ops, nested)

    def _holds(self, compare: Compare) -> Slices[bool]:
        self._kv.metrics.ranges += 1
        for kvs in self._kv.index.pieces(compare.key, compare.range_end, self._piece):
            if not (yield from self._attempt(partial(holds, compare, kvs, self._kv.load))):
                return False
            yield from self._turn(len(kvs))
        return True

    def _run(self, branch: Branch) -> Slices[TxnResponse]:
        nested = iter(branch.nested)
        responses = []
        for op in branch.ops:
            yield from self._turn(1)
            if op.request_put is not None:
                put = yield from self._attempt(partial(self._kv.put, op.request_put))
                response = ResponseOp(response_put=put)
            elif op.request_range is not None:
                response = ResponseOp(response_range=(yield from self._range(op.request_range)))
            elif op.request_delete_range is not None:
                response = ResponseOp(response_delete_range=(yield from self._delete_range(op.request_delete_range)))
            else:
                response = ResponseOp(response_txn=(yield from self._run(next(nested))))
            responses.append(response)
        return TxnResponse(ResponseHeader(), branch.succeeded, tuple(responses))

    def _range(self, request: RangeRequest) -> Slices[RangeResponse]:
        kv = self._kv
        is_past = kv.is_past(request.revision)
        is_short = request.count_only or not request.range_end or (cuts_early(request) and request.limit <= self._piece)
        if is_short and not is_past:
            return (yield from self._attempt(partial(kv.range, request)))
        kv.metrics.ranges += 1
        gathering = Gathering(kv, request, request.revision if is_past else kv.seen_revision)
        for _ in gathering.pieces():
            yield None
        yield None
        return (yield from self._attempt(partial(gathering.answer, kv.load)))

    def _delete_range(self, request: DeleteRangeRequest) -> Slices[DeleteRangeResponse]:
        kv = self._kv
        kv.metrics.deletes += 1
        kv.metrics.ranges += request.prev_kv
        deleted = 0
        answered: list[KeyValue] = []
        while doomed := kv.index.range(request.key, request.range_end, self._piece):
            if request.prev_kv:
                answered += yield from self._attempt(partial(kv.load, doomed, values=True))
            kv.delete(doomed)
            deleted += len(doomed)
            yield from self._turn(len(doomed))
        return DeleteRangeResponse(ResponseHeader(revision=kv.seen_revision), deleted, tuple(answered))

    def _revoke(self, request: LeaseRevokeRequest) -> Slices[LeaseRevokeResponse]:
        kv = self._kv
        if request.ID not in kv.leases:
            raise LeaseNotFound
        for keys in kv.leases.pieces(request.ID, self._piece):
            if keys is not None:
                kv.delete(kv.attached(keys))
            yield None
        return kv.end_lease(request.ID)

    def _attempt(self, function: Callable[[], T]) -> Slices[T]:
        """The result of a function that changes nothing before it lacks something."""
        while True:
            counts = self._kv.metrics.counts()
            try:
                return function()
            except NotInMemory as lack:
                self._kv.metrics.reset(counts)
                missing = Missing(self._readers, lack.stubs)
            yield missing
            if not missing.found:
                raise RuntimeError("what is missing was not read")
            self._kv.supplied.update(missing.found)

    def _turn(self, keys: int) -> Slices[None]:
        """Gives way when enough has been done since the last time."""
        self._done += keys
        if self._done >= self._piece:
            self._done = 0
            yield None
