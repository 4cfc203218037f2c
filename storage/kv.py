"""MVCC: range, put and delete_range on the current state, and the changes of the command that is being applied.

A command's changes show at once to its own later operations; `commit` makes them the next revision, `rollback`
takes them back. Its rows go to the pending list in execution order, which is what becomes of them in SQLite.
Transactions are in `txn.py`; checks that need no state are in `validation.py`.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeAlias

from raftgate.api.errors import Compacted, FutureRev, KeyNotFound, LeaseNotFound, Unimplemented
from raftgate.api.kv import (
    DeleteRangeRequest,
    DeleteRangeResponse,
    KeyValue,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    ResponseHeader,
    SortOrder,
    SortTarget,
)
from storage.index import Index, covers
from storage.metrics import Metrics

SUB_BITS = 24  # a revision's changes are numbered within these bits of a row id
ROW_OVERHEAD = 200  # bytes that a pending row takes in memory besides key and value, about
FIRST_REVISION = 1  # of a fresh store: etcd mvcc/kvstore.go
NEVER_COMPACTED = -1  # etcd mvcc/kvstore.go compactMainRev

Row: TypeAlias = tuple[int, bytes, int, int, bytes, int]
"""A change as SQLite keeps it: `revision << 24 | sub`, key, create_revision, version (0: a tombstone), value, lease."""

_SORT_FIELDS: dict[SortTarget, Callable[[KeyValue], Any]] = {  # Any: int or bytes, by field
    SortTarget.VERSION: attrgetter("version"),
    SortTarget.CREATE: attrgetter("create_revision"),
    SortTarget.MOD: attrgetter("mod_revision"),
    SortTarget.VALUE: attrgetter("value"),
}


class Kv:
    """The keys as of now, and the rows of them that SQLite does not have yet."""

    __slots__ = (
        "_start",
        "_undo",
        "compact_revision",
        "index",
        "leases",
        "metrics",
        "pending",
        "pending_bytes",
        "revision",
    )

    def __init__(self, index: Index, revision: int, compact_revision: int, metrics: Metrics) -> None:
        self.index = index
        self.revision = revision
        """The store's revision, without the command that is being applied."""
        self.compact_revision = compact_revision
        self.leases: set[int] = set()
        """Ids of the leases that exist: none, until leases are served."""
        self.metrics = metrics
        self.pending: list[Row] = []
        self.pending_bytes = 0
        self._start = 0  # where the running command's rows begin in `pending`
        self._undo: list[tuple[bytes, KeyValue | None]] = []  # what each change of the running command replaced

    @property
    def seen_revision(self) -> int:
        """The revision that an operation sees: the next one as soon as the running command has changed something."""
        return self.revision + 1 if self._undo else self.revision

    def commit(self) -> bool:
        """Makes the changes of the running command the next revision; tells whether there were any."""
        if not self._undo:
            return False
        self.revision += 1
        self._undo.clear()
        self._start = len(self.pending)
        return True

    def rollback(self) -> None:
        """Takes back the changes of the running command."""
        for key, previous in reversed(self._undo):
            if previous is None:
                self.index.remove(key)
            elif self.index.get(key) is None:
                self.index.add(previous)
            else:
                self.index.update(previous)
        self.pending_bytes -= weight(self.pending[self._start :])
        del self.pending[self._start :]
        self._undo.clear()

    def take_pending(self) -> list[Row]:
        """Hands over the pending rows, between two commands."""
        rows, self.pending, self.pending_bytes, self._start = self.pending, [], 0, 0
        return rows

    def check_revision(self, revision: int) -> None:
        """Refuses to read at a revision that is not there; 0 and below mean the current one.

        Raises: FutureRev, Compacted, Unimplemented.
        """
        if revision > self.revision:
            raise FutureRev
        if 0 < revision < self.revision:
            if revision < self.compact_revision:
                raise Compacted
            raise Unimplemented("reads of past revisions are not served yet")

    def range(self, request: RangeRequest) -> RangeResponse:
        """Reads a range at a revision that has been checked (etcd server/etcdserver/txn/range.go)."""
        self.metrics.ranges += 1
        header = ResponseHeader(revision=self.seen_revision)
        limit = request.limit
        if request.revision > 0 and self._undo:  # the state before the running txn's own changes
            kvs = self._range_before(request.key, request.range_end)
            count = len(kvs)
            if limit > 0 and _cuts_early(request):
                kvs = kvs[: limit + 1]
        elif request.count_only:
            kvs, count = [], self.index.count(request.key, request.range_end)
        elif limit > 0 and _cuts_early(request):
            kvs = self.index.range(request.key, request.range_end, limit + 1)
            count = len(kvs) if len(kvs) <= limit else self.index.count(request.key, request.range_end)
        else:
            kvs = self.index.range(request.key, request.range_end)
            count = len(kvs)
        if request.count_only or not kvs:
            return RangeResponse(header, count=count)
        kvs = _sorted(request, _filtered(request, kvs))
        more = 0 < limit < len(kvs)
        if more:
            kvs = kvs[:limit]
        if request.keys_only:
            kvs = [KeyValue(kv.key, kv.create_revision, kv.mod_revision, kv.version, b"", kv.lease) for kv in kvs]
        return RangeResponse(header, tuple(kvs), more, count)

    def put(self, request: PutRequest, *, alone: bool = False) -> PutResponse:
        """Stores a key; `alone`: not in a transaction.

        Raises: LeaseNotFound, KeyNotFound.
        """
        key, value, lease = request.key, request.value, request.lease
        metrics = self.metrics
        previous = self.index.get(key)
        if lease and lease not in self.leases:
            raise LeaseNotFound
        if request.ignore_value or request.ignore_lease or request.prev_kv:
            metrics.ranges += 1  # etcd reads the key through its own range
            if previous is not None:
                value = previous.value if request.ignore_value else value
                lease = previous.lease if request.ignore_lease else lease
            elif request.ignore_value or request.ignore_lease:
                raise KeyNotFound
            metrics.txns += alone  # which makes two operations
        revision = self.revision + 1
        if previous is None:
            kv = KeyValue(key, revision, revision, 1, value, lease)
            self.index.add(kv)
        else:  # the former key object, so that each key is held once
            kv = KeyValue(previous.key, previous.create_revision, revision, previous.version + 1, value, lease)
            self.index.update(kv)
        self._record(kv, previous)
        metrics.puts += 1
        metrics.put_bytes += len(key) + len(value)
        return PutResponse(ResponseHeader(revision=revision), previous if request.prev_kv else None)

    def delete_range(self, request: DeleteRangeRequest, *, alone: bool = False) -> DeleteRangeResponse:
        """Deletes the keys of a range; `alone`: not in a transaction."""
        metrics = self.metrics
        metrics.deletes += 1
        if request.prev_kv:
            metrics.ranges += 1  # as for put
            metrics.txns += alone
        doomed = self.index.range(request.key, request.range_end)
        self._delete(doomed)
        header = ResponseHeader(revision=self.seen_revision)
        return DeleteRangeResponse(header, len(doomed), tuple(doomed) if request.prev_kv else ())

    def _delete(self, doomed: list[KeyValue]) -> None:
        """Deletes live keys; a long list may come in slices of one command."""
        revision = self.revision + 1
        for kv in doomed:
            self.index.remove(kv.key)
            self._record(KeyValue(kv.key, mod_revision=revision), kv)

    def _record(self, kv: KeyValue, previous: KeyValue | None) -> None:
        """Notes a change, so that it gets its row and can be taken back."""
        pending = self.pending
        sub = len(pending) - self._start
        assert sub < 1 << SUB_BITS, "a command changes more keys than a revision can number"
        pending.append((kv.mod_revision << SUB_BITS | sub, kv.key, kv.create_revision, kv.version, kv.value, kv.lease))
        self.pending_bytes += len(kv.key) + len(kv.value) + ROW_OVERHEAD
        self._undo.append((kv.key, previous))

    def _range_before(self, key: bytes, range_end: bytes) -> list[KeyValue]:
        """A range as it was before the running command."""
        kvs = {kv.key: kv for kv in self.index.range(key, range_end)}
        for changed, previous in reversed(self._undo):
            if not covers(key, range_end, changed):
                continue
            if previous is None:
                kvs.pop(changed, None)
            else:
                kvs[changed] = previous
        return [kvs[key] for key in sorted(kvs)]


def weight(rows: list[Row]) -> int:
    """Bytes of memory that pending rows take, about."""
    return sum(len(row[1]) + len(row[4]) + ROW_OVERHEAD for row in rows)


def _cuts_early(request: RangeRequest) -> bool:
    """Whether only the first limit + 1 keys are looked at, before any sorting (etcd's oddity)."""
    return request.sort_order is SortOrder.NONE and not _has_filter(request)


def _has_filter(request: RangeRequest) -> bool:
    return bool(
        request.min_mod_revision
        or request.max_mod_revision
        or request.min_create_revision
        or request.max_create_revision
    )


def _filtered(request: RangeRequest, kvs: list[KeyValue]) -> list[KeyValue]:
    if not _has_filter(request):
        return kvs
    if request.max_mod_revision:
        kvs = [kv for kv in kvs if kv.mod_revision <= request.max_mod_revision]
    if request.min_mod_revision:
        kvs = [kv for kv in kvs if kv.mod_revision >= request.min_mod_revision]
    if request.max_create_revision:
        kvs = [kv for kv in kvs if kv.create_revision <= request.max_create_revision]
    if request.min_create_revision:
        kvs = [kv for kv in kvs if kv.create_revision >= request.min_create_revision]
    return kvs


def _sorted(request: RangeRequest, kvs: list[KeyValue]) -> list[KeyValue]:
    """Sorts what comes in key order; equals stay in key order both ways."""
    order, target = request.sort_order, request.sort_target
    if target is SortTarget.KEY:
        return kvs[::-1] if order is SortOrder.DESCEND else kvs
    field = _SORT_FIELDS.get(target) if isinstance(target, SortTarget) else None
    if field is None:
        return kvs
    return sorted(kvs, key=field, reverse=order is SortOrder.DESCEND)
