"""The bytes of the write-ahead log, format version 1: segment headers and batches. No IO lives here.

    segment = header of 512 bytes, batches back to back, zeros up to where the file was allocated
    batch   = BATCH, [HARD_STATE], count x (ENTRY, data)

All numbers are little-endian. A header ends with the CRC-32 of the bytes before it (every later
version keeps its place, and those of magic and version). A batch, one write and one
sync, is the unit of checksums (a power cut may keep its later sectors and lose earlier ones); batches are numbered
without gaps over all segments, and the next is written only after the sync of the one before it returned.

Each segment has a random salt. Its second half opens every batch, the whole of it seeds every CRC. So a value that
a client stored can never pass for a batch, which would turn a torn tail into "corruption", and what an earlier
attempt left behind in reused space cannot either.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from consensus.raft.types import Entry, EntryType, HardState

VERSION = 1
HEADER_SIZE = 512
SALT_SIZE = 16

_MAGIC = b"raftgate"
_MAGIC_VERSION = struct.Struct("<8sH")
# magic, version, zero, first batch number, cluster id, member id, sequence, index, HardState, marker, salt
_HEADER = struct.Struct("<8sHHIQQQQQ3Q2Q16s")
_CHECKSUM = struct.Struct("<I")
# salt's second half, CRC of what follows, bytes behind BATCH, number, first index, first term, last term, count, flags
_BATCH = struct.Struct("<8sIIQQQQII")
_COVERED = 12  # where in BATCH the CRC's bytes begin
_HARD_STATE = struct.Struct("<3Q")
_ENTRY = struct.Struct("<BQI")  # type, term, bytes of data

_HAS_HARD_STATE = 1
_MAX_BATCH = 2**32 - 1 - _BATCH.size

BATCH_SIZE = _BATCH.size

_TYPES = {int(entry_type): entry_type for entry_type in EntryType}


class WalError(Exception):
    """The log cannot be used."""


class WalCorrupt(WalError):
    """Bytes of the log that were durable are not what was written."""

    def __init__(self, path: Path, offset: int, reason: str) -> None:
        super().__init__(f"wal: {path} is corrupt at byte {offset}: {reason}")
        self.path = path
        self.offset = offset


class WalMismatch(WalError):
    """The log is sound but not the one asked for: other ids, or a format that is not known here."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose log it is."""

    cluster_id: int
    member_id: int


@dataclass(frozen=True, slots=True)
class Marker:
    """The last entry that was dropped from the log; zeros when none was."""

    index: int = 0
    term: int = 0


@dataclass(frozen=True, slots=True)
class Header:
    """What a segment knows of everything before it, so that older segments can go without a vote being lost."""

    sequence: int
    """Running number of the segment."""
    index: int
    """One above the last entry at its creation; later batches may replace lower ones."""
    number: int
    """Number of its first batch. All lower ones were durable when the segment was made."""
    identity: Identity
    hard_state: HardState
    marker: Marker
    salt: bytes

    @property
    def name(self) -> str:
        """The segment's file name."""
        return f"{self.sequence:016x}-{self.index:016x}.wal"

    @property
    def begins_anew(self) -> bool:
        """Whether nothing of the segments before it is part of the log: it begins right behind the marker."""
        return self.marker.index == self.index - 1


@dataclass(frozen=True, slots=True)
class Batch:
    """What a batch says of itself; its entries are decoded on demand."""

    offset: int
    length: int
    number: int
    first_index: int
    first_term: int
    last_term: int
    count: int
    hard_state: HardState | None


def encode_header(header: Header) -> bytes:
    """The 512 bytes that open a segment."""
    state, marker, identity = header.hard_state, header.marker, header.identity
    fields = _HEADER.pack(
        _MAGIC,
        VERSION,
        0,
        0,
        header.number,
        identity.cluster_id,
        identity.member_id,
        header.sequence,
        header.index,
        state.term,
        state.vote,
        state.commit,
        marker.index,
        marker.term,
        header.salt,
    )
    body = fields.ljust(HEADER_SIZE - _CHECKSUM.size, b"\0")
    return body + _CHECKSUM.pack(zlib.crc32(body))


def decode_header(path: Path, data: bytes) -> Header:
    """Reads the header at the beginning of a segment's bytes; `path` only names it in errors.

    Raises: WalMismatch if it is of another format, WalCorrupt.
    """
    if len(data) < HEADER_SIZE:
        raise WalCorrupt(path, 0, f"only {len(data)} bytes, less than a segment's header")
    magic, version = _MAGIC_VERSION.unpack_from(data)
    body = data[: HEADER_SIZE - _CHECKSUM.size]
    if _CHECKSUM.unpack_from(data, len(body))[0] != zlib.crc32(body):
        hint = "" if magic == _MAGIC else " (it does not look like raftgate's: was the directory written by etcd?)"
        raise WalCorrupt(path, 0, f"the checksum of the segment's header does not match{hint}")
    if version > VERSION:
        raise WalMismatch(f"wal: {path} has format version {version}, this program knows up to {VERSION}")
    fields = _HEADER.unpack_from(body)
    return Header(
        sequence=fields[7],
        index=fields[8],
        number=fields[4],
        identity=Identity(cluster_id=fields[5], member_id=fields[6]),
        hard_state=HardState(*fields[9:12]),
        marker=Marker(*fields[12:14]),
        salt=fields[14],
    )


class BatchCodec:
    """Encodes and decodes the batches of one segment: it holds the salt."""

    def __init__(self, salt: bytes) -> None:
        self._mark = salt[8:]
        self._seed = zlib.crc32(salt)

    def encode(self, number: int, hard_state: HardState | None, entries: Sequence[Entry]) -> bytes:
        """The bytes of a batch.

        Raises: ValueError if it would be over 4 GiB.
        """
        parts = []
        if hard_state is not None:
            parts.append(_HARD_STATE.pack(hard_state.term, hard_state.vote, hard_state.commit))
        pack = _ENTRY.pack
        for term, _, entry_type, data in entries:
            parts.append(pack(entry_type, term, len(data)))
            parts.append(data)
        payload = b"".join(parts)
        if len(payload) > _MAX_BATCH:
            raise ValueError(f"a batch of {len(payload)} bytes is more than the log's format holds")
        first, last = (entries[0], entries[-1]) if entries else (_NO_ENTRY, _NO_ENTRY)
        fields = (len(payload), number, first.index, first.term, last.term, len(entries))
        flags = 0 if hard_state is None else _HAS_HARD_STATE
        head = _BATCH.pack(self._mark, 0, *fields, flags)
        checksum = zlib.crc32(payload, zlib.crc32(head[_COVERED:], self._seed))
        return b"".join((self._mark, _CHECKSUM.pack(checksum), head[_COVERED:], payload))

    def decode(self, data: bytes, offset: int) -> Batch | None:
        """The batch at an offset of a segment's bytes, or None if there is no whole and valid one."""
        if offset + _BATCH.size > len(data):
            return None
        mark, checksum, size, number, index, first_term, last_term, count, flags = _BATCH.unpack_from(data, offset)
        length = _BATCH.size + size
        if mark != self._mark or offset + length > len(data):
            return None
        if zlib.crc32(memoryview(data)[offset + _COVERED : offset + length], self._seed) != checksum:
            return None
        hard_state = (
            HardState(*_HARD_STATE.unpack_from(data, offset + _BATCH.size)) if flags & _HAS_HARD_STATE else None
        )
        return Batch(offset, length, number, index, first_term, last_term, count, hard_state)

    def find(self, data: bytes, offset: int, number: int) -> Batch | None:
        """The first valid batch at or behind an offset whose number is not below `number`."""
        while (offset := data.find(self._mark, offset)) >= 0:
            batch = self.decode(data, offset)
            if batch is not None and batch.number >= number:
                return batch
            offset += 1
        return None


_NO_ENTRY = Entry(term=0, index=0, type=EntryType.NORMAL, data=b"")


def decode_entries(data: bytes, batch: Batch) -> list[Entry]:
    """The entries of a batch decoded from the same bytes, in order."""
    offset = batch.offset + _BATCH.size + (0 if batch.hard_state is None else _HARD_STATE.size)
    unpack, types = _ENTRY.unpack_from, _TYPES
    entries = []
    for index in range(batch.first_index, batch.first_index + batch.count):
        number, term, size = unpack(data, offset)
        offset += _ENTRY.size
        entries.append(Entry(term=term, index=index, type=types[number], data=data[offset : offset + size]))
        offset += size
    return entries
