"""A power cut of a whole member: at every sync of the log, with random parts of what was not synced.

The log lies on a FakeDisk. SQLite writes past any double, so its files are photographed around each call of the
database's lane and mixed by sectors: the -wal since it was last synced (SQLite syncs it when it checkpoints), the main
file during a checkpoint. Everything that was acknowledged before the cut must be there after it.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

from consensus.env import Lane
from consensus.member import Member
from raftgate.api.kv import CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest
from raftgate.api.message import Caller
from tests.fakes.disk import SECTOR, FakeDisk
from tests.fakes.env import FakeEnv
from tests.fakes.member import options, running

pytestmark = pytest.mark.anyio

P = ParamSpec("P")
T = TypeVar("T")

LOG = Path("/log")
WAL_HEADER = 32  # bytes, of SQLite's -wal
SETTINGS = options(snapshot_count=40, snapshot_catchup_entries=5, batch_interval=1000.0, compaction_pause=0.0)
EVERYTHING = RangeRequest(key=b"\x00", range_end=b"\x00", serializable=True)


@dataclass(frozen=True)
class Photo:
    """The two files of a store."""

    main: bytes
    wal: bytes

    def develop(self, directory: Path) -> None:
        """Writes the files into a new directory."""
        directory.mkdir(parents=True)
        (directory / "kv.db").write_bytes(self.main)
        (directory / "kv.db-wal").write_bytes(self.wal)


@dataclass(frozen=True)
class Moment:
    """One call of the database's lane: the log's steps so far, the files before and after."""

    count: int
    name: str
    before: Photo
    after: Photo
    synced_wal: bytes
    """What is surely durable of the -wal at the end of the call."""


@dataclass
class Recorder(FakeEnv):
    """An Env that photographs the store around each call of its lane."""

    store: Path
    log: FakeDisk
    moments: list[Moment] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.log)

    def run_blocking(
        self, lane: Lane, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> "asyncio.Future[T]":
        if lane is not Lane.DATABASE:
            return super().run_blocking(lane, function, *args, **kwargs)
        before = photograph(self.store)
        future = super().run_blocking(lane, function, *args, **kwargs)
        name = function.__name__
        synced = before.wal if name == "checkpoint" else self.moments[-1].synced_wal if self.moments else b""
        self.moments.append(Moment(self.log.count, name, before, photograph(self.store), synced))
        return future


def photograph(store: Path) -> Photo:
    wal = store.with_name(store.name + "-wal")
    return Photo(store.read_bytes(), wal.read_bytes() if wal.exists() else b"")


def mixed(old: bytes, new: bytes, chance: random.Random) -> bytes:
    """Each sector of the old or the new content; where only the new one reaches, it or zeros."""
    share = chance.choice((0.0, 0.2, 0.5, 0.8, 1.0))
    size = chance.choice((len(old), len(new))) if share < 1 else len(new)
    sectors = []
    for start in range(0, size, SECTOR):
        source = new if chance.random() < share else old
        sectors.append(source[start : start + SECTOR].ljust(min(SECTOR, size - start), b"\0"))
    return b"".join(sectors)


def mixed_wal(synced: bytes, new: bytes, chance: random.Random) -> bytes:
    """A -wal of which some sectors have reached the disk since it was synced.

    Begun anew behind a complete checkpoint, its header is synced before any frame follows: SQLite does so against
    just this mix, of an old header with new frames (sqlite wal.c, sqlite3WalFrames, syncHeader).
    """
    if new[:WAL_HEADER] != synced[:WAL_HEADER]:
        synced = new[:WAL_HEADER] + synced[WAL_HEADER:]
    return mixed(synced, new, chance)


@dataclass
class Run:
    """What a member did until the power went: its log's disk, its store's photographs, its acknowledgements."""

    log: FakeDisk
    moments: list[Moment]
    acknowledged: list[tuple[int, bytes, int]]
    """(the log's steps so far, key, revision)."""

    def cut_store(self, count: int, chance: random.Random) -> Photo:
        """The store's files as a cut at the log's step `count` may leave them."""
        happened = [moment for moment in self.moments if moment.count <= count]
        if not happened:
            return Photo(self.moments[0].before.main, b"")
        last = happened[-1]
        if last.count == count and chance.random() < 0.5:  # during that call rather than after it
            if last.name == "checkpoint":
                return Photo(mixed(last.before.main, last.after.main, chance), last.before.wal)
            return Photo(last.before.main, mixed_wal(last.synced_wal, last.after.wal, chance))
        return Photo(last.after.main, mixed_wal(last.synced_wal, last.after.wal, chance))


async def work(store_directory: Path, seed: int, *, is_lying: bool = False, operations: int = 120) -> Run:
    """Puts and transactions with flushes, checkpoints and cuts of the log between them."""
    chance = random.Random(seed)
    log = FakeDisk({LOG: None}, is_lying=is_lying)
    env = Recorder(store_directory / "kv.db", log)
    acknowledged: list[tuple[int, bytes, int]] = []
    async with running(env, store_directory, SETTINGS, LOG) as member:

        async def write(number: int) -> None:
            keys = [b"%d-%d" % (number, part) for part in range(chance.randint(1, 3))]
            puts = tuple(RequestOp(request_put=PutRequest(key=key, value=chance.randbytes(300))) for key in keys)
            answer = await member.server.call(TxnRequest(success=puts), Caller())
            assert answer.header is not None
            acknowledged.extend((log.count, key, answer.header.revision) for key in keys)

        for number in range(0, operations, 3):
            await asyncio.gather(*(write(number + part) for part in range(3)))
            if chance.random() < 0.3:
                await member.flush.once()
            if chance.random() < 0.2:
                await churn(member, chance)
        moments, acknowledged_at_end = list(env.moments), list(acknowledged)
        steps = log.count
    del log.steps[steps:]  # the orderly stop is no part of it
    return Run(log, moments, acknowledged_at_end)


async def churn(member: Member, chance: random.Random) -> None:
    """Something to remove, and a compaction at some revision that was not yet compacted."""
    await member.server.call(PutRequest(key=b"churn", value=chance.randbytes(2000)), Caller())
    await member.server.call(DeleteRangeRequest(key=b"churn"), Caller())
    low, high = max(1, member.machine.compact_revision + 1), member.machine.revision
    physical = chance.random() < 0.5
    await member.server.call(CompactionRequest(revision=chance.randint(low, high), physical=physical), Caller())


async def losses(run: Run, disk: FakeDisk, count: int, directory: Path, chance: random.Random) -> list[str]:
    """What is wrong after the restart from a cut: nothing, if all is well."""
    run.cut_store(count, chance).develop(directory)
    try:
        async with running(FakeEnv(disk.crash(chance)), directory, SETTINGS, LOG) as member:
            answer = await member.server.call(EVERYTHING, Caller())
    except Exception as error:  # noqa: BLE001 - the report of a lying disk's victims, too
        return [f"does not open: {error!r}"]
    found = {kv.key: kv.create_revision for kv in answer.kvs}
    expected = [(key, revision) for when, key, revision in run.acknowledged if when <= count]
    return [f"{key!r} of {revision} is {found.get(key)}" for key, revision in expected if found.get(key) != revision]


async def cut_at_syncs(tmp_path: Path, seed: int, *, every: int, is_lying: bool = False) -> list[str]:
    chance = random.Random(seed)
    run = await work(tmp_path / f"run-{seed}", seed, is_lying=is_lying)
    assert {moment.name for moment in run.moments} >= {"flush", "checkpoint", "delete"}
    found: list[str] = []
    boundaries = 0
    for disk in run.log.moments():
        if disk.count == 0 or run.log.steps[disk.count - 1].kind not in ("datasync", "sync_directory"):
            continue
        boundaries += 1
        if boundaries % every == 0 or disk.count == len(run.log.steps):
            directory = tmp_path / f"cut-{seed}-{disk.count}"
            found += [
                f"cut at step {disk.count}: {loss}" for loss in await losses(run, disk, disk.count, directory, chance)
            ]
    assert boundaries > 40
    return found


@pytest.mark.parametrize("seed", [1, 2])
async def test_nothing_acknowledged_is_lost(tmp_path: Path, seed: int) -> None:
    assert await cut_at_syncs(tmp_path, seed, every=5) == []  # soak: every sync, 12 seeds


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(12))
async def test_nothing_acknowledged_is_lost_at_any_sync(tmp_path: Path, seed: int) -> None:
    assert await cut_at_syncs(tmp_path, seed, every=1) == []


async def test_without_the_sync_writes_are_lost(tmp_path: Path) -> None:
    """The proof that this file can fail: a disk whose fdatasync does nothing."""
    assert await cut_at_syncs(tmp_path, 3, every=5, is_lying=True) != []
