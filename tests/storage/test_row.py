import pytest

from raftgate.api.kv import KeyValue
from storage.row import ROW_OVERHEAD, SUB_BITS, Stub, has_stub, key_value, weight


def test_a_row_tells_its_key_value() -> None:
    assert key_value((7 << SUB_BITS | 3, b"k", 5, 2, b"v", 9)) == KeyValue(b"k", 5, 7, 2, b"v", 9)


def test_two_equal_revisions_are_one_object() -> None:
    kv = key_value((10**6 << SUB_BITS, b"k", int("1000000"), 1, b"", 0))
    assert kv.create_revision is kv.mod_revision


@pytest.mark.parametrize("sub", [0, 1, (1 << SUB_BITS) - 1])
def test_a_stub_knows_its_row(sub: int) -> None:
    assert Stub(b"k", mod_revision=7, sub=sub).row_id == 7 << SUB_BITS | sub


def test_a_stub_is_never_taken_for_what_it_stands_for() -> None:
    assert Stub(b"k", 5, 7, 2) != KeyValue(b"k", 5, 7, 2)
    assert has_stub([KeyValue(b"k"), Stub(b"k")])
    assert not has_stub([KeyValue(b"k")])
    assert not has_stub([])


def test_weight_counts_keys_values_and_rows() -> None:
    assert weight([(1, b"abc", 1, 1, b"defgh", 0), (2, b"", 0, 0, b"", 0)]) == 8 + 2 * ROW_OVERHEAD
