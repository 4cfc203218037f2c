"""The store on its way between members: sent to one that needs what the log no longer holds, received from a leader.

The way itself is the transport's (`Transport.send_snapshot` takes the SNAP message and pieces of the stream, and
returns when the other side has all of it durably); over HTTP that is `consensus.snapshot_http`, in the simulation a
call of the other member's `Receiver.receive`. Format and checks of the stream: `storage.snapshot`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from consensus.blocking import finished
from consensus.cluster import conf_state
from consensus.data_dir import Incoming
from consensus.env import Lane
from consensus.installer import Parts
from consensus.node import Node
from consensus.peer_http import PeerUnreachable
from consensus.peer_identity import Refused
from consensus.raft.errors import Compacted
from consensus.raft.types import Message, MessageType, SnapshotMeta
from consensus.snapshot_metrics import SnapshotMetrics
from consensus.transport import Transport
from storage.database import StoreExchanged
from storage.snapshot import Copy, CopyRefused, SnapshotInvalid, Unpacking, inspect

log = logging.getLogger(__name__)

MAX_TRANSFERS: Final = 16
"""At once: etcd server.go, maxInFlightMsgSnap."""
HOLD_SECONDS: Final = 600.0
"""How long a transfer keeps the log from being cut."""

RELEASE_SECONDS: Final = 30.0
"""How much longer after a successful one, in which the receiver gets what came meanwhile: etcd server.go,
releaseDelayAfterSnapshot."""

_FAILURES: Final = (PeerUnreachable, Refused, CopyRefused, StoreExchanged, Compacted, OSError)


class Sender:
    """Sends the store to members that lag."""

    def __init__(self, parts: Parts, node: Node, transport: Transport, metrics: SnapshotMetrics) -> None:
        self._parts = parts
        self._node = node
        self._transport = transport
        self._metrics = metrics.sent
        self._running: dict[asyncio.Task[None], float] = {}
        """Transfers, and when each began."""
        self._by_member: dict[int, asyncio.Task[None]] = {}
        self._keeps_until = 0.0

    def send(self, message: Message) -> None:
        """Begins to send the store to whom a SNAP goes; how that went is reported to the node. Never waits."""
        if len(self._running) >= MAX_TRANSFERS:
            log.warning("too many snapshots are on their way", extra={"fields": {"to": f"{message.to:x}"}})
            self._node.report_snapshot(message.to, ok=False)
            return
        if message.to in self._by_member:  # of an earlier term
            self._by_member[message.to].cancel()
        task = asyncio.get_running_loop().create_task(self._transfer(message), name=f"snapshot to {message.to:x}")
        self._running[task] = self._parts.env.monotonic()
        self._by_member[message.to] = task
        task.add_done_callback(self._ended)

    def keeps_log(self) -> bool:
        """Whether a transfer runs, or has just ended, whose receiver will need the log behind it."""
        now = self._parts.env.monotonic()
        return now < self._keeps_until or any(now - began < HOLD_SECONDS for began in self._running.values())

    async def close(self) -> None:
        """Ends all transfers."""
        running = list(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        del self._running[task]
        for member_id in [member_id for member_id, latest in self._by_member.items() if latest is task]:
            del self._by_member[member_id]
        if not task.cancelled():
            task.result()  # what is raised is a defect: the loop's handler tells it

    async def _transfer(self, message: Message) -> None:
        monotonic = self._parts.env.monotonic
        started, to, ok = monotonic(), message.to, False
        fields: dict[str, object] = {"remote-peer-id": f"{to:x}"}
        self._metrics.began(to)
        try:
            await self._send_copy(message, fields)
            ok = True
            until = min(monotonic() + RELEASE_SECONDS, started + HOLD_SECONDS)
            self._keeps_until = max(self._keeps_until, until)
            log.info("sent database snapshot", extra={"fields": fields | {"took": f"{monotonic() - started:.3f}s"}})
        except _FAILURES as error:
            log.warning("failed to send database snapshot", extra={"fields": fields | {"error": f"{error}"}})
        finally:
            self._metrics.ended(to, monotonic() - started, ok=ok)
            if self._by_member.get(to) is asyncio.current_task():
                self._node.report_snapshot(to, ok=ok)

    async def _send_copy(self, message: Message, fields: dict[str, object]) -> None:
        """Sends a copy that holds at least what the message says, with what it really holds."""
        parts, asked = self._parts, message.snapshot
        assert asked is not None, "a SNAP has a snapshot"
        await parts.flush.up_to(asked.index)
        path = parts.stores.temporary("copy")
        copy = await finished(parts.env.run_blocking(Lane.READERS, parts.machine.copy, path), Copy.close)
        try:
            meta = SnapshotMeta(copy.index, parts.wal.term(copy.index), conf_state(copy.members))
            fields |= {"snapshot-index": meta.index, "snapshot-term": meta.term, "bytes": copy.size}
            log.info("sending database snapshot", extra={"fields": fields})
            pieces = self._pieces(copy.stream(meta.term), message.term)
            await self._transport.send_snapshot(replace(message, snapshot=meta), pieces)
        finally:  # a large file takes its time to vanish; nobody waits for that
            parts.env.run_blocking(Lane.READERS, copy.close)

    async def _pieces(self, stream: Iterator[bytes], term: int) -> AsyncIterator[bytes]:
        while piece := await finished(self._parts.env.run_blocking(Lane.READERS, next, stream, b"")):
            if self._node.term != term:
                raise PeerUnreachable("this member's term is over")
            yield piece


class Receiver:
    """Takes the store from a leader: one transfer at a time, the newest one."""

    def __init__(self, parts: Parts, node: Node, metrics: SnapshotMetrics) -> None:
        self._parts = parts
        self._node = node
        self._metrics = metrics.received
        self._running: asyncio.Task[None] | None = None
        self._term = 0
        """Of the transfer that is running."""

    async def receive(self, message: Message, stream: AsyncIterator[bytes]) -> None:
        """Returns when the store is durable and the core has got the SNAP; what is not wanted is not read.

        Half a transfer leaves nothing behind. The caller bounds the time in which nothing comes.
        Raises: Refused, and what the stream raises.
        """
        meta = message.snapshot
        if message.type is not MessageType.SNAP or meta is None:
            raise Refused(HTTPStatus.CONFLICT, "a snapshot must come with its message")
        if self._is_old(meta):
            self._node.step(message)
            return
        if self._running is not None:
            if message.term < self._term:
                raise Refused(HTTPStatus.CONFLICT, "a snapshot of a later term is being received")
            self._running.cancel()
        task = self._running = asyncio.ensure_future(self._receive(message, meta, stream))
        self._term = message.term
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait([task])
            raise
        finally:
            if self._running is task:
                self._running = None
        if task.cancelled():
            raise Refused(HTTPStatus.CONFLICT, "another snapshot has come meanwhile")
        task.result()

    async def close(self) -> None:
        """Ends the transfer that is running."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    def _is_old(self, meta: SnapshotMeta) -> bool:
        """Whether this member has all of it already, be it as the snapshot that is being installed."""
        return meta.index <= self._node.status().commit

    async def _receive(self, message: Message, meta: SnapshotMeta, stream: AsyncIterator[bytes]) -> None:
        monotonic = self._parts.env.monotonic
        started, ok = monotonic(), False
        fields = {
            "remote-snapshot-sender-id": f"{message.sender:x}",
            "snapshot-index": meta.index,
            "snapshot-term": meta.term,
        }
        log.info("receiving database snapshot", extra={"fields": fields})
        self._metrics.began(message.sender)
        try:
            await self._store(message, meta, stream)
            ok = True
            log.info("received and saved database snapshot", extra={"fields": fields})
        except (SnapshotInvalid, OSError) as error:
            log.warning("failed to receive a database snapshot", extra={"fields": fields | {"error": f"{error}"}})
            raise Refused(HTTPStatus.CONFLICT, f"{error}") from error
        finally:
            self._metrics.ended(message.sender, monotonic() - started, ok=ok)

    async def _store(self, message: Message, meta: SnapshotMeta, stream: AsyncIterator[bytes]) -> None:
        stores, run = self._parts.stores, self._parts.env.run_blocking
        incoming = await finished(run(Lane.READERS, stores.receive, meta), Incoming.discard)
        try:
            unpacking = Unpacking()
            async for data in stream:
                await finished(run(Lane.READERS, _take, unpacking, incoming, data))
            await finished(run(Lane.READERS, _check, unpacking, incoming, meta))
            if not self._is_old(meta):
                await finished(run(Lane.READERS, incoming.keep))
        finally:
            await run(Lane.READERS, incoming.discard)
        self._node.step(message)
        if not self._node.is_taking(meta):
            await run(Lane.READERS, stores.remove, incoming.final)


def _take(unpacking: Unpacking, incoming: Incoming, data: bytes) -> None:
    content = unpacking.feed(data)
    if content:
        incoming.write(content)


def _check(unpacking: Unpacking, incoming: Incoming, meta: SnapshotMeta) -> None:
    """Makes a store durable that has come whole, and looks whether it is what the message says.

    Raises: SnapshotInvalid.
    """
    head = unpacking.finish()
    if (head.term, head.index) != (meta.term, meta.index):
        raise SnapshotInvalid(f"the store is as of {head.term}/{head.index}, not of {meta.term}/{meta.index}")
    incoming.sync()
    if conf_state(inspect(incoming.path, meta.index)) != meta.conf_state:
        raise SnapshotInvalid("the store has other members than its message says")
