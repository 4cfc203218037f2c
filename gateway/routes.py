"""The routes: the table of RPCs, and the few pages beside it."""

import gc
import json
import resource
import sys
from collections.abc import Callable

from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.backend import Backend
from gateway.concurrency import Concurrency
from gateway.endpoint import Endpoint, Plain
from gateway.errors import error_reply
from gateway.exposition import render
from gateway.health import Handler, Health
from gateway.limits import in_thread
from gateway.metrics import OTHER
from gateway.openapi import load_contract
from gateway.options import Options
from gateway.replies import GET_ONLY, JSON, PAGE_NOT_FOUND, Headers, Reply, make_reply
from gateway.sse import SseEndpoint
from gateway.sse_query import accepts_events
from gateway.streams import KeepAlive, Observe, StreamEndpoint, StreamRpc
from gateway.unary import Unary, UnaryEndpoint, UnservedEndpoint
from gateway.watch import Watch
from gateway.websocket import SocketEndpoint
from raftgate.api.errors import EtcdError, NotFound, Unimplemented
from raftgate.api.services import ELECTION, LOCK, RPCS, Rpc, RpcKind

_RPC_NOT_FOUND = error_reply(NotFound())
_JSON_UTF8: Headers = [(b"content-type", b"application/json; charset=utf-8")]


def rpc_routes(backend: Backend, options: Options) -> list[BaseRoute]:
    """Routes for each path of each RPC; methods are left to the endpoints, since Starlette adds HEAD to GET."""
    services = _Services(backend, options)
    http: list[BaseRoute] = [Route(path, services.http(rpc, path)) for rpc in RPCS for path in rpc.paths]
    return http + [WebSocketRoute(path, services.socket(rpc, path)) for rpc in RPCS for path in rpc.paths]


class _Services:
    """The handlers of RPCs, each made once whatever carries it, and the endpoints of their paths."""

    def __init__(self, backend: Backend, options: Options) -> None:
        self._backend = backend
        self._options = options
        self._concurrency = Concurrency(backend)
        self._handlers = {(rpc.service, rpc.method): self._handler(rpc) for rpc in RPCS}

    def _handler(self, rpc: Rpc) -> Unary | StreamRpc | EtcdError:
        if rpc.request is None:
            return Unimplemented()
        if rpc.kind is RpcKind.UNARY:
            service = self._concurrency if rpc.service in (LOCK, ELECTION) else self._backend
            return Unary(rpc, rpc.request, service, self._options)
        if rpc.method == "Watch":
            return Watch(rpc, self._backend, self._options)
        if rpc.method == "LeaseKeepAlive":
            return KeepAlive(rpc, self._backend, self._options)
        return Observe(rpc, self._concurrency, self._options)

    def http(self, rpc: Rpc, path: str) -> ASGIApp:
        """The endpoint of a path."""
        handler = self._handlers[rpc.service, rpc.method]
        options = self._options
        stats = options.metrics.route(path, timed=True)
        if isinstance(handler, Unary):
            return UnaryEndpoint(handler, stats, options)
        if isinstance(handler, EtcdError):
            return UnservedEndpoint(stats, options.clock)
        lines = StreamEndpoint(handler, "watch_ndjson", stats, options)
        return ByAccept(lines, SseEndpoint(rpc, self._backend, stats, options)) if isinstance(handler, Watch) else lines

    def socket(self, rpc: Rpc, path: str) -> ASGIApp:
        """The endpoint of a path over WebSocket."""
        handler = self._handlers[rpc.service, rpc.method]
        return SocketEndpoint(handler, self._options.metrics.route(path, timed=True), self._options)


class ByAccept:
    """A path whose clients choose by their Accept header between JSON lines and server-sent events."""

    def __init__(self, lines: ASGIApp, events: ASGIApp) -> None:
        self._lines = lines
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        await (self._events if accepts_events(scope) else self._lines)(scope, receive, send)


def probe_routes(backend: Backend, options: Options) -> list[Route]:
    """What metrics listeners serve too: /metrics and the health endpoints."""
    handlers: dict[str, Handler] = {"/metrics": _metrics(options), **Health(backend, options).handlers()}
    return [_plain(path, handler, options) for path, handler in handlers.items()]


def info_routes(options: Options) -> list[Route]:
    """The version, the variables of the process, and the contract."""
    contract = load_contract()
    return [
        _plain("/version", _get(lambda: make_reply(200, JSON, _version(options))), options),
        _plain("/debug/vars", _get(lambda: make_reply(200, _JSON_UTF8, _vars(options))), options),
        _plain("/openapi.json", _get(lambda: contract), options),
    ]


def _plain(path: str, handler: Handler, options: Options) -> Route:
    return Route(path, Plain(options.metrics.route(path), options.clock, handler))


def _get(make: Callable[[], Reply]) -> Handler:
    async def handler(scope: Scope) -> Reply:
        return make() if scope["method"] == "GET" else GET_ONLY

    return handler


def _metrics(options: Options) -> Handler:
    metrics = options.metrics

    async def handler(scope: Scope) -> Reply:
        """Answers any method, as etcd does."""
        began = options.clock()
        accept, accept_encoding = _joined(scope, b"accept"), _joined(scope, b"accept-encoding")
        reply = await in_thread(render, metrics.registry, accept, accept_encoding)
        metrics.scrape_seconds = options.clock() - began
        return reply

    return handler


def _joined(scope: Scope, name: bytes) -> str:
    return b",".join(value for key, value in scope["headers"] if key == name).decode("latin-1")


def _version(options: Options) -> bytes:
    cluster = options.cluster_version()
    decided = cluster != "not_decided"
    version = {
        "etcdserver": options.server_version,
        "etcdcluster": cluster,
        "storage": cluster if decided else "unknown",
        "raftgate": options.raftgate_version,
    }
    return json.dumps(version, separators=(",", ":")).encode()


def _vars(options: Options) -> bytes:
    variables = {
        "cmdline": sys.argv,
        "file_descriptor_limit": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "memstats": {"collections": gc.get_stats()},
        **options.debug_vars(),
    }
    return json.dumps(variables).encode()


def not_found(options: Options) -> ASGIApp:
    """Answers whatever no route serves."""
    http = NotFoundEndpoint(options)
    socket = SocketEndpoint(NotFound(), options.metrics.route(OTHER), options)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await (http if scope["type"] == "http" else socket)(scope, receive, send)

    return answer


class NotFoundEndpoint(Endpoint):
    """Whatever no route serves: JSON below /v3/, Go's text elsewhere."""

    def __init__(self, options: Options) -> None:
        super().__init__(options.metrics.route(OTHER), options.clock)

    async def reply(self, scope: Scope, receive: Receive) -> Reply:  # noqa: ARG002 - it reads no body
        """404."""
        return _RPC_NOT_FOUND if scope["path"].startswith("/v3/") else PAGE_NOT_FOUND
