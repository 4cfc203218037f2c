"""http.md section 2: what is accepted beside the usual form, and the texts of what is not."""

import pytest

from raftgate.api import json_tolerant
from raftgate.api.errors import InvalidArgument
from raftgate.api.kv import (
    Compare,
    PutRequest,
    RangeRequest,
    RequestOp,
    SortOrder,
    SortTarget,
    TxnRequest,
)
from raftgate.api.maintenance import AlarmRequest
from raftgate.api.message import Message

ACCEPTED: list[tuple[str, bytes, Message]] = [
    ("int as number", b'{"limit":5}', RangeRequest(limit=5)),
    ("int as string", b'{"limit":"5"}', RangeRequest(limit=5)),
    ("int 1.0", b'{"limit":1.0}', RangeRequest(limit=1)),
    ("int 1e0", b'{"limit":1e0}', RangeRequest(limit=1)),
    ("int 10e-1", b'{"limit":10e-1}', RangeRequest(limit=1)),
    ("int 0e999", b'{"limit":0e999999}', RangeRequest()),
    ("int string 1e0", b'{"limit":"1e0"}', RangeRequest(limit=1)),
    ("int least", b'{"limit":"-9223372036854775808"}', RangeRequest(limit=-(2**63))),
    ("uint largest", b'{"memberID":"18446744073709551615"}', AlarmRequest(memberID=2**64 - 1)),
    ("bytes without padding", b'{"key":"YQ"}', RangeRequest(key=b"a")),
    ("bytes url-safe", b'{"key":"-_8="}', RangeRequest(key=b"\xfb\xff")),
    ("bytes url-safe without padding", b'{"key":"-_8"}', RangeRequest(key=b"\xfb\xff")),
    ("bytes with a newline inside", b'{"key":"Zm\\n9v"}', RangeRequest(key=b"foo")),
    ("bytes with escaped slash", b'{"key":"\\/w=="}', RangeRequest(key=b"\xff")),
    ("bytes with newlines behind", b'{"key":"Zg==\\n\\n\\n\\n"}', RangeRequest(key=b"f")),
    ("bytes with bits behind the last byte", b'{"key":"Zh=="}', RangeRequest(key=b"f")),
    ("a surrogate pair", b'{"key":"Zg==","x":"\\ud83d\\ude00"}', RangeRequest(key=b"f")),
    ("an escaped backslash", b'{"key":"Zg==","x":"\\\\ud800"}', RangeRequest(key=b"f")),
    ("enum name", b'{"sort_order":"DESCEND"}', RangeRequest(sort_order=SortOrder.DESCEND)),
    ("enum number", b'{"sort_target":4}', RangeRequest(sort_target=SortTarget.VALUE)),
    ("enum unknown name", b'{"sort_order":"descend"}', RangeRequest()),
    ("enum digits in a string", b'{"sort_order":"2"}', RangeRequest()),
    ("enum unknown number", b'{"sort_target":99}', RangeRequest(sort_target=99)),
    ("enum negative number", b'{"sort_target":-1}', RangeRequest(sort_target=2**31 - 1)),
    ("null scalar", b'{"key":null,"limit":null,"serializable":null}', RangeRequest()),
    ("null message", b'{"success":[{"request_put":null}]}', TxnRequest(success=(RequestOp(),))),
    ("null list", b'{"success":null}', TxnRequest()),
    ("camelCase", b'{"rangeEnd":"YQ==","minModRevision":"3"}', RangeRequest(range_end=b"a", min_mod_revision=3)),
    ("unknown fields", b'{"a":[1,{"b":null}],"Key":"x","id":1,"key":"YQ=="}', RangeRequest(key=b"a")),
    ("white space", b' {\n "key" : "YQ==" ,\t"limit" : 1 } ', RangeRequest(key=b"a", limit=1)),
    ("trailing value", b'{"key":"YQ=="}{"key":"Yg=="}', RangeRequest(key=b"a")),
    ("trailing bad UTF-8", b'{"key":"YQ=="}\xff', RangeRequest(key=b"a")),
    ("empty lists", b'{"compare":[],"success":[ ]}', TxnRequest()),
    ("oneof null then set", b'{"version":null,"create_revision":"1"}', Compare(create_revision=1)),
    ("explicit zero in a oneof", b'{"version":"0"}', Compare(version=0)),
    ("escaped name", b'{"k\\u0065y":"YQ=="}', RangeRequest(key=b"a")),
]

REFUSED: list[tuple[str, type[Message], bytes, str]] = [
    ("null body", RangeRequest, b"null", "proto: syntax error (line 1:1): unexpected token null"),
    ("list body", RangeRequest, b"[]", "proto: syntax error (line 1:1): unexpected token ["),
    ("string body", RangeRequest, b'"x"', 'proto: syntax error (line 1:1): unexpected token "x"'),
    ("number body", RangeRequest, b"1", "proto: syntax error (line 1:1): unexpected token 1"),
    ("truncated", RangeRequest, b'{"key":"Zm9v"', "unexpected EOF"),
    ("truncated string", RangeRequest, b'{"key":"Zm9v', "unexpected EOF"),
    ("truncated after colon", RangeRequest, b'{"key":', "unexpected EOF"),
    ("form", RangeRequest, b"key=foo", "invalid character 'k' looking for beginning of value"),
    (
        "single quotes",
        RangeRequest,
        b"{'key':1}",
        "invalid character '\\'' looking for beginning of object key string",
    ),
    ("bad base64", RangeRequest, b'{"key":"!!!!"}', 'proto: (line 1:8): invalid value for bytes field key: "!!!!"'),
    ("too much padding", RangeRequest, b'{"key":"Zm9v===="}', "proto: (line 1:8): invalid value for bytes field key:"),
    ("padding alone", RangeRequest, b'{"key":"=="}', "proto: (line 1:8): invalid value for bytes field key:"),
    (
        "padding and newline",
        RangeRequest,
        b'{"key":"Zg=\\n="}',
        "proto: (line 1:8): invalid value for bytes field key:",
    ),
    ("a single letter", RangeRequest, b'{"key":"Z"}', "proto: (line 1:8): invalid value for bytes field key:"),
    ("mixed alphabets", RangeRequest, b'{"key":"-/8="}', "proto: (line 1:8): invalid value for bytes field key:"),
    ("enum beyond int32", RangeRequest, b'{"sort_order":2147483648}', "proto: (line 1:15): invalid value for enum"),
    ("half a surrogate pair", RangeRequest, b'{"key":"Zg==","x":"\\ud800"}', "proto: unexpected EOF"),
    ("half a pair in a name", RangeRequest, b'{"\\udc00":1}', "proto: unexpected EOF"),
    (
        "half a pair and a letter",
        RangeRequest,
        b'{"key":"Zm9v","x":["a",{"b":"\\ud800\\u0041"}]}',
        'proto: syntax error (line 1:29): invalid escape code "\\\\u0041" in string',
    ),
    ("number for bytes", RangeRequest, b'{"key":1}', "proto: (line 1:8): invalid value for bytes field key: 1"),
    ("object for bytes", RangeRequest, b'{"key":{}}', "proto: (line 1:8): invalid value for bytes field key: {"),
    (
        "fraction",
        RangeRequest,
        b'{"key":"Zm9v","limit":1.5}',
        "proto: (line 1:23): invalid value for int64 field limit: 1.5",
    ),
    ("int64 overflow", RangeRequest, b'{"limit":"9223372036854775808"}', "proto: (line 1:10): invalid value"),
    ("huge exponent", RangeRequest, b'{"limit":1e999999999}', "proto: (line 1:10): invalid value"),
    ("int with spaces", RangeRequest, b'{"limit":" 1"}', "proto: (line 1:10): invalid value"),
    ("int true", RangeRequest, b'{"limit":true}', "proto: (line 1:10): invalid value for int64 field limit: true"),
    ("NaN", RangeRequest, b'{"limit":NaN}', "invalid character 'N' looking for beginning of value"),
    ("uint64 negative", AlarmRequest, b'{"memberID":-1}', "proto: (line 1:13): invalid value for uint64"),
    ("uint64 overflow", AlarmRequest, b'{"memberID":18446744073709551616}', "proto: (line 1:13): invalid value"),
    (
        "bool as string",
        RangeRequest,
        b'{"key":"Zm9v","keys_only":"true"}',
        'proto: (line 1:27): invalid value for bool field keysOnly: "true"',
    ),
    (
        "bool as number",
        RangeRequest,
        b'{"keys_only":1}',
        "proto: (line 1:14): invalid value for bool field keysOnly: 1",
    ),
    (
        "enum fraction",
        RangeRequest,
        b'{"sort_order":1.5}',
        "proto: (line 1:15): invalid value for enum field sortOrder",
    ),
    ("enum bool", RangeRequest, b'{"sort_order":true}', "proto: (line 1:15): invalid value for enum field sortOrder"),
    ("duplicate", RangeRequest, b'{"key":"Zm9v","key":"Zm9v"}', 'proto: (line 1:15): duplicate field "key"'),
    ("null then set", RangeRequest, b'{"key":null,"key":"Zm9v"}', 'proto: (line 1:13): duplicate field "key"'),
    ("snake and camel", RangeRequest, b'{"range_end":"","rangeEnd":""}', "proto: (line 1:17): duplicate field"),
    (
        "two of a oneof",
        RequestOp,
        b'{"request_put":{},"request_range":{}}',
        'proto: (line 1:19): error parsing "request_range", oneof etcdserverpb.RequestOp.request is already set',
    ),
    ("two compare values", Compare, b'{"version":"1","value":"YQ=="}', "proto: (line 1:16): error parsing"),
    ("null in a list", TxnRequest, b'{"success":[null]}', "proto: syntax error (line 1:13): unexpected token null"),
    ("object for a list", TxnRequest, b'{"success":{}}', "proto: syntax error (line 1:12): unexpected token {"),
    ("text for a message", TxnRequest, b'{"success":["x"]}', 'proto: syntax error (line 1:13): unexpected token "x"'),
    (
        "bad UTF-8",
        RangeRequest,
        b'{"key":"Zm9v","x":"\xff"}',
        "proto: syntax error (line 1:20): invalid UTF-8 in string",
    ),
    ("second line", RangeRequest, b'{\n  "key": 1\n}', "proto: (line 2:10): invalid value for bytes field key: 1"),
    ("control character", RangeRequest, b'{"key":"a\nb"}', "invalid character"),
    ("bare word", RangeRequest, b'{"key":tru}', "invalid character 't' looking for beginning of value"),
    ("comma missing", RangeRequest, b'{"key":"YQ==" "limit":1}', "invalid character '\"' after object key:value pair"),
]


@pytest.mark.parametrize(("body", "message"), [row[1:] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
def test_accepted(body: bytes, message: Message) -> None:
    assert json_tolerant.decode(type(message), body) == message


@pytest.mark.parametrize(("cls", "body", "text"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(cls: type[Message], body: bytes, text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        json_tolerant.decode(cls, body)
    assert refused.value.text.startswith(text)


def test_an_unknown_name_of_an_enum_keeps_the_default() -> None:
    assert json_tolerant.decode(PutRequest, b'{"value":"YQ=="}') == PutRequest(value=b"a")
