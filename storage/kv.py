"""MVCC: range, put and delete_range on the current state, and the changes of the command that is being applied.

A command's changes show at once to its own later operations; `commit` makes them the next revision, `rollback`
takes them back. Its rows go to the pending list in execution order, which is what becomes of them in SQLite.
Transactions are in `txn.py`; checks that need no state are in `validation.py`.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Protocol

from raftgate.api.errors import Compacted, FutureRev, KeyNotFound, LeaseNotFound
from raftgate.api.kv import (
    DeleteRangeRequest,
    DeleteRangeResponse,
    KeyValue,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    ResponseHeader,
)
from raftgate.api.lease import LeaseRevokeRequest, LeaseRevokeResponse
from storage import ranges
from storage.gathering import Gathering
from storage.history import History
from storage.index import Index
from storage.lease import Leases
from storage.metrics import Metrics
from storage.options import Options
from storage.row import ROW_OVERHEAD, SUB_BITS, Row, Stub, has_stub, weight
from storage.sweep import BYTES_PER_KEY, Sweep, Sweeps
from storage.values import Values

UNDO_AT_ONCE = 5_000
_DEFAULTS = Options()
FIRST_REVISION = 1  # of a fresh store: etcd mvcc/kvstore.go
NEVER_COMPACTED = -1  # etcd mvcc/kvstore.go compactMainRev


class NotInMemory(Exception):
    """What has been asked for lies in SQLite."""

    def __init__(self, stubs: Sequence[Stub]) -> None:
        super().__init__()
        self.stubs = stubs


class Watched(Protocol):
    """Looks at what has been committed."""

    def committed(self, pending: Sequence[Row], start: int, undo: Sequence[tuple[bytes, KeyValue | None]]) -> None:
        """The rows of `pending` from `start` on have become the store's revision; `undo`: what each has replaced."""
        ...

    def swept(self, sweep: Sweep) -> None:
        """A sweep has."""
        ...


class Kv:
    """The keys as of now, and the rows of them that SQLite does not have yet."""

    __slots__ = (
        "_has_swept",
        "_readers",
        "_start",
        "_undo",
        "compact_revision",
        "history",
        "index",
        "is_slicing",
        "leases",
        "metrics",
        "options",
        "pending",
        "pending_bytes",
        "revision",
        "supplied",
        "sweeps",
        "swept",
        "taken",
        "values",
        "wanted",
        "watched",
    )

    def __init__(
        self,
        index: Index,
        history: History,
        revision: int,
        compact_revision: int,
        metrics: Metrics,
        options: Options = _DEFAULTS,
    ) -> None:
        self.options = options
        self.index = index
        self.history = history
        self.values = Values(index, history, options.value_cache_bytes)
        self.leases = Leases()
        self.sweeps = Sweeps(index, history, self.values, options.piece, self.leases.detach)
        self.is_slicing = False
        """Whether a command is half applied: no value may come or go then but by the command itself."""
        self.revision = revision
        """The store's revision, without the command that is being applied."""
        self.compact_revision = compact_revision
        self.metrics = metrics
        self.swept: list[tuple[int, Sweep]] = []
        """Sweeps whose rows are pending too, each with the number of pending rows before its own."""
        self.pending: list[Row] = []
        self.pending_bytes = 0
        self.taken: list[Row] = []
        """Rows that have been handed over, and that SQLite may not have yet."""
        self.supplied: dict[int, KeyValue] = {}
        """What was read from SQLite for the command to come: row id -> KeyValue."""
        self.wanted: list[Stub] | None = None
        """While a command is tried out: what it would need of SQLite."""
        self.watched: Watched | None = None
        """Who is to be told of each commit."""
        self._readers: dict[int, int] = {}  # revision -> how many read at it
        self._has_swept = False  # the running command has, and has moved the revision
        self._start = 0  # where the running command's rows begin in `pending`
        self._undo: list[tuple[bytes, KeyValue | None]] = []  # what each change of the running command replaced

    @property
    def seen_revision(self) -> int:
        """The revision that an operation sees: the next one as soon as the running command has changed something."""
        return self.revision + 1 if self._undo else self.revision

    def commit(self) -> bool:
        """Makes the changes of the running command the next revision; tells whether there were any."""
        if not self._undo:
            has_swept, self._has_swept = self._has_swept, False
            if has_swept and self.watched is not None:
                self.watched.swept(self.swept[-1][1])
            return has_swept
        self.revision += 1
        if self.watched is not None:
            self.watched.committed(self.pending, self._start, self._undo)
        self._undo.clear()
        self._start = len(self.pending)
        return True

    def rollback(self) -> None:
        """Takes back the changes of the running command."""
        for _ in self.take_back():
            pass

    def take_back(self) -> Iterator[None]:
        """Takes back the changes of the running command, a piece at a time."""
        index, history, values = self.index, self.history, self.values
        undo = self._undo
        while undo:
            key, previous = undo.pop()
            if len(undo) % self.options.piece == 0:
                yield
            now = index.get(key)
            if now is not None:
                values.removed(now)
            self._move(key, now, previous)
            if previous is None:
                index.remove(key)
                history.undo_added(key)
                continue
            if now is None:
                index.add(previous)
                history.undo_removed(key)
            else:
                index.update(previous)
                history.undo_updated(key)
            values.restored(previous)
        self.pending_bytes -= weight(self.pending[self._start :])
        del self.pending[self._start :]

    def let_go(self) -> Iterator[None]:
        """Drops what only taking back needs, many entries at a time, before the commit of a large command."""
        while len(self._undo) > UNDO_AT_ONCE:
            del self._undo[-UNDO_AT_ONCE:]
            yield

    def take_pending(self) -> tuple[list[Row], list[tuple[int, Sweep]]]:
        """Hands over the pending rows and sweeps, between two commands."""
        self.taken, self.pending, self.pending_bytes, self._start = self.pending, [], 0, 0
        swept, self.swept = self.swept, []
        return self.taken, swept

    def uncommitted(self, row_id: int) -> Row | None:
        """A row by its id, if SQLite may not have it yet."""
        for rows in (self.pending, self.taken):
            if rows and rows[0][0] <= row_id:
                return rows[bisect_left(rows, row_id, key=itemgetter(0))]
        return None

    def before(self) -> dict[bytes, KeyValue]:
        """The keys that the running command has changed, as they were before it, among others."""
        return {previous.key: previous for _, previous in reversed(self._undo) if previous is not None}

    def register(self, revision: int) -> None:
        """Keeps the rows that a revision shows until it is unregistered as often."""
        self._readers[revision] = self._readers.get(revision, 0) + 1

    def unregister(self, revision: int) -> None:
        """Undoes one `register`."""
        self._readers[revision] -= 1
        if not self._readers[revision]:
            del self._readers[revision]

    def remember(self, kv: KeyValue) -> None:
        """Takes a value back into memory that has been read from SQLite, unless its key has changed since."""
        now = self.index.get(kv.key)
        if type(now) is Stub and now.mod_revision == kv.mod_revision and not self.is_slicing:
            self.index.update(kv)
            self.values.replaced(now, kv)

    def lowest_read(self) -> int:
        """The lowest revision that somebody reads at: the store's if nobody does."""
        return min(self._readers, default=self.revision)

    def check_revision(self, revision: int) -> None:
        """Refuses to read at a revision that is not there; 0 and below mean the current one.

        Raises: FutureRev, Compacted.
        """
        if revision > self.revision:
            raise FutureRev
        if 0 < revision < self.compact_revision:
            raise Compacted

    def is_past(self, revision: int) -> bool:
        """Whether a range's revision names a state that is no longer the current one."""
        return 0 < revision < self.seen_revision

    def load(self, kvs: Sequence[KeyValue], *, values: bool) -> list[KeyValue]:
        """Replaces stubs by what has been supplied; notes what else is needed while a command is tried out.

        Raises: NotInMemory.
        """
        found, lacking = [], []
        for kv in kvs:
            if type(kv) is Stub and (values or not kv.version):
                full = self.supplied.get(kv.row_id)
                if full is None:
                    lacking.append(kv)
                else:
                    kv = full  # noqa: PLW2901 - the stub's place is taken
            found.append(kv)
        if lacking:
            if self.wanted is None:
                raise NotInMemory(lacking)
            self.wanted += lacking
        return found

    def range(self, request: RangeRequest) -> RangeResponse:
        """Reads a range at a revision that has been checked.

        Raises: NotInMemory.
        """
        self.metrics.ranges += 1
        if request.revision > 0 and self.is_past(request.revision):
            gathering = Gathering(self, request, request.revision)
            for _ in gathering.pieces():
                pass
            return gathering.answer(self.load)
        header = ResponseHeader(revision=self.seen_revision)
        limit = request.limit
        if request.count_only:
            return RangeResponse(header, count=self.index.count(request.key, request.range_end))
        if limit > 0 and ranges.cuts_early(request):
            kvs = self.index.range(request.key, request.range_end, limit + 1)
            count = len(kvs) if len(kvs) <= limit else self.index.count(request.key, request.range_end)
        else:
            kvs = self.index.range(request.key, request.range_end)
            count = len(kvs)
        load = self.load if self.values.evicted and has_stub(kvs) else None
        return ranges.answer(request, header, kvs, count, load)

    def put(self, request: PutRequest, *, alone: bool = False) -> PutResponse:
        """Stores a key; `alone`: not in a transaction.

        Raises: LeaseNotFound, KeyNotFound, NotInMemory.
        """
        key, value, lease = request.key, request.value, request.lease
        metrics = self.metrics
        previous = self.index.get(key)
        answered = previous if request.prev_kv else None
        if lease and lease not in self.leases:
            raise LeaseNotFound
        if request.ignore_value or request.ignore_lease or request.prev_kv:
            metrics.ranges += 1  # etcd reads the key through its own range
            if previous is not None:
                whole = self._whole(previous) if request.ignore_value or request.prev_kv else previous
                value = whole.value if request.ignore_value else value
                lease = previous.lease if request.ignore_lease else lease
                answered = whole if request.prev_kv else None
            elif request.ignore_value or request.ignore_lease:
                raise KeyNotFound
            metrics.txns += alone  # which makes two operations
        revision = self.revision + 1
        row_id = revision << SUB_BITS | len(self.pending) - self._start
        if previous is None:
            if self.sweeps.unsettled:
                self.sweeps.settle_key(key)
            kv = KeyValue(key, revision, revision, 1, value, lease)
            self.index.add(kv)
            self.history.added(key, row_id)
            self.values.added(kv)
        else:  # the former key object, so that each key is held once
            kv = KeyValue(previous.key, previous.create_revision, revision, previous.version + 1, value, lease)
            self.index.update(kv)
            self.history.updated(previous, row_id)
            self.values.replaced(previous, kv)
        self._record(row_id, kv, previous)
        metrics.puts += 1
        metrics.put_bytes += len(key) + len(value)
        return PutResponse(ResponseHeader(revision=revision), answered)

    def delete_range(self, request: DeleteRangeRequest, *, alone: bool = False) -> DeleteRangeResponse:
        """Deletes the keys of a range; `alone`: not in a transaction.

        Raises: NotInMemory.
        """
        metrics = self.metrics
        metrics.deletes += 1
        if request.prev_kv:
            metrics.ranges += 1  # as for put
            metrics.txns += alone
        if alone and request.range_end and not request.prev_kv:
            count = self.index.count(request.key, request.range_end)
            if count > self.options.large:
                return self._sweep(request, count)
        doomed = self.index.range(request.key, request.range_end)
        answered = doomed if request.prev_kv else []
        if answered and self.values.evicted and has_stub(answered):
            answered = self.load(answered, values=True)
        self.delete(doomed)
        header = ResponseHeader(revision=self.seen_revision)
        return DeleteRangeResponse(header, len(doomed), tuple(answered))

    def _sweep(self, request: DeleteRangeRequest, count: int) -> DeleteRangeResponse:
        """Deletes very many keys at once; nothing can go wrong after that."""
        assert count <= 1 << SUB_BITS, "a command changes more keys than a revision can number"
        self.revision += 1
        sweep = self.sweeps.sweep(self.revision, request.key, request.range_end)
        self.swept.append((len(self.pending), sweep))
        self.pending_bytes += count * BYTES_PER_KEY
        self._has_swept = True
        return DeleteRangeResponse(ResponseHeader(revision=self.revision), count)

    def delete(self, doomed: list[KeyValue]) -> None:
        """Deletes live keys; a long list may come in slices of one command."""
        revision = self.revision + 1
        sub = len(self.pending) - self._start
        for row_id, kv in enumerate(doomed, revision << SUB_BITS | sub):
            self.index.remove(kv.key)
            self.history.removed(kv, row_id)
            self.values.removed(kv)
            self._record(row_id, KeyValue(kv.key, mod_revision=revision), kv)

    def revoke(self, request: LeaseRevokeRequest) -> LeaseRevokeResponse:
        """Ends a lease and deletes its keys.

        Raises: LeaseNotFound.
        """
        if request.ID not in self.leases:
            raise LeaseNotFound
        self.delete(self.attached(self.leases.keys(request.ID)))
        return self.end_lease(request.ID)

    def attached(self, keys: Iterable[bytes]) -> list[KeyValue]:
        """The KeyValues of keys that are attached to a lease, without those that are swept."""
        kvs = map(self.index.get, keys)
        return [kv for kv in kvs if kv is not None]

    def end_lease(self, lease_id: int) -> LeaseRevokeResponse:
        """Drops a lease whose keys are deleted."""
        deletes = len(self._undo)  # all of this command's changes: etcd counts each key
        self.metrics.deletes += deletes
        self.metrics.txns += deletes > 1
        self.leases.remove(lease_id)
        return LeaseRevokeResponse(ResponseHeader(revision=self.seen_revision))

    def _whole(self, kv: KeyValue) -> KeyValue:
        return self.load((kv,), values=True)[0] if type(kv) is Stub else kv

    def _record(self, row_id: int, kv: KeyValue, previous: KeyValue | None) -> None:
        """Notes a change, so that it gets its row and can be taken back."""
        assert row_id >> SUB_BITS == kv.mod_revision, "a command changes more keys than a revision can number"
        self.pending.append((row_id, kv.key, kv.create_revision, kv.version, kv.value, kv.lease))
        self.pending_bytes += len(kv.key) + len(kv.value) + ROW_OVERHEAD
        self._undo.append((kv.key, previous))
        if kv.lease or (previous is not None and previous.lease):
            self._move(kv.key, previous, kv)

    def _move(self, key: bytes, old: KeyValue | None, new: KeyValue | None) -> None:
        """Attaches a key to the lease that its KeyValue names now."""
        before, after = old.lease if old else 0, new.lease if new else 0
        if before != after:
            self.leases.move(key, before, after)
