import json

import pytest

from raftgate.api.kv import (
    DeleteRangeResponse,
    KeyValue,
    PutResponse,
    RangeResponse,
    ResponseHeader,
    ResponseOp,
    TxnResponse,
)
from raftgate.api.maintenance import AlarmMember, AlarmType, StatusResponse
from raftgate.ctl.errors import CommandError, ExitCode
from raftgate.ctl.printers import KvResponse, json_text, printer, to_json

HEADER = ResponseHeader(cluster_id=2**64 - 1, member_id=2**63, revision=6, raft_term=2)
FOO = KeyValue(key=b"foo", create_revision=2, mod_revision=5, version=3, value=b"bar")
ODD = KeyValue(key=b'a"\xff', create_revision=6, mod_revision=6, version=1, value=b"", lease=0x1F)
RANGE = RangeResponse(header=HEADER, kvs=(FOO, ODD), more=True, count=9)
TXN = TxnResponse(
    header=HEADER,
    succeeded=True,
    responses=(
        ResponseOp(response_put=PutResponse(header=ResponseHeader(revision=6))),
        ResponseOp(response_range=RangeResponse(header=ResponseHeader(revision=6), kvs=(FOO,), count=1)),
        ResponseOp(response_delete_range=DeleteRangeResponse(header=ResponseHeader(revision=6), deleted=1)),
    ),
)


@pytest.mark.parametrize(
    ("response", "text"),
    [
        (RANGE, 'foo\nbar\na"\udcff\n\n'),
        (RangeResponse(header=HEADER), ""),
        (PutResponse(header=HEADER), "OK\n"),
        (PutResponse(header=HEADER, prev_kv=FOO), "OK\nfoo\nbar\n"),
        (DeleteRangeResponse(header=HEADER), "0\n"),
        (DeleteRangeResponse(header=HEADER, deleted=1, prev_kvs=(FOO,)), "1\nfoo\nbar\n"),
        (TXN, "SUCCESS\n\nOK\n\nfoo\nbar\n\n1\n"),
        (TxnResponse(header=HEADER), "FAILURE\n"),
    ],
)
def test_simple(response: KvResponse, text: str) -> None:
    assert printer("simple")(response) == text


def test_simple_in_hex_and_values_only() -> None:
    one = RangeResponse(kvs=(FOO,))
    assert printer("simple", is_hex=True)(one) == "\\x66\\x6f\\x6f\n\\x62\\x61\\x72\n"
    assert printer("simple", values_only=True)(one) == "bar\n"


def test_json_has_numbers_and_leaves_zeros_out() -> None:
    assert printer("json")(RANGE) == (
        '{"header":{"cluster_id":18446744073709551615,"member_id":9223372036854775808,"revision":6,"raft_term":2},'
        '"kvs":[{"key":"Zm9v","create_revision":2,"mod_revision":5,"version":3,"value":"YmFy"},'
        '{"key":"YSL/","create_revision":6,"mod_revision":6,"version":1,"lease":31}],"more":true,"count":9}\n'
    )


def test_json_of_a_txn_wraps_each_response_as_go_does() -> None:
    head = '{"header":{"revision":6}'
    assert printer("json")(TXN).partition('"raft_term":2},')[2] == (
        '"succeeded":true,"responses":['
        f'{{"Response":{{"response_put":{head}}}}}}},'
        f'{{"Response":{{"response_range":{head},"kvs":[{{"key":"Zm9v","create_revision":2,"mod_revision":5,'
        '"version":3,"value":"YmFy"}],"count":1}}},'
        f'{{"Response":{{"response_delete_range":{head},"deleted":1}}}}}}]}}\n'
    )


def test_json_writes_an_empty_message_but_no_absent_one() -> None:
    empty = ResponseOp(response_range=RangeResponse(header=ResponseHeader()))
    assert to_json(empty) == '{"Response":{"response_range":{"header":{}}}}'


def test_json_writes_an_enum_as_its_number() -> None:
    assert to_json(AlarmMember(memberID=1, alarm=AlarmType.CORRUPT)) == '{"memberID":1,"alarm":2}'


@pytest.mark.parametrize("text", ["plain", 'q"\\', "\n\r\t\b\f\x01", "é😀", "<a>&\u2028\u2029"])
def test_json_texts_parse_back(text: str) -> None:
    assert json.loads(json_text(text)) == text


def test_json_texts_are_escaped_as_in_go() -> None:
    assert json_text("<é\x01>&") == '"\\u003cé\\u0001\\u003e\\u0026"'


def test_fields() -> None:
    assert printer("fields")(RANGE) == (
        '"ClusterID" : 18446744073709551615\n"MemberID" : 9223372036854775808\n"Revision" : 6\n"RaftTerm" : 2\n'
        '"Key" : "foo"\n"CreateRevision" : 2\n"ModRevision" : 5\n"Version" : 3\n"Value" : "bar"\n"Lease" : 0\n'
        '"Key" : "a\\"\\xff"\n"CreateRevision" : 6\n"ModRevision" : 6\n"Version" : 1\n"Value" : ""\n"Lease" : 31\n'
        '"More" : true\n"Count" : 9\n'
    )


def test_fields_of_writes() -> None:
    fields = printer("fields")
    header = '"ClusterID" : 0\n"MemberID" : 0\n"Revision" : 0\n"RaftTerm" : 0\n'
    previous = (
        '"PrevKey" : "foo"\n"PrevCreateRevision" : 2\n"PrevModRevision" : 5\n"PrevVersion" : 3\n'
        '"PrevValue" : "bar"\n"PrevLease" : 0\n'
    )
    assert fields(PutResponse()) == header
    assert fields(PutResponse(prev_kv=FOO)) == header + previous
    assert fields(DeleteRangeResponse(deleted=1, prev_kvs=(FOO,))) == f'{header}"Deleted" : 1\n{previous}'
    put = TxnResponse(responses=(ResponseOp(response_put=PutResponse(prev_kv=FOO)),))
    assert fields(put) == f'{header}"Succeeded" : false\n{header}{previous}'


def test_fields_in_hex_shows_ids_so() -> None:
    text = printer("fields", is_hex=True)(RANGE)
    assert '"ClusterID" : ffffffffffffffff\n"MemberID" : 8000000000000000\n' in text
    assert '"Lease" : 000000000000001f\n' in text
    assert '"Key" : "foo"\n' in text


@pytest.mark.parametrize("output", ["table", "protobuf"])
def test_other_formats_are_bad_features(output: str) -> None:
    with pytest.raises(CommandError) as caught:
        printer(output)
    assert (caught.value.text, caught.value.code) == (f"{output} not supported as output format", ExitCode.BAD_FEATURE)


def test_ids_of_clusters_and_members_in_hex() -> None:
    header = ResponseHeader(cluster_id=255, member_id=2**64 - 1, revision=255, raft_term=255)
    status = StatusResponse(header=header, leader=255)
    assert to_json(status, ids_in_hex=True) == (
        '{"header":{"cluster_id":"ff","member_id":"ffffffffffffffff","revision":255,"raft_term":255},"leader":255}'
    )
