"""The way of a store between members over HTTP: one streamed POST of the SNAP's frame and the store behind it.

The answer comes when the other side has it durably. A refusal may come earlier; the rest is not read then.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Final

import httpx
from starlette.types import Receive, Scope, Send

from consensus.peer_codec import FrameInvalid, FrameReader, encode
from consensus.peer_http import PeerUnreachable
from consensus.peer_identity import SNAPSHOT_PATH, PeerIdentity, Refused
from consensus.peer_receiver import refuse
from consensus.raft.types import Message

_MAX_MESSAGE: Final = 1 << 20
_LENGTH: Final = 4
SILENT_SECONDS: Final = 30.0
"""Nothing was read or written for so long: the other side is gone."""
SYNC_SECONDS: Final = 300.0
"""How long the other side may take to make durable what it has got."""
_DIAL_SECONDS: Final = 5.0
_MAX_TEXT: Final = 1024


async def post_snapshot(
    url: str, identity: PeerIdentity, message: Message, store: AsyncIterator[bytes], tls: ssl.SSLContext | None = None
) -> None:
    """Sends a store to the member that listens at `url`; returns when it has it durably.

    Raises: PeerUnreachable, Refused, and what `store` raises.
    """

    async def body() -> AsyncIterator[bytes]:
        yield bytes(encode([message]))
        async for piece in store:
            yield piece

    headers = {**identity.request_headers(message.to), "content-type": "application/octet-stream"}
    timeout = httpx.Timeout(SILENT_SECONDS, connect=_DIAL_SECONDS, read=SYNC_SECONDS)
    try:
        async with httpx.AsyncClient(timeout=timeout, trust_env=False, verify=tls or True) as client:
            answer = await client.post(f"{url.rstrip('/')}{SNAPSHOT_PATH}", content=body(), headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PeerUnreachable(f"{error}" or type(error).__name__) from error
    if answer.status_code != HTTPStatus.OK:
        raise Refused(answer.status_code, answer.text[:_MAX_TEXT].strip())


class SnapshotApp:
    """Takes stores on the peer port, at SNAPSHOT_PATH; to be wrapped in `Admitted`."""

    def __init__(
        self, identity: PeerIdentity, on_snapshot: Callable[[Message, AsyncIterator[bytes]], Awaitable[None]]
    ) -> None:
        """`on_snapshot`: `Receiver.receive` of `consensus.snapshots`."""
        self._identity = identity
        self._on_snapshot = on_snapshot

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one transfer."""
        chunks = _body(receive)
        try:
            message, rest = await _message(chunks)
            if message.to != self._identity.member_id:
                raise Refused(HTTPStatus.PRECONDITION_FAILED, "to field mismatch")
            await self._on_snapshot(message, _rest(rest, chunks))
        except Refused as refused:
            await refuse(send, self._identity, refused)
            return
        except FrameInvalid as error:
            await refuse(send, self._identity, Refused(HTTPStatus.BAD_REQUEST, f"{error}"))
            return
        except PeerUnreachable:  # nobody is there to be told
            return
        finally:
            await chunks.aclose()
        headers = [(name.encode(), value.encode()) for name, value in self._identity.answer_headers().items()]
        headers += [(b"content-length", b"0"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": HTTPStatus.OK, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


async def _body(receive: Receive) -> AsyncGenerator[bytes, None]:
    """The pieces of a request's body.

    Raises: PeerUnreachable, where it does not come to its end.
    """
    more = True
    while more:
        try:
            async with asyncio.timeout(SILENT_SECONDS):
                event = await receive()
        except TimeoutError:
            raise PeerUnreachable("the sender has fallen silent") from None
        if event["type"] == "http.disconnect":
            raise PeerUnreachable("the sender has gone")
        more = event.get("more_body", False)
        yield event.get("body", b"")


async def _message(chunks: AsyncIterator[bytes]) -> tuple[Message, bytes]:
    """The frame at the beginning of a body, and what has come behind it.

    Raises: FrameInvalid, PeerUnreachable.
    """
    begin = bytearray()
    async for chunk in chunks:
        begin += chunk
        if len(begin) < _LENGTH:
            continue
        end = _LENGTH + int.from_bytes(begin[:_LENGTH], "big")
        if end > _MAX_MESSAGE:
            raise FrameInvalid(f"a message of {end} bytes")
        if len(begin) >= end:
            for frame in FrameReader(_MAX_MESSAGE).feed(bytes(begin[:end])):
                if isinstance(frame, Message):
                    return frame, bytes(begin[end:])
            break
    raise FrameInvalid("a store must come behind its message")


async def _rest(first: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in chunks:
        yield chunk
