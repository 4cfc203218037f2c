"""The one handler of all unary RPCs.

`Unary` knows messages and bytes but no HTTP server, so that whatever has read a request can have it answered;
`UnaryEndpoint` is its ASGI side.
"""

import asyncio
from collections import deque
from typing import Any

from starlette.types import Receive, Scope

from gateway.auth import lift
from gateway.backend import Service
from gateway.endpoint import Endpoint
from gateway.errors import error_reply, unexpected_reply
from gateway.limits import BodyRefused, in_thread, is_heavy, let_go, message_size, read_body, too_large
from gateway.metrics import RouteStats
from gateway.options import Options
from gateway.replies import JSON, Headers, Reply, make_long_reply, make_reply
from raftgate.api import json_codec
from raftgate.api.errors import Code, DeadlineExceeded, EtcdError, MethodNotAllowed, Unimplemented
from raftgate.api.message import Caller, Message, Request
from raftgate.api.services import Rpc

_SUCCESS: Headers = [*JSON, (b"grpc-metadata-content-type", b"application/grpc")]
_METHOD_NOT_ALLOWED = error_reply(MethodNotAllowed())
_UNIMPLEMENTED = error_reply(Unimplemented())

AnyRequest = Request[Any]  # Any: the response class differs from RPC to RPC


class Unary:
    """One unary RPC in front of a backend: decode, handle, encode."""

    def __init__(self, rpc: Rpc, request: type[AnyRequest], backend: Service, options: Options) -> None:
        self._request = request
        self._name = f"{rpc.service}/{rpc.method}"
        self._backend = backend
        self._stats = options.metrics.rpc(rpc)
        self._max_message = options.max_message_bytes
        self._offload = options.offload_bytes
        self._clock = options.clock

    def decode(self, body: bytes) -> AnyRequest:
        """Decodes and bounds a request.

        Raises: InvalidArgument, MessageTooLarge.
        """
        request = json_codec.decode(self._request, body)
        # A message is never larger than its JSON, so that short bodies need no count.
        if len(body) > self._max_message and (size := message_size(request)) > self._max_message:
            raise too_large(size, self._max_message)
        return request

    async def handle(self, request: AnyRequest, caller: Caller) -> Message:
        """Asks the backend, and counts the call.

        Raises: errors of the catalogue.
        """
        began = self._clock()
        self._stats.started += 1
        code = Code.CANCELED  # what stands if the caller goes away
        try:
            response: Message = await self._backend.call(request, caller)
            code = Code.OK
        except EtcdError as error:
            code = error.code
            raise
        except Exception:
            code = Code.INTERNAL
            raise
        finally:
            self._stats.finish(code, self._clock() - began)
        return response

    @staticmethod
    def encode(response: Message) -> bytes:
        """Encodes a response."""
        return json_codec.encode(response)

    @staticmethod
    def encode_heavy(box: list[Message]) -> deque[bytes]:
        """Encodes a response in pieces, and lets go of it: it comes in a box so that nobody else holds it."""
        pieces = deque(json_codec.pieces(box[0]))
        let_go(box)
        return pieces

    async def answer(self, body: bytes, caller: Caller) -> Reply:
        """The whole way from a request's body to its answer; it does not raise."""
        received = len(body)
        try:
            request = self.decode(body) if received <= self._offload else await in_thread(self.decode, body)
            box = [await self.handle(request, caller)]
            if is_heavy(box[0]):
                return make_long_reply(200, _SUCCESS, await in_thread(self.encode_heavy, box), received)
            payload = self.encode(box[0])
        except EtcdError as error:
            return error_reply(error, received)
        except Exception as error:  # noqa: BLE001 - whatever it was, it is logged and the client is answered
            return unexpected_reply(error, self._name)
        return make_reply(200, _SUCCESS, payload, received)


class UnaryEndpoint(Endpoint):
    """A path of a unary RPC."""

    def __init__(self, unary: Unary, stats: RouteStats, options: Options) -> None:
        super().__init__(stats, options.clock)
        self._unary = unary
        self._options = options

    async def reply(self, scope: Scope, receive: Receive) -> Reply:
        """Answers a POST; other methods are none of gRPC's (grpc-gateway v2 says 501 to them)."""
        if scope["method"] != "POST":
            return _METHOD_NOT_ALLOWED
        try:
            caller = lift(scope["headers"])
            if not caller.timeout:
                return await self._unary.answer(await read_body(scope, receive, self._options), caller)
            return await self._answer_in_time(scope, receive, caller)
        except BodyRefused as refusal:
            return refusal.reply
        except EtcdError as error:
            return error_reply(error)

    async def _answer_in_time(self, scope: Scope, receive: Receive, caller: Caller) -> Reply:
        deadline = self._clock() + caller.timeout
        try:
            async with asyncio.timeout(caller.timeout):
                body = await read_body(scope, receive, self._options)
                if self._clock() >= deadline:  # shorter than a turn of the loop
                    raise DeadlineExceeded
                return await self._unary.answer(body, caller)
        except TimeoutError:
            raise DeadlineExceeded from None


class UnservedEndpoint(Endpoint):
    """A path of an RPC that is not served."""

    async def reply(self, scope: Scope, receive: Receive) -> Reply:  # noqa: ARG002 - it reads no body
        """Says so, to a POST; other methods are answered as on any RPC path."""
        return _UNIMPLEMENTED if scope["method"] == "POST" else _METHOD_NOT_ALLOWED
