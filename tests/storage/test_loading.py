"""What a start finds in a file: live keys, the rows of all keys, and values within the budget."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftgate.api.cluster import Member
from raftgate.api.kv import KeyValue
from raftgate.api.maintenance import AlarmMember, AlarmType
from storage.database import Database
from storage.history import TOMBSTONE, pack
from storage.lease import Lease
from storage.loading import Content, _Rows
from storage.members import Records
from storage.options import Options
from storage.row import SUB_BITS, Row, Stub
from storage.values import OVERHEAD
from storage.writer import Batch, Writer


def code(revision: int, sub: int = 0, *, dead: bool = False) -> int:
    return (revision << SUB_BITS | sub) << 1 | (TOMBSTONE if dead else 0)


def test_the_newest_row_of_a_key_is_loaded(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "kv.db", Options())
    rows: list[Row] = [
        (2 << 24, b"kept", 2, 1, b"1", 0),
        (3 << 24, b"gone", 3, 1, b"1", 0),
        (4 << 24, b"kept", 2, 2, b"2", 5),
        (4 << 24 | 1, b"gone", 0, 0, b"", 0),
        (5 << 24, b"back", 5, 1, b"", 0),
        (6 << 24, b"back", 0, 0, b"", 0),
        (7 << 24, b"back", 7, 1, b"3", 0),
        (7 << 24 | 1, b"second", 7, 1, b"4", 0),
        (7 << 24 | 2, b"dead", 0, 0, b"", 0),
    ]
    alarm = AlarmMember(5, AlarmType.NOSPACE)
    records = Records((Member(1, "one"),), frozenset({2}))
    leases = {5: Lease(5, 60, 41), -3: Lease(-3, 9)}
    batch = Batch(6, 7, 2, rows, 0, [(2, 1000), (7, 9000)], records, (alarm,), leases=leases)
    Writer(database).flush(batch)
    assert database.load() == Content(
        6,
        7,
        2,
        9000,
        [
            KeyValue(b"kept", 2, 4, 2, b"2", 5),
            KeyValue(b"back", 7, 7, 1, b"3"),
            KeyValue(b"second", 7, 7, 1, b"4"),
        ],
        records,
        [alarm],
        -1,
        {
            b"kept": pack((code(2), code(4))),
            b"gone": pack((code(3), code(4, 1, dead=True))),
            b"back": pack((code(5), code(6, dead=True), code(7))),
            b"second": code(7, 1),
            b"dead": pack((code(7, 2, dead=True),)),
        },
        [b"gone", b"dead"],
        [Lease(-3, 9), Lease(5, 60, 41)],
    )
    database.close()


def test_a_key_is_held_once(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "kv.db", Options())
    rows: list[Row] = [(n << 24, b"a longer key", 2, n - 1, b"", 0) for n in range(2, 5)]
    Writer(database).flush(Batch(1, 4, -1, rows, 0))
    content = database.load()
    (key,) = content.codes
    assert content.live[0].key is key
    database.close()


def test_values_beyond_the_budget_are_let_go_oldest_first(tmp_path: Path) -> None:
    value = b"x" * 10_000
    database = Database.open(tmp_path / "kv.db", Options(value_cache_bytes=2_000_000))
    rows: list[Row] = [(n << 24 | n % 2, b"k%04d" % n, n, 1, value, 0) for n in range(2, 2002)]
    rows.append((2002 << 24, b"k0002", 2, 2, value, 0))
    rows.append((2003 << 24, b"small", 2003, 1, b"s", 0))
    Writer(database).flush(Batch(1, 2003, -1, rows, 0))
    live = {kv.key: kv for kv in database.load().live}
    here = [key for key, kv in live.items() if not isinstance(kv, Stub)]
    assert here[0] == b"k0002"  # by its newer row
    assert here[-1] == b"small"
    assert 50 < len(here) <= 2_000_000 // len(value)
    assert here[1:-1] == [b"k%04d" % n for n in range(2002 - len(here[1:-1]), 2002)]
    assert live[b"k0003"] == Stub(b"k0003", 3, 3, 1, sub=1)
    assert live[b"k0004"] == Stub(b"k0004", 4, 4, 1)
    database.close()


ROWS = st.lists(
    st.tuples(st.sampled_from([b"a", b"b", b"c", b"d", b"e"]), st.booleans(), st.sampled_from([b"", b"v" * 40])),
    max_size=20,
)


@settings(deadline=None)
@given(ROWS, st.integers(1, 6), st.sampled_from([None, 0, 100, 300]))
@pytest.mark.parametrize("per_revision", [1, 3])
def test_chunks_do_not_show(
    per_revision: int, changes: list[tuple[bytes, bool, bytes]], chunk: int, budget: int | None
) -> None:
    rows: list[Row] = []
    for n, (key, is_put, value) in enumerate(changes):
        row_id = 2 + n // per_revision << SUB_BITS | n % per_revision
        rows.append((row_id, key, 2 if is_put else 0, int(is_put), value if is_put else b"", 0))
    whole, parts = _Rows(None), _Rows(budget)
    whole.add(rows) if rows else None
    for start in range(0, len(rows), chunk):
        parts.add(rows[start : start + chunk])
    assert parts.codes == whole.codes
    live, gone = parts.finish()
    expected, expected_gone = whole.finish()
    assert gone == expected_gone
    assert [kv.key for kv in live] == [kv.key for kv in expected]
    held = [kv for kv in live if not isinstance(kv, Stub)]
    assert [kv for kv in expected if kv in held] == held
    if budget is not None:
        assert sum(len(kv.value) + OVERHEAD for kv in held if kv.value) <= budget
