"""The state machine: `apply(index, command)` is the only way in, and it is deterministic.

Everything happens in memory; what SQLite does not have yet is handed out as a batch, written by `writer.py` in some
other thread, and let go when that has committed. After a crash the log is replayed from the applied index of the file.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from raftgate.api.cluster import Member, MemberAdded, MemberAttributes
from raftgate.api.errors import EtcdError
from raftgate.api.kv import (
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RangeResponse,
    ResponseHeader,
    TxnRequest,
    TxnResponse,
)
from raftgate.api.message import Message, Request
from storage.database import Content, Database
from storage.index import Index
from storage.kv import Kv
from storage.members import Members
from storage.metrics import Gauges, Metrics
from storage.options import Options
from storage.txn import txn
from storage.validation import is_read_only
from storage.writer import Batch, Writer

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

    def __init__(self, database: Database, content: Content, metrics: Metrics) -> None:
        self.database = database
        self.writer = Writer(database)
        self.applied_index = content.applied_index
        self._kv = Kv(Index(content.live), content.revision, content.compact_revision, metrics)
        self._members = Members(content.members)
        self._times: list[tuple[int, int]] = []
        self._last_time = content.last_time
        self._taken: Batch | None = None  # handed out, not yet committed
        self._flushed_index = content.applied_index
        self._handlers: dict[type[Request[Any]], Callable[[Any], Message]] = {  # Any: by key of the table
            PutRequest: partial(self._kv.put, alone=True),
            TxnRequest: partial(txn, self._kv),
            DeleteRangeRequest: partial(self._kv.delete_range, alone=True),
            MemberAdded: self._members.add,
            MemberAttributes: self._members.publish,
        }
        metrics.gauges = self._gauges

    @classmethod
    def open(cls, path: Path, options: Options, metrics: Metrics) -> "Machine":
        """Opens the database file, or creates it, and loads the current state.

        Raises: DatabaseRefused.
        """
        database = Database.open(path, options)
        return cls(database, database.load(), metrics)

    @property
    def revision(self) -> int:
        """The store's revision: 1 when fresh."""
        return self._kv.revision

    @property
    def compact_revision(self) -> int:
        """The revision below which nothing can be read, -1 if there never was a compaction."""
        return self._kv.compact_revision

    @property
    def members(self) -> tuple[Member, ...]:
        """The member records by ascending id."""
        return self._members.all()

    @property
    def pending_bytes(self) -> int:
        """Bytes of memory that rows take which SQLite does not have yet, about."""
        return self._kv.pending_bytes + (self._taken.size if self._taken else 0)

    def apply(self, index: int, command: Command) -> Message | EtcdError:
        """Applies the entry at `index`, the one after the last, wholly or, answering an error, not at all.

        The request must have passed `validation.check`. Anything raised is a defect: the state is as before.
        """
        if index != self.applied_index + 1:
            raise ValueError(f"entry {index} cannot follow entry {self.applied_index}")
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
        self.applied_index = index
        return answer

    def range(self, request: RangeRequest) -> RangeResponse:
        """Reads a range from the current state.

        Raises: FutureRev, Compacted, Unimplemented.
        """
        if request.revision > 0:
            self._kv.check_revision(request.revision)
        return self._kv.range(request)

    def txn(self, request: TxnRequest) -> TxnResponse:
        """Answers a read-only transaction from the current state.

        Raises: FutureRev, Compacted, Unimplemented.
        """
        if not is_read_only(request):
            raise ValueError("a txn that may write goes through the log")
        return txn(self._kv, request)

    def batch(self) -> Batch | None:
        """Hands out everything that SQLite does not have yet, or None; to be flushed, then told to `committed`."""
        if self._taken is not None:
            raise RuntimeError("the batch before is not committed yet")
        if self.applied_index == self._flushed_index:
            return None
        kv, members = self._kv, self._members
        size, times, self._times = kv.pending_bytes, self._times, []
        records = members.all() if members.changed else None
        members.changed = False
        self._taken = Batch(
            self.applied_index, kv.revision, kv.compact_revision, kv.take_pending(), size, times, records
        )
        return self._taken

    def committed(self, batch: Batch) -> None:
        """Lets go of a batch that has been flushed."""
        if batch is not self._taken:
            raise ValueError("not the batch that was handed out")
        self._taken = None
        self._flushed_index = batch.applied_index

    def close(self) -> None:
        """Closes the file; what was not flushed is lost to it, and replayed from the log."""
        self.database.close()

    def _note_time(self, time: float) -> None:
        milliseconds = int(time * 1000)
        # A new leader's clock may be behind the former one's.
        if milliseconds and abs(milliseconds - self._last_time) >= _TIME_STEP:
            self._last_time = milliseconds
            self._times.append((self._kv.revision, milliseconds))

    def _gauges(self) -> Gauges:
        kv, size = self._kv, self.writer.size
        return Gauges(size.total, size.in_use, kv.revision, kv.compact_revision, len(kv.index))
