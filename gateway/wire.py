"""A client's end of a stream, whatever carries it, and how its requests are read from it."""

import asyncio
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from http import HTTPStatus
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from starlette.types import Receive, Scope, Send

from gateway.errors import HTTP_STATUS, error_reply
from gateway.framing import Splitter
from gateway.limits import COMPLETE_KEY, in_thread, message_size, too_large
from gateway.lines import error_line
from gateway.options import Options
from gateway.replies import CLOSE, HEADERS_KEY, JSON, Headers, Reply, make_reply, send_reply
from raftgate.api import json_codec
from raftgate.api.errors import EtcdError, InvalidArgument
from raftgate.api.message import Message

M = TypeVar("M", bound=Message)

HOLD_KEY = "raftgate.hold"
"""In the scope, by a listener that can: a function that tells it to cut this request when it stops, instead of
waiting for its end. With `endless=True`: the answer has no end, so that no request is read behind this one."""

STOPPED = "server stopped"
"""What a listener that stops cancels a held request with."""

_SLICE = 16 * 1024
_TURN = 32  # requests after which others get the loop


class ClientGone(Exception):
    """The client has closed its connection."""


class Cut(Exception):
    """Ends a connection in the middle of its answer, as etcd does when it stops: nothing is left to be said."""


class Wire(Protocol):
    """One client's end of a stream."""

    kind: str
    """Of the carrier, as metrics name it."""

    async def start(self, *, endless: bool = False) -> None:
        """Tells the client that its stream is open; further calls do nothing. `endless`: only the client ends it."""
        ...

    async def receive(self) -> bytes | None:
        """Waits for what the client sends; None once it has said that nothing more will come.

        Raises: ClientGone.
        """
        ...

    async def gone(self) -> None:
        """Waits until the client goes away, after the end of its request.

        Raises: ClientGone.
        """
        ...

    async def write(self, line: bytes) -> None:
        """Sends a line; waits while the client reads too slowly."""
        ...


class Requests(Generic[M]):
    """The messages that a client sends over a wire."""

    __slots__ = ("_cls", "_count", "_options", "_pieces", "_splitter", "_wire")

    def __init__(self, cls: type[M], wire: Wire, options: Options) -> None:
        self._cls = cls
        self._wire = wire
        self._options = options
        self._splitter: Splitter | None = Splitter(options.max_body_bytes)
        self._pieces: deque[bytes] | None = None
        self._count = 0

    async def read(self) -> M | None:
        """The next message; None when nothing more is read.

        A malformed message ends the reading, as in etcd; only the first of all is told of.

        Raises: InvalidArgument, MessageTooLarge, ClientGone.
        """
        piece = await self._next()
        if piece is None:
            return None
        self._count += 1
        if self._count % _TURN == 0:
            await asyncio.sleep(0)
        try:
            return await self._decode(piece)
        except InvalidArgument:
            self.stop()
            if self._count == 1:
                raise
            return None

    def stop(self) -> None:
        """Reads nothing more."""
        self._splitter = None
        self._pieces = None

    async def _next(self) -> bytes | None:
        while not self._pieces:
            splitter = self._splitter
            if splitter is None or splitter.is_over:
                self._splitter = None
                return None
            data = await self._wire.receive()
            if data is None:
                rest = splitter.unfinished
                self.stop()
                return rest or None
            self._pieces = await _split(splitter, data)
        return self._pieces.popleft()

    async def _decode(self, piece: bytes) -> M:
        if len(piece) <= self._options.offload_bytes:
            return json_codec.decode(self._cls, piece)
        message = await in_thread(json_codec.decode, self._cls, piece)
        limit = self._options.max_message_bytes
        if len(piece) > limit and (size := message_size(message)) > limit:  # no message is larger than its JSON
            raise too_large(size, limit)
        return message


async def _split(splitter: Splitter, data: bytes) -> deque[bytes] | None:
    """Splits data, a slice a turn of the loop: braces cost a quarter of a microsecond each."""
    if len(data) <= _SLICE:
        pieces = splitter.feed(data)
        return deque(pieces) if pieces else None
    found: deque[bytes] = deque()
    for start in range(0, len(data), _SLICE):
        found.extend(splitter.feed(data[start : start + _SLICE]))
        await asyncio.sleep(0)
    return found


class HttpWire:
    """A stream as the body of an HTTP answer, a chunk a line; clients parse chunk by chunk."""

    __slots__ = ("_headers", "_hold", "_is_read", "_receive", "_scope", "_send", "kind", "received", "sent", "status")

    def __init__(self, kind: str, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        """`headers` are those of the answer, besides what all answers carry."""
        self.kind = kind
        self._scope = scope
        self._receive = receive
        self._send = send
        self._headers = headers
        self._is_read = False
        self._hold = scope.get(HOLD_KEY, _nothing_to_hold)
        self._hold()
        self.status = 0
        """Of the answer, once it has begun."""
        self.received = self.sent = 0

    async def start(self, *, endless: bool = False) -> None:
        """Sends the head of the answer."""
        if self.status:
            return
        self.status = HTTPStatus.OK
        # No request is read behind an answer without end: a client may not send one either, should it end all the same.
        headers = self._scope[HEADERS_KEY] + self._headers + (CLOSE if endless else [])
        await self._send({"type": "http.response.start", "status": HTTPStatus.OK, "headers": headers})
        if endless:
            self._hold(endless=True)

    async def receive(self) -> bytes | None:
        """The next piece of the body."""
        if self._is_read:
            return None
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        self._is_read = not message.get("more_body", False)
        body: bytes = message.get("body", b"")
        self.received += len(body)
        return body

    async def gone(self) -> None:
        """Waits for the end of the connection; what is left of the body is not looked at."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        raise ClientGone

    async def write(self, line: bytes) -> None:
        """Sends a line as a chunk of its own."""
        self.sent += len(line)
        await self._send({"type": "http.response.body", "body": line, "more_body": True})

    async def finish(self) -> None:
        """Ends the answer."""
        await self.start()
        await self._send({"type": "http.response.body", "body": b""})

    async def refuse(self, reply: Reply) -> None:
        """Answers with an error; the rest of the body is not read."""
        is_read = self._is_read or COMPLETE_KEY in self._scope
        headers = reply.headers if is_read else reply.headers + CLOSE
        self.status = reply.status
        self.sent = len(reply.body)
        await send_reply(self._scope, self._send, reply._replace(headers=headers))

    async def fail(self, error: EtcdError) -> None:
        """Ends the stream with an error: by the status of the answer, or by its last line.

        What is wrong with the request's text is told as by a unary call: there is no stream yet.
        """
        if self.status:
            await self.write(error_line(error))
            await self.finish()
        elif isinstance(error, InvalidArgument):
            await self.refuse(error_reply(error))
        else:
            await self.refuse(make_reply(HTTP_STATUS[error.code], JSON, error_line(error)))


def _nothing_to_hold(*, endless: bool = False) -> None:
    """For servers that do not ask to be told."""


class Alongside:
    """Runs work beside the body of the statement; its failure ends the body in its place.

    Two tasks a stream are what full duplex takes; a task group would take a third of an idle stream's memory again.
    """

    __slots__ = ("_failure", "_main", "_task", "_work")

    def __init__(self, work: Coroutine[Any, Any, None]) -> None:  # Any: neither is used
        self._work = work
        self._failure: BaseException | None = None

    async def __aenter__(self) -> None:
        self._main = asyncio.current_task()
        self._task = asyncio.ensure_future(self._work)
        self._task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Future[None]") -> None:
        if not task.cancelled() and (failure := task.exception()) is not None and self._main is not None:
            self._failure = failure
            self._main.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        main, self._main = self._main, None
        self._task.cancel()
        if self._failure is None or main is None:
            return
        if not isinstance(error, asyncio.CancelledError):  # the body has ended before it was reached
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        if not main.uncancel():
            raise self._failure from None
