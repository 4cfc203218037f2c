"""Options of a put and the order of its errors: kv.md section 3."""

from tests.e2e.case import Case
from tests.e2e.rpc import PUT, get, post, put

BIG = b"x" * 1572864

OPTIONS = [
    Case("no value", [put(b"k"), get(b"k")], rows=("kv-3-value", "http-2-defaults")),
    Case("an empty value", [put(b"k", b""), get(b"k")], rows=("kv-3-value",)),
    Case("an empty value over another one", [put(b"k", b"v"), put(b"k", b""), get(b"k")], rows=("kv-3-value",)),
    Case("lease 0", [put(b"k", b"v", lease=0), put(b"k", b"v", lease="0"), get(b"k")]),
    Case("prev_kv of a new key", [put(b"k", b"v", prev_kv=True)], rows=("kv-3-prev-kv",)),
    Case(
        "prev_kv of a key",
        [put(b"k", b"v"), put(b"k", b"w", prev_kv=True), put(b"k", prev_kv=True), get(b"k")],
        rows=("kv-3-prev-kv", "kv-3-answer"),
    ),
    Case("prev_kv with an empty value", [put(b"k"), put(b"k", b"w", prev_kv=True)]),
    Case("prev_kv false", [put(b"k", b"v"), put(b"k", b"w", prev_kv=False)]),
    Case(
        "ignore_value keeps the value",
        [put(b"k", b"v"), put(b"k", ignore_value=True), get(b"k")],
        rows=("kv-3-ignore-value",),
    ),
    Case("ignore_value keeps an empty value", [put(b"k"), put(b"k", ignore_value=True), get(b"k")]),
    Case("ignore_value with an empty value given", [put(b"k", b"v"), put(b"k", b"", ignore_value=True), get(b"k")]),
    Case("ignore_lease", [put(b"k", b"v"), put(b"k", b"w", ignore_lease=True), get(b"k")], rows=("kv-3-ignore-lease",)),
    Case("ignore_lease with lease 0", [put(b"k", b"v"), put(b"k", b"w", ignore_lease=True, lease=0), get(b"k")]),
    Case(
        "ignore both",
        [put(b"k", b"v"), put(b"k", ignore_value=True, ignore_lease=True), get(b"k")],
        rows=("kv-3-ignore-both",),
    ),
    Case(
        "ignore both with prev_kv",
        [put(b"k", b"v"), put(b"k", ignore_value=True, ignore_lease=True, prev_kv=True)],
        rows=("kv-3-ignore-both",),
    ),
]

ERRORS = [
    Case("no key", [post(PUT), put(b""), put(b"", b"v")], rows=("kv-3-empty-key", "http-5-EmptyKey", "kv-1-smallest")),
    Case(
        "ignore_value with a value",
        [put(b"k", b"v"), put(b"k", b"w", ignore_value=True), get(b"k")],
        rows=("kv-3-value-provided", "http-5-ValueProvided"),
    ),
    Case(
        "ignore_lease with a lease",
        [put(b"k", b"v"), put(b"k", b"w", ignore_lease=True, lease=1), get(b"k")],
        rows=("kv-3-lease-provided", "http-5-LeaseProvided"),
    ),
    Case(
        "an unknown lease",
        [put(b"k", b"v", lease=12345), get(b"k")],
        rows=("kv-3-lease-unknown", "http-5-LeaseNotFound"),
    ),
    Case("lease -1", [put(b"k", b"v", lease=-1), get(b"k")], rows=("kv-3-lease-unknown",)),
    Case(
        "ignore_value of a missing key",
        [put(b"k", ignore_value=True), get(b"k")],
        rows=("kv-3-key-not-found", "http-5-KeyNotFound"),
    ),
    Case(
        "ignore_lease of a missing key", [put(b"k", b"v", ignore_lease=True), get(b"k")], rows=("kv-3-key-not-found",)
    ),
    Case("ignore both of a missing key", [put(b"k", ignore_value=True, ignore_lease=True), get(b"k")]),
    Case(
        "no key comes first",
        [
            put(b"", b"v", ignore_value=True),
            put(b"", ignore_lease=True, lease=5),
            put(b"", lease=5),
            put(b"", BIG),
        ],
        rows=("kv-3-empty-key",),
    ),
    Case(
        "a value comes before a lease",
        [put(b"k", b"v", ignore_value=True, ignore_lease=True, lease=5)],
        rows=("kv-3-value-provided",),
    ),
    Case(
        "a value comes before the size", [put(b"k", BIG, ignore_value=True)], rows=("kv-3-value-provided", "kv-3-size")
    ),
    Case(
        "a lease comes before the size",
        [put(b"k", BIG, ignore_lease=True, lease=5)],
        rows=("kv-3-lease-provided", "kv-3-size"),
    ),
    Case(
        "the size comes before an unknown lease",
        [put(b"k", BIG, lease=5), get(b"k")],
        rows=("kv-3-size", "http-5-RequestTooLarge"),
    ),
    Case("the size comes before a missing key", [put(b"k", BIG, ignore_lease=True), get(b"k")], rows=("kv-3-size",)),
    Case(
        "an unknown lease comes before a missing key",
        [put(b"k", lease=5, ignore_value=True), get(b"k")],
        rows=("kv-3-lease-unknown", "kv-3-key-not-found"),
    ),
]

CASES = [*OPTIONS, *ERRORS]
