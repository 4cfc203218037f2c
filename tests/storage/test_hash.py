"""Hashes: the same for the same keys whatever became of the file, another one for any other key."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftgate.api import errors
from raftgate.api.cluster import ClusterVersionSet, Member, MemberAdded
from raftgate.api.kv import CompactionRequest, DeleteRangeRequest, PutRequest
from raftgate.api.lease import LeaseCheckpoint, LeaseCheckpointRequest, LeaseGrantRequest
from raftgate.api.maintenance import AlarmAction, AlarmRequest, AlarmType
from raftgate.api.message import Request
from storage import hash as hashing
from storage.hash import SEED, DatabaseUnsound, KvHash
from storage.machine import Machine
from tests.fakes.kv_model import DELETES, ENDS, KEYS, PUTS, TXNS
from tests.fakes.storage import apply, compact_step, finish_compaction, flush, open_machine


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = open_machine(tmp_path)
    for key, value in ((b"a", b"1"), (b"b", b"2"), (b"a", b"3"), (b"c", b"4")):
        apply(machine, PutRequest(key, value))
    apply(machine, DeleteRangeRequest(b"b"))
    flush(machine)
    yield machine
    machine.close()


def hash_kv(machine: Machine, revision: int = 0) -> KvHash:
    hashed = machine.hash_kv(revision)
    try:
        return hashed.run()
    finally:
        hashed.close()


def text(row: tuple[Any, ...]) -> bytes:  # Any: a row of SQLite
    row_id, key, create_revision, version, value, lease = row
    return f"{row_id},{key.hex().upper()},{create_revision},{version},{lease},{value.hex().upper()};".encode()


def test_the_hash_is_over_all_rows_up_to_the_revision(machine: Machine) -> None:
    with machine.database.connect() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM history ORDER BY id").fetchall()
    for revision in range(1, 7):
        expected = crc32(b"".join(text(tuple(row)) for row in rows if row[0] >> 24 <= revision), SEED)
        assert hash_kv(machine, revision) == KvHash(expected, -1, revision)
    assert hash_kv(machine) == hash_kv(machine, 6)


@pytest.mark.parametrize(
    ("revision", "compacted", "error"),
    [
        pytest.param(7, -1, errors.FutureRev, id="future"),
        pytest.param(3, 4, errors.Compacted, id="compacted"),
        pytest.param(4, 4, None, id="exactly compacted"),
        pytest.param(-1, 4, errors.Compacted, id="negative"),
    ],
)
def test_refused_revisions(
    machine: Machine, revision: int, compacted: int, error: type[errors.EtcdError] | None
) -> None:
    machine._kv.compact_revision = compacted
    if error is None:
        assert hash_kv(machine, revision).hash_revision == revision
        return
    with pytest.raises(error):
        machine.hash_kv(revision)
    assert machine._kv._readers == {}


def test_what_the_file_does_not_have_yet_cannot_be_hashed(machine: Machine) -> None:
    apply(machine, PutRequest(b"n"))
    assert machine.committed_revision == 6
    with pytest.raises(RuntimeError, match="revision 7 is not in the file yet"):
        machine.hash_kv(0)
    assert hash_kv(machine, 6).hash_revision == 6


def test_later_changes_do_not_show(machine: Machine) -> None:
    before = hash_kv(machine)
    apply(machine, PutRequest(b"n"))
    flush(machine)
    assert hash_kv(machine, 6) == before
    assert hash_kv(machine) != before


def test_a_compaction_shows_at_once_and_its_progress_never(tmp_path: Path) -> None:
    machine = open_machine(tmp_path, compaction_batch_limit=1)
    for n in range(20):
        apply(machine, PutRequest(b"k%d" % (n % 3), b"%d" % n))
    apply(machine, DeleteRangeRequest(b"k0"))
    flush(machine)
    before = hash_kv(machine)
    apply(machine, CompactionRequest(22))
    flush(machine)
    after = {revision: hash_kv(machine, revision) for revision in (22, 0)}
    assert after[0].hash != before.hash
    assert (after[0].compact_revision, after[0].hash_revision) == (22, 22)
    while compact_step(machine):
        assert {revision: hash_kv(machine, revision) for revision in (22, 0)} == after
    assert machine.compaction_done(22)
    machine.close()
    again = open_machine(tmp_path)
    assert hash_kv(again) == after[0]
    again.close()


def test_a_tombstone_exactly_at_the_compaction_is_left_out(tmp_path: Path) -> None:
    """A member that has dropped it hashes the same as one that keeps it."""
    machine = open_machine(tmp_path)
    apply(machine, PutRequest(b"a"))
    apply(machine, PutRequest(b"b"))
    apply(machine, DeleteRangeRequest(b"a"))
    apply(machine, CompactionRequest(4))
    finish_compaction(machine)
    with_tombstone = hash_kv(machine)
    with machine.database.connection.begin():
        machine.database.connection.exec_driver_sql("DELETE FROM history WHERE version = 0")
    assert hash_kv(machine) == with_tombstone
    machine.close()


def test_a_running_hash_holds_later_compactions_back(machine: Machine) -> None:
    expected = hash_kv(machine, 6)
    hashed = machine.hash_kv(6)
    apply(machine, CompactionRequest(6))
    finish_compaction(machine)
    assert not machine.compaction_done(6)
    assert hashed.run() == expected
    hashed.close()
    hashed.close()
    finish_compaction(machine)
    assert machine.compaction_done(6)


@pytest.mark.parametrize(
    "size", [pytest.param(100, id="small values"), pytest.param(hashing.BYTES // 3, id="large values")]
)
def test_pages_do_not_show(tmp_path: Path, size: int) -> None:
    machine = open_machine(tmp_path)
    count = 2 * hashing.ROWS + 7 if size == 100 else 8
    for n in range(count):
        apply(machine, PutRequest(b"k%d" % n, bytes([n % 256]) * size))
    flush(machine)
    with machine.database.connect() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM history ORDER BY id").fetchall()
    assert hash_kv(machine).hash == crc32(b"".join(text(tuple(row)) for row in rows), SEED)
    machine.close()


STEPS = st.lists(
    PUTS
    | DELETES
    | TXNS
    | st.builds(CompactionRequest, st.integers(0, 12))
    | st.builds(DeleteRangeRequest, KEYS, ENDS),
    max_size=15,
)


@settings(deadline=None, max_examples=25)
@given(STEPS, st.lists(st.integers(0, 20), max_size=10), st.sampled_from([1, 1000]))
def test_members_of_different_progress_agree(steps: list[Request[Any]], flushed: list[int], large: int) -> None:
    # Any: whatever answers it
    seen = []
    for is_eager in (True, False):
        with TemporaryDirectory() as name:
            machine = open_machine(Path(name), large=large if is_eager else 1000, compaction_batch_limit=1)
            for n, step in enumerate(steps):
                apply(machine, step)
                if is_eager:
                    finish_compaction(machine)
                elif n in flushed:
                    flush(machine)
                    compact_step(machine)
            flush(machine)
            lowest = max(machine.compact_revision, 1)
            seen.append([hash_kv(machine, revision) for revision in range(lowest, machine.revision + 1)])
            machine.close()
    assert seen[0] == seen[1]


def test_every_field_counts(tmp_path: Path) -> None:
    variants: list[list[Request[Any]]] = [  # Any: whatever answers it
        [PutRequest(b"k", b"v")],
        [PutRequest(b"K", b"v")],
        [PutRequest(b"k", b"V")],
        [PutRequest(b"kv", b"")],
        [PutRequest(b"k", b"v"), PutRequest(b"k", b"v")],
        [PutRequest(b"x"), DeleteRangeRequest(b"x"), PutRequest(b"k", b"v")],
    ]
    found = set()
    for n, requests in enumerate(variants):
        (tmp_path / str(n)).mkdir()
        machine = open_machine(tmp_path / str(n))
        for request in requests:
            apply(machine, request)
        flush(machine)
        found.add(hash_kv(machine).hash)
        machine.close()
    assert len(found) == len(variants)


def test_the_hash_of_the_file_is_over_all_that_is_replicated(machine: Machine) -> None:
    seen = [machine.hash_all()]
    apply(machine, None)
    flush(machine)
    assert machine.hash_all() == seen[0]
    replicated: list[Request[Any]] = [  # Any: whatever answers it
        MemberAdded(Member(5)),
        ClusterVersionSet("3.6.0"),
        LeaseGrantRequest(60, 7),
        LeaseCheckpointRequest((LeaseCheckpoint(7, 30),)),
        AlarmRequest(AlarmAction.ACTIVATE, 1, AlarmType.NOSPACE),
    ]
    for request in replicated:
        apply(machine, request)
        flush(machine)
        seen.append(machine.hash_all())
    apply(machine, CompactionRequest(5))
    flush(machine)
    seen.append(machine.hash_all())
    finish_compaction(machine)
    seen.append(machine.hash_all())
    assert len(set(seen)) == len(seen)


def damage(machine: Machine, change: Callable[[bytearray], None]) -> None:
    """Changes the file on the disk, below SQLite, with all rows in it."""
    assert machine.writer.checkpoint() is not None
    path = machine.database.path
    content = bytearray(path.read_bytes())
    change(content)
    with path.open("r+b") as file:
        file.write(content)


def test_a_byte_that_flips_on_the_disk_is_seen_at_once(machine: Machine) -> None:
    apply(machine, PutRequest(b"k", b"needle"))
    flush(machine)
    before = hash_kv(machine)

    def flip(content: bytearray) -> None:
        content[content.index(b"needle")] ^= 1

    damage(machine, flip)
    assert hash_kv(machine).hash != before.hash
    damage(machine, lambda content: content.__setitem__(content.index(b"oeedle"), ord("n")))
    assert hash_kv(machine) == before


def test_a_file_that_sqlite_cannot_read_is_told_from_other_failures(machine: Machine) -> None:
    size = 8192
    damage(machine, lambda content: content.__setitem__(slice(size, None), bytes(len(content) - size)))
    with pytest.raises(DatabaseUnsound, match="malformed"):
        hash_kv(machine)


def test_other_failures_are_as_they_are(machine: Machine) -> None:
    with machine.database.connection.begin():
        machine.database.connection.exec_driver_sql("ALTER TABLE history RENAME TO gone")
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        hash_kv(machine)
