"""Compares of a txn: kv.md section 5.2. Several compares share a case, one txn each: `succeeded` tells them apart."""

from collections.abc import Sequence

from tests.e2e.case import Case, Revision, Step
from tests.e2e.rpc import END, Op, check, put, txn

RESULTS = ("EQUAL", "GREATER", "LESS", "NOT_EQUAL")

# k: created at +1, changed at +3, version 2, value m. The keys below n/ share versions but not values.
STORE = [
    put(b"k", b"a"),
    put(b"other"),
    put(b"k", b"m"),
    put(b"n/1", b"x"),
    put(b"n/2", b"y"),
    put(b"empty"),
]


def _each(compares: Sequence[Op]) -> list[Step]:
    return [txn([compare]) for compare in compares]


def _results(key: bytes, target: object, name: str, *values: object) -> list[Step]:
    return _each([check(key, target, result, **{name: value}) for value in values for result in RESULTS])


CASES = [
    Case("version", [*STORE, *_results(b"k", "VERSION", "version", 1, 2, 3)], rows=("kv-5.2-left",)),
    Case(
        "create_revision",
        [*STORE, *_results(b"k", "CREATE", "create_revision", Revision(0), Revision(1), Revision(2))],
        rows=("kv-5.2-left",),
    ),
    Case(
        "mod_revision",
        [*STORE, *_results(b"k", "MOD", "mod_revision", Revision(2), Revision(3), Revision(4))],
        rows=("kv-5.2-left",),
    ),
    Case("value", [*STORE, *_results(b"k", "VALUE", "value", b"l", b"m", b"n")], rows=("kv-5.2-left",)),
    Case("value is bytes", [*STORE, *_results(b"k", "VALUE", "value", b"", b"m\0", b"\xff", b"M")]),
    Case("lease", [*STORE, *_results(b"k", "LEASE", "lease", -1, 0, 1)], rows=("kv-5.2-left",)),
    Case("an empty value", [*STORE, *_results(b"empty", "VALUE", "value", b"", b"a")]),
    Case(
        "negative numbers",
        [*STORE, *_results(b"k", "VERSION", "version", -1), *_results(b"x", "MOD", "mod_revision", -1)],
    ),
    Case(
        "missing key: version", [*STORE, *_results(b"x", "VERSION", "version", 0, 1)], rows=("kv-5.2-missing-number",)
    ),
    Case(
        "missing key: create_revision",
        [*STORE, *_results(b"x", "CREATE", "create_revision", 0, 1)],
        rows=("kv-5.2-missing-number",),
    ),
    Case(
        "missing key: mod_revision",
        [*STORE, *_results(b"x", "MOD", "mod_revision", 0, 1)],
        rows=("kv-5.2-missing-number",),
    ),
    Case("missing key: lease", [*STORE, *_results(b"x", "LEASE", "lease", 0, 1)], rows=("kv-5.2-missing-number",)),
    Case(
        "missing key: value never holds",
        [*STORE, *_results(b"x", "VALUE", "value", b"", b"a")],
        rows=("kv-5.2-missing-value",),
    ),
    Case(
        "range: holds for every key",
        [
            *STORE,
            *_each([check(b"n/", "VERSION", result, version=1, range_end=b"n0") for result in RESULTS]),
        ],
        rows=("kv-5.2-range",),
    ),
    Case(
        "range: one key breaks it",
        [*STORE, *_each([check(b"n/", "VALUE", result, value=b"x", range_end=b"n0") for result in RESULTS])],
        rows=("kv-5.2-range",),
    ),
    Case(
        "range: no end",
        [
            *STORE,
            *_each(
                [
                    check(b"k", "VERSION", "GREATER", version=0, range_end=END),
                    check(b"k", "VERSION", "EQUAL", version=1, range_end=END),
                    check(b"n", "VERSION", "EQUAL", version=1, range_end=END),
                    check(END, "CREATE", "GREATER", create_revision=0, range_end=END),
                ]
            ),
        ],
    ),
    Case(
        "range: empty is like a missing key",
        [
            *STORE,
            *_each(
                [
                    check(b"x", "VERSION", "EQUAL", version=0, range_end=b"z"),
                    check(b"x", "VERSION", "GREATER", version=0, range_end=b"z"),
                    check(b"x", "VERSION", "NOT_EQUAL", version=1, range_end=b"z"),
                    check(b"x", "VALUE", "EQUAL", value=b"", range_end=b"z"),
                    check(b"x", "VALUE", "NOT_EQUAL", value=b"a", range_end=b"z"),
                ]
            ),
        ],
        rows=("kv-5.2-range",),
    ),
    Case(
        "range: end not after key",
        [
            *STORE,
            *_each(
                [
                    check(b"k", "VERSION", "EQUAL", version=2, range_end=b"k"),
                    check(b"k", "VERSION", "EQUAL", version=0, range_end=b"k"),
                    check(b"k", "VERSION", "EQUAL", version=0, range_end=b"a"),
                    check(b"k", "VALUE", "NOT_EQUAL", value=b"q", range_end=b"a"),
                ]
            ),
        ],
    ),
    Case("range: empty end is one key", [*STORE, *_each([check(b"k", "VALUE", value=b"m", range_end=b"")])]),
    Case(
        "the value of another target counts as nothing",
        [
            *STORE,
            *_each(
                [
                    check(b"k", "MOD", "EQUAL", version=3),
                    check(b"k", "MOD", "GREATER", version=1000),
                    check(b"x", "MOD", "EQUAL", version=1000),
                    check(b"k", "VALUE", "EQUAL", version=2),
                    check(b"empty", "VALUE", "EQUAL", version=2),
                    check(b"k", "VERSION", "EQUAL", value=b"m"),
                    check(b"k", "LEASE", "EQUAL", version=7),
                ]
            ),
        ],
        rows=("kv-5.2-other-field",),
    ),
    Case(
        "no value at all",
        [
            *STORE,
            *_each(
                [
                    check(b"k", "MOD", "GREATER"),
                    check(b"k", "CREATE", "EQUAL"),
                    check(b"k", "VALUE", "GREATER"),
                    check(b"empty", "VALUE", "EQUAL"),
                    check(b"empty", "VALUE"),
                    check(b"k", "LEASE"),
                    check(b"x", "MOD"),
                ]
            ),
        ],
        rows=("kv-5.2-no-value",),
    ),
    Case("a key alone", [*STORE, *_each([check(b"k"), check(b"x")])], rows=("kv-5.2-key-alone",)),
    Case(
        "defaults are VERSION and EQUAL",
        [
            *STORE,
            *_each(
                [
                    check(b"k", version=2),
                    check(b"k", version=1),
                    check(b"k", None, "LESS", version=3),
                    check(b"k", "CREATE", create_revision=Revision(1)),
                ]
            ),
        ],
    ),
    Case(
        "unknown target",
        [
            *STORE,
            *_each([check(b"k", 99, result, version=7) for result in RESULTS]),
            *_each([check(b"x", 99, result, version=7) for result in RESULTS]),
        ],
        rows=("kv-5.2-unknown-target",),
    ),
    Case("unknown target of a range", [*STORE, *_each([check(b"n/", -1, r, range_end=b"n0") for r in RESULTS])]),
    Case(
        "unknown result",
        [
            *STORE,
            *_each(
                [
                    check(b"k", "VERSION", 99, version=7),
                    check(b"k", "VERSION", -1, version=2),
                    check(b"k", "VALUE", 99, value=b"q"),
                    check(b"x", "VERSION", 99, version=7),
                    check(b"x", "VALUE", 99, value=b"q"),
                    check(b"k", 99, 99),
                ]
            ),
        ],
        rows=("kv-5.2-unknown-result",),
    ),
    Case(
        "numbers of targets and results",
        [
            *STORE,
            *_each(
                [
                    check(b"k", 0, 0, version=2),
                    check(b"k", 1, 1, create_revision=Revision(0)),
                    check(b"k", 2, 2, mod_revision=Revision(4)),
                    check(b"k", 3, 3, value=b"q"),
                    check(b"k", 4, 0, lease=0),
                ]
            ),
        ],
        rows=("kv-5.2-enums",),
    ),
    Case(
        "unknown names count as the default",
        [
            *STORE,
            *_each(
                [
                    check(b"k", "version", "EQUAL", version=2),
                    check(b"k", "VERSION", "greater", version=2),
                    check(b"k", "2", "1", version=2),
                ]
            ),
        ],
    ),
    Case(
        "zero given in words",
        [
            *STORE,
            *_each([check(b"x", "CREATE", "EQUAL", create_revision="0"), check(b"k", "VERSION", "EQUAL", version="2")]),
        ],
    ),
    Case(
        "a good and a bad compare",
        [*STORE, txn([check(b"k", version=2), check(b"x", version=1)]), txn([check(b"x"), check(b"k", version=2)])],
    ),
]
