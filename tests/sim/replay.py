"""The committed entries once more, into a fresh store that never crashes: what each member must hold."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from consensus import command
from consensus.raft import confchange
from consensus.raft.types import Entry, EntryType
from raftgate.api.kv import KeyValue, RangeRequest
from storage.machine import Machine
from tests.fakes import storage
from tests.sim.assembly import open_machine
from tests.sim.revisions import UNKNOWN, Write
from tests.sim.watchers import Change

_EVERYTHING: Final = RangeRequest(key=b"\0", range_end=b"\0")


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the committed entries come to."""

    state: tuple[int, int, int]
    """(revision, compact revision, hash) after all of them."""
    changes: list[Change]
    """All that became of keys, by revision."""
    content: list[KeyValue]
    """All keys in the end."""


def replay(entries: Mapping[int, Entry], store: Path, writes: Iterable[Write]) -> Replayed:
    """Applies all entries; each acknowledged write must be among them.

    Raises: AssertionError.
    """
    acknowledged = {write.revision: write for write in writes if write.revision != UNKNOWN}
    machine = open_machine(store)
    changes: list[Change] = []
    content: dict[bytes, KeyValue] = {}
    try:
        for index in range(1, len(entries) + 1):
            before = machine.revision
            _apply(machine, entries[index])
            if machine.revision == before:
                continue
            found = {kv.key: kv for kv in storage.read(machine, _EVERYTHING).kvs}
            changes += _changes(machine.revision, content, found)
            content = found
            if machine.revision in acknowledged:
                _check(content, acknowledged.pop(machine.revision))
        assert not acknowledged, f"acknowledged and lost: {list(acknowledged.values())[:3]}"
        storage.flush(machine)
        hashing = machine.hash_kv(0)
        try:
            hashed = hashing.run()
        finally:
            hashing.close()
        return Replayed((hashed.hash_revision, hashed.compact_revision, hashed.hash), changes, list(content.values()))
    finally:
        machine.close()


def _changes(revision: int, before: Mapping[bytes, KeyValue], after: Mapping[bytes, KeyValue]) -> list[Change]:
    gone = [Change(revision, key, None) for key in before if key not in after]
    return gone + [Change(revision, kv.key, kv.value) for kv in after.values() if kv.mod_revision == revision]


def _apply(machine: Machine, entry: Entry) -> None:
    if not entry.data:
        storage.apply(machine, None)
        return
    data = entry.data if entry.type is EntryType.NORMAL else confchange.decode(entry.data).context
    envelope, request = command.decode(data)
    storage.apply(machine, request, envelope.time)


def _check(content: Mapping[bytes, KeyValue], write: Write) -> None:
    for key, value in write.changes:
        kv = content.get(key)
        assert (kv.value if kv else None) == value, f"{write} was acknowledged, the log has {kv} there"
