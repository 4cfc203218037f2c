"""Status, hashes and defragmentation: cluster-maintenance.md sections 3 and 5."""

from collections.abc import Sequence

from tests.e2e.case import ANYTHING, Case, Difference, Expected, Like, Revision, Step
from tests.e2e.rpc import DEFRAGMENT, END, HASH, HASHKV, STATUS, compact, delete, get, get_all, post, put

DEFAULT_QUOTA = "2147483648"
STORE = [put(b"a", b"1"), put(b"b", b"2"), put(b"a", b"3"), delete(b"b")]


def _header(revision: str) -> Expected:
    return {
        "cluster_id": "<cluster_id>",
        "member_id": "<member_id>",
        "revision": revision,
        "raft_term": "<raft_term>",
    }


def status(revision: str, *, errors: Sequence[str] = (), quota: str = DEFAULT_QUOTA) -> Step:
    """Ask for the status at a revision (`+N`), of which 3.6 tells more."""
    body: dict[str, Expected] = {
        "header": _header(revision),
        "version": Like(r"3\.6\.[0-9]+"),
        "dbSize": "<dbSize>",
        "leader": "<member_id>",
        "raftIndex": "<raftIndex>",
        "raftTerm": "<raft_term>",
        "raftAppliedIndex": "<raftAppliedIndex>",
        "dbSizeInUse": "<dbSizeInUse>",
        "storageVersion": "3.6.0",
        "dbSizeQuota": quota,
        "downgradeInfo": {},
    }
    if errors:
        body["errors"] = [*errors]
    return post(STATUS).differs(Difference("3.6 tells more", "cluster-maintenance.md 3", body=body))


def hashkv(
    revision: object,
    *,
    answered_at: str,
    hash_revision: str,
    number: int = 1,
    compact_revision: Expected = "<earlier>",
) -> Step:
    """Ask for the hash of the history up to a revision; `number` counts the different hashes of the case.

    `answered_at` is the current revision and `hash_revision` the one that was hashed, both as `+N`.
    """
    body: Expected = {
        "header": _header(answered_at),
        "hash": f"<hash {number}>",
        "compact_revision": compact_revision,
        "hash_revision": hash_revision,
    }
    why = "3.6 tells which revision was hashed"
    return post(HASHKV, {"revision": revision}).differs(Difference(why, "cluster-maintenance.md 5", body=body))


STATUSES = [
    Case(
        "status of an empty store",
        [status("+0"), status("+0")],
        rows=("http-1-path-status", "cluster-3-fields", "cluster-3-36"),
    ),
    Case("status follows the revision", [status("+0"), put(b"a"), status("+1"), delete(b"a"), status("+2")]),
    Case(
        "status takes any message",
        [
            *[
                Step("POST", STATUS, body, difference=status("+0").difference)
                for body in (None, b"", b" ", b'{"foo":1}', b"{}garbage")
            ],
            post(STATUS, b"null"),
            post(STATUS, b"[]"),
            post(STATUS, b"{"),
        ],
        rows=("http-2-body-empty", "http-2-first-value"),
    ),
    Case("status by other methods", [Step("GET", STATUS), Step("HEAD", STATUS), Step("PUT", STATUS, b"{}")]),
    Case("status after a compaction", [*STORE, compact(Revision(3)), status("+4"), compact(Revision(4)), status("+4")]),
    Case(
        "the size in use is there while the store is emptied",
        [put(b"k", b"v" * 200_000), status("+1"), delete(b"k"), compact(Revision(2), physical=True), status("+2")],
    ),
]

HASHES = [
    Case(
        "hashkv of the current revision",
        [
            *STORE,
            hashkv(0, answered_at="+4", hash_revision="+4"),
            hashkv(Revision(4), answered_at="+4", hash_revision="+4"),
            hashkv("0", answered_at="+4", hash_revision="+4"),
        ],
        rows=("http-1-path-hashkv", "http-2-int32"),
    ),
    Case(
        "hashkv at each revision",
        [
            *STORE,
            *[
                hashkv(Revision(number), answered_at="+4", hash_revision=f"+{number}", number=number)
                for number in range(1, 5)
            ],
            *[
                hashkv(Revision(number), answered_at="+4", hash_revision=f"+{number}", number=number)
                for number in range(1, 5)
            ],
        ],
    ),
    Case(
        "hashkv of the past does not move",
        [
            *STORE,
            hashkv(Revision(2), answered_at="+4", hash_revision="+2"),
            put(b"c"),
            delete(END, END),
            hashkv(Revision(2), answered_at="+6", hash_revision="+2"),
        ],
    ),
    Case(
        "hashkv follows every change",
        [
            step
            for number, change in enumerate((put(b"a"), put(b"a"), put(b"b"), delete(b"a"), put(b"a")), 1)
            for step in (change, hashkv(0, answered_at=f"+{number}", hash_revision=f"+{number}", number=number))
        ],
    ),
    Case(
        "hashkv does not follow reads and refused writes",
        [
            *STORE,
            hashkv(0, answered_at="+4", hash_revision="+4"),
            get_all(),
            put(b""),
            put(b"x", lease=7),
            delete(b"nothing"),
            hashkv(0, answered_at="+4", hash_revision="+4"),
        ],
    ),
    Case(
        "hashkv of a future revision",
        [*STORE, post(HASHKV, {"revision": Revision(5)}), post(HASHKV, {"revision": 2**63 - 1})],
        rows=("http-5-FutureRev",),
    ),
    Case(
        "hashkv below a compaction",
        [
            *STORE,
            compact(Revision(3), physical=True),
            post(HASHKV, {"revision": Revision(2)}),
            post(HASHKV, {"revision": Revision(1)}),
            post(HASHKV, {"revision": 1}),
        ],
        rows=("http-5-Compacted",),
    ),
    Case(
        "hashkv at a compaction",
        [
            *STORE,
            compact(Revision(3), physical=True),
            hashkv(Revision(3), answered_at="+4", hash_revision="+3", compact_revision=ANYTHING),
        ],
    ),
    Case(
        "hashkv above a compaction",
        [
            *STORE,
            compact(Revision(2), physical=True),
            hashkv(Revision(3), answered_at="+4", hash_revision="+3", compact_revision="+2"),
            hashkv(0, answered_at="+4", hash_revision="+4", number=2, compact_revision="+2"),
            hashkv(Revision(3), answered_at="+4", hash_revision="+3", compact_revision="+2"),
        ],
    ),
    Case(
        "hashkv above a compaction that is not waited for",
        [
            *STORE,
            compact(Revision(3)),
            hashkv(Revision(4), answered_at="+4", hash_revision="+4", compact_revision="+3"),
            put(b"c"),
            hashkv(Revision(4), answered_at="+5", hash_revision="+4", compact_revision="+3"),
        ],
    ),
    Case(
        "hashkv of a store never compacted",
        [
            hashkv(0, answered_at="+0", hash_revision="+0", compact_revision="-1"),
            put(b"a"),
            hashkv(0, answered_at="+1", hash_revision="+1", number=2, compact_revision="-1"),
            hashkv(1, answered_at="+1", hash_revision="+0", compact_revision="-1"),
            post(HASHKV, {"revision": 3}),
        ],
        fresh=True,
    ),
    Case(
        "hashkv, malformed",
        [post(HASHKV, b'{"revision":"x"}'), post(HASHKV, b'{"revision":[]}'), post(HASHKV, b"1"), post(HASHKV, b"{")],
    ),
    Case("hashes by other methods", [Step("GET", HASH), Step("GET", HASHKV), Step("DELETE", HASHKV)]),
    Case("hash", [*STORE, post(HASH), post(HASH), post(HASH, None)], rows=("http-1-path-hash", "http-2-int32")),
    Case("hash follows a change", [*STORE, post(HASH), put(b"a"), post(HASH)]),
]

DEFRAGMENTS = [
    Case(
        "defragment",
        [*STORE, post(DEFRAGMENT), post(DEFRAGMENT), get_all(), put(b"c"), get(b"c")],
        rows=("http-1-path-defragment", "http-3-no-header", "kv-1-rev-others"),
    ),
    Case(
        "defragment takes any message", [post(DEFRAGMENT, None), post(DEFRAGMENT, b'{"x":1}'), post(DEFRAGMENT, b"[]")]
    ),
    Case("defragment by other methods", [Step("GET", DEFRAGMENT), Step("HEAD", DEFRAGMENT)]),
    Case(
        "the past is there after a defragmentation",
        [*STORE, post(DEFRAGMENT), *[get_all(revision=Revision(number)) for number in range(5)]],
    ),
    Case(
        "defragment after a compaction",
        [
            *[put(b"k%d" % number, b"v" * 10_000) for number in range(10)],
            delete(b"k", b"l"),
            compact(Revision(11), physical=True),
            post(DEFRAGMENT),
            get_all(),
            get(b"k1", revision=Revision(10)),
            put(b"k1"),
            get(b"k1"),
        ],
    ),
    Case("the hash outlives a defragmentation", [*STORE, post(HASH), post(DEFRAGMENT), post(HASH)]),
]

CASES = [*STATUSES, *HASHES, *DEFRAGMENTS]
