"""The driver of the core: persist, send, apply, advance.

While one batch is being synced by the log's thread, this loop applies what is already committed and gathers what
arrives; the next batch is all of that. No timer takes part: a lone write waits for nobody. What other members send is
taken at once, and what needs no sync (heartbeats, confirmations of reads) is answered while a batch is on its way.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

from consensus.env import Env, Lane
from consensus.metrics import Metrics
from consensus.raft.errors import ProposalDropped
from consensus.raft.rawnode import RawNode, Status
from consensus.raft.types import (
    ConfChange,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
    ReadState,
    Ready,
    SnapshotMeta,
)
from consensus.wal import Wal

log = logging.getLogger(__name__)

TURN = 0.005
"""Seconds of applying after which the event loop gets a turn."""
DEFERRED = 64
"""Membership changes of followers that may wait for the one before them."""


class Applies(Protocol):
    """Takes committed entries."""

    def apply(self, entry: Entry) -> Awaitable[None] | None:
        """Applies one entry, or answers what is to be awaited for it; what is raised ends the node."""
        ...

    def room(self) -> Awaitable[None] | None:
        """What is to be awaited before more is applied, if too much of it waits for SQLite."""
        ...


class Barrier(Protocol):
    """Takes what reads wait for."""

    def confirmed(self, state: ReadState) -> None:
        """Takes a confirmed read index."""
        ...

    def applied(self, index: int) -> None:
        """Takes the index up to which entries are applied."""
        ...


class Node:
    """One member's core, its log, and those who are told of what it decides."""

    def __init__(self, raw: RawNode, wal: Wal, env: Env, metrics: Metrics, applier: Applies, reads: Barrier) -> None:
        self._raw = raw
        self._wal = wal
        self._env = env
        self._metrics = metrics
        self._applier = applier
        self._reads = reads
        self._unsaved: HardState | None = None
        self._deferred: list[Message] = []
        self._wake = asyncio.Event()
        self._is_turning = False
        """Whether a Ready is outstanding."""
        self._is_flushing = False
        self._failure: Exception | None = None
        self._saving: asyncio.Future[None] | None = None
        self.leader = 0
        self.leader_since = 0.0
        """When the present leader, or the last one, came to be known; the loop's time."""
        self.leader_known = asyncio.Event()
        self._awaiting_leader: list[asyncio.Future[None]] = []
        self.on_leader_change: Callable[[], None] = _nothing
        self.send: Callable[[Sequence[Message]], None] = _discard
        """Sends messages to other members; never waits."""
        self.send_snapshot: Callable[[Message], None] = self._cannot_send
        """Sends the store to the member to which a SNAP goes, and reports how that went."""
        self.install_snapshot: Callable[[SnapshotMeta], Awaitable[None]] = _cannot_install
        """Lets a store that was received take the place of the present one, and the log begin anew behind it."""
        self.ticked = env.monotonic()
        """When the last tick came, for the liveness check."""

    @property
    def term(self) -> int:
        """The current term."""
        return self._raw.term

    def status(self) -> Status:
        """The core's state at a glance."""
        return self._raw.status()

    def leader_change(self) -> "asyncio.Future[None]":
        """A future that is done when the leader changes."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaiting_leader.append(future)
        return future

    # ---- inputs ----

    def propose(self, data: bytes) -> None:
        """Appends a proposal to the next batch, or lets it go to the leader.

        Raises: ProposalDropped.
        """
        self._raw.propose((data,))
        if self.leader == self._raw.id:  # its messages go with the batch: fewer and larger
            self._wake.set()
        else:
            self._took_input()

    def propose_conf_change(self, change: ConfChange) -> None:
        """As `propose`, for a membership change.

        Raises: ProposalDropped.
        """
        self._raw.propose_conf_change(change)
        self._took_input()

    def read_index(self, context: bytes) -> bool:
        """Asks for a confirmed read index, which comes to `confirmed` under `context`; False if nobody leads here."""
        is_taken = self._raw.read_index(context)
        self._took_input()
        return is_taken

    def campaign(self) -> None:
        """Starts an election at once, as a lone voter may."""
        self._raw.campaign()
        self._took_input()

    def step(self, message: Message) -> None:
        """Takes a message of another member."""
        if self._failure is not None:
            return
        if message.type is MessageType.PROP and self._raw.is_changing and _changes_members(message):
            if len(self._deferred) < DEFERRED:
                self._deferred.append(message)  # its sender may have applied the change before, and know of no other
            return
        try:
            self._raw.step(message)
        except ProposalDropped as dropped:
            log.debug("dropped a proposal of %x: %s", message.sender, dropped)
        except Exception as error:  # noqa: BLE001 - handed to `run`, which raises it
            self._failure = error
            self._wake.set()
        else:
            self._took_input()

    def is_taking(self, meta: SnapshotMeta) -> bool:
        """Whether the store of the SNAP that was just taken is to take the place of the present one."""
        return self._failure is None and self._raw.snapshot is meta

    def transfer_leader(self, member_id: int) -> None:
        """Asks the core to hand leadership over to a voter; it gives up after an election timeout."""
        self._raw.transfer_leader(member_id)
        self._took_input()

    def report_unreachable(self, member_id: int) -> None:
        """Takes note that messages to a member were lost."""
        self._raw.report_unreachable(member_id)
        self._took_input()

    def report_snapshot(self, member_id: int, *, ok: bool) -> None:
        """Takes note that the store for a member was delivered, or was not."""
        self._raw.report_snapshot(member_id, ok=ok)
        self._took_input()

    async def hand_over(self, member_id: int, patience: float) -> None:
        """Returns when a voter leads to whom leadership was handed over; a request that got lost is repeated.

        `patience`: seconds until it is repeated. The caller bounds the time as a whole. A leader does not repeat it
        for a voter that is silent: each time it would take no proposals for an election timeout.
        """
        is_worth_it = True
        while self.leader != member_id:
            if is_worth_it:
                self.transfer_leader(member_id)
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    while self.leader != member_id:
                        await self.leader_change()
            progress = self.status().progress.get(member_id)
            is_worth_it = progress is None or progress.recent_active

    # ---- the loop ----

    async def run(self) -> None:
        """Drives the core until cancelled.

        Raises: what the disk, an unreadable entry or a contradiction in the log says; nothing more is acknowledged
            after that.
        """
        while True:
            if not self._raw.has_ready() and self._failure is None:
                await self._wake.wait()
            self._wake.clear()
            if self._failure is not None:
                raise self._failure
            if self._raw.has_ready():
                self._is_turning = True
                try:
                    await self._turn(self._raw.ready())
                finally:
                    self._is_turning = False

    async def run_ticks(self, interval: float) -> None:
        """Ticks the core each `interval` seconds until cancelled, and measures how late the loop comes."""
        loop = asyncio.get_running_loop()
        due = loop.time() + interval
        while True:
            await asyncio.sleep(due - loop.time())
            late = max(0.0, loop.time() - due)
            self._metrics.loop_lag.observe(late)
            if late > interval:
                self._metrics.heartbeat_send_failures.inc()
                fields = {"late": f"{late:.3f}s", "heartbeat-interval": f"{interval}s"}
                log.warning("the event loop came late for a tick", extra={"fields": fields})
            due = loop.time() + interval - min(late, interval)
            self.ticked = self._env.monotonic()
            self.tick()

    def tick(self) -> None:
        """Moves the core's clock on; heartbeats leave at once."""
        self._raw.tick()
        self._took_input()

    async def _turn(self, ready: Ready) -> None:
        if ready.snapshot is not None:
            await self.install_snapshot(ready.snapshot)
            self._reads.applied(ready.snapshot.index)
        saved = self._persist(ready)
        self._send(ready.messages)
        if ready.soft_state is not None and ready.soft_state.leader != self.leader:
            self._leader_changed(ready.soft_state.leader)
        for state in ready.read_states:
            self._reads.confirmed(state)
        if saved is None:
            self._send(ready.messages_after_append)
        elif ready.messages_after_append:  # they do not wait until everything is applied
            saved = self._saving = asyncio.ensure_future(self._promise(saved, ready.messages_after_append))
        if ready.committed_entries:
            await self._apply_all(ready.committed_entries)
        if saved is not None:
            await saved
        self._raw.advance(ready)
        self._take_deferred()

    async def _promise(self, saved: Awaitable[None], messages: Sequence[Message]) -> None:
        await saved
        self._send(messages)

    def _persist(self, ready: Ready) -> Awaitable[None] | None:
        """Starts the write of what must be on disk before this Ready is advanced.

        A commit index by itself waits for the next batch: it needs no sync (Raft figure 2 does not even keep it).
        """
        if ready.hard_state is not None:
            self._unsaved = ready.hard_state
        if not ready.must_sync:
            return None
        if ready.entries:
            self._metrics.batch_entries.observe(len(ready.entries))
        state, self._unsaved = self._unsaved, None
        return self._env.run_blocking(Lane.LOG, self._wal.save, state, ready.entries, ready.must_sync)

    async def _apply_all(self, entries: Sequence[Entry]) -> None:
        room = self._applier.room()
        if room is not None:
            await room
        started = self._env.monotonic()
        for entry in entries:
            slow = self._applier.apply(entry)
            if slow is not None:
                await slow
            if self._env.monotonic() - started > TURN:
                self._reads.applied(entry.index)
                await asyncio.sleep(0)
                started = self._env.monotonic()
        self._reads.applied(entries[-1].index)

    def _take_deferred(self) -> None:
        """Takes the changes that had to wait, which wait on if they still must; without leadership they are lost."""
        deferred, self._deferred = self._deferred, []
        for message in deferred:
            self.step(message)

    def _took_input(self) -> None:
        """Has the loop look what there is to do; while it is busy, what may leave at once does so in the next turn."""
        if not self._is_turning:
            self._wake.set()
        elif not self._is_flushing:
            self._is_flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flushing = False
        self._send(self._raw.take_messages())
        self._wake.set()

    def _send(self, messages: Sequence[Message]) -> None:
        stores = [message for message in messages if message.type is MessageType.SNAP]
        if stores:
            messages = [message for message in messages if message.type is not MessageType.SNAP]
            for message in stores:
                self.send_snapshot(message)
        if messages:
            self.send(messages)

    def _cannot_send(self, message: Message) -> None:
        self.report_snapshot(message.to, ok=False)

    def _leader_changed(self, leader: int) -> None:
        self.leader = leader
        fields = {"local-member-id": f"{self._raw.id:x}", "leader": f"{leader:x}", "term": self.term}
        if leader:
            self.leader_since = asyncio.get_running_loop().time()
            self._metrics.leader_changes.inc()
            self.leader_known.set()
            log.info("raft.node: elected leader", extra={"fields": fields})
        else:
            self.leader_known.clear()
            log.info("raft.node: lost leader", extra={"fields": fields})
        waiting, self._awaiting_leader = self._awaiting_leader, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
        self.on_leader_change()


def _changes_members(message: Message) -> bool:
    return any(entry.type is EntryType.CONF_CHANGE for entry in message.entries)


def _nothing() -> None:
    pass


def _discard(_messages: Sequence[Message]) -> None:
    """Where there is nobody else."""


async def _cannot_install(meta: SnapshotMeta) -> None:
    raise RuntimeError(f"nobody installs the store as of {meta.index}")
