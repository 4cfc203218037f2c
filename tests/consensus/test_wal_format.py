"""The bytes of the log. The golden files under golden/wal-1 must open for ever and are never written anew.

They were made by `write_golden`, which must go on giving the same bytes as long as version 1 is what is written.
"""

import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from consensus.raft.types import Entry, EntryType, HardState
from consensus.wal import Wal
from consensus.wal_format import (
    BATCH_SIZE,
    HEADER_SIZE,
    VERSION,
    BatchCodec,
    Header,
    Identity,
    Marker,
    WalCorrupt,
    decode_entries,
    decode_header,
    encode_header,
)
from tests.fakes.disk import FakeDisk
from tests.fakes.wal import DIRECTORY, IDENTITY, SMALL, LogState, SaltedEnv, make_entries, state_of

GOLDEN = Path(__file__).parent / "golden" / "wal-1"

HEADER = Header(
    sequence=3,
    index=17,
    number=9,
    identity=Identity(cluster_id=2**64 - 1, member_id=5),
    hard_state=HardState(4, 5, 16),
    marker=Marker(6, 2),
    salt=bytes(range(16)),
)
ENTRIES = [
    Entry(2, 17, EntryType.NORMAL, b""),
    Entry(2, 18, EntryType.CONF_CHANGE, b"change"),
    Entry(2**64 - 1, 19, EntryType.NORMAL, bytes(range(256))),
]


def test_a_header_comes_back_as_it_was() -> None:
    data = encode_header(HEADER)
    assert len(data) == HEADER_SIZE
    assert data[:10] == b"raftgate" + VERSION.to_bytes(2, "little")
    assert int.from_bytes(data[-4:], "little") == zlib.crc32(data[:-4])
    assert decode_header(Path("x.wal"), data) == HEADER
    assert HEADER.name == "0000000000000003-0000000000000011.wal"


def test_a_header_with_any_bit_changed_is_refused() -> None:
    data = encode_header(HEADER)
    for bit in range(8 * HEADER_SIZE):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(WalCorrupt, match=r"x.wal is corrupt at byte 0: the checksum of the segment's header"):
            decode_header(Path("x.wal"), bytes(changed))


@pytest.mark.parametrize("hard_state", [None, HardState(4, 5, 6)])
@pytest.mark.parametrize("entries", [[], ENTRIES[:1], ENTRIES])
def test_a_batch_comes_back_as_it_was(hard_state: HardState | None, entries: list[Entry]) -> None:
    codec = BatchCodec(HEADER.salt)
    data = codec.encode(12, hard_state, entries)
    batch = codec.decode(b"before" + data + b"behind", 6)
    assert batch is not None
    assert (batch.offset, batch.length, batch.number) == (6, len(data), 12)
    assert (batch.hard_state, batch.count) == (hard_state, len(entries))
    assert decode_entries(b"before" + data + b"behind", batch) == entries
    if entries:
        assert (batch.first_index, batch.first_term, batch.last_term) == (17, 2, entries[-1].term)


def test_a_batch_costs_what_the_format_says() -> None:
    codec = BatchCodec(HEADER.salt)
    assert len(codec.encode(1, None, ())) == BATCH_SIZE == 56
    assert len(codec.encode(1, HardState(1, 2, 3), make_entries(1, 2, size=400))) == BATCH_SIZE + 24 + 2 * (13 + 400)


def test_a_batch_with_any_bit_changed_or_any_byte_missing_is_none() -> None:
    codec = BatchCodec(HEADER.salt)
    data = codec.encode(12, HardState(4, 5, 6), ENTRIES)
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        assert codec.decode(bytes(changed), 0) is None
    for size in range(len(data)):
        assert codec.decode(data[:size], 0) is None
        assert codec.decode(data[:size].ljust(len(data), b"\0"), 0) is None


def test_a_batch_of_another_segment_is_none() -> None:
    data = BatchCodec(HEADER.salt).encode(12, None, ENTRIES)
    assert BatchCodec(bytes(16)).decode(data, 0) is None
    # The mark alone does not do: the whole salt seeds the checksum.
    assert BatchCodec(b"\1" + HEADER.salt[1:]).decode(data, 0) is None


def test_find_looks_for_sound_batches_from_a_number_on() -> None:
    codec = BatchCodec(HEADER.salt)
    one, two = codec.encode(1, None, ENTRIES), codec.encode(2, None, ENTRIES)
    data = b"\1" + one[:-1] + b"\0" + two + one
    found = codec.find(data, 0, 1)
    assert found is not None
    assert (found.number, found.offset) == (2, 1 + len(one))
    assert codec.find(data, found.offset + 1, 2) is None
    assert codec.find(data, 0, 3) is None


# ---- golden files ----


def write_golden(directory: Path, disk: FakeDisk) -> LogState:
    """Both entry types, several terms, a replaced tail, a vote, a cut; returns what the log holds then."""
    env = SaltedEnv(disk, seed=20)
    wal = Wal.create(env, directory, IDENTITY, replace(SMALL, segment_bytes=2048, allocation_bytes=512, keep_bytes=0))
    wal.save(HardState(1, IDENTITY.member_id, 0), make_entries(1, 1, size=0), must_sync=True)
    for index in range(2, 12):
        wal.save(HardState(1, IDENTITY.member_id, index - 1), make_entries(index, 1, size=300), must_sync=True)
    wal.save(HardState(3, 7, 10), make_entries(11, 2, term=3, size=50), must_sync=True)
    wal.cut(8)
    change = Entry(4, 13, EntryType.CONF_CHANGE, b"a change of members")
    wal.save(None, [*make_entries(12, 1, term=3), change, *make_entries(14, 1, term=4)], must_sync=True)
    wal.save(HardState(5, 0, 13), (), must_sync=True)
    return state_of(wal)


def golden() -> FakeDisk:
    return FakeDisk({DIRECTORY / path.name: path.read_bytes() for path in GOLDEN.iterdir()})


def test_the_golden_files_of_version_1_open() -> None:
    wal = Wal.open(SaltedEnv(golden()), DIRECTORY, IDENTITY, SMALL)
    assert wal.initial_state() == HardState(5, 0, 13)
    assert (wal.first_index(), wal.last_index()) == (8, 14)
    assert [wal.term(index) for index in range(7, 15)] == [1, 1, 1, 1, 3, 3, 4, 4]
    change = Entry(4, 13, EntryType.CONF_CHANGE, b"a change of members")
    assert wal.entries(13, 14, 0) == [change]
    assert wal.entries(11, 13, 1000) == [
        Entry(3, 11, EntryType.NORMAL, b"3.11 ".ljust(50, b".")),
        Entry(3, 12, EntryType.NORMAL, b"3.12 ".ljust(40, b".")),
    ]
    wal.save(HardState(6, 0, 13), make_entries(15, 1, term=6), must_sync=True)


def test_what_is_written_today_is_what_the_golden_files_are() -> None:
    disk = FakeDisk({DIRECTORY.parent: None})
    state = write_golden(DIRECTORY, disk)
    assert disk.files() == golden().files()
    assert state_of(Wal.open(SaltedEnv(disk), DIRECTORY, IDENTITY, SMALL)) == state
