"""The peer listener's application: what other members and operators may ask on the peer port."""

from collections.abc import Callable, Iterable, Mapping

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from raftgate.api.cluster import Member


def build_peer_app(
    cluster_id: int,
    members: Callable[[], Iterable[Member]],
    version: Callable[[], dict[str, str]],
    raft: Mapping[str, ASGIApp] | None = None,
) -> Starlette:
    """Serves /version and /members (etcd etcdhttp/peer.go), and under the paths of `raft` what members ask each other.

    Those get the request as it comes, and check by themselves who asks (`consensus.peer_receiver.Admitted`).
    """
    identity = {"X-Etcd-Cluster-Id": f"{cluster_id:x}"}

    async def serve_members(request: Request) -> Response:
        if request.method != "GET":
            return PlainTextResponse("Method Not Allowed\n", 405, {"Allow": "GET", **identity})
        listed = [_as_etcd(member) for member in sorted(members(), key=lambda member: member.ID)]
        return Response(msgspec.json.encode(listed) + b"\n", 200, identity, "application/json")

    async def serve_version(request: Request) -> Response:
        if request.method != "GET":
            return PlainTextResponse("Method Not Allowed\n", 405, {"Allow": "GET"})
        return Response(msgspec.json.encode(version()), 200, media_type="application/json")

    async def not_found(_request: Request, _error: Exception) -> Response:
        return PlainTextResponse("404 page not found\n", 404)

    every = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]
    routes = [Route("/members", serve_members, methods=every), Route("/version", serve_version, methods=every)]
    routes += [Route(path, endpoint) for path, endpoint in (raft or {}).items()]
    app = Starlette(routes=routes, exception_handlers={404: not_found})
    app.router.redirect_slashes = False
    return app


def _as_etcd(member: Member) -> dict[str, object]:
    """A member as etcd's peer port writes it: ids as numbers, empty fields left out."""
    fields = {
        "id": member.ID,
        "peerURLs": member.peerURLs,
        "name": member.name,
        "clientURLs": member.clientURLs,
        "isLearner": member.isLearner,
    }
    return {name: value for name, value in fields.items() if value or name in ("id", "peerURLs")}
