"""A store on its way from member to member (`consensus.transport.Transport.send_snapshot`).

It travels in parts, and may be interrupted at each.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Self

from consensus.peer_http import PeerUnreachable
from consensus.peer_identity import Refused
from consensus.raft.types import Message
from tests.sim.loop import Process, VirtualLoop

PART: Final = 8 << 10
"""Bytes that travel at once."""
PATIENCE: Final = 5.0
"""Seconds after which a sender that has sent everything gives up."""

OnSnapshot = Callable[[Message, AsyncIterator[bytes]], Awaitable[None]]


class Transfer:
    """The parts that have arrived, as the receiving side takes them, and what it answers."""

    def __init__(self, loop: VirtualLoop, process: Process) -> None:
        """`process`: the receiver's."""
        self._loop = loop
        self._process = process
        self._parts: deque[bytes] = deque()
        self._is_whole = False
        self._is_broken = False
        self._waiter: asyncio.Future[None] | None = None
        self.answer: asyncio.Future[None] = loop.create_future()
        """Done when the receiver has taken all of it, or how it did not."""

    def begin(self, on_snapshot: OnSnapshot, message: Message) -> None:
        """Has the receiver begin."""
        self._process.later(0.0, self._begin, on_snapshot, message)

    def send(self, part: bytes) -> None:
        """A part has arrived."""
        self._process.later(0.0, self._arrive, part)

    def finish(self) -> None:
        """That was all; gives up when no answer comes."""
        self._process.later(0.0, self._end)
        self._loop.call_later(PATIENCE, self.fail)

    def fail(self) -> None:
        """The connection is gone; both sides learn of it."""
        self._is_broken = True
        self._wake()
        self._settle(PeerUnreachable("the connection was lost"))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._parts:
            if self._is_whole:
                raise StopAsyncIteration
            if self._is_broken:
                raise PeerUnreachable("the connection was lost")
            self._waiter = self._loop.create_future()
            await self._waiter
        return self._parts.popleft()

    def _begin(self, on_snapshot: OnSnapshot, message: Message) -> None:
        async def take() -> None:
            try:
                await on_snapshot(message, self)
            except (PeerUnreachable, Refused) as error:
                self._settle(error)
            else:
                self._settle(None)

        self._process.spawn(take())

    def _arrive(self, part: bytes) -> None:
        self._parts.append(part)
        self._wake()

    def _end(self) -> None:
        self._is_whole = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _settle(self, error: Exception | None) -> None:
        if self.answer.done():
            return
        if error is None:
            self.answer.set_result(None)
        else:
            self.answer.set_exception(error)
            self.answer.exception()  # perhaps nobody is there to take it
