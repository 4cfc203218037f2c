import gc

from raftgate.api.kv import Compare, KeyValue, PutRequest, RangeRequest, SortOrder, SortTarget, TxnRequest


def test_requests_default_to_an_empty_message() -> None:
    assert RangeRequest() == RangeRequest(sort_order=SortOrder.NONE, sort_target=SortTarget.KEY)
    assert PutRequest().value == b""
    assert TxnRequest().compare == ()


def test_a_compare_tells_an_absent_value_from_zero() -> None:
    assert Compare(key=b"k").version is None
    assert Compare(key=b"k", version=0) != Compare(key=b"k")


def test_key_values_are_untracked_by_the_collector() -> None:
    assert not gc.is_tracked(KeyValue(key=b"k", value=b"v"))
