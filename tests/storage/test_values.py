"""Which values stay in memory; that reads are right without them is shown by test_model.py."""

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from raftgate.api.kv import DeleteRangeRequest, KeyValue, PutRequest
from storage.history import History
from storage.index import Index
from storage.kv import Kv
from storage.metrics import Metrics
from storage.options import Options
from storage.row import Stub
from storage.values import OVERHEAD, SMALL, STEPS

LARGE = b"x" * 100
COST = len(LARGE) + OVERHEAD


def kv_of(budget: int) -> Kv:
    return Kv(Index(), History(), 1, -1, Metrics(CollectorRegistry()), Options(value_cache_bytes=budget))


def put(kv: Kv, *keys: bytes, value: bytes = LARGE) -> None:
    for key in keys:
        kv.put(PutRequest(key, value))
        kv.commit()


def delete(kv: Kv, key: bytes) -> None:
    kv.delete_range(DeleteRangeRequest(key))
    kv.commit()


def here(kv: Kv) -> str:
    return " ".join(each.key.decode() for each in kv.index.range(b"\0", b"\0") if not isinstance(each, Stub))


def test_the_oldest_leave_first_until_the_budget_holds() -> None:
    kv = kv_of(2 * COST)
    put(kv, b"c", b"a", b"b", b"d")
    kv.values.evict(kv.revision)
    assert (here(kv), kv.values.evicted, kv.values.size) == ("b d", 2, 2 * COST)
    assert kv.index.get(b"c") == Stub(b"c", 2, 2, 1, sub=0)


def test_what_sqlite_does_not_have_stays() -> None:
    kv = kv_of(0)
    put(kv, b"a", b"b", b"c")
    kv.values.evict(3)
    assert here(kv) == "c"
    kv.values.evict(4)
    assert here(kv) == ""


def test_small_values_are_neither_counted_nor_let_go() -> None:
    kv = kv_of(0)
    put(kv, b"a", value=b"x" * SMALL)
    put(kv, b"b", value=b"x" * (SMALL + 1))
    assert kv.values.size == SMALL + 1 + OVERHEAD
    kv.values.evict(kv.revision)
    assert here(kv) == "a"


@pytest.mark.parametrize("large", [True, False])
def test_a_value_that_comes_back_counts_again(large: bool) -> None:  # noqa: FBT001 - both sizes
    kv = kv_of(0)
    put(kv, b"a", b"b")
    kv.values.evict(kv.revision)
    put(kv, b"a", value=LARGE if large else b"")
    assert (kv.values.evicted, kv.values.size) == (1, COST if large else 0)
    kv.values.evict(kv.revision)
    assert here(kv) == ("" if large else "a")


def test_sizes_follow_every_change() -> None:
    kv = kv_of(0)
    put(kv, b"a", value=b"")
    put(kv, b"a")
    assert kv.values.size == COST
    put(kv, b"a", value=LARGE + b"y")
    assert kv.values.size == COST + 1
    put(kv, b"a", value=b"")
    assert kv.values.size == 0
    put(kv, b"a")
    delete(kv, b"a")
    assert kv.values.size == 0
    put(kv, b"a")
    kv.values.evict(kv.revision)
    delete(kv, b"a")
    assert (kv.values.size, kv.values.evicted) == (0, 0)


@pytest.mark.parametrize("is_let_go", [False, True])
def test_a_command_taken_back_leaves_the_count_as_it_was(is_let_go: bool) -> None:  # noqa: FBT001 - both cases
    kv = kv_of(0)
    put(kv, b"a", b"b")
    if is_let_go:
        kv.values.evict(kv.revision)
    before = (kv.values.size, kv.values.evicted, here(kv))
    kv.put(PutRequest(b"a", b""))
    kv.put(PutRequest(b"n", LARGE))
    kv.delete_range(DeleteRangeRequest(b"a", b"\0"))
    kv.put(PutRequest(b"a", LARGE))
    kv.rollback()
    assert (kv.values.size, kv.values.evicted, here(kv)) == before
    kv.values.evict(kv.revision)
    assert here(kv) == ""


def test_keys_put_and_deleted_for_ever_do_not_fill_the_queue() -> None:
    kv = kv_of(10 * COST)
    put(kv, b"stays")
    for _ in range(2 * STEPS):
        put(kv, b"comes and goes")
        delete(kv, b"comes and goes")
        kv.values.evict(kv.revision)
    assert len(kv.values._queue) <= STEPS + 10
    assert here(kv) == "stays"


def test_keys_of_the_file_are_counted() -> None:
    kv = kv_of(0)
    kv.values.loaded(KeyValue(b"a", value=LARGE))
    kv.values.loaded(Stub(b"b"))
    assert (kv.values.size, kv.values.evicted) == (COST, 1)


def entries(kv: Kv) -> Iterator[tuple[bytes | int, bytes | int]]:
    queue = list(kv.values._queue)
    return zip(queue[::2], queue[1::2], strict=True)


def test_each_key_has_one_entry_however_often_it_is_put() -> None:
    kv = kv_of(10**6)
    for _ in range(5):
        put(kv, b"a", b"b")
    assert list(entries(kv)) == [(b"a", 2), (b"b", 3)]
