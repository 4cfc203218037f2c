"""A whole member for tests, on an Env of the test's choice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry

from consensus.env import Env
from consensus.member import Member, open_wal
from consensus.metrics import Metrics
from consensus.options import Options
from consensus.transport import Connect
from consensus.wal import Wal, WalOptions
from consensus.wal_format import Identity
from raftgate.api import cluster
from storage.machine import Machine
from storage.metrics import Metrics as StorageMetrics
from storage.options import Options as StorageOptions

RECORD = cluster.Member(ID=0xA1, name="m1", peerURLs=("http://127.0.0.1:2380",), clientURLs=("http://127.0.0.1:2379",))


def options(**changes: float) -> Options:
    """Options of the one member that tests run, with other values where a test needs them."""
    return Options(member=RECORD, cluster_id=0xC1, heartbeat_interval=0.01, election_timeout=0.1, **changes)  # type: ignore[arg-type]  # a test names fields of their own types


def open_member(
    env: Env,
    directory: Path,
    settings: Options,
    wal_directory: Path | None = None,
    connect: Connect | None = None,
    wal_options: WalOptions | None = None,
) -> Member:
    """Opens the member whose files lie in `directory`, the log in `wal_directory` of the Env's disk if given."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    directory.mkdir(parents=True, exist_ok=True)
    pointer = directory / "CURRENT"  # once there was another store
    store = directory / (pointer.read_text().strip() if pointer.exists() else "kv.db")
    machine = Machine.open(store, StorageOptions(), StorageMetrics(registry))
    wal_directory = wal_directory or directory / "wal"
    env.disk.make_directory(wal_directory)
    identity = Identity(settings.cluster_id, settings.member.ID)
    if wal_options is None:
        wal = open_wal(env, wal_directory, identity, metrics, fsync=True)
    elif Wal.exists(env.disk, wal_directory):
        wal = Wal.open(env, wal_directory, identity, wal_options)
    else:
        wal = Wal.create(env, wal_directory, identity, wal_options)
    return Member(machine, wal, env, settings, metrics, connect)


@asynccontextmanager
async def running(
    env: Env, directory: Path, settings: Options | None = None, wal_directory: Path | None = None
) -> AsyncIterator[Member]:
    """A member that serves; it is stopped in order at the end."""
    member = open_member(env, directory, settings or options(), wal_directory)
    started = asyncio.Event()
    task = asyncio.create_task(member.run(started))
    try:
        async with asyncio.timeout(10):
            await started.wait()
        yield member
    finally:
        task.cancel()
        await asyncio.wait([task])
    if task.cancelled():
        await member.close()
    else:
        task.result()
