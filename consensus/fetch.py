"""Reads that need SQLite or many pieces: gathered on the loop, run in a reader's thread, closed on the loop."""

import asyncio
from collections.abc import Iterator
from typing import Protocol, TypeVar

from consensus.env import Env, Lane

R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


BREATH = 0.001
"""Seconds between two pieces: threads get the interpreter at once while the loop waits, and only by force while not."""


class Fetch(Protocol[R_co]):
    """A read that memory alone does not answer at once."""

    def collect(self) -> Iterator[None]:
        """Gathers on the loop, piece by piece."""
        ...

    def run(self) -> R_co:
        """Reads the rest; in any thread."""
        ...

    def close(self) -> None:
        """Lets compaction go on below the revision that was read; on the loop, whatever became of `run`."""
        ...


async def fetched(env: Env, whole: asyncio.Event, fetch: Fetch[R]) -> R:
    """The result of a read, which leaves the loop to others; `whole` is clear while a command is half applied.

    Raises: what `run` raises.
    """
    try:
        for _ in fetch.collect():
            await asyncio.sleep(BREATH)
            await whole.wait()
        return await env.run_blocking(Lane.READERS, fetch.run)
    finally:
        fetch.close()
