"""The driver of the core: persist, send, apply, advance.

While one batch is being synced by the log's thread, this loop applies what is already committed and gathers what
arrives; the next batch is all of that. No timer takes part: a lone write waits for nobody.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from consensus.env import Env, Lane
from consensus.metrics import Metrics
from consensus.raft.rawnode import RawNode, Status
from consensus.raft.types import Entry, HardState, ReadState, Ready
from consensus.wal import Wal

log = logging.getLogger(__name__)

TURN = 0.005
"""Seconds of applying after which the event loop gets a turn."""


class Applies(Protocol):
    """Takes committed entries."""

    def apply(self, entry: Entry) -> Awaitable[None] | None:
        """Applies one entry, or answers what is to be awaited for it; what is raised ends the node."""
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
        self._wake = asyncio.Event()
        self.leader = 0
        self.leader_known = asyncio.Event()
        self.on_leader_change: Callable[[], None] = lambda: None
        self.ticked = env.monotonic()
        """When the last tick came, for the liveness check."""

    def status(self) -> Status:
        """The core's state at a glance."""
        return self._raw.status()

    def propose(self, data: bytes) -> None:
        """Appends a proposal to the next batch.

        Raises: ProposalDropped.
        """
        self._raw.propose((data,))
        self._wake.set()

    def read_index(self, context: bytes) -> bool:
        """Asks for a confirmed read index, which comes to `confirmed` under `context`; False if nobody leads here."""
        self._wake.set()
        return self._raw.read_index(context)

    def campaign(self) -> None:
        """Starts an election at once, as a lone voter may."""
        self._raw.campaign()
        self._wake.set()

    async def run(self) -> None:
        """Drives the core until cancelled.

        Raises: what the disk or an unreadable entry says; nothing more is acknowledged after that.
        """
        while True:
            if not self._raw.has_ready():
                await self._wake.wait()
            self._wake.clear()
            if self._raw.has_ready():
                await self._turn(self._raw.ready())

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
            self._raw.tick()
            self._wake.set()

    async def _turn(self, ready: Ready) -> None:
        # ready.messages leave here once there is a transport, ready.messages_after_append behind `await persisted`.
        persisted = self._persist(ready)
        if ready.soft_state is not None and ready.soft_state.leader != self.leader:
            self._leader_changed(ready.soft_state.leader)
        for state in ready.read_states:
            self._reads.confirmed(state)
        if ready.committed_entries:
            await self._apply_all(ready.committed_entries)
        if persisted is not None:
            await persisted
        self._raw.advance(ready)

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

    def _leader_changed(self, leader: int) -> None:
        self.leader = leader
        fields = {"local-member-id": f"{self.status().id:x}", "leader": f"{leader:x}", "term": self.status().term}
        if leader:
            self._metrics.leader_changes.inc()
            self.leader_known.set()
            log.info("raft.node: elected leader", extra={"fields": fields})
        else:
            self.leader_known.clear()
            log.info("raft.node: lost leader", extra={"fields": fields})
        self.on_leader_change()
