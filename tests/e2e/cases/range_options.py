"""Order of errors, filters, sorting, limits: kv.md section 2."""

from tests.e2e.case import Case, Revision, refused
from tests.e2e.rpc import delete, get, get_all, post, put

RANGE = "/v3/kv/range"

# create: b+1 c+2 a+3 ab+4 d+5; mod: c+2 ab+4 d+5 a+6 b+7; version: 2 for a and b; values: d < b < c < a < ab.
STORE = [
    put(b"b", b"x"),
    put(b"c", b"2"),
    put(b"a", b"x"),
    put(b"ab", b"9"),
    put(b"d"),
    put(b"a", b"3"),
    put(b"b", b"1"),
]

# Equal values and versions: what ties look like.
TIES = [put(b"e", b"1"), put(b"c", b"1"), put(b"a", b"1"), put(b"d", b"0"), put(b"b", b"0")]

UNKNOWN_ORDER = refused("3.5 takes an unknown order as none", "kv.md 2", 400, 3, "etcdserver: invalid sort option")
UNKNOWN_TARGET = refused("crashes etcd 3.5", "http.md 8", 400, 3, "etcdserver: invalid sort option")

ERRORS = [
    Case("no key", [post(RANGE), get(b""), get(b"", b"b")]),
    Case("no key comes before a future revision", [get(b"", revision=Revision(9)), get(b"", sort_order=9)]),
    Case("an unknown order", [*STORE, get_all(sort_order=9).differs(UNKNOWN_ORDER)]),
    Case("a negative order", [*STORE, get_all(sort_order=-1).differs(UNKNOWN_ORDER)]),
    Case("an unknown order on one key", [*STORE, get(b"a", sort_order=3).differs(UNKNOWN_ORDER)]),
    Case("an unknown order while counting", [*STORE, get_all(sort_order=3, count_only=True).differs(UNKNOWN_ORDER)]),
    Case("an unknown target", [*STORE, get_all(sort_target=99).never_to_etcd(UNKNOWN_TARGET), get(b"a")]),
    Case("a negative target", [*STORE, get_all(sort_target=-1).never_to_etcd(UNKNOWN_TARGET), get(b"a")]),
    Case(
        "an unknown target with an order",
        [*STORE, get_all(sort_target=5, sort_order="DESCEND").never_to_etcd(UNKNOWN_TARGET), get(b"a")],
    ),
    Case(
        "an unknown order comes before a future revision",
        [
            get(b"a", sort_order=9, revision=Revision(9)).differs(UNKNOWN_ORDER),
            get(b"a", sort_target=9, revision=Revision(9)).never_to_etcd(UNKNOWN_TARGET),
        ],
    ),
    Case("a future revision", [*STORE, get(b"a", revision=Revision(8)), get(b"a", revision=2**63 - 1)]),
    Case("a future revision while counting", [*STORE, get_all(revision=Revision(8), count_only=True)]),
    Case("a future revision of this member alone", [*STORE, get_all(revision=Revision(8), serializable=True)]),
    Case("a future revision of a missing key", [*STORE, get(b"x", revision=Revision(8))]),
    Case("the current revision by its number", [*STORE, get(b"b", revision=Revision(7))]),
    Case("revision 0", [*STORE, get(b"b", revision=0)]),
    Case("a negative revision is the current one", [*STORE, get(b"b", revision=-1), get(b"b", revision=-(2**63))]),
]

FILTERS = [
    Case("min_mod_revision", [*STORE, get_all(min_mod_revision=Revision(5))]),
    Case("max_mod_revision", [*STORE, get_all(max_mod_revision=Revision(5))]),
    Case("min_create_revision", [*STORE, get_all(min_create_revision=Revision(3))]),
    Case("max_create_revision", [*STORE, get_all(max_create_revision=Revision(3))]),
    Case("both bounds of mod_revision", [*STORE, get_all(min_mod_revision=Revision(4), max_mod_revision=Revision(6))]),
    Case(
        "all four filters",
        [
            *STORE,
            get_all(
                min_mod_revision=Revision(4),
                max_mod_revision=Revision(6),
                min_create_revision=Revision(3),
                max_create_revision=Revision(4),
            ),
        ],
    ),
    Case(
        "filters that nothing passes", [*STORE, get_all(min_mod_revision=Revision(100)), get(b"a", max_mod_revision=1)]
    ),
    Case(
        "a filter on one key",
        [*STORE, get(b"a", min_mod_revision=Revision(7)), get(b"a", min_mod_revision=Revision(6))],
    ),
    Case("a negative minimum drops nothing", [*STORE, get_all(min_mod_revision=-1), get_all(min_create_revision=-5)]),
    Case(
        "a negative maximum drops everything", [*STORE, get_all(max_mod_revision=-1), get_all(max_create_revision=-5)]
    ),
    Case("a filter that is 0 is none", [*STORE, get_all(max_mod_revision=0, max_create_revision="0")]),
    Case("a filter, then the limit", [*STORE, get_all(min_mod_revision=Revision(4), limit=2)]),
    Case("a filter that leaves as many as the limit", [*STORE, get_all(min_mod_revision=Revision(4), limit=4)]),
    Case("a filter that leaves one of many, limit 1", [*STORE, get_all(max_create_revision=Revision(1), limit=1)]),
    Case("a filter, a sort, a limit", [*STORE, get_all(min_mod_revision=Revision(4), sort_target="VALUE", limit=2)]),
    Case("a filter while counting", [*STORE, get_all(min_mod_revision=Revision(6), count_only=True)]),
]

SORTS = [
    *[
        Case(f"{target} {order}", [*STORE, get_all(sort_target=target, sort_order=order)])
        for target in ("KEY", "VERSION", "CREATE", "MOD", "VALUE")
        for order in ("ASCEND", "DESCEND")
    ],
    *[
        Case(f"{target} without an order", [*STORE, get_all(sort_target=target)])
        for target in ("KEY", "VERSION", "CREATE", "MOD", "VALUE")
    ],
    Case("ties ascending", [*TIES, get_all(sort_target="VALUE", sort_order="ASCEND")]),
    Case("ties descending", [*TIES, get_all(sort_target="VALUE", sort_order="DESCEND")]),
    Case("ties without an order", [*TIES, get_all(sort_target="VERSION")]),
    Case("ties of versions descending", [*TIES, get_all(sort_target="VERSION", sort_order="DESCEND", limit=3)]),
    Case("sort by number", [*STORE, get_all(sort_target=4, sort_order=2), get_all(sort_target=3, sort_order=1)]),
    Case(
        "values are bytes",
        [
            *[put(key, value) for key, value in ((b"a", b"\xff"), (b"b", b"\x7f"), (b"c", b"\x7f\0"), (b"d", b"Z"))],
            get_all(sort_target="VALUE", sort_order="ASCEND"),
        ],
    ),
]

LIMITS = [
    Case("a limit below the count", [*STORE, get_all(limit=2)]),
    Case("a limit of one", [*STORE, get_all(limit=1), get(b"a", limit=1)]),
    Case("a limit that equals the count", [*STORE, get_all(limit=5)]),
    Case("a limit above the count", [*STORE, get_all(limit=6), get_all(limit=2**63 - 1)]),
    Case("limit 0 is none", [*STORE, get_all(limit=0)]),
    Case("a negative limit is none", [*STORE, get_all(limit=-1), get_all(limit=-(2**63))]),
    Case("sorted, then cut", [*STORE, get_all(sort_target="VALUE", sort_order="ASCEND", limit=2)]),
    Case("sorted down, then cut", [*STORE, get_all(sort_target="MOD", sort_order="DESCEND", limit=2)]),
    Case("no order: cut, then sorted by value", [*STORE, get_all(sort_target="VALUE", limit=2)]),
    Case("no order: cut, then sorted by create", [*STORE, get_all(sort_target="CREATE", limit=2)]),
    Case("no order: cut at one", [*STORE, get_all(sort_target="VALUE", limit=1), get_all(sort_target="MOD", limit=1)]),
    Case(
        "no order but a filter: sorted, then cut", [*STORE, get_all(sort_target="VALUE", limit=2, min_mod_revision=1)]
    ),
    Case("no order and a negative limit", [*STORE, get_all(sort_target="VALUE", limit=-1)]),
    Case("descending keys with a limit", [*STORE, get_all(sort_order="DESCEND", limit=2)]),
]

PARTS = [
    Case("keys_only", [*STORE, get_all(keys_only=True), get(b"a", keys_only=True)]),
    Case(
        "keys_only sorts by value first", [*STORE, get_all(keys_only=True, sort_target="VALUE", sort_order="DESCEND")]
    ),
    Case("count_only", [*STORE, get_all(count_only=True), get(b"a", count_only=True), get(b"x", count_only=True)]),
    Case("count_only of an empty range", [*STORE, get(b"x", b"z", count_only=True), get(b"c", b"a", count_only=True)]),
    Case("count_only before limit and keys_only", [*STORE, get_all(count_only=True, keys_only=True, limit=2)]),
    Case("count follows deletes", [*STORE, delete(b"a", b"b"), get_all(count_only=True), get_all(limit=1)]),
    Case("serializable", [*STORE, get(b"a", serializable=True), get_all(serializable=True, limit=2)]),
    Case("serializable right after a put", [put(b"k", b"1"), get(b"k", serializable=True), put(b"k", b"2"), get(b"k")]),
]

CASES = [*ERRORS, *FILTERS, *SORTS, *LIMITS, *PARTS]
