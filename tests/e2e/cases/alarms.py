"""Alarms, what each refuses, and what still works: cluster-maintenance.md section 4, http.md sections 1 and 8."""

from dataclasses import replace

from tests.e2e.case import ANY_TEXT, THIS_MEMBER, Case, Difference, Revision, Step, refused
from tests.e2e.cases.maintenance import status
from tests.e2e.rpc import (
    ALARM,
    DEFRAGMENT,
    END,
    HASH,
    HASHKV,
    alarm,
    check,
    compact,
    delete,
    get,
    get_all,
    op_delete,
    op_get,
    op_put,
    op_txn,
    post,
    put,
    txn,
)

# raftgate takes a NOSPACE alarm back by itself where space is left, as here.
MANUAL = ("--raftgate-auto-disarm=false",)

STORE = [put(b"a", b"1"), put(b"b", b"2")]
NEVER = [check(b"nothing", version=1)]
NO_SPACE = [*STORE, alarm("ACTIVATE", "NOSPACE", THIS_MEMBER)]
CORRUPT = [*STORE, alarm("ACTIVATE", "CORRUPT", THIS_MEMBER)]
OTHER = "7"

UNKNOWN_ACTION = refused("ends every etcd", "http.md 8", 400, 3, ANY_TEXT)
UNKNOWN_ALARM = refused("ends every etcd (v3_server.go, unimplemented alarm activation)", "http.md 8", 400, 3, ANY_TEXT)
NESTED_PUTS_COST = refused(
    "nested puts count from 3.6.14 on",
    "cluster-maintenance.md 4",
    429,
    8,
    "etcdserver: mvcc: database space exceeded",
)

BOTH_HOLD = refused(
    "in etcd the kind that was raised last takes the place of the other, and taking it back ends both",
    "cluster-maintenance.md 4",
    500,
    15,
    "etcdserver: corrupt cluster",
)

LEARNER_LINE = Difference(
    "3.5.16 has no check non_learner",
    "health.md 1",
    body="\n[+]linearizable_read ok\n[+]non_learner ok\n[+]serializable_read ok\n"
    "[-]data_corruption failed: alarm activated: CORRUPT\n",
)


def _seen() -> list[Step]:
    """List the alarms in every way."""
    return [alarm(None), alarm("GET", "NOSPACE"), alarm("GET", "CORRUPT")]


def _probes(*paths: str) -> list[Step]:
    return [Step("GET", path) for path in paths]


LISTING = [
    Case("none", _seen(), rows=("http-1-path-alarm",)),
    Case("by number and in a GET that is spelled out", [alarm(0, 0), alarm("GET", "NONE"), alarm("GET", 1, 0)]),
    Case("an unknown action's name counts as GET", [alarm("FOO"), alarm("activate", "NOSPACE")], rows=("http-2-enum",)),
    Case("of an unknown kind", [alarm("GET", 5), alarm("GET", "FOO"), alarm("DEACTIVATE", 5, OTHER)]),
    Case(
        "malformed",
        [
            post(ALARM, b'{"memberID":-1}'),
            post(ALARM, b'{"memberID":"18446744073709551616"}'),
            post(ALARM, b'{"memberID":"x"}'),
            post(ALARM, b'{"action":true}'),
            post(ALARM, b"[]"),
            post(ALARM, None),
        ],
        rows=("http-2-int64",),
    ),
    Case("other methods", [Step("GET", ALARM), Step("DELETE", ALARM)], rows=("http-1-method",)),
]

RAISING = [
    Case("raise and take back NOSPACE", [*NO_SPACE, *_seen(), alarm("DEACTIVATE", "NOSPACE", THIS_MEMBER), *_seen()]),
    Case("raise and take back CORRUPT", [*CORRUPT, *_seen(), alarm("DEACTIVATE", "CORRUPT", THIS_MEMBER), *_seen()]),
    Case("by numbers", [alarm(1, 1, THIS_MEMBER), alarm(0, 1), alarm(2, 1, THIS_MEMBER), alarm(0)]),
    Case("twice", [*NO_SPACE, alarm("ACTIVATE", "NOSPACE", THIS_MEMBER), *_seen()]),
    Case(
        "take back what is not raised",
        [alarm("DEACTIVATE", "NOSPACE", THIS_MEMBER), alarm("DEACTIVATE", "CORRUPT"), *_seen()],
    ),
    Case("take back twice", [*NO_SPACE, *[alarm("DEACTIVATE", "NOSPACE", THIS_MEMBER)] * 2]),
    Case("take back the other kind", [*NO_SPACE, alarm("DEACTIVATE", "CORRUPT", THIS_MEMBER), *_seen(), put(b"a")]),
    Case(
        "member 0 is a member of its own",
        [
            alarm("ACTIVATE", "NOSPACE"),
            *_seen(),
            alarm("DEACTIVATE", "NOSPACE", THIS_MEMBER),
            put(b"a"),
            alarm("DEACTIVATE", "NOSPACE", 0),
            put(b"a"),
        ],
    ),
    Case(
        "member 0 does not stand for all",
        [*NO_SPACE, alarm("DEACTIVATE", "NOSPACE", 0), alarm("DEACTIVATE", "NOSPACE"), *_seen(), put(b"a")],
    ),
    Case(
        "each member's is taken back by its id",
        [
            *NO_SPACE,
            alarm("ACTIVATE", "NOSPACE", OTHER),
            alarm(None).in_any_order(),
            alarm("DEACTIVATE", "NOSPACE", THIS_MEMBER),
            *_seen(),
            put(b"a"),
            alarm("DEACTIVATE", "NOSPACE", OTHER),
            *_seen(),
            put(b"a"),
        ],
    ),
    Case("a member that nobody knows", [alarm("ACTIVATE", "NOSPACE", OTHER), *_seen(), put(b"a"), get(b"a")]),
    Case(
        "the largest member id, as text and as number",
        [
            alarm("ACTIVATE", "CORRUPT", str(2**64 - 1)),
            *_seen(),
            alarm("DEACTIVATE", "CORRUPT", 2**64 - 1),
            *_seen(),
        ],
    ),
    Case(
        "both kinds of one member",
        [
            alarm("ACTIVATE", "CORRUPT", THIS_MEMBER),
            alarm("ACTIVATE", "NOSPACE", THIS_MEMBER),
            alarm(None).in_any_order(),
            alarm("GET", "NOSPACE"),
            alarm("GET", "CORRUPT"),
            alarm("DEACTIVATE", "CORRUPT", THIS_MEMBER),
            *_seen(),
        ],
    ),
    Case(
        "NONE",
        [
            alarm("ACTIVATE"),
            alarm("ACTIVATE", "NONE", THIS_MEMBER),
            alarm("ACTIVATE", "FOO", THIS_MEMBER),
            alarm("DEACTIVATE", "NONE", THIS_MEMBER),
            alarm("DEACTIVATE"),
            *_seen(),
            put(b"a"),
        ],
        rows=("http-8-alarm-none",),
    ),
    Case(
        "NONE takes nothing back",
        [*NO_SPACE, alarm("DEACTIVATE", "NONE", THIS_MEMBER), alarm("DEACTIVATE", None, THIS_MEMBER), *_seen()],
    ),
    Case(
        "an unknown action",
        [
            *STORE,
            *[alarm(action, "NOSPACE", THIS_MEMBER).never_to_etcd(UNKNOWN_ACTION) for action in (3, 9, -1)],
            *_seen(),
            put(b"a"),
        ],
        rows=("http-8-alarm-action",),
    ),
    Case(
        "an unknown kind is not raised",
        [*[alarm("ACTIVATE", kind, OTHER).never_to_etcd(UNKNOWN_ALARM) for kind in (3, 99, -1)], *_seen(), put(b"a")],
        rows=("http-8-alarm-action",),
    ),
    Case(
        "the revision does not move",
        [
            *STORE,
            alarm("ACTIVATE", "NOSPACE", THIS_MEMBER),
            alarm("GET"),
            alarm("DEACTIVATE", "NOSPACE", THIS_MEMBER),
            put(b"a"),
        ],
        rows=("kv-1-rev-others",),
    ),
]

UNDER_NO_SPACE = [
    Case(
        "NOSPACE refuses puts",
        [*NO_SPACE, put(b"a", b"9"), put(b"new"), put(b"a", ignore_value=True), put(b"a", prev_kv=True), get_all()],
        rows=("kv-3-no-space", "http-5-NoSpace"),
    ),
    Case(
        "NOSPACE refuses a txn with a put",
        [
            *NO_SPACE,
            txn(success=[op_put(b"a")]),
            txn(NEVER, [], [op_put(b"a")]),
            txn(success=[op_get(b"a"), op_delete(b"b"), op_put(b"c")]),
            get_all(),
        ],
        rows=("kv-5.5-no-space",),
    ),
    Case(
        "NOSPACE refuses a put in the branch not taken",
        [*NO_SPACE, txn(NEVER, [op_put(b"a")], [op_get(b"a")]), txn([], [op_delete(b"a")], [op_put(b"a")]), get_all()],
        rows=("kv-5.5-no-space",),
    ),
    Case(
        "NOSPACE refuses nested puts",
        [
            *NO_SPACE,
            txn([], [op_get(b"a")], [op_txn(success=[op_put(b"a")])]).differs(NESTED_PUTS_COST),
            txn([], [op_get(b"a")], [op_txn(failure=[op_txn(failure=[op_put(b"a")])])]).differs(NESTED_PUTS_COST),
            get_all(),
        ],
        rows=("kv-5.5-no-space",),
    ),
    Case(
        "NOSPACE lets reads through",
        [*NO_SPACE, get(b"a"), get_all(revision=Revision(1)), get_all(count_only=True), get(b"a", serializable=True)],
    ),
    Case(
        "NOSPACE lets deletes through",
        [*NO_SPACE, delete(b"a", prev_kv=True), delete(b"x"), delete(END, END), get_all()],
        rows=("kv-4-quota",),
    ),
    Case(
        "NOSPACE lets a txn without puts through",
        [
            *NO_SPACE,
            txn(),
            txn(success=[op_get(b"a")]),
            txn(success=[op_delete(b"a"), op_get(END, END)]),
            txn(success=[op_txn(success=[op_delete(b"b")])]),
            get_all(),
        ],
    ),
    Case(
        "NOSPACE lets compactions through",
        [*NO_SPACE, compact(Revision(1)), compact(Revision(2), physical=True), compact(Revision(2))],
    ),
    Case(
        "NOSPACE lets maintenance through",
        [
            *NO_SPACE,
            status("+2", errors=["memberID:<member_id> alarm:NOSPACE "]),
            post(HASH),
            post(DEFRAGMENT),
            get(b"a"),
        ],
    ),
    Case(
        "NOSPACE comes after what is wrong with a put",
        [
            *NO_SPACE,
            put(b""),
            put(b"a", b"v", ignore_value=True),
            put(b"a", ignore_lease=True, lease=7),
            put(b"a", b"v" * 1_600_000),
        ],
        rows=("kv-3-empty-key", "kv-3-value-provided", "kv-3-lease-provided", "kv-3-size", "kv-3-no-space"),
    ),
    Case(
        "NOSPACE comes before the lease and the missing key",
        [*NO_SPACE, put(b"a", lease=7), put(b"a", lease=-1), put(b"new", ignore_value=True)],
        rows=("kv-3-no-space",),
    ),
    Case(
        "NOSPACE comes after what is wrong with a txn",
        [
            *NO_SPACE,
            txn(success=[op_put(b"")]),
            txn(success=[op_put(b"x"), op_put(b"x")]),
            txn(success=[op_put(b"x"), {}]),
            txn(success=[op_put(b"x", b"v" * 1_600_000)]),
            txn(success=[op_put(b"x")] * 129),
        ],
        rows=("kv-5.4-order",),
    ),
    Case(
        "NOSPACE comes before the pre-check",
        [
            *NO_SPACE,
            txn(success=[op_put(b"x", lease=7)]),
            txn(success=[op_put(b"x"), op_get(b"x", revision=Revision(9))]),
            txn(success=[op_delete(b"x"), op_get(b"x", revision=Revision(9))]),
        ],
        rows=("kv-5.4-order",),
    ),
    Case(
        "NOSPACE of any member refuses",
        [*STORE, alarm("ACTIVATE", "NOSPACE", OTHER), put(b"a"), delete(b"a"), get_all()],
        rows=("kv-3-no-space",),
    ),
    Case(
        "puts go on once NOSPACE is taken back",
        [
            *NO_SPACE,
            put(b"a"),
            delete(b"a"),
            compact(Revision(3)),
            post(DEFRAGMENT),
            put(b"a"),
            alarm("DEACTIVATE", "NOSPACE", THIS_MEMBER),
            put(b"a", b"again"),
            get_all(),
        ],
    ),
]

UNDER_CORRUPT = [
    Case(
        "CORRUPT refuses puts and deletes",
        [*CORRUPT, put(b"a", b"9"), delete(b"a"), delete(b"x"), delete(END, END), get_all()],
        rows=("http-5-Corrupt",),
    ),
    Case(
        "CORRUPT refuses a txn that may write",
        [
            *CORRUPT,
            txn(success=[op_put(b"a")]),
            txn(success=[op_delete(b"x")]),
            txn(NEVER, [op_put(b"a")], [op_get(b"a")]),
            txn(success=[op_txn()]),
            txn(success=[op_txn(success=[op_get(b"a")])]),
            get_all(),
        ],
    ),
    Case("CORRUPT refuses compactions", [*CORRUPT, compact(Revision(1)), compact(Revision(9)), compact(-1)]),
    Case(
        "CORRUPT lets reads through",
        [
            *CORRUPT,
            get(b"a"),
            get_all(revision=Revision(1)),
            get(b"a", serializable=True),
            get(b"a", revision=Revision(9)),
        ],
    ),
    Case(
        "CORRUPT lets read-only and empty txns through",
        [*CORRUPT, txn(), txn(NEVER), txn(success=[op_get(b"a")]), txn(success=[op_get(b"a", serializable=True)])],
        rows=("kv-5.6-empty", "kv-5.6-read-only"),
    ),
    Case(
        "CORRUPT lets maintenance through",
        [
            *CORRUPT,
            status("+2", errors=["memberID:<member_id> alarm:CORRUPT "]),
            post(HASH),
            post(DEFRAGMENT),
            post(HASHKV).without_body(),
            alarm("GET"),
        ],
    ),
    Case(
        "CORRUPT comes after what is wrong with a request",
        [
            *CORRUPT,
            put(b""),
            delete(b""),
            put(b"a", b"v" * 1_600_000),
            txn(success=[op_put(b"x"), op_put(b"x")]),
        ],
    ),
    Case(
        "CORRUPT comes before what apply would find",
        [
            *CORRUPT,
            put(b"a", lease=7),
            put(b"new", ignore_value=True),
            txn(success=[op_put(b"x"), op_get(b"x", revision=Revision(9))]),
        ],
    ),
    Case(
        "NOSPACE does not soften CORRUPT",
        [
            *CORRUPT,
            alarm("ACTIVATE", "NOSPACE", THIS_MEMBER),
            delete(b"x").differs(BOTH_HOLD),
            txn(success=[op_delete(b"x")]).differs(BOTH_HOLD),
            alarm("DEACTIVATE", "NOSPACE", THIS_MEMBER),
            put(b"a").differs(BOTH_HOLD),
            delete(b"a").differs(BOTH_HOLD),
        ],
    ),
    Case(
        "writes go on once CORRUPT is taken back",
        [*CORRUPT, put(b"a"), alarm("DEACTIVATE", "CORRUPT", THIS_MEMBER), put(b"a"), delete(b"b"), get_all()],
    ),
]

PROBES = [
    Case(
        "probes under NOSPACE",
        [
            alarm("ACTIVATE", "NOSPACE", THIS_MEMBER),
            *_probes("/health", "/health?serializable=true", "/health?exclude=CORRUPT", "/health?exclude=NOSPACE"),
            *_probes("/livez", "/readyz", "/readyz/data_corruption"),
            Step("HEAD", "/health"),
            alarm("DEACTIVATE", "NOSPACE", THIS_MEMBER),
            *_probes("/health"),
        ],
        rows=("http-1-health", "http-1-health-alarms", "http-1-health-exclude", "http-1-readyz-checks"),
    ),
    Case(
        "probes under CORRUPT",
        [
            alarm("ACTIVATE", "CORRUPT", THIS_MEMBER),
            *_probes("/health", "/health?serializable=true", "/health?exclude=CORRUPT", "/health?exclude=NOSPACE"),
            *_probes("/livez", "/livez?verbose", "/readyz?exclude=data_corruption", "/readyz/data_corruption"),
            Step("GET", "/readyz").in_any_order().differs(LEARNER_LINE),
            Step("GET", "/readyz?verbose").in_any_order().differs(LEARNER_LINE),
            alarm("DEACTIVATE", "CORRUPT", THIS_MEMBER),
            *_probes("/health", "/readyz"),
        ],
        rows=("http-1-health-alarms", "http-1-readyz-checks", "http-1-livez", "http-1-probe-failure"),
    ),
    Case(
        "alarms of a member that nobody knows fail the probes too",
        [alarm("ACTIVATE", "CORRUPT", OTHER), *_probes("/health", "/readyz/data_corruption", "/livez")],
        rows=("http-1-health-alarms",),
    ),
]

STATUS = [
    Case(
        "status lists alarms",
        [
            alarm("ACTIVATE", "NOSPACE"),
            status("+0", errors=["alarm:NOSPACE "]),
            alarm("ACTIVATE", "CORRUPT", OTHER),
            status("+0", errors=["alarm:NOSPACE ", "memberID:7 alarm:CORRUPT "]).in_any_order(),
            alarm("DEACTIVATE", "NOSPACE"),
            alarm("DEACTIVATE", "CORRUPT", OTHER),
            status("+0"),
        ],
        rows=("http-1-path-status", "cluster-3-alarms"),
    ),
]

# They share a server, which takes no alarm back by itself.
CASES = [
    replace(case, own_flags=MANUAL) for case in (*LISTING, *RAISING, *UNDER_NO_SPACE, *UNDER_CORRUPT, *PROBES, *STATUS)
]
