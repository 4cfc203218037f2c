"""Watch streams between a member and its clients: responses travel in order, and the connection may break."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import copy_context

from consensus.server import Server
from consensus.watch_stream import WatchStream
from raftgate.api.message import Caller
from raftgate.api.watch import WatchRequest, WatchResponse
from tests.sim.loop import Process, VirtualLoop


class Broken(Exception):
    """The stream has ended; all that was told before has been taken."""


class Stream:
    """One stream as its client sees it."""

    def __init__(self, loop: VirtualLoop, trip: Callable[[], float]) -> None:
        """`trip` draws the seconds between client and member, one way."""
        self._loop = loop
        self._trip = trip
        self._outside = copy_context()
        self._arrived: deque[WatchResponse] = deque()
        self._arrival = 0.0
        """When the last thing arrives that is on its way: nothing overtakes it."""
        self._waiter: asyncio.Future[None] | None = None
        self._is_broken = False
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._watch: WatchStream | None = None
        self._unsent: list[WatchRequest] = []

    # ---- the client's side ----

    def send(self, request: WatchRequest) -> None:
        """Sends a request."""
        if self._watch is None:
            self._unsent.append(request)
        elif self._process is not None:
            self._process.later(self._trip(), self._watch.send, request)

    async def receive(self, patience: float) -> WatchResponse:
        """Waits for a response; `patience`: seconds.

        Raises: Broken, TimeoutError.
        """
        deadline = self._loop.time() + patience
        while not self._arrived:
            if self._is_broken:
                raise Broken
            if self._loop.time() >= deadline:
                raise TimeoutError
            self._waiter = self._loop.create_future()
            self._loop.call_at(deadline, self._wake, self._waiter)
            await self._waiter
        return self._arrived.popleft()

    def close(self) -> None:
        """The client goes away; the member learns of it."""
        if self._process is not None and self._task is not None:
            self._process.later(self._trip(), self._task.cancel)
        self._is_broken = True

    # ---- the member's side ----

    def serve(self, process: Process, server: Server) -> "asyncio.Task[None]":
        """Has a member serve it, until one of them ends it."""
        self._process = process
        self._task = process.spawn(self._run(server))
        return self._task

    async def _run(self, server: Server) -> None:
        self._watch = watch = await server.watch(Caller())
        try:
            for request in self._unsent:
                watch.send(request)
            while True:
                for response in await watch.receive():
                    self.deliver(response)
        finally:
            watch.close()

    def deliver(self, response: WatchResponse) -> None:
        """Sends a response to the client."""
        self._behind(self._arrive, response)

    def disconnect(self) -> None:
        """Breaks the connection, behind what is on its way."""
        self._behind(self._break)

    def _behind(self, take: Callable[..., None], *what: object) -> None:
        self._arrival = max(self._arrival + 1e-9, self._loop.time() + self._trip())
        self._loop.call_at(self._arrival, take, *what, context=self._outside)

    def _arrive(self, response: WatchResponse) -> None:
        self._arrived.append(response)
        self._wake(self._waiter)

    def _break(self) -> None:
        self._is_broken = True
        self._wake(self._waiter)

    def _wake(self, waiter: "asyncio.Future[None] | None") -> None:
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
