"""Reads that need SQLite: prepared on the loop, run in a reader's thread, closed on the loop."""

from typing import Protocol, TypeVar

from consensus.env import Env, Lane

R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


class Fetch(Protocol[R_co]):
    """A read of rows that memory does not hold."""

    def run(self) -> R_co:
        """Reads; in any thread."""
        ...

    def close(self) -> None:
        """Lets compaction go on below the revision that was read; on the loop, whatever became of `run`."""
        ...


async def fetched(env: Env, fetch: Fetch[R]) -> R:
    """The result of a read, which keeps the loop free.

    Raises: what `run` raises.
    """
    try:
        return await env.run_blocking(Lane.READERS, fetch.run)
    finally:
        fetch.close()
