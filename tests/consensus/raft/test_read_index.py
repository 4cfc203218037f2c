from consensus.raft.read_index import Read, ReadIndex

A, B = Read(1, b"a"), Read(2, b"b")
NOT_YET: tuple[int, list[Read]] = (0, [])


def test_no_read_no_round() -> None:
    reads = ReadIndex()
    assert (reads.is_due, reads.context) == (False, b"")
    assert reads.ack(b"", 1, (1,)) == NOT_YET


def test_a_lone_voter_is_its_own_quorum() -> None:
    reads = ReadIndex()
    reads.add(A)
    reads.add(B)
    assert (reads.is_due, reads.context) == (True, b"")
    reads.start(5)
    assert reads.ack(reads.context, 1, (1,)) == (5, [A, B])
    assert (reads.is_due, reads.context) == (False, b"")


def test_a_round_waits_for_a_quorum() -> None:
    reads = ReadIndex()
    reads.add(A)
    reads.start(5)
    name = reads.context
    assert reads.ack(name, 1, (1, 2, 3)) == NOT_YET
    assert reads.ack(name, 1, (1, 2, 3)) == NOT_YET
    assert reads.ack(name, 9, (1, 2, 3)) == NOT_YET
    assert reads.ack(b"", 3, (1, 2, 3)) == NOT_YET
    assert reads.ack(name, 3, (1, 2, 3)) == (5, [A])
    assert reads.ack(name, 2, (1, 2, 3)) == NOT_YET


def test_a_read_that_comes_during_a_round_waits_for_the_next() -> None:
    # An answer to a question put before the read proves nothing about the time of the read (etcd 3.6.9 fixed that).
    reads = ReadIndex()
    reads.add(A)
    reads.start(5)
    first = reads.context
    reads.add(B)
    assert (reads.is_due, reads.context) == (False, first)
    reads.ack(first, 1, (1, 2, 3))
    assert reads.ack(first, 2, (1, 2, 3)) == (5, [A])
    assert (reads.is_due, reads.context) == (True, b"")
    reads.start(7)
    second = reads.context
    assert second != first
    assert reads.ack(second, 1, (1, 2, 3)) == NOT_YET
    assert reads.ack(first, 3, (1, 2, 3)) == NOT_YET
    assert reads.ack(second, 2, (1, 2, 3)) == (7, [B])
