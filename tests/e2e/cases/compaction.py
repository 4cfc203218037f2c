"""Compaction: kv.md section 6."""

from tests.e2e.case import Case, Revision, Step
from tests.e2e.rpc import (
    COMPACTION,
    END,
    check,
    compact,
    delete,
    get,
    get_all,
    op_delete,
    op_get,
    op_put,
    post,
    put,
    txn,
)

# a: +1, +3, gone +5, anew +7; b: +2, +6; c: +4, gone +8.
HISTORY = [
    put(b"a", b"1"),
    put(b"b", b"2"),
    put(b"a", b"3"),
    put(b"c", b"4"),
    delete(b"a"),
    put(b"b", b"6"),
    put(b"a", b"7"),
    delete(b"c"),
]
LAST = len(HISTORY)


def _reads(first: int = 1, **fields: object) -> list[Step]:
    """Read the whole store at every revision from `first` on."""
    return [get_all(revision=Revision(number), **fields) for number in range(first, LAST + 1)]


ERRORS = [
    Case("a future revision", [*HISTORY, compact(Revision(9)), compact(2**63 - 1), *_reads()], rows=("kv-6-future",)),
    Case(
        "the same revision twice",
        [*HISTORY, compact(Revision(4)), compact(Revision(4)), compact(Revision(4), physical=True)],
        rows=("kv-6-again",),
    ),
    Case("a lower revision", [*HISTORY, compact(Revision(4)), compact(Revision(3))], rows=("kv-6-again",)),
    Case(
        "a higher revision",
        [*HISTORY, compact(Revision(4)), compact(Revision(5)), compact(Revision(8)), compact(Revision(8))],
        rows=("kv-6-again",),
    ),
    Case(
        "0 and none on a compacted store",
        [
            *HISTORY,
            compact(Revision(2)),
            compact(0),
            post(COMPACTION),
            compact(0, physical=True),
            post(COMPACTION, None),
        ],
        rows=("kv-6-zero-once",),
    ),
    Case(
        "negative",
        [*HISTORY, compact(Revision(2)), *[compact(number) for number in (-1, -2, -(2**63))]],
        rows=("kv-6-negative",),
    ),
    Case(
        "a refused one changes nothing",
        [*HISTORY, compact(Revision(3)), compact(Revision(2)), compact(Revision(9)), *_reads(3)],
        rows=("kv-6-again", "kv-1-rev-failed"),
    ),
    Case(
        "malformed",
        [
            post(COMPACTION, b'{"revision":"x"}'),
            post(COMPACTION, b'{"revision":1.5}'),
            post(COMPACTION, b'{"revision":9223372036854775808}'),
            post(COMPACTION, b'{"revision":1,"physical":"true"}'),
            post(COMPACTION, b"null"),
            post(COMPACTION, b'{"revision":'),
        ],
        rows=("http-2-int64", "http-2-bool"),
    ),
    Case(
        "other methods",
        [
            Step("GET", COMPACTION),
            Step("PUT", COMPACTION, b"{}"),
            Step("OPTIONS", COMPACTION),
            Step("HEAD", COMPACTION),
        ],
        rows=("http-1-method",),
    ),
]

EFFECTS = [
    Case(
        "the answer",
        [*HISTORY, compact(Revision(4)), put(b"x"), compact(Revision(5)), get(b"x")],
        rows=("kv-6-header", "kv-1-rev-others", "http-1-path-compaction"),
    ),
    Case("to the current revision", [*HISTORY, compact(Revision(8)), *_reads()], rows=("kv-6-current", "kv-6-reads")),
    Case("the newest version is kept", [*HISTORY, compact(Revision(4)), *_reads()], rows=("kv-6-effect", "kv-6-reads")),
    Case("below a delete", [*HISTORY, compact(Revision(3)), *_reads(2)], rows=("kv-6-effect",)),
    Case(
        "at a delete",
        [*HISTORY, compact(Revision(5)), *_reads(4), get(b"a", revision=Revision(5)), get(b"a", revision=Revision(7))],
        rows=("kv-6-tombstone",),
    ),
    Case("above a delete", [*HISTORY, compact(Revision(6)), *_reads(5)], rows=("kv-6-effect",)),
    Case(
        "at a delete that is the last change",
        [*HISTORY, compact(Revision(8)), get(b"c", revision=Revision(8)), get(b"c"), put(b"c", b"new"), get(b"c")],
        rows=("kv-6-tombstone",),
    ),
    Case(
        "between a delete and what follows",
        [put(b"k", b"1"), delete(b"k"), put(b"l"), put(b"k", b"2"), compact(Revision(3)), *_reads()[:4]],
        rows=("kv-6-effect",),
    ),
    Case(
        "one key below, at and above",
        [*HISTORY, compact(Revision(6)), *[get(b"b", revision=Revision(number)) for number in range(5, 9)]],
        rows=("kv-2-compacted", "kv-2-compacted-equal", "http-5-Compacted"),
    ),
    Case(
        "below, counting",
        [*HISTORY, compact(Revision(6)), *_reads(5, count_only=True), *_reads(5, count_only=True, serializable=True)],
        rows=("kv-2-count-errors",),
    ),
    Case(
        "below, of this member alone",
        [*HISTORY, compact(Revision(6)), *_reads(5, serializable=True)],
        rows=("kv-2-count-errors",),
    ),
    Case(
        "below, of a missing key and an empty range",
        [
            *HISTORY,
            compact(Revision(6)),
            get(b"x", revision=Revision(5)),
            get(b"x", revision=Revision(6)),
            get(b"b", b"a", revision=Revision(5)),
        ],
        rows=("kv-2-compacted",),
    ),
    Case(
        "0 and negative revisions are the current one",
        [*HISTORY, compact(Revision(8)), get_all(revision=0), get_all(revision=-1), get_all(revision=-(2**63))],
        rows=("kv-2-revision-zero",),
    ),
    Case(
        "with every option",
        [
            *HISTORY,
            compact(Revision(4)),
            get_all(revision=Revision(4), limit=1),
            get_all(revision=Revision(4), sort_target="VALUE", sort_order="DESCEND"),
            get_all(revision=Revision(4), max_mod_revision=Revision(3)),
            get_all(revision=Revision(4), min_create_revision=Revision(2), limit=1, keys_only=True),
            get_all(revision=Revision(3), limit=1),
        ],
        rows=("kv-6-reads",),
    ),
    Case(
        "versions go on",
        [put(b"k", b"1"), put(b"k", b"2"), compact(Revision(2)), put(b"k", b"3", prev_kv=True), get(b"k")],
        rows=("kv-6-effect",),
    ),
    Case(
        "a key that is gone starts over",
        [put(b"k"), delete(b"k"), compact(Revision(2)), put(b"k", b"1", prev_kv=True), get(b"k"), delete(b"k")],
        rows=("kv-6-effect",),
    ),
    Case(
        "compares and former states after it",
        [
            *HISTORY,
            compact(Revision(8)),
            txn([check(b"b", "CREATE", create_revision=Revision(2)), check(b"a", version=1)], [op_get(b"b")]),
            txn([check(b"c", "CREATE", create_revision=0)], [op_put(b"c", b"x", prev_kv=True)]),
            delete(END, END, prev_kv=True),
        ],
    ),
    Case(
        "changes of one txn stay together",
        [
            txn(success=[op_put(b"a", b"1"), op_put(b"b", b"1")]),
            txn(success=[op_put(b"a", b"2"), op_delete(b"b"), op_put(b"c", b"2")]),
            put(b"a", b"3"),
            compact(Revision(2)),
            get_all(revision=Revision(1)),
            get_all(revision=Revision(2)),
            get_all(revision=Revision(3)),
        ],
        rows=("kv-6-effect",),
    ),
    Case(
        "a key put and deleted in one txn",
        [
            put(b"x", b"0"),
            txn(success=[op_put(b"x", b"1"), op_delete(b"a", END)]),
            put(b"y"),
            compact(Revision(2)),
            get_all(revision=Revision(2)),
            compact(Revision(3)),
            get_all(revision=Revision(3)),
            put(b"x"),
            get(b"x"),
        ],
        rows=("kv-6-tombstone",),
    ),
    Case(
        "of an emptied store",
        [
            *HISTORY,
            delete(END, END),
            compact(Revision(9)),
            get_all(),
            get_all(revision=Revision(9)),
            put(b"a"),
            get(b"a"),
        ],
        rows=("kv-6-current",),
    ),
    Case(
        "many versions",
        [
            *[put(b"k", b"%d" % number) for number in range(50)],
            compact(Revision(25)),
            *[get(b"k", revision=Revision(number)) for number in (24, 25, 26, 50)],
            compact(Revision(50)),
            get(b"k", revision=Revision(49)),
            get(b"k"),
        ],
        rows=("kv-6-effect",),
    ),
    Case(
        "at every revision in turn, each read",
        [
            step
            for number in range(1, LAST + 1)
            for step in (*(HISTORY if number == 1 else ()), compact(Revision(number)), *_reads(max(1, number - 1)))
        ],
        rows=("kv-6-effect", "kv-6-reads", "kv-6-tombstone"),
    ),
    Case(
        "at every revision while it is the current one",
        [
            step
            for number, change in enumerate(HISTORY, 1)
            for step in (change, compact(Revision(number)), get_all(), get_all(revision=Revision(number)))
        ],
        rows=("kv-6-current",),
    ),
]

PHYSICAL = [
    Case(
        "physical",
        [*HISTORY, compact(Revision(4), physical=True), *_reads(3)],
        rows=("kv-6-physical",),
    ),
    Case(
        "physical, in turn",
        [
            step
            for number in range(1, LAST + 1)
            for step in (
                *(HISTORY if number == 1 else ()),
                compact(Revision(number), physical=True),
                *_reads(max(1, number - 1), keys_only=True),
            )
        ],
        rows=("kv-6-physical", "kv-6-tombstone"),
    ),
    Case(
        "physical, refused",
        [
            *HISTORY,
            compact(Revision(9), physical=True),
            compact(Revision(2), physical=True),
            compact(Revision(2), physical=True),
            compact(-1, physical=True),
        ],
        rows=("kv-6-physical", "kv-6-future", "kv-6-again"),
    ),
    Case(
        "physical after one that is not",
        [*HISTORY, compact(Revision(3)), compact(Revision(6), physical=True), compact(Revision(8)), *_reads(7)],
        rows=("kv-6-physical", "kv-6-accepted"),
    ),
    Case(
        "not physical in words", [*HISTORY, compact(Revision(4), physical=False), *_reads(3)], rows=("kv-6-accepted",)
    ),
]

FRESH = [
    Case(
        "0 succeeds once",
        [
            compact(0),
            compact(0),
            post(COMPACTION),
            compact(-1),
            put(b"a"),
            get(b"a", revision=1),
            compact(1),
            compact(1),
        ],
        rows=("kv-6-zero-once", "kv-1-fresh"),
        fresh=True,
    ),
    Case(
        "what is refused before the first one",
        [
            compact(-1),
            compact(-2),
            compact(2),
            get_all(revision=1),
            get_all(revision=2),
            compact(1),
            compact(1),
            compact(0),
            get_all(revision=1),
            put(b"a"),
            get_all(revision=1),
            get_all(revision=2),
        ],
        rows=("kv-6-negative", "kv-6-current", "kv-1-fresh"),
        fresh=True,
    ),
]

CASES = [*ERRORS, *EFFECTS, *PHYSICAL, *FRESH]
