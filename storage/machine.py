"""The state machine: `apply(index, command)` is the only way in, and it is deterministic.

Everything happens in memory; what SQLite does not have yet is handed out as a batch, written by `writer.py` in some
other thread, and let go when that has committed. After a crash the log is replayed from the applied index of the file.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from raftgate.api.cluster import (
    ClusterVersionSet,
    Member,
    MemberAdded,
    MemberAttributes,
    MemberPromoted,
    MemberRemoved,
    MemberUpdated,
)
from raftgate.api.errors import EtcdError
from raftgate.api.kv import (
    CompactionRequest,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RangeResponse,
    ResponseHeader,
    TxnRequest,
    TxnResponse,
)
from raftgate.api.lease import (
    LeaseCheckpointRequest,
    LeaseCheckpointResponse,
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseRevokeRequest,
)
from raftgate.api.maintenance import AlarmMember, AlarmRequest, AlarmResponse
from raftgate.api.message import Message, Request
from storage.alarm import Alarms
from storage.compaction import Compaction, CompactionStep, compact
from storage.fetch import Fetch, fetch_range, fetch_txn
from storage.hash import HashKv, hash_all
from storage.kv import NotInMemory
from storage.lease import Leases
from storage.members import Members
from storage.metrics import Gauges, Metrics
from storage.missing import Missing, may_lack, reads_past, try_out
from storage.opening import Opened
from storage.options import Options
from storage.ranges import cuts_early
from storage.row import Row
from storage.slices import Slicer, Slices, touched
from storage.snapshot import Copy
from storage.sweep import Sweep
from storage.txn import txn
from storage.validation import is_read_only
from storage.watch import WatchHub
from storage.watch_history import Store
from storage.writer import Batch

READ_AT_ONCE: Final = 5
"""Times the keys of a large command a range may look at in one go: a millisecond, five when they are sorted."""

SPENT_AT_ONCE: Final = 5_000
"""Rows that are let go of in one go."""

_MAY_BE_LARGE: Final = frozenset({TxnRequest, DeleteRangeRequest, LeaseRevokeRequest})

R = TypeVar("R")

_TIME_STEP = 1000  # milliseconds of the leader's clock between two rows of times


@dataclass(frozen=True, slots=True)
class Command:
    """What an entry of the log asks for."""

    request: Request[Any] | None  # Any: whatever answers it; None: an entry that changes nothing
    user: str = ""
    auth_revision: int = 0
    time: float = 0.0
    """The leader's wall time in seconds since 1970, 0 if unknown; kept beside revisions, never an input of apply."""


class Machine:
    """One member's copy of the replicated state."""

    def __init__(self, opened: Opened, options: Options, metrics: Metrics) -> None:
        self._options = options
        self._metrics = metrics
        self.sliced_result: Message | EtcdError | None = None
        """The result of the last command that was applied in slices."""
        self._use(opened)
        self.watchers = WatchHub(self._store())
        """All that is watched."""
        metrics.gauges = self._gauges

    def _use(self, opened: Opened) -> None:
        """Begins with a store as it was loaded."""
        content = opened.content
        self.database = opened.database
        self.writer = opened.writer
        self.applied_index = content.applied_index
        self._readers = opened.readers
        self._kv = opened.kv
        self._members = Members(content.members)
        self._alarms = Alarms(content.alarms)
        self._compaction: Compaction | None = None
        self._step: CompactionStep | None = None  # handed out, not yet deleted
        self._finished_compact_revision = content.finished_compact_revision
        self._flushed_compact_revision = content.compact_revision
        self._flushed_revision = content.revision
        self._times: list[tuple[int, int]] = []
        self._last_time = content.last_time
        self._taken: Batch | None = None  # handed out, not yet committed
        self._spent: list[list[Row]] = []  # rows of batches, to be let go of
        self._flushed_index = content.applied_index
        self._all_handlers: dict[type[Request[Any]], Callable[[Any], Message]] = {  # Any: by key of the table
            PutRequest: partial(self._kv.put, alone=True),
            TxnRequest: partial(txn, self._kv),
            DeleteRangeRequest: partial(self._kv.delete_range, alone=True),
            CompactionRequest: partial(compact, self._kv),
            MemberAdded: self._members.add,
            MemberRemoved: self._members.remove,
            MemberUpdated: self._members.update,
            MemberPromoted: self._members.promote,
            MemberAttributes: self._members.publish,
            ClusterVersionSet: self._members.set_version,
            AlarmRequest: self._call_alarms,
            LeaseGrantRequest: self._grant,
            LeaseRevokeRequest: self._kv.revoke,
            LeaseCheckpointRequest: self._checkpoint,
        }
        self._handlers = self._alarms.limit(self._all_handlers)

    def _store(self) -> Store:
        return Store(self._kv, self._readers, self._uncommitted, lambda: self._flushed_revision)

    @classmethod
    def open(cls, path: Path, options: Options, metrics: Metrics) -> "Machine":
        """Opens the database file, or creates it, and loads the current state.

        Raises: DatabaseRefused.
        """
        return cls(Opened.open(path, options, metrics), options, metrics)

    def load(self, path: Path) -> Opened:
        """Loads another store, which is to take the place of this one; in any thread, while this one is used.

        Raises: DatabaseRefused.
        """
        return Opened.open(path, self._options, self._metrics)

    def install(self, opened: Opened) -> None:
        """Goes on with a store that was loaded, of a later applied index; the present one must be closed.

        What SQLite did not have is dropped, since the other store holds it. Watches go on from where they are. Whoever
        reads the closed store gets StoreExchanged.
        """
        observer, self._kv.leases.observer = self._kv.leases.observer, None
        self._use(opened)
        self._kv.leases.observer = observer
        self.watchers.restore(self._store())

    def copy(self, path: Path) -> Copy:
        """A consistent copy of what SQLite has, under a path where nothing is; in a reader's thread.

        Raises: CopyRefused.
        """
        return Copy.make(self.database, path)

    @property
    def revision(self) -> int:
        """The store's revision: 1 when fresh."""
        return self._kv.revision

    @property
    def compact_revision(self) -> int:
        """The revision below which nothing can be read, -1 if there never was a compaction."""
        return self._kv.compact_revision

    @property
    def committed_revision(self) -> int:
        """The revision up to which SQLite has everything."""
        return self._flushed_revision

    @property
    def alarms(self) -> tuple[AlarmMember, ...]:
        """The alarms that are raised."""
        return self._alarms.all()

    @property
    def members(self) -> tuple[Member, ...]:
        """The member records by ascending id."""
        return self._members.all()

    @property
    def removed_members(self) -> frozenset[int]:
        """The ids of members that were removed from the cluster."""
        return self._members.removed

    @property
    def cluster_version(self) -> str:
        """What all members can do, such as `3.6.0`, empty as long as that is not decided."""
        return self._members.version

    @property
    def leases(self) -> Leases:
        """The leases that exist; not to be changed."""
        return self._kv.leases

    def attached(self, lease_id: int) -> tuple[bytes, ...]:
        """The keys attached to a lease, in order; for very many, settle all and take `Leases.pieces`."""
        return tuple(kv.key for kv in self._kv.attached(self._kv.leases.keys(lease_id)))

    @property
    def pending_bytes(self) -> int:
        """Bytes of memory that changes take which SQLite does not have yet, about."""
        return self._pending_size + (self._taken.size if self._taken else 0)

    @property
    def _pending_size(self) -> int:
        return self._kv.pending_bytes + self._kv.leases.pending_bytes

    def apply(self, index: int, command: Command) -> Message | EtcdError:
        """Applies the entry at `index`, the one after the last, wholly or, answering an error, not at all.

        The request must have passed `validation.check`, and nothing may be `missing`. Anything raised is a defect: the
        state is as before.
        """
        self._check_next(index)
        request = command.request
        kv = self._kv
        answer: Message | EtcdError
        if request is None:
            answer = ResponseHeader(revision=kv.revision)
        else:
            try:
                answer = self._handlers[type(request)](request)
            except EtcdError as error:
                kv.rollback()
                answer = error.with_traceback(None)
            except BaseException:
                kv.rollback()
                raise
            else:
                if kv.commit():
                    self._note_time(command.time)
        if kv.supplied:
            kv.supplied.clear()
        self.applied_index = index
        return answer

    def is_large(self, command: Command) -> bool:
        """Whether a command, the next to be applied, is for `apply_in_slices`."""
        kind = type(command.request)
        return kind in _MAY_BE_LARGE and touched(self._kv, command.request) > self._options.large

    def apply_in_slices(self, index: int, command: Command) -> Slices[Message | EtcdError]:
        """Applies as `apply` does, a few milliseconds for each step of the iterator, which must be exhausted.

        It answers None when the loop may turn, or something missing, to be run in a reader's thread before the next
        step. The generator's value is the result, which is also in `sliced_result`. Meanwhile nobody may read or apply.
        """
        self._check_next(index)
        request, kv = command.request, self._kv
        assert request is not None, "nothing is not large"
        answer: Message | EtcdError
        kv.is_slicing = True
        try:
            self._alarms.check(request)
            answer = yield from Slicer(kv, self._readers).apply(request)
            yield from kv.let_go()
            if kv.commit():
                self._note_time(command.time)
        except EtcdError as error:
            yield from kv.take_back()
            answer = error.with_traceback(None)
        except BaseException:
            kv.rollback()
            raise
        finally:
            kv.is_slicing = False
            kv.supplied.clear()
        self.applied_index = index
        self.sliced_result = answer
        return answer

    def missing(self, command: Command) -> Missing | None:
        """What the command needs and memory lacks, of the command to be applied next; to be run, then supplied.

        To be asked again until it is None: what is read first may decide what else is needed.
        """
        request = command.request
        if not may_lack(self._kv, request) or self.is_large(command):
            return None
        assert request is not None, "nothing lacks nothing"
        stubs = try_out(self._kv, self._handlers[type(request)], request)
        return Missing(self._readers, stubs) if stubs else None

    def supply(self, missing: Missing) -> None:
        """Takes what was missing, until the next command has been applied."""
        self._kv.supplied.update(missing.found)

    def range(self, request: RangeRequest) -> RangeResponse | Fetch[RangeResponse]:
        """Reads a range: at once, where all of it is in memory, else by a fetch that the caller has to close.

        Raises: FutureRev, Compacted.
        """
        kv = self._kv
        revision = request.revision
        if revision > 0:
            kv.check_revision(revision)
        if (revision <= 0 or revision == kv.revision) and not (request.range_end and self._is_large(request)):
            try:
                return kv.range(request)
            except NotInMemory:
                pass
        else:
            kv.metrics.ranges += 1
        return _settle(fetch_range(kv, self._readers, request))

    def txn(self, request: TxnRequest) -> TxnResponse | Fetch[TxnResponse]:
        """Answers a read-only transaction, as `range` does.

        Raises: FutureRev, Compacted.
        """
        if not is_read_only(request):
            raise ValueError("a txn that may write goes through the log")
        kv = self._kv
        if not reads_past(request, kv.revision) and touched(kv, request) <= READ_AT_ONCE * self._options.large:
            counts = kv.metrics.counts()
            try:
                return txn(kv, request)
            except NotInMemory:
                kv.metrics.reset(counts)
        return _settle(fetch_txn(kv, self._readers, request))

    def batch(self) -> Batch | None:
        """Hands out everything that SQLite does not have yet, or None; to be flushed, then told to `committed`."""
        if self._taken is not None:
            raise RuntimeError("the batch before is not committed yet")
        if self.applied_index == self._flushed_index:
            return None
        kv, members, alarms = self._kv, self._members, self._alarms
        size, times, self._times = self._pending_size, self._times, []
        records = members.records() if members.changed else None
        raised = alarms.all() if alarms.changed else None
        members.changed = alarms.changed = False
        rows, swept = kv.take_pending()
        self._taken = Batch(
            self.applied_index,
            kv.revision,
            kv.compact_revision,
            rows,
            size,
            times,
            records,
            raised,
            swept,
            kv.leases.take_changed(),
        )
        return self._taken

    def committed(self, batch: Batch) -> None:
        """Lets go of a batch that has been flushed, and of values beyond the budget."""
        if batch is not self._taken:
            raise ValueError("not the batch that was handed out")
        self._taken = None
        self._flushed_index = batch.applied_index
        self._flushed_compact_revision = batch.compact_revision
        self._flushed_revision = batch.revision
        self._kv.taken = []
        if len(batch.rows) > SPENT_AT_ONCE:
            self._spent.append(batch.rows)
        if not self._kv.is_slicing:
            self._kv.values.evict(batch.revision)
        self.settle()

    def compaction_step(self) -> CompactionStep | None:
        """Does the next few milliseconds of a compaction: to be given to `Writer.delete`, then to `compacted`.

        None if there is nothing to do now: no compaction is unfinished, or it is not in the file yet, or somebody still
        reads below it.
        """
        kv = self._kv
        if self._compaction is None:
            target = kv.compact_revision
            if target <= self._finished_compact_revision or target > self._flushed_compact_revision:
                return None
            self._compaction = Compaction(kv, target, self._options.compaction_batch_limit)
        if kv.lowest_read() < self._compaction.revision:
            return None
        is_settling = kv.sweeps.settle()
        nothing = CompactionStep(self._compaction.revision, [], is_last=False)
        self._step = nothing if is_settling else self._compaction.step()
        return self._step

    def compacted(self, step: CompactionStep) -> None:
        """Takes note that the rows of a step are deleted, durably as of the transaction."""
        if step is self._step and step.is_last:  # else it was one of a store that is no longer used
            self._compaction = None
            self._finished_compact_revision = step.revision

    def compaction_done(self, revision: int) -> bool:
        """Whether the file has nothing left that a compaction at `revision` drops."""
        return revision <= self._finished_compact_revision

    def settle(self) -> bool:
        """Does a few milliseconds of what commands and commits have left to be done; tells whether there is more."""
        if self._spent:  # a million rows are not freed in one go
            del self._spent[-1][-SPENT_AT_ONCE:]
            if not self._spent[-1]:
                self._spent.pop()
            return True
        return self._kv.sweeps.settle()

    def hash_kv(self, revision: int) -> HashKv:
        """A hash over the keys up to `revision`, 0 for the current one, to be run in a reader's thread and closed.

        What it covers must be committed.
        Raises: FutureRev, Compacted.
        """
        is_finished = self.compaction_done(self._kv.compact_revision)
        return HashKv(self._kv, self._readers, revision, committed=self._flushed_revision, is_finished=is_finished)

    def hash_all(self) -> int:
        """A hash over the local file, below 2**32; in a reader's thread."""
        return hash_all(self._readers)

    def close(self) -> None:
        """Closes the file; what was not flushed is lost to it, and replayed from the log."""
        self._readers.close()
        self.database.close()

    def _check_next(self, index: int) -> None:
        if index != self.applied_index + 1:
            raise ValueError(f"entry {index} cannot follow entry {self.applied_index}")

    def _call_alarms(self, request: AlarmRequest) -> AlarmResponse:
        answer = self._alarms.call(request)
        self._handlers = self._alarms.limit(self._all_handlers)
        return msgspec.structs.replace(answer, header=ResponseHeader(revision=self._kv.revision))

    def _grant(self, request: LeaseGrantRequest) -> LeaseGrantResponse:
        answer = self._kv.leases.grant(request)
        return msgspec.structs.replace(answer, header=ResponseHeader(revision=self._kv.revision))

    def _checkpoint(self, request: LeaseCheckpointRequest) -> LeaseCheckpointResponse:
        self._kv.leases.checkpoint(request)
        return LeaseCheckpointResponse(ResponseHeader(revision=self._kv.revision))

    def _is_large(self, request: RangeRequest) -> bool:
        """Whether a range looks at more keys than the loop may in one go."""
        large = READ_AT_ONCE * self._options.large
        if request.count_only or not request.range_end or len(self._kv.index) <= large:
            return False
        if request.limit < large and cuts_early(request):
            return False
        return self._kv.index.count(request.key, request.range_end) > large

    def _uncommitted(self) -> Iterable[tuple[Sequence[Row], Sequence[tuple[int, Sweep]]]]:
        """What SQLite may not have yet, oldest first."""
        if self._taken is not None:
            yield self._taken.rows, self._taken.swept
        yield self._kv.pending, self._kv.swept

    def _note_time(self, time: float) -> None:
        milliseconds = int(time * 1000)
        # A new leader's clock may be behind the former one's.
        if milliseconds and abs(milliseconds - self._last_time) >= _TIME_STEP:
            self._last_time = milliseconds
            self._times.append((self._kv.revision, milliseconds))

    def _gauges(self) -> Gauges:
        kv, size = self._kv, self.writer.size
        return Gauges(size.total, size.in_use, kv.revision, kv.compact_revision, len(kv.index))


def _settle(fetch: Fetch[R]) -> R | Fetch[R]:
    """The answer of a fetch that needs nothing of SQLite, or else the fetch."""
    try:
        answer = fetch.at_once()
    except BaseException:
        fetch.close()
        raise
    if answer is None:
        return fetch
    fetch.close()
    return answer
