"""One stream as it is counted: by its kind, and as a call of its RPC."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from gateway.metrics import RpcStats
from gateway.stream_metrics import StreamStats
from gateway.wire import STOPPED, ClientGone
from raftgate.api.errors import Code, Compacted, DeadlineExceeded, EtcdError, NoLeader, Stopped


class Tally:
    """Counts one stream while it is entered, and what passes over it."""

    __slots__ = ("_began", "_clock", "_kind", "_rpc", "_streams", "reason")

    def __init__(self, streams: StreamStats, rpc: RpcStats, kind: str, clock: Callable[[], float]) -> None:
        self._streams = streams
        self._rpc = rpc
        self._kind = kind
        self._clock = clock
        self._began = 0.0
        self.reason = "client"
        """Why the stream closed, unless an error tells."""

    def received(self) -> None:
        """Counts a message of the client."""
        self._rpc.received += 1

    def sent(self, events: int = 0) -> None:
        """Counts a message to the client, and the events in it."""
        self._rpc.sent += 1
        self._streams.events[self._kind] += events

    def __enter__(self) -> Self:
        self._began = self._clock()
        self._rpc.started += 1
        self._streams.open[self._kind] += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        code, reason = _verdict(error) if error is not None else (Code.OK, self.reason)
        self._rpc.finish(code, self._clock() - self._began)
        self._streams.open[self._kind] -= 1
        self._streams.closed[self._kind, reason] += 1


def _verdict(error: BaseException) -> tuple[Code, str]:
    """The code of the RPC, and why the stream closed."""
    if isinstance(error, asyncio.CancelledError):
        return (Code.UNAVAILABLE, "shutdown") if STOPPED in error.args else (Code.CANCELED, "client")
    if isinstance(error, ClientGone):
        return Code.CANCELED, "client"
    if not isinstance(error, EtcdError):
        return Code.INTERNAL, "error"
    reasons = {Stopped: "shutdown", NoLeader: "no_leader", Compacted: "compacted", DeadlineExceeded: "client"}
    return error.code, reasons.get(type(error), "error")
