"""Bounds of one round; what it finds is held against a model in test_watch.py."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from raftgate.api.kv import DeleteRangeRequest, PutRequest, RequestOp, TxnRequest
from storage.machine import Machine
from storage.watch_events import Wanted
from storage.watch_history import HITS, ROWS, SHORT, Need, Reading, Store
from tests.fakes.storage import apply, flush, open_machine

EVERYTHING = Wanted(b"\0", b"\0")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = open_machine(tmp_path, large=10_000)
    yield machine
    machine.close()


def store(machine: Machine) -> Store:
    return machine.watchers._store


def puts(machine: Machine, count: int) -> None:
    for n in range(count):
        apply(machine, PutRequest(b"k%d" % n))


def txn(machine: Machine, count: int) -> None:
    apply(machine, TxnRequest(success=tuple(RequestOp(request_put=PutRequest(b"t%d" % n)) for n in range(count))))


def finish(reading: Reading) -> list[Callable[[], None] | None]:
    """What was to be run elsewhere."""
    steps = []
    for read in reading.steps():
        steps.append(read)
        if read is not None:
            read()
    reading.close()
    return steps


def revisions(reading: Reading, need: Need) -> list[int]:
    return [event.kv.mod_revision for event in reading.batches[need].events if event.kv]


def test_a_few_rows_of_memory_need_no_thread(machine: Machine) -> None:
    puts(machine, SHORT)
    reading = Reading(store(machine), [(EVERYTHING, 2)])
    assert finish(reading) == []
    assert revisions(reading, (EVERYTHING, 2)) == list(range(2, SHORT + 2))


@pytest.mark.parametrize("is_flushed", [False, True])
def test_others_do(machine: Machine, *, is_flushed: bool) -> None:
    puts(machine, SHORT + 1)
    if is_flushed:
        flush(machine)
    reading = Reading(store(machine), [(EVERYTHING, 2)])
    assert len(finish(reading)) == 1
    assert revisions(reading, (EVERYTHING, 2)) == list(range(2, SHORT + 3))


def test_each_gets_what_it_needs(machine: Machine) -> None:
    puts(machine, 5)
    needs = [(EVERYTHING, 2), (EVERYTHING, 5), (Wanted(b"k3"), 2), (Wanted(b"x"), 2)]
    reading = Reading(store(machine), needs)
    finish(reading)
    assert [revisions(reading, need) for need in needs[:3]] == [[2, 3, 4, 5, 6], [5, 6], [5]]
    assert needs[3] not in reading.batches
    assert reading.end == 6


def test_a_revision_is_never_split(machine: Machine) -> None:
    for _ in range(3):
        txn(machine, HITS // 2 + 1)
    for flushed in (False, True):
        if flushed:
            flush(machine)
        reading = Reading(store(machine), [(EVERYTHING, 2)])
        finish(reading)
        assert reading.end == 3
        assert len(reading.batches[EVERYTHING, 2].events) == 2 * (HITS // 2 + 1)


def test_rows_of_memory_that_are_too_many_are_for_another_round(machine: Machine) -> None:
    txn(machine, ROWS - 1)
    puts(machine, 5)
    reading = Reading(store(machine), [(Wanted(b"k", b"l"), 2)])
    finish(reading)
    assert (reading.end, revisions(reading, (Wanted(b"k", b"l"), 2))) == (3, [3])
    second = Reading(store(machine), [(Wanted(b"k", b"l"), 4)])
    finish(second)
    assert second.end == 7


def test_a_sweep_behind_too_many_rows_is_for_another_round(tmp_path: Path) -> None:
    machine = open_machine(tmp_path, large=3)
    for _ in range(ROWS):
        apply(machine, PutRequest(b"a"))
    puts(machine, 4)
    apply(machine, DeleteRangeRequest(b"k", b"l"))
    flush(machine)
    for n in range(ROWS):
        apply(machine, PutRequest(b"a%d" % (n % 4)))
    apply(machine, DeleteRangeRequest(b"a", b"b"))
    apply(machine, PutRequest(b"z"))
    last = Wanted(b"a", b"b", puts=False)
    reading = Reading(store(machine), [(last, ROWS + 7)])
    finish(reading)
    assert reading.batches == {}
    assert reading.end == machine.revision - 2
    reading = Reading(store(machine), [(last, reading.end + 1)])
    finish(reading)
    assert len(reading.batches[last, machine.revision - 1].events) == 5
    machine.close()


def test_a_round_looks_at_so_much_of_the_file(machine: Machine) -> None:
    puts(machine, 20)
    flush(machine)
    puts(machine, 1)
    short = replace(store(machine), span=5)
    reading = Reading(short, [(Wanted(b"k4"), 2), (Wanted(b"k5"), 2)])
    assert len(finish(reading)) == 1
    assert reading.end == 6
    assert list(reading.batches) == [(Wanted(b"k4"), 2)]
    reading = Reading(short, [(EVERYTHING, 18)])
    finish(reading)
    assert revisions(reading, (EVERYTHING, 18)) == [18, 19, 20, 21, 22]
