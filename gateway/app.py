"""The gateway as ASGI applications: all of it for the client port, and its probes alone for metrics listeners."""

from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route, Router

from gateway.backend import Backend
from gateway.front import Front
from gateway.options import Options
from gateway.routes import info_routes, not_found, probe_routes, rpc_routes


def build_app(backend: Backend, options: Options) -> Router:
    """The application of the client port."""
    routes = [*rpc_routes(backend, options), *info_routes(options), *probe_routes(backend, options)]
    return _router(routes, options, client=True)


def build_metrics_app(backend: Backend, options: Options) -> Router:
    """The application of a metrics listener: no RPCs, no CORS, no host list."""
    return _router(probe_routes(backend, options), options, client=False)


def _router(routes: Sequence[BaseRoute], options: Options, *, client: bool) -> Router:
    """Starlette's router without the application around it, whose two error middlewares have nothing to catch here."""
    known = [route.path for route in routes if isinstance(route, Route)]
    front = Middleware(Front, options, known, client=client)
    return Router(routes, redirect_slashes=False, default=not_found(options), middleware=[front])
