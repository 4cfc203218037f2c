"""What a stop of any kind leaves of the log, and what becomes of it.

Reduced beside the soak form: fewer seeds a power cut, every seventh bit position.
"""

import itertools
import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from consensus.raft.types import HardState
from consensus.wal import Wal
from consensus.wal_format import BATCH_SIZE, HEADER_SIZE, BatchCodec, WalCorrupt, WalError, WalMismatch, decode_header
from tests.fakes.disk import NAMES, SYNCS, WRITES, FakeDisk
from tests.fakes.wal import (
    DIRECTORY,
    IDENTITY,
    SMALL,
    LogState,
    SaltedEnv,
    Work,
    create,
    make_entries,
    reopen,
    state_of,
)

FIRST_NAME = "0000000000000000-0000000000000001.wal"


def empty_disk(*, is_lying: bool = False) -> FakeDisk:
    return FakeDisk({DIRECTORY.parent: None}, is_lying=is_lying)


# ---- power cuts ----


@dataclass(frozen=True)
class Returned:
    """What had been acknowledged once the disk had made this many steps."""

    count: int
    state: LogState
    next: LogState


def record(seed: int, steps: int, *, is_lying: bool = False, restores: bool = False) -> tuple[FakeDisk, list[Returned]]:
    disk = empty_disk(is_lying=is_lying)
    work = Work(seed, restores=restores)
    wal = create(disk)
    states = [(disk.count, work.state)]
    work.run(wal, steps, lambda: states.append((disk.count, work.state)))
    states.append(states[-1])
    return disk, [Returned(count, state, after) for (count, state), (_, after) in itertools.pairwise(states)]


def check_power_cut(disk: FakeDisk, returned: Returned | None, chance: random.Random) -> str | None:
    """Opens what a power cut leaves; returns what is wrong."""
    found = disk.crash(chance)
    if returned is None and not Wal.exists(found, DIRECTORY):
        create(found).close()
        return None
    try:
        wal = reopen(found)
        opened = state_of(wal)
    except WalError as error:
        return str(error)
    acknowledged, pending = (returned.state, returned.next) if returned else (LogState(), LogState())
    if not opened.may_follow(acknowledged, pending):
        return f"opened {opened}, acknowledged {acknowledged}"
    # What the first opening showed may be acted on: it must outlast a second power cut.
    again = state_of(reopen(found.crash(chance)))
    if again != opened:
        return f"opened {opened}, after another power cut {again}"
    more = make_entries(opened.last_index + 1, 2, term=opened.hard_state.term + 1)
    wal.save(HardState(opened.hard_state.term + 1, 0, opened.hard_state.commit), more, must_sync=True)
    longer = state_of(reopen(found.crash(chance)))
    expected = state_of(wal)
    return None if longer == expected else f"saved {expected}, after a power cut {longer}"


def power_cuts(seeds: range, steps: int, rounds: int, *, is_lying: bool = False, restores: bool = False) -> list[str]:
    """Cuts the power at every moment, `rounds` times each; returns what was wrong."""
    problems: list[str] = []
    for seed in seeds:
        disk, history = record(seed, steps, is_lying=is_lying, restores=restores)
        chance = random.Random(seed)
        for moment in disk.moments():
            returned = next((entry for entry in reversed(history) if entry.count <= moment.count), None)
            problems += filter(None, (check_power_cut(moment, returned, chance) for _ in range(rounds)))
    return problems


def test_a_power_cut_loses_nothing_acknowledged() -> None:
    assert power_cuts(range(2), 40, 3) == []


def test_a_power_cut_while_a_log_begins_anew_loses_nothing() -> None:
    assert power_cuts(range(20, 22), 30, 3, restores=True) == []


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_power_cut_loses_nothing_acknowledged_many_seeds() -> None:
    assert power_cuts(range(100, 120), 80, 10) == []
    assert power_cuts(range(120, 140), 80, 10, restores=True) == []


def test_the_power_cut_test_finds_a_disk_that_lies_about_syncs() -> None:
    problems = power_cuts(range(2), 40, 2, is_lying=True)
    assert len(problems) > 20
    assert any("acknowledged" in problem for problem in problems)


def test_the_power_cut_test_finds_syncs_left_out() -> None:
    problems = []
    for seed in range(5):
        disk = empty_disk()
        wal = Wal.create(SaltedEnv(disk), DIRECTORY, IDENTITY, replace(SMALL, unsafe_no_fsync=True))
        work = Work(seed)
        work.run(wal, 30)
        returned = Returned(0, work.state, work.state)
        problems.append(check_power_cut(disk, returned, random.Random(seed)))
    assert any(problems)


# ---- a disk that fails ----


def failures(seed: int, kinds: frozenset[str], stride: int) -> None:
    """Lets each operation fail in turn; the process ends; opens at once, and after a power cut."""
    chance = random.Random(seed)
    for nth in itertools.count(0, stride):
        disk = empty_disk()
        wal = create(disk)
        work = Work(seed)
        disk.fail(nth, kinds)
        try:
            work.run(wal, 60)
        except OSError:
            pass
        else:
            return
        with pytest.raises(WalError):
            wal.save(None, (), must_sync=False)
        after_power_cut = state_of(reopen(disk.crash(chance)))
        assert after_power_cut.may_follow(work.state, work.next)
        opened = state_of(reopen(disk))
        assert opened.may_follow(work.state, work.next)
        # The failed sync left pages that read well and are not on the disk: opening must have written them.
        assert state_of(reopen(disk.crash(chance))) == opened


@pytest.mark.parametrize("kinds", [WRITES, SYNCS, NAMES], ids=["writes", "syncs", "names"])
def test_a_disk_that_fails_loses_nothing_acknowledged(kinds: frozenset[str]) -> None:
    failures(1, kinds, 1)


@pytest.mark.soak
@pytest.mark.parametrize("kinds", [WRITES, SYNCS, NAMES], ids=["writes", "syncs", "names"])
def test_a_disk_that_fails_loses_nothing_acknowledged_many_seeds(kinds: frozenset[str]) -> None:
    for seed in range(100, 130):
        failures(seed, kinds, 1)


def test_a_disk_that_fails_while_opening_can_be_opened_later() -> None:
    disk, history = record(2, 40)
    for nth in range(10):
        found = disk.crash(random.Random(nth))
        found.fail(nth % 4)
        try:
            opened = state_of(reopen(found))
        except OSError:
            found.mend()
            opened = state_of(reopen(found))
        assert opened.may_follow(history[-1].state, history[-1].next)


def test_a_disk_that_fails_while_a_log_is_made() -> None:
    for nth in range(20):
        disk = empty_disk()
        disk.fail(nth)
        try:
            create(disk)
        except OSError:
            disk.mend()
        else:
            return
        wal = reopen(disk) if Wal.exists(disk, DIRECTORY) else create(disk)
        wal.save(HardState(1, 1, 0), make_entries(1, 1), must_sync=True)
        assert reopen(disk).last_index() == 1


# ---- torn tails ----


@pytest.fixture
def written() -> dict[Path, bytes]:
    """Two segments; the last batch holds entries 9 and 10."""
    disk = empty_disk()
    wal = create(disk)
    for index in range(1, 9):
        wal.save(HardState(1, 1, index - 1), make_entries(index, 1, size=600), must_sync=True)
    wal.save(HardState(1, 1, 8), make_entries(9, 2, size=600), must_sync=True)
    assert len(disk.listdir(DIRECTORY)) == 2
    return disk.files()


def newest(files: dict[Path, bytes]) -> Path:
    return max(files)


def batches(path: Path, data: bytes) -> list[tuple[int, int]]:
    """Offset and end of each batch of a segment."""
    codec = BatchCodec(decode_header(path, data).salt)
    offset, found = HEADER_SIZE, []
    while (batch := codec.decode(data, offset)) is not None:
        found.append((offset, offset + batch.length))
        offset += batch.length
    return found


def test_the_last_batch_cut_at_every_byte_is_repaired(
    written: dict[Path, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    path = newest(written)
    data = written[path]
    start, end = batches(path, data)[-1]
    for place in range(start, end):
        for torn in (data[:place], data[:place].ljust(len(data), b"\0")):
            disk = FakeDisk({**written, path: torn})
            caplog.clear()
            wal = reopen(disk)
            assert wal.last_index() == 8
            assert wal.initial_state() == HardState(1, 1, 7)
            assert len(caplog.records) == (torn[start:].count(0) < len(torn) - start)
            wal.save(None, make_entries(9, 1, term=2), must_sync=True)
            assert reopen(disk.crash(random.Random(place))).last_index() == 9


def test_a_torn_tail_is_logged(written: dict[Path, bytes], caplog: pytest.LogCaptureFixture) -> None:
    path = newest(written)
    start, end = batches(path, written[path])[-1]
    caplog.set_level(logging.WARNING)
    reopen(FakeDisk({**written, path: written[path][: end - 1]}))
    (told,) = caplog.records
    assert "torn tail" in told.message
    assert vars(told)["fields"] == {"path": str(path), "offset": start, "bytes": end - 1 - start, "batch": 9}


def test_torn_bytes_never_come_back(written: dict[Path, bytes]) -> None:
    """The bytes of the first attempt, of which the beginning was lost, lie behind the second: they must be gone."""
    path = newest(written)
    data = bytearray(written[path])
    start, end = batches(path, written[path])[-1]
    data[start : start + 512] = bytes(512)
    for seed in range(20):
        disk = FakeDisk({**written, path: bytes(data)})
        wal = reopen(disk)
        after = disk.crash(random.Random(seed))
        assert not any(after.files()[path][start:])
        wal.save(None, make_entries(9, 1), must_sync=True)
        assert not any(disk.crash(random.Random(seed)).files()[path][start + BATCH_SIZE + 24 + 13 + 40 : end])


def test_a_flipped_bit_in_the_last_batch_passes_for_a_torn_tail(written: dict[Path, bytes]) -> None:
    path = newest(written)
    start, end = batches(path, written[path])[-1]
    for place in range(start, end, 31):
        assert reopen(FakeDisk({**written, path: flipped(written[path], place)})).last_index() == 8


def flipped(data: bytes, place: int, bit: int = 0) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1 << bit
    return bytes(changed)


# ---- corruption ----


def flips(files: dict[Path, bytes], stride: int) -> Iterator[tuple[Path, int, int]]:
    """Places of bits that were durable for certain, with the beginning of the part they belong to."""
    for path, data in files.items():
        parts = [(0, HEADER_SIZE), *batches(path, data)]
        if path == newest(files):
            parts.pop()  # the very last batch
        for start, end in parts:
            yield from ((path, place, start) for place in range(start, end, stride))


def check_flips(files: dict[Path, bytes], stride: int) -> int:
    places = list(flips(files, stride))
    for path, place, start in places:
        disk = FakeDisk({**files, path: flipped(files[path], place, place % 8)})
        with pytest.raises(WalCorrupt) as caught:
            reopen(disk)
        assert (caught.value.path, caught.value.offset) == (path, start)
        assert str(caught.value).startswith(f"wal: {path} is corrupt at byte {start}: ")
        assert disk.count == 1, "nothing but the sync of the directory was done"
    return len(places)


def test_a_flipped_bit_in_the_middle_is_refused_by_file_and_offset(written: dict[Path, bytes]) -> None:
    assert check_flips(written, 7) > 500


@pytest.mark.soak
def test_a_flipped_bit_anywhere_in_the_middle_is_refused() -> None:
    disk, _ = record(7, 120)
    assert check_flips(disk.files(), 1) > 5000


def test_a_flipped_bit_is_told_when_an_entry_is_read_back(written: dict[Path, bytes]) -> None:
    disk = FakeDisk(written)
    wal = reopen(disk)
    path = min(written)
    start, end = batches(path, written[path])[1]
    disk.open(path).pwrite(flipped(written[path], end - 1)[end - 1 : end], end - 1)
    with pytest.raises(WalCorrupt, match=f"{path.name} is corrupt at byte {start}"):
        wal.entries(2, 3, 0)
    assert wal.entries(3, 4, 0) == make_entries(3, 1, size=600)


def test_a_stored_value_cannot_pass_for_a_later_batch() -> None:
    """An entry's data is a sound batch with a later number, but for the salt; the batch around it is torn."""

    def open_with(make_codec: Callable[[bytes], BatchCodec]) -> Wal:
        disk = empty_disk()
        wal = create(disk)
        wal.save(HardState(1, 1, 0), make_entries(1, 1), must_sync=True)
        path = DIRECTORY / FIRST_NAME
        data = disk.files()[path]
        forged = make_codec(decode_header(path, data).salt).encode(3, None, make_entries(3, 1))
        start = len(data.rstrip(b"\0"))
        wal.save(None, [make_entries(2, 1)[0]._replace(data=bytes(1000) + forged)], must_sync=True)
        disk.open(path).pwrite(bytes(512), start)
        return reopen(disk)

    assert open_with(lambda _: BatchCodec(bytes(16))).last_index() == 1
    # With the salt, which no client can know, the forgery works: the salt is what protects.
    with pytest.raises(WalCorrupt, match=r"batch 2 is damaged, while batch 3 behind it, at 1[0-9]+, is sound"):
        open_with(BatchCodec)


def test_a_missing_segment_is_refused() -> None:
    disk = empty_disk()
    wal = create(disk)
    for index in range(1, 20):
        wal.save(HardState(1, 1, 0), make_entries(index, 1, size=900), must_sync=True)
    files = disk.files()
    names = sorted(files)
    assert len(names) > 3
    with pytest.raises(WalCorrupt, match=f"{names[2].name} .*: segment {1:016x}, which goes before it, is missing"):
        reopen(FakeDisk({path: data for path, data in files.items() if path != names[1]}))
    with pytest.raises(WalCorrupt, match=f"{names[1].name} .*: entry 1 should be here: older segments are missing"):
        reopen(FakeDisk({path: data for path, data in files.items() if path != names[0]}))
    with pytest.raises(WalCorrupt, match=f"{names[0].name} is corrupt at byte [0-9]+: batch 3 is damaged or missing"):
        reopen(FakeDisk({**files, names[0]: files[names[0]][: batches(names[0], files[names[0]])[-1][0]]}))


def test_a_lost_end_that_was_committed_is_refused(written: dict[Path, bytes]) -> None:
    """Caught only where a hard state was written later: see the module's text for what cannot be told."""
    disk = FakeDisk(written)
    wal = reopen(disk)
    wal.save(HardState(2, 2, 10), (), must_sync=True)
    path = newest(written)
    data = disk.files()[path]
    (start, end), (_, last) = batches(path, data)[-2:]
    moved = bytearray(data[:start] + data[end:last])
    codec = BatchCodec(decode_header(path, data).salt)
    moved[start:] = codec.encode(9, HardState(2, 2, 10), ())
    with pytest.raises(WalCorrupt, match="entry 8 is the last, but entries up to 10 were committed"):
        reopen(FakeDisk({**written, path: bytes(moved)}))


def test_segments_under_a_wrong_name_or_of_others_are_refused(written: dict[Path, bytes]) -> None:
    first, second = sorted(written)
    renamed = DIRECTORY / "0000000000000001-0000000000000099.wal"
    with pytest.raises(WalCorrupt, match=f"the header is that of {second.name}"):
        reopen(FakeDisk({first: written[first], renamed: written[second]}))
    with pytest.raises(WalCorrupt, match="was the directory written by etcd"):
        reopen(FakeDisk({first: b"\x04\0\0\0\0\0\0\x84" + bytes(1000)}))
    with pytest.raises(WalCorrupt, match="only 100 bytes, less than a segment's header"):
        reopen(FakeDisk({first: written[first][:100]}))


def test_a_newer_format_is_refused(written: dict[Path, bytes]) -> None:
    import zlib  # noqa: PLC0415 - only here

    first = min(written)
    header = bytearray(written[first][:HEADER_SIZE])
    header[8] = 2
    header[-4:] = zlib.crc32(header[:-4]).to_bytes(4, "little")
    with pytest.raises(WalMismatch, match="has format version 2, this program knows up to 1"):
        reopen(FakeDisk({**written, first: bytes(header) + written[first][HEADER_SIZE:]}))


# ---- leftovers ----


def test_a_segment_that_was_never_finished_is_removed(written: dict[Path, bytes]) -> None:
    leftover = DIRECTORY / "0000000000000002-000000000000000b.wal.tmp"
    disk = FakeDisk({**written, leftover: b"half a header", DIRECTORY / "notes.txt": b"not ours"})
    assert reopen(disk).last_index() == 10
    assert disk.listdir(DIRECTORY) == [path.name for path in sorted(written)] + ["notes.txt"]


def test_a_segment_without_batches_opens(written: dict[Path, bytes]) -> None:
    disk = FakeDisk(written)
    wal = reopen(disk)
    wal.save(None, make_entries(11, 1, size=4000), must_sync=True)
    path = newest(disk.files())
    assert path != newest(written)
    for size in (HEADER_SIZE, HEADER_SIZE + 100, 4096):
        found = FakeDisk({**disk.files(), path: disk.files()[path][:HEADER_SIZE].ljust(size, b"\0")})
        opened = reopen(found)
        assert opened.last_index() == 10
        opened.save(None, make_entries(11, 1), must_sync=True)
        assert reopen(found).last_index() == 11


def test_dropped_segments_that_came_back_do_no_harm() -> None:
    disk = empty_disk()
    wal = Wal.create(SaltedEnv(disk), DIRECTORY, IDENTITY, replace(SMALL, keep_bytes=0))
    for index in range(1, 20):
        wal.save(HardState(1, 1, index), make_entries(index, 1, size=900), must_sync=True)
    before = disk.files()
    first = wal.cut(19)
    assert first > 10
    opened = reopen(FakeDisk({**before, **disk.files()}))
    assert state_of(opened) == state_of(wal)


def test_what_was_written_without_a_sync_is_synced_on_opening(written: dict[Path, bytes]) -> None:
    disk = FakeDisk(written)
    wal = reopen(disk)
    disk.fail(0, {"datasync"})
    with pytest.raises(OSError, match="Input/output error"):
        wal.save(None, make_entries(11, 1), must_sync=True)
    assert reopen(disk).last_index() == 11
    for seed in range(10):
        assert reopen(disk.crash(random.Random(seed))).last_index() == 11
