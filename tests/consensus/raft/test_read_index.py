from consensus.raft.read_index import ReadIndex
from consensus.raft.types import ReadState


def test_no_read_no_round() -> None:
    reads = ReadIndex()
    assert reads.start(5) == 0
    assert reads.ack(0, 1, (1,)) == []


def test_a_lone_voter_is_its_own_quorum() -> None:
    reads = ReadIndex()
    reads.add(b"a")
    reads.add(b"b")
    assert reads.ack(reads.start(5), 1, (1,)) == [ReadState(5, b"a"), ReadState(5, b"b")]
    assert reads.start(6) == 0


def test_a_round_waits_for_a_quorum() -> None:
    reads = ReadIndex()
    reads.add(b"a")
    number = reads.start(5)
    assert reads.ack(number, 1, (1, 2, 3)) == []
    assert reads.ack(number, 1, (1, 2, 3)) == []
    assert reads.ack(number, 9, (1, 2, 3)) == []
    assert reads.ack(number, 3, (1, 2, 3)) == [ReadState(5, b"a")]
    assert reads.ack(number, 2, (1, 2, 3)) == []


def test_a_read_that_comes_during_a_round_waits_for_the_next() -> None:
    # An answer to a question put before the read proves nothing about the time of the read (etcd 3.6.9 fixed that).
    reads = ReadIndex()
    reads.add(b"a")
    first = reads.start(5)
    reads.add(b"b")
    assert reads.start(6) == first
    reads.ack(first, 1, (1, 2, 3))
    assert reads.ack(first, 2, (1, 2, 3)) == [ReadState(5, b"a")]
    second = reads.start(7)
    assert reads.ack(second, 1, (1, 2, 3)) == []
    assert reads.ack(first, 3, (1, 2, 3)) == []
    assert reads.ack(second, 2, (1, 2, 3)) == [ReadState(7, b"b")]
