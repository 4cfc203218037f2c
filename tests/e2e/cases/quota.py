"""A store that may not grow: kv.md sections 3 and 5, cluster-maintenance.md section 4.

No database is smaller than this quota, so that the first put raises the alarm whatever the file's size.
"""

from dataclasses import replace

from tests.e2e.case import THIS_MEMBER, Case, Difference, Revision, refused
from tests.e2e.cases.maintenance import status
from tests.e2e.rpc import (
    DEFRAGMENT,
    END,
    alarm,
    check,
    compact,
    delete,
    get_all,
    op_delete,
    op_get,
    op_put,
    op_txn,
    post,
    put,
    txn,
)

QUOTA = ("--quota-backend-bytes=1000",)
OFF = ("--quota-backend-bytes=-1",)
NEVER = [check(b"nothing", version=1)]

AFTER_VALIDATION = "raftgate looks at the quota after what is wrong with a request"
NO_SPACE = "etcdserver: mvcc: database space exceeded"


def _first(status: int, code: int, text: str) -> Difference:
    return refused(AFTER_VALIDATION, "kv.md 3", status, code, text)


NESTED_PUTS_COST = refused("nested puts count from 3.6.14 on", "cluster-maintenance.md 4", 429, 8, NO_SPACE)

BOUNDED = [
    Case(
        "a put is refused and raises the alarm",
        [put(b"a", b"v"), alarm("GET"), alarm("GET", "NOSPACE"), put(b"a"), get_all()],
        rows=("kv-3-quota", "http-5-NoSpace"),
    ),
    Case(
        "status tells the alarm and the quota",
        [put(b"a"), status("+0", errors=["memberID:<member_id> alarm:NOSPACE "], quota="1000")],
    ),
    Case(
        "what is wrong with a put",
        [
            put(b"").differs(_first(400, 3, "etcdserver: key is not provided")),
            put(b"a", b"v", ignore_value=True).differs(_first(400, 3, "etcdserver: value is provided")),
            put(b"a", ignore_lease=True, lease=5).differs(_first(400, 3, "etcdserver: lease is provided")),
            alarm("GET").without_body(),
        ],
        rows=("kv-3-quota",),
    ),
    Case(
        "what apply would find comes later",
        [put(b"a", lease=7), put(b"a", ignore_value=True)],
        rows=("kv-3-quota",),
    ),
    Case(
        "what is wrong with a txn",
        [
            txn(success=[op_put(b"")]).differs(_first(400, 3, "etcdserver: key is not provided")),
            txn(success=[op_put(b"a"), op_put(b"a")]).differs(
                _first(400, 3, "etcdserver: duplicate key given in txn request")
            ),
        ],
        rows=("kv-3-quota", "kv-5.4-order"),
    ),
    Case(
        "the costlier branch counts",
        [txn(NEVER, [op_put(b"a")], [op_get(b"a")]), txn([], [op_get(b"a")], [op_put(b"a")]), get_all()],
        rows=("kv-5.5-no-space",),
    ),
    Case(
        "nested puts count",
        [txn([], [op_get(b"a")], [op_txn(success=[op_put(b"a")])]).differs(NESTED_PUTS_COST)],
        rows=("kv-5.5-no-space",),
    ),
    Case(
        "what costs nothing works",
        [
            put(b"a"),
            delete(END, END),
            txn(),
            txn(success=[op_get(b"a"), op_delete(b"a")]),
            get_all(),
            post(DEFRAGMENT),
            compact(Revision(0)),
        ],
        rows=("kv-4-quota",),
    ),
    Case(
        "the alarm comes back with the next put",
        [put(b"a"), alarm("DEACTIVATE", "NOSPACE", THIS_MEMBER), alarm("GET"), put(b"a"), alarm("GET"), put(b"a")],
        rows=("kv-3-quota",),
    ),
]

UNBOUNDED = [
    Case("a negative quota is none", [put(b"a", b"v" * 10_000), get_all(count_only=True), alarm("GET")]),
]

CASES = [
    *[replace(case, flags=QUOTA, own_flags=("--raftgate-auto-disarm=false",)) for case in BOUNDED],
    *[replace(case, flags=OFF) for case in UNBOUNDED],
]
