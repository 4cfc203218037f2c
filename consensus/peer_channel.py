"""One lane of messages to one peer: a long request whose body never ends, and the queue in front of it.

Frames leave in the turn in which they are handed in, as chunks of the body; the answer says that they are being read.
A peer that reads too slowly fills its own queue and nobody else's; what does not fit is dropped, and Raft is told.
"""

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Protocol

from consensus.peer_codec import Control, FrameKind, FrameReader, append, encode_control
from consensus.peer_http import AnswerProtocol, PeerUnreachable, Target, parse_url, request_head, tls_for
from consensus.peer_identity import CHANNEL, MESSAGES_PATH, PeerIdentity, Refused
from consensus.raft.types import Message

log = logging.getLogger(__name__)

_CHUNK = 256 * 1024
"""Bytes of frames after which a chunk is written."""
_MAX_REFUSAL = 4096
_ENTRY_OVERHEAD = 100  # bytes of an entry's objects beside its data
_FLUSH_SECONDS = 0.5
"""How long a stop waits for what has been written."""


class Lane(StrEnum):
    """What a channel carries, so that a heartbeat never waits behind megabytes (etcd has two streams likewise)."""

    ENTRIES = "entries"
    SIGNALS = "signals"


@dataclass(frozen=True, slots=True)
class ChannelOptions:
    """Bounds and times (seconds) of the connections to peers."""

    queue_messages: int = 4096  # etcd rafthttp/stream.go, streamBufSize
    queue_bytes: int = 32 << 20
    """Entries that wait for a slow peer, a channel."""
    write_buffer_bytes: int = 1 << 20
    """Encoded bytes that wait for the system to take them, a channel."""
    dial_seconds: float = 2.0  # etcd embed/config.go, a second and the election timeout
    """From the first packet to the peer's agreement."""
    retry_seconds: float = 0.1  # etcd rafthttp/peer.go, at most ten attempts a second
    refused_seconds: float = 1.0
    """Between two attempts at a peer that has refused."""
    ping_seconds: float = 0.5
    silent_pings: int = 5
    """Pings in a row without a sign of life after which a connection is given up."""
    tls: ssl.SSLContext | None = None


class Owner(Protocol):
    """The peer that a channel leads to."""

    id: int

    def url(self, lane: Lane) -> str:
        """Where to try next; each lane goes round by itself."""
        ...

    def opened(self, lane: Lane) -> None:
        """The peer has agreed to take messages."""
        ...

    def lost(self, lane: Lane, error: Exception) -> None:
        """The channel could not be opened, or is lost; a Refused tells that the peer does not want it."""
        ...

    def sent(self, size: int) -> None:
        """That many bytes were sent."""
        ...

    def dropped(self, count: int) -> None:
        """That many messages will not arrive."""
        ...

    def ping(self) -> bytes:
        """What the next ping carries: the time, in the owner's own form."""
        ...

    def ponged(self, payload: bytes) -> None:
        """The peer has answered a ping."""
        ...


class _Stream(AnswerProtocol):
    """One connection with its endless request."""

    def __init__(self, identity: PeerIdentity, writable: Callable[[], None], ponged: Callable[[bytes], None]) -> None:
        super().__init__()
        self._identity = identity
        self._writable = writable
        self._ponged = ponged
        self._reader = FrameReader(_MAX_REFUSAL)
        self._text = b""
        loop = asyncio.get_running_loop()
        self.is_open: asyncio.Future[None] = loop.create_future()
        self.end: asyncio.Future[Exception] = loop.create_future()
        self.is_heard = True
        self.is_paused = False

    def write(self, frames: bytes | bytearray) -> None:
        """Sends frames as one chunk."""
        if not self.transport.is_closing():
            self.transport.writelines((b"%x\r\n" % len(frames), frames, b"\r\n"))

    def finish(self) -> None:
        """Ends the request, and the connection once all is written."""
        if not self.transport.is_closing():
            self.transport.write(b"0\r\n\r\n")
            self.transport.close()

    def pause_writing(self) -> None:
        self.is_paused = True

    def resume_writing(self) -> None:
        self.is_paused = False
        self._writable()

    def data_received(self, data: bytes) -> None:
        self.is_heard = True
        super().data_received(data)

    def answer_began(self) -> None:
        if self.status == HTTPStatus.OK:
            self._identity.check_answer(self.status, self.headers)
            if not self.is_open.done():
                self.is_open.set_result(None)

    def answer_body(self, data: bytes) -> None:
        if self.status != HTTPStatus.OK:
            self._text = (self._text + data)[:_MAX_REFUSAL]
            return
        for frame in self._reader.feed(data):
            if isinstance(frame, Control) and frame.kind is FrameKind.PONG:
                if frame.payload:
                    self._ponged(frame.payload)
            elif isinstance(frame, Control) and frame.kind is FrameKind.REFUSAL:
                raise Refused(HTTPStatus.BAD_REQUEST, frame.payload.decode(errors="replace"))

    def answer_ended(self) -> None:
        if self.status != HTTPStatus.OK:
            raise Refused(self.status, self._text.decode(errors="replace").strip())
        raise PeerUnreachable("the peer has ended the stream")

    def is_gone(self, error: Exception | None) -> None:
        reason = error if isinstance(error, Refused) else PeerUnreachable(str(error or "the peer has gone"))
        if not self.end.done():
            self.end.set_result(reason)
        if not self.is_open.done():
            self.is_open.set_exception(reason)
            self.is_open.exception()  # nobody may be waiting any more


class Channel:
    """Messages of one lane to one peer."""

    def __init__(self, lane: Lane, owner: Owner, identity: PeerIdentity, options: ChannelOptions) -> None:
        self.lane = lane
        self._owner = owner
        self._identity = identity
        self._options = options
        self._stream: _Stream | None = None
        self._queue: deque[Message] = deque()
        self.queued_bytes = 0
        """What waits in the queue, by estimate."""
        self._is_resting = False
        """Whether the last attempt failed and the next has not begun: nothing is taken."""
        self._is_closing = False
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"peer {owner.id:x} {lane}")

    @property
    def is_open(self) -> bool:
        """Whether the peer takes messages."""
        return self._stream is not None

    def send(self, messages: Sequence[Message]) -> None:
        """Sends what the peer takes at once, queues or drops the rest; never waits."""
        if self._stream is None or self._stream.is_paused or self._queue:
            self._enqueue(messages)
            return
        waiting = iter(messages)
        self._write(self._stream, waiting)
        self._enqueue(waiting)

    def reconnect(self) -> None:
        """Gives up the connection; the next one goes where the owner says."""
        if self._stream is not None:
            self._stream.abort()

    async def close(self) -> None:
        """Sends what is written, waits a moment for it, and ends."""
        stream = self._stream
        self._is_closing = stream is not None
        self._task.cancel()
        await asyncio.wait((self._task,))
        if stream is not None and not stream.end.done():
            stream.finish()
            await asyncio.wait((stream.end,), timeout=_FLUSH_SECONDS)
            stream.abort()

    def _write(self, stream: _Stream, messages: Iterable[Message]) -> None:
        """Takes messages for as long as the connection takes them."""
        frames = bytearray()
        for message in messages:
            append(frames, message)
            if len(frames) >= _CHUNK:
                stream.write(frames)
                self._owner.sent(len(frames))
                frames = bytearray()
            if stream.is_paused:
                break
        if frames:
            stream.write(frames)
            self._owner.sent(len(frames))

    def _enqueue(self, messages: Iterable[Message]) -> None:
        dropped = 0
        options = self._options
        for message in messages:
            size = _size(message)
            is_full = len(self._queue) >= options.queue_messages or self.queued_bytes + size > options.queue_bytes
            if self._is_resting or (is_full and self._queue):
                dropped += 1
            else:
                self._queue.append(message)
                self.queued_bytes += size
        if dropped:
            self._owner.dropped(dropped)

    def _drain(self) -> None:
        if self._stream is not None:
            self._write(self._stream, self._take())

    def _take(self) -> Iterable[Message]:
        while self._queue:
            message = self._queue.popleft()
            self.queued_bytes -= _size(message)
            yield message

    async def _run(self) -> None:
        while True:
            error = await self._attempt()
            if self._queue:
                self._owner.dropped(len(self._queue))
                self._queue.clear()
                self.queued_bytes = 0
            self._is_resting = True
            self._owner.lost(self.lane, error)
            options = self._options
            await asyncio.sleep(options.refused_seconds if isinstance(error, Refused) else options.retry_seconds)
            self._is_resting = False

    async def _attempt(self) -> Exception:
        """Connects and stays connected; answers why it ended."""
        stream = _Stream(self._identity, self._drain, self._owner.ponged)
        try:
            async with asyncio.timeout(self._options.dial_seconds):
                await self._open(stream, parse_url(self._owner.url(self.lane)))
            self._stream = stream
            self._owner.opened(self.lane)
            self._drain()
            return await self._watch(stream)
        except TimeoutError:
            return PeerUnreachable("no answer in time")
        except (OSError, ValueError, PeerUnreachable, Refused) as error:
            return error
        finally:
            self._stream = None
            if not self._is_closing:
                stream.abort()

    async def _open(self, stream: _Stream, target: Target) -> None:
        options = self._options
        await asyncio.get_running_loop().create_connection(
            lambda: stream, target.host, target.port, ssl=tls_for(target, options.tls)
        )
        stream.transport.set_write_buffer_limits(options.write_buffer_bytes)
        headers = {**self._identity.request_headers(self._owner.id), CHANNEL: self.lane.value}
        stream.transport.write(request_head("POST", MESSAGES_PATH, target, headers, None))
        await stream.is_open

    async def _watch(self, stream: _Stream) -> Exception:
        """Waits for the end, and brings it about when the peer gives no sign of life.

        Counted in own rounds, not by a clock: a process that was stopped itself has not listened meanwhile.
        """
        silent = 0
        while silent < self._options.silent_pings:
            if not stream.is_paused:
                stream.write(encode_control(FrameKind.PING, self._owner.ping()))
            await asyncio.wait((stream.end,), timeout=self._options.ping_seconds)
            if stream.end.done():
                return stream.end.result()
            silent = 0 if stream.is_heard else silent + 1
            stream.is_heard = False
        return PeerUnreachable("the peer gives no sign of life")


def _size(message: Message) -> int:
    return _ENTRY_OVERHEAD + sum(len(entry.data) + _ENTRY_OVERHEAD for entry in message.entries)
