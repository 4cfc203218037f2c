"""Filters together with sorting and limits: kv.md section 2."""

from tests.e2e.case import Case, Revision
from tests.e2e.rpc import get, get_all, put

# create: f+1 b+2 d+3 a+4 c+5 e+6; mod: d+3 c+5 e+6 f+7 b+8 a+10; version: a 3, b f 2; value: e < b < d < f < c < a.
STORE = [
    put(b"f", b"x"),
    put(b"b", b"x"),
    put(b"d", b"4"),
    put(b"a", b"x"),
    put(b"c", b"8"),
    put(b"e"),
    put(b"f", b"6"),
    put(b"b", b"2"),
    put(b"a", b"y"),
    put(b"a", b"9"),
]
FILTERS = {
    "min_mod_revision": Revision(6),
    "max_mod_revision": Revision(7),
    "min_create_revision": Revision(3),
    "max_create_revision": Revision(4),
}
TARGETS = ("KEY", "VERSION", "CREATE", "MOD", "VALUE")
ROWS = ("kv-2-filters", "kv-2-sort", "kv-2-limit", "kv-2-more", "kv-2-count")

COMBINED = [
    Case(
        f"{name}, {order}, limit {limit}",
        [
            *STORE,
            *[get_all(**{name: bound}, sort_target=target, sort_order=order, limit=limit) for target in TARGETS],
        ],
        rows=ROWS,
    )
    for name, bound in FILTERS.items()
    for order in ("NONE", "ASCEND", "DESCEND")
    for limit in (1, 3)
]

BOUNDS = [
    Case(
        f"{name} at every bound",
        [
            *STORE,
            *[
                get_all(**{name: Revision(number)}, keys_only=True, limit=3, sort_order="DESCEND")
                for number in range(1, 12)
            ],
        ],
        rows=("kv-2-filters", "kv-2-limit"),
    )
    for name in FILTERS
]

OTHERS = [
    Case(
        "min_create_revision, limit 1",
        [*STORE, get_all(min_create_revision=Revision(4), limit=1)],
        rows=("kv-2-min-create-limit", "kv-2-more"),
    ),
    Case(
        "two filters, sorted and cut",
        [
            *STORE,
            get_all(min_mod_revision=Revision(5), max_create_revision=Revision(5), sort_target="VALUE", limit=2),
            get_all(
                min_mod_revision=Revision(5),
                max_create_revision=Revision(5),
                sort_target="VALUE",
                sort_order="DESCEND",
                limit=2,
            ),
        ],
        rows=ROWS,
    ),
    Case(
        "a window of mod_revision that holds one key",
        [*STORE, get_all(min_mod_revision=Revision(6), max_mod_revision=Revision(6), limit=1)],
        rows=("kv-2-filters", "kv-2-limit-exact"),
    ),
    Case(
        "a window that holds none",
        [
            *STORE,
            get_all(min_mod_revision=Revision(9), max_mod_revision=Revision(9), limit=1),
            get_all(min_create_revision=Revision(5), max_create_revision=Revision(4), sort_target="VALUE"),
        ],
        rows=("kv-2-filters", "kv-2-count"),
    ),
    Case(
        "a range, filtered, sorted and cut",
        [*STORE, get(b"b", b"f", min_mod_revision=Revision(5), sort_target="MOD", sort_order="DESCEND", limit=2)],
        rows=ROWS,
    ),
    Case(
        "a filter with a limit that is none",
        [*STORE, get_all(min_mod_revision=Revision(6), limit=0), get_all(min_mod_revision=Revision(6), limit=-2)],
        rows=("kv-2-limit",),
    ),
    Case(
        "a negative filter reads everything before the sort",
        [*STORE, get_all(sort_target="VALUE", limit=2, min_create_revision=-1), get_all(sort_target="VALUE", limit=2)],
        rows=("kv-2-filter-negative", "kv-2-oddity"),
    ),
    Case(
        "keys_only with all of it",
        [*STORE, get_all(max_mod_revision=Revision(8), sort_target="VALUE", sort_order=2, limit=2, keys_only=True)],
        rows=("kv-2-keys-only",),
    ),
    Case(
        "count_only with all of it",
        [*STORE, get_all(max_mod_revision=Revision(8), sort_target="VALUE", sort_order=2, limit=2, count_only=True)],
        rows=("kv-2-count-only",),
    ),
    Case(
        "one key that the filter drops, sorted and cut",
        [*STORE, get(b"a", max_mod_revision=Revision(9), sort_order="DESCEND", limit=1), get(b"a", limit=1)],
        rows=("kv-2-filters", "kv-2-count"),
    ),
]

CASES = [*COMBINED, *BOUNDS, *OTHERS]
