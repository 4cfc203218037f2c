"""The routes: the table of RPCs, and the few pages beside it."""

import gc
import json
import resource
import sys
from collections.abc import Callable, Iterable

from starlette.routing import Route
from starlette.types import Receive, Scope

from gateway.backend import Backend
from gateway.endpoint import Endpoint, Plain
from gateway.errors import error_reply
from gateway.exposition import render
from gateway.health import Handler, Health
from gateway.limits import in_thread
from gateway.metrics import OTHER
from gateway.openapi import load_contract
from gateway.options import Options
from gateway.replies import GET_ONLY, JSON, PAGE_NOT_FOUND, Headers, Reply, make_reply
from gateway.unary import Unary, UnaryEndpoint, UnservedEndpoint
from raftgate.api.errors import NotFound
from raftgate.api.services import RPCS, Rpc, RpcKind

_RPC_NOT_FOUND = error_reply(NotFound())
_JSON_UTF8: Headers = [(b"content-type", b"application/json; charset=utf-8")]


def rpc_routes(backend: Backend, options: Options) -> list[Route]:
    """A route for each path of each RPC; methods are left to the endpoints, since Starlette adds HEAD to GET."""
    return [Route(path, endpoint) for rpc in RPCS for path, endpoint in _rpc_endpoints(rpc, backend, options)]


def _rpc_endpoints(rpc: Rpc, backend: Backend, options: Options) -> Iterable[tuple[str, Endpoint]]:
    if rpc.request is None or rpc.kind is not RpcKind.UNARY:
        for path in rpc.paths:
            yield path, UnservedEndpoint(options.metrics.route(path, timed=True), options.clock)
        return
    unary = Unary(rpc, rpc.request, backend, options)
    for path in rpc.paths:
        yield path, UnaryEndpoint(unary, options.metrics.route(path, timed=True), options)


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


class NotFoundEndpoint(Endpoint):
    """Whatever no route serves: JSON below /v3/, Go's text elsewhere."""

    def __init__(self, options: Options) -> None:
        super().__init__(options.metrics.route(OTHER), options.clock)

    async def reply(self, scope: Scope, receive: Receive) -> Reply:  # noqa: ARG002 - it reads no body
        """404."""
        return _RPC_NOT_FOUND if scope["path"].startswith("/v3/") else PAGE_NOT_FOUND
