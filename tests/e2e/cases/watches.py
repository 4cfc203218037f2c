"""Watches of what comes, over JSON lines: watch.md sections 1 to 3."""

from tests.e2e.case import Case, Lease, Revision
from tests.e2e.rpc import (
    END,
    compact,
    delete,
    op_delete,
    op_get,
    op_put,
    op_txn,
    put,
    txn,
)
from tests.e2e.stream_rpc import (
    WATCH,
    create,
    grant,
    lines,
    opened,
    revoke,
    told,
    watching,
)

FROM_A = (b"a", END)
MANY = [op_put(b"k%03d" % number, b"v") for number in range(128)]


LIVE = [
    Case(
        "a key is put and deleted",
        [*watching("w", b"a"), put(b"a", b"1"), lines("w"), put(b"a", b"2"), lines("w"), delete(b"a"), lines("w")],
        rows=("watch-2-created", "watch-2-events", "http-1-path-watch", "http-6-lines"),
    ),
    Case("other keys are not told", [*watching("w", b"b"), put(b"a"), put(b"c"), put(b"b", b"1"), lines("w")]),
    Case(
        "a prefix",
        [
            *watching("w", b"a/", b"a0"),
            put(b"a"),
            put(b"a/"),
            put(b"a/b"),
            put(b"a0"),
            lines("w", 2),
            delete(*FROM_A),
            lines("w"),
        ],
        rows=("watch-1-range-end",),
    ),
    Case(
        "no end",
        [*watching("w", b"b", END), put(b"a"), put(b"b"), put(b"\xff\xff"), lines("w", 2)],
        rows=("watch-1-range-end",),
    ),
    Case(
        "one key is [key, key + 0)",
        [*watching("w", b"b", b"b\0"), put(b"b"), put(b"b\0"), put(b"b", b"2"), lines("w", 2)],
    ),
    Case(
        "no key and no end: everything",
        [opened("w", WATCH, create(None, END)), lines("w"), put(b"a"), put(b"\0"), lines("w", 2)],
        rows=("watch-1-key",),
    ),
    Case(
        "no key is the key \\0",
        [
            opened("w", WATCH, create()),
            lines("w"),
            opened("v", WATCH, create(b"")),
            lines("v"),
            put(b"a"),
            put(b"\0", b"1"),
            lines("w"),
            lines("v"),
        ],
        rows=("watch-1-key",),
    ),
    Case(
        "no key up to an end",
        [opened("w", WATCH, create(None, b"b")), lines("w"), put(b"b"), put(b"a"), lines("w")],
        rows=("watch-1-key",),
    ),
    Case(
        "no change, no event",
        [*watching("w", b"a", END), delete(b"x"), txn(success=[op_get(b"a")]), put(b"a"), lines("w")],
    ),
    Case("an equal value is an event", [put(b"a", b"1"), *watching("w", b"a"), put(b"a", b"1"), lines("w")]),
    Case("an empty value", [*watching("w", b"a"), put(b"a"), lines("w"), put(b"a", b""), lines("w")]),
    Case(
        "ignore_value tells the kept value",
        [put(b"a", b"1"), *watching("w", b"a"), put(b"a", ignore_value=True), lines("w")],
    ),
    Case(
        "a delete and a new beginning",
        [put(b"a", b"1"), *watching("w", b"a"), delete(b"a"), put(b"a", b"2"), lines("w", 2)],
    ),
    Case(
        "one delete of several keys is one message in key order",
        [put(b"c"), put(b"a"), put(b"b"), *watching("w", *FROM_A), delete(*FROM_A), lines("w")],
        rows=("watch-3-atomic",),
    ),
    Case(
        "camelCase and numbers as texts",
        [
            opened("w", WATCH, {"createRequest": {"key": b"a", "watchId": "4", "prevKv": True, "rangeEnd": b"b"}}),
            lines("w"),
            put(b"a", b"1"),
            put(b"a", b"2"),
            lines("w", 2),
        ],
    ),
]

TRANSACTIONS = [
    Case(
        "a txn is one message in the order of execution",
        [
            *watching("w", *FROM_A),
            txn(success=[op_put(b"z", b"1"), op_put(b"a", b"2"), op_txn(success=[op_put(b"m", b"3")]), op_put(b"b")]),
            lines("w"),
            put(b"a"),
            lines("w"),
        ],
        rows=("watch-3-atomic", "watch-3-ordered"),
    ),
    Case(
        "128 puts of one txn are one message",
        [*watching("w", *FROM_A), txn(success=MANY), lines("w"), put(b"l"), lines("w")],
        rows=("watch-3-atomic", "watch-8-128"),
    ),
    Case(
        "put and delete of a key in one txn: both events",
        [
            put(b"w"),
            *watching("w", *FROM_A),
            txn(success=[op_put(b"x", b"1"), op_delete(b"a", END)]),
            lines("w"),
            put(b"x", b"2"),
            lines("w"),
        ],
        rows=("watch-3-put-delete", "watch-8-put-delete"),
    ),
    Case(
        "put and delete in one txn, for a watch of that key, with prev_kv",
        [
            put(b"x", b"0"),
            *watching("w", b"x", prev_kv=True),
            txn(success=[op_put(b"x", b"1"), op_delete(b"a", END)]),
            lines("w"),
        ],
        rows=("watch-3-put-delete",),
    ),
    Case(
        "delete and put in one txn",
        [put(b"x", b"1"), *watching("w", b"x"), txn(success=[op_delete(b"x", END), op_put(b"x", b"2")]), lines("w")],
    ),
    Case(
        "only the events that match",
        [*watching("w", b"b"), txn(success=[op_put(b"a"), op_put(b"b", b"1"), op_put(b"c")]), lines("w")],
    ),
    Case(
        "a txn that fails tells nothing",
        [*watching("w", *FROM_A), txn(success=[op_put(b"a"), op_put(b"b", lease=77)]), put(b"c"), lines("w")],
    ),
    Case(
        "the revoke of a lease is one message, deletes in key order",
        [
            grant(60, 7),
            *(put(key, b"v", lease=7) for key in (b"k3", b"k1", b"k2")),
            put(b"other"),
            *watching("w", *FROM_A),
            revoke(7),
            lines("w"),
            put(b"z"),
            lines("w"),
        ],
        rows=("watch-8-revoke", "lease-1-one-revision", "kv-1-rev-lease-keys"),
    ),
    Case(
        "puts show their lease",
        [grant(60, 7), *watching("w", b"a"), put(b"a", b"1", lease=7), put(b"a", b"2"), lines("w", 2)],
    ),
    Case(
        "put and revoke, with prev_kv",
        [
            grant(60),
            *watching("w", b"a", prev_kv=True),
            put(b"a", b"1", lease=Lease(1)),
            revoke(Lease(1)),
            lines("w", 2),
        ],
    ),
]

PREVIOUS = [
    Case(
        "prev_kv",
        [
            *watching("w", b"a", prev_kv=True),
            put(b"a", b"1"),
            put(b"a", b"2"),
            delete(b"a"),
            put(b"a", b"3"),
            lines("w", 4),
        ],
        rows=("watch-1-prev-kv", "watch-3-prev-kv"),
    ),
    Case(
        "without prev_kv",
        [put(b"a", b"1"), *watching("w", b"a", prev_kv=False), put(b"a", b"2"), delete(b"a"), lines("w", 2)],
    ),
    Case(
        "prev_kv of a key that is created in the same revision is absent",
        [
            *watching("w", *FROM_A, prev_kv=True),
            txn(success=[op_put(b"x", b"1"), op_delete(b"a", END)]),
            lines("w"),
        ],
        rows=("watch-3-prev-kv",),
    ),
    Case(
        "prev_kv of history",
        [
            put(b"a", b"1"),
            put(b"a", b"2"),
            delete(b"a"),
            *watching("w", b"a", start_revision=Revision(1), prev_kv=True),
            told("w", 3),
        ],
        rows=("watch-3-prev-kv",),
    ),
    Case(
        "prev_kv that is compacted is absent",
        [
            put(b"a", b"1"),
            put(b"b"),
            put(b"a", b"2"),
            put(b"a", b"3"),
            delete(b"a"),
            compact(Revision(3)),
            *watching("w", b"a", start_revision=Revision(3), prev_kv=True),
            told("w", 3),
        ],
        rows=("watch-3-prev-kv",),
    ),
]

FILTERS = [
    Case(
        "NOPUT",
        [*watching("w", b"a", filters=["NOPUT"]), put(b"a"), put(b"a"), delete(b"a"), lines("w")],
        rows=("watch-1-filters", "watch-3-filters"),
    ),
    Case(
        "NODELETE",
        [*watching("w", b"a", filters=["NODELETE"]), put(b"a"), delete(b"a"), put(b"a", b"2"), lines("w", 2)],
        rows=("watch-1-filters", "watch-3-filters"),
    ),
    Case(
        "both: nothing ever",
        [
            opened("w", WATCH, create(b"a", filters=["NOPUT", "NODELETE"]), create(b"z")),
            lines("w", 2),
            put(b"a"),
            delete(b"a"),
            put(b"z"),
            lines("w"),
        ],
        rows=("watch-1-filters", "watch-3-filters"),
    ),
    Case(
        "a message keeps what passes",
        [
            put(b"b"),
            *watching("w", *FROM_A, filters=["NODELETE"]),
            txn(success=[op_put(b"x"), op_delete(b"b"), op_put(b"y")]),
            lines("w"),
        ],
        rows=("watch-1-filters",),
    ),
    Case("by numbers", [*watching("w", b"a", filters=[0]), put(b"a"), delete(b"a"), lines("w")]),
    Case("twice the same", [*watching("w", b"a", filters=["NOPUT", "NOPUT", 0]), put(b"a"), delete(b"a"), lines("w")]),
    Case("an empty list", [*watching("w", b"a", filters=[]), put(b"a"), lines("w")]),
    Case(
        "unknown names are ignored",
        [*watching("w", b"a", filters=["FOO"]), put(b"a"), delete(b"a"), lines("w", 2)],
        rows=("watch-1-filters",),
    ),
    Case("an unknown number", [*watching("w", b"a", filters=[5]), put(b"a"), delete(b"a"), lines("w", 2)]),
    Case(
        "history is filtered too",
        [
            put(b"a", b"1"),
            delete(b"a"),
            put(b"a", b"2"),
            *watching("w", b"a", start_revision=Revision(1), filters=["NOPUT"], prev_kv=True),
            told("w", 1),
            delete(b"a"),
            told("w", 1),
        ],
        rows=("watch-3-filters",),
    ),
]

CASES = [*LIVE, *TRANSACTIONS, *PREVIOUS, *FILTERS]
