"""Where entries lie, against a plain list of batches."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from consensus.raft.types import Entry, EntryType, HardState
from consensus.wal_format import HEADER_SIZE, BatchCodec, Header, Identity, Marker
from consensus.wal_index import LogIndex, Segment, term_runs


def make_segment(sequence: int) -> Segment:
    header = Header(sequence, 1, 1, Identity(1, 2), HardState(), Marker(), bytes(16))
    return Segment(Path(header.name), header, BatchCodec(header.salt))


def make_index(segments: int = 1) -> LogIndex:
    return LogIndex(Marker(), [make_segment(sequence) for sequence in range(segments)], 0)


def entries(first: int, *terms: int) -> list[Entry]:
    return [Entry(term, index, EntryType.NORMAL, b"") for index, term in enumerate(terms, first)]


def test_runs_of_terms() -> None:
    assert term_runs(entries(5, 2, 2, 2)) == ((5, 2),)
    assert list(term_runs(entries(5, 2, 2, 3, 7, 7))) == [(5, 2), (7, 3), (8, 7)]


def test_a_segment_forgets_batches_from_an_index_on() -> None:
    segment = make_segment(0)
    for first, offset in ((1, 100), (4, 200), (6, 300)):
        segment.add(first, offset, 50)
    segment.truncate(5)
    assert (list(segment.firsts), list(segment.offsets), list(segment.lengths)) == ([1, 4], [100, 200], [50, 50])
    segment.truncate(4)
    assert list(segment.firsts) == [1]


def test_terms_are_runs_that_a_replaced_tail_shortens() -> None:
    index = make_index()
    index.append(0, 1, 4, ((1, 1),))
    index.append(1, 1, 8, ((5, 1), (7, 3)))
    assert [index.term(i) for i in range(9)] == [0, 1, 1, 1, 1, 1, 1, 3, 3]
    index.append(2, 1, 6, ((6, 4),))
    assert [index.term(i) for i in range(7)] == [0, 1, 1, 1, 1, 1, 4]
    index.append(3, 1, 1, ((1, 5),))
    assert [index.term(i) for i in range(2)] == [0, 5]


def test_dropping_keeps_the_term_of_the_marker() -> None:
    index = make_index(2)
    index.append(0, 1, 4, ((1, 1), (3, 2)))
    index.drop(Marker(3, 2), 1)
    assert (index.term(3), index.term(4)) == (2, 2)
    assert [segment.header.sequence for segment in index.segments] == [1]


def test_pieces_are_clipped_by_what_replaced_them() -> None:
    index = make_index(1)
    index.append(10, 5, 4, ((1, 1),))
    index.append(15, 5, 8, ((5, 1),))
    index.add_segment(make_segment(1))
    index.append(20, 5, 9, ((7, 2),))
    pieces = [(piece.segment.header.sequence, piece.offset, piece.low, piece.high) for piece in index.pieces(2, 10)]
    assert pieces == [(0, 10, 2, 5), (0, 15, 5, 7), (1, 20, 7, 10)]
    assert [(piece.offset, piece.low, piece.high) for piece in index.pieces(3, 5)] == [(10, 3, 5)]
    assert [(piece.offset, piece.low, piece.high) for piece in index.pieces(8, 9)] == [(20, 8, 9)]


def test_nothing_is_found_below_what_is_stored() -> None:
    index = make_index()
    index.append(10, 5, 9, ((1, 1),))
    index.drop(Marker(9, 1), 1)
    assert list(index.pieces(3, 5)) == []


def test_whole_segments_are_dropped_if_enough_is_left() -> None:
    index = LogIndex(Marker(), [], 0)
    for place in range(4):  # entries 1-2, 3-4, 5-6, 7-8, each segment 100 bytes
        index.add_segment(make_segment(place))
        index.append(HEADER_SIZE, 100, 2 * place + 2, ((2 * place + 1, 1),))
        index.segments[-1].used += 100
    assert [index.droppable(at, 0) for at in range(9)] == [0, 0, 1, 1, 2, 2, 3, 3, 3]
    assert [index.droppable(8, keep) for keep in (100, 101, 200, 201, 300, 301)] == [3, 2, 2, 1, 1, 0]
    assert index.lowest(2) == 5
    assert make_index().droppable(0, 0) == 0


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 10), st.integers(0, 2), st.booleans()), max_size=40))
def test_each_entry_is_found_where_it_was_last_written(batches: list[tuple[int, int, int, bool]]) -> None:
    index = make_index()
    written: list[tuple[int, int, int]] = []  # (segment, offset, term) of each entry
    term = 1
    for offset, (count, back, rise, is_new_segment) in enumerate(batches):
        if is_new_segment:
            index.add_segment(make_segment(len(index.segments)))
        first = max(1, len(written) + 1 - back)
        term += rise
        del written[first - 1 :]
        written += [(len(index.segments) - 1, offset, term)] * count
        index.append(offset, 1, first + count - 1, ((first, term),))
    assert index.last_index == len(written)
    found = [
        (piece.segment.header.sequence, piece.offset, index.term(at))
        for piece in index.pieces(1, len(written) + 1)
        for at in range(piece.low, piece.high)
    ]
    assert found == written


def test_a_restored_index_is_empty_behind_its_marker() -> None:
    for last in (0, 5, 9):
        index = make_index(2)
        if last:
            index.append(HEADER_SIZE, 100, last, ((1, 1), (3, 2)))
        index.restore(Marker(7, 4))
        assert (index.last_index, index.marker, index.term(7), index.lowest()) == (7, Marker(7, 4), 4, 8)
        assert list(index.pieces(8, 8)) == []
        index.append(HEADER_SIZE, 100, 8, ((8, 5),))
        assert (index.term(7), index.term(8)) == (4, 5)
