"""The stream of watches: ids, cancelling, refusals, progress, fragments, framing: watch.md sections 1, 2, 4, 5, 6."""

from tests.e2e.case import ANY_TEXT, ANYTHING, Case, Difference, Expected, Revision, Step
from tests.e2e.rpc import delete, op_put, put, txn
from tests.e2e.stream_rpc import (
    PROGRESS,
    WATCH,
    cancel,
    close,
    create,
    end,
    lines,
    opened,
    opened_half,
    send,
    silence,
    told,
    watching,
    websocket,
)

NOTICES = ("--experimental-watch-progress-notify-interval=1s",)
BIG = b"v" * 400_000

HEADER: Expected = {
    "cluster_id": "<cluster_id>",
    "member_id": "<member_id>",
    "revision": "+0",
    "raft_term": "<raft_term>",
}
CREATED: Expected = {"result": {"header": HEADER, "created": True}}


def _at_once(*read: Expected, spec: str = "http.md 6") -> Difference:
    return Difference("raftgate answers while the body is still open", spec, 200, body=list(read))


BAD: Expected = {"error": ANY_TEXT, "code": 3, "message": ANY_TEXT}
LATER = Difference("etcd drops what comes after its first answer is due", "http.md 6", 200)
FIRST_WAS_BEFORE = Difference("the first line came before", "http.md 6", body={"watch 0": ANYTHING})
BEGUN = _at_once("<nothing>")
NO_PROGRESS = Difference("3.6 drops it", "watch.md 4", body=["<nothing>"])


def _progress(revision: str) -> Expected:
    header: dict[str, Expected] = {
        "cluster_id": "<cluster_id>",
        "member_id": "<member_id>",
        "revision": revision,
        "raft_term": "<raft_term>",
    }
    return {"result": {"header": header, "watch_id": "-1"}}


IDS = [
    Case(
        "the server picks 0, 1, 2",
        [opened("w", WATCH, create(b"a"), create(b"b"), create(b"c")), lines("w", 3)],
        rows=("watch-1-id",),
    ),
    Case(
        "an id of its own, which the server skips",
        [
            opened("w", WATCH, create(b"a", watch_id=1), create(b"b"), create(b"c"), create(b"d")),
            lines("w", 4),
            put(b"a"),
            put(b"d"),
            lines("w", 2).in_any_order(),
        ],
        rows=("watch-1-id",),
    ),
    Case(
        "negative ids",
        [
            opened("w", WATCH, create(b"a", watch_id=-1), create(b"b", watch_id="-7")),
            lines("w", 2),
            put(b"b"),
            lines("w"),
        ],
        rows=("watch-1-id",),
    ),
    Case("a large id", [opened("w", WATCH, create(b"a", watch_id=str(2**63 - 1))), lines("w"), put(b"a"), lines("w")]),
    Case(
        "an id in use",
        [
            opened("w", WATCH, create(b"a", watch_id=3), create(b"b", watch_id=3), create(b"c")),
            lines("w", 3),
            put(b"b"),
            put(b"a"),
            lines("w"),
        ],
        rows=("watch-2-duplicate", "watch-1-id", "watch-2-stream-goes-on"),
    ),
    Case(
        "an id after its watch was canceled",
        [
            opened("w", WATCH, create(b"a", watch_id=3), cancel(3), create(b"b", watch_id=3)),
            lines("w", 3),
            put(b"a"),
            put(b"b"),
            lines("w"),
        ],
    ),
    Case(
        "the server does not pick an id twice",
        [opened("w", WATCH, create(b"a"), cancel(0), create(b"b"), create(b"c")), lines("w", 4)],
    ),
    Case(
        "ids belong to a stream",
        [*watching("w", b"a", watch_id=5), *watching("v", b"a", watch_id=5), put(b"a"), lines("w"), lines("v")],
        rows=("watch-1-id",),
    ),
    Case(
        "several watches of one key",
        [
            opened("w", WATCH, create(b"a"), create(b"a", prev_kv=True), create(b"a", filters=["NOPUT"])),
            lines("w", 3),
            put(b"a", b"1"),
            lines("w", 2).in_any_order(),
            delete(b"a"),
            lines("w", 3).in_any_order(),
        ],
        rows=("watch-3-among",),
    ),
]

REFUSED = [
    Case(
        "an empty range",
        [
            opened("w", WATCH, create(b"b", b"a"), create(b"b", b"b"), create(b"a")),
            lines("w", 3),
            put(b"b"),
            put(b"a"),
            lines("w"),
        ],
        rows=("watch-2-empty-range", "watch-1-range-end", "watch-2-stream-goes-on"),
    ),
    Case(
        "an empty range with an id and a start",
        [
            opened("w", WATCH, create(b"b", b"a", watch_id=5, start_revision=Revision(0)), create(b"c", watch_id=5)),
            lines("w", 2),
        ],
        rows=("watch-2-empty-range",),
    ),
    Case(
        "objects without a member",
        [
            opened("w", WATCH, {}, {"unknown": 1}, {"create_request": None}, create(b"a")),
            lines("w"),
            put(b"a"),
            lines("w"),
        ],
        rows=("watch-1-none",),
    ),
    Case(
        "only an object without a member",
        [opened("w", WATCH, {}), silence("w").differs(BEGUN)],
        rows=("watch-1-none", "http-6-headers"),
    ),
    Case("no object", [opened("w", WATCH), silence("w").differs(BEGUN)], rows=("watch-6-empty", "http-6-headers")),
    Case(
        "two members of one object",
        [
            opened("w", WATCH, {**create(b"a"), **cancel(0)}),
            silence("w").differs(Difference("raftgate says what is wrong", "http.md 6", 400, body=[BAD])),
        ],
        rows=("http-6-parse-first",),
    ),
]

CANCELED = [
    Case(
        "cancel",
        [
            opened("w", WATCH, create(b"a"), create(b"b"), cancel(0)),
            lines("w", 3),
            put(b"a"),
            put(b"b"),
            lines("w"),
        ],
        rows=("watch-2-cancel", "watch-2-stream-goes-on", "watch-6-create-cancel"),
    ),
    Case(
        "cancel an unknown id",
        [opened("w", WATCH, cancel(5), cancel(-1), create(b"a"), cancel(3)), lines("w"), put(b"a"), lines("w")],
        rows=("watch-2-cancel-unknown",),
    ),
    Case(
        "cancel twice",
        [opened("w", WATCH, create(b"a"), cancel(0), cancel(0), create(b"b")), lines("w", 3), put(b"b"), lines("w")],
    ),
    Case(
        "cancel without an id is that of watch 0",
        [opened("w", WATCH, create(b"a"), {"cancel_request": {}}), lines("w", 2)],
    ),
    Case(
        "cancel an id of its own",
        [opened("w", WATCH, create(b"a", watch_id=-4), cancel("-4")), lines("w", 2)],
        rows=("watch-2-cancel",),
    ),
    Case(
        "nothing follows a cancel",
        [opened("w", WATCH, create(b"a"), cancel(0)), lines("w", 2), put(b"a"), silence("w")],
        rows=("watch-2-cancel",),
    ),
    Case(
        "a stream of another client goes on",
        [*watching("w", b"a"), *watching("v", b"a"), close("w"), put(b"a"), lines("v")],
    ),
]

PROGRESSING = [
    Case(
        "progress of all",
        [
            websocket("w", WATCH, create(b"a")),
            lines("w"),
            put(b"b"),
            send("w", PROGRESS),
            lines("w"),
            put(b"a"),
            lines("w"),
            send("w", PROGRESS),
            lines("w"),
        ],
        rows=("watch-2-progress", "watch-4-request", "watch-4-promise"),
    ),
    Case(
        "progress while a watch waits for the future",
        [
            websocket("w", WATCH, create(b"a"), create(b"b", start_revision=Revision(2))),
            lines("w", 2),
            send("w", PROGRESS),
            silence("w").differs(NO_PROGRESS),
            put(b"a"),
            lines("w"),
            send("w", PROGRESS),
            silence("w"),
            put(b"a"),
            lines("w"),
            send("w", PROGRESS),
            lines("w"),
        ],
        rows=("watch-4-request",),
    ),
    Case(
        "progress without a watch",
        [websocket("w", WATCH, PROGRESS), silence("w")],
        rows=("watch-4-none",),
    ),
    Case(
        "progress after the last watch is canceled",
        [
            websocket("w", WATCH, create(b"a"), cancel(0)),
            lines("w", 2),
            send("w", PROGRESS),
            silence("w").differs(NO_PROGRESS),
        ],
        rows=("watch-4-none",),
    ),
    Case(
        "create and progress in one body",
        [
            opened("w", WATCH, create(b"a"), PROGRESS),
            lines("w", 2).in_any_order(),
        ],
        rows=("watch-2-progress",),
    ),
    Case(
        "a create comes before the progress that was asked for behind it",
        [
            opened("w", WATCH, create(b"a"), PROGRESS).never_to_etcd(
                Difference("3.5 and 3.6 tell them in any order", "watch.md 4", 200)
            ),
            lines("w", 2).never_to_etcd(
                Difference("3.5 and 3.6 tell them in any order", "watch.md 4", 200, {}, [CREATED, _progress("+0")])
            ),
        ],
        rows=("watch-4-order",),
    ),
    Case(
        "notices",
        [
            opened("w", WATCH, create(b"a", progress_notify=True)),
            lines("w", 3),
            put(b"b"),
            lines("w"),
        ],
        NOTICES,
        rows=("watch-4-notify", "watch-1-progress-notify"),
    ),
    Case(
        "notices of those who asked only, with their ids",
        [opened("w", WATCH, create(b"a"), create(b"b", watch_id=6, progress_notify=True)), lines("w", 4)],
        NOTICES,
        rows=("watch-1-progress-notify",),
    ),
]

FRAGMENTS = [
    Case(
        "a big message whole",
        [
            *(put(b"k%d" % n, BIG) for n in range(6)),
            *watching("w", b"k", b"l", start_revision=Revision(1)),
            told("w", 6),
        ],
        rows=("watch-5-whole",),
    ),
    Case(
        "fragments of history",
        [
            *(put(b"k%d" % n, BIG) for n in range(9)),
            *watching("w", b"k", b"l", start_revision=Revision(1), fragment=True),
            lines("w", 2),
            put(b"k", b"small"),
            lines("w"),
        ],
        rows=("watch-5-fragments", "watch-1-fragment"),
    ),
    Case(
        "one revision in fragments",
        [
            *watching("w", b"k", b"l", fragment=True, prev_kv=True),
            txn(success=[op_put(b"k1", BIG), op_put(b"k2", BIG), op_put(b"k3", BIG)]),
            lines("w"),
            txn(success=[op_put(b"k1", BIG), op_put(b"k2", BIG), op_put(b"k3", BIG)]),
            lines("w", 2),
        ],
        rows=("watch-5-fragments", "watch-3-atomic"),
    ),
    Case(
        "one event is never taken apart",
        [
            put(b"k", b"v" * 1_500_000),
            *watching("w", b"k", fragment=True, prev_kv=True),
            put(b"k", b"w" * 1_500_000),
            lines("w"),
        ],
        rows=("watch-5-fragments",),
    ),
    Case(
        "fragment with small events",
        [*watching("w", b"k", fragment=True), put(b"k"), lines("w")],
        rows=("watch-1-fragment",),
    ),
]


def _body(text: bytes) -> Step:
    return Step("POST", WATCH, text, stream="w")


FRAMING = [
    Case(
        "nothing between the objects",
        [
            _body(b'{"create_request":{"key":"YQ=="}}{"create_request":{"key":"Yg=="}}'),
            lines("w", 2),
            put(b"b"),
            lines("w"),
        ],
        rows=("watch-6-several", "http-6-objects"),
    ),
    Case(
        "white space between the objects",
        [_body(b' {"create_request":{"key":"YQ=="}}\r\n\n\t {"create_request":{"key":"Yg=="}}  \n'), lines("w", 2)],
        rows=("watch-6-several", "http-6-objects"),
    ),
    Case(
        "a comma between the objects",
        [
            _body(b'{"create_request":{"key":"YQ=="}},{"create_request":{"key":"Yg=="}}'),
            lines("w"),
            put(b"b"),
            put(b"a"),
            lines("w"),
        ],
        rows=("http-6-objects", "http-6-parse-later"),
    ),
    Case(
        "a bad object behind a good one",
        [_body(b'{"create_request":{"key":"YQ=="}}{"create_request":{"key":1}}'), lines("w"), put(b"a"), lines("w")],
        rows=("http-6-parse-later",),
    ),
    Case(
        "a good object behind a bad one",
        [
            _body(b'{"create_request":{"key":"YQ=="}} x {"create_request":{"key":"Yg=="}}'),
            lines("w"),
            put(b"b"),
            put(b"a"),
            lines("w"),
        ],
        rows=("http-6-parse-later",),
    ),
    Case(
        "an object that is cut off",
        [_body(b'{"create_request":{"key":"YQ=="}}{"create_'), lines("w"), put(b"a"), lines("w")],
        rows=("http-6-parse-later",),
    ),
    Case(
        "the end of the body does not end the watch",
        [*watching("w", b"a"), silence("w"), put(b"a"), lines("w")],
        rows=("watch-6-body-end", "http-6-stays-open"),
    ),
    Case(
        "later objects on an open body",
        [
            opened_half("w", WATCH, create(b"a")),
            silence("w").differs(_at_once(CREATED)),
            send("w", create(b"b")).never_to_etcd(LATER),
            lines("w").never_to_etcd(_at_once({"result": {"header": HEADER, "watch_id": "1", "created": True}})),
            end("w"),
            put(b"a"),
            told("w", 1).differs(FIRST_WAS_BEFORE),
        ],
        rows=("watch-6-open-body",),
    ),
    Case(
        "by GET, and on other paths",
        [Step("GET", WATCH), Step("PUT", WATCH, b"{}"), Step("HEAD", WATCH), Step("POST", f"{WATCH}/", b"{}")],
    ),
    Case(
        "the older prefix",
        [opened("w", "/v3beta/watch", create(b"a")), lines("w"), put(b"a"), lines("w")],
        rows=("http-1-v3beta",),
    ),
    Case(
        "headers of a request that change nothing",
        [
            opened("w", WATCH, create(b"a")).with_headers(
                Content_Type="text/plain", Accept="text/html", Authorization="x"
            ),
            lines("w"),
            put(b"a"),
            lines("w"),
        ],
    ),
    Case(
        "Hasleader while there is one",
        [
            opened("w", WATCH, create(b"a")).with_headers(Grpc_Metadata_Hasleader="true"),
            lines("w"),
            put(b"a"),
            lines("w"),
        ],
    ),
    Case(
        "Grpc-Timeout ends a stream",
        [opened("w", WATCH, create(b"a")).with_headers(Grpc_Timeout="500m"), lines("w", 2), lines("w")],
        rows=("http-4-stream",),
    ),
    Case("Grpc-Timeout malformed", [Step("POST", WATCH, b"{}", {"Grpc-Timeout": "xx"})]),
]

CASES = [*IDS, *REFUSED, *CANCELED, *PROGRESSING, *FRAGMENTS, *FRAMING]
