"""All that the gateway sees of the store behind it."""

from typing import Protocol

from raftgate.api.message import Caller, R, Request


class Backend(Protocol):
    """A store: this process's own server, one reached over the network, or a double."""

    async def call(self, request: Request[R], caller: Caller) -> R:
        """Answers one unary request.

        Cancelling the call ends the waiting only: a write that was proposed stays proposed.

        Raises: errors of the catalogue.
        """
        ...
