"""A million keys: how long each piece of work holds the loop, for range, deleterange and compaction."""

import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

import pytest

from raftgate.api.kv import (
    CompactionRequest,
    DeleteRangeRequest,
    DeleteRangeResponse,
    PutRequest,
    RangeRequest,
    RangeResponse,
)
from storage.fetch import Fetch
from storage.machine import Command, Machine
from tests.fakes.storage import apply, flush, open_machine

KEYS = 1_000_000
LONGEST = 0.05
"""Seconds. The work itself takes up to five milliseconds; the rest is for dicts that grow, and for a busy machine."""

pytestmark = pytest.mark.soak


class Pieces:
    """Measures the pieces of work."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._longest = self._total = 0.0
        self._count = 0

    def time(self, work: Callable[[], object]) -> None:
        started = perf_counter()
        work()
        took = perf_counter() - started
        self._longest, self._total, self._count = max(self._longest, took), self._total + took, self._count + 1

    def all_of(self, steps: Iterator[object]) -> None:
        found: list[object] = []
        while found[-1:] != [self]:
            self.time(lambda: found.append(next(steps, self)))

    def check(self) -> None:
        sys.stdout.write(
            f"{self._name}: {self._count} pieces, {self._longest * 1000:.1f} ms the longest,"
            f" {self._total * 1000:.0f} ms in all\n"
        )
        assert self._longest < LONGEST


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 50)
    machine = open_machine(tmp_path)
    for n in range(KEYS):
        machine.apply(n + 1, Command(PutRequest(b"k%08d" % (n * 7919 % KEYS), b"%d" % n)))
        if n % 20_000 == 0:
            flush(machine)
            machine.writer.checkpoint()
    flush(machine)
    yield machine
    machine.close()
    gc.set_threshold(700, 10, 10)
    gc.unfreeze()


def read_all(machine: Machine, name: str, revision: int = 0) -> RangeResponse:
    pieces = Pieces(name)
    fetches: list[Fetch[RangeResponse]] = []

    def begin() -> None:
        fetch = machine.range(RangeRequest(b"k", b"\0", revision=revision))
        assert isinstance(fetch, Fetch)
        fetches.append(fetch)

    pieces.time(begin)
    pieces.all_of(fetches[0].collect())
    pieces.check()
    response = fetches[0].run()
    fetches[0].close()
    return response


def test_a_million_keys(machine: Machine) -> None:
    response = read_all(machine, "range")
    assert response.count == KEYS
    del response
    last = machine.revision

    pieces = Pieces("deleterange of some with prev_kv, in slices")
    command = Command(DeleteRangeRequest(b"k", b"k001", prev_kv=True))
    assert machine.is_large(command)
    pieces.all_of(machine.apply_in_slices(machine.applied_index + 1, command))
    pieces.check()
    assert isinstance(machine.sliced_result, DeleteRangeResponse)
    assert machine.sliced_result.deleted == KEYS // 10
    machine.sliced_result = None

    pieces = Pieces("deleterange of all, with what it leaves to be done")
    pieces.time(lambda: apply(machine, DeleteRangeRequest(b"k", b"\0")))
    pieces.time(lambda: apply(machine, PutRequest(b"k00000007", b"again")))
    batch = machine.batch()
    assert batch is not None
    machine.writer.flush(batch)
    pieces.time(lambda: machine.committed(batch))
    while machine._kv.sweeps.unsettled or machine._spent:
        pieces.time(machine.settle)
    pieces.check()

    response = read_all(machine, "range at a past revision", last)
    assert response.count == KEYS
    del response

    apply(machine, CompactionRequest(machine.revision))
    flush(machine)
    pieces = Pieces("compaction")
    while not machine.compaction_done(machine.compact_revision):
        steps = []
        pieces.time(lambda: steps.append(machine.compaction_step()))  # noqa: B023 - called at once
        assert steps[0] is not None
        machine.writer.delete(steps[0])
        machine.compacted(steps[0])
    pieces.check()
    while machine.writer.vacuum(1000):
        pass
    assert machine.writer.size.total < 1_000_000
