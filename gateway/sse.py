"""A watch as server-sent events: what a browser, a function or a shell can follow and resume without loss."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from starlette.types import Receive, Scope, Send

from gateway import sse_events
from gateway.auth import lift
from gateway.backend import Backend, WatchStream
from gateway.errors import unexpected_reply
from gateway.limits import BodyRefused, read_body
from gateway.lines import Rendered
from gateway.metrics import RouteStats
from gateway.options import Options
from gateway.replies import Headers
from gateway.sse_events import COMMENT, Position
from gateway.sse_query import Query, Wish, parse_query, read_wish
from gateway.streams import GONE
from gateway.tally import Tally
from gateway.wire import Alongside, ClientGone, Cut, HttpWire
from raftgate.api.errors import Compacted, DeadlineExceeded, EtcdError, Internal, InvalidArgument, Stopped
from raftgate.api.message import Caller
from raftgate.api.services import Rpc
from raftgate.api.watch import WatchProgressRequest, WatchRequest, WatchResponse

_HEADERS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
]
_PROGRESS = WatchRequest(progress_request=WatchProgressRequest())
_PROGRESS_SECONDS = 1.0  # that the answer to a progress request may take before a comment goes out instead

# What etcd's server says of a watch that it refuses (server/etcdserver/api/v3rpc/watch.go: isWatchPermitted).
_RPC_ERROR = re.compile(r"rpc error: code = (?:\w+) desc = (.*)", re.DOTALL)


class SseEndpoint:
    """A path of watches for requests that accept server-sent events."""

    def __init__(self, rpc: Rpc, backend: Backend, stats: RouteStats, options: Options) -> None:
        self._backend = backend
        self._stats = stats
        self._rpc = options.metrics.rpc(rpc)
        self._options = options
        self._blocks = {
            utf8: Rendered(partial(sse_events.event_blocks, utf8=utf8)) for utf8 in (False, True)
        }  # by encoding

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        self._stats.begin()
        wire = HttpWire("watch_sse", scope, receive, send, _HEADERS)
        try:
            await self._answer(scope, receive, wire)
        except ClientGone:
            pass
        except BodyRefused as refusal:
            await wire.refuse(refusal.reply)
        except Exception as error:  # noqa: BLE001 - whatever it was, the client is answered
            await self._end_with(error, wire)
        finally:
            self._stats.record(scope["method"], wire.status or GONE, wire.received, wire.sent, None)
            self._stats.end()

    async def _answer(self, scope: Scope, receive: Receive, wire: HttpWire) -> None:
        query = parse_query(scope.get("query_string", b""))
        caller = _caller(scope, query)
        body = await read_body(scope, receive, self._options) if scope["method"] == "POST" else None
        wish = read_wish(query, body, scope["headers"])
        seconds = min(filter(None, (wish.seconds, caller.timeout)), default=None)
        limit = asyncio.timeout(seconds)
        try:
            async with limit, Alongside(wire.gone()):
                await self._watch(wish, caller, wire)
        except TimeoutError:
            if not limit.expired():
                raise
            if not wire.status:
                raise DeadlineExceeded from None
        await wire.finish()

    async def _watch(self, wish: Wish, caller: Caller, wire: HttpWire) -> None:
        with Tally(self._options.metrics.streams, self._rpc, wire.kind, self._options.clock) as tally:
            stream = await self._backend.watch(caller)
            try:
                tally.received()
                stream.send(WatchRequest(create_request=wish.create))
                responses = await stream.receive()
                position = _opened(responses[0], wish)
                await wire.start(endless=True)
                await wire.write(sse_events.opening(position))
                teller = _Teller(wire, self._blocks[wish.utf8], wish, position, tally)
                if await teller.tell(responses[1:]):
                    await self._follow(stream, teller)
            finally:
                stream.close()

    async def _follow(self, stream: WatchStream, teller: "_Teller") -> None:
        """Tells of what happens, and now and then of how far that is, until the watch is over."""
        is_asked = False
        while True:
            try:
                async with asyncio.timeout(_PROGRESS_SECONDS if is_asked else self._options.sse_progress_seconds):
                    responses = await stream.receive()
            except TimeoutError:
                if is_asked:
                    await teller.comment()
                else:
                    stream.send(_PROGRESS)
                is_asked = not is_asked
                continue
            is_asked = False
            if not await teller.tell(responses):
                return

    async def _end_with(self, error: Exception, wire: HttpWire) -> None:
        if isinstance(error, Stopped) and wire.status:
            raise Cut from None
        if not isinstance(error, EtcdError):
            unexpected_reply(error, self._stats.route)
            error = Internal()
        if not wire.status:
            await wire.fail(error)
            return
        await wire.write(sse_events.canceled_block(error.text))
        await wire.finish()


class _Teller:
    """Writes to one client, and knows how far it has been told."""

    __slots__ = ("_blocks", "_position", "_resumed", "_tally", "_utf8", "_wire")

    def __init__(self, wire: HttpWire, blocks: Rendered, wish: Wish, position: Position, tally: Tally) -> None:
        self._wire = wire
        self._blocks = blocks
        self._utf8 = wish.utf8
        self._position = position
        self._resumed = position if position.events else None
        self._tally = tally

    async def comment(self) -> None:
        """Shows that the connection is alive."""
        await self._wire.write(COMMENT)

    async def tell(self, responses: Sequence[WatchResponse]) -> bool:
        """Tells of responses; false when the watch is over."""
        for response in responses:
            if response.canceled:
                await self._wire.write(self._last_block(response))
                self._tally.sent()
                return False
            if response.events:
                await self._events(response)
            elif not response.created and response.header is not None:
                await self._progress(response.header.revision)
        return True

    async def _events(self, response: WatchResponse) -> None:
        if self._resumed is not None:  # all of the revision at which it stopped come in one response
            text = sse_events.event_blocks(response, utf8=self._utf8, after=self._resumed)
            self._resumed = None
        else:
            text = self._blocks.get(response) or await self._blocks.make(response)
        self._position = Position(sse_events.last_revision(response))
        if text:
            await self._wire.write(text)
            self._tally.sent(text.count(b"\n\n"))

    async def _progress(self, revision: int) -> None:
        if revision < self._position.revision:  # the watch begins in the future: ids never go back
            await self.comment()
            return
        self._position = Position(revision)
        self._resumed = None
        await self._wire.write(sse_events.progress_block(revision))
        self._tally.sent()

    def _last_block(self, response: WatchResponse) -> bytes:
        if response.compact_revision:
            self._tally.reason = "compacted"
            return sse_events.compacted_block(response.compact_revision)
        self._tally.reason = "error"
        return sse_events.canceled_block(response.cancel_reason)


def _caller(scope: Scope, query: Query) -> Caller:
    """The caller of a request; EventSource cannot send headers, so that its token may stand in the query."""
    caller = lift(scope["headers"])
    token = query.get("token", [b""])[0].decode("latin-1")
    return caller if caller.token or not token else replace(caller, token=token)


def _opened(response: WatchResponse, wish: Wish) -> Position:
    """Where a watch begins.

    Raises: what the watch is refused with.
    """
    if response.canceled:
        raise _refusal(response)
    if wish.after is not None:
        return wish.after
    if wish.create.start_revision:
        return Position(wish.create.start_revision - 1)
    return Position(response.header.revision if response.header else 0)


def _refusal(response: WatchResponse) -> EtcdError:
    """The error of the catalogue that a refused watch names by its text."""
    match = _RPC_ERROR.fullmatch(response.cancel_reason)
    text = match[1] if match else response.cancel_reason
    if response.compact_revision:
        return Compacted()
    known = next((error for error in EtcdError.__subclasses__() if error.default_text == text), None)
    return known() if known else InvalidArgument(text)
