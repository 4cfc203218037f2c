"""Which keys a range covers, and when the store revision moves: kv.md section 1."""

from tests.e2e.case import Case
from tests.e2e.rpc import END, check, delete, get, get_all, op_delete, op_get, op_put, put, txn

# Written in another order than their own.
LETTERS = [put(b"b", b"1"), put(b"c", b"2"), put(b"a", b"0"), put(b"ab", b"9"), put(b"d", b"")]

BYTES = [put(b"\xff"), put(b"\0"), put(b"\x7f"), put(b"\x80"), put(b"\xff\xff"), put(b"\xff\0"), put(b"a\0"), put(b"a")]

COVERED = [
    Case("one key, absent end", [*LETTERS, get(b"a")], rows=("kv-1-range-key",)),
    Case("one key, empty end", [*LETTERS, get(b"a", b"")], rows=("kv-1-range-key",)),
    Case(
        "one key that is a prefix of another", [*LETTERS, get(b"ab"), get(b"a")], rows=("kv-1-range-key", "kv-1-order")
    ),
    Case("a missing key", [*LETTERS, get(b"aa")], rows=("kv-2-miss",)),
    Case("a missing key in an empty store", [get(b"a"), get_all()], rows=("kv-2-miss",)),
    Case("no end", [*LETTERS, get(b"b", END)], rows=("kv-1-range-no-end",)),
    Case("no end from a key that is missing", [*LETTERS, get(b"bb", END)]),
    Case("no end past the last key", [*LETTERS, get(b"e", END)], rows=("kv-1-range-no-end", "kv-2-miss")),
    Case("the whole store", [*LETTERS, get_all()], rows=("kv-1-range-all", "http-1-path-range")),
    Case("from the smallest key to an end", [*LETTERS, get(b"\0", b"b")]),
    Case("the end is left out", [*LETTERS, get(b"a", b"c")], rows=("kv-1-range-interval",)),
    Case("a prefix", [*LETTERS, get(b"a", b"b")], rows=("kv-1-range-interval",)),
    Case("neither bound exists", [*LETTERS, get(b"aa", b"cc")]),
    Case("end equals key", [*LETTERS, get(b"b", b"b")], rows=("kv-1-range-inverted",)),
    Case("end before key", [*LETTERS, get(b"c", b"a")], rows=("kv-1-range-inverted",)),
    Case("end is a longer form of key", [*LETTERS, get(b"a", b"a\0"), get(b"a", b"ab")]),
    Case("bytes are unsigned", [*BYTES, get_all()], rows=("kv-1-order",)),
    Case("the smallest key", [*BYTES, get(b"\0"), get(b"\0", b"\0\0"), get(b"\0", b"\x01")], rows=("kv-1-smallest",)),
    Case(
        "a prefix that ends in 0xff",
        [*BYTES, get(b"\xff", END), get(b"\xff\xff", END), get(b"a\xff", b"b")],
        rows=("kv-1-range-interval",),
    ),
    Case("end of two zero bytes is an end", [*BYTES, get(b"\0", b"\0\0"), get(b"a", b"\0\0")]),
    Case("a long key", [put(b"k" * 3000, b"v"), get(b"k" * 3000), get(b"k" * 2999), get(b"k" * 2999, END)]),
    Case("a key is not text", [put(b"\xc3\x28\n\0'\"", b"\xff\xfe"), get(b"\xc3\x28\n\0'\""), get_all()]),
]

KEY_VALUE = [
    Case(
        "put on an absent key", [put(b"k", b"v"), get(b"k")], rows=("kv-1-put-absent", "http-1-path-put", "kv-3-answer")
    ),
    Case(
        "put on an existing key",
        [put(b"k", b"v"), put(b"other"), put(b"k", b"w"), get(b"k")],
        rows=("kv-1-put-existing",),
    ),
    Case(
        "put of the same value",
        [put(b"k", b"v"), put(b"k", b"v"), put(b"k", b"v"), get(b"k")],
        rows=("kv-1-put-existing", "kv-1-rev-put"),
    ),
    Case(
        "a delete starts a key over",
        [put(b"k", b"v"), put(b"k", b"w"), delete(b"k"), put(b"k", b"x"), get(b"k")],
        rows=("kv-1-tombstone",),
    ),
    Case("a value of any bytes", [put(b"k", bytes(range(256))), get(b"k")]),
]

REVISIONS = [
    Case(
        "a put moves the revision",
        [put(b"k", b"v"), get(b"k"), put(b"k", b"v"), get(b"k")],
        rows=("kv-1-rev-put", "http-3-which-revision", "http-3-identity", "http-3-revision"),
    ),
    Case(
        "a delete that removed something moves the revision",
        [put(b"k"), delete(b"k"), get(b"k")],
        rows=("kv-1-rev-delete",),
    ),
    Case(
        "a delete of many keys moves the revision by one",
        [*LETTERS, delete(b"a", b"c"), get_all()],
        rows=("kv-1-rev-delete", "kv-1-one-step"),
    ),
    Case(
        "a delete that removed nothing does not",
        [put(b"k"), delete(b"x"), delete(b"x", END), get(b"k")],
        rows=("kv-1-rev-delete-nothing",),
    ),
    Case("a read does not", [put(b"k"), get(b"k"), get_all(), get(b"x"), get(b"k")]),
    Case(
        "a txn of several puts moves it by one",
        [txn(success=[op_put(b"a"), op_put(b"b"), op_put(b"c")]), get_all()],
        rows=("kv-1-rev-txn", "kv-1-one-step"),
    ),
    Case(
        "a txn that deletes something moves it",
        [*LETTERS, txn(success=[op_delete(b"a"), op_delete(b"x"), op_delete(b"b", b"d")]), get_all()],
        rows=("kv-1-rev-txn",),
    ),
    Case(
        "an empty txn does not",
        [put(b"k"), txn(), txn(compare=[], success=[], failure=[]), get(b"k")],
        rows=("kv-1-rev-txn-none",),
    ),
    Case(
        "a txn of reads does not",
        [put(b"k"), txn(success=[op_get(b"k"), op_get(b"x")]), get(b"k")],
        rows=("kv-1-rev-txn-none",),
    ),
    Case(
        "writes in the branch not taken do not",
        [put(b"k"), txn([check(b"k", version=5)], [op_put(b"k")], [op_get(b"k")]), get(b"k")],
        rows=("kv-1-rev-txn-none",),
    ),
    Case(
        "a txn that deletes nothing does not",
        [put(b"k"), txn(success=[op_delete(b"x"), op_delete(b"y")]), get(b"k")],
        rows=("kv-1-rev-txn-none",),
    ),
    Case(
        "put and delete of one key in a txn moves it by one",
        [txn(success=[op_put(b"x", b"1"), op_delete(b"a", END)]), get_all(), put(b"x"), get(b"x")],
        rows=("kv-1-rev-put-delete",),
    ),
    Case(
        "a failed request does not",
        [
            put(b"k"),
            put(b""),
            put(b"new", ignore_value=True),
            put(b"new", lease=77),
            delete(b""),
            txn(success=[op_put(b"a"), op_put(b"b", lease=77)]),
            txn(success=[op_put(b"a"), op_put(b"a")]),
            get_all(),
        ],
        rows=("kv-1-rev-failed",),
    ),
]

CASES = [*COVERED, *KEY_VALUE, *REVISIONS]
