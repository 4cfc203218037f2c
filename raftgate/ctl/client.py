"""Calls over etcd's JSON API: endpoints tried in turn until one answers or the time is up.

What may be sent again follows etcd's client (client/v3/retry.go): a read after any failure to get an answer and
after code 14, a write only where the connection was never made.
"""

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Self, TypeVar, get_args

import httpx
import msgspec

from raftgate.api import json_codec
from raftgate.api.cluster import MemberListRequest
from raftgate.api.errors import Code, DeadlineExceeded, EtcdError, InvalidArgument
from raftgate.api.kv import RangeRequest, TxnRequest
from raftgate.api.lease import LeaseLeasesRequest, LeaseTimeToLiveRequest
from raftgate.api.maintenance import AlarmRequest, HashKVRequest, MoveLeaderRequest, StatusRequest
from raftgate.api.message import Kind, Message, Request, describe
from raftgate.api.services import RPCS
from raftgate.ctl.errors import CommandError, ExitCode
from raftgate.ctl.invocation import Clock, Invocation
from raftgate.ctl.settings import Settings, base_url, read_settings

R = TypeVar("R", bound=Message)

NO_ENDPOINTS = "etcdclient: no available endpoints"
RETRY_PAUSE = 0.025  # etcd client/v3, defaultBackoffWaitBetween
PATHS = {rpc.request: rpc.paths[0] for rpc in reversed(RPCS) if rpc.request is not None}
"""Where requests go; what observes an election shares its request with the call that asks for the leader."""
_CODES = {404: Code.UNIMPLEMENTED, 429: Code.UNAVAILABLE, 502: Code.UNAVAILABLE, 503: Code.UNAVAILABLE}
_CODES |= {504: Code.UNAVAILABLE}  # gRPC's mapping of statuses that no gRPC server sent
_READS = (
    AlarmRequest,
    HashKVRequest,
    LeaseLeasesRequest,
    LeaseTimeToLiveRequest,
    MemberListRequest,
    MoveLeaderRequest,
    RangeRequest,
    StatusRequest,
)
# A stream whose peer is gone without a word ends within a quarter of a minute; Linux has all the names, others some.
_KEEPALIVE = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)] + [
    (socket.IPPROTO_TCP, getattr(socket, name), value)
    for name, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 3), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
]
_MAX_MILLISECONDS = 99_999_999  # eight digits are what Grpc-Timeout holds


class CallError(CommandError):
    """An answer that is an error; its text is as etcdctl prints it."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text if _is_known(text) else f"rpc error: code = {_code_name(status)} desc = {text}")
        self.status = status
        """The gRPC code."""


class NoAnswer(Exception):
    """A call that got no answer; `reached` when the request may have been received."""

    def __init__(self, reason: str, *, reached: bool) -> None:
        super().__init__(reason)
        self.reached = reached


class _ErrorBody(msgspec.Struct):
    message: str = ""
    error: str = ""
    code: int = Code.UNKNOWN


class Client:
    """Connections to the endpoints of `settings`."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        log: Callable[[str], None] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.settings = settings
        self.urls = [base_url(endpoint) for endpoint in settings.endpoints]
        if not self.urls:
            raise CommandError(NO_ENDPOINTS, ExitCode.BAD_CONNECTION)
        self.clock = clock
        self.log = log
        # A context without certificates refuses every https peer, and spares the loading of the default ones.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        transport = transport or httpx.HTTPTransport(verify=context, trust_env=False, socket_options=_KEEPALIVE)
        self.http = httpx.Client(trust_env=False, transport=transport)

    def call(self, request: Request[R], deadline: float | None = None) -> R:
        """Sends a request and decodes its answer; `deadline` of the clock, by default the command's time from now on.

        Raises: CallError, also when the time is up.
        """
        limit = self.settings.max_request_bytes
        if 0 < limit < (size := _payload(request)):
            raise CallError(Code.RESOURCE_EXHAUSTED, f"trying to send message larger than max ({size} vs. {limit})")
        path, is_read = PATHS[type(request)], _is_read(request)
        body = self.post(path, json_codec.encode(request), is_read=is_read, deadline=deadline)
        try:
            return json_codec.decode(response_of(request), body)
        except InvalidArgument as error:
            raise CallError(Code.INTERNAL, f"malformed answer from server: {error}") from None

    def post(self, path: str, body: bytes, *, is_read: bool, deadline: float | None = None) -> bytes:
        """Posts a body and returns the body of the answer.

        Raises: CallError, also when the time is up.
        """
        if deadline is None:
            deadline = self.clock.monotonic() + self.settings.command_timeout
        while True:
            for url in self.urls:
                remaining = deadline - self.clock.monotonic()
                if remaining <= 0:
                    raise _too_late()
                try:
                    return self._post_once(url + path, body, deadline)
                except NoAnswer as error:
                    self.note(url, error)
                    if error.reached and not is_read:
                        if self.clock.monotonic() >= deadline:
                            raise _too_late() from None
                        raise CallError(Code.UNAVAILABLE, f"error reading from server: {error}") from None
                except CallError as error:
                    self.note(url, error)
                    if not is_read or error.status != Code.UNAVAILABLE:
                        raise
            self.clock.sleep(max(0.0, min(RETRY_PAUSE, deadline - self.clock.monotonic())))

    @contextmanager
    def exchange(
        self, url: str, body: bytes | Iterator[bytes], timeout: httpx.Timeout, headers: Mapping[str, str]
    ) -> Iterator[httpx.Response]:
        """Posts a body once; the block reads the answer.

        Raises: NoAnswer, also where the block finds the connection broken.
        """
        headers = {"Content-Type": "application/json", **headers}
        try:
            with self.http.stream("POST", url, content=body, headers=headers, timeout=timeout) as response:
                yield response
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise NoAnswer(str(error) or type(error).__name__, reached=False) from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise NoAnswer(str(error) or type(error).__name__, reached=True) from error

    def note(self, url: str, error: Exception) -> None:
        """Tells of a failure, with --debug."""
        if self.log is not None:
            self.log(f"{url}: {error}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes all connections."""
        self.http.close()

    def _post_once(self, url: str, body: bytes, deadline: float) -> bytes:
        """Raises: NoAnswer, CallError."""
        remaining = max(deadline - self.clock.monotonic(), 1e-6)
        timeout = httpx.Timeout(remaining, connect=min(self.settings.dial_timeout or remaining, remaining))
        with self.exchange(url, body, timeout, {"Grpc-Timeout": _grpc_timeout(remaining)}) as response:
            answer = self._read(response, deadline)
        if response.status_code != httpx.codes.OK:
            raise error_of(response.status_code, answer)
        return answer

    def _read(self, response: httpx.Response, deadline: float) -> bytes:
        limit = self.settings.max_recv_bytes
        parts = []
        size = 0
        for part in response.iter_bytes():  # httpx bounds each read only, not their sum
            size += len(part)
            if 0 < limit < size:
                text = f"grpc: received message larger than max ({size} vs. {limit})"
                raise CallError(Code.RESOURCE_EXHAUSTED, text)
            parts.append(part)
            if self.clock.monotonic() > deadline:
                raise _too_late()
        return b"".join(parts)


def connect(invocation: Invocation) -> Client:
    """The client that an invocation's flags and variables describe.

    Raises: CommandError.
    """
    settings = read_settings(invocation)
    log = invocation.console.complain if settings.debug else None
    return Client(settings, invocation.clock, log, invocation.transport)


def _is_read(request: Message) -> bool:
    """Whether the request may be sent again: it changes nothing, or like an alarm's nothing more the second time."""
    if isinstance(request, TxnRequest):
        return all(
            op.request_range is not None or (op.request_txn is not None and _is_read(op.request_txn))
            for op in (*request.success, *request.failure)
        )
    return isinstance(request, _READS)


def response_of(request: Request[R]) -> type[R]:
    """The class of the answer to a request."""
    bases: Sequence[object] = type(request).__orig_bases__  # type: ignore[attr-defined]  # typing sets it on each subclass of Request[...]
    response: type[R] = get_args(bases[0])[0]
    return response


def _payload(message: Message) -> int:
    """The bytes of all keys and values in a message."""
    size = 0
    for field in describe(type(message)):
        value = getattr(message, field.name)
        if value is None or field.kind not in (Kind.BYTES, Kind.MESSAGE):
            continue
        for item in value if field.repeated else (value,):
            size += len(item) if field.kind is Kind.BYTES else _payload(item)
    return size


def _grpc_timeout(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    if milliseconds < 1:
        return f"{max(1, round(seconds * 1e6))}u"
    return f"{min(milliseconds, _MAX_MILLISECONDS)}m"


def _too_late() -> CallError:
    return CallError(Code.DEADLINE_EXCEEDED, DeadlineExceeded.default_text)


def error_of(status: int, body: bytes) -> CallError:
    """What an answer with an error tells."""
    try:
        answer = msgspec.json.decode(body, type=_ErrorBody)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = f"unexpected HTTP status code received from server: {status}"
        return CallError(_CODES.get(status, Code.UNKNOWN), text)
    return CallError(answer.code, answer.message or answer.error)


def _is_known(text: str) -> bool:
    """Whether etcd's client knows the text, which it then shows without the code (etcd rpctypes/error.go)."""
    if text == DeadlineExceeded.default_text:
        return True
    return text.startswith("etcdserver: ") and any(text == known.default_text for known in EtcdError.__subclasses__())


def _code_name(code: int) -> str:
    try:
        name = Code(code).name
    except ValueError:
        return f"Code({code})"
    return "OK" if code == Code.OK else name.title().replace("_", "")
