"""Removes what a compaction has made unreadable, in small steps behind everything else, and gives the space back.

Readers go by the replicated compact revision from the moment it is applied; this is only about space.
"""

import asyncio

from consensus.env import Env, Lane
from consensus.flush import Flush
from storage.machine import Machine

RETRY = 0.05
"""Seconds until a step is tried again that had to wait for a reader below its revision."""
VACUUM_PAGES = 64
"""Pages given back in one transaction: about a millisecond."""


class Compaction:
    """The physical side of compaction on one member."""

    def __init__(self, machine: Machine, flush: Flush, whole: asyncio.Event, env: Env, pause: float) -> None:
        """`whole` is clear while a command is half applied; `pause`: seconds between two steps."""
        self._machine = machine
        self._flush = flush
        self._whole = whole
        self._env = env
        self._pause = pause
        self._asked = asyncio.Event()
        self._asked.set()  # a restart takes up what was left
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def ask(self) -> None:
        """Tells that a compaction has been applied."""
        self._asked.set()

    async def done(self, revision: int) -> None:
        """Returns once the history below `revision` is gone from the store, durably."""
        if self._machine.compaction_done(revision):
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((revision, future))
        await future

    async def run(self) -> None:
        """Takes step by step until cancelled.

        Raises: what SQLite says; nobody may go on after that.
        """
        while True:
            await self._asked.wait()
            self._asked.clear()
            await self._remove()
            await self._vacuum()

    async def _remove(self) -> None:
        machine = self._machine
        self._tell()  # another store may have it done already
        while not machine.compaction_done(machine.compact_revision):
            await self._whole.wait()
            step = machine.compaction_step()
            if step is None:
                if self._flush.flushed_index < machine.applied_index:
                    await self._flush.up_to(machine.applied_index)
                else:
                    await asyncio.sleep(RETRY)
                continue
            await self._env.run_blocking(Lane.DATABASE, machine.writer.delete, step)
            await self._whole.wait()
            machine.compacted(step)
            self._tell()
            await asyncio.sleep(self._pause if step.row_ids else 0)

    async def _vacuum(self) -> None:
        """Gives free pages back; the file shrinks with the checkpoint behind."""
        freed = 0
        await self._whole.wait()
        while count := await self._env.run_blocking(Lane.DATABASE, self._machine.writer.vacuum, VACUUM_PAGES):
            freed += count
            await asyncio.sleep(self._pause)
            await self._whole.wait()
        if freed:
            await self._flush.checkpoint()

    def _tell(self) -> None:
        for revision, future in self._waiting:
            if self._machine.compaction_done(revision) and not future.done():
                future.set_result(None)
        self._waiting = [(revision, future) for revision, future in self._waiting if not future.done()]
