"""DeleteRange: kv.md section 4."""

from tests.e2e.case import Case
from tests.e2e.rpc import DELETE_RANGE, END, delete, get, get_all, post, put

STORE = [put(b"b", b"1"), put(b"c", b"2"), put(b"a", b"0"), put(b"ab", b"9"), put(b"d")]

CASES = [
    Case(
        "one key",
        [*STORE, delete(b"a"), get(b"a"), get_all(keys_only=True)],
        rows=("kv-4-deleted", "http-1-path-deleterange"),
    ),
    Case("one key with its former state", [*STORE, put(b"a", b"7"), delete(b"a", prev_kv=True), get(b"a")]),
    Case(
        "a missing key",
        [*STORE, delete(b"x"), delete(b"x", prev_kv=True), get_all(count_only=True)],
        rows=("kv-4-deleted",),
    ),
    Case("a key twice", [*STORE, delete(b"a"), delete(b"a"), get_all(count_only=True)]),
    Case(
        "a range",
        [*STORE, delete(b"ab", b"c"), get_all(keys_only=True)],
        rows=("kv-4-one-revision", "kv-1-range-interval"),
    ),
    Case(
        "a range with its former state",
        [*STORE, delete(b"ab", b"d", prev_kv=True), get_all(keys_only=True)],
        rows=("kv-4-prev-kvs",),
    ),
    Case("a prefix", [*STORE, delete(b"a", b"b", prev_kv=True), get_all(keys_only=True)]),
    Case("no end", [*STORE, delete(b"b", END), get_all(keys_only=True)], rows=("kv-1-range-no-end",)),
    Case(
        "the whole store",
        [*STORE, delete(END, END, prev_kv=True), get_all()],
        rows=("kv-4-prev-kvs", "kv-4-one-revision", "kv-1-range-all"),
    ),
    Case("the whole store twice", [*STORE, delete(END, END), delete(END, END, prev_kv=True), get_all()]),
    Case("empty end is one key", [*STORE, delete(b"a", b""), get_all(keys_only=True)], rows=("kv-1-range-key",)),
    Case("end equals key", [*STORE, delete(b"b", b"b"), get_all(count_only=True)], rows=("kv-1-range-inverted",)),
    Case("end before key", [*STORE, delete(b"c", b"a"), get_all(count_only=True)], rows=("kv-1-range-inverted",)),
    Case("an empty range", [*STORE, delete(b"e", b"f", prev_kv=True), get_all(count_only=True)]),
    Case(
        "no key",
        [*STORE, post(DELETE_RANGE), delete(b""), delete(b"", b"z"), delete(b"", END), get_all(count_only=True)],
        rows=("kv-4-empty-key", "http-5-EmptyKey"),
    ),
    Case("former state with empty values", [*STORE, delete(b"d", prev_kv=True)]),
    Case(
        "deleted and put again",
        [*STORE, delete(b"a"), put(b"a", prev_kv=True), delete(b"a", prev_kv=True), get(b"a")],
        rows=("kv-1-tombstone",),
    ),
]
