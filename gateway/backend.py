"""All that the gateway sees of the store behind it."""

from collections.abc import Sequence
from typing import Protocol

from raftgate.api.message import Caller, R, Request
from raftgate.api.watch import WatchRequest, WatchResponse


class WatchStream(Protocol):
    """Watches of one caller that share a stream; what is received keeps the order in which it happened."""

    def send(self, request: WatchRequest) -> None:
        """Takes a request; whatever there is to say to it comes by `receive`."""
        ...

    async def receive(self) -> Sequence[WatchResponse]:
        """Waits for the next responses, one at least; two streams may be given the same object.

        Who does not ask for more is set aside: the stream holds a bounded number of responses.

        Raises: EtcdError when the stream is over.
        """
        ...

    def close(self) -> None:
        """Ends all watches of the stream; may be called again."""
        ...


class Service(Protocol):
    """What answers unary requests."""

    async def call(self, request: Request[R], caller: Caller) -> R:
        """Answers one unary request, or one message of a lease keepalive.

        Cancelling the call ends the waiting only: a write that was proposed stays proposed.

        Raises: errors of the catalogue.
        """
        ...


class Backend(Service, Protocol):
    """A store: this process's own server, one reached over the network, or a double."""

    async def watch(self, caller: Caller) -> WatchStream:
        """Opens a stream of watches, to be closed.

        Raises: errors of the catalogue.
        """
        ...
