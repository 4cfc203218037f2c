"""WebSocket on any RPC path: each message of the client is a request, each line of the answer a message.

As etcd's own proxy does it (github.com/tmc/grpc-websocket-proxy): the socket is just another carrier of the same
requests and answers. Unlike there a close frame ends it, and an origin that `--cors` does not list is refused.
"""

from collections.abc import Sequence
from dataclasses import replace

from starlette.types import Message, Receive, Scope, Send

from gateway.auth import lift
from gateway.errors import error_body, unexpected_reply
from gateway.framing import Splitter
from gateway.lines import error_line
from gateway.metrics import RouteStats
from gateway.options import Options
from gateway.streams import StreamRpc, in_time
from gateway.unary import Unary
from gateway.wire import ClientGone
from raftgate.api.errors import EtcdError, Internal, InvalidArgument, Stopped
from raftgate.api.message import Caller

NORMAL, GOING_AWAY = 1000, 1001  # RFC 6455 7.4.1

_SWITCHING = 101
_BEARER = "Bearer"


class SocketWire:
    """A stream over a WebSocket that has been accepted."""

    __slots__ = ("_receive", "_send", "kind", "received", "sent", "started")

    def __init__(self, kind: str, receive: Receive, send: Send) -> None:
        self.kind = kind
        self._receive = receive
        self._send = send
        self.started = False
        self.received = self.sent = 0

    async def start(self, *, endless: bool = False) -> None:  # noqa: ARG002 - all sockets are
        """Notes that the stream is open: a socket has been all along."""
        self.started = True

    async def receive(self) -> bytes | None:
        """The next message, with a line feed behind it: an object may go on in the next one."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise ClientGone
        data = _payload(message)
        self.received += len(data)
        return data + b"\n"

    async def gone(self) -> None:
        """Waits for the end of the connection; further messages are not looked at."""
        while True:
            await self.receive()

    async def write(self, line: bytes) -> None:
        """Sends a line, without its end, as one message."""
        self.sent += len(line)
        await self._send({"type": "websocket.send", "text": line.decode(errors="replace").removesuffix("\n")})

    async def close(self, code: int = NORMAL) -> None:
        """Says goodbye."""
        await self._send({"type": "websocket.close", "code": code})


def _payload(message: Message) -> bytes:
    text: str | None = message.get("text")
    data: bytes = message.get("bytes") or b""
    return data if text is None else text.encode()


class SocketEndpoint:
    """A path of an RPC, or with no RPC at all, over WebSocket."""

    def __init__(self, rpc: Unary | StreamRpc | EtcdError, stats: RouteStats, options: Options) -> None:
        """`rpc` may be the error of a path that is not served."""
        self._rpc = rpc
        self._stats = stats
        self._options = options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection."""
        self._stats.begin()
        wire = SocketWire("watch_websocket", receive, send)
        try:
            await receive()  # the handshake
            protocol, token = _offered(scope.get("subprotocols", ()))
            await send({"type": "websocket.accept", "subprotocol": protocol, "headers": []})
            await self._serve(scope, wire, token)
        except ClientGone:
            pass
        finally:
            self._stats.record("GET", _SWITCHING, wire.received, wire.sent, None)
            self._stats.end()

    async def _serve(self, scope: Scope, wire: SocketWire, token: str) -> None:
        try:
            caller = _caller(scope, token)
            if isinstance(self._rpc, EtcdError):
                raise self._rpc
            if isinstance(self._rpc, StreamRpc):
                await in_time(self._rpc.serve(wire, caller), caller)
            else:
                await in_time(self._answer(self._rpc, wire, caller), caller)
        except EtcdError as error:
            await self._fail(error, wire)
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, the client is answered
            unexpected_reply(error, self._stats.route)
            await self._fail(Internal(), wire)
        else:
            await wire.close()

    async def _answer(self, unary: Unary, wire: SocketWire, caller: Caller) -> None:
        """Answers the first object of the client, in however many messages it comes."""
        splitter = Splitter(self._options.max_body_bytes)
        found: Sequence[bytes] = ()
        while not found:
            data = await wire.receive()
            found = splitter.feed(data or b"")
        reply = await unary.answer(found[0], caller)
        await wire.write(b"".join((reply.body, *(reply.rest or ()))))

    async def _fail(self, error: EtcdError, wire: SocketWire) -> None:
        """Tells of an error, in the form in which HTTP would, and closes."""
        if isinstance(error, Stopped):
            await wire.close(GOING_AWAY)
            return
        is_line = wire.started or (isinstance(self._rpc, StreamRpc) and not isinstance(error, InvalidArgument))
        await wire.write(error_line(error) if is_line else error_body(error.text, error.code))
        await wire.close()


def _caller(scope: Scope, token: str) -> Caller:
    caller = lift(scope["headers"])
    return caller if caller.token or not token else replace(caller, token=token)


def _offered(subprotocols: Sequence[str]) -> tuple[str | None, str]:
    """The subprotocol that is taken, and the token offered as another: `Bearer, <token>`."""
    if not subprotocols or not subprotocols[0].startswith(_BEARER):
        return None, ""
    return _BEARER, subprotocols[1] if len(subprotocols) > 1 else ""
