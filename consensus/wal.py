"""Wal: the durable Raft log, a LogStore on disk with group commit.

One `save` is one batch: one write and at most one sync. Format in `consensus.wal_format`, what a crash may leave in
`consensus.wal_recovery`, threads in `consensus.wal_index`.

`save`, `cut`, `restore` and `close` must not overlap (they belong to one lane); the LogStore methods may be called
from another thread meanwhile. After a failed write or sync nobody knows what the disk holds, so that all calls but
`close` raise.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from consensus.env import Disk, Env, File
from consensus.raft.errors import Compacted, Unavailable
from consensus.raft.types import NONE, Entry, HardState, SnapshotMeta
from consensus.wal_format import (
    BATCH_SIZE,
    HEADER_SIZE,
    SALT_SIZE,
    Header,
    Identity,
    Marker,
    WalError,
)
from consensus.wal_index import LogIndex, Segment, term_runs
from consensus.wal_reader import read_back
from consensus.wal_recovery import Recovered, create_segment, recover, remove_temporary, segment_names

MIB = 1 << 20

ENTRY_OVERHEAD = 200
"""Bytes that an entry in memory costs besides its data: tuple, numbers, bytes object, dict slot."""


def _ignore_write(size: int, seconds: float) -> None:
    """The default of `on_write`."""


def _ignore_sync(seconds: float) -> None:
    """The default of `on_sync`."""


@dataclass(frozen=True, slots=True)
class WalOptions:
    """Sizes in bytes; the defaults are what raftgate promises, smaller ones serve tests."""

    segment_bytes: int = 16 * MIB
    """A batch that would go beyond this opens a new segment; one larger than a segment gets one of its own size."""
    allocation_bytes: int = MIB
    """How far ahead zeros are written: a sync inside written space has no file length to record."""
    memory_bytes: int = 64 * MIB
    """Newest entries held in memory; older ones are read back."""
    keep_bytes: int = 64 * MIB
    """Log that stays whatever `cut` asks."""
    unsafe_no_fsync: bool = False
    """etcd's --unsafe-no-fsync: a power cut loses acknowledged writes."""
    on_write: Callable[[int, float], None] = _ignore_write
    """Called in the log's thread after each write, with its bytes and seconds."""
    on_sync: Callable[[float], None] = _ignore_sync
    """Called in the log's thread after each sync of a batch, with its seconds."""


DEFAULTS = WalOptions()


class Wal:
    """The log of one member (see the module's text for threads)."""

    def __init__(self, env: Env, directory: Path, options: WalOptions, recovered: Recovered) -> None:
        """For `create` and `open`."""
        self._env = env
        self._directory = directory
        self._options = options
        self.identity = recovered.identity
        self._index = recovered.index
        self._hard_state = recovered.hard_state
        self._stored_state = recovered.hard_state
        self._number = recovered.number
        self._file: File = recovered.file
        self._allocated = recovered.file.size()
        self._capacity = max(options.segment_bytes, self._allocated)
        self._recent: dict[int, Entry] = {}
        self._recent_low = self._index.last_index + 1
        self._recent_bytes = 0
        self._unusable: str | None = None

    @staticmethod
    def exists(disk: Disk, directory: Path) -> bool:
        """Whether a log was made in this directory."""
        return bool(segment_names(disk, directory))

    @classmethod
    def create(cls, env: Env, directory: Path, identity: Identity, options: WalOptions = DEFAULTS) -> Self:
        """Makes an empty log, and its directory if need be; that directory's parent must exist.

        Raises: WalError if there is a log already, OSError.
        """
        disk, sync = env.disk, not options.unsafe_no_fsync
        disk.make_directory(directory)
        if sync:
            disk.sync_directory(directory.parent)
        if cls.exists(disk, directory):
            raise WalError(f"wal: there is a log in {directory} already")
        remove_temporary(disk, directory)
        header = Header(0, 1, 1, identity, HardState(), Marker(), env.random_bytes(SALT_SIZE))
        size = min(options.segment_bytes, options.allocation_bytes)
        segment, file = create_segment(disk, directory, header, size, sync=sync)
        index = LogIndex(Marker(), (segment,), 0)
        return cls(env, directory, options, Recovered(index, identity, HardState(), header.number, file))

    @classmethod
    def open(cls, env: Env, directory: Path, identity: Identity | None, options: WalOptions = DEFAULTS) -> Self:
        """Opens a log after a stop of any kind; `identity`: whose it must be, None to take what it says.

        Raises: WalCorrupt, WalMismatch, WalError if there is none, OSError.
        """
        return cls(env, directory, options, recover(env.disk, directory, identity, sync=not options.unsafe_no_fsync))

    # ---- reading (LogStore) ----

    def initial_state(self) -> HardState:
        """The newest hard state."""
        self._check()
        return self._hard_state

    def first_index(self) -> int:
        """The lowest index whose entry is here."""
        self._check()
        return self._index.marker.index + 1

    def last_index(self) -> int:
        """The highest index whose entry is here; `first_index() - 1` when there is none."""
        self._check()
        return self._index.last_index

    def term(self, index: int) -> int:
        """The term of an entry, also of the one just below `first_index()`.

        Raises: Compacted, Unavailable.
        """
        self._check_range(index + 1, index + 1)
        return self._index.term(index)

    def entries(self, low: int, high: int, max_bytes: int) -> list[Entry]:
        """Entries of `[low, high)`: the first, and as many more as keep the sum of their data within `max_bytes`.

        Raises: Compacted, Unavailable, WalCorrupt, OSError.
        """
        self._check_range(low, high)
        found: list[Entry] = []
        for entry in self._entries(low, high):
            max_bytes -= len(entry.data)
            if max_bytes < 0 and found:
                break
            found.append(entry)
        return found

    def snapshot_meta(self) -> SnapshotMeta:
        """The cut marker. Who took part as of it is not in the log but in the state machine."""
        self._check()
        marker = self._index.marker
        return SnapshotMeta(marker.index, marker.term)

    def _check_range(self, low: int, high: int) -> None:
        self._check()
        if low <= self._index.marker.index:
            raise Compacted(f"index {low} is below the first one, {self._index.marker.index + 1}")
        if high > self._index.last_index + 1:
            raise Unavailable(f"index {high - 1} is above the last one, {self._index.last_index}")

    def _entries(self, low: int, high: int) -> Iterator[Entry]:
        recent = self._recent
        while low < high:
            entry = recent.get(low)
            if entry is not None:
                yield entry
                low += 1
                continue
            # The newest entries are the ones in memory: what is missing lies below them, unless they went meanwhile.
            for stored in read_back(self._env.disk, self._index, low, min(high, max(low + 1, self._recent_low))):
                yield stored
                low += 1

    # ---- writing ----

    def save(self, hard_state: HardState | None, entries: Sequence[Entry], must_sync: bool) -> None:  # noqa: FBT001 - goes through run_blocking, which takes positions
        """Makes a batch durable. The first entry may overlap: from its index on it replaces what was there.

        A commit index alone needs no sync (Raft figure 2). It is not even written, but goes with the next batch: an
        unsynced batch in the middle of the log could not be told from a damaged one. That call does no IO.
        Raises: ValueError or Compacted, and nothing has happened; OSError, and no further call will succeed.
        """
        self._check()
        state = self._hard_state if hard_state is None else hard_state
        stored = self._stored_state
        if not entries and (
            state == stored or (not must_sync and (state.term, state.vote) == (stored.term, stored.vote))
        ):
            self._hard_state = state
            return
        if entries:
            self._check_entries(entries)
        self._write(state, entries)

    def _check_entries(self, entries: Sequence[Entry]) -> None:
        first, last = entries[0].index, entries[-1].index
        if first <= self._index.marker.index:
            raise Compacted(f"entry {first} would replace one that was cut off, the first is {self.first_index()}")
        if first > self._index.last_index + 1 or last - first != len(entries) - 1:
            raise ValueError(f"entries {first} to {last} do not follow entry {self._index.last_index} without a gap")

    def _write(self, state: HardState, entries: Sequence[Entry]) -> None:
        data = self._encode(state, entries)
        with self._poisoning():
            if self._index.segments[-1].used + len(data) > self._capacity:
                self._roll(self._index.marker, len(data))
                data = self._encode(state, entries)  # with the new segment's salt
            offset = self._put(data)
        self._number += 1
        self._hard_state = self._stored_state = state
        if entries:
            self._forget_from(entries[0].index)
            self._index.append(offset, len(data), entries[-1].index, term_runs(entries))
            self._remember(entries)

    def _put(self, data: bytes) -> int:
        """Writes a batch behind the last one and returns its offset."""
        segment = self._index.segments[-1]
        offset, end = segment.used, segment.used + len(data)
        if end > self._allocated:
            size = min(self._capacity, max(end, self._allocated + self._options.allocation_bytes))
            self._file.allocate(size)
            self._allocated = size
        clock = self._env.monotonic
        started = clock()
        self._file.pwrite(data, offset)
        written = clock()
        self._options.on_write(len(data), written - started)
        if not self._options.unsafe_no_fsync:
            self._file.datasync()
            self._options.on_sync(clock() - written)
        segment.used = end
        return offset

    def _encode(self, state: HardState, entries: Sequence[Entry]) -> bytes:
        changed = None if state == self._stored_state else state
        return self._index.segments[-1].codec.encode(self._number, changed, entries)

    def _roll(self, marker: Marker, need: int, index: int = 0) -> None:
        """Begins a new segment with room for a batch of `need` bytes; everything before is durable.

        `index`: its first one, where it does not follow the last entry.
        """
        newest = self._index.segments[-1].header
        options = self._options
        header = Header(
            newest.sequence + 1,
            index or self._index.last_index + 1,
            self._number,
            self.identity,
            self._hard_state,
            marker,
            self._env.random_bytes(SALT_SIZE),
        )
        capacity = max(options.segment_bytes, HEADER_SIZE + need)
        size = min(capacity, max(options.allocation_bytes, HEADER_SIZE + need))
        segment, file = create_segment(self._env.disk, self._directory, header, size, sync=not options.unsafe_no_fsync)
        self._file.close()
        self._file, self._allocated, self._capacity = file, size, capacity
        self._stored_state = self._hard_state
        self._index.add_segment(segment)

    def cut(self, index: int) -> int:
        """Drops the oldest segments that hold nothing above `index`, and returns the new first index.

        Less than asked: whole segments only, and `keep_bytes` stay. The caller answers for it that a snapshot which
        covers `index` is durable.
        Raises: Unavailable, and nothing has happened; OSError, and no further call will succeed.
        """
        self._check()
        if index > self._index.last_index:
            raise Unavailable(f"index {index} is above the last one, {self._index.last_index}")
        count = self._index.droppable(index, self._options.keep_bytes)
        if count:
            last = self._index.lowest(count) - 1
            with self._poisoning():
                self._drop(count, Marker(last, self._index.term(last)))
        return self._index.marker.index + 1

    def _drop(self, count: int, marker: Marker) -> None:
        dropped = self._index.segments[:count]
        self._roll(marker, BATCH_SIZE)  # its header says that the log begins behind the marker
        self._index.drop(marker, count)
        while self._recent and self._recent_low <= marker.index:
            self._evict()
        self._remove(dropped)

    def _remove(self, dropped: Sequence[Segment]) -> None:
        """Removes segments, the oldest first, each durably: a crash in between leaves no gap in the sequence."""
        disk = self._env.disk
        for segment in dropped:
            disk.remove(segment.path)
            if not self._options.unsafe_no_fsync:
                disk.sync_directory(self._directory)

    def restore(self, snapshot: SnapshotMeta) -> None:
        """Begins the log anew behind a state that has come from elsewhere; term and vote stay.

        The caller answers for it that this state is durable, and used from now on. A term that is below the
        snapshot's is raised to it: nobody was voted for in that term, or it would have been known.
        Raises: OSError, and no further call will succeed.
        """
        self._check()
        marker, state = Marker(snapshot.index, snapshot.term), self._hard_state
        dropped = self._index.segments
        with self._poisoning():
            if state.term < snapshot.term:
                state = HardState(snapshot.term, NONE, state.commit)
            self._hard_state = HardState(state.term, state.vote, max(state.commit, snapshot.index))
            self._roll(marker, BATCH_SIZE, snapshot.index + 1)
            self._recent.clear()
            self._recent_bytes, self._recent_low = 0, snapshot.index + 1
            self._index.restore(marker)
            self._index.drop(marker, len(dropped))
            self._remove(dropped)

    def close(self) -> None:
        """Writes a commit index that is still outstanding and lets go of the file; a second call does nothing.

        Raises: OSError.
        """
        try:
            if self._unusable is None and self._hard_state != self._stored_state:
                self._write(self._hard_state, ())
        finally:
            self._unusable = self._unusable or "it is closed"
            self._file.close()

    # ---- newest entries in memory: a dict, whose single look-ups are safe beside another thread ----

    def _remember(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._recent[entry.index] = entry
            self._recent_bytes += len(entry.data) + ENTRY_OVERHEAD
        while self._recent_bytes > self._options.memory_bytes:
            self._evict()

    def _evict(self) -> None:
        entry = self._recent.pop(self._recent_low)
        self._recent_low += 1
        self._recent_bytes -= len(entry.data) + ENTRY_OVERHEAD

    def _forget_from(self, index: int) -> None:
        for gone in range(max(index, self._recent_low), self._index.last_index + 1):
            self._recent_bytes -= len(self._recent.pop(gone).data) + ENTRY_OVERHEAD
        self._recent_low = min(self._recent_low, index)

    # ---- failure ----

    def _check(self) -> None:
        if self._unusable is not None:
            raise WalError(f"wal: {self._directory} cannot be used: {self._unusable}")

    @contextmanager
    def _poisoning(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self._unusable = f"a write or a sync has failed before ({error})"
            raise
