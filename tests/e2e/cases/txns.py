"""Shape and evaluation of a txn, duplicate keys, order of errors, pre-check, read-only txns: kv.md section 5."""

from dataclasses import replace

from tests.e2e.case import Case, Revision, refused
from tests.e2e.rpc import END, TXN, check, get, get_all, op_delete, op_get, op_put, op_txn, post, put, txn

INVALID_SORT = (400, 3, "etcdserver: invalid sort option")
UNKNOWN_ORDER = refused("3.5 takes an unknown order as none", "kv.md 2", *INVALID_SORT)
UNKNOWN_TARGET = refused("crashes etcd 3.5", "http.md 8", *INVALID_SORT)

GONE = refused(
    "ends every etcd, since its pre-check looks at the state before the txn; raftgate changes nothing",
    "kv.md 5.5, http.md 8",
    400,
    3,
    "etcdserver: key not found",
)

STORE = [put(b"a", b"1"), put(b"b", b"2")]
MISSING = [check(b"nothing", version=0)]
NEVER = [check(b"nothing", version=1)]

SHAPE = [
    Case(
        "empty", [*STORE, post(TXN), txn(success=[]), txn(compare=[], success=[], failure=[])], rows=("kv-5.1-answer",)
    ),
    Case(
        "empty, not succeeded",
        [*STORE, txn(NEVER), txn(NEVER, [op_put(b"a")])],
        rows=("kv-5.1-answer", "kv-5.1-header"),
    ),
    Case("one put", [txn(success=[op_put(b"x", b"1")]), get(b"x")], rows=("http-1-path-txn", "kv-5.1-header")),
    Case(
        "put, range, delete",
        [txn(success=[op_put(b"x", b"1"), op_get(b"x"), op_delete(b"none")]), get(b"x")],
        rows=("kv-5.1-answer", "kv-5.1-order", "http-3-sub-headers"),
    ),
    Case(
        "revisions of the answers",
        [*STORE, txn(success=[op_get(b"a"), op_put(b"a", b"9"), op_get(b"a")])],
        rows=("kv-5.1-sub-headers",),
    ),
    Case(
        "revisions around a delete",
        [*STORE, txn(success=[op_get(b"a"), op_delete(b"a"), op_get(b"a"), op_delete(b"a")])],
        rows=("kv-5.1-sub-headers",),
    ),
    Case("a delete of nothing before a put", [*STORE, txn(success=[op_delete(b"x"), op_put(b"x"), op_delete(b"y")])]),
    Case(
        "reads see earlier writes",
        [*STORE, txn(success=[op_put(b"c", b"3"), op_delete(b"a"), op_get(END, END)])],
        rows=("kv-5.1-order",),
    ),
    Case("success", [*STORE, txn([check(b"a", version=1)], [op_put(b"a", b"yes")], [op_put(b"a", b"no")]), get(b"a")]),
    Case(
        "failure",
        [*STORE, txn([check(b"a", version=9)], [op_put(b"a", b"yes")], [op_put(b"a", b"no")]), get(b"a")],
        rows=("kv-5.1-answer",),
    ),
    Case("all compares must hold", [*STORE, txn([check(b"a", version=1), check(b"b", version=2)], [op_get(b"a")])]),
    Case("failure without operations", [*STORE, txn(NEVER, [op_put(b"a")]), get(b"a")]),
    Case("prev_kv of a put", [*STORE, txn(success=[op_put(b"a", b"9", prev_kv=True), op_put(b"new", prev_kv=True)])]),
    Case(
        "prev_kvs of a delete",
        [*STORE, txn(success=[op_delete(b"a", END, prev_kv=True), op_delete(b"x", prev_kv=True)])],
    ),
    Case("ignore_value", [*STORE, txn(success=[op_put(b"a", ignore_value=True)]), get(b"a")]),
    Case("ignore_lease", [*STORE, txn(success=[op_put(b"a", b"8", ignore_lease=True)]), get(b"a")]),
    Case(
        "options of a range",
        [
            *STORE,
            txn(
                success=[
                    op_get(END, END, limit=1),
                    op_get(END, END, count_only=True),
                    op_get(END, END, keys_only=True, sort_order="DESCEND"),
                    op_get(b"a", serializable=True),
                    op_get(b"x"),
                    op_get(END, END, min_mod_revision=Revision(2)),
                ]
            ),
        ],
    ),
    Case("versions count up inside", [*STORE, txn(success=[op_put(b"c")]), txn(success=[op_put(b"c")]), get(b"c")]),
    Case(
        "delete, then put again by the gap",
        [*STORE, txn(success=[op_delete(b"a", END), op_put(b"b", b"n")]), get_all()],
        rows=("kv-5.4-gap",),
    ),
    Case(
        "put, then delete by the gap",
        [*STORE, txn(success=[op_put(b"b", b"n"), op_delete(b"a", END)]), get_all()],
        rows=("kv-5.4-gap", "kv-1-rev-put-delete"),
    ),
    Case(
        "put, delete, read by the gap",
        [txn(success=[op_put(b"x"), op_get(b"x"), op_delete(b"x", END, prev_kv=True), op_get(b"x")]), get(b"x")],
    ),
    Case(
        "the whole store by the gap",
        [*STORE, txn(success=[op_put(b"b", b"n"), op_delete(END, END, prev_kv=True)]), get_all()],
        rows=("kv-5.4-gap",),
    ),
]

NESTED = [
    Case(
        "one level",
        [*STORE, txn(success=[op_txn(success=[op_put(b"c")])]), get(b"c")],
        rows=("kv-5.1-nested-header", "http-2-empty-message", "http-3-sub-headers"),
    ),
    Case("empty", [*STORE, txn(success=[op_txn()]), txn(success=[op_txn(NEVER)])], rows=("kv-5.1-answer",)),
    Case("inside failure", [*STORE, txn(NEVER, [], [op_txn(MISSING, [op_put(b"c", b"3"), op_get(b"c")])]), get(b"c")]),
    Case(
        "three levels",
        [
            *STORE,
            txn(success=[op_get(b"a"), op_txn(success=[op_txn(NEVER, [], [op_put(b"a", b"deep")]), op_get(b"a")])]),
        ],
    ),
    Case(
        "a nested compare does not see the put before it",
        [
            *STORE,
            txn(success=[op_put(b"a", b"9"), op_txn([check(b"a", "VALUE", value=b"1")], [op_get(b"a")])]),
            get(b"a"),
        ],
        rows=("kv-5.1-compares-before",),
    ),
    Case(
        "a nested compare sees missing what was just put",
        [txn(success=[op_put(b"x"), op_txn([check(b"x")], [op_put(b"y", b"yes")], [op_put(b"y", b"no")])]), get(b"y")],
        rows=("kv-5.1-compares-before",),
    ),
    Case(
        "a read-only txn with a nested one",
        [*STORE, txn(success=[op_txn(success=[op_get(b"a")])]), txn(success=[op_txn([check(b"a")])])],
    ),
    Case("the branch not taken may hold a txn", [*STORE, txn(NEVER, [op_txn(success=[op_put(b"a")])], [op_get(b"a")])]),
]

# Two puts of x, or a put under a delete: refused before anything runs.
DUPLICATES = [
    Case(
        "two puts", [txn(success=[op_put(b"x"), op_put(b"x")]), get(b"x")], rows=("kv-5.4-puts", "http-5-DuplicateKey")
    ),
    Case("two puts in failure", [txn(MISSING, [op_get(b"x")], [op_put(b"x"), op_put(b"x")]), get(b"x")]),
    Case("put, delete", [txn(success=[op_put(b"x"), op_delete(b"x")])], rows=("kv-5.4-puts",)),
    Case("delete, put", [txn(success=[op_delete(b"x"), op_put(b"x")])], rows=("kv-5.4-puts",)),
    Case(
        "put under a range",
        [txn(success=[op_put(b"x"), op_delete(b"a", b"z")]), txn(success=[op_delete(b"a", b"z"), op_put(b"x")])],
        rows=("kv-5.4-puts",),
    ),
    Case("put at the end of a range", [txn(success=[op_put(b"x"), op_delete(b"a", b"x")])]),
    Case("put at the start of a range", [txn(success=[op_put(b"a"), op_delete(b"a", b"x")])]),
    Case("put of the smallest key and the whole store", [txn(success=[op_put(b"\0"), op_delete(END, END)]), get_all()]),
    Case(
        "two deletes",
        [*STORE, txn(success=[op_delete(b"a"), op_delete(b"a"), op_delete(b"a", b"z")])],
        rows=("kv-5.4-fine",),
    ),
    Case(
        "ranges never matter",
        [*STORE, txn(success=[op_put(b"a"), op_get(b"a"), op_get(b"a"), op_get(END, END)])],
        rows=("kv-5.4-fine",),
    ),
    Case(
        "the same put in both branches",
        [txn([], [op_put(b"x", b"1")], [op_put(b"x", b"2")]), get(b"x")],
        rows=("kv-5.4-fine",),
    ),
    Case("put here, delete in the other branch", [txn([], [op_put(b"x")], [op_delete(b"x")])]),
    Case(
        "parent and nested", [txn(success=[op_put(b"x"), op_txn(success=[op_put(b"x")])])], rows=("kv-5.4-nested-puts",)
    ),
    Case(
        "parent and nested failure",
        [txn(success=[op_put(b"x"), op_txn(failure=[op_put(b"x")])])],
        rows=("kv-5.4-nested-puts",),
    ),
    Case("nested, then parent", [txn(success=[op_txn(success=[op_put(b"x")]), op_put(b"x")])]),
    Case(
        "both branches of one nested",
        [txn(success=[op_txn([], [op_put(b"x")], [op_put(b"x")])]), get(b"x")],
        rows=("kv-5.4-nested-branches",),
    ),
    Case(
        "siblings",
        [txn(success=[op_txn(success=[op_put(b"x")]), op_txn(success=[op_put(b"x")])])],
        rows=("kv-5.4-nested-branches",),
    ),
    Case("siblings, other branches", [txn(success=[op_txn(success=[op_put(b"x")]), op_txn(failure=[op_put(b"x")])])]),
    Case("inside one nested", [txn(success=[op_txn(success=[op_put(b"x"), op_put(b"x")])])]),
    Case(
        "nested delete against the parent's put",
        [txn(success=[op_put(b"x"), op_txn(success=[op_delete(b"x")])])],
        rows=("kv-5.4-nested-deletes",),
    ),
    Case("parent's delete against a nested put", [txn(success=[op_delete(b"x"), op_txn(success=[op_put(b"x")])])]),
    Case(
        "nested delete, then a sibling's put",
        [txn(success=[op_txn(success=[op_delete(b"x")]), op_txn(success=[op_put(b"x")])])],
        rows=("kv-5.4-siblings",),
    ),
    Case(
        "nested put, then a sibling's delete",
        [txn(success=[op_txn(success=[op_put(b"x")]), op_txn(success=[op_delete(b"x", prev_kv=True)])]), get(b"x")],
        rows=("kv-5.4-siblings",),
    ),
    Case("two nested levels down", [txn(success=[op_put(b"x"), op_txn(success=[op_txn(failure=[op_put(b"x")])])])]),
    Case(
        "nested gap",
        [txn(success=[op_put(b"x"), op_txn(success=[op_delete(b"a", END)])]), get(b"x")],
        rows=("kv-5.4-gap",),
    ),
]

ERRORS = [
    Case(
        "compare without a key",
        [txn([check(b"")]), txn([check(b"a"), {}], [op_put(b"")])],
        rows=("kv-5.4-order", "http-5-EmptyKey"),
    ),
    Case("empty keys", [txn(success=[op_get(b"")]), txn(success=[op_put(b"")]), txn(success=[op_delete(b"")])]),
    Case(
        "empty keys in failure",
        [txn(failure=[op_get(b"")]), txn(failure=[op_put(b"")]), txn(failure=[op_delete(b"", b"z")])],
    ),
    Case(
        "empty keys further down", [txn(success=[op_txn([check(b"")])]), txn(success=[op_txn(failure=[op_put(b"")])])]
    ),
    Case(
        "an operation that is none",
        [*STORE, txn(success=[{}]), txn(failure=[{}]), txn(success=[{"request_put": None}])],
        rows=("kv-5.4-none-op", "http-5-KeyNotFound"),
    ),
    Case("an operation that is none, after a good one", [txn(success=[op_put(b"x"), {}]), get(b"x")]),
    Case(
        "an operation with an empty message", [txn(success=[{"request_put": {}}]), txn(success=[{"request_txn": {}}])]
    ),
    Case("unknown order", [txn(success=[op_get(b"a", sort_order=9)]).differs(UNKNOWN_ORDER)]),
    Case("unknown target", [txn(success=[op_get(b"a", sort_target=9)]).never_to_etcd(UNKNOWN_TARGET)]),
    Case(
        "unknown target further down",
        [txn(failure=[op_txn([], [op_get(b"a", sort_target=9)])]).never_to_etcd(UNKNOWN_TARGET)],
    ),
    Case("value with ignore_value", [*STORE, txn(success=[op_put(b"a", b"v", ignore_value=True)])]),
    Case("lease with ignore_lease", [*STORE, txn(success=[op_put(b"a", ignore_lease=True, lease=3)])]),
    Case(
        "compare comes before operations",
        [txn([check(b"")], [op_put(b"x", b"v", ignore_value=True)])],
        rows=("kv-5.4-order",),
    ),
    Case(
        "success comes before failure",
        [txn([], [op_put(b"x", b"v", ignore_value=True)], [op_put(b"")])],
        rows=("kv-5.4-order",),
    ),
    Case("the first operation comes first", [txn(success=[op_put(b"x", b"v", ignore_value=True), op_get(b"")])]),
    Case(
        "depth first",
        [txn(success=[op_txn(success=[op_put(b"x", b"v", ignore_value=True)]), op_put(b"")])],
        rows=("kv-5.4-order",),
    ),
    Case(
        "fields come before duplicates",
        [txn(success=[op_put(b"x"), op_put(b"x"), op_put(b"")])],
        rows=("kv-5.4-order",),
    ),
    Case("fields of failure come before duplicates", [txn([], [op_put(b"x"), op_put(b"x")], [op_put(b"")])]),
    Case(
        "duplicates come before the pre-check",
        [txn(success=[op_put(b"x", lease=7), op_put(b"x")])],
        rows=("kv-5.4-order",),
    ),
    Case(
        "duplicates come before the size",
        [txn(success=[op_put(b"x", b"v" * 1600000), op_put(b"x")])],
        rows=("kv-5.4-order",),
    ),
    Case(
        "the size comes before the pre-check",
        [txn(success=[op_put(b"x", b"v" * 1600000), op_put(b"y", lease=7)])],
        rows=("kv-5.4-order",),
    ),
]

PRE_CHECK = [
    Case("future revision", [*STORE, txn(success=[op_get(b"a", revision=Revision(3))])], rows=("kv-5.5-future",)),
    Case(
        "the revision that the txn will make",
        [*STORE, txn(success=[op_put(b"c"), op_get(b"c", revision=Revision(3))]), get(b"c")],
        rows=("kv-5.5-own-revision",),
    ),
    Case("the current revision", [*STORE, txn(success=[op_put(b"a", b"9"), op_get(b"a", revision=Revision(2))])]),
    Case("a negative revision", [*STORE, txn(success=[op_get(b"a", revision=-2)])], rows=("kv-5.5-negative",)),
    Case(
        "a negative revision of a write txn",
        [*STORE, txn(success=[op_put(b"c"), op_get(b"a", revision=-2)]), get(b"c")],
    ),
    Case(
        "revision -1 of a store never compacted",
        [*STORE, txn(success=[op_get(b"a", revision=-1)])],
        rows=("kv-5.5-minus-one",),
        fresh=True,
    ),
    Case(
        "future revision further down",
        [*STORE, txn(success=[op_put(b"c"), op_txn(success=[op_get(b"a", revision=Revision(9))])]), get(b"c")],
    ),
    Case(
        "unknown lease",
        [txn(success=[op_put(b"x"), op_put(b"y", lease=7)]), get_all()],
        rows=("kv-5.5-unknown-lease", "kv-5.1-pre-check"),
    ),
    Case(
        "unknown lease further down", [txn(success=[op_put(b"x"), op_txn(success=[op_put(b"y", lease=-1)])]), get_all()]
    ),
    Case(
        "ignore_value of a missing key",
        [txn(success=[op_put(b"x", ignore_value=True)]), get_all()],
        rows=("kv-5.5-ignore-missing",),
    ),
    Case(
        "ignore_lease of a missing key",
        [txn(success=[op_put(b"y"), op_put(b"x", b"v", ignore_lease=True)]), get_all()],
        rows=("kv-5.5-ignore-missing", "kv-5.1-pre-check"),
    ),
    Case(
        "a key that an earlier operation makes is still missing",
        [txn(success=[op_put(b"x"), op_txn(success=[op_get(b"x")]), op_put(b"y", ignore_value=True)]), get_all()],
        rows=("kv-5.5-ignore-missing",),
    ),
    Case(
        "ignore_value of a key that the txn deletes by the gap",
        [*STORE, txn(success=[op_delete(b"a", END), op_put(b"b", ignore_value=True)]).never_to_etcd(GONE), get_all()],
    ),
    Case(
        "ignore_lease of a key that a nested txn deletes by the gap",
        [
            *STORE,
            txn(success=[op_txn(success=[op_delete(END, END)]), op_put(b"b", ignore_lease=True)]).never_to_etcd(GONE),
            get_all(),
        ],
    ),
    Case("lease before missing key", [txn(success=[op_put(b"x", ignore_value=True, lease=7)])]),
    Case("the first bad operation answers", [txn(success=[op_put(b"x", ignore_value=True), op_put(b"y", lease=7)])]),
    Case("puts are checked before ranges", [txn(success=[op_get(b"x", revision=Revision(9)), op_put(b"y", lease=7)])]),
    Case(
        "the branch not taken is not checked",
        [txn([], [op_put(b"x")], [op_put(b"y", lease=7), op_get(b"x", revision=Revision(9))])],
        rows=("kv-5.5-not-taken",),
    ),
    Case(
        "the nested branch not taken is not checked",
        [txn(success=[op_txn(NEVER, [op_put(b"y", lease=7)], [op_put(b"x")])])],
        rows=("kv-5.5-not-taken",),
    ),
]

READ_ONLY = [
    Case(
        "both branches read",
        [*STORE, txn([check(b"a", version=1)], [op_get(b"a")], [op_get(b"b")])],
        rows=("kv-5.6-read-only",),
    ),
    Case(
        "all serializable",
        [*STORE, txn([check(b"a", version=1)], [op_get(b"a", serializable=True)])],
        rows=("kv-5.6-read-only",),
    ),
    Case("a missing key and a count", [*STORE, txn(success=[op_get(b"x"), op_get(END, END, count_only=True)])]),
]


def _grouped(group: str, cases: list[Case]) -> list[Case]:
    return [replace(case, name=f"{group}: {case.name}") for case in cases]


CASES = [
    *_grouped("shape", SHAPE),
    *_grouped("nested", NESTED),
    *_grouped("duplicates", DUPLICATES),
    *_grouped("errors", ERRORS),
    *_grouped("pre-check", PRE_CHECK),
    *_grouped("read-only", READ_ONLY),
]
