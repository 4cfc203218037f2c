"""The frame around every route: one answer, counted, and nothing that a fault could leak."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable

from starlette.types import Receive, Scope, Send

from gateway.errors import unexpected_reply
from gateway.metrics import RouteStats
from gateway.replies import Reply, send_reply


class Endpoint(ABC):
    """An ASGI application that answers one route; Starlette calls a class's instance without wrapping it."""

    def __init__(self, stats: RouteStats, clock: Callable[[], float]) -> None:
        self._stats = stats
        self._clock = clock

    @abstractmethod
    async def reply(self, scope: Scope, receive: Receive) -> Reply:
        """Makes the answer to a request of any method."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        began = self._clock()
        stats = self._stats
        stats.begin()
        try:
            try:
                reply = await self.reply(scope, receive)
            except Exception as error:  # noqa: BLE001 - whatever it was, it is logged and the client is answered
                reply = unexpected_reply(error, stats.route)
            size = reply.size
            await send_reply(scope, send, reply)
            seconds = self._clock() - began
            stats.record(scope["method"], reply.status, reply.received, size, seconds)
        finally:
            stats.end()


class Plain(Endpoint):
    """A route whose answer comes from a function of the scope."""

    def __init__(
        self, stats: RouteStats, clock: Callable[[], float], answer: Callable[[Scope], Awaitable[Reply]]
    ) -> None:
        super().__init__(stats, clock)
        self._answer = answer

    async def reply(self, scope: Scope, receive: Receive) -> Reply:  # noqa: ARG002 - it reads no body
        """The function's answer."""
        return await self._answer(scope)
