"""Watches over any wire: requests in and responses out at the same time."""

import asyncio

from gateway.backend import Backend, WatchStream
from gateway.lines import Rendered, result_line
from gateway.options import Options
from gateway.streams import StreamRpc
from gateway.tally import Tally
from gateway.wire import Alongside, Requests, Wire
from raftgate.api.message import Caller
from raftgate.api.services import Rpc
from raftgate.api.watch import WatchRequest

_TURN = 32  # requests after which the reading waits for the writing


class Watch(StreamRpc):
    """Passes a client's requests to a stream of the backend, and its responses to the client."""

    def __init__(self, rpc: Rpc, backend: Backend, options: Options) -> None:
        super().__init__(rpc, options)
        self._backend = backend
        self._lines = Rendered(result_line)

    async def serve(self, wire: Wire, caller: Caller) -> None:
        """Goes on after the end of the request, until the client or the backend ends it."""
        requests = Requests(WatchRequest, wire, self._options)
        first = await requests.read()
        with self._tally(wire.kind) as tally:
            stream = await self._backend.watch(caller)
            try:
                await wire.start(endless=True)
                if first is not None:
                    tally.received()
                    stream.send(first)
                session = _Session(stream, wire, self._lines, tally)
                async with Alongside(session.read(requests)):
                    await session.write()
            finally:
                stream.close()


class _Session:
    """The two halves of a stream that has been opened."""

    __slots__ = ("_is_writing", "_lines", "_stream", "_tally", "_turn", "_wire")

    def __init__(self, stream: WatchStream, wire: Wire, lines: Rendered, tally: Tally) -> None:
        self._stream = stream
        self._wire = wire
        self._lines = lines
        self._tally = tally
        self._is_writing = False
        self._turn: asyncio.Future[None] | None = None

    async def read(self, requests: Requests[WatchRequest]) -> None:
        """Passes on what the client asks for, until it goes."""
        count = 0
        while (request := await requests.read()) is not None:
            self._tally.received()
            self._stream.send(request)
            count += 1
            if count % _TURN == 0 and self._is_writing:  # who does not read is not listened to
                self._turn = asyncio.get_running_loop().create_future()
                await self._turn
        await self._wire.gone()

    async def write(self) -> None:
        """Passes on what there is to tell, until the backend ends the stream."""
        stream, wire, lines, tally = self._stream, self._wire, self._lines, self._tally
        while True:
            responses = await stream.receive()
            self._is_writing = True
            for response in responses:
                line = lines.get(response)
                if line is None:
                    line = await lines.make(response)
                await wire.write(line)
                tally.sent(len(response.events))
            self._is_writing = False
            if self._turn is not None and not self._turn.done():
                self._turn.set_result(None)
