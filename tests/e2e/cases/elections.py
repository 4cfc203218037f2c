"""Elections: lease-lock-election.md section 3."""

from tests.e2e.case import THIS_MEMBER, Case, Difference, Lease, Revision, Step, refused
from tests.e2e.rpc import alarm, delete, get, get_all, post, put
from tests.e2e.stream_rpc import (
    CAMPAIGN,
    LEADER,
    OBSERVE,
    PROCLAIM,
    RESIGN,
    Fields,
    answer,
    campaign,
    close,
    grant,
    leader_of,
    lines,
    observe,
    opened,
    proclaim,
    resign,
    revoke,
    silence,
    time_to_live,
    watching,
    websocket,
)

KEYS = (b"e/", b"e0")
TWO = [grant(60, 7), grant(60, 8)]
ELECTED = [*TWO, campaign(b"e", 7, b"v1")]
STANDING = [
    *ELECTED,
    *watching("w", *KEYS),
    campaign(b"e", 8, b"w1").opening("second"),
    lines("w"),
]


def leader(lease: int, created: int, /, **other: object) -> Fields:
    """Give the key of a leader of the election e."""
    return {"name": b"e", "key": b"e/%x" % lease, "rev": Revision(created), "lease": lease, **other}


FIRST = leader(7, 1)
SECOND = leader(8, 2)
KEY_GONE = refused(
    "etcd names a leader whose key is gone",
    "lease-lock-election.md 3",
    500,
    2,
    "election: session is expired",
)
LOST = answer("second").differs(KEY_GONE)
BEGUN = Difference("raftgate sends the head at once", "http.md 6", 200, body=["<nothing>"])

CALLS = [
    Case(
        "campaign",
        [grant(60, 7), campaign(b"e", 7, b"v1"), get_all()],
        rows=("election-3-campaign", "http-1-path-campaign", "election-3-leader-key"),
    ),
    Case(
        "the lease in hexadecimal digits",
        [grant(60, 200), campaign(b"e", 200, b"v1"), get_all()],
        rows=("election-3-leader-key",),
    ),
    Case(
        "without a lease: one of 60 s",
        [campaign(b"e", 0, b"v"), time_to_live(Lease(1), keys=True), get_all()],
        rows=("election-3-own-lease",),
    ),
    Case("an empty name and no value", [grant(60, 7), post(CAMPAIGN, {"lease": 7}), get_all(), leader_of(b"")]),
    Case(
        "an unknown lease",
        [campaign(b"e", 9, b"v"), get_all()],
        rows=("election-3-lease-unknown", "http-5-concurrency"),
    ),
    Case("again with the same value", [*ELECTED, campaign(b"e", 7, b"v1"), get_all()], rows=("election-3-again",)),
    Case("again with another value", [*ELECTED, campaign(b"e", 7, b"v2"), get_all()], rows=("election-3-again",)),
    Case(
        "again without a value",
        [*ELECTED, post(CAMPAIGN, {"name": b"e", "lease": 7}), get_all()],
        rows=("election-3-again",),
    ),
    Case(
        "leader",
        [*ELECTED, leader_of(b"e"), leader_of(b"f")],
        rows=("election-3-leader", "http-1-path-leader", "http-5-concurrency"),
    ),
    Case("no leader", [leader_of(b"e"), post(LEADER), post(LEADER, None)], rows=("election-3-leader-none",)),
    Case(
        "any key below the name leads",
        [put(b"e/x", b"1"), put(b"e/a", b"2"), leader_of(b"e"), delete(b"e/x"), leader_of(b"e")],
        rows=("election-3-leader",),
    ),
    Case(
        "proclaim",
        [*ELECTED, proclaim(FIRST, b"v2"), leader_of(b"e"), proclaim(FIRST, b""), leader_of(b"e")],
        rows=("election-3-proclaim", "http-1-path-proclaim"),
    ),
    Case(
        "proclaim by one who does not lead",
        [*ELECTED, proclaim(leader(7, 5), b"x"), proclaim(leader(9, 1), b"x"), proclaim({}, b"x"), leader_of(b"e")],
        rows=("election-3-proclaim-not-leader", "http-5-concurrency"),
    ),
    Case(
        "proclaim after resigning",
        [*ELECTED, resign(FIRST), proclaim(FIRST, b"x"), leader_of(b"e")],
        rows=("election-3-proclaim-not-leader",),
    ),
    Case(
        "proclaim after the lease's end",
        [*ELECTED, revoke(7), proclaim(FIRST, b"x"), get_all()],
        rows=("election-3-proclaim-not-leader",),
    ),
    Case(
        "proclaim with another lease moves the key",
        [*ELECTED, proclaim(leader(7, 1, lease=8), b"x"), get_all(), time_to_live(8, keys=True)],
    ),
    Case(
        "proclaim with an unknown lease",
        [*ELECTED, proclaim(leader(7, 1, lease=9), b"x"), get_all()],
        rows=("election-3-lease-unknown",),
    ),
    Case(
        "proclaim without a leader",
        [proclaim(None, b"x"), post(PROCLAIM), post(PROCLAIM, {"leader": None})],
        rows=("election-3-missing-leader",),
    ),
    Case(
        "resign",
        [*ELECTED, resign(FIRST), get_all(), leader_of(b"e")],
        rows=("election-3-resign", "http-1-path-resign"),
    ),
    Case(
        "resign twice, and without leading",
        [*ELECTED, resign(leader(7, 5)), resign(FIRST), resign(FIRST), resign(leader(9, 1)), get_all()],
        rows=("election-3-resign-other",),
    ),
    Case("resign with an empty leader", [*ELECTED, resign({}), resign({"key": b"e/7"}), get_all()]),
    Case(
        "resign without a leader",
        [resign(None), post(RESIGN, None), post(RESIGN, {"leader": None})],
        rows=("election-3-missing-leader",),
    ),
    Case(
        "malformed",
        [
            post(CAMPAIGN, b'{"name":1}'),
            post(LEADER, b"[]"),
            post(RESIGN, b'{"leader":1}'),
            post(PROCLAIM, b'{"leader":{"rev":"x"}}'),
            Step("GET", CAMPAIGN),
            Step("GET", OBSERVE),
        ],
    ),
    Case(
        "NOSPACE",
        [
            *ELECTED,
            alarm("ACTIVATE", "NOSPACE", THIS_MEMBER),
            campaign(b"f", 8, b"x"),
            proclaim(FIRST, b"x"),
            leader_of(b"e"),
            resign(FIRST),
            get_all(),
        ],
        own_flags=("--raftgate-auto-disarm=false",),
    ),
    Case(
        "names that share a prefix disturb each other",
        [
            *TWO,
            campaign(b"e/f", 7, b"x"),
            *watching("w", *KEYS),
            campaign(b"e", 8, b"y").opening("second"),
            lines("w"),
            silence("second"),
            leader_of(b"e"),
            delete(b"e/f/7"),
            answer("second"),
            leader_of(b"e"),
        ],
        rows=("election-3-prefix",),
    ),
]

WAITS = [
    Case(
        "until the leader resigns",
        [*STANDING, silence("second"), resign(FIRST), answer("second"), leader_of(b"e")],
        rows=("election-3-wait", "election-3-campaign"),
    ),
    Case(
        "until the leader's lease is revoked",
        [*STANDING, revoke(7), answer("second"), leader_of(b"e")],
        rows=("election-3-wait",),
    ),
    Case(
        "until the leader's lease ends",
        [
            grant(2, 7),
            grant(60, 8),
            campaign(b"e", 7, b"v1"),
            *watching("w", *KEYS),
            campaign(b"e", 8, b"w1").opening("second"),
            lines("w", 2),
            answer("second"),
        ],
        rows=("election-3-wait",),
    ),
    Case("until the leader's key is deleted", [*STANDING, delete(b"e/7"), answer("second")], rows=("election-3-wait",)),
    Case(
        "a candidate proclaims before it leads",
        [
            *STANDING,
            proclaim(SECOND, b"w2"),
            lines("w"),
            leader_of(b"e"),
            resign(FIRST),
            answer("second"),
            leader_of(b"e"),
        ],
        rows=("election-3-candidate",),
    ),
    Case(
        "a candidate resigns before it leads",
        [
            *STANDING,
            resign(SECOND),
            lines("w"),
            silence("second"),
            resign(FIRST),
            answer("second").differs(KEY_GONE),
            get_all(),
        ],
    ),
    Case(
        "its client goes",
        [*STANDING, close("second"), lines("w"), get_all(), resign(FIRST), leader_of(b"e")],
        rows=("election-3-gone",),
    ),
    Case(
        "its lease is revoked",
        [*STANDING, revoke(8), lines("w"), silence("second"), resign(FIRST), LOST],
    ),
    Case(
        "its time is over",
        [
            *ELECTED,
            *watching("w", *KEYS),
            campaign(b"e", 8, b"w1").with_headers(Grpc_Timeout="500m").opening("second"),
            answer("second"),
            lines("w", 2),
            get(*KEYS),
        ],
    ),
    Case(
        "three in a row",
        [
            *STANDING,
            grant(60, 6),
            campaign(b"e", 6, b"x1").opening("third"),
            lines("w"),
            resign(FIRST),
            answer("second"),
            silence("third"),
            resign(SECOND),
            answer("third"),
            leader_of(b"e"),
        ],
        rows=("election-3-wait",),
    ),
]

OBSERVING = [
    Case(
        "who leads now, and each new value",
        [
            *ELECTED,
            observe("o", b"e"),
            lines("o"),
            proclaim(FIRST, b"v2"),
            lines("o"),
            proclaim(FIRST, b"v3"),
            lines("o"),
        ],
        rows=("election-3-observe", "http-1-path-observe"),
    ),
    Case(
        "waits while there is none",
        [grant(60, 7), observe("o", b"e"), silence("o").differs(BEGUN), campaign(b"e", 7, b"v1"), lines("o")],
        rows=("election-3-observe-none", "http-6-headers"),
    ),
    Case(
        "each new leader",
        [
            *STANDING,
            observe("o", b"e"),
            lines("o"),
            proclaim(FIRST, b"v2"),
            lines("o"),
            resign(FIRST),
            lines("o"),
            answer("second"),
            proclaim(SECOND, b"w2"),
            lines("o"),
        ],
        rows=("election-3-observe",),
    ),
    Case(
        "a leader after none",
        [*ELECTED, observe("o", b"e"), lines("o"), resign(FIRST), silence("o"), campaign(b"e", 8, b"w1"), lines("o")],
        rows=("election-3-observe", "election-3-observe-none"),
    ),
    Case(
        "candidates are not told",
        [*STANDING, observe("o", b"e"), lines("o"), proclaim(SECOND, b"w2"), silence("o")],
        rows=("election-3-observe",),
    ),
    Case(
        "the header of the first line",
        [*ELECTED, put(b"x"), put(b"y"), observe("o", b"e"), lines("o")],
        rows=("election-3-observe",),
    ),
    Case("a leader whose lease is revoked", [*STANDING, observe("o", b"e"), lines("o"), revoke(7), lines("o")]),
    Case("any key below the name", [put(b"e/x", b"1"), observe("o", b"e"), lines("o"), put(b"e/x", b"2"), lines("o")]),
    Case(
        "of two",
        [
            *ELECTED,
            observe("o", b"e"),
            lines("o"),
            observe("p", b"e"),
            lines("p"),
            proclaim(FIRST, b"v2"),
            lines("o"),
            lines("p"),
        ],
    ),
    Case(
        "over a WebSocket",
        [*ELECTED, websocket("o", OBSERVE, {"name": b"e"}), lines("o"), proclaim(FIRST, b"v2"), lines("o"), close("o")],
        rows=("http-6-websocket",),
    ),
    Case("no name", [opened("o", OBSERVE, {}), silence("o").differs(BEGUN)]),
    Case("a bad body", [Step("POST", OBSERVE, b'{"name":1}'), Step("POST", OBSERVE, b"[]")]),
    Case(
        "only the first object is read", [*ELECTED, Step("POST", OBSERVE, b'{"name":"ZQ=="} x', stream="o"), lines("o")]
    ),
]

CASES = [*CALLS, *WAITS, *OBSERVING]
