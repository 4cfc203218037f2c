"""Ranges at a revision, gathered while others write: as they were when it was the current one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from raftgate.api.kv import DeleteRangeRequest, KeyValue, PutRequest, RangeRequest
from storage.gathering import Gathering, pieces_of_keys
from storage.history import History
from storage.index import Index
from storage.kv import Kv
from storage.metrics import Metrics
from storage.options import Options
from storage.row import Stub

KEYS = [b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h"]


def kv_of(large: int = 2) -> Kv:
    return Kv(Index(), History(), 1, -1, Metrics(CollectorRegistry()), Options(large=large))


def put(kv: Kv, *keys: bytes) -> None:
    for key in keys:
        kv.put(PutRequest(key, b"%d" % (kv.revision + 1)))
        kv.commit()


def delete(kv: Kv, key: bytes, range_end: bytes = b"") -> None:
    kv.delete_range(DeleteRangeRequest(key, range_end), alone=True)
    kv.commit()


def gather(kv: Kv, request: RangeRequest, revision: int) -> Gathering:
    gathering = Gathering(kv, request, revision)
    for _ in gathering.pieces():
        pass
    return gathering


def values(gathering: Gathering) -> dict[bytes, bytes]:
    return {kv.key: kv.value for kv in gathering.kvs}


def test_pieces_hold_live_and_gone_keys_of_one_interval() -> None:
    kv = kv_of()
    put(kv, *KEYS)
    for key in (b"b", b"c", b"d", b"g"):
        delete(kv, key)
    assert list(pieces_of_keys(kv, b"a", b"\0")) == [
        ([b"a"], [b"b", b"c"], False),
        ([b"e", b"f"], [b"d"], False),
        ([b"h"], [b"g"], True),
    ]


@pytest.mark.parametrize(
    ("key", "range_end", "expected"),
    [
        pytest.param(b"a", b"", [([b"a"], [], True)], id="a live key"),
        pytest.param(b"b", b"", [([], [b"b"], True)], id="a key that is gone"),
        pytest.param(b"x", b"", [([], [b"x"], True)], id="a key that never was"),
        pytest.param(b"b", b"a", [([], [], True)], id="an empty range"),
        pytest.param(b"a", b"c", [([b"a"], [b"b"], True)], id="within a piece"),
    ],
)
def test_pieces_of_ranges(key: bytes, range_end: bytes, expected: list[tuple[list[bytes], list[bytes], bool]]) -> None:
    kv = kv_of()
    put(kv, b"a", b"b")
    delete(kv, b"b")
    assert list(pieces_of_keys(kv, key, range_end)) == expected


def test_uncommitted_rows_of_the_past_come_from_memory_and_others_are_stubs() -> None:
    kv = kv_of()
    put(kv, b"a", b"b", b"c")
    rows, _ = kv.take_pending()
    put(kv, b"a", b"b")
    kv.taken = rows[1:]  # as if the first row were in SQLite
    put(kv, b"b")
    delete(kv, b"c")
    assert gather(kv, RangeRequest(b"a", b"\0"), 4).kvs == [
        Stub(b"a", mod_revision=2),
        KeyValue(b"b", 3, 3, 1, b"3"),
        KeyValue(b"c", 4, 4, 1, b"4"),
    ]


def test_a_running_command_sees_what_was_before_it() -> None:
    kv = kv_of()
    put(kv, b"a", b"b")
    kv.take_pending()
    kv.taken = []  # SQLite has all of it, and yet nothing is read from there
    kv.put(PutRequest(b"a", b"new"))
    kv.delete_range(DeleteRangeRequest(b"b"))
    kv.put(PutRequest(b"n", b"new"))
    assert values(gather(kv, RangeRequest(b"a", b"\0"), 3)) == {b"a": b"2", b"b": b"3"}
    assert values(gather(kv, RangeRequest(b"b"), 3)) == {b"b": b"3"}
    assert values(gather(kv, RangeRequest(b"a", b"\0"), 4)) == {b"a": b"new", b"n": b"new"}


def test_a_limit_that_cuts_early_keeps_one_more_and_counts_all() -> None:
    kv = kv_of()
    put(kv, *KEYS)
    gathering = gather(kv, RangeRequest(b"a", b"\0", limit=2), kv.revision)
    assert (sorted(values(gathering)), gathering.count) == ([b"a", b"b", b"c"], 8)
    gathering = gather(kv, RangeRequest(b"a", b"\0", count_only=True), kv.revision)
    assert (gathering.kvs, gathering.count) == ([], 8)


STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "delete", "sweep", "settle", "gather"]), st.sampled_from(KEYS)), max_size=25
)


class States:
    """The keys of every revision, beside a store that is written."""

    def __init__(self) -> None:
        self.kv = kv_of()
        self.all: list[dict[bytes, bytes]] = [{}]

    def step(self, kind: str, key: bytes) -> None:
        now = dict(self.all[-1])
        if kind == "put":
            put(self.kv, key)
            now[key] = b"%d" % self.kv.revision
        elif kind == "delete":
            delete(self.kv, key)
            now.pop(key, None)
        elif kind == "sweep":
            delete(self.kv, key, b"\0")
            now = {each: value for each, value in now.items() if each < key}
        elif kind == "settle":
            self.kv.sweeps.settle()
        if len(self.all) < self.kv.revision:
            self.all.append(now)


@settings(deadline=None)
@given(STEPS, STEPS, st.integers(0, 10))
def test_writes_between_the_pieces_do_not_show(
    first: list[tuple[str, bytes]], then: list[tuple[str, bytes]], back: int
) -> None:
    states = States()
    kv = states.kv
    for kind, key in first:
        states.step(kind, key)
    revision = max(1, kv.revision - back)
    gathering = Gathering(kv, RangeRequest(b"a", b"\0"), revision)
    pieces = gathering.pieces()
    for kind, key in then:
        if kind == "gather":
            next(pieces, None)
        states.step(kind, key)
    for _ in pieces:
        pass
    expected = states.all[revision - 1]
    assert values(gathering) == expected
    assert [each.key for each in gathering.kvs] == sorted(expected)
    for key in KEYS:
        found = values(gather(kv, RangeRequest(key), revision))
        assert found == ({key: expected[key]} if key in expected else {})


def test_a_gathering_settles_only_when_nobody_else_does() -> None:
    kv = kv_of(large=2)
    put(kv, *KEYS)
    before = kv.revision
    delete(kv, b"a", b"\0")
    assert kv.sweeps.unsettled
    pieces = Gathering(kv, RangeRequest(b"a", b"\0"), before).pieces()
    next(pieces)
    assert len(kv.history.gone) == 1  # as many as are settled in one go
    kv.sweeps.settle()
    next(pieces)
    assert len(kv.history.gone) == 2
    next(pieces)
    assert len(kv.history.gone) == 3
