"""Brings applied rows into SQLite in short intervals, checkpoints, and cuts the log behind them.

The log is cut only below an index that a completed checkpoint holds durably, so that a restart finds every entry
that SQLite may have lost.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from consensus.env import Env, Lane
from consensus.metrics import Metrics
from consensus.options import Options
from consensus.wal import Wal
from storage.machine import Machine
from storage.writer import Batch

log = logging.getLogger(__name__)

CHECKPOINT_BYTES = 64 * 1024 * 1024
"""Rows flushed since the last checkpoint, in bytes, that call for one whatever the entry count says."""


@dataclass(frozen=True, slots=True)
class _Writing:
    """A batch on its way."""

    batch: Batch
    started: float
    done: Awaitable[None]


class Flush:
    """The periodic part of one member's persistence."""

    def __init__(
        self, machine: Machine, wal: Wal, whole: asyncio.Event, env: Env, options: Options, metrics: Metrics
    ) -> None:
        """`whole` is clear while a command is half applied."""
        self._whole = whole
        self._writing: _Writing | None = None
        self._size_before = 0
        self.flushed_index = machine.applied_index
        """Up to here SQLite has committed everything."""
        self.wake = asyncio.Event()
        """Set to have the next turn at once."""
        self.keeps_log: Callable[[], bool] = lambda: False
        """Whether somebody needs the log as it is: nothing is cut meanwhile."""
        self._machine = machine
        self._flushed_bytes = 0
        self._wal = wal
        self._env = env
        self._options = options
        self._metrics = metrics
        self._cut_at = machine.applied_index
        self.turned = env.monotonic()
        """When the last turn ended, for the liveness check."""

    async def run(self) -> None:
        """Flushes each batch interval until cancelled.

        Raises: whatever the disk says; nobody may go on after that.
        """
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._options.batch_interval):
                    await self.wake.wait()
            self.wake.clear()
            await self.once()

    async def once(self) -> None:
        """Flushes what is pending and, when it is time, checkpoints and cuts."""
        await self.flush()
        applied = self._machine.applied_index
        if applied - self._cut_at >= self._options.snapshot_count and not self.keeps_log():
            self._cut_at = applied
            await self._cut(applied)
        elif self._flushed_bytes > CHECKPOINT_BYTES:
            await self.checkpoint()
        self.turned = self._env.monotonic()

    @property
    def database_bytes(self) -> int:
        """Size of the database without what is on its way: that is still among the machine's pending bytes."""
        return self._size_before if self._writing else self._machine.writer.size.total

    @property
    def writing_bytes(self) -> int:
        """Bytes of rows that are on their way into SQLite."""
        return self._writing.batch.size if self._writing else 0

    async def up_to(self, index: int) -> None:
        """Returns once everything applied up to `index` is committed in SQLite."""
        while self.flushed_index < index:
            await self.flush()

    async def close(self) -> None:
        """Flushes and checkpoints one last time, so that the next start replays little; after `run` was cancelled."""
        while await self.flush():
            pass
        await self.checkpoint()

    async def flush(self) -> bool:
        """Brings what has been applied into SQLite; tells whether there was anything.

        Cancelled meanwhile, the write goes on, and the next call takes up its end.
        """
        if self._writing is None:
            await self._whole.wait()
        if self._writing is None and not self._begin():  # somebody else who waited may have begun
            return False
        writing = self._writing
        assert writing is not None
        await asyncio.shield(writing.done)
        if self._writing is writing:  # nobody else has waited for the same one
            self._writing = None
            self._metrics.backend_commit.observe(self._env.monotonic() - writing.started)
            self._machine.committed(writing.batch)
            self.flushed_index = writing.batch.applied_index
            self._flushed_bytes += writing.batch.size
        return True

    def _begin(self) -> bool:
        """Starts to write a batch, if there is one."""
        machine = self._machine
        batch = machine.batch()
        if batch is None:
            return False
        started = self._env.monotonic()
        self._size_before = machine.writer.size.total
        self._writing = _Writing(batch, started, self._env.run_blocking(Lane.DATABASE, machine.writer.flush, batch))
        return True

    async def settled(self) -> None:
        """Returns when no batch is on its way."""
        if self._writing is not None:
            await self.flush()

    def exchanged(self) -> None:
        """Begins again with the machine's store, which is another one; nothing is on its way."""
        self.flushed_index = self._cut_at = self._machine.applied_index
        self._flushed_bytes = 0

    async def checkpoint(self) -> int | None:
        """Makes what was flushed durable in the main file; answers its index, None if a reader holds some back."""
        await self._whole.wait()
        started = self._env.monotonic()
        durable = await self._env.run_blocking(Lane.DATABASE, self._machine.writer.checkpoint)
        self._metrics.checkpoint.observe(self._env.monotonic() - started)
        if durable is not None:
            self._flushed_bytes = 0
        return durable

    async def _cut(self, applied: int) -> None:
        durable = await self.checkpoint()
        if durable is None:
            log.warning(
                "checkpoint is incomplete, the log stays as it is", extra={"fields": {"applied-index": applied}}
            )
            return
        index = min(durable, applied - self._options.snapshot_catchup_entries)
        if index >= self._wal.first_index():
            await self._env.run_blocking(Lane.LOG, self._wal.cut, index)
            log.info(
                "compacted Raft logs",
                extra={"fields": {"compact-index": index, "first-index": self._wal.first_index()}},
            )
