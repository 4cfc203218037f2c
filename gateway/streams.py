"""Streams other than watches: lease keepalive and the observing of an election, and what all streams have in common."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from typing import Any

from starlette.types import Receive, Scope, Send

from gateway.auth import lift
from gateway.backend import Backend
from gateway.concurrency import Concurrency
from gateway.errors import error_reply, unexpected_reply
from gateway.lines import result_line
from gateway.metrics import RouteStats
from gateway.options import Options
from gateway.replies import JSON, Headers
from gateway.tally import Tally
from gateway.wire import Alongside, ClientGone, Cut, HttpWire, Requests, Wire
from raftgate.api.concurrency import LeaderRequest, LeaderResponse
from raftgate.api.errors import DeadlineExceeded, EtcdError, Internal, MethodNotAllowed, Stopped
from raftgate.api.lease import LeaseKeepAliveRequest
from raftgate.api.message import Caller
from raftgate.api.services import Rpc

_SUCCESS: Headers = [*JSON, (b"grpc-metadata-content-type", b"application/grpc")]
GONE = 499  # nginx's status of a client that left before its answer began
_METHOD_NOT_ALLOWED = error_reply(MethodNotAllowed())

_REFUSAL_SECONDS = 0.1
"""How long an observation that might be refused is waited for before its stream is called open."""


class StreamRpc(ABC):
    """One streaming RPC in front of a backend, whatever carries it."""

    def __init__(self, rpc: Rpc, options: Options) -> None:
        self._stats = options.metrics.rpc(rpc)
        self._options = options

    @abstractmethod
    async def serve(self, wire: Wire, caller: Caller) -> None:
        """Serves one client to the end of its stream.

        Raises: errors of the catalogue, ClientGone.
        """

    def _tally(self, kind: str) -> Tally:
        return Tally(self._options.metrics.streams, self._stats, kind, self._options.clock)


class KeepAlive(StreamRpc):
    """Answers each message with a call of the backend; ends with the request."""

    def __init__(self, rpc: Rpc, backend: Backend, options: Options) -> None:
        super().__init__(rpc, options)
        self._backend = backend

    async def serve(self, wire: Wire, caller: Caller) -> None:
        """Answers in order; a refusal of the first message comes before the stream."""
        requests = Requests(LeaseKeepAliveRequest, wire, self._options)
        request = await requests.read()
        with self._tally("lease_keepalive") as tally:
            while request is not None:
                tally.received()
                response = await self._backend.call(request, caller)
                await wire.start()
                await wire.write(result_line(response))
                tally.sent()
                request = await requests.read()


class Observe(StreamRpc):
    """Tells who leads; the stream ends when the client goes."""

    def __init__(self, rpc: Rpc, concurrency: Concurrency, options: Options) -> None:
        super().__init__(rpc, options)
        self._concurrency = concurrency

    async def serve(self, wire: Wire, caller: Caller) -> None:
        """Reads one message, as of a unary call, and answers with many."""
        requests = Requests(LeaderRequest, wire, self._options)
        request = await requests.read() or LeaderRequest()
        requests.stop()
        with self._tally("observe") as tally:
            tally.received()
            async with Alongside(wire.gone()):
                answers = self._concurrency.observe(request, caller)
                try:
                    await self._pass_on(answers, wire, tally)
                finally:
                    if isinstance(answers, AsyncGenerator):
                        await answers.aclose()

    async def _pass_on(self, answers: AsyncIterator[LeaderResponse], wire: Wire, tally: Tally) -> None:
        first = asyncio.ensure_future(anext(answers))
        try:
            await asyncio.wait((first,), timeout=_REFUSAL_SECONDS)
            if not first.done():
                await wire.start(endless=True)
            response = await first
        finally:
            if not first.done():
                first.cancel()
                await asyncio.wait((first,))
        await wire.start(endless=True)
        await wire.write(result_line(response))
        tally.sent()
        async for response in answers:
            await wire.write(result_line(response))
            tally.sent()


async def in_time(work: Coroutine[Any, Any, None], caller: Caller) -> None:  # Any: neither is used
    """Runs work until the caller's deadline.

    Raises: DeadlineExceeded, and whatever the work raises.
    """
    if not caller.timeout:
        await work
        return
    limit = asyncio.timeout(caller.timeout)
    try:
        async with limit:
            await work
    except TimeoutError:
        if not limit.expired():
            raise
        raise DeadlineExceeded from None


class StreamEndpoint:
    """A path of a streaming RPC, with JSON lines both ways."""

    def __init__(self, rpc: StreamRpc, kind: str, stats: RouteStats, options: Options) -> None:
        """`kind` is the carrier's name in metrics."""
        self._rpc = rpc
        self._kind = kind
        self._stats = stats
        self._options = options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        self._stats.begin()
        wire = HttpWire(self._kind, scope, receive, send, _SUCCESS)
        try:
            await self._answer(scope, wire)
        finally:
            self._stats.record(scope["method"], wire.status or GONE, wire.received, wire.sent, None)
            self._stats.end()

    async def _answer(self, scope: Scope, wire: HttpWire) -> None:
        try:
            if scope["method"] != "POST":
                await wire.refuse(_METHOD_NOT_ALLOWED)
                return
            caller = lift(scope["headers"])
            await in_time(self._rpc.serve(wire, caller), caller)
            await wire.finish()
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - whatever it was, the client is answered
            await end_with(error, wire, self._stats.route)


async def end_with(error: Exception, wire: HttpWire, where: str) -> None:
    """Ends a stream that has failed.

    Raises: Cut, when the server stops.
    """
    if isinstance(error, Stopped) and wire.status:
        raise Cut from None
    if not isinstance(error, EtcdError):
        unexpected_reply(error, where)
        error = Internal()
    await wire.fail(error)
