"""Leases: lease-lock-election.md section 1."""

from tests.e2e.case import ANY_TEXT, ANYTHING, THIS_MEMBER, Case, Difference, Expected, Lease, Step
from tests.e2e.rpc import END, LEASES, REVOKE, alarm, check, delete, get, get_all, op_delete, op_put, post, put, txn
from tests.e2e.stream_rpc import (
    GRANT,
    KEEPALIVE,
    TIMETOLIVE,
    answer,
    close,
    end,
    grant,
    keepalive,
    leases,
    lines,
    opened,
    opened_half,
    revoke,
    send,
    silence,
    time_to_live,
    watching,
    websocket,
)

FOREVER = 9_000_000_000
OLD_REVOKE = "/v3/kv/lease/revoke"
OLD_TIMETOLIVE = "/v3/kv/lease/timetolive"
OLD_LEASES = "/v3/kv/lease/leases"

HEADER: Expected = {
    "cluster_id": "<cluster_id>",
    "member_id": "<member_id>",
    "revision": "+0",
    "raft_term": "<raft_term>",
}


def _kept(lease: str) -> Expected:
    return {"result": {"header": HEADER, "ID": lease, "TTL": "60"}}


FIRST_AT_ONCE = Difference("raftgate answers while the body is still open", "http.md 6", 200, body=[_kept("7")])
SECOND_AT_ONCE = Difference("etcd drops what comes after its first answer is due", "http.md 6", 200, body=[_kept("8")])
THEN_THE_END = Difference("both lines came before", "http.md 6", body="")

# etcd sends no Content-Type where it has nothing to say.
NO_TYPE: dict[str, Expected] = {"content-type": ANYTHING, "grpc-metadata-content-type": ANYTHING}
NO_LINE = Difference("raftgate sends the same head always", "http.md 6", headers=NO_TYPE)
BAD_FIRST = Difference(
    "raftgate says what is wrong",
    "http.md 6",
    400,
    NO_TYPE,
    {"error": ANY_TEXT, "code": 3, "message": ANY_TEXT},
)

GRANTING = [
    Case("with an id", [grant(60, 7), time_to_live(7)], rows=("lease-1-grant", "http-1-path-grant", "lease-1-header")),
    Case(
        "the server picks an id",
        [grant(60), grant(60), grant(60, 0), time_to_live(Lease(1)), time_to_live(Lease(3))],
        rows=("lease-1-grant-picks",),
    ),
    Case(
        "a negative id",
        [grant(60, -7), time_to_live(-7), put(b"a", lease=-7), get(b"a"), revoke(-7), get(b"a")],
        rows=("lease-1-grant-negative",),
    ),
    Case(
        "the extreme ids",
        [grant(60, str(2**63 - 1)), grant(60, str(-(2**63))), revoke(str(2**63 - 1)), revoke(str(-(2**63)))],
    ),
    Case(
        "an id in use",
        [grant(60, 7), grant(100, 7), time_to_live(7)],
        rows=("lease-1-grant-exists", "http-5-LeaseExist"),
    ),
    Case("an id again after its revoke", [grant(60, 7), revoke(7), grant(100, 7), time_to_live(7)]),
    Case(
        "the largest TTL and one more",
        [grant(FOREVER, 7), time_to_live(7), grant(FOREVER + 1, 8), time_to_live(8), grant(str(2**63 - 1), 8)],
        rows=("lease-1-grant-too-large", "http-5-LeaseTTLTooLarge"),
    ),
    Case(
        "a TTL below the minimum is raised",
        [grant(0, 7), grant(-5, 8), grant(1, 9), grant(2, 10), grant(3, 11), grant(str(-(2**63)), 12)],
        rows=("lease-1-grant-minimum", "lease-1-minimum"),
    ),
    Case(
        "the minimum follows the election timeout",
        [grant(1, 7), grant(3, 8), grant(4, 9)],
        ("--election-timeout=2000", "--heartbeat-interval=200"),
        rows=("lease-1-minimum",),
    ),
    Case("no TTL", [post(GRANT, {"ID": 7}), post(GRANT, {"ID": 8, "TTL": None})], rows=("lease-1-grant-minimum",)),
    Case("an empty body, and none", [post(GRANT), post(GRANT, None), time_to_live(Lease(1))]),
    Case(
        "fields in other letters",
        [post(GRANT, b'{"id":"7","ttl":"60"}'), post(GRANT, b'{"ID":7,"Ttl":60,"TTL":"61"}')],
    ),
    Case(
        "malformed",
        [
            post(GRANT, b'{"ID":"x"}'),
            post(GRANT, b'{"ID":9223372036854775808}'),
            post(GRANT, b'{"TTL":1.5}'),
            post(GRANT, b'{"TTL":true}'),
            post(GRANT, b"[]"),
        ],
    ),
    Case(
        "by other methods",
        [
            Step("GET", GRANT),
            Step("PUT", REVOKE),
            Step("DELETE", LEASES),
            Step("HEAD", TIMETOLIVE),
            Step("GET", KEEPALIVE),
        ],
    ),
    Case("what is too large comes before what exists", [grant(60, 7), grant(FOREVER + 1, 7)]),
    Case(
        "grants do not move the revision",
        [put(b"a"), grant(60, 7), get(b"a"), revoke(7), get(b"a")],
        rows=("kv-1-rev-lease", "lease-1-revoke-no-keys"),
    ),
]

REVOKING = [
    Case(
        "without keys",
        [grant(60, 7), revoke(7), time_to_live(7), leases()],
        rows=("lease-1-revoke", "lease-1-revoke-no-keys", "http-1-path-revoke"),
    ),
    Case(
        "unknown, and 0",
        [revoke(7), revoke(0), post(REVOKE), revoke(-1)],
        rows=("lease-1-revoke-unknown", "http-5-LeaseNotFound"),
    ),
    Case("twice", [grant(60, 7), revoke(7), revoke(7)], rows=("lease-1-revoke-unknown",)),
    Case(
        "its keys are deleted in one revision",
        [
            grant(60, 7),
            put(b"a", lease=7),
            put(b"b"),
            put(b"c", lease=7),
            revoke(7),
            get_all(),
        ],
        rows=("lease-1-revoke", "lease-1-one-revision"),
    ),
    Case(
        "a key put anew without lease stays",
        [grant(60, 7), put(b"a", lease=7), put(b"a"), revoke(7), get(b"a")],
        rows=("lease-1-reput", "kv-3-lease"),
    ),
    Case(
        "a key deleted before is not deleted again",
        [grant(60, 7), put(b"a", lease=7), delete(b"a"), revoke(7), get_all()],
        rows=("kv-4-leases", "lease-1-delete-detaches"),
    ),
    Case(
        "only its own keys",
        [
            grant(60, 7),
            grant(60, 8),
            put(b"a", lease=7),
            put(b"b", lease=8),
            revoke(7),
            get_all(),
            revoke(8),
            get_all(),
        ],
    ),
    Case(
        "revoke by the older path",
        [grant(60, 7), put(b"a", lease=7), post(OLD_REVOKE, {"ID": 7}), post(OLD_REVOKE, {"ID": 7}), get_all()],
        rows=("http-1-path-revoke", "lease-1-prefixes"),
    ),
]

ATTACHING = [
    Case(
        "attach",
        [grant(60, 7), put(b"a", b"1", lease=7), get(b"a"), time_to_live(7, keys=True)],
        rows=("kv-3-lease", "lease-1-attach"),
    ),
    Case(
        "another lease moves the key",
        [
            grant(60, 7),
            grant(60, 8),
            put(b"a", lease=7),
            put(b"a", lease=8),
            time_to_live(7, keys=True),
            time_to_live(8, keys=True),
            revoke(7),
            get(b"a"),
        ],
        rows=("kv-3-lease", "lease-1-move"),
    ),
    Case(
        "no lease detaches",
        [grant(60, 7), put(b"a", lease=7), put(b"a"), get(b"a"), time_to_live(7, keys=True)],
        rows=("lease-1-detach",),
    ),
    Case(
        "ignore_lease keeps",
        [
            grant(60, 7),
            put(b"a", b"1", lease=7),
            put(b"a", b"2", ignore_lease=True),
            get(b"a"),
            time_to_live(7, keys=True),
            revoke(7),
            get(b"a"),
        ],
        rows=("lease-1-ignore", "kv-3-ignore-lease"),
    ),
    Case(
        "the same lease again",
        [
            grant(60, 7),
            put(b"a", b"1", lease=7),
            put(b"a", b"2", lease=7),
            time_to_live(7, keys=True),
            revoke(7),
            get_all(),
        ],
    ),
    Case(
        "ignore_value with a lease",
        [grant(60, 7), put(b"a", b"1"), put(b"a", ignore_value=True, lease=7), get(b"a"), revoke(7), get_all()],
    ),
    Case(
        "an unknown lease: nothing is written",
        [grant(60, 7), put(b"a", b"1", lease=8), put(b"a", b"1", lease=-1), get_all()],
        rows=("lease-1-attach-unknown",),
    ),
    Case(
        "after its revoke", [grant(60, 7), revoke(7), put(b"a", lease=7), get_all()], rows=("lease-1-attach-unknown",)
    ),
    Case(
        "in a txn",
        [
            grant(60, 7),
            txn(success=[op_put(b"a", lease=7), op_put(b"b", lease=7), op_put(b"c")]),
            time_to_live(7, keys=True),
            txn([check(b"a", "LEASE", "EQUAL", lease=7)], [op_put(b"a")], [op_delete(b"a")]),
            time_to_live(7, keys=True),
            revoke(7),
            get_all(),
        ],
        rows=("lease-1-attach",),
    ),
    Case(
        "compared",
        [
            grant(60, 7),
            put(b"a", lease=7),
            txn([check(b"a", "LEASE", "EQUAL", lease=7)]),
            txn([check(b"a", "LEASE", "GREATER", lease=6)]),
            txn([check(b"a", "LEASE", "LESS", lease="7")]),
        ],
    ),
    Case(
        "many keys of one lease",
        [
            grant(60, 7),
            txn(success=[op_put(b"k%03d" % n, lease=7) for n in range(100)]),
            time_to_live(7, keys=True),
            *watching("w", b"k", b"l"),
            revoke(7),
            lines("w"),
        ],
        rows=("lease-1-attach", "lease-4-attached"),
    ),
    Case("prev_kv shows the lease", [grant(60, 7), put(b"a", lease=7), put(b"a", prev_kv=True), get(b"a")]),
]

ASKING = [
    Case(
        "time to live",
        [grant(60, 7), time_to_live(7), time_to_live(7, keys=False)],
        rows=("lease-1-timetolive", "http-1-path-timetolive"),
    ),
    Case(
        "unknown",
        [time_to_live(7), time_to_live(0), time_to_live(-7, keys=True), post(TIMETOLIVE)],
        rows=("lease-1-timetolive-unknown",),
    ),
    Case(
        "keys when asked for only",
        [
            grant(60, 7),
            put(b"b", lease=7),
            put(b"a", lease=7),
            time_to_live(7),
            time_to_live(7, keys=True),
        ],
        rows=("lease-1-timetolive-keys",),
    ),
    Case("keys of a lease that has none", [grant(60, 7), time_to_live(7, keys=True)]),
    Case(
        "time to live by the older path",
        [
            grant(60, 7),
            put(b"a", lease=7),
            post(OLD_TIMETOLIVE, {"ID": 7, "keys": True}),
            post(OLD_TIMETOLIVE, {"ID": 8}),
        ],
        rows=("http-1-path-timetolive", "lease-1-prefixes"),
    ),
    Case("none", [leases()], rows=("lease-1-leases", "http-1-path-leases")),
    Case(
        "by expiry, soonest first",
        [grant(300, 1), grant(100, 2), grant(200, 3), leases(), revoke(2), leases()],
        rows=("lease-1-leases", "http-1-path-leases"),
    ),
    Case("a renewal changes the order", [grant(100, 1), grant(101, 2), revoke(1), grant(102, 1), leases()]),
    Case(
        "leases by the older path, without a body",
        [grant(60, 7), post(OLD_LEASES, None), post(OLD_LEASES)],
        rows=("http-1-path-leases", "lease-1-prefixes"),
    ),
    Case(
        "keys of a lease after its revoke",
        [grant(60, 7), put(b"a", lease=7), revoke(7), time_to_live(7, keys=True)],
        rows=("lease-1-timetolive-unknown",),
    ),
]

KEEPING = [
    Case(
        "once",
        [grant(60, 7), keepalive(7)],
        rows=("lease-1-keepalive", "http-1-path-keepalive", "http-6-keepalive-ends"),
    ),
    Case("an unknown one has no TTL", [grant(60, 7), keepalive(9, 7, 0, -1)], rows=("lease-1-keepalive-unknown",)),
    Case(
        "several in order",
        [grant(60, 7), grant(100, 8), keepalive(8, 7, 8)],
        rows=("lease-1-keepalive-several", "http-6-objects"),
    ),
    Case("the raised TTL", [grant(0, 7), keepalive(7)], rows=("lease-1-grant-minimum",)),
    Case("after a revoke", [grant(60, 7), revoke(7), keepalive(7)], rows=("lease-1-keepalive-unknown",)),
    Case(
        "it does not move the revision",
        [put(b"a"), grant(60, 7), put(b"b", lease=7), keepalive(7), get(b"a")],
        rows=("kv-1-rev-lease", "lease-1-header"),
    ),
    Case("no object", [opened("k", KEEPALIVE), lines("k").differs(NO_LINE)], rows=("http-6-keepalive-ends",)),
    Case("an object without an id", [Step("POST", KEEPALIVE, b"{}"), Step("POST", KEEPALIVE, b"{}{}")]),
    Case(
        "nothing between the objects",
        [grant(60, 7), Step("POST", KEEPALIVE, b'{"ID":"7"}{"ID":7}')],
        rows=("http-6-objects",),
    ),
    Case(
        "a comma between the objects",
        [grant(60, 7), Step("POST", KEEPALIVE, b'{"ID":"7"},{"ID":7}')],
        rows=("http-6-objects",),
    ),
    Case(
        "a bad object behind a good one",
        [grant(60, 7), Step("POST", KEEPALIVE, b'{"ID":"7"}{"ID":true}{"ID":"7"}')],
        rows=("http-6-parse-later",),
    ),
    Case(
        "a bad object first", [Step("POST", KEEPALIVE, b'{"ID":true}').differs(BAD_FIRST)], rows=("http-6-parse-first",)
    ),
    Case(
        "later objects on an open body",
        [
            grant(60, 7),
            grant(60, 8),
            opened_half("k", KEEPALIVE, {"ID": 7}),
            silence("k").differs(FIRST_AT_ONCE),
            send("k", {"ID": 8}).never_to_etcd(SECOND_AT_ONCE),
            lines("k").never_to_etcd(SECOND_AT_ONCE),
            end("k"),
            answer("k").differs(THEN_THE_END),
        ],
    ),
    Case(
        "over a WebSocket",
        [
            grant(60, 7),
            websocket("k", KEEPALIVE, {"ID": 7}),
            lines("k"),
            send("k", {"ID": 9}, {"ID": 7}),
            lines("k", 2),
            revoke(7),
            send("k", {"ID": 7}),
            lines("k"),
            close("k"),
        ],
        rows=("lease-1-keepalive", "http-6-websocket"),
    ),
    Case("grant over a WebSocket", [websocket("g", GRANT, {"ID": 7, "TTL": 60}), lines("g", 2), time_to_live(7)]),
]

ENDING = [
    Case(
        "it ends with its keys",
        [
            grant(2, 7),
            txn(success=[op_put(b"b", lease=7), op_put(b"a", lease=7), op_put(b"c")]),
            *watching("w", b"a", END, prev_kv=True),
            lines("w"),
            get_all(),
            time_to_live(7),
            leases(),
            put(b"a", lease=7),
            keepalive(7),
            revoke(7),
        ],
        rows=("lease-1-expiry", "lease-1-one-revision", "lease-1-timetolive-unknown"),
    ),
    Case(
        "what is kept alive does not end",
        [
            grant(2, 7),
            grant(3, 8),
            put(b"kept", lease=8),
            put(b"left", lease=7),
            *watching("w", b"a", END),
            lines("w"),
            keepalive(8),
            get(b"kept"),
            revoke(8),
            lines("w"),
        ],
        rows=("lease-1-expiry",),
    ),
    Case(
        "a key detached in time stays",
        [
            grant(2, 7),
            put(b"a", lease=7),
            put(b"b", lease=7),
            put(b"a"),
            *watching("w", b"a", END),
            lines("w"),
            get_all(),
        ],
        rows=("lease-1-reput",),
    ),
    Case(
        "under NOSPACE revoke works and grant does not",
        [
            grant(60, 7),
            put(b"a", lease=7),
            alarm("ACTIVATE", "NOSPACE", THIS_MEMBER),
            grant(60, 8),
            keepalive(7),
            time_to_live(7),
            revoke(7),
            leases(),
            get_all(),
        ],
        own_flags=("--raftgate-auto-disarm=false",),
        rows=("lease-1-no-space",),
    ),
]

CASES = [*GRANTING, *REVOKING, *ATTACHING, *ASKING, *KEEPING, *ENDING]
