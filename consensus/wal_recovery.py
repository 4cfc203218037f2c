"""Making segments of the write-ahead log, and reading them back after a stop of any kind: repair, or refusal.

What a stop may leave behind, and what becomes of it:

- A file under a temporary name: a segment that was being made. It is removed.
- Bytes behind the last good batch of the newest segment, with no good batch among them: a torn tail. At most that one
  batch was being written, so nobody was told that it is durable. It is overwritten with zeros, durably, so that its
  bytes can never come back. A bit error in the very last batch looks the same and is taken for the same: what it held
  is lost in silence on this member (others have it; a lone member has lost it).
- A bad batch with a good one, or a newer segment, behind it: the batch was durable and has changed. That is
  corruption, and the log does not open.
- Segments before one that begins anew: a snapshot has taken their place. They go with the next cut.
- A whole batch that was written, but whose sync did not return (the process was killed, or the sync failed and Linux
  then calls its pages clean): it is written and synced once more before anybody can rely on it.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from consensus.env import Disk, File
from consensus.raft.types import HardState
from consensus.wal_format import (
    Batch,
    BatchCodec,
    Header,
    Identity,
    Marker,
    WalCorrupt,
    WalError,
    WalMismatch,
    decode_entries,
    decode_header,
    encode_header,
)
from consensus.wal_index import LogIndex, Segment, Terms, term_runs

log = logging.getLogger(__name__)

TEMPORARY = ".tmp"
_NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.wal")


@dataclass(slots=True)
class Recovered:
    """What the segments of a log say."""

    index: LogIndex
    identity: Identity
    hard_state: HardState
    number: int
    """Of the next batch."""
    file: File
    """The newest segment, open."""


def segment_names(disk: Disk, directory: Path) -> list[str]:
    """The names of all segments in a directory, which may be missing, in the order of their sequence."""
    if not disk.exists(directory):
        return []
    return sorted(name for name in disk.listdir(directory) if _NAME.fullmatch(name))


def create_segment(disk: Disk, directory: Path, header: Header, size: int, *, sync: bool) -> tuple[Segment, File]:
    """Makes a segment of `size` bytes and returns it open; it has its name only once all of it is durable."""
    path = directory / header.name
    temporary = path.with_name(path.name + TEMPORARY)
    file = disk.open(temporary, create=True)
    try:
        file.pwrite(encode_header(header), 0)
        file.allocate(size)
        if sync:
            file.datasync()
        disk.rename(temporary, path)
        if sync:
            disk.sync_directory(directory)
    except BaseException:
        file.close()
        raise
    return Segment(path, header, BatchCodec(header.salt)), file


def recover(disk: Disk, directory: Path, identity: Identity | None, *, sync: bool) -> Recovered:
    """Reads and repairs the log in a directory; `identity`: whose it must be, None if anybody's.

    Raises: WalCorrupt, WalMismatch, WalError (there is none), OSError.
    """
    names = segment_names(disk, directory)
    if not names:
        raise WalError(f"wal: there is no log in {directory}")
    remove_temporary(disk, directory)
    if sync:
        disk.sync_directory(directory)  # the name of the newest segment may not be durable yet
    _check_sequence(directory, names)
    replay = _Replay(identity)
    for name in names:
        replay.segment(disk, directory / name)
    index = replay.finish()
    assert replay.identity is not None
    return Recovered(index, replay.identity, replay.hard_state, replay.number, replay.repair(disk, sync=sync))


def remove_temporary(disk: Disk, directory: Path) -> None:
    """Removes segments that were never finished."""
    for name in disk.listdir(directory):
        if name.endswith(".wal" + TEMPORARY):
            disk.remove(directory / name)


def _check_sequence(directory: Path, names: Sequence[str]) -> None:
    sequences = [int(name[:16], 16) for name in names]
    for place, sequence in enumerate(sequences):
        if sequence != sequences[0] + place:
            raise WalCorrupt(
                directory / names[place], 0, f"segment {sequence - 1:016x}, which goes before it, is missing"
            )


class _Replay:
    """Reads segments in order and keeps what they add up to."""

    def __init__(self, identity: Identity | None) -> None:
        self.identity = identity
        self.hard_state = HardState()
        self.number = 0
        self._index: LogIndex | None = None
        self._marker = Marker()
        self._last: Batch | None = None
        """The last batch, if the newest segment has one."""
        self._data = b""
        """The newest segment's bytes."""

    def segment(self, disk: Disk, path: Path) -> None:
        """Adds a segment."""
        file = disk.open(path)
        try:
            self._data = file.pread(file.size(), 0)
        finally:
            file.close()
        header = decode_header(path, self._data)
        self._check_header(path, header)
        self._marker = header.marker
        self.hard_state = header.hard_state
        self.number = header.number
        segment = Segment(path, header, BatchCodec(header.salt))
        if self._index is None:
            # Entries below are in segments that were dropped: the term is told by the marker, see `finish`.
            self._index = LogIndex(Marker(header.index - 1, 0), (), header.index - 1)
        self._index.add_segment(segment)
        self._last = None
        while (batch := segment.codec.decode(self._data, segment.used)) is not None and batch.number == self.number:
            self._batch(self._index, segment, batch)

    def _check_header(self, path: Path, header: Header) -> None:
        if header.name != path.name:
            raise WalCorrupt(path, 0, f"the header is that of {header.name}")
        if self.identity is None:
            self.identity = header.identity
        if header.identity != self.identity:
            ours, its = self.identity, header.identity
            raise WalMismatch(
                f"wal: {path} belongs to member {its.member_id:x} of cluster {its.cluster_id:x},"
                f" not to member {ours.member_id:x} of cluster {ours.cluster_id:x}"
            )
        if self._index is None:
            return
        before = self._index.segments[-1]
        if header.number != self.number:
            reason = f"batch {self.number} is damaged or missing, while segment {path.name} begins with {header.number}"
            raise WalCorrupt(before.path, before.used, reason)
        if header.begins_anew:  # a snapshot has taken the place of what was before, see `Wal.restore`
            self._index.restore(header.marker)
        elif header.index != self._index.last_index + 1:
            raise WalCorrupt(path, 0, f"the segment follows entry {header.index - 1}, not {self._index.last_index}")

    def _batch(self, index: LogIndex, segment: Segment, batch: Batch) -> None:
        if batch.count:
            if batch.first_index > index.last_index + 1:
                gap = f"the batch begins with entry {batch.first_index}, the one before ended with {index.last_index}"
                raise WalCorrupt(segment.path, batch.offset, gap)
            index.append(batch.offset, batch.length, batch.first_index + batch.count - 1, self._terms(batch))
        self.hard_state = batch.hard_state or self.hard_state
        self._last = batch
        segment.used = batch.offset + batch.length
        self.number += 1

    def _terms(self, batch: Batch) -> Terms:
        if batch.first_term == batch.last_term:
            return ((batch.first_index, batch.first_term),)
        return term_runs(decode_entries(self._data, batch))

    def finish(self) -> LogIndex:
        """Applies the newest marker and checks that all behind it is there."""
        index, marker = self._index, self._marker
        assert index is not None
        newest = index.segments[-1]
        later = newest.codec.find(self._data, newest.used, self.number)
        if later is not None:
            reason = (
                f"batch {self.number} is damaged, while batch {later.number} behind it, at {later.offset}, is sound"
            )
            raise WalCorrupt(newest.path, newest.used, reason)
        if index.lowest() > marker.index + 1 or index.last_index < marker.index:
            oldest = index.segments[0]
            raise WalCorrupt(oldest.path, 0, f"entry {marker.index + 1} should be here: older segments are missing")
        if self.hard_state.commit > index.last_index:
            reason = f"entry {index.last_index} is the last, but entries up to {self.hard_state.commit} were committed"
            raise WalCorrupt(newest.path, newest.used, reason)
        index.drop(marker, 0)
        return index

    def repair(self, disk: Disk, *, sync: bool) -> File:
        """Makes the newest segment's end durable as it was read, without its torn tail; returns the file, open."""
        assert self._index is not None
        newest = self._index.segments[-1]
        file = disk.open(newest.path)
        try:
            if self._last is not None:
                start = self._last.offset
                file.pwrite(self._data[start : newest.used], start)
            torn = len(self._data.rstrip(b"\0")) - newest.used
            if torn > 0:
                file.pwrite(bytes(torn), newest.used)
                fields = {"path": str(newest.path), "offset": newest.used, "bytes": torn, "batch": self.number}
                log.warning("cut the torn tail of the log: its last batch was never durable", extra={"fields": fields})
            if sync:
                file.datasync()
        except BaseException:
            file.close()
            raise
        return file
