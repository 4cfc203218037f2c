import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from consensus.blocking import Whole
from consensus.data_dir import Stores
from consensus.disk import OsDisk
from consensus.env import Disk, Lane
from consensus.flush import Flush
from consensus.installer import Installer, Parts, finish_interrupted
from consensus.metrics import Metrics
from consensus.raft.types import HardState, SnapshotMeta
from consensus.wal import Wal
from raftgate.api.kv import PutRequest
from storage.machine import Machine
from storage.metrics import Metrics as StorageMetrics
from storage.options import Options
from storage.schema import DatabaseRefused
from tests.fakes.disk import FakeDisk
from tests.fakes.env import FakeEnv, HeldEnv
from tests.fakes.member import options
from tests.fakes.storage import apply, flush
from tests.fakes.wal import DIRECTORY, LogState, create, make_entries, reopen, state_of

pytestmark = pytest.mark.anyio

APPLIED = 10
META = SnapshotMeta(30, 4)


def machine_at(path: Path) -> Machine:
    return Machine.open(path, Options(fsync=False), StorageMetrics(CollectorRegistry()))


def filled(path: Path, index: int) -> Machine:
    machine = machine_at(path)
    while machine.applied_index < index:
        apply(machine, PutRequest(b"k%d" % (machine.applied_index % 5), b"v"))
    flush(machine)
    return machine


def log_of(disk: Disk, last: int = 20) -> Wal:
    wal = create(disk)
    wal.save(HardState(3, 1, APPLIED), make_entries(1, last, term=3), must_sync=True)
    return wal


class Member:
    """What of a member takes part."""

    def __init__(self, directory: Path, env: FakeEnv | None = None, last: int = 20) -> None:
        """The store to come is there; `last`: of the log."""
        self.env = env or FakeEnv()
        disk = self.env.disk
        self.stores = Stores(disk, directory)
        filled(self.stores.path(META), META.index).close()
        first = self.stores.path(SnapshotMeta())
        self.machine = filled(first, APPLIED)
        self.stores.use(SnapshotMeta())
        self.wal = log_of(FakeDisk({DIRECTORY.parent: None}) if isinstance(disk, OsDisk) else disk, last)
        self.whole = Whole()
        self.whole.set()
        metrics = Metrics(CollectorRegistry())
        self.flush = Flush(self.machine, self.wal, self.whole, self.env, options(), metrics)
        parts = Parts(self.machine, self.wal, self.flush, self.whole, self.stores, self.env)
        self.told: list[int] = []
        self.installer = Installer(parts, metrics.snapshots, lambda: self.told.append(self.machine.applied_index))


async def test_the_store_the_log_and_the_pointer_change(tmp_path: Path) -> None:
    member = Member(tmp_path)
    apply(member.machine, PutRequest(b"dropped"))
    await member.installer.install(META)
    assert member.told == [META.index]
    assert (member.machine.applied_index, member.flush.flushed_index) == (30, 30)
    assert state_of(member.wal) == LogState(HardState(4, 0, 30), 31)
    assert member.stores.current() == member.machine.database.path == member.stores.path(META)
    assert not [name for name in OsDisk().listdir(tmp_path) if name.startswith(f"kv-{0:016x}")]
    assert member.whole.is_set()
    order = [name for _, name in member.env.calls]
    assert order[-5:] == ["load", "close", "use", "restore", "remove"]
    apply(member.machine, PutRequest(b"next"))
    await member.flush.once()
    member.machine.close()


async def test_a_batch_on_its_way_is_let_finish(tmp_path: Path) -> None:
    env = SlowDatabase()
    env.holding = False
    member = Member(tmp_path, env)
    apply(member.machine, PutRequest(b"k"))
    env.holding = True
    writing = asyncio.create_task(member.flush.once())
    await env.arrived.wait()
    installing = asyncio.create_task(member.installer.install(META))
    while not installing.done():
        await asyncio.sleep(0)
        if env.held:
            env.release()
    await installing
    env.holding = False
    await writing
    assert member.machine.applied_index == META.index
    assert not await member.flush.flush()
    member.machine.close()


class SlowDatabase(HeldEnv):
    """Holds the database's lane instead of the log's."""

    lane = Lane.DATABASE


async def test_cancelled_while_it_loads_nothing_has_happened(tmp_path: Path) -> None:
    env = SlowDatabase()
    env.holding = False
    member = Member(tmp_path, env)
    env.holding = True
    task = asyncio.create_task(member.installer.install(META))
    await env.arrived.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    env.release()
    await asyncio.wait([task])
    assert task.cancelled()
    assert member.machine.applied_index == APPLIED
    assert member.stores.current() == member.machine.database.path
    member.machine.close()


async def test_cancelled_later_it_goes_on_to_the_end(tmp_path: Path) -> None:
    env = SlowDatabase()
    env.holding = False
    member = Member(tmp_path, env)
    env.holding = True
    task = asyncio.create_task(member.installer.install(META))
    await env.arrived.wait()
    env.release()
    while not env.held:  # noqa: ASYNC110 - nobody tells of it
        await asyncio.sleep(0)
    task.cancel()
    while not task.done():
        await asyncio.sleep(0)
        if env.held:
            env.release()
    assert task.cancelled()
    assert member.machine.applied_index == META.index
    assert state_of(member.wal).first_index == META.index + 1
    member.machine.close()


async def test_a_store_that_is_not_there_is_never_made(tmp_path: Path) -> None:
    member = Member(tmp_path)
    with pytest.raises(DatabaseRefused, match="is as of 0, not of 77"):
        await member.installer.install(SnapshotMeta(77, 5))
    assert member.stores.current() == member.machine.database.path
    assert member.machine.applied_index == APPLIED
    member.machine.close()


# ---- power cuts ----


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[dict[str, Machine]]:
    """The stores that a start may find, by name."""
    stores = Stores(OsDisk(), tmp_path)
    opened = [filled(stores.path(meta), index) for meta, index in ((SnapshotMeta(), APPLIED), (META, META.index))]
    yield {machine.database.path.name: machine for machine in opened}
    for machine in opened:
        machine.close()


@pytest.mark.parametrize("last", [12, 20, 30, 50])
async def test_power_fails_at_any_step_of_an_exchange(tmp_path: Path, machines: dict[str, Machine], last: int) -> None:
    (tmp_path / "live").mkdir()
    base = FakeDisk({DIRECTORY.parent: None, tmp_path / "live" / "kept": b""})
    member = Member(tmp_path / "live", FakeEnv(base), last)
    before = base.count
    await member.installer.install(META)
    member.machine.close()
    chance, seen = random.Random(last), set()
    for moment in base.moments():
        if moment.count < before:
            continue
        for _ in range(10):
            found = moment.crash(chance)
            machine = machines[Stores(found, tmp_path / "live").current().name]
            wal = reopen(found)
            was_interrupted = finish_interrupted(machine, wal)
            is_new = machine.applied_index == META.index
            expected = LogState(HardState(4, 0, 30), 31) if is_new else LogState(HardState(3, 1, APPLIED), 1)
            log = state_of(wal)
            assert (log.hard_state, log.first_index, len(log.entries)) == (
                expected.hard_state,
                expected.first_index,
                0 if is_new else last,
            )
            assert not finish_interrupted(machine, wal)
            assert not finish_interrupted(machine, reopen(found.crash(chance)))
            seen.add((is_new, was_interrupted))
    assert seen == {(False, False), (True, True), (True, False)}


def test_a_store_that_went_on_needs_its_log(tmp_path: Path) -> None:
    stores = Stores(OsDisk(), tmp_path)
    machine = filled(stores.path(META), META.index + 1)
    assert not finish_interrupted(machine, log_of(FakeDisk({DIRECTORY.parent: None})))
    machine.close()
