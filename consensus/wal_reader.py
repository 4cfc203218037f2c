"""Reading entries of the write-ahead log back from its segments, for what is no longer in memory.

Runs in any thread beside the one that writes (`consensus.wal_index`). Each read opens a handle of its own: those of
the log's thread may be closed at any moment, and their numbers be given to other files.
"""

from collections.abc import Iterator, Sequence

from consensus.env import Disk
from consensus.raft.errors import Compacted
from consensus.raft.types import Entry
from consensus.wal_format import WalCorrupt, decode_entries
from consensus.wal_index import LogIndex, Piece

READ_BYTES = 256 << 10
"""Neighbouring batches are read together up to this size."""


def read_back(disk: Disk, index: LogIndex, low: int, high: int) -> Iterator[Entry]:
    """The stored entries `[low, high)`, in order; the caller has checked that they are in the log.

    Raises: Compacted if they were cut off meanwhile, WalCorrupt, OSError.
    """
    run: list[Piece] = []
    size = 0
    for piece in index.pieces(low, high):
        if run and not (_adjoins(run[-1], piece) and size + piece.length <= READ_BYTES):
            yield from _read(disk, run, size)
            run, size = [], 0
        run.append(piece)
        size += piece.length
    if not run:
        raise Compacted(f"index {low} was cut off while it was being read")
    yield from _read(disk, run, size)


def _adjoins(piece: Piece, following: Piece) -> bool:
    return following.segment is piece.segment and following.offset == piece.offset + piece.length


def _read(disk: Disk, run: Sequence[Piece], size: int) -> Iterator[Entry]:
    segment, start = run[0].segment, run[0].offset
    try:
        file = disk.open(segment.path)
    except FileNotFoundError:
        raise Compacted(f"index {run[0].low} was cut off while it was being read") from None
    try:
        data = file.pread(size, start)
    finally:
        file.close()
    for piece in run:
        batch = segment.codec.decode(data, piece.offset - start)  # the checksum is verified once more
        if batch is None:
            raise WalCorrupt(segment.path, piece.offset, "the batch was sound when it was written or last opened")
        for entry in decode_entries(data, batch):
            if piece.low <= entry.index < piece.high:
                yield entry
