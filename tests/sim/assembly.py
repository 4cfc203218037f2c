"""How the simulation makes a member: the one place that knows the constructors of the house.

Sizes are small, so that within a few hundred operations log segments change, the log is cut, compactions remove rows
and values leave memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from consensus import cluster
from consensus.data_dir import Stores
from consensus.env import Env
from consensus.member import Member
from consensus.metrics import Metrics
from consensus.options import Options
from consensus.raft.errors import Compacted, Unavailable
from consensus.raft.log_store import LogStore
from consensus.raft.rawnode import Status
from consensus.raft.types import Message
from consensus.transport import Connect
from consensus.wal import Wal, WalOptions
from consensus.wal_format import Identity
from raftgate.api.cluster import Member as Record
from storage.machine import Machine
from storage.metrics import Metrics as StorageMetrics
from storage.options import Options as StorageOptions

WAL_DIRECTORY: Final = Path("/member/wal")
TOKEN: Final = "sim"

_WAL_OPTIONS: Final = WalOptions(
    segment_bytes=8 << 10, allocation_bytes=2 << 10, memory_bytes=4 << 10, keep_bytes=1 << 10
)
_STORAGE_OPTIONS: Final = StorageOptions(fsync=False, value_cache_bytes=400, compaction_batch_limit=20)


@dataclass(frozen=True, slots=True)
class Parts:
    """A member and what of it the simulation looks at."""

    member: Member
    machine: Machine
    wal: Wal

    @property
    def log(self) -> LogStore:
        """The durable log."""
        return self.wal

    def status(self) -> Status:
        """The core at a glance."""
        return self.member.node.status()

    def take(self, message: Message) -> None:
        """Takes a message of another member."""
        self.member.receive(message)

    async def answer(self, body: bytes, path: str) -> bytes:
        """Answers a call of another member."""
        del path
        return await self.member.answer(body)

    def term(self, index: int) -> int | None:
        """The term of an entry of the core's log, whether it is durable or not."""
        try:
            return self.member._raw._raft.log.term(index)
        except (Compacted, Unavailable):
            return None


def records(count: int, learners: int = 0) -> tuple[Record, ...]:
    """The members of a cluster, with the ids that etcd would give them; the last ones may be learners."""
    urls = [(f"http://10.0.0.{number}:2380",) for number in range(1, count + learners + 1)]
    return tuple(
        Record(
            ID=cluster.member_id(url, TOKEN),
            name=f"m{number}",
            peerURLs=url,
            clientURLs=(f"http://10.0.0.{number}:2379",),
            isLearner=number > count,
        )
        for number, url in enumerate(urls, start=1)
    )


def options(members: Sequence[Record], own: Record) -> Options:
    """The options of one of the members."""
    return Options(
        member=own,
        cluster_id=cluster.cluster_id([member.ID for member in members]),
        initial_members=tuple(members),
        snapshot_count=40,
        snapshot_catchup_entries=10,
        batch_interval=0.1,
        auto_compaction_mode="revision",
        auto_compaction_retention=60,
        max_message_bytes=250,
        max_inflight=4,
    )


def open_machine(path: Path) -> Machine:
    """Opens a store or makes one."""
    return Machine.open(path, _STORAGE_OPTIONS, StorageMetrics(CollectorRegistry()))


def assemble(env: Env, directory: Path, settings: Options, connect: Connect) -> Parts:
    """Opens a member as its process does at the start, in that process; `connect` makes its way to the others.

    `directory`: that of the stores.

    Raises: whatever keeps a member from starting.
    """
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    disk = env.disk
    stores = Stores(disk, directory)
    current = stores.current()
    stores.clean(current)
    machine = Machine.open(current, _STORAGE_OPTIONS, StorageMetrics(registry))
    for path in (WAL_DIRECTORY.parent, WAL_DIRECTORY):
        if not disk.exists(path):
            disk.make_directory(path)
            disk.sync_directory(path.parent)
    if Wal.exists(disk, WAL_DIRECTORY):
        wal = Wal.open(env, WAL_DIRECTORY, None, _WAL_OPTIONS)
    else:
        wal = Wal.create(env, WAL_DIRECTORY, Identity(settings.cluster_id, settings.member.ID), _WAL_OPTIONS)
    return Parts(Member(machine, wal, env, settings, metrics, connect), machine, wal)
