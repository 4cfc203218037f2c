"""Watches from a revision on, past, compacted or to come: watch.md sections 1 to 3."""

from tests.e2e.case import Case, Difference, Expected, Revision
from tests.e2e.rpc import (
    END,
    compact,
    delete,
    op_delete,
    op_put,
    put,
    txn,
)
from tests.e2e.stream_rpc import (
    WATCH,
    close,
    create,
    lines,
    opened,
    silence,
    told,
    watching,
)

FROM_A = (b"a", END)

HEADER: Expected = {
    "cluster_id": "<cluster_id>",
    "member_id": "<member_id>",
    "revision": "+0",
    "raft_term": "<raft_term>",
}
NEGATIVE_START = Difference(
    "3.6 refuses a negative start at once",
    "watch.md 2",
    body=[
        {
            "result": {
                "header": HEADER,
                "watch_id": "-1",
                "created": True,
                "canceled": True,
                "cancel_reason": "etcdserver: mvcc: required revision has been compacted",
            }
        }
    ],
)

STARTS = [
    Case(
        "from the past",
        [
            put(b"a", b"1"),
            put(b"b"),
            put(b"a", b"2"),
            delete(b"a"),
            *watching("w", b"a", start_revision=Revision(1)),
            told("w", 3),
            put(b"a", b"3"),
            lines("w"),
        ],
        rows=("watch-1-start", "watch-3-no-gaps"),
    ),
    Case(
        "from the middle, inclusive",
        [*(put(b"a", b"%d" % n) for n in range(4)), *watching("w", b"a", start_revision=Revision(3)), told("w", 2)],
        rows=("watch-1-start", "watch-3-resumable"),
    ),
    Case(
        "from the current revision",
        [put(b"a", b"1"), put(b"a", b"2"), *watching("w", b"a", start_revision=Revision(2)), told("w", 1)],
        rows=("watch-1-start",),
    ),
    Case(
        "from the next revision",
        [put(b"a", b"1"), *watching("w", b"a", start_revision=Revision(2)), put(b"a", b"2"), lines("w")],
        rows=("watch-3-resumable",),
    ),
    Case(
        "from now on: not what was before",
        [put(b"a", b"1"), *watching("w", b"a", start_revision=0), put(b"a", b"2"), lines("w")],
        rows=("watch-1-start",),
    ),
    Case(
        "from the future",
        [
            *watching("w", b"a", start_revision=Revision(3)),
            put(b"a", b"1"),
            put(b"a", b"2"),
            put(b"a", b"3"),
            lines("w"),
            put(b"a", b"4"),
            lines("w"),
        ],
        rows=("watch-1-start", "watch-3-future"),
    ),
    Case(
        "from the far future",
        [*watching("w", b"a", start_revision=2**62), put(b"a"), silence("w")],
        rows=("watch-3-future",),
    ),
    Case(
        "history of one txn is not taken apart",
        [
            txn(success=[op_put(b"b", b"1"), op_put(b"a", b"2")]),
            put(b"c"),
            txn(success=[op_delete(b"b"), op_put(b"a", b"3")]),
            *watching("w", *FROM_A, start_revision=Revision(1)),
            told("w", 5),
        ],
        rows=("watch-3-ordered",),
    ),
    Case(
        "history of a range in the order of revisions",
        [
            *(put(key, b"%d" % n) for n in range(3) for key in (b"b", b"a", b"c")),
            *watching("w", b"a", b"c", start_revision=Revision(1)),
            told("w", 6),
        ],
        rows=("watch-3-ordered", "watch-3-header"),
    ),
    Case(
        "resumed where another ended",
        [
            *watching("w", b"a"),
            put(b"a", b"1"),
            lines("w"),
            close("w"),
            put(b"a", b"2"),
            put(b"a", b"3"),
            *watching("v", b"a", start_revision=Revision(2)),
            told("v", 2),
        ],
        rows=("watch-3-resumable",),
    ),
    Case(
        "a negative start",
        [opened("w", WATCH, create(b"a", start_revision=-1), create(b"b")), lines("w").differs(NEGATIVE_START)],
        rows=("watch-2-negative",),
    ),
    Case(
        "a fresh store from its first revision",
        [put(b"a", b"1"), *watching("w", b"a", start_revision=1), told("w", 1), put(b"a", b"2"), lines("w")],
        fresh=True,
        rows=("watch-1-start",),
    ),
]

COMPACTED = [
    Case(
        "from a compacted revision",
        [
            put(b"a", b"1"),
            put(b"a", b"2"),
            put(b"a", b"3"),
            compact(Revision(3)),
            opened("w", WATCH, create(b"a", start_revision=Revision(1)), create(b"a")),
            lines("w", 3).in_any_order(),
            put(b"a", b"4"),
            lines("w"),
        ],
        rows=("watch-2-compacted", "watch-2-stream-goes-on"),
    ),
    Case(
        "from revision 1 of a store that was compacted",
        [put(b"a"), compact(Revision(1)), *watching("w", b"a", start_revision=1), lines("w")],
        rows=("watch-2-compacted",),
    ),
    Case(
        "with an id of its own",
        [
            put(b"a"),
            put(b"a"),
            compact(Revision(2)),
            *watching("w", b"a", start_revision=Revision(1), watch_id=9),
            lines("w"),
        ],
        rows=("watch-2-compacted",),
    ),
    Case(
        "its id is free again",
        [
            put(b"a"),
            put(b"a"),
            compact(Revision(2)),
            opened("w", WATCH, create(b"a", start_revision=Revision(1), watch_id=9)),
            lines("w", 2),
            put(b"a"),
            silence("w"),
        ],
    ),
    Case(
        "from the compacted revision itself",
        [
            put(b"a", b"1"),
            put(b"a", b"2"),
            put(b"a", b"3"),
            compact(Revision(2)),
            *watching("w", b"a", start_revision=Revision(2)),
            told("w", 2),
        ],
        rows=("watch-2-compacted-equal",),
    ),
    Case(
        "a delete at the compacted revision",
        [
            put(b"a", b"1"),
            delete(b"a"),
            put(b"b"),
            compact(Revision(2), physical=True),
            *watching("w", *FROM_A, start_revision=Revision(2)),
            told("w", 2),
        ],
        rows=("kv-6-tombstone-watch", "watch-2-compacted-equal"),
    ),
    Case(
        "a compaction does not touch those who have caught up",
        [
            *watching("w", b"a"),
            put(b"a", b"1"),
            lines("w"),
            put(b"b"),
            compact(Revision(2)),
            put(b"a", b"2"),
            lines("w"),
        ],
    ),
    Case(
        "a compaction does not touch those who wait for the future",
        [
            *watching("w", b"a", start_revision=Revision(4)),
            put(b"a"),
            put(b"a"),
            compact(Revision(2)),
            put(b"a"),
            put(b"a", b"4"),
            lines("w"),
        ],
    ),
]

CASES = [*STARTS, *COMPACTED]
