"""Lets a store that was received take the place of the present one, while all that uses it goes on.

The order makes a stop at any moment harmless: the new store is durable under its name; it is loaded, while the old one
still answers; everybody who uses the old one is held up; CURRENT names the new one; the log begins anew behind it; the
old one is removed. A stop between the last but two steps leaves a store that is ahead of its log, which
`finish_interrupted` tells by the store's name.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from consensus.blocking import finished
from consensus.data_dir import Stores, began_with
from consensus.env import Env, Lane
from consensus.flush import Flush
from consensus.raft.errors import Compacted, Unavailable
from consensus.raft.types import SnapshotMeta
from consensus.snapshot_metrics import SnapshotMetrics
from consensus.wal import Wal
from storage.machine import Machine
from storage.opening import Opened
from storage.schema import DatabaseRefused

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What of a member takes part in an exchange."""

    machine: Machine
    wal: Wal
    flush: Flush
    whole: asyncio.Event
    """Clear while nobody may look at the machine."""
    stores: Stores
    env: Env


class Installer:
    """Exchanges one member's store."""

    def __init__(self, parts: Parts, metrics: SnapshotMetrics, installed: Callable[[], None]) -> None:
        """`installed` is called when all is as of the new store, before anybody looks at it."""
        self._parts = parts
        self._metrics = metrics
        self._installed = installed

    async def install(self, meta: SnapshotMeta) -> None:
        """Returns when the store of a snapshot is in use, and the log begins behind it.

        Cancelled while it loads, nothing has happened; later, it goes on to the end first.
        Raises: DatabaseRefused, OSError; nobody may go on after that.
        """
        parts = self._parts
        fields = {"snapshot-index": meta.index, "snapshot-term": meta.term}
        log.info("applying snapshot", extra={"fields": fields | {"applied-index": parts.machine.applied_index}})
        self._metrics.installing.set(1)
        try:
            opened = await self._load(meta)
            found = opened.content.applied_index
            if found != meta.index:
                opened.close()
                raise DatabaseRefused(f"{parts.stores.path(meta)}: the store is as of {found}, not of {meta.index}")
            switching = asyncio.ensure_future(self._switch(meta, opened))
            try:
                await asyncio.shield(switching)
            except asyncio.CancelledError:
                await asyncio.wait([switching])  # half an exchange could not be closed in order
                raise
        finally:
            self._metrics.installing.set(0)
        log.info("applied snapshot", extra={"fields": fields})

    async def _load(self, meta: SnapshotMeta) -> Opened:
        parts = self._parts
        loading = parts.env.run_blocking(Lane.DATABASE, parts.machine.load, parts.stores.path(meta))
        return await finished(loading, Opened.close)

    async def _switch(self, meta: SnapshotMeta, opened: Opened) -> None:
        parts = self._parts
        machine, run = parts.machine, parts.env.run_blocking
        old = machine.database.path
        await parts.whole.wait()
        parts.whole.clear()
        try:
            await parts.flush.settled()
            await run(Lane.DATABASE, machine.close)
            await run(Lane.DATABASE, parts.stores.use, meta)
            await run(Lane.LOG, parts.wal.restore, meta)
            machine.install(opened)
            parts.flush.exchanged()
            self._installed()
        finally:
            parts.whole.set()
        await run(Lane.DATABASE, parts.stores.remove, old)


def finish_interrupted(machine: Machine, wal: Wal) -> bool:
    """Begins the log anew if a stop has come between the exchange of the store and that of the log; blocking.

    Such a store is as of the snapshot that its name tells, and the log does not have that entry.
    """
    meta = began_with(machine.database.path)
    if not meta.index or machine.applied_index != meta.index:
        return False
    try:
        if wal.term(meta.index) == meta.term:
            return False
    except Unavailable:
        pass
    except Compacted:  # it was cut behind what the store has applied: this is no exchange
        return False
    log.warning("finishing an interrupted snapshot", extra={"fields": {"snapshot-index": meta.index}})
    wal.restore(meta)
    return True
