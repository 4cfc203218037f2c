"""What only the leader can answer: asked of it by any member, and answered by the one that leads.

A call is repeated until somebody has answered, so what it asks for must bear repetition. Errors of the catalogue
travel by name and text, and come back as the same class.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any, Final, Protocol, TypeVar, cast, get_args

import msgspec

from consensus.options import Options
from consensus.peer_http import PeerUnreachable
from consensus.peer_identity import Refused
from consensus.server import Handlers
from consensus.transport import Transport
from raftgate.api import errors, wire_codec
from raftgate.api.errors import EtcdError
from raftgate.api.message import Message, Request

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Message)

AnyRequest = Request[Any]  # Any: whatever answers it

PAUSE: Final = 0.05
"""Seconds until the leader is asked again: etcd v3_server.go, LeaseRenew."""

_ELSEWHERE = (errors.NotLeader, errors.LeaderChanged)
"""Whoever was asked has led no more, so somebody else may answer."""
_ELSEWHERE_BY_OTHERS = (*_ELSEWHERE, errors.NoLeader, errors.Stopped, errors.TimeoutWaitAppliedIndex)


class Leadership(Protocol):
    """Who leads, as far as this member knows."""

    leader: int
    leader_known: asyncio.Event


class _Call(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A request on its way to the leader."""

    name: str
    """The class of the request."""
    request: msgspec.Raw


class _Answer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the leader says: a response, or an error of the catalogue by class and text."""

    response: msgspec.Raw = msgspec.Raw(b"\xc0")
    error: str = ""
    text: str = ""


_ENCODER = msgspec.msgpack.Encoder()
_CALLS = msgspec.msgpack.Decoder(_Call)
_ANSWERS = msgspec.msgpack.Decoder(_Answer)


class LeaderCalls:
    """One member's calls to the leader, itself or another."""

    def __init__(self, node: Leadership, transport: Transport, options: Options) -> None:
        self._node = node
        self._transport = transport
        self._own = options.member.ID
        self._timeout = options.request_timeout
        self._handlers: dict[type[AnyRequest], Callable[[Any], Awaitable[Message]]] = {}  # Any: one request class each
        self._classes: dict[str, type[AnyRequest]] = {}
        self._attempts: set[asyncio.Timeout] = set()

    def register(self, handlers: Handlers) -> None:
        """Adds what this member answers while it leads; a handler that finds that it does not raises NotLeader."""
        self._handlers.update(handlers)
        self._classes.update((request.__name__, request) for request in handlers)

    def leader_changed(self) -> None:
        """Ends what waits for a leader that is none any more; those who asked try the next one."""
        now = asyncio.get_running_loop().time()
        for attempt in self._attempts:
            attempt.reschedule(now)
        self._attempts.clear()

    async def ask(self, request: Request[R]) -> R:
        """The leader's answer. Asks again while the leader changes or cannot be reached.

        Raises: what the leader's handler raises; NoLeader or Timeout after the request timeout.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout
        while True:
            attempt = asyncio.timeout_at(deadline)
            try:
                async with attempt:
                    answer = await self._attempt(request, attempt)
                if answer is not None:
                    return answer
            except TimeoutError:  # or the leader has changed
                pass
            finally:
                self._attempts.discard(attempt)
            left = deadline - loop.time()
            if left <= 0:
                raise errors.Timeout if self._node.leader else errors.NoLeader
            await asyncio.sleep(min(PAUSE, left))

    async def answer(self, body: bytes) -> bytes:
        """Answers another member's call for as long as this one leads; refuses what is none."""
        try:
            call = _CALLS.decode(body)
            request = wire_codec.decode(self._classes[call.name], bytes(call.request))
        except msgspec.MsgspecError as error:
            return _refusal(errors.InvalidArgument(f"unreadable call: {error}"))
        except KeyError as error:  # a member of another version asks
            return _refusal(errors.Unimplemented(f"unknown call: {error}"))
        attempt = asyncio.timeout(self._timeout)
        self._attempts.add(attempt)
        try:
            async with attempt:
                response = await self._answer_here(request)
        except TimeoutError:
            return _refusal(errors.Timeout() if self._node.leader == self._own else errors.NotLeader())
        except EtcdError as error:
            return _refusal(error)
        finally:
            self._attempts.discard(attempt)
        return _ENCODER.encode(_Answer(msgspec.Raw(wire_codec.encode(response))))

    async def _attempt(self, request: Request[R], attempt: asyncio.Timeout) -> R | None:
        """Asks once whoever leads, as soon as somebody does; None if that was nobody who could answer."""
        while not self._node.leader:
            await self._node.leader_known.wait()
        self._attempts.add(attempt)
        if self._node.leader != self._own:
            return await self._ask_other(self._node.leader, request)
        try:
            return cast("R", await self._answer_here(request))
        except _ELSEWHERE:
            return None

    async def _answer_here(self, request: AnyRequest) -> Message:
        if self._node.leader != self._own:
            raise errors.NotLeader
        return await self._handlers[type(request)](request)

    async def _ask_other(self, leader: int, request: Request[R]) -> R | None:
        try:
            return decode_answer(request, await self._transport.call(leader, encode_call(request)))
        except (PeerUnreachable, Refused, *_ELSEWHERE_BY_OTHERS) as error:
            log.debug("the leader could not be asked: %s", error)
            return None


def encode_call(request: AnyRequest) -> bytes:
    """The bytes that `LeaderCalls.answer` of a leader takes."""
    return _ENCODER.encode(_Call(type(request).__name__, msgspec.Raw(wire_codec.encode(request))))


def decode_answer(request: Request[R], body: bytes) -> R:
    """What was answered to a request.

    Raises: the leader's refusal, or NotLeader of another member; Internal if it is unreadable.
    """
    try:
        answer = _ANSWERS.decode(body)
        if not answer.error:
            return cast("R", wire_codec.decode(_response_of(type(request)), bytes(answer.response)))
    except msgspec.MsgspecError as error:
        raise errors.Internal(f"the leader's answer is unreadable: {error}") from error
    raise _classes_of_errors().get(answer.error, errors.Internal)(answer.text)


def _refusal(error: EtcdError) -> bytes:
    return _ENCODER.encode(_Answer(error=type(error).__name__, text=error.text))


@cache
def _classes_of_errors() -> Mapping[str, type[EtcdError]]:
    return {kind.__name__: kind for kind in EtcdError.__subclasses__()}


@cache
def _response_of(request: type[Request[R]]) -> type[R]:
    """The class that answers a class of requests."""
    bases: tuple[object, ...] = request.__orig_bases__  # type: ignore[attr-defined]  # typing sets it on each subclass of Request[...]
    response: type[R] = get_args(bases[0])[0]
    return response
