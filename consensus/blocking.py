"""Blocking calls as seen from tasks that may be cancelled, and the event that the machine is nobody's work in hand."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def finished(call: Awaitable[T], undo: Callable[[T], object] | None = None) -> T:
    """The result of a blocking call. Cancelled meanwhile, it is waited for first, and `undo` gets what it has made.

    A thread cannot be stopped: whatever it works on must not be closed before.
    Raises: what the call raises.
    """
    future = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        if undo is not None and future.exception() is None:
            undo(future.result())
        raise


class Whole(asyncio.Event):
    """Set while the machine may be looked at: no command is half applied, no store is being exchanged."""

    async def wait(self) -> bool:  # type: ignore[override]  # typeshed promises that it answers True
        """Returns when it is set at that moment: an Event's own wait also returns when it was set and cleared again."""
        while not self.is_set():
            await super().wait()
        return True
