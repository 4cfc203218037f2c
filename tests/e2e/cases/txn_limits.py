"""How many operations a txn may hold: kv.md section 5.3."""

from collections.abc import Sequence

from tests.e2e.case import Case
from tests.e2e.rpc import Op, check, get_all, op_get, op_put, op_txn, put, txn

LIMIT = 128
FEW = ("--max-txn-ops=4",)


def _puts(count: int) -> list[Op]:
    return [op_put(b"k%03d" % number) for number in range(count)]


def _compares(count: int) -> list[Op]:
    return [check(b"none%d" % number) for number in range(count)]


def _chain(levels: int) -> Sequence[Op]:
    """One txn inside the other; the innermost reads."""
    ops: Sequence[Op] = [op_get(b"a")]
    for _ in range(levels):
        ops = [op_txn(success=ops)]
    return ops


CASES = [
    Case("as many puts as allowed", [txn(success=_puts(LIMIT)), get_all(count_only=True)], rows=("kv-5.3-limit",)),
    Case(
        "one put more",
        [txn(success=_puts(LIMIT + 1)), get_all(count_only=True)],
        rows=("kv-5.3-limit", "http-5-TooManyOps", "http-7-txn-ops"),
    ),
    Case(
        "the branch not taken counts",
        [txn(failure=_puts(LIMIT)), txn(failure=_puts(LIMIT + 1))],
        rows=("kv-5.3-limit",),
    ),
    Case("compares count", [txn(_compares(LIMIT)), txn(_compares(LIMIT + 1))], rows=("kv-5.3-limit",)),
    Case("the largest list counts", [txn(_compares(LIMIT), _puts(LIMIT), _puts(LIMIT)), get_all(count_only=True)]),
    Case(
        "128 of which one is a txn of one",
        [txn(success=[*_puts(LIMIT - 1), op_txn(success=[op_put(b"n")])])],
        rows=("kv-5.3-nested",),
    ),
    Case("128 of which one is an empty txn", [txn(success=[*_puts(LIMIT - 1), op_txn()])]),
    Case(
        "127 of which one is a txn of one",
        [txn(success=[*_puts(LIMIT - 2), op_txn(success=[op_put(b"n")])])],
        rows=("kv-5.3-nested",),
    ),
    Case(
        "127 of which one is a txn of two",
        [txn(success=[*_puts(LIMIT - 2), op_txn(success=[op_put(b"n"), op_put(b"m")])])],
        rows=("kv-5.3-nested",),
    ),
    Case(
        "two nested have the allowance each",
        [txn(success=[op_txn(success=_puts(126)), op_txn(success=[op_get(b"a")] * 126)])],
    ),
    Case(
        "a nested one over its allowance",
        [txn(success=[op_txn(success=_puts(126)), op_txn(success=[op_get(b"a")] * 127)])],
    ),
    Case("compares of the parent take from a nested one", [txn(_compares(127), [op_txn(success=[op_get(b"a")] * 2)])]),
    Case("as deep as the limit", [put(b"a"), txn(success=_chain(127))]),
    Case("one deeper", [put(b"a"), txn(success=_chain(128))]),
    Case(
        "too many come before empty keys",
        [txn([{}], [{}] * 129), txn([check(b"")] * 129), txn(success=[op_put(b"")] * 129)],
        rows=("kv-5.3-first", "kv-5.4-order"),
    ),
    Case("too many further down come before empty keys there", [txn(success=[op_txn(success=[op_put(b"")] * 128)])]),
    Case("an empty key comes before too many further down", [txn(success=[op_put(b""), op_txn(success=_puts(128))])]),
    Case(
        "--max-txn-ops",
        [txn(success=_puts(4)), txn(success=_puts(5)), txn(_compares(5)), get_all(count_only=True)],
        FEW,
        rows=("http-7-txn-ops",),
    ),
    Case(
        "--max-txn-ops further down",
        [txn(success=[op_txn(success=_puts(3))]), txn(success=[op_txn(success=_puts(4))])],
        FEW,
        rows=("http-7-txn-ops", "kv-5.3-nested"),
    ),
]
