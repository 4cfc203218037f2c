"""What stands in front of the routes: host list, CORS, and the shape of paths.

The order is etcd's (server/etcdserver/api/etcdhttp, embed/serve.go: accessController.ServeHTTP, then Go's ServeMux):
the old prefix, the host, CORS headers, OPTIONS, cleaning of the path, routes.
"""

from collections.abc import Callable, Collection
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.cors import Cors
from gateway.metrics import OTHER, RouteStats
from gateway.options import Options
from gateway.replies import EMPTY, HEADERS_KEY, TEXT, Headers, Reply, make_reply, send_reply

_OLD_PREFIX = b"/v3beta/"
_HTML: Headers = [(b"content-type", b"text/html; charset=utf-8")]
_FOREIGN_ORIGIN = make_reply(403, TEXT, b"The origin is not on the list of this server (--cors).\n")


class Front:
    """ASGI middleware that passes on well-shaped requests and answers all others."""

    def __init__(self, app: ASGIApp, options: Options, known: Collection[str], *, client: bool = True) -> None:
        """`known` holds the paths of the routes; `client` is false on a listener for metrics alone."""
        self._app = app
        self._known = frozenset(path.encode() for path in known)
        self._cors = Cors(options.cors) if client else None
        self._common: Headers | None = self._cors.fixed if self._cors else []
        self._hosts = options.host_whitelist
        self._all_hosts = not client or not self._hosts or "*" in self._hosts
        self._client = client
        self._stats: RouteStats = options.metrics.route(OTHER)
        self._clock: Callable[[], float] = options.clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers or passes on one request."""
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
            return
        common = self._common
        scope[HEADERS_KEY] = self._cors.headers(scope["headers"]) if common is None and self._cors else common
        if not self._all_hosts or scope["raw_path"] not in self._known or scope["method"] == "OPTIONS":
            reply = self._refuse_or_shape(scope)
            if reply is not None:
                await send_reply(scope, send, reply)
                self._stats.record(scope["method"], reply.status, 0, len(reply.body), 0.0)
                return
        await self._app(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers or passes on the opening of a WebSocket."""
        scope["method"] = "GET"
        reply = self._refuse_or_shape(scope) or self._refuse_origin(scope)
        if reply is None:
            await self._app(scope, receive, send)
            return
        await receive()
        if "websocket.http.response" in scope.get("extensions", {}):
            headers = (self._cors.headers(scope["headers"]) if self._cors else []) + reply.headers
            await send({"type": "websocket.http.response.start", "status": reply.status, "headers": headers})
            await send({"type": "websocket.http.response.body", "body": reply.body})
        else:
            await send({"type": "websocket.close"})
        self._stats.record("GET", reply.status, 0, len(reply.body), 0.0)

    def _refuse_origin(self, scope: Scope) -> Reply | None:
        """Browsers ask nobody before they open a WebSocket, so that the list of origins is checked here."""
        origin = next((value for name, value in scope["headers"] if name == b"origin"), None)
        if origin is None or self._cors is None or self._cors.headers(scope["headers"]):
            return None
        own = next((value for name, value in scope["headers"] if name == b"host"), b"")
        return None if origin.partition(b"://")[2] == own else _FOREIGN_ORIGIN

    def _refuse_or_shape(self, scope: Scope) -> Reply | None:
        """Answers what no route should see; else leaves in `path` what routes are matched against."""
        path: bytes = scope["raw_path"]
        if self._client and path.startswith(_OLD_PREFIX):
            path = b"/v3/" + path.removeprefix(_OLD_PREFIX)
        if not self._all_hosts and scope["scheme"] != "https":
            host = _host(scope)
            if host not in self._hosts:
                return _misdirected(host)
        if self._client and scope["method"] == "OPTIONS":
            return EMPTY
        clean = clean_path(path)
        if clean != path:
            return _moved(clean, scope)
        # An encoded slash stays encoded: it is no separator (RFC 3986 2.2), so it matches nothing.
        decoded = "%2F".join(unquote(part.decode("latin-1")) for part in _split_at_slashes(path))
        # Starlette's patterns end in `$`, which lets a last line feed pass.
        scope["path"] = path.decode("latin-1") if decoded.endswith("\n") else decoded
        return None


def _split_at_slashes(path: bytes) -> list[bytes]:
    return path.replace(b"%2f", b"%2F").split(b"%2F")


def clean_path(path: bytes) -> bytes:
    """Takes out empty and dot segments (Go net/http: cleanPath); `/v3` alone leads to `/v3/`."""
    if path == b"/v3":
        return b"/v3/"
    if b"//" not in path and b"/." not in path:
        return path
    segments: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            del segments[-1:]
        elif segment not in (b"", b"."):
            segments.append(segment)
    clean = b"/" + b"/".join(segments)
    return clean + b"/" if path.endswith((b"/", b"/.", b"/..")) and clean != b"/" else clean


def _moved(path: bytes, scope: Scope) -> Reply:
    """307, as etcd 3.6: the 301 of older ones makes clients send a GET."""
    query: bytes = scope.get("query_string", b"")
    location = path + (b"?" + query if query else b"")
    headers: Headers = [(b"location", location)]
    if scope["method"] != "GET":
        return make_reply(307, headers)
    target = location.replace(b"&", b"&amp;").replace(b'"', b"&#34;").replace(b"<", b"&lt;").replace(b">", b"&gt;")
    return make_reply(307, headers + _HTML, b'<a href="%b">Temporary Redirect</a>.\n\n' % target)


def _host(scope: Scope) -> str:
    """The Host header without its port."""
    value = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
    if value.startswith("["):
        return str(value[1:].partition("]")[0])
    return str(value.partition(":")[0]) if value.count(":") == 1 else str(value)


def _misdirected(host: str) -> Reply:
    text = (
        f"The Host header {host!r} is not on the list of this server.\n\n"
        "Either use TLS, where any host is accepted, or start the server with the name on its list:\n"
        f"  --host-whitelist {host!r}\n\n"
        "The list guards against DNS rebinding (CVE-2018-5702).\n"
    )
    return make_reply(421, TEXT, text.encode(errors="replace"))
