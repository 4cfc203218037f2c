"""Reads of the past inside a txn, and the pre-check of explicit revisions: kv.md sections 5.5 and 5.6."""

from tests.e2e.case import Case, Revision
from tests.e2e.rpc import END, check, compact, delete, get, get_all, op_delete, op_get, op_put, op_txn, put, txn

# a: +1, +3, gone +4, anew +5; b: +2.
HISTORY = [put(b"a", b"1"), put(b"b", b"2"), put(b"a", b"3"), delete(b"a"), put(b"a", b"5")]
NEVER = [check(b"nothing", version=1)]
FUTURE = Revision(6)  # what the txn itself would make

READS = [
    Case(
        "one key at each revision",
        [*HISTORY, txn(success=[op_get(b"a", revision=Revision(number)) for number in range(6)])],
        rows=("kv-5.6-read-only",),
    ),
    Case(
        "the whole store at each revision",
        [*HISTORY, txn(success=[op_get(END, END, revision=Revision(number)) for number in range(6)])],
        rows=("kv-5.6-read-only",),
    ),
    Case(
        "in the branch of failure",
        [*HISTORY, txn(NEVER, [op_get(b"a")], [op_get(b"a", revision=Revision(1)), op_get(b"a")])],
    ),
    Case(
        "all serializable",
        [*HISTORY, txn(success=[op_get(b"a", revision=Revision(number), serializable=True) for number in (1, 3, 4)])],
        rows=("kv-5.6-serializable",),
    ),
    Case(
        "with options",
        [
            *HISTORY,
            txn(
                success=[
                    op_get(END, END, revision=Revision(3), limit=1),
                    op_get(END, END, revision=Revision(3), count_only=True),
                    op_get(END, END, revision=Revision(3), keys_only=True, sort_order="DESCEND"),
                    op_get(END, END, revision=Revision(3), sort_target="VALUE", limit=1),
                    op_get(END, END, revision=Revision(3), min_mod_revision=Revision(3)),
                    op_get(b"x", revision=Revision(3)),
                    op_get(b"b", b"a", revision=Revision(3)),
                ]
            ),
        ],
    ),
    Case(
        "beside compares of the present",
        [*HISTORY, txn([check(b"a", "VALUE", value=b"5")], [op_get(b"a", revision=Revision(1))], [op_get(b"b")])],
    ),
    Case(
        "revision 0 and the current one by its number",
        [*HISTORY, txn(success=[op_get(b"a", revision=0), op_get(b"a", revision=Revision(5))])],
    ),
]

WRITES = [
    Case(
        "the past before and after a put",
        [
            *HISTORY,
            txn(
                success=[
                    op_get(b"a", revision=Revision(3)),
                    op_put(b"a", b"6"),
                    op_get(b"a", revision=Revision(3)),
                    op_get(b"a"),
                ]
            ),
            get(b"a"),
        ],
        rows=("kv-5.1-sub-headers",),
    ),
    Case(
        "the revision before the txn after a put",
        [*HISTORY, txn(success=[op_put(b"a", b"6"), op_get(b"a", revision=Revision(5)), op_get(b"a", revision=0)])],
        rows=("kv-5.5-own-revision",),
    ),
    Case(
        "the revision before the txn after a delete",
        [*HISTORY, txn(success=[op_delete(b"a"), op_get(b"a", revision=Revision(5)), op_get(b"a")]), get(b"a")],
    ),
    Case(
        "a range at the revision before the txn",
        [
            *HISTORY,
            txn(success=[op_put(b"c"), op_delete(b"b"), op_get(END, END, revision=Revision(5)), op_get(END, END)]),
        ],
    ),
    Case(
        "the past of a key that the txn makes",
        [*HISTORY, txn(success=[op_put(b"x"), op_get(b"x", revision=Revision(5)), op_get(b"x", revision=Revision(1))])],
    ),
    Case(
        "further down",
        [
            *HISTORY,
            txn(
                success=[
                    op_put(b"c"),
                    op_txn(
                        success=[op_get(b"a", revision=Revision(1)), op_put(b"d"), op_get(b"a", revision=Revision(4))]
                    ),
                ]
            ),
            get_all(),
        ],
        rows=("kv-5.1-nested-header",),
    ),
    Case(
        "a delete that removes nothing beside the past",
        [*HISTORY, txn(success=[op_delete(b"x"), op_get(b"a", revision=Revision(1))]), get(b"b")],
        rows=("kv-1-rev-txn-none",),
    ),
    Case(
        "counted after writes",
        [
            *HISTORY,
            txn(success=[op_delete(END, END), op_get(END, END, revision=Revision(5), count_only=True)]),
            txn(success=[op_put(b"z"), op_get(END, END, revision=Revision(5), limit=1)]),
        ],
    ),
]

FUTURE_CHECKS = [
    Case(
        "the revision that the txn will make",
        [*HISTORY, txn(success=[op_put(b"a"), op_get(b"a", revision=FUTURE)]), get(b"a")],
        rows=("kv-5.5-future", "kv-5.5-own-revision"),
    ),
    Case(
        "a future revision before a put",
        [*HISTORY, txn(success=[op_get(b"a", revision=FUTURE), op_put(b"a")]), get(b"a")],
        rows=("kv-5.5-future", "kv-5.1-pre-check"),
    ),
    Case(
        "a future revision of a read-only txn",
        [
            *HISTORY,
            txn(success=[op_get(b"a", revision=FUTURE, serializable=True)]),
            txn(NEVER, [], [op_get(b"a", revision=FUTURE)]),
        ],
        rows=("kv-5.5-future",),
    ),
    Case(
        "a future revision in the branch not taken",
        [*HISTORY, txn(NEVER, [op_get(b"a", revision=FUTURE)], [op_get(b"b")])],
        rows=("kv-5.5-not-taken",),
    ),
    Case(
        "a future revision of a nested read",
        [*HISTORY, txn(success=[op_txn(success=[op_get(b"a", revision=FUTURE)]), op_put(b"c")]), get_all()],
        rows=("kv-5.5-future",),
    ),
    Case(
        "a future revision of a nested branch not taken",
        [*HISTORY, txn(success=[op_txn(NEVER, [op_get(b"a", revision=FUTURE)], [op_get(b"b", revision=Revision(2))])])],
        rows=("kv-5.5-not-taken",),
    ),
]

COMPACTED = [*HISTORY, compact(Revision(3))]

COMPACTED_CHECKS = [
    Case(
        "below the compacted revision",
        [*COMPACTED, txn(success=[op_get(b"a", revision=Revision(2))])],
        rows=("kv-5.5-compacted",),
    ),
    Case(
        "below the compacted revision, serializable",
        [*COMPACTED, txn(success=[op_get(b"a", revision=Revision(2), serializable=True)])],
        rows=("kv-5.5-compacted",),
    ),
    Case(
        "at the compacted revision and above",
        [*COMPACTED, txn(success=[op_get(END, END, revision=Revision(number)) for number in (3, 4, 5)])],
        rows=("kv-5.5-compacted",),
    ),
    Case(
        "below the compacted revision beside a put",
        [*COMPACTED, txn(success=[op_put(b"c"), op_get(b"a", revision=Revision(2))]), get_all()],
        rows=("kv-5.5-compacted", "kv-5.1-pre-check"),
    ),
    Case(
        "at the compacted revision beside a put",
        [*COMPACTED, txn(success=[op_put(b"a", b"6"), op_get(b"a", revision=Revision(3))]), get(b"a")],
        rows=("kv-5.5-compacted",),
    ),
    Case(
        "below the compacted revision further down",
        [*COMPACTED, txn(success=[op_put(b"c"), op_txn(success=[op_get(b"a", revision=Revision(1))])]), get_all()],
        rows=("kv-5.5-compacted",),
    ),
    Case(
        "below the compacted revision in the branch not taken",
        [*COMPACTED, txn(NEVER, [op_get(b"a", revision=Revision(1))], [op_put(b"c")]), get(b"c")],
        rows=("kv-5.5-not-taken",),
    ),
    Case(
        "negative revisions of a compacted store",
        [
            *COMPACTED,
            *[txn(success=[op_get(b"a", revision=number)]) for number in (-1, -2, -(2**63))],
            get(b"a", revision=-1),
        ],
        rows=("kv-5.5-negative", "kv-2-revision-zero"),
    ),
    Case(
        "negative revisions beside a put",
        [*COMPACTED, *[txn(success=[op_put(b"c"), op_get(b"a", revision=number)]) for number in (-1, -2)], get_all()],
        rows=("kv-5.5-negative",),
    ),
    Case(
        "the first bad read answers",
        [
            *COMPACTED,
            txn(success=[op_get(b"a", revision=FUTURE), op_get(b"a", revision=Revision(1))]),
            txn(success=[op_get(b"a", revision=Revision(1)), op_get(b"a", revision=FUTURE)]),
            txn(success=[op_get(b"a", revision=Revision(1)), op_put(b"b", lease=7)]),
            txn(success=[op_put(b"b", lease=7), op_get(b"a", revision=Revision(1))]),
        ],
        rows=("kv-5.5-compacted", "kv-5.5-future"),
    ),
    Case(
        "a missing key below the compacted revision",
        [*COMPACTED, txn(success=[op_get(b"x", revision=Revision(1))]), txn(success=[op_get(b"b", b"a", revision=-5)])],
        rows=("kv-5.5-compacted",),
    ),
]

NEVER_COMPACTED = [
    Case(
        "-1 on a store never compacted",
        [
            put(b"a", b"1"),
            put(b"a", b"2"),
            txn(success=[op_get(b"a", revision=-1)]),
            txn(success=[op_put(b"a", b"3"), op_get(b"a", revision=-1)]),
            txn(success=[op_txn(success=[op_get(b"a", revision=-1)])]),
            txn(success=[op_get(b"a", revision=-2)]),
            txn(success=[op_put(b"a", b"4"), op_get(b"a", revision=-2)]),
            txn(success=[op_get(b"a", revision=1)]),
            compact(0),
            txn(success=[op_get(b"a", revision=-1)]),
            txn(success=[op_get(b"a", revision=1)]),
            txn(success=[op_get(b"a", revision=0)]),
        ],
        rows=("kv-5.5-minus-one", "kv-5.5-negative"),
        fresh=True,
    ),
]

CASES = [*READS, *WRITES, *FUTURE_CHECKS, *COMPACTED_CHECKS, *NEVER_COMPACTED]
