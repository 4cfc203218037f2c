"""One member put together: log, machine, core and server, from a data directory on.

The order matters and is the same in production and in tests: open the log and the store, take up the core where both
agree, replay, campaign when alone, publish, serve.
"""

import asyncio
import logging
from pathlib import Path

import msgspec

from consensus.apply import Applier
from consensus.cluster import bootstrap_changes, conf_state
from consensus.env import Env, Lane
from consensus.flush import Flush
from consensus.metrics import Metrics
from consensus.node import Node
from consensus.options import Options
from consensus.raft.rawnode import Config, RawNode
from consensus.raft.types import ConfChange
from consensus.reads import Reads
from consensus.server import Server
from consensus.wal import Wal, WalOptions
from consensus.wal_format import Identity
from storage.machine import Machine

log = logging.getLogger(__name__)


def _trace(line: str) -> None:
    log.debug("%s", line)


class StoreMismatch(Exception):
    """Store and log do not belong together: one of them was lost, or is another member's."""


def open_wal(env: Env, directory: Path, identity: Identity, metrics: Metrics, *, fsync: bool) -> Wal:
    """Opens the log that is there, whose identity then counts, or makes one for `identity`.

    Raises: WalError, OSError.
    """

    def wrote(size: int, seconds: float) -> None:
        metrics.wal_write_bytes.inc(size)
        metrics.wal_write.observe(seconds)

    options = WalOptions(unsafe_no_fsync=not fsync, on_write=wrote, on_sync=metrics.wal_fsync.observe)
    if Wal.exists(env.disk, directory):
        return Wal.open(env, directory, None, options)
    return Wal.create(env, directory, identity, options)


class Member:
    """A member that runs; `server` answers, `run` keeps it going."""

    def __init__(self, machine: Machine, wal: Wal, env: Env, options: Options, metrics: Metrics) -> None:
        """Takes up where log and store end.

        Raises: StoreMismatch.
        """
        self.machine = machine
        self._wal = wal
        self._env = env
        self.options = options
        self._raw = self._take_up()
        self.applier = Applier(machine, self._apply_conf_change, env, options, metrics)
        self.reads = Reads(self._read_index, options.request_timeout, metrics)
        self.node = Node(self._raw, wal, env, metrics, self.applier, self.reads)
        self.server = Server(machine, self.node, self.applier, self.reads, env, options)
        self.flush = Flush(machine, wal, self.applier.whole, env, options, metrics)
        self.reads.applied(machine.applied_index)
        metrics.watch_status(self.node.status, options.member.ID, self._log_entries)

    def _take_up(self) -> RawNode:
        machine, wal, member = self.machine, self._wal, self.options.member
        if machine.applied_index > wal.last_index():
            raise StoreMismatch(
                f"the store has applied entry {machine.applied_index}, the log ends at {wal.last_index()}"
            )
        if machine.members and member.ID not in [known.ID for known in machine.members]:
            raise StoreMismatch(f"the store knows no member {member.ID:x}")
        config = Config(
            id=member.ID,
            random=self._env.random,
            election_ticks=self.options.election_ticks,
            applied=machine.applied_index,
            conf_state=conf_state(machine.members),
            trace=_trace,
        )
        raw = RawNode(config, wal)
        if wal.last_index() == 0 and wal.initial_state().term == 0:
            raw.bootstrap(bootstrap_changes([msgspec.structs.replace(member, name="", clientURLs=())]))
        return raw

    def _apply_conf_change(self, change: ConfChange) -> None:
        conf = self._raw.apply_conf_change(change)
        if conf.voters == (self.options.member.ID,):
            self._campaign()

    def _campaign(self) -> None:
        """A lone voter need not wait whether somebody leads (etcd raft.go, advanceTicks)."""
        if self.options.initial_election_tick_advance:
            self.node.campaign()

    def _read_index(self, context: bytes) -> bool:
        return self.node.read_index(context)

    def _log_entries(self) -> int:
        return self._wal.last_index() - self._wal.first_index() + 1

    async def run(self, started: asyncio.Event) -> None:
        """Runs until cancelled; sets `started` when the member leads or follows and has published itself.

        Raises (in an ExceptionGroup): what the disk or the log says; the process must end then.
        """
        interval = self.options.heartbeat_interval
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.node.run(), name="node")
            tasks.create_task(self.node.run_ticks(interval), name="ticks")
            tasks.create_task(self.server.run_deadlines(interval), name="deadlines")
            tasks.create_task(self.flush.run(), name="flush")
            if conf_state(self.machine.members).voters == (self.options.member.ID,):
                self._campaign()
            await self.server.publish()
            started.set()

    async def close(self) -> None:
        """Flushes, checkpoints and lets go of the files; only after `run` has ended."""
        await self.flush.close()
        # In their lanes, behind what a cancelled task has left there.
        await self._env.run_blocking(Lane.LOG, self._wal.close)
        await self._env.run_blocking(Lane.DATABASE, self.machine.close)
