"""The composition root: a member with everything in one process - store, log, core, gateway, listeners, signals."""

import asyncio
import gc
import logging
import os
import platform
import resource
import signal
import sqlite3
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from prometheus_client import CollectorRegistry, Gauge

import raftgate
from consensus import forced
from consensus.cluster_version import VersionTooLow
from consensus.corruption import CorruptionFound
from consensus.data_dir import DataDir, DataDirInvalid
from consensus.disk import DirectoryLocked, lock_directory
from consensus.env import Lane
from consensus.member import Member, MemberRemoved, StoreMismatch, open_wal
from consensus.metrics import Metrics
from consensus.options import Options
from consensus.quota import MAX_BYTES, effective
from consensus.raft.errors import LogCorrupt
from consensus.wal import Wal
from consensus.wal_format import WalError
from gateway import options as gateway_options
from gateway.app import build_app, build_metrics_app
from gateway.cors import Cors
from gateway.health import Unhealthy
from gateway.metrics import Metrics as GatewayMetrics
from gateway.metrics import register_process_metrics
from raftgate.api import cluster
from raftgate.auto_join import be_promoted
from raftgate.bootstrap import begin
from raftgate.config import Config, Refusal
from raftgate.connection import ConnectionOptions
from raftgate.environment import ProductionEnv
from raftgate.joining import BootstrapRefused, Start
from raftgate.listener import Listener, serve, signals_handled
from raftgate.peer_port import PeerPort
from raftgate.sockets import ListenRefused, Sockets
from raftgate.version import CLUSTER_VERSION, SERVER_VERSION
from raftgate.websocket import WebSocketOptions
from storage.machine import Machine
from storage.metrics import Metrics as StorageMetrics
from storage.options import Options as StorageOptions
from storage.schema import DatabaseRefused

log = logging.getLogger(__name__)

MIB = 1024 * 1024
TICKS_LATE = 5.0
"""Seconds without a tick after which the member is not alive."""
FLUSH_LATE = 30.0
"""Seconds without a turn of the database's writer after which the member is not alive."""
REMOVED_TICKS = 10
"""Heartbeats from a member's removal to its end: etcd server.go, stopWithDelay."""
SWITCH_INTERVAL = 0.0005
"""Seconds that a thread keeps the interpreter while another wants it: a busy reader costs the loop that much a turn."""
GENERATION_0 = 100_000
"""Allocations between two looks of the collector: it does not track messages and keys, so there is little to find."""


CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),  # version 2, as a container sees its own
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),  # version 1
)


REFUSALS = (
    Refusal,
    BootstrapRefused,
    ListenRefused,
    DirectoryLocked,
    StoreMismatch,
    MemberRemoved,
    VersionTooLow,
    CorruptionFound,
    DataDirInvalid,
    WalError,
    LogCorrupt,
    DatabaseRefused,
    OSError,
)
"""What an operator can cause and cure: told without a traceback."""


async def run(config: Config) -> signal.Signals | None:
    """Serves until a signal asks to stop; answers the signal, None if the cluster has removed this member.

    Raises: one of REFUSALS when it cannot start.
    """
    os.umask(0o077)  # nobody else reads what a member writes
    _raise_file_limit()
    lock = lock_directory(config.data_dir)
    try:
        sockets = Sockets(config)
        env = ProductionEnv()
        try:
            process = _Process(config, env, sockets)
            await process.open()
            return await process.run()
        finally:
            env.close()
    finally:
        lock.close()


def _raise_file_limit() -> None:
    """Takes all the open files that the system grants: each client holds one (Go programs do the same at start)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def memory_bytes() -> int:
    """The memory that this process may use: the machine's, or its control group's where that is less."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in CGROUP_LIMITS:
        with suppress(OSError, ValueError):  # absent, or "max"
            found.append(int(path.read_text()))
    return min(found)


class _Process:
    """One member's process, between its start and its stop."""

    def __init__(self, config: Config, env: ProductionEnv, sockets: Sockets) -> None:
        self._config = config
        self._env = env
        self._sockets = sockets
        self._registry = CollectorRegistry()
        self._asked = asyncio.Event()
        self._stop = asyncio.Event()
        self._started = asyncio.Event()
        self._member: Member

    async def open(self) -> None:
        """Opens log and store, and with neither a history asks who this member is.

        Raises: one of REFUSALS.
        """
        config, env = self._config, self._env
        is_new = not Wal.exists(env.disk, config.wal_directory)
        start = await begin(config) if is_new else None
        metrics = Metrics(self._registry)
        data_dir = DataDir(env.disk, config.data_dir, config.wal_dir)
        data_dir.prepare()
        if data_dir.is_open_to_others():
            fields = {"dir": str(config.data_dir), "recommended": "0700"}
            log.warning("the data directory may be entered by others", extra={"fields": fields})
        own = start.identity if start else None
        wal = open_wal(env, data_dir.wal_directory, own, metrics, fsync=not config.unsafe_no_fsync)
        machine = self._open_store(data_dir.database())
        if config.force_new_cluster and not is_new:
            forced.stand_alone(machine, wal, self._record(wal))
        if not is_new and not machine.applied_index and not wal.initial_state().commit:
            start = await begin(config)  # a stop has kept it from learning who takes part
            if wal.identity != start.identity:
                raise BootstrapRefused("the log was begun with other flags, and a stop has left it empty: remove it")
        self._peer_port = PeerPort(config, wal.identity, env.monotonic, self._registry)
        options = self._options(wal, start)
        self._member = Member(machine, wal, env, options, metrics, self._peer_port.connect)

    async def run(self) -> signal.Signals | None:
        """Serves until asked to stop, or removed from the cluster."""
        gc.collect()
        gc.freeze()  # what was loaded stays: the collector need not look at it again
        gc.set_threshold(GENERATION_0, 20, 20)
        sys.setswitchinterval(SWITCH_INTERVAL)
        with signals_handled(self._asked) as signals:
            running = asyncio.create_task(self._member.run(self._started), name="member")
            running.add_done_callback(_exit_when_failed)
            serving = asyncio.create_task(serve(self._listeners(), self._stop), name="listeners")
            serving.add_done_callback(_exit_when_failed)
            followed = [asyncio.create_task(self._stop_when_removed(), name="removal")]
            if self._config.raftgate_auto_join == "learner":
                followed.append(asyncio.create_task(self._join_in(), name="promotion"))
                followed[-1].add_done_callback(_exit_when_failed)
            await self._tell_when_ready()
            await self._asked.wait()
            for task in followed:
                task.cancel()
            if signals.received is not None:
                await asyncio.sleep(self._config.raftgate_shutdown_delay)
            await self._member.hand_over()  # while it still hears the others
            self._stop.set()
            self._member.server.stop()
            await serving
            running.cancel()
            await asyncio.wait([running])
            await self._member.close()
            return signals.received

    async def _stop_when_removed(self) -> None:
        """Leaves the others a second to hear from this member that its removal is committed (etcd server.go)."""
        await self._member.removed.wait()
        log.warning("the member has been permanently removed from the cluster")
        await asyncio.sleep(REMOVED_TICKS * self._config.heartbeat_interval)
        self._asked.set()

    async def _join_in(self) -> None:
        await self._started.wait()
        await be_promoted(self._member, self._member.options.member.ID)

    def _open_store(self, database: Path) -> Machine:
        config = self._config
        storage = StorageOptions(
            fsync=not config.unsafe_no_fsync,
            value_cache_bytes=config.raftgate_value_cache_bytes or memory_bytes() // 4,
            compaction_batch_limit=config.compaction_batch_limit,
        )
        machine = Machine.open(database, storage, StorageMetrics(self._registry))
        self._env.disk.sync_directory(database.parent)  # the name of a file that SQLite has just made
        if effective(config.quota_backend_bytes) > MAX_BYTES:
            sizes = {"quota-size-bytes": config.quota_backend_bytes, "quota-maximum-size-bytes": MAX_BYTES}
            log.warning("quota exceeds the maximum value", extra={"fields": sizes})
        if config.unsafe_no_fsync:
            log.warning("--unsafe-no-fsync: a power cut or a crash of the machine loses acknowledged writes")
        return machine

    def _record(self, wal: Wal) -> cluster.Member:
        """The member as its flags describe it."""
        config = self._config
        return cluster.Member(
            ID=wal.identity.member_id,
            name=config.name,
            peerURLs=tuple(str(url) for url in config.initial_advertise_peer_urls),
            clientURLs=tuple(str(url) for url in config.advertise_client_urls),
        )

    def _options(self, wal: Wal, start: Start | None) -> Options:
        config, gates = self._config, self._config.feature_gates
        return Options(
            member=self._record(wal),
            cluster_id=wal.identity.cluster_id,
            initial_members=start.members if start else (),
            joins=start is not None and start.joins,
            strict_reconfig_check=config.strict_reconfig_check,
            max_learners=config.max_learners,
            heartbeat_interval=config.heartbeat_interval,
            election_timeout=config.election_timeout,
            snapshot_count=config.snapshot_count,
            snapshot_catchup_entries=config.snapshot_catchup_entries,
            batch_interval=config.backend_batch_interval,
            initial_election_tick_advance=config.initial_election_tick_advance,
            quota_bytes=effective(config.quota_backend_bytes),
            auto_disarm=config.raftgate_auto_disarm,
            auto_compaction_mode=config.auto_compaction_mode,
            auto_compaction_retention=config.auto_compaction_retention,
            compaction_pause=config.compaction_sleep_interval,
            watch_progress_interval=config.watch_progress_notify_interval,
            defragment_above=config.bootstrap_defrag_threshold_megabytes * MIB,
            server_version=SERVER_VERSION,
            storage_version=CLUSTER_VERSION,
            corrupt_check_time=config.corrupt_check_time,
            compact_hash_check_time=config.compact_hash_check_time if gates["CompactHashCheck"] else 0.0,
            initial_corrupt_check=gates["InitialCorruptCheck"],
            max_request_bytes=config.max_request_bytes,
            max_txn_ops=config.max_txn_ops,
            warning_apply_duration=config.warning_apply_duration,
        )

    def _listeners(self) -> list[Listener]:
        options = self._gateway_options()
        server = self._member.server
        websocket = WebSocketOptions(max_message_bytes=options.max_body_bytes)
        client = ConnectionOptions(headers=Cors(options.cors).headers(()), websocket=websocket)
        listeners = [
            Listener(self._peer_port.app(self._member, self._versions), self._sockets.peer),
            Listener(build_app(server, options), self._sockets.client, client),
        ]
        if self._sockets.metrics:
            listeners.append(Listener(build_metrics_app(server, options), self._sockets.metrics))
        return listeners

    def _gateway_options(self) -> gateway_options.Options:
        config = self._config
        self._add_version_metrics()
        register_process_metrics(self._registry)
        return gateway_options.Options(
            metrics=GatewayMetrics(self._registry),
            max_request_bytes=config.max_request_bytes,
            cors=frozenset(config.cors) or frozenset({"*"}),
            host_whitelist=frozenset(config.host_whitelist) or frozenset({"*"}),
            server_version=SERVER_VERSION,
            raftgate_version=raftgate.__version__,
            cluster_version=self._cluster_version,
            live_checks={"ticks": self._check_ticks, "store": self._check_store, "writer": self._check_writer},
            ready_checks={"bootstrap": self._check_bootstrap},
            draining=self._asked.is_set,
            health_timeout=config.raftgate_health_timeout,
        )

    def _versions(self) -> dict[str, str]:
        return {"etcdserver": SERVER_VERSION, "etcdcluster": self._cluster_version(), "storage": CLUSTER_VERSION}

    def _cluster_version(self) -> str:
        return self._member.cluster_version.text

    def _add_version_metrics(self) -> None:
        rows: Mapping[str, tuple[str, dict[str, str]]] = {
            "etcd_server_version": ("Which version is running. 1 for 'server_version' label with current version.",
                                    {"server_version": SERVER_VERSION}),
            "raftgate_build_info": ("What this is.", {"version": raftgate.__version__,
                                    "python": platform.python_version(), "sqlite": sqlite3.sqlite_version}),
        }  # fmt: skip
        quota = Gauge(
            "etcd_server_quota_backend_bytes", "Current backend storage quota size in bytes.", registry=self._registry
        )
        quota.set(self._member.quota.limit)
        for name, (text, labels) in rows.items():
            Gauge(name, text, tuple(labels), registry=self._registry).labels(**labels).set(1)

    async def _check_ticks(self) -> None:
        late = self._env.monotonic() - self._member.node.ticked
        if late > TICKS_LATE:
            raise Unhealthy(f"no tick for {late:.1f} s")

    async def _check_store(self) -> None:
        await self._env.run_blocking(Lane.READERS, self._member.machine.database.probe)

    async def _check_writer(self) -> None:
        late = self._env.monotonic() - self._member.flush.turned
        if late > FLUSH_LATE:
            raise Unhealthy(f"the database writer is stuck for {late:.1f} s")

    async def _check_bootstrap(self) -> None:
        if not self._started.is_set():
            raise Unhealthy("nothing was confirmed by a quorum since the start")

    async def _tell_when_ready(self) -> None:
        asked = asyncio.create_task(self._asked.wait())
        started = asyncio.create_task(self._started.wait())
        await asyncio.wait((asked, started), return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if started.done():
            log.info("ready to serve client requests")
            for url in self._config.listen_client_urls:
                fields = {"traffic": "http", "address": url.address}
                log.info("serving client traffic insecurely; this is strongly discouraged!", extra={"fields": fields})
        started.cancel()


def _exit_when_failed(task: "asyncio.Task[None]") -> None:
    """Ends the process at once when a part that must run has failed: nothing more may be acknowledged."""
    if task.cancelled() or task.exception() is None:
        return
    error = task.exception()
    if isinstance(error, REFUSALS):
        log.critical("the member does not start", extra={"fields": {"error": str(error)}})
    else:
        log.critical("the member stops: its %s failed", task.get_name(), exc_info=error)
    logging.shutdown()
    exit_at_once(1)


def exit_at_once(code: int) -> NoReturn:
    """Ends the process without any clean-up."""
    sys.stderr.flush()
    os._exit(code)
