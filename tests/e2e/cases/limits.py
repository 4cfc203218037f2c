"""How large a request may be: http.md section 7."""

from tests.e2e.case import Case, Difference, Expected, Like, refused
from tests.e2e.rpc import check, delete, get, get_all, op_get, op_put, put, txn

# The largest value under a key of three bytes that every member of etcd takes, and the smallest that none takes:
# between them it depends on the member's id.
SURE = 1572830
NEVER = 1572845
SMALL = ("--max-request-bytes=2000",)

TOO_LARGE = "etcdserver: request is too large"
STORED: dict[str, Expected] = {
    "header": {"cluster_id": "<cluster_id>", "member_id": "<member_id>", "revision": "+1", "raft_term": "<raft_term>"}
}
EXACT = "etcd's own bound moves by a byte with the member's id"


def _message(limit: int) -> Difference:
    text = Like(rf"grpc: received message larger than max \([0-9]+ vs\. {limit}\)")
    return refused("raftgate has no protobuf message to measure", "http.md 7", 429, 8, text)


CASES = [
    Case("a value within the limit", [put(b"key", b"v" * SURE), get(b"key")], rows=("http-7-request",)),
    Case(
        "a value over the limit",
        [put(b"key", b"v" * NEVER), get(b"key")],
        rows=("http-7-request", "http-5-RequestTooLarge"),
    ),
    Case(
        "the last value that passes",
        [put(b"key", b"v" * 1572837).never_to_etcd(Difference(EXACT, "http.md 7", 200, body=STORED))],
        rows=("http-7-overhead",),
    ),
    Case(
        "the first value that does not",
        [put(b"key", b"v" * 1572838).never_to_etcd(refused(EXACT, "http.md 7", 400, 3, TOO_LARGE)), get(b"key")],
        rows=("http-7-overhead",),
    ),
    Case("the key counts", [put(b"k" * 1000, b"v" * (SURE - 997)), put(b"k" * 1000, b"v" * (NEVER - 997))]),
    Case("a large key", [put(b"k" * 1_600_000), get_all(count_only=True)]),
    Case(
        "both branches count",
        [txn([], [op_put(b"a", b"v" * 800_000)], [op_put(b"b", b"v" * 800_000)]), get_all(count_only=True)],
        rows=("http-7-overhead",),
    ),
    Case(
        "all operations count",
        [txn(success=[op_put(b"a", b"v" * 800_000), op_put(b"b", b"v" * 800_000)]), get_all(count_only=True)],
    ),
    Case(
        "a txn within the limit",
        [txn([], [op_put(b"a", b"v" * 700_000), op_put(b"b", b"v" * 700_000)]), get_all(count_only=True)],
    ),
    Case("compares count", [txn([check(b"k" * 1_600_000)], [op_put(b"a")]), get_all(count_only=True)]),
    Case(
        "reads do not",
        [get(b"k" * 1_600_000), get(b"a", b"k" * 1_600_000), txn([check(b"k" * 1_600_000)], [op_get(b"a")])],
        rows=("http-7-reads",),
    ),
    Case("a delete does", [delete(b"k" * 1_600_000), delete(b"a", b"k" * 1_600_000)]),
    Case(
        "a message over the limit",
        [put(b"key", b"v" * 2_097_300).differs(_message(2097152)), get(b"key")],
        rows=("http-7-message",),
    ),
    Case("a read over the limit", [get(b"k" * 2_097_300).differs(_message(2097152))]),
    Case(
        "a large answer",
        [*[put(b"big%d" % number, b"%d" % number * 1_000_000) for number in range(8)], get_all()],
        rows=("http-7-response",),
    ),
    Case(
        "--max-request-bytes",
        [put(b"key", b"v" * 1900), put(b"key", b"v" * 2000), put(b"key", b"v" * 100_000), get(b"key")],
        SMALL,
        rows=("http-7-request",),
    ),
    Case(
        "--max-request-bytes moves the limit of a message",
        [put(b"key", b"v" * 520_000), put(b"key", b"v" * 526_500).differs(_message(526288)), get(b"key")],
        SMALL,
        rows=("http-7-message",),
    ),
]
