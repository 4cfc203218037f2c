"""Locks: lease-lock-election.md section 2."""

from tests.e2e.case import ANYTHING, THIS_MEMBER, Case, Difference, Expected, Lease, OwnKey, Step
from tests.e2e.rpc import alarm, check, delete, get, get_all, op_put, post, put, txn
from tests.e2e.stream_rpc import (
    LOCK,
    UNLOCK,
    answer,
    close,
    grant,
    leases,
    lines,
    lock,
    revoke,
    silence,
    time_to_live,
    unlock,
    watching,
    websocket,
)

SPEC = "lease-lock-election.md 2"
HEADER: Expected = {
    "cluster_id": "<cluster_id>",
    "member_id": "<member_id>",
    "revision": "+1",
    "raft_term": "<raft_term>",
}
FENCED = Difference(
    "who holds a lock is told a number that rises",
    SPEC,
    body={"header": HEADER, "key": "bS83", "raftgate_fencing_revision": "+1"},
)

SECOND_GONE: Expected = {"type": "DELETE", "kv": {"key": "bS84", "mod_revision": "+3"}}
NOTICED = Difference(
    "etcd does not notice that the client of a WebSocket has gone",
    SPEC,
    body=[
        {"result": {"header": ANYTHING, "events": [{"type": "DELETE", "kv": {"key": "bS84", "mod_revision": "+3"}}]}}
    ],
)

KEYS = (b"m/", b"m0")
TWO = [grant(60, 7), grant(60, 8)]
HELD = [*TWO, lock(b"m", 7)]
WAITED_FOR = [*HELD, *watching("w", *KEYS), lock(b"m", 8).opening("second"), lines("w")]

CALLS = [
    Case(
        "lock and unlock",
        [grant(60, 7), lock(b"m", 7).differs(FENCED), get_all(), unlock(b"m/7"), get_all()],
        rows=("lock-2-lock", "lock-2-key", "lock-2-txn", "http-1-path-lock", "http-1-path-unlock"),
    ),
    Case(
        "the lease in hexadecimal digits",
        [grant(60, 100), grant(60, 255), lock(b"m", 100), unlock(b"m/64"), lock(b"m", 255), get(*KEYS)],
        rows=("lock-2-key",),
    ),
    Case("a negative lease", [grant(60, -5), lock(b"m", -5), get(*KEYS)], rows=("lock-2-key",)),
    Case(
        "an empty name, and none",
        [grant(60, 102), lock(b"", 102), unlock(b"/66"), post(LOCK, {"lease": 102}), get_all()],
        rows=("lock-2-empty-name",),
    ),
    Case("a name of any bytes", [grant(60, 7), lock(b"\0\xff/", 7), get_all()]),
    Case(
        "without a lease: one of 60 s",
        [
            lock(b"m"),
            get(*KEYS),
            time_to_live(Lease(1), keys=True),
            leases(),
            unlock(OwnKey(b"m", Lease(1))),
            get_all(),
            leases(),
        ],
        rows=("lock-2-own-lease",),
    ),
    Case("lease 0", [lock(b"m", 0), time_to_live(Lease(1))], rows=("lock-2-own-lease",)),
    Case(
        "again with the same lease",
        [grant(60, 7), lock(b"m", 7), lock(b"m", 7), put(b"x"), lock(b"m", 7), get(*KEYS)],
        rows=("lock-2-again",),
    ),
    Case("two names of one lease", [grant(60, 7), lock(b"m", 7), lock(b"n", 7), get_all(), revoke(7), get_all()]),
    Case(
        "an unknown lease",
        [lock(b"m", 9), lock(b"m", -1), get_all()],
        rows=("lock-2-lease-unknown", "http-5-concurrency"),
    ),
    Case("a lease after its revoke", [grant(60, 7), revoke(7), lock(b"m", 7)], rows=("lock-2-lease-unknown",)),
    Case(
        "the value of a key that is there is kept",
        [grant(60, 7), put(b"m/7", b"v"), lock(b"m", 7), get_all()],
        rows=("lock-2-txn",),
    ),
    Case("unlock an unknown key", [put(b"a"), unlock(b"m/7"), get(b"a")], rows=("lock-2-unlock",)),
    Case("unlock any key", [put(b"a"), put(b"b"), unlock(b"a"), get_all()], rows=("lock-2-unlock",)),
    Case("unlock twice", [grant(60, 7), lock(b"m", 7), unlock(b"m/7"), unlock(b"m/7")]),
    Case(
        "unlock without a key",
        [unlock(b""), post(UNLOCK), post(UNLOCK, None)],
        rows=("lock-2-unlock-no-key", "http-5-concurrency"),
    ),
    Case(
        "malformed",
        [
            post(LOCK, b'{"name":1}'),
            post(LOCK, b'{"lease":"x"}'),
            post(UNLOCK, b'{"key":true}'),
            post(LOCK, b"[]"),
            Step("GET", LOCK),
            Step("PUT", UNLOCK),
        ],
    ),
    Case(
        "camelCase and numbers as texts",
        [grant(60, 7), post(LOCK, b'{"name":"bQ","lease":"7","x":1}'), post(UNLOCK, b'{"key":"bS83"} x'), get_all()],
    ),
    Case(
        "NOSPACE",
        [grant(60, 7), alarm("ACTIVATE", "NOSPACE", THIS_MEMBER), lock(b"m", 7), lock(b"m"), unlock(b"m/7"), get_all()],
        own_flags=("--raftgate-auto-disarm=false",),
        rows=("lock-2-no-space",),
    ),
    Case(
        "guarded by the create revision",
        [
            grant(60, 7),
            lock(b"m", 7),
            txn([check(b"m/7", "CREATE", "GREATER", create_revision=0)], [op_put(b"x")]),
            unlock(b"m/7"),
            txn([check(b"m/7", "CREATE", "GREATER", create_revision=0)], [op_put(b"x")]),
        ],
        rows=("lock-2-fencing",),
    ),
    Case(
        "over a WebSocket",
        [
            grant(60, 7),
            websocket("l", LOCK, {"name": b"m", "lease": 7}),
            lines("l", 2).differs(
                Difference(
                    "who holds a lock is told a number that rises",
                    SPEC,
                    body=[{"header": HEADER, "key": "bS83", "raftgate_fencing_revision": "+1"}, "<end>"],
                )
            ),
            get_all(),
        ],
    ),
    Case(
        "by the older prefix", [grant(60, 7), Step("POST", "/v3beta/lock/lock", {"name": b"m", "lease": 7}), get_all()]
    ),
]

WAITS = [
    Case(
        "until unlock",
        [*WAITED_FOR, silence("second"), unlock(b"m/7"), answer("second"), get_all()],
        rows=("lock-2-wait", "lock-2-next", "lock-2-wait-revision"),
    ),
    Case(
        "until the holder's lease is revoked",
        [*WAITED_FOR, revoke(7), answer("second"), get_all()],
        rows=("lock-2-next",),
    ),
    Case(
        "until the holder's key is deleted",
        [*WAITED_FOR, delete(b"m/7"), answer("second"), get_all()],
        rows=("lock-2-next",),
    ),
    Case(
        "until the holder's lease ends",
        [
            grant(2, 7),
            grant(60, 8),
            lock(b"m", 7),
            *watching("w", *KEYS),
            lock(b"m", 8).opening("second"),
            lines("w", 2),
            answer("second"),
            get_all(),
        ],
        rows=("lock-2-next",),
    ),
    Case(
        "what happens elsewhere does not end it",
        [*WAITED_FOR, put(b"x"), put(b"m/7", b"v"), delete(b"x"), silence("second"), unlock(b"m/7"), answer("second")],
        rows=("lock-2-wait-revision",),
    ),
    Case(
        "first come, first served",
        [
            *WAITED_FOR,
            grant(60, 6),
            lock(b"m", 6).opening("third"),
            lines("w"),
            unlock(b"m/7"),
            answer("second"),
            silence("third"),
            unlock(b"m/8"),
            answer("third"),
            get_all(),
        ],
        rows=("lock-2-fair",),
    ),
    Case(
        "one in the middle goes",
        [
            *WAITED_FOR,
            grant(60, 6),
            lock(b"m", 6).opening("third"),
            lines("w"),
            delete(b"m/8"),
            lines("w"),
            silence("third"),
            unlock(b"m/7"),
            answer("third"),
            answer("second"),
        ],
        rows=("lock-2-fair", "lock-2-latest"),
    ),
    Case(
        "its own lease is revoked",
        [*WAITED_FOR, revoke(8), lines("w"), silence("second"), unlock(b"m/7"), answer("second"), get_all()],
        rows=("lock-2-session", "http-5-concurrency"),
    ),
    Case(
        "its own lease ends",
        [
            grant(60, 7),
            grant(2, 8),
            lock(b"m", 7),
            *watching("w", *KEYS),
            lock(b"m", 8).opening("second"),
            lines("w", 2),
            silence("second"),
            unlock(b"m/7"),
            answer("second"),
        ],
        rows=("lock-2-session",),
    ),
    Case(
        "its own key is deleted",
        [*WAITED_FOR, delete(b"m/8"), lines("w"), unlock(b"m/7"), answer("second")],
        rows=("lock-2-session",),
    ),
    Case(
        "its client goes",
        [*WAITED_FOR, close("second"), lines("w"), get(*KEYS), unlock(b"m/7"), get_all()],
        rows=("lock-2-gone",),
    ),
    Case(
        "its client goes, and the one behind is next",
        [
            *WAITED_FOR,
            grant(60, 6),
            lock(b"m", 6).opening("third"),
            lines("w"),
            close("second"),
            lines("w"),
            silence("third"),
            unlock(b"m/7"),
            answer("third"),
        ],
        rows=("lock-2-gone", "lock-2-fair"),
    ),
    Case(
        "its time is over",
        [
            *HELD,
            *watching("w", *KEYS),
            lock(b"m", 8).with_headers(Grpc_Timeout="500m").opening("second"),
            answer("second"),
            lines("w", 2),
            get(*KEYS),
        ],
        rows=("lock-2-timeout",),
    ),
    Case(
        "a time that suffices",
        [*TWO, lock(b"m", 7).with_headers(Grpc_Timeout="5S"), get(*KEYS)],
        rows=("lock-2-timeout",),
    ),
    Case(
        "without a lease of its own",
        [
            *HELD,
            *watching("w", *KEYS),
            lock(b"m").opening("second"),
            lines("w"),
            unlock(b"m/7"),
            answer("second"),
            time_to_live(Lease(1)),
        ],
        rows=("lock-2-own-lease", "lock-2-wait"),
    ),
    Case(
        "both of the same lease hold it",
        [*HELD, lock(b"m", 7).opening("again"), answer("again")],
        rows=("lock-2-again",),
    ),
    Case(
        "both of the same lease wait for it",
        [
            *WAITED_FOR,
            lock(b"m", 8).opening("again"),
            silence("again"),
            unlock(b"m/7"),
            answer("second"),
            answer("again"),
            get_all(),
        ],
        rows=("lock-2-again",),
    ),
    Case(
        "other keys below the name count",
        [
            grant(60, 7),
            put(b"m/a/b"),
            *watching("w", *KEYS),
            lock(b"m", 7).opening("l"),
            lines("w"),
            silence("l"),
            delete(b"m/a/b"),
            answer("l"),
        ],
        rows=("lock-2-wait",),
    ),
    Case("names that begin alike", [*HELD, lock(b"mm", 8), lock(b"m/", 8), get_all()]),
    Case(
        "its client on a WebSocket goes",
        [
            *HELD,
            *watching("w", *KEYS),
            websocket("second", LOCK, {"name": b"m", "lease": 8}),
            lines("w"),
            close("second"),
            lines("w", within=2).differs(NOTICED),
        ],
        rows=("lock-2-gone",),
    ),
]

CASES = [*CALLS, *WAITS]
