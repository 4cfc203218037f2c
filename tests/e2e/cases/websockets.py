"""WebSockets: http.md section 6."""

from tests.e2e.case import Case, Revision
from tests.e2e.rpc import END, get, put
from tests.e2e.stream_rpc import (
    WATCH,
    cancel,
    close,
    create,
    lines,
    send,
    told,
    websocket,
)

CASES = [
    Case(
        "a WebSocket goes both ways",
        [
            websocket("w", WATCH, create(b"a")),
            lines("w"),
            put(b"a", b"1"),
            lines("w"),
            send("w", create(b"b")),
            lines("w"),
            send("w", cancel(0)),
            lines("w"),
            put(b"a", b"2"),
            put(b"b"),
            lines("w"),
            close("w"),
        ],
        rows=("watch-6-websocket", "http-6-websocket"),
    ),
    Case(
        "a WebSocket's refusals",
        [
            websocket(
                "w", WATCH, create(b"b", b"a"), create(b"a", watch_id=2), create(b"a", watch_id=2), cancel(9), {}
            ),
            lines("w", 3),
            put(b"a"),
            lines("w"),
        ],
        rows=("http-6-websocket",),
    ),
    Case(
        "a unary call over a WebSocket",
        [put(b"a", b"1"), websocket("w", "/v3/kv/range", {"key": b"a"}), lines("w", 2)],
        rows=("http-6-websocket-unary",),
    ),
    Case(
        "a write over a WebSocket",
        [websocket("w", "/v3/kv/put", {"key": b"a", "value": b"1"}), lines("w", 2), get(b"a")],
        rows=("http-6-websocket-unary",),
    ),
    Case(
        "a refused call over a WebSocket",
        [websocket("w", "/v3/kv/range", {}), lines("w", 2)],
        rows=("http-6-websocket-unary",),
    ),
    Case(
        "a token in the subprotocol",
        [
            put(b"a", b"1"),
            websocket("w", "/v3/kv/range", {"key": b"a"}).with_headers(Sec_WebSocket_Protocol="Bearer, abc.1"),
            lines("w", 2),
        ],
        rows=("http-6-websocket-token",),
    ),
    Case(
        "history over a WebSocket",
        [
            put(b"a", b"1"),
            put(b"a", b"2"),
            websocket("w", WATCH, create(b"a", END, start_revision=Revision(1))),
            lines("w"),
            told("w", 2),
        ],
        rows=("http-6-websocket",),
    ),
    Case("a path that is none, over a WebSocket", [websocket("w", "/v3/nothing"), lines("w")]),
]
