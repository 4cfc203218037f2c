"""LogIndex: where each entry of the write-ahead log lies, in memory. No IO lives here.

Two numbers and a length per batch, not per entry, and terms as runs: a log of any size costs little memory.

Threads: the log's thread changes the index (`append`, `drop`) while the event loop's thread looks up entries that
are stable. No lock is needed, for three reasons. Whatever is read in several steps is replaced as a whole (tuples)
or changes only at its end (arrays). The core never asks for what it is overwriting: an append that truncates from t
on comes when the core already holds t and above as unstable, so readers ask only below t, whose places in the arrays
stay. And the order of updates is: lower `last_index`, take away, add, raise `last_index`; a cut first raises the
marker and then drops segments, so that a reader which comes too late finds a file gone and knows why.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path

from consensus.raft.types import Entry
from consensus.wal_format import HEADER_SIZE, BatchCodec, Header, Marker

Terms = Sequence[tuple[int, int]]
"""Runs of equal terms: (first index, term), ascending."""


@dataclass(slots=True)
class Segment:
    """One file of the log, and where in it the batches lie that are still part of the log."""

    path: Path
    header: Header
    codec: BatchCodec
    used: int = HEADER_SIZE
    """Bytes up to the end of the last batch."""
    firsts: "array[int]" = field(default_factory=lambda: array("Q"))
    """First index of each batch that has entries and was not wholly replaced; strictly ascending."""
    offsets: "array[int]" = field(default_factory=lambda: array("Q"))
    lengths: "array[int]" = field(default_factory=lambda: array("Q"))

    def add(self, first: int, offset: int, length: int) -> None:
        """Notes a batch with entries; `firsts` comes last, since readers begin there."""
        self.lengths.append(length)
        self.offsets.append(offset)
        self.firsts.append(first)

    def truncate(self, index: int) -> None:
        """Forgets the batches that hold nothing below `index`."""
        keep = bisect_left(self.firsts, index)
        del self.firsts[keep:], self.offsets[keep:], self.lengths[keep:]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stored batch and which of its entries are part of the log: `[low, high)`."""

    segment: Segment
    offset: int
    length: int
    low: int
    high: int


class LogIndex:
    """Segments, entries and terms of a log (see the module's text for threads)."""

    def __init__(self, marker: Marker, segments: Sequence[Segment], last_index: int) -> None:
        self.marker = marker
        self.segments = tuple(segments)
        self.last_index = last_index
        self._terms: Terms = ((marker.index, marker.term),)

    def append(self, offset: int, length: int, last: int, terms: Terms) -> None:
        """Adds a batch of the newest segment with entries from `terms[0][0]` to `last`; what it overlaps is gone."""
        first = terms[0][0]
        if first <= self.last_index:
            self._truncate(first)
        current = self._terms[-1][1] if self._terms else None
        if len(terms) > 1 or terms[0][1] != current:
            self._terms = (*self._terms, *(terms[1:] if terms[0][1] == current else terms))
        self.segments[-1].add(first, offset, length)
        self.last_index = last

    def _truncate(self, index: int) -> None:
        self.last_index = index - 1
        for segment in reversed(self.segments):
            if segment.firsts and segment.firsts[-1] < index:
                break
            segment.truncate(index)
        self._terms = tuple(run for run in self._terms if run[0] < index)

    def add_segment(self, segment: Segment) -> None:
        """Makes a segment the newest."""
        self.segments = (*self.segments, segment)

    def drop(self, marker: Marker, count: int) -> None:
        """Gives up entries up to the marker, and the oldest `count` segments."""
        self.marker = marker
        self._terms = ((marker.index, marker.term), *(run for run in self._terms if run[0] > marker.index))
        self.segments = self.segments[count:]

    def restore(self, marker: Marker) -> None:
        """Gives up all entries: the log begins anew behind the marker, which may be above the last one."""
        self.marker = marker
        self.last_index = marker.index
        self._terms = ((marker.index, marker.term),)
        for segment in self.segments:
            segment.truncate(0)

    def term(self, index: int) -> int:
        """The term of an entry from the marker to the last."""
        terms = self._terms
        return terms[bisect_right(terms, index, key=itemgetter(0)) - 1][1]

    def lowest(self, segment: int = 0) -> int:
        """The lowest index stored in the segments from place `segment` on; one above the last if none is."""
        return next((part.firsts[0] for part in self.segments[segment:] if part.firsts), self.last_index + 1)

    def pieces(self, low: int, high: int) -> Iterator[Piece]:
        """The stored batches that hold the entries `[low, high)`, in order."""
        segment, offset, length, start = None, 0, 0, low
        for part, place in self._places(low, high):
            if segment is not None:
                end = part.firsts[place]
                yield Piece(segment, offset, length, start, end)
                start = end
            segment, offset, length = part, part.offsets[place], part.lengths[place]
        if segment is not None:
            yield Piece(segment, offset, length, start, high)

    def _places(self, low: int, high: int) -> Iterator[tuple[Segment, int]]:
        segments = self.segments
        for newest in range(len(segments) - 1, -1, -1):
            place = bisect_right(segments[newest].firsts, low) - 1
            if place >= 0:
                break
        else:
            return
        for part in segments[newest:]:
            yield from ((part, at) for at in range(place, bisect_left(part.firsts, high)))
            place = 0

    def droppable(self, index: int, keep_bytes: int) -> int:
        """How many of the oldest segments hold only entries up to `index` and leave `keep_bytes` of log."""
        left = sum(segment.used - HEADER_SIZE for segment in self.segments)
        for place, segment in enumerate(self.segments):
            left -= segment.used - HEADER_SIZE
            if segment is self.segments[-1] or left < keep_bytes or self.lowest(place + 1) - 1 > index:
                return place
        return 0


def term_runs(entries: Sequence[Entry]) -> Terms:
    """The runs of equal terms in a batch of entries, of which there is at least one."""
    first, last = entries[0], entries[-1]
    if first.term == last.term:
        return ((first.index, first.term),)
    runs = []
    term = -1
    for entry in entries:
        if entry.term != term:
            term = entry.term
            runs.append((entry.index, term))
    return runs
