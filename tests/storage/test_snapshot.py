"""Stores as streams: what is copied, what goes over, and what is refused."""

import random
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest

from raftgate.api.cluster import Member, MemberAdded
from raftgate.api.kv import PutRequest, RangeRequest
from storage.database import StoreExchanged
from storage.machine import Machine
from storage.snapshot import PIECE, Copy, CopyRefused, Head, SnapshotInvalid, Unpacking, inspect
from tests.fakes.storage import apply, flush, open_machine, read

RECORD = Member(ID=0xA1, name="m1", peerURLs=("http://10.0.0.1:2380",))


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    (tmp_path / "source").mkdir()
    machine = open_machine(tmp_path / "source")
    apply(machine, MemberAdded(member=RECORD))
    chance = random.Random(1)
    for number in range(200):
        apply(machine, PutRequest(b"k%d" % number, chance.randbytes(5000)))
    flush(machine)
    yield machine
    machine.close()


def unpack(stream: bytes, size: int) -> tuple[Head, bytes]:
    unpacking = Unpacking()
    content = b"".join(unpacking.feed(stream[start : start + size]) for start in range(0, len(stream), size))
    return unpacking.finish(), content


@pytest.mark.parametrize("size", [1 << 20, PIECE, 4096, 37])
def test_a_store_goes_over_whole(machine: Machine, tmp_path: Path, size: int) -> None:
    copy = machine.copy(tmp_path / "copy.tmp")
    assert (copy.index, copy.members) == (machine.applied_index, (RECORD,))
    stream = b"".join(copy.stream(3))
    copy.close()
    head, content = unpack(stream, size)
    assert head == Head(3, machine.applied_index, len(content))
    (tmp_path / "target").mkdir()
    path = tmp_path / "target" / "kv.db"
    path.write_bytes(content)
    assert inspect(path, machine.applied_index) == (RECORD,)
    assert [file.name for file in path.parent.iterdir()] == ["kv.db"]
    again = open_machine(path.parent)
    everything = RangeRequest(b"\0", b"\0")
    assert read(again, everything) == read(machine, everything)
    assert again.applied_index == machine.applied_index
    assert again.hash_all() == machine.hash_all()
    apply(again, PutRequest(b"more"))
    flush(again)
    assert again.writer.checkpoint() == again.applied_index
    again.close()


def test_a_copy_is_as_of_one_applied_index_while_the_store_goes_on(machine: Machine, tmp_path: Path) -> None:
    done = threading.Event()
    copies: list[Copy] = []

    def make() -> None:
        while not done.is_set():
            copies.append(machine.copy(tmp_path / f"copy{len(copies)}.tmp"))

    thread = threading.Thread(target=make)
    thread.start()
    try:
        for number in range(300):
            apply(machine, PutRequest(b"n", b"%d" % number))
            flush(machine)
    finally:
        done.set()
        thread.join()
    assert len({copy.index for copy in copies}) > 1
    for copy in (copies[0], copies[len(copies) // 2], copies[-1]):
        head, content = unpack(b"".join(copy.stream(1)), 1 << 20)
        path = tmp_path / f"{copy.index}.db"
        path.write_bytes(content)
        inspect(path, head.index)
        with sqlite3.connect(f"file:{path}?immutable=1", uri=True) as connection:
            (revision,) = connection.execute("SELECT value FROM meta WHERE name = 'revision'").fetchone()
            (newest,) = connection.execute("SELECT max(id) >> 24 FROM history").fetchone()
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
        assert revision == newest == head.index  # the member's record took the first, the revision begins with 1
    for copy in copies:
        copy.close()
    assert not list(tmp_path.glob("copy*"))


def test_a_copy_holds_only_what_is_committed(machine: Machine, tmp_path: Path) -> None:
    index = machine.applied_index
    apply(machine, PutRequest(b"pending"))
    copy = machine.copy(tmp_path / "copy.tmp")
    assert copy.index == index
    copy.close()


def test_no_copy_of_a_store_that_is_closed(tmp_path: Path) -> None:
    machine = open_machine(tmp_path)
    machine.close()
    with pytest.raises(StoreExchanged):
        machine.copy(tmp_path / "copy.tmp")


def test_no_copy_where_none_can_be_written(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "copy.tmp").mkdir()
    with pytest.raises((CopyRefused, OSError)):
        machine.copy(tmp_path / "copy.tmp")


@pytest.fixture
def stream(machine: Machine, tmp_path: Path) -> bytes:
    copy = machine.copy(tmp_path / "copy.tmp")
    stream = b"".join(copy.stream(3))
    copy.close()
    return stream


def test_a_flipped_bit_anywhere_is_found(stream: bytes) -> None:
    places = [*range(60), *range(60, len(stream), len(stream) // 50), *range(len(stream) - 32, len(stream))]
    for place in places:
        wrong = stream[:place] + bytes([stream[place] ^ 4]) + stream[place + 1 :]
        with pytest.raises(SnapshotInvalid):
            unpack(wrong, PIECE)


def test_too_short_and_too_long(stream: bytes) -> None:
    for cut in (0, 1, 20, 60, len(stream) // 2, len(stream) - 32, len(stream) - 1):
        with pytest.raises(SnapshotInvalid, match="too early"):
            unpack(stream[:cut], PIECE)
    with pytest.raises(SnapshotInvalid, match="longer"):
        unpack(stream + b"\0", PIECE)


def test_a_newer_format_is_refused(stream: bytes) -> None:
    head = bytearray(stream[:44])
    head[8] = 9
    head[40:44] = crc32(bytes(head[:40])).to_bytes(4, "little")
    with pytest.raises(SnapshotInvalid, match="format version 9"):
        unpack(bytes(head) + stream[44:], PIECE)


def test_a_file_that_is_no_store_of_that_index_is_refused(machine: Machine, tmp_path: Path, stream: bytes) -> None:
    _, content = unpack(stream, PIECE)
    path = tmp_path / "kv.db"
    path.write_bytes(content)
    with pytest.raises(SnapshotInvalid, match=f"as of {machine.applied_index}, not of 7"):
        inspect(path, 7)
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(SnapshotInvalid, match="unreadable"):
        inspect(path, 7)
    path.write_bytes(b"")
    with pytest.raises(SnapshotInvalid, match="unreadable"):
        inspect(path, 7)
