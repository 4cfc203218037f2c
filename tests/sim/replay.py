"""The committed entries once more, into a fresh store that never crashes: what each member must hold."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from consensus import command
from consensus.raft import confchange
from consensus.raft.types import Entry, EntryType
from raftgate.api.kv import RangeRequest
from storage.machine import Machine
from tests.fakes import storage
from tests.sim.assembly import open_machine
from tests.sim.revisions import UNKNOWN, Write


def replay(entries: Mapping[int, Entry], store: Path, writes: Iterable[Write]) -> tuple[int, int, int]:
    """(revision, compact revision, hash) after all entries; each acknowledged write must be among them.

    Raises: AssertionError.
    """
    acknowledged = {write.revision: write for write in writes if write.revision != UNKNOWN}
    machine = open_machine(store)
    try:
        for index in range(1, len(entries) + 1):
            before = machine.revision
            _apply(machine, entries[index])
            if machine.revision != before and machine.revision in acknowledged:
                _check(machine, acknowledged.pop(machine.revision))
        assert not acknowledged, f"acknowledged and lost: {list(acknowledged.values())[:3]}"
        storage.flush(machine)
        hashing = machine.hash_kv(0)
        try:
            found = hashing.run()
        finally:
            hashing.close()
        return found.hash_revision, found.compact_revision, found.hash
    finally:
        machine.close()


def _apply(machine: Machine, entry: Entry) -> None:
    if not entry.data:
        storage.apply(machine, None)
        return
    data = entry.data if entry.type is EntryType.NORMAL else confchange.decode(entry.data).context
    envelope, request = command.decode(data)
    storage.apply(machine, request, envelope.time)


def _check(machine: Machine, write: Write) -> None:
    for key, value in write.changes:
        kvs = storage.read(machine, RangeRequest(key=key)).kvs
        assert (kvs[0].value if kvs else None) == value, f"{write} was acknowledged, the log has {kvs} there"
