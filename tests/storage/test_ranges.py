"""What is answered of found keys; the table of range options is in test_kv.py, on a real index."""

from collections.abc import Sequence

import pytest

from raftgate.api.kv import KeyValue, RangeRequest, RangeResponse, ResponseHeader, SortOrder, SortTarget
from storage import ranges
from storage.row import Stub

HEADER = ResponseHeader(revision=9)
NONE, ASCEND, DESCEND = SortOrder
FULL = [KeyValue(b"k%d" % n, 2 + n, 2 + n, 1, b"%d" % (7 - n)) for n in range(5)]


class Loads:
    """Replaces stubs, and notes how it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, bool]] = []

    def __call__(self, kvs: Sequence[KeyValue], *, values: bool) -> list[KeyValue]:
        wanted = [kv for kv in kvs if isinstance(kv, Stub) and (values or not kv.version)]
        self.asked.append((len(wanted), values))
        full = {kv.key: kv for kv in FULL}
        return [
            kv
            if kv not in wanted
            else full[kv.key]
            if values
            else Stub(kv.key, full[kv.key].create_revision, kv.mod_revision, full[kv.key].version, lease=0)
            for kv in kvs
        ]


def past() -> list[KeyValue]:
    return [Stub(kv.key, mod_revision=kv.mod_revision) for kv in FULL]


def let_go() -> list[KeyValue]:
    return [Stub(kv.key, kv.create_revision, kv.mod_revision, kv.version) for kv in FULL]


LOAD_TABLE: list[tuple[str, RangeRequest, list[tuple[int, bool]], list[tuple[int, bool]]]] = [
    ("all", RangeRequest(), [(5, True)], [(5, True)]),
    ("a limit in key order loads what it leaves", RangeRequest(limit=2), [(2, True)], [(2, True)]),
    ("keys_only needs no values", RangeRequest(keys_only=True), [(5, False)], [(0, False)]),
    ("by value all values", RangeRequest(sort_target=SortTarget.VALUE, limit=1), [(5, True), (0, True)],
     [(5, True), (0, True)]),
    ("by creation all but values, then those left", RangeRequest(sort_target=SortTarget.CREATE, limit=1),
     [(5, False), (1, True)], [(0, False), (1, True)]),
    ("a filter likewise", RangeRequest(min_create_revision=4), [(5, False), (3, True)], [(0, False), (3, True)]),
    ("count_only nothing", RangeRequest(count_only=True), [], []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "of_past", "of_let_go"), [pytest.param(*each[1:], id=each[0]) for each in LOAD_TABLE]
)
def test_only_what_is_needed_is_loaded(
    request_: RangeRequest, of_past: list[tuple[int, bool]], of_let_go: list[tuple[int, bool]]
) -> None:
    expected = ranges.answer(request_, HEADER, FULL, 5, None)
    for kvs, asked in ((past(), of_past), (let_go(), of_let_go)):
        load = Loads()
        assert ranges.answer(request_, HEADER, kvs, 5, load) == expected
        assert load.asked == asked


def test_nothing_found() -> None:
    assert ranges.answer(RangeRequest(), HEADER, [], 0, None) == RangeResponse(HEADER)
    assert ranges.answer(RangeRequest(max_mod_revision=-1, sort_target=SortTarget.MOD), HEADER, FULL, 5, None).kvs == ()


@pytest.mark.parametrize("order", [ASCEND, DESCEND])
def test_many_keys_are_sorted_in_runs_with_the_same_result(order: SortOrder) -> None:
    kvs = [KeyValue(b"%06d" % n, n, n, n * 7919 % 13) for n in range(2 * ranges.SORTED_AT_ONCE + 5)]
    request = RangeRequest(sort_order=order, sort_target=SortTarget.VERSION)
    expected = sorted(kvs, key=lambda kv: kv.version, reverse=order is DESCEND)
    assert list(ranges.answer(request, HEADER, kvs, len(kvs), None).kvs) == expected


@pytest.mark.parametrize(
    ("request_", "early", "inside"),
    [
        (RangeRequest(), False, False),
        (RangeRequest(limit=1), True, False),
        (RangeRequest(limit=1, sort_order=ASCEND), False, False),
        (RangeRequest(limit=1, sort_target=SortTarget.MOD), True, True),
        (RangeRequest(limit=1, min_mod_revision=1), False, True),
        (RangeRequest(limit=1, max_create_revision=-1), False, True),
    ],
)
def test_what_a_request_looks_at(request_: RangeRequest, early: bool, inside: bool) -> None:  # noqa: FBT001 - columns
    assert (ranges.cuts_early(request_), ranges.looks_inside(request_)) == (early, inside)
