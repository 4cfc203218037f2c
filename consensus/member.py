"""One member put together: log, machine, core and server, from a data directory on.

The order matters and is the same in production and in tests: open the log and the store, take up the core where both
agree, replay, campaign when alone, publish, serve.
"""

import asyncio
import logging
from pathlib import Path

import msgspec

from consensus import compactor
from consensus.apply import Applier
from consensus.cluster import bootstrap_changes, conf_state
from consensus.compaction import Compaction
from consensus.env import Env, Lane
from consensus.fetch import BREATH
from consensus.flush import Flush
from consensus.leases import LeaseService
from consensus.lessor import Lessor
from consensus.maintenance import Maintenance
from consensus.metrics import Metrics
from consensus.node import Node
from consensus.options import Options
from consensus.proposals import Proposals
from consensus.quota import Quota
from consensus.raft.rawnode import Config, RawNode
from consensus.raft.types import ConfChange
from consensus.reads import Reads
from consensus.replica import Replica
from consensus.server import Server
from consensus.wal import Wal, WalOptions
from consensus.wal_format import Identity
from consensus.watches import Watches
from raftgate.api.kv import CompactionRequest
from raftgate.api.maintenance import AlarmType
from raftgate.api.message import Caller
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
        replica = Replica(machine, self.node, self.applier, self.reads, env, options)
        self.flush = Flush(machine, wal, self.applier.whole, env, options, metrics)
        self.compaction = Compaction(machine, self.flush, self.applier.whole, env, options.compaction_pause)
        self.applier.on_compaction = self.compaction.ask
        self.applier.on_pressure = self.flush.wake.set
        self.node.on_leader_change = self._leader_changed
        self.applier.on_term = self._term_began
        proposals = Proposals(replica, lambda: machine.pending_bytes - self.flush.writing_bytes)
        self.quota = Quota(
            options.quota_bytes,
            lambda: self.flush.database_bytes + machine.pending_bytes,
            self._has_no_space_alarm,
            options.member.ID,
            proposals.propose,
            auto_disarm=options.auto_disarm,
        )
        maintenance = Maintenance(replica, proposals, self.flush, self.quota)
        self.lessor = Lessor(machine.leases, proposals.submit, env.monotonic, options, metrics)
        leases = LeaseService(replica, proposals, self.quota, self.lessor)
        self.watches = Watches(replica, metrics)
        self.server = Server(
            replica, proposals, self.quota, self.compaction, self.watches, {**maintenance.handlers, **leases.handlers}
        )
        self.reads.applied(machine.applied_index)
        metrics.watch_status(self.node.status, options.member.ID, self._log_entries)
        metrics.watch_alarms(lambda: machine.alarms)

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

    def _leader_changed(self) -> None:
        self.reads.leader_changed()
        if self.node.leader != self.options.member.ID:
            self.lessor.demote()

    def _term_began(self) -> None:
        """A leader counts the time of leases once it knows all of them (etcd server.go, where it promotes)."""
        own = self.options.member.ID
        if self.node.leader == own:
            is_alone = conf_state(self.machine.members).voters == (own,)
            self.lessor.promote(0.0 if is_alone else self.options.election_timeout)

    def _campaign(self) -> None:
        """A lone voter need not wait whether somebody leads (etcd raft.go, advanceTicks)."""
        if self.options.initial_election_tick_advance:
            self.node.campaign()

    def _read_index(self, context: bytes) -> bool:
        return self.node.read_index(context)

    def _log_entries(self) -> int:
        return self._wal.last_index() - self._wal.first_index() + 1

    def _has_no_space_alarm(self) -> bool:
        own = self.options.member.ID
        return any(alarm.memberID == own and alarm.alarm is AlarmType.NOSPACE for alarm in self.machine.alarms)

    async def _run_settling(self) -> None:
        """Works off what large commands have left behind, a few milliseconds at a time."""
        while True:
            await asyncio.sleep(self.options.batch_interval)
            await self.applier.whole.wait()
            while self.machine.settle():
                await asyncio.sleep(BREATH)
                await self.applier.whole.wait()

    async def _run_quota(self) -> None:
        while True:
            await asyncio.sleep(self.options.batch_interval)
            await self.quota.turn()

    async def _compact_automatically(self) -> None:
        options = self.options
        schedule: compactor.Schedule
        if options.auto_compaction_mode == "revision":
            schedule = compactor.Revision(round(options.auto_compaction_retention))
        else:
            schedule = compactor.Periodic(options.auto_compaction_retention, self._env.monotonic())
        await compactor.run(
            schedule,
            lambda: self.machine.revision,
            lambda: self.node.leader == options.member.ID,
            lambda revision: self.server.call(CompactionRequest(revision=revision), Caller()),
            self._env.monotonic,
        )

    async def _defragment_at_start(self) -> None:
        size = self.machine.writer.size
        if 0 < self.options.defragment_above <= size.total - size.in_use:
            log.info("defragmenting the database before serving")
            await self._env.run_blocking(Lane.DATABASE, self.machine.writer.defragment)

    async def run(self, started: asyncio.Event) -> None:
        """Runs until cancelled; sets `started` when the member leads or follows and has published itself.

        Raises (in an ExceptionGroup): what the disk or the log says; the process must end then.
        """
        interval = self.options.heartbeat_interval
        await self._defragment_at_start()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.node.run(), name="node")
            tasks.create_task(self.node.run_ticks(interval), name="ticks")
            tasks.create_task(self.server.run_deadlines(interval), name="deadlines")
            tasks.create_task(self.flush.run(), name="flush")
            tasks.create_task(self.compaction.run(), name="compaction")
            tasks.create_task(self.watches.run(), name="watches")
            tasks.create_task(self.lessor.run(), name="lessor")
            tasks.create_task(self._run_settling(), name="settling")
            tasks.create_task(self._run_quota(), name="quota")
            if self.options.auto_compaction_retention:
                tasks.create_task(self._compact_automatically(), name="auto compaction")
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
