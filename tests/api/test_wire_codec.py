import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftgate.api import wire_codec
from raftgate.api.kv import Compare, CompareTarget, KeyValue, PutRequest, RangeRequest, RequestOp, SortOrder, TxnRequest

int64 = st.integers(-(2**63), 2**63 - 1)
puts = st.builds(PutRequest, key=st.binary(), value=st.binary(), lease=int64, prev_kv=st.booleans())
txns = st.builds(
    TxnRequest,
    compare=st.lists(
        st.builds(
            Compare,
            key=st.binary(),
            target=st.sampled_from(CompareTarget) | st.integers(5, 2**31 - 1),
            mod_revision=int64,
        )
    ).map(tuple),
    success=st.lists(st.builds(RequestOp, request_put=puts)).map(tuple),
)


@given(puts | txns)
def test_what_goes_in_comes_out(request: PutRequest | TxnRequest) -> None:
    assert wire_codec.decode(type(request), wire_codec.encode(request)) == request


def test_defaults_take_no_room() -> None:
    assert wire_codec.encode(PutRequest()) == b"\x80"
    assert len(wire_codec.encode(PutRequest(key=b"k"))) == 8


def test_enum_numbers_that_etcd_does_not_know_survive() -> None:
    request = RangeRequest(key=b"k", sort_order=2**31 - 1)
    assert wire_codec.decode(RangeRequest, wire_codec.encode(request)).sort_order == 2**31 - 1
    assert wire_codec.decode(
        RangeRequest, wire_codec.encode(RangeRequest(sort_order=SortOrder.DESCEND))
    ).sort_order is (SortOrder.DESCEND)


@pytest.mark.parametrize("data", [b"", b"\x81", b"\xc0", b"\x81\xa3new\x01", b"\x81\xa3key\x01"])
def test_what_is_not_understood_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        wire_codec.decode(KeyValue, data)
