"""Range, put and deleterange: the tables of etcd's semantics row by row, then random requests against a naive model."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from raftgate.api import errors
from raftgate.api.kv import (
    DeleteRangeRequest,
    DeleteRangeResponse,
    KeyValue,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    ResponseHeader,
    SortOrder,
    SortTarget,
)
from raftgate.api.lease import LeaseGrantRequest
from storage.history import History
from storage.index import Index
from storage.kv import Kv
from storage.metrics import Metrics
from storage.row import SUB_BITS, weight
from tests.fakes.kv_model import DELETES, PUTS, RANGES, Model

NONE, ASCEND, DESCEND = SortOrder


def empty(revision: int = 1) -> Kv:
    return Kv(Index(), History(), revision, -1, Metrics(CollectorRegistry()))


def put(kv: Kv, key: bytes, value: bytes = b"", **options: Any) -> PutResponse:  # Any: fields of the request
    response = kv.put(PutRequest(key, value, **options))
    kv.commit()
    return response


def delete(kv: Kv, key: bytes, range_end: bytes = b"", **options: Any) -> DeleteRangeResponse:  # Any: as above
    response = kv.delete_range(DeleteRangeRequest(key, range_end, **options))
    kv.commit()
    return response


def everything(kv: Kv, **options: Any) -> RangeResponse:  # Any: fields of the request
    return kv.range(RangeRequest(b"\0", b"\0", **options))


def keys(response: RangeResponse) -> str:
    return " ".join(kv.key.decode() for kv in response.kvs)


@pytest.fixture
def five() -> Kv:
    """a=0, ab=9, b=1, c=2, d="" as in a session with etcd: b and c made first, d last."""
    kv = empty(revision=22)
    for key, value in ((b"b", b"1"), (b"c", b"2"), (b"a", b"0"), (b"ab", b"9"), (b"d", b"")):
        put(kv, key, value)
    return kv


# name, fields of the request, keys, more, count
RANGE_TABLE: list[tuple[str, dict[str, Any], str, bool, int]] = [  # Any: values of fields
    ("plain", {}, "a ab b c d", False, 5),
    ("limit", {"limit": 2}, "a ab", True, 5),
    ("limit of exactly all", {"limit": 5}, "a ab b c d", False, 5),
    ("limit above all", {"limit": 2**63 - 1}, "a ab b c d", False, 5),
    ("negative limit is none", {"limit": -1}, "a ab b c d", False, 5),
    ("descend", {"sort_order": DESCEND}, "d c b ab a", False, 5),
    ("descend with limit", {"sort_order": DESCEND, "limit": 2}, "d c", True, 5),
    ("ascend by key", {"sort_order": ASCEND, "limit": 1}, "a", True, 5),
    ("NONE with a target sorts ascending", {"sort_target": SortTarget.VALUE}, "d a b c ab", False, 5),
    ("NONE with target and limit: first limit + 1 keys", {"sort_target": SortTarget.VALUE, "limit": 2}, "a b", True, 5),
    (
        "ASCEND with target and limit looks at all",
        {"sort_target": SortTarget.VALUE, "sort_order": ASCEND, "limit": 2},
        "d a",
        True,
        5,
    ),
    (
        "NONE with target, limit and a filter looks at all",
        {"sort_target": SortTarget.VALUE, "limit": 2, "min_mod_revision": 1},
        "d a",
        True,
        5,
    ),
    ("by value, descending", {"sort_target": SortTarget.VALUE, "sort_order": DESCEND}, "ab c b a d", False, 5),
    ("by creation", {"sort_target": SortTarget.CREATE}, "b c a ab d", False, 5),
    ("by modification, descending", {"sort_target": SortTarget.MOD, "sort_order": DESCEND}, "d ab a c b", False, 5),
    ("equals in key order", {"sort_target": SortTarget.VERSION}, "a ab b c d", False, 5),
    (
        "equals in key order, descending too",
        {"sort_target": SortTarget.VERSION, "sort_order": DESCEND},
        "a ab b c d",
        False,
        5,
    ),
    ("min_mod_revision", {"min_mod_revision": 25}, "a ab d", False, 5),
    ("max_mod_revision", {"max_mod_revision": 24}, "b c", False, 5),
    ("min_create_revision with limit", {"min_create_revision": 24, "limit": 1}, "a", True, 5),
    ("max_create_revision", {"max_create_revision": 25}, "a b c", False, 5),
    ("filters together", {"min_mod_revision": 24, "max_create_revision": 26}, "a ab c", False, 5),
    ("negative minimum drops nothing", {"min_mod_revision": -1, "min_create_revision": -1}, "a ab b c d", False, 5),
    ("negative maximum drops everything", {"max_mod_revision": -1}, "", False, 5),
    ("negative maximum of creation", {"max_create_revision": -1}, "", False, 5),
    ("more is of what filters leave", {"min_mod_revision": 25, "limit": 3}, "a ab d", False, 5),
    ("count_only", {"count_only": True}, "", False, 5),
    ("count_only ignores limit and filters", {"count_only": True, "limit": 1, "min_mod_revision": 99}, "", False, 5),
    ("a revision below 1 is the current one", {"revision": -5}, "a ab b c d", False, 5),
    ("the current revision by its number", {"revision": 27}, "a ab b c d", False, 5),
    ("an order that is not known is none", {"sort_order": 7}, "a ab b c d", False, 5),
    ("a target that is not known is none", {"sort_order": ASCEND, "sort_target": 7}, "a ab b c d", False, 5),
]


@pytest.mark.parametrize(
    ("fields", "expected", "more", "count"), [pytest.param(*row[1:], id=row[0]) for row in RANGE_TABLE]
)
def test_range(five: Kv, fields: dict[str, Any], expected: str, more: bool, count: int) -> None:  # noqa: FBT001 - a column  # Any: values of fields
    response = everything(five, **fields)
    assert (keys(response), response.more, response.count) == (expected, more, count)
    assert response.header == ResponseHeader(revision=27)


def test_keys_only_keeps_all_but_the_value_and_sorts_by_it(five: Kv) -> None:
    response = everything(five, keys_only=True, sort_target=SortTarget.VALUE, sort_order=ASCEND, limit=1)
    assert response.kvs == (KeyValue(b"d", 27, 27, 1),)
    assert five.index.get(b"ab") == KeyValue(b"ab", 26, 26, 1, b"9")


def test_a_single_key(five: Kv) -> None:
    response = five.range(RangeRequest(b"ab"))
    assert response == RangeResponse(ResponseHeader(revision=27), (KeyValue(b"ab", 26, 26, 1, b"9"),), count=1)
    assert five.range(RangeRequest(b"ab", min_mod_revision=27)).kvs == ()
    assert five.range(RangeRequest(b"ab", count_only=True)) == RangeResponse(ResponseHeader(revision=27), count=1)


def test_a_miss_has_neither_keys_nor_count(five: Kv) -> None:
    assert five.range(RangeRequest(b"nope")) == RangeResponse(ResponseHeader(revision=27))
    assert five.range(RangeRequest(b"b", b"a")) == RangeResponse(ResponseHeader(revision=27))


@pytest.mark.parametrize(
    ("revision", "compacted", "error"),
    [
        pytest.param(28, -1, errors.FutureRev, id="above the current one"),
        pytest.param(25, 26, errors.Compacted, id="below the compacted one"),
        pytest.param(26, 26, None, id="the compacted one itself"),
        pytest.param(1, -1, None, id="past"),
        pytest.param(27, 27, None, id="current and compacted"),
        pytest.param(0, 27, None, id="none given"),
        pytest.param(-1, 27, None, id="negative"),
    ],
)
def test_revisions_that_can_be_read(
    five: Kv, revision: int, compacted: int, error: type[errors.EtcdError] | None
) -> None:
    five.compact_revision = compacted
    if error is None:
        five.check_revision(revision)
    else:
        with pytest.raises(error):
            five.check_revision(revision)


def test_put_counts_versions_even_when_nothing_differs() -> None:
    kv = empty()
    assert put(kv, b"k", b"v") == PutResponse(ResponseHeader(revision=2))
    assert put(kv, b"k", b"v", prev_kv=True) == PutResponse(ResponseHeader(revision=3), KeyValue(b"k", 2, 2, 1, b"v"))
    assert kv.index.get(b"k") == KeyValue(b"k", 2, 3, 2, b"v")


def test_prev_kv_of_a_new_key_is_absent() -> None:
    assert put(empty(), b"k", prev_kv=True).prev_kv is None


def test_delete_and_put_start_over() -> None:
    kv = empty()
    put(kv, b"k", b"1")
    put(kv, b"k", b"2")
    assert delete(kv, b"k") == DeleteRangeResponse(ResponseHeader(revision=4), 1)
    put(kv, b"k", b"3")
    assert kv.index.get(b"k") == KeyValue(b"k", 5, 5, 1, b"3")


@pytest.mark.parametrize(
    ("fields", "value", "lease"),
    [
        pytest.param({}, b"", 0, id="value and lease absent: empty value, lease detached"),
        pytest.param({"value": b"n"}, b"n", 0, id="a put without lease detaches"),
        pytest.param({"value": b"n", "lease": 8}, b"n", 8, id="another lease"),
        pytest.param({"ignore_value": True}, b"old", 0, id="ignore_value"),
        pytest.param({"ignore_value": True, "lease": 8}, b"old", 8, id="ignore_value with a lease"),
        pytest.param({"value": b"n", "ignore_lease": True}, b"n", 7, id="ignore_lease"),
        pytest.param({"ignore_value": True, "ignore_lease": True}, b"old", 7, id="both: only touches the key"),
    ],
)
def test_put_options(fields: dict[str, Any], value: bytes, lease: int) -> None:  # Any: values of fields
    kv = empty()
    for lease_id in (7, 8):
        kv.leases.grant(LeaseGrantRequest(60, lease_id))
    put(kv, b"k", b"old", lease=7)
    put(kv, b"k", **fields)
    assert kv.index.get(b"k") == KeyValue(b"k", 2, 3, 2, value, lease)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        pytest.param({"lease": 9}, errors.LeaseNotFound, id="unknown lease"),
        pytest.param({"lease": -1}, errors.LeaseNotFound, id="lease -1"),
        pytest.param({"ignore_value": True}, errors.KeyNotFound, id="ignore_value of a missing key"),
        pytest.param({"ignore_lease": True}, errors.KeyNotFound, id="ignore_lease of a missing key"),
        pytest.param({"ignore_value": True, "lease": 9}, errors.LeaseNotFound, id="the lease is looked at first"),
    ],
)
def test_put_refusals(fields: dict[str, Any], error: type[errors.EtcdError]) -> None:  # Any: values of fields
    kv = empty()
    with pytest.raises(error):
        put(kv, b"k", **fields)
    kv.rollback()
    assert (kv.revision, len(kv.index), kv.pending) == (1, 0, [])


def test_delete_range_answers_previous_keys_in_order(five: Kv) -> None:
    response = delete(five, b"ab", b"d", prev_kv=True)
    assert response.header == ResponseHeader(revision=28)
    assert response.deleted == 3
    assert [kv.key for kv in response.prev_kvs] == [b"ab", b"b", b"c"]
    assert keys(everything(five)) == "a d"


@pytest.mark.parametrize("end", [b"", b"a", b"z"])
def test_deleting_nothing_moves_nothing(five: Kv, end: bytes) -> None:
    assert delete(five, b"x", end) == DeleteRangeResponse(ResponseHeader(revision=27))
    assert five.revision == 27


def test_rows_are_in_execution_order_and_tombstones_have_version_zero() -> None:
    kv = empty()
    put(kv, b"b", b"1")
    put(kv, b"a", b"2")
    delete(kv, b"\0", b"\0")
    assert kv.pending == [
        (2 << SUB_BITS, b"b", 2, 1, b"1", 0),
        (3 << SUB_BITS, b"a", 3, 1, b"2", 0),
        (4 << SUB_BITS, b"a", 0, 0, b"", 0),
        (4 << SUB_BITS | 1, b"b", 0, 0, b"", 0),
    ]
    assert kv.pending_bytes == weight(kv.pending)
    rows = kv.pending
    assert kv.take_pending() == (rows, [])
    assert (kv.pending, kv.pending_bytes, kv.taken) == ([], 0, rows)


def test_rollback_takes_back_everything(five: Kv) -> None:
    five.take_pending()
    before = everything(five)
    five.put(PutRequest(b"new", b"x"))
    five.put(PutRequest(b"a", b"x"))
    five.delete_range(DeleteRangeRequest(b"a", b"c"))
    five.put(PutRequest(b"a", b"y"))
    assert five.seen_revision == 28
    five.rollback()
    assert everything(five) == before
    assert (five.pending, five.pending_bytes, five.commit()) == ([], 0, False)


@settings(deadline=None)
@given(st.lists(PUTS | DELETES, max_size=12), st.lists(RANGES, min_size=1, max_size=4))
def test_follows_the_model(writes: list[PutRequest | DeleteRangeRequest], reads: list[RangeRequest]) -> None:
    kv, model = empty(), Model()
    for write in writes:
        answer: PutResponse | DeleteRangeResponse | str
        try:
            answer = kv.put(write) if isinstance(write, PutRequest) else kv.delete_range(write)
            kv.commit()
        except errors.EtcdError as error:
            kv.rollback()
            answer = type(error).__name__
        assert answer == model.apply(write)
        for read in reads:
            assert kv.range(read) == model.range(read)
    assert [(row[0] >> SUB_BITS, row[1], row[3]) for row in kv.pending] == model.events
