"""Ranges at past revisions: kv.md sections 1 and 2."""

from tests.e2e.case import Case, Revision, Step
from tests.e2e.rpc import END, delete, get, get_all, op_delete, op_get, op_put, put, txn

# What the store holds at each revision: a made +3, changed +6, gone +10, made anew +11; c made +2, gone +7, anew +9.
HISTORY = [
    put(b"b", b"x"),
    put(b"c", b"2"),
    put(b"a", b"x"),
    put(b"ab", b"9"),
    put(b"d"),
    put(b"a", b"3"),
    delete(b"c"),
    put(b"b", b"1"),
    put(b"c", b"7"),
    delete(b"a", b"b"),
    put(b"a", b"new"),
]
LAST = len(HISTORY)
FULL = Revision(6)  # a ab b c d, all unlike in every field


def _at_each(key: bytes, range_end: bytes | None = None, **fields: object) -> list[Step]:
    """Read at every revision of the history."""
    return [get(key, range_end, revision=Revision(number), **fields) for number in range(LAST + 1)]


PAST = [
    Case("the whole store at each revision", [*HISTORY, *_at_each(END, END)], rows=("kv-2-header",)),
    Case("a key at each revision", [*HISTORY, *_at_each(b"a")], rows=("kv-1-put-existing", "kv-1-tombstone")),
    Case("a key deleted and made again at each revision", [*HISTORY, *_at_each(b"c")], rows=("kv-1-tombstone",)),
    Case("a key before it was made", [*HISTORY, get(b"d", revision=Revision(4)), get(b"d", revision=Revision(5))]),
    Case("a key at the revision of its delete", [*HISTORY, get(b"c", revision=Revision(7))]),
    Case("a key that never was", [*HISTORY, get(b"x", revision=Revision(1)), get(b"x", b"z", revision=FULL)]),
    Case("before the first change", [*HISTORY, get_all(revision=Revision(0)), get_all(revision=Revision(0), limit=1)]),
    Case(
        "the current revision by its number",
        [*HISTORY, get_all(revision=Revision(LAST)), get_all(), get_all(revision=Revision(LAST + 1))],
        rows=("kv-2-future",),
    ),
    Case("a revision that changed another key", [*HISTORY, get(b"d", revision=Revision(8)), get(b"ab", revision=FULL)]),
    Case("a revision as number and as text", [*HISTORY, get(b"c", revision="0"), get(b"a", revision=FULL)]),
    Case(
        "the past does not move",
        [
            *HISTORY,
            get_all(revision=FULL),
            put(b"a", b"later"),
            delete(b"b"),
            get_all(revision=FULL),
            delete(END, END),
            get_all(revision=FULL),
        ],
    ),
    Case(
        "the header tells the current revision",
        [*HISTORY, get(b"a", revision=FULL), put(b"z"), get(b"a", revision=FULL)],
        rows=("kv-2-header", "http-3-which-revision"),
    ),
    Case(
        "of an emptied store",
        [*HISTORY, delete(END, END), get_all(), get_all(revision=Revision(LAST)), get_all(revision=Revision(LAST + 1))],
    ),
    Case(
        "many versions of a key",
        [
            *[put(b"k", b"%d" % number) for number in range(40)],
            *[get(b"k", revision=Revision(number)) for number in (1, 2, 20, 39, 40)],
        ],
    ),
    Case(
        "the same value again makes history",
        [put(b"k", b"v"), put(b"k", b"v"), get(b"k", revision=Revision(1)), get(b"k", revision=Revision(2))],
        rows=("kv-1-rev-put",),
    ),
    Case(
        "ignore_value keeps the value in history",
        [
            put(b"k", b"v"),
            put(b"k", ignore_value=True),
            put(b"k", b"w"),
            put(b"k", ignore_value=True, ignore_lease=True),
            *[get(b"k", revision=Revision(number)) for number in (1, 2, 3, 4)],
        ],
        rows=("kv-3-ignore-value",),
    ),
    Case(
        "a failed request leaves no history",
        [
            put(b"k", b"v"),
            put(b"k", b"w", lease=7),
            put(b""),
            txn(success=[op_put(b"k"), op_put(b"k")]),
            put(b"k", b"w"),
            get(b"k", revision=Revision(1)),
            get(b"k", revision=Revision(2)),
            get(b"k", revision=Revision(3)),
        ],
        rows=("kv-1-rev-failed",),
    ),
    Case(
        "a delete of nothing leaves no history",
        [put(b"k"), delete(b"x"), put(b"l"), get_all(revision=Revision(2)), get_all(revision=Revision(3))],
        rows=("kv-1-rev-delete-nothing",),
    ),
    Case(
        "values of any bytes and none",
        [
            put(b"\0", bytes(range(256))),
            put(b"\xff", b""),
            put(b"\0", b"2"),
            put(b"\xff", b"\0"),
            get_all(revision=Revision(2)),
            get_all(revision=Revision(3)),
        ],
    ),
    Case(
        "long keys and values",
        [
            put(b"k" * 3000, b"v" * 100_000),
            put(b"k" * 3000, b"w"),
            get(b"k" * 3000, revision=Revision(1)),
            get(b"k" * 2999, END, revision=Revision(1)),
        ],
    ),
]

TRANSACTIONS = [
    Case(
        "changes of one txn share a revision",
        [
            put(b"a", b"0"),
            txn(success=[op_put(b"a", b"1"), op_put(b"b", b"1"), op_put(b"c", b"1")]),
            txn(success=[op_delete(b"a"), op_put(b"b", b"2"), op_delete(b"c")]),
            *[get_all(revision=Revision(number)) for number in (1, 2, 3)],
        ],
        rows=("kv-1-rev-txn",),
    ),
    Case(
        "a key put and deleted in one txn",
        [
            txn(success=[op_put(b"x", b"1"), op_delete(b"a", END)]),
            put(b"y"),
            get(b"x", revision=Revision(1)),
            get_all(revision=Revision(1)),
            get_all(revision=Revision(2)),
        ],
        rows=("kv-1-rev-put-delete",),
    ),
    Case(
        "a known key put and deleted in one txn",
        [
            put(b"x", b"0"),
            txn(success=[op_put(b"x", b"1"), op_delete(b"a", END)]),
            put(b"x", b"2"),
            *[get(b"x", revision=Revision(number)) for number in (1, 2, 3)],
        ],
        rows=("kv-1-rev-put-delete",),
    ),
    Case(
        "a key deleted and put in one txn",
        [
            put(b"x", b"0"),
            put(b"y"),
            txn(success=[op_delete(b"a", END), op_put(b"x", b"1")]),
            put(b"z"),
            *[get_all(revision=Revision(number)) for number in (2, 3, 4)],
        ],
    ),
    Case(
        "reads of a txn make no history",
        [put(b"k"), txn(success=[op_get(b"k")]), put(b"k", b"v"), get(b"k", revision=Revision(1))],
    ),
]

OPTIONS = [
    Case("count_only at each revision", [*HISTORY, *_at_each(END, END, count_only=True)], rows=("kv-2-count-only",)),
    Case("count_only of a key", [*HISTORY, *_at_each(b"a", count_only=True)], rows=("kv-2-count-only",)),
    Case(
        "count_only of a range",
        [*HISTORY, *_at_each(b"a", b"c", count_only=True, limit=1, keys_only=True)],
        rows=("kv-2-count-only",),
    ),
    Case(
        "count_only of a future revision",
        [*HISTORY, get_all(revision=Revision(LAST + 1), count_only=True, serializable=True)],
        rows=("kv-2-count-errors",),
    ),
    Case("keys_only", [*HISTORY, get_all(revision=FULL, keys_only=True), get(b"a", revision=FULL, keys_only=True)]),
    Case(
        "keys_only sorts by value first",
        [*HISTORY, get_all(revision=FULL, keys_only=True, sort_target="VALUE", sort_order="DESCEND")],
        rows=("kv-2-keys-only",),
    ),
    Case("serializable at each revision", [*HISTORY, *_at_each(END, END, serializable=True, keys_only=True)]),
    Case("one key with every option", [*HISTORY, get(b"a", revision=FULL, limit=1, sort_order="DESCEND")]),
]

LIMITS = [
    Case("a limit below the count", [*HISTORY, get_all(revision=FULL, limit=2)], rows=("kv-2-limit", "kv-2-more")),
    Case(
        "a limit of one at each revision",
        [*HISTORY, *_at_each(END, END, limit=1, keys_only=True)],
        rows=("kv-2-limit",),
    ),
    Case("a limit that equals the count", [*HISTORY, get_all(revision=FULL, limit=5)], rows=("kv-2-limit-exact",)),
    Case("a limit above the count", [*HISTORY, get_all(revision=FULL, limit=6)], rows=("kv-2-limit",)),
    Case(
        "a limit that the current state would not reach",
        [*HISTORY, get_all(revision=FULL, limit=4), get_all(limit=4)],
        rows=("kv-2-limit",),
    ),
    Case("limits that are none", [*HISTORY, get_all(revision=FULL, limit=0), get_all(revision=FULL, limit=-1)]),
    Case(
        "no order: cut, then sorted by value",
        [*HISTORY, *[get_all(revision=FULL, sort_target="VALUE", limit=limit) for limit in (1, 2, 3)]],
        rows=("kv-2-oddity",),
    ),
    Case(
        "no order: cut, then sorted by number",
        [*HISTORY, *[get_all(revision=FULL, sort_target=target, limit=2) for target in ("VERSION", "CREATE", "MOD")]],
        rows=("kv-2-oddity",),
    ),
    Case(
        "sorted, then cut",
        [*HISTORY, get_all(revision=FULL, sort_target="VALUE", sort_order="ASCEND", limit=2)],
        rows=("kv-2-sort", "kv-2-limit"),
    ),
    Case(
        "sorted down, then cut",
        [*HISTORY, get_all(revision=FULL, sort_target="MOD", sort_order="DESCEND", limit=2)],
        rows=("kv-2-sort", "kv-2-limit"),
    ),
]

SORTS = [
    Case(
        f"by {target}",
        [
            *HISTORY,
            *[get_all(revision=FULL, sort_target=target, sort_order=order) for order in ("ASCEND", "DESCEND", 0)],
        ],
        rows=("kv-2-sort", "kv-2-sort-none"),
    )
    for target in ("KEY", "VERSION", "CREATE", "MOD", "VALUE")
]

FILTERS = [
    Case(
        f"{name} at a past revision",
        [*HISTORY, *[get_all(revision=FULL, **{name: Revision(number)}) for number in (1, 4, 6, 7, 20)]],
        rows=("kv-2-filters",),
    )
    for name in ("min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision")
] + [
    Case(
        "filters that are negative",
        [*HISTORY, get_all(revision=FULL, min_mod_revision=-1), get_all(revision=FULL, max_create_revision=-1)],
        rows=("kv-2-filter-negative",),
    ),
    Case(
        "a filter looks at the fields of then",
        [
            *HISTORY,
            get(b"a", revision=Revision(5), max_mod_revision=Revision(3)),
            get(b"a", max_mod_revision=Revision(3)),
        ],
        rows=("kv-2-filters",),
    ),
    Case(
        "a filter, a sort, a limit",
        [
            *HISTORY,
            get_all(revision=FULL, min_mod_revision=Revision(2), sort_target="VALUE", sort_order="DESCEND", limit=3),
            get_all(revision=FULL, max_create_revision=Revision(4), sort_target="VALUE", limit=2),
            get_all(revision=FULL, max_create_revision=Revision(4), limit=4),
        ],
        rows=("kv-2-filters", "kv-2-more", "kv-2-count"),
    ),
    Case(
        "a filter and count_only",
        [*HISTORY, get_all(revision=FULL, min_mod_revision=Revision(5), count_only=True)],
        rows=("kv-2-count-only",),
    ),
]

COVERED = [
    Case("a prefix", [*HISTORY, get(b"a", b"b", revision=FULL), get(b"a", b"b", revision=Revision(10))]),
    Case(
        "no end", [*HISTORY, get(b"b", END, revision=FULL), get(b"bb", END, revision=FULL)], rows=("kv-1-range-no-end",)
    ),
    Case("the end is left out", [*HISTORY, get(b"a", b"c", revision=FULL)], rows=("kv-1-range-interval",)),
    Case(
        "end not after key",
        [*HISTORY, get(b"b", b"b", revision=FULL), get(b"c", b"a", revision=FULL), get(b"b", b"", revision=FULL)],
        rows=("kv-1-range-inverted",),
    ),
]

CASES = [*PAST, *TRANSACTIONS, *OPTIONS, *LIMITS, *SORTS, *FILTERS, *COVERED]
