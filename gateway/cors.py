"""Which origins a browser may call from (etcd embed/config.go: --cors)."""

from collections.abc import Iterable

from gateway.replies import Headers

_ALLOW: Headers = [
    (b"access-control-allow-headers", b"accept, content-type, authorization"),
    (b"access-control-allow-methods", b"POST, GET, OPTIONS, PUT, DELETE"),
]


class Cors:
    """The allowed origins, as headers."""

    def __init__(self, origins: frozenset[str]) -> None:
        """`origins` holds `scheme://host:port` each, or `*`; an empty set allows all, as in etcd."""
        self._by_origin = {origin.encode(): _headers(origin.encode()) for origin in sorted(origins)}
        self.fixed: Headers | None = _headers(b"*") if not origins or "*" in origins else None
        """The headers of every answer, whatever the origin; None when they depend on it."""

    def headers(self, request_headers: Iterable[tuple[bytes, bytes]]) -> Headers:
        """The headers of an answer: `*` where all are allowed, else the request's own origin when listed."""
        if self.fixed is not None:
            return self.fixed
        for name, value in request_headers:
            if name == b"origin":
                return self._by_origin.get(value, [])
        return []


def _headers(origin: bytes) -> Headers:
    return [*_ALLOW, (b"access-control-allow-origin", origin)]
