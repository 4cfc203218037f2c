"""One member put together: log, machine, core and server, from a data directory on.

The order matters and is the same in production and in tests: open the log and the store, take up the core where both
agree, replay, campaign when alone, publish, serve.
"""

import asyncio
import logging
from collections.abc import Awaitable
from pathlib import Path

from consensus import compactor, installer
from consensus.apply import Applier
from consensus.cluster import bootstrap_changes, conf_state
from consensus.cluster_version import ClusterVersion
from consensus.compaction import Compaction
from consensus.corruption import Corruption
from consensus.data_dir import Stores
from consensus.env import Env, Lane
from consensus.fetch import BREATH
from consensus.flush import Flush
from consensus.hashing import Hashing
from consensus.leader_calls import LeaderCalls
from consensus.leases import LeaseService
from consensus.lessor import Lessor
from consensus.maintenance import Maintenance
from consensus.membership import Membership
from consensus.metrics import Metrics
from consensus.node import Node
from consensus.options import Options
from consensus.peers import NoTransport, Peers
from consensus.proposals import Proposals
from consensus.quota import Quota
from consensus.raft.rawnode import Config, RawNode
from consensus.raft.types import ConfChange, Message, MessageType
from consensus.reads import Reads
from consensus.replica import Replica
from consensus.server import Server
from consensus.snapshots import Receiver, Sender
from consensus.transport import Callbacks, Connect, Transport
from consensus.wal import Wal, WalOptions
from consensus.wal_format import Identity
from consensus.watches import Watches
from raftgate.api.errors import EtcdError
from raftgate.api.kv import CompactionRequest
from raftgate.api.maintenance import AlarmType
from raftgate.api.message import Caller
from storage.machine import Machine
from storage.options import PENDING_LIMIT

log = logging.getLogger(__name__)


def _trace(line: str) -> None:
    log.debug("%s", line)


HASTEN_WITHIN = 5.0
"""Seconds from the start in which the first election may be brought forward: etcd rafthttp, ConnReadTimeout."""


class MemberRemoved(Exception):
    """The cluster has removed this member for ever."""


class StoreMismatch(Exception):
    """Store and log do not belong together: one of them was lost, or is another member's."""


def open_wal(env: Env, directory: Path, identity: Identity | None, metrics: Metrics, *, fsync: bool) -> Wal:
    """Opens the log that is there, whose identity then counts, or makes one for `identity`.

    That may be None where there is a log.

    Raises: WalError, OSError.
    """

    def wrote(size: int, seconds: float) -> None:
        metrics.wal_write_bytes.inc(size)
        metrics.wal_write.observe(seconds)

    options = WalOptions(unsafe_no_fsync=not fsync, on_write=wrote, on_sync=metrics.wal_fsync.observe)
    if Wal.exists(env.disk, directory):
        return Wal.open(env, directory, None, options)
    assert identity is not None, "whoever makes a log says whose it is"
    return Wal.create(env, directory, identity, options)


class Member:
    """A member that runs; `server` answers, `run` keeps it going."""

    def __init__(
        self,
        machine: Machine,
        wal: Wal,
        env: Env,
        options: Options,
        metrics: Metrics,
        connect: Connect | None = None,
    ) -> None:
        """Takes up where log and store end; `connect` makes the way to the other members, if there can be any.

        Raises: StoreMismatch, MemberRemoved.
        """
        self.machine = machine
        self._wal = wal
        self._env = env
        self.options = options
        self._founders = options.initial_members or (options.member,)
        self._is_learner = False  # looked up for each request, so it follows the records
        self._raw = self._take_up()
        self.applier = Applier(machine, self._apply_conf_change, env, options, metrics)
        self.reads = Reads(self._read_index, options.request_timeout, metrics, env.random_bytes(8))
        self.node = Node(self._raw, wal, env, metrics, self.applier, self.reads)
        self.removed = asyncio.Event()
        """Set once this member is none any more: its process must end."""
        callbacks = Callbacks(self.node.report_unreachable, self.removed.set)
        self.transport: Transport = connect(callbacks) if connect else NoTransport()
        self.peers = Peers(self.transport, options.member.ID, env.monotonic)
        self.node.send = self.transport.send
        self.flush = Flush(machine, wal, self.applier.whole, env, options, metrics)
        self.compaction = Compaction(machine, self.flush, self.applier.whole, env, options.compaction_pause)
        self._exchange(metrics)
        self._serve(Replica(machine, self.node, self.applier, self.reads, env, options), metrics)
        self._follow()
        metrics.watch_status(self.node.status, options.member.ID, self._log_entries, self.is_learner)
        metrics.watch_alarms(lambda: machine.alarms)

    def _exchange(self, metrics: Metrics) -> None:
        """Makes what sends the store to others, and puts a received one in its place."""
        stores = Stores(self._env.disk, self.machine.database.path.parent)
        parts = installer.Parts(self.machine, self._wal, self.flush, self.applier.whole, stores, self._env)
        self.outgoing = Sender(parts, self.node, self.transport, metrics.snapshots)
        self.incoming = Receiver(parts, self.node, metrics.snapshots)
        """Takes stores from a leader."""
        self.flush.keeps_log = self.outgoing.keeps_log
        self.node.send_snapshot = self.outgoing.send
        self.node.install_snapshot = installer.Installer(parts, metrics.snapshots, self._installed).install

    def _installed(self) -> None:
        """Another store is in use: who follows the member records or the leases follows those in it."""
        self._members_changed()
        self.lessor.restore(self.machine.leases)
        self.compaction.ask()

    def _serve(self, replica: Replica, metrics: Metrics) -> None:
        """Makes what answers requests."""
        machine, options = self.machine, self.options
        proposals = Proposals(replica, self._waiting_bytes, self._is_connected)
        self.quota = Quota(
            options.quota_bytes,
            lambda: self.flush.database_bytes + machine.pending_bytes,
            self._has_no_space_alarm,
            options.member.ID,
            proposals.propose,
            auto_disarm=options.auto_disarm,
        )
        self.lessor = Lessor(machine.leases, proposals.submit, self._env.monotonic, options, metrics)
        self.leader_calls = LeaderCalls(self.node, self.transport, options)
        self.watches = Watches(replica, metrics)
        self.cluster_version = ClusterVersion(replica, proposals, self.transport)
        metrics.watch_cluster_version(lambda: machine.cluster_version)
        self.hashing = Hashing(replica, self.flush)
        self.corruption = Corruption(replica, self.hashing, proposals, self.transport)
        others = {
            **Membership(replica, proposals, self.peers, self.leader_calls).handlers,
            **Maintenance(replica, proposals, self.hashing, self.quota).handlers,
            **LeaseService(replica, proposals, self.quota, self.lessor, self.leader_calls).handlers,
            **self.cluster_version.handlers,
        }
        self.server = Server(replica, proposals, self.quota, self.compaction, self.watches, others)
        self.server.is_learner = self.is_learner

    def _follow(self) -> None:
        """Has the parts told of what they wait for, from where the store stands on."""
        self.applier.on_compaction = self.compaction.ask
        self.applier.on_pressure = self.flush.wake.set
        self.applier.room = self._room
        self.applier.on_members = self._members_changed
        self.applier.on_term = self._term_began
        self.node.on_leader_change = self._leader_changed
        self.reads.applied(self.machine.applied_index)
        self._members_changed()
        if not self.machine.members:
            self.peers.expect(self._founders)

    def _take_up(self) -> RawNode:
        machine, wal, member = self.machine, self._wal, self.options.member
        installer.finish_interrupted(machine, wal)
        if machine.applied_index > wal.last_index():
            raise StoreMismatch(
                f"the store has applied entry {machine.applied_index}, the log ends at {wal.last_index()}"
            )
        if member.ID in machine.removed_members:
            raise MemberRemoved("the member has been permanently removed from the cluster; its data must not be used")
        config = Config(
            id=member.ID,
            random=self._env.random,
            election_ticks=self.options.election_ticks,
            applied=machine.applied_index,
            conf_state=conf_state(machine.members),
            max_message_bytes=self.options.max_message_bytes,
            max_inflight=self.options.max_inflight,
            trace=_trace,
        )
        raw = RawNode(config, wal)
        if wal.last_index() == 0 and wal.initial_state().term == 0 and not self.options.joins:
            raw.bootstrap(bootstrap_changes(self._founders))
        return raw

    # ---- what other members ask ----

    def receive(self, message: Message) -> None:
        """Takes a message of another member; a SNAP must come with its store, see `incoming`."""
        if message.type is not MessageType.SNAP:
            self.node.step(message)

    async def answer(self, body: bytes) -> bytes:
        """Answers what another member asks the leader."""
        return await self.leader_calls.answer(body)

    # ---- leadership ----

    def voters(self) -> tuple[int, ...]:
        """The ids of those who vote, by the store's records."""
        return conf_state(self.machine.members).voters

    def is_learner(self) -> bool:
        """Whether this member has no vote yet."""
        return self._is_learner

    async def hand_over(self) -> None:
        """Hands leadership, if this member has it, to the voter that has been there for longest.

        Returns when another member leads, or none can, or after the request timeout (etcd server.go,
        TryTransferLeadershipOnShutdown).
        """
        if self.node.leader != self.options.member.ID:
            return
        successor = self.peers.longest_connected(self.voters())
        if not successor:
            return
        fields = {"local-member-id": f"{self.options.member.ID:x}", "transferee-member-id": f"{successor:x}"}
        try:
            async with asyncio.timeout(self.options.request_timeout):
                await self.node.hand_over(successor, self.options.election_timeout)
        except TimeoutError:
            log.warning("leadership transfer took too long", extra={"fields": fields})
        else:
            log.info("leadership transferred", extra={"fields": fields})

    def _apply_conf_change(self, change: ConfChange) -> None:
        conf = self._raw.apply_conf_change(change)
        if conf.voters == (self.options.member.ID,) and len(self._founders) == 1:
            self._campaign()

    def _members_changed(self) -> None:
        members = self.machine.members
        self._is_learner = self.options.member.ID in conf_state(members).learners
        self.peers.follow(members, self.machine.removed_members)
        if self.options.member.ID in self.machine.removed_members:
            self.removed.set()

    def _leader_changed(self) -> None:
        if self.node.leader:
            self.reads.leader_changed()
        self.leader_calls.leader_changed()
        if self.node.leader != self.options.member.ID:
            self.lessor.demote()

    def _term_began(self, term: int) -> None:
        """A leader counts the time of leases once it knows all of them (etcd server.go, where it promotes)."""
        own = self.options.member.ID
        if self.node.leader == own and self.node.term == term:
            is_alone = self.voters() == (own,)
            self.lessor.promote(0.0 if is_alone else self.options.election_timeout)
            self.cluster_version.wake.set()

    def _is_connected(self, seconds: float) -> bool:
        """Whether the leader, or from the leader a quorum, was there for so long."""
        if self.node.leader == self.options.member.ID:
            return self.peers.has_quorum(self.voters(), seconds)
        return self.peers.connected_for(self.node.leader) >= seconds

    def _campaign(self) -> None:
        """A lone voter need not wait whether somebody leads (etcd raft.go, advanceTicks)."""
        if self.options.initial_election_tick_advance:
            self.node.campaign()

    def _read_index(self, context: bytes) -> bool:
        return self.node.read_index(context)

    def _waiting_bytes(self) -> int:
        return self.machine.pending_bytes - self.flush.writing_bytes

    def _room(self) -> Awaitable[None] | None:
        return self._make_room() if self._waiting_bytes() > PENDING_LIMIT else None

    async def _make_room(self) -> None:
        """The rows of what a leader sends have no other bound: apply waits for SQLite."""
        while self._waiting_bytes() > PENDING_LIMIT:
            await self.flush.flush()

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

        Raises: CorruptionFound; in an ExceptionGroup what the disk or the log says; the process must end then.
        """
        interval = self.options.heartbeat_interval
        await self._defragment_at_start()
        if self.options.initial_corrupt_check:
            await self.corruption.check_at_start()
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
            tasks.create_task(self.cluster_version.run(), name="cluster version")
            self._check_hashes(tasks)
            if self.options.auto_compaction_retention:
                tasks.create_task(self._compact_automatically(), name="auto compaction")
            if self.voters() == (self.options.member.ID,):
                self._campaign()
            else:
                tasks.create_task(self._hasten(), name="first election")
            await self._publish()
            started.set()

    def _check_hashes(self, tasks: asyncio.TaskGroup) -> None:
        options, corruption = self.options, self.corruption
        if options.corrupt_check_time > 0:
            tasks.create_task(corruption.run(options.corrupt_check_time), name="corruption check")
        if options.compact_hash_check_time > 0:
            checks = corruption.run_for_compactions(options.compact_hash_check_time)
            tasks.create_task(checks, name="compaction hash check")

    async def _publish(self) -> None:
        while True:
            try:
                await self.server.publish()
            except EtcdError as error:
                log.warning("failed to publish local member to cluster", extra={"fields": {"error": error.text}})
                await asyncio.sleep(self.options.heartbeat_interval)
            else:
                return

    async def _hasten(self) -> None:
        """Shortens the wait before the first election once a quorum is there (etcd server.go, adjustTicks).

        Two ticks are left, in which a leader that there is will be heard.
        """
        interval = self.options.heartbeat_interval
        if not self.options.initial_election_tick_advance:
            return
        for _ in range(round(HASTEN_WITHIN / interval)):
            await asyncio.sleep(interval)
            if self.node.leader:
                return
            voters = self.voters() or [member.ID for member in self._founders]
            if self.peers.has_quorum(voters):
                for _ in range(self.options.election_ticks - 2):
                    self.node.tick()
                return

    async def close(self) -> None:
        """Leaves the others, flushes, checkpoints and lets go of the files; only after `run` has ended."""
        await self.outgoing.close()
        await self.incoming.close()
        await self.transport.close()
        await self.flush.close()
        # In their lanes, behind what a cancelled task has left there.
        await self._env.run_blocking(Lane.LOG, self._wal.close)
        await self._env.run_blocking(Lane.DATABASE, self.machine.close)
