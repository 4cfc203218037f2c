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
    Case(
        "no key", [post(RANGE), get(b""), get(b"", b"b")], rows=("kv-2-empty-key", "http-5-EmptyKey", "kv-1-smallest")
    ),
    Case(
        "no key comes before a future revision",
        [get(b"", revision=Revision(9)), get(b"", sort_order=9)],
        rows=("kv-2-empty-key",),
    ),
    Case(
        "an unknown order",
        [*STORE, get_all(sort_order=9).differs(UNKNOWN_ORDER)],
        rows=("kv-2-sort-option", "http-5-InvalidSortOption"),
    ),
    Case("a negative order", [*STORE, get_all(sort_order=-1).differs(UNKNOWN_ORDER)]),
    Case("an unknown order on one key", [*STORE, get(b"a", sort_order=3).differs(UNKNOWN_ORDER)]),
    Case("an unknown order while counting", [*STORE, get_all(sort_order=3, count_only=True).differs(UNKNOWN_ORDER)]),
    Case(
        "an unknown target",
        [*STORE, get_all(sort_target=99).never_to_etcd(UNKNOWN_TARGET), get(b"a")],
        rows=("kv-2-sort-option", "http-8-sort-target", "http-5-InvalidSortOption"),
    ),
    Case(
        "a negative target",
        [*STORE, get_all(sort_target=-1).never_to_etcd(UNKNOWN_TARGET), get(b"a")],
        rows=("http-8-sort-target",),
    ),
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
        rows=("kv-2-sort-option",),
    ),
    Case(
        "a future revision",
        [*STORE, get(b"a", revision=Revision(8)), get(b"a", revision=2**63 - 1)],
        rows=("kv-2-future", "http-5-FutureRev"),
    ),
    Case(
        "a future revision while counting",
        [*STORE, get_all(revision=Revision(8), count_only=True)],
        rows=("kv-2-count-errors",),
    ),
    Case(
        "a future revision of this member alone",
        [*STORE, get_all(revision=Revision(8), serializable=True)],
        rows=("kv-2-count-errors",),
    ),
    Case("a future revision of a missing key", [*STORE, get(b"x", revision=Revision(8))]),
    Case("the current revision by its number", [*STORE, get(b"b", revision=Revision(7))]),
    Case("revision 0", [*STORE, get(b"b", revision=0)], rows=("kv-2-revision-zero",)),
    Case(
        "a negative revision is the current one",
        [*STORE, get(b"b", revision=-1), get(b"b", revision=-(2**63))],
        rows=("kv-2-revision-zero",),
    ),
]

FILTERS = [
    Case("min_mod_revision", [*STORE, get_all(min_mod_revision=Revision(5))], rows=("kv-2-filters", "kv-2-min-mod")),
    Case("max_mod_revision", [*STORE, get_all(max_mod_revision=Revision(5))], rows=("kv-2-filters",)),
    Case("min_create_revision", [*STORE, get_all(min_create_revision=Revision(3))], rows=("kv-2-filters",)),
    Case("max_create_revision", [*STORE, get_all(max_create_revision=Revision(3))], rows=("kv-2-filters",)),
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
    Case(
        "a negative minimum drops nothing",
        [*STORE, get_all(min_mod_revision=-1), get_all(min_create_revision=-5)],
        rows=("kv-2-filter-negative",),
    ),
    Case(
        "a negative maximum drops everything",
        [*STORE, get_all(max_mod_revision=-1), get_all(max_create_revision=-5)],
        rows=("kv-2-filter-negative",),
    ),
    Case("a filter that is 0 is none", [*STORE, get_all(max_mod_revision=0, max_create_revision="0")]),
    Case(
        "a filter, then the limit",
        [*STORE, get_all(min_mod_revision=Revision(4), limit=2)],
        rows=("kv-2-more", "kv-2-limit"),
    ),
    Case(
        "a filter that leaves as many as the limit",
        [*STORE, get_all(min_mod_revision=Revision(4), limit=4)],
        rows=("kv-2-more", "kv-2-limit-exact"),
    ),
    Case("a filter that leaves one of many, limit 1", [*STORE, get_all(max_create_revision=Revision(1), limit=1)]),
    Case("a filter, a sort, a limit", [*STORE, get_all(min_mod_revision=Revision(4), sort_target="VALUE", limit=2)]),
    Case(
        "a filter while counting",
        [*STORE, get_all(min_mod_revision=Revision(6), count_only=True)],
        rows=("kv-2-count-only",),
    ),
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
    Case("ties ascending", [*TIES, get_all(sort_target="VALUE", sort_order="ASCEND")], rows=("kv-2-ties",)),
    Case("ties descending", [*TIES, get_all(sort_target="VALUE", sort_order="DESCEND")], rows=("kv-2-ties",)),
    Case("ties without an order", [*TIES, get_all(sort_target="VERSION")], rows=("kv-2-ties",)),
    Case("ties of versions descending", [*TIES, get_all(sort_target="VERSION", sort_order="DESCEND", limit=3)]),
    Case(
        "sort by number",
        [*STORE, get_all(sort_target=4, sort_order=2), get_all(sort_target=3, sort_order=1)],
        rows=("kv-5.2-enums",),
    ),
    Case(
        "values are bytes",
        [
            *[put(key, value) for key, value in ((b"a", b"\xff"), (b"b", b"\x7f"), (b"c", b"\x7f\0"), (b"d", b"Z"))],
            get_all(sort_target="VALUE", sort_order="ASCEND"),
        ],
        rows=("kv-2-sort",),
    ),
]

LIMITS = [
    Case("a limit below the count", [*STORE, get_all(limit=2)], rows=("kv-2-limit", "kv-2-count")),
    Case("a limit of one", [*STORE, get_all(limit=1), get(b"a", limit=1)]),
    Case("a limit that equals the count", [*STORE, get_all(limit=5)], rows=("kv-2-limit-exact",)),
    Case("a limit above the count", [*STORE, get_all(limit=6), get_all(limit=2**63 - 1)]),
    Case("limit 0 is none", [*STORE, get_all(limit=0)], rows=("kv-2-limit",)),
    Case("a negative limit is none", [*STORE, get_all(limit=-1), get_all(limit=-(2**63))], rows=("kv-2-limit",)),
    Case(
        "sorted, then cut",
        [*STORE, get_all(sort_target="VALUE", sort_order="ASCEND", limit=2)],
        rows=("kv-2-value-ascend-limit",),
    ),
    Case("sorted down, then cut", [*STORE, get_all(sort_target="MOD", sort_order="DESCEND", limit=2)]),
    Case(
        "no order: cut, then sorted by value",
        [*STORE, get_all(sort_target="VALUE", limit=2)],
        rows=("kv-2-value-limit", "kv-2-oddity"),
    ),
    Case("no order: cut, then sorted by create", [*STORE, get_all(sort_target="CREATE", limit=2)]),
    Case("no order: cut at one", [*STORE, get_all(sort_target="VALUE", limit=1), get_all(sort_target="MOD", limit=1)]),
    Case(
        "no order but a filter: sorted, then cut",
        [*STORE, get_all(sort_target="VALUE", limit=2, min_mod_revision=1)],
        rows=("kv-2-oddity",),
    ),
    Case("no order and a negative limit", [*STORE, get_all(sort_target="VALUE", limit=-1)]),
    Case("descending keys with a limit", [*STORE, get_all(sort_order="DESCEND", limit=2)]),
]

PARTS = [
    Case("keys_only", [*STORE, get_all(keys_only=True), get(b"a", keys_only=True)], rows=("kv-2-keys-only",)),
    Case(
        "keys_only sorts by value first",
        [*STORE, get_all(keys_only=True, sort_target="VALUE", sort_order="DESCEND")],
        rows=("kv-2-keys-only",),
    ),
    Case(
        "count_only",
        [*STORE, get_all(count_only=True), get(b"a", count_only=True), get(b"x", count_only=True)],
        rows=("kv-2-count-only",),
    ),
    Case("count_only of an empty range", [*STORE, get(b"x", b"z", count_only=True), get(b"c", b"a", count_only=True)]),
    Case(
        "count_only before limit and keys_only",
        [*STORE, get_all(count_only=True, keys_only=True, limit=2)],
        rows=("kv-2-count-only",),
    ),
    Case("count follows deletes", [*STORE, delete(b"a", b"b"), get_all(count_only=True), get_all(limit=1)]),
    Case(
        "serializable",
        [*STORE, get(b"a", serializable=True), get_all(serializable=True, limit=2)],
        rows=("kv-2-serializable",),
    ),
    Case(
        "serializable right after a put",
        [put(b"k", b"1"), get(b"k", serializable=True), put(b"k", b"2"), get(b"k")],
        rows=("kv-2-serializable",),
    ),
]

CASES = [*ERRORS, *FILTERS, *SORTS, *LIMITS, *PARTS]
