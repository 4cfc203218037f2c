import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftgate.api import json_codec
from raftgate.api.errors import InvalidArgument
from raftgate.api.kv import (
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRangeResponse,
    KeyValue,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    RequestOp,
    ResponseHeader,
    ResponseOp,
    SortOrder,
    TxnRequest,
    TxnResponse,
)
from raftgate.api.maintenance import AlarmMember, AlarmType
from raftgate.api.message import Message

int64 = st.integers(-(2**63), 2**63 - 1)
key_values = st.builds(KeyValue, st.binary(), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.binary())
kv_tuples = st.lists(key_values, max_size=4).map(tuple)
puts = st.builds(
    PutRequest, key=st.binary(), value=st.binary(), lease=int64, prev_kv=st.booleans(), ignore_lease=st.booleans()
)
ranges = st.builds(
    RangeRequest, key=st.binary(), limit=int64, sort_order=st.sampled_from(SortOrder) | st.integers(3, 2**31 - 1)
)
compares = st.builds(
    Compare,
    key=st.binary(),
    result=st.sampled_from(CompareResult),
    target=st.sampled_from(CompareTarget),
    value=st.none() | st.binary(),
)
operations = st.builds(RequestOp, request_put=puts) | st.builds(RequestOp, request_range=ranges)
txns = st.recursive(
    st.builds(
        TxnRequest,
        compare=st.lists(compares, max_size=2).map(tuple),
        success=st.lists(operations, max_size=2).map(tuple),
    ),
    lambda inner: st.builds(
        TxnRequest, failure=st.lists(st.builds(RequestOp, request_txn=inner), max_size=2).map(tuple)
    ),
    max_leaves=5,
)


@given(puts | ranges | txns)
def test_what_is_encoded_decodes_to_the_same(message: PutRequest | RangeRequest | TxnRequest) -> None:
    encoded = json_codec.encode(message)
    json.loads(encoded)
    assert json_codec.decode(type(message), encoded) == message


def response_op(message: Message) -> ResponseOp:
    """The message as the answer to an operation of a transaction."""
    names = {
        RangeResponse: "response_range",
        DeleteRangeResponse: "response_delete_range",
        PutResponse: "response_put",
        TxnResponse: "response_txn",
    }
    return ResponseOp(**{names[type(message)]: message})  # type: ignore[arg-type]  # the field of its class


def decodes_or_is_refused(body: bytes) -> bool:
    try:
        return isinstance(json_codec.decode(TxnRequest, body), TxnRequest)
    except InvalidArgument as refusal:
        return bool(refusal.text)


class TestEncoding:
    def test_int64_is_a_string_and_defaults_are_absent(self) -> None:
        header = ResponseHeader(cluster_id=2**64 - 1, revision=5)
        assert json_codec.encode(header) == b'{"cluster_id":"18446744073709551615","revision":"5"}'

    def test_bytes_are_standard_base64_with_padding(self) -> None:
        assert json_codec.encode(KeyValue(key=b"\xfb\xff", value=b"a")) == b'{"key":"+/8=","value":"YQ=="}'

    def test_a_set_but_empty_message_stays(self) -> None:
        response = ResponseOp(response_txn=TxnResponse(header=ResponseHeader()))
        assert json_codec.encode(response) == b'{"response_txn":{"header":{}}}'

    def test_bool_enum_and_lists(self) -> None:
        response = RangeResponse(kvs=(KeyValue(key=b"a"), KeyValue(key=b"b")), more=True, count=2)
        assert json_codec.encode(response) == b'{"kvs":[{"key":"YQ=="},{"key":"Yg=="}],"more":true,"count":"2"}'
        assert json_codec.encode(AlarmMember(alarm=AlarmType.CORRUPT)) == b'{"alarm":"CORRUPT"}'
        assert json_codec.encode(RangeRequest(sort_order=99)) == b'{"sort_order":99}'

    def test_nothing_deleted(self) -> None:
        assert (
            json_codec.encode(DeleteRangeResponse(header=ResponseHeader(revision=1))) == b'{"header":{"revision":"1"}}'
        )


class TestDecoding:
    @pytest.mark.parametrize("body", [b"", b" \n\t\r", b"{}", b"{} trailing", b"{}{}"])
    def test_an_empty_body_is_an_empty_message(self, body: bytes) -> None:
        assert json_codec.decode(RangeRequest, body) == RangeRequest()

    def test_the_fast_way(self) -> None:
        assert json_codec.decode(PutRequest, b'{"key":"Zm9v","value":"YmFy","prev_kv":true}') == PutRequest(
            key=b"foo", value=b"bar", prev_kv=True
        )

    def test_an_explicit_default_is_fine(self) -> None:
        assert json_codec.decode(PutRequest, b'{"key":"Zm9v","lease":0,"prev_kv":false}') == PutRequest(key=b"foo")

    @pytest.mark.parametrize(
        "body",
        [
            b'{"key":"Zm9v","key":"YmFy"}',
            b'{"key":"Zm9v","key":""}',
            b'{"lease":0,"lease":1}',
            b'{"prev_kv":true,"prevKv":true}',
        ],
    )
    def test_a_name_given_twice_is_refused(self, body: bytes) -> None:
        with pytest.raises(InvalidArgument, match="duplicate field"):
            json_codec.decode(PutRequest, body)

    def test_a_name_given_twice_deep_inside_is_refused(self) -> None:
        body = b'{"success":[{"request_put":{"key":"Zm9v","key":"YmFy"}}]}'
        with pytest.raises(InvalidArgument, match=r"proto: \(line 1:42\): duplicate field"):
            json_codec.decode(TxnRequest, body)

    def test_nesting_up_to_the_bound(self) -> None:
        nested = b'{"success":[{"request_txn":' * 128 + b"{}" + b"}]}" * 128
        message = json_codec.decode(TxnRequest, nested)
        assert json_codec.encode(message) == nested
        tolerated = json_codec.decode(TxnRequest, nested.replace(b"request_txn", b"requestTxn"))
        assert tolerated == message

    @pytest.mark.parametrize("bracket", [b"[", b'{"a":'], ids=["lists", "objects"])
    @pytest.mark.parametrize("depth", [501, 100_000])
    def test_nesting_beyond_the_bound_is_refused(self, bracket: bytes, depth: int) -> None:
        with pytest.raises(InvalidArgument, match="exceeded max depth"):
            json_codec.decode(RangeRequest, b'{"x":' + bracket * depth)

    def test_brackets_in_texts_and_beside_each_other_are_no_depth(self) -> None:
        body = b'{"key":"Zm9v","x":"' + b"[" * 600 + b'","y":[' + b",".join([b"[]"] * 600) + b"]}"
        assert json_codec.decode(RangeRequest, body) == RangeRequest(key=b"foo")

    def test_depth_after_the_first_value_does_not_matter(self) -> None:
        assert json_codec.decode(RangeRequest, b"{}" + b"[" * 1000) == RangeRequest()

    @given(st.binary(max_size=60))
    def test_any_bytes_decode_or_are_refused(self, body: bytes) -> None:
        assert decodes_or_is_refused(body)

    @given(txns, st.data())
    def test_a_damaged_body_decodes_or_is_refused(self, message: TxnRequest, data: st.DataObject) -> None:
        body = bytearray(json_codec.encode(message))
        for _ in range(data.draw(st.integers(1, 3))):
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
        assert decodes_or_is_refused(bytes(body))


def test_large_values() -> None:
    value = b64encode(bytes(1_500_000))
    assert len(json_codec.decode(PutRequest, b'{"value":"' + value + b'"}').value) == 1_500_000


@given(
    st.recursive(
        st.builds(RangeResponse, st.none() | st.just(ResponseHeader(1, 2)), kv_tuples, st.booleans(), st.integers(0, 9))
        | st.builds(DeleteRangeResponse, st.none(), st.integers(0, 9), kv_tuples)
        | st.builds(PutResponse, st.none() | st.just(ResponseHeader(3)), st.none() | key_values),
        lambda inner: st.builds(TxnResponse, st.none(), st.booleans(), st.lists(inner.map(response_op)).map(tuple)),
    )
)
def test_pieces_are_what_is_encoded_at_once(message: Message) -> None:
    assert b"".join(json_codec.pieces(message)) == json_codec.encode(message)


def test_pieces_are_of_bounded_size() -> None:
    kvs = tuple(KeyValue(b"k%d" % n, 1, n, 1, b"v" * 1000) for n in range(1000))
    message = TxnResponse(responses=(ResponseOp(response_range=RangeResponse(ResponseHeader(1), kvs, False, 1000)),))
    pieces = list(json_codec.pieces(message))
    assert b"".join(pieces) == json_codec.encode(message)
    assert len(pieces) > 5
    assert all(json_codec.PIECE_BYTES <= len(piece) < json_codec.PIECE_BYTES + 2000 for piece in pieces[:-1])


def test_an_empty_message_is_one_piece() -> None:
    assert list(json_codec.pieces(RangeResponse())) == [b"{}"]
