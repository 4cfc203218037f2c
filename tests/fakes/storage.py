"""Drives a machine as a member does, with everything in one thread."""

from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from raftgate.api.errors import EtcdError
from raftgate.api.kv import RangeRequest, RangeResponse, TxnRequest, TxnResponse
from raftgate.api.message import Message, Request
from storage.fetch import Fetch
from storage.machine import Command, Machine
from storage.metrics import Metrics
from storage.options import Options


def open_machine(directory: Path, registry: CollectorRegistry | None = None, **options: int) -> Machine:
    """The machine of a directory; `options`: of `storage.options.Options`."""
    return Machine.open(directory / "kv.db", Options(fsync=False, **options), Metrics(registry or CollectorRegistry()))


def apply(machine: Machine, request: Request[Any] | None, time: float = 0.0) -> Message | EtcdError:
    # Any: whatever answers it
    """Applies the next entry, having read what it lacks."""
    command = Command(request, time=time)
    if machine.is_large(command):
        for missing in machine.apply_in_slices(machine.applied_index + 1, command):
            if missing is not None:
                missing.run()
        assert machine.sliced_result is not None
        return machine.sliced_result
    while (missing := machine.missing(command)) is not None:
        missing.run()
        machine.supply(missing)
    return machine.apply(machine.applied_index + 1, command)


def flush(machine: Machine) -> None:
    """Brings into SQLite what is not there yet."""
    batch = machine.batch()
    if batch is not None:
        machine.writer.flush(batch)
        machine.committed(batch)


def compact_step(machine: Machine) -> bool:
    """Does one step of a compaction; tells whether there was anything to do."""
    step = machine.compaction_step()
    if step is None:
        return False
    machine.writer.delete(step)
    machine.compacted(step)
    return True


def finish_compaction(machine: Machine) -> None:
    """Deletes all that compactions drop, as far as nobody reads it."""
    flush(machine)
    while compact_step(machine):
        pass


def read(machine: Machine, request: RangeRequest) -> RangeResponse:
    """Answers a range.

    Raises: FutureRev, Compacted.
    """
    answer = machine.range(request)
    return finish(answer) if isinstance(answer, Fetch) else answer


def read_txn(machine: Machine, request: TxnRequest) -> TxnResponse:
    """Answers a read-only transaction.

    Raises: FutureRev, Compacted.
    """
    answer = machine.txn(request)
    return finish(answer) if isinstance(answer, Fetch) else answer


def finish(fetch: Fetch[Any]) -> Any:  # Any: the answer of the fetch
    """The answer of a fetch, which is closed."""
    try:
        for _ in fetch.collect():
            pass
        return fetch.run()
    finally:
        fetch.close()


def outcome(answer: Message | EtcdError) -> Message | str:
    """An answer, or the name of an error, to be compared."""
    return type(answer).__name__ if isinstance(answer, EtcdError) else answer
