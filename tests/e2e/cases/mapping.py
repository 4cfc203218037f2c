"""How JSON values become the fields of a message: http.md section 2, first table.

Bodies are written out, since their form is the subject: Zm9v is foo, YmFy is bar.
"""

from tests.e2e.case import Case, Step
from tests.e2e.rpc import PUT, RANGE, TXN, get, post, put

STORE = [put(b"foo", b"bar"), put(b"g"), put(b"\xff\xef", b"odd"), put(b"a", b"1")]
ALL = '"key":"AA==","range_end":"AA=="'


def _ranges(*fields: str) -> list[Step]:
    """Read the whole store with one more field each."""
    return [post(RANGE, f"{{{ALL},{field}}}".encode()) for field in fields]


def _keys(*values: str) -> list[Step]:
    return [post(RANGE, f'{{"key":{value}}}'.encode()) for value in values]


def _bodies(path: str, *bodies: str) -> list[Step]:
    return [post(path, body.encode()) for body in bodies]


NUMBERS = [
    Case(
        "int64 as number and string",
        [*STORE, *_ranges('"limit":1', '"limit":"1"', '"limit":"-1"', '"limit":-1')],
        rows=("http-2-int64",),
    ),
    Case(
        "int64 with a point or exponent",
        [*STORE, *_ranges('"limit":1.0', '"limit":1e0', '"limit":"1e0"', '"limit":10e-1')],
        rows=("http-2-int64",),
    ),
    Case("int64 in a string with a point", [*STORE, *_ranges('"limit":"1.0"', '"limit":"2.00"', '"limit":"1E0"')]),
    Case(
        "int64 with a fraction",
        [*STORE, *_ranges('"limit":1.5', '"limit":"1.5"', '"limit":1e-1')],
        rows=("http-2-int64", "http-2-body-fraction"),
    ),
    Case(
        "int64 that is no number",
        [*STORE, *_ranges('"limit":"abc"', '"limit":""', '"limit":" 1"', '"limit":"1 "', '"limit":"0x1"')],
    ),
    Case("int64 of another type", [*STORE, *_ranges('"limit":true', '"limit":[1]', '"limit":{}', '"limit":["1"]')]),
    Case(
        "int64 at its bounds",
        [
            *STORE,
            *_ranges(
                '"limit":9223372036854775807', '"limit":"-9223372036854775808"', '"limit":9.223372036854775807e18'
            ),
        ],
        rows=("http-2-int64",),
    ),
    Case(
        "int64 out of bounds",
        [
            *STORE,
            *_ranges('"limit":9223372036854775808', '"limit":"-9223372036854775809"', '"limit":1e19', '"limit":1e400'),
        ],
        rows=("http-2-int64",),
    ),
    Case(
        "int64 in odd spellings",
        [*STORE, *_ranges('"limit":01', '"limit":+1', '"limit":-0', '"limit":1.', '"limit":"01"', '"limit":"+1"')],
    ),
    Case(
        "int64 that is not finite",
        [*STORE, *_ranges('"limit":NaN', '"limit":"NaN"', '"limit":Infinity', '"limit":"-Infinity"')],
    ),
    Case(
        "lease in words",
        [
            *_bodies(
                PUT, '{"key":"Zm9v","lease":"12345"}', '{"key":"Zm9v","lease":"0"}', '{"key":"Zm9v","lease":1.2345e4}'
            )
        ],
    ),
]

BYTES = [
    Case("bytes with padding", [*STORE, *_keys('"Zm9v"', '"Zw=="', '"YQ=="')], rows=("http-2-bytes",)),
    Case("bytes without padding", [*STORE, *_keys('"Zw"', '"YQ"', '"Zm9"')], rows=("http-2-bytes",)),
    Case("bytes in both alphabets", [*STORE, *_keys('"/+8="', '"_-8="', '"/+8"', '"_-8"')], rows=("http-2-bytes",)),
    Case("bytes in mixed alphabets", [*STORE, *_keys('"/-8="', '"_+8="')]),
    Case(
        "bytes with a line break",
        [*STORE, *_keys('"Zm\\n9v"', '"Zm9v\\n"', '"Zm\\r\\n9v"', '"Z\\ng=="')],
        rows=("http-2-bytes",),
    ),
    Case("bytes with a space", [*STORE, *_keys('"Zm 9v"', '" Zm9v"', '"Zm9v\\t"')]),
    Case(
        "bytes with wrong padding",
        [*STORE, *_keys('"Zm9v="', '"Zg="', '"Zg==="', '"Z==="', '"===="', '"="', '"Zm9v===="')],
    ),
    Case("bytes too short", [*STORE, *_keys('"Z"', '"Zm9vZ"')]),
    Case("bytes with padding inside", [*STORE, *_keys('"Zg==Zm9v"', '"Z=g="')]),
    Case("bytes with stray bits", [*STORE, *_keys('"YR=="', '"YX=="', '"YR"', '"Zm9"')]),
    Case(
        "bytes that are not base64",
        [*STORE, *_keys('"!!!!"', '"Zm9v!"', '"\u00e9\u00e9\u00e9\u00e9"', '"foo:"')],
        rows=("http-2-body-bytes",),
    ),
    Case("bytes of another type", [*STORE, *_keys("1", "true", "[]", "{}", '["Zm9v"]')], rows=("http-2-body-bytes",)),
    Case("bytes written in escapes", [*STORE, *_keys('"\\u005am9v"', '"\\/+8="', '"Zm9\\u0076"')]),
    Case("empty bytes", [*_bodies(PUT, '{"key":"","value":""}', '{"key":"Zm9v","value":""}'), get(b"foo")]),
]

ENUMS = [
    Case(
        "enum by name",
        [
            *STORE,
            *_ranges('"sort_order":"DESCEND"', '"sort_order":"NONE"', '"sort_target":"VALUE","sort_order":"ASCEND"'),
        ],
        rows=("http-2-enum",),
    ),
    Case(
        "enum by number",
        [*STORE, *_ranges('"sort_order":2', '"sort_order":0', '"sort_order":2.0', '"sort_order":2e0')],
        rows=("http-2-enum",),
    ),
    Case(
        "enum by an unknown name",
        [*STORE, *_ranges('"sort_order":"descend"', '"sort_order":"FOO"', '"sort_order":""')],
        rows=("http-2-enum",),
    ),
    Case(
        "enum by a number in a string",
        [*STORE, *_ranges('"sort_order":"2"', '"sort_target":"4"', '"sort_order":"99"')],
        rows=("http-2-enum",),
    ),
    Case("enum of another type", [*STORE, *_ranges('"sort_order":true', '"sort_order":[2]', '"sort_order":{}')]),
    Case(
        "enum with a fraction or out of bounds",
        [*STORE, *_ranges('"sort_order":1.5', '"sort_order":2147483648', '"sort_order":1e20')],
    ),
    Case(
        "enum by an unknown name beside a known one", [*STORE, *_ranges('"sort_target":"value","sort_order":"DESCEND"')]
    ),
]

BOOLEANS = [
    Case("bool", [*STORE, *_ranges('"keys_only":true', '"keys_only":false')], rows=("http-2-bool",)),
    Case(
        "bool in a string",
        [*STORE, *_ranges('"keys_only":"true"', '"keys_only":"false"', '"keys_only":""')],
        rows=("http-2-bool", "http-2-body-bool"),
    ),
    Case("bool as a number", [*STORE, *_ranges('"keys_only":1', '"keys_only":0')], rows=("http-2-bool",)),
    Case("bool of another type", [*STORE, *_ranges('"keys_only":[]', '"keys_only":{}', '"keysOnly":[true]')]),
    Case("bool in another spelling", [*STORE, *_ranges('"keys_only":True', '"keys_only":TRUE', '"keys_only":yes')]),
]

NULLS = [
    Case(
        "null for a scalar",
        [*STORE, *_ranges('"limit":null', '"keys_only":null', '"sort_order":null', '"min_mod_revision":null')],
        rows=("http-2-null",),
    ),
    Case("null for bytes", [*STORE, *_keys("null"), *_bodies(RANGE, '{"key":"YQ==","range_end":null}')]),
    Case(
        "null for a put's value",
        [*_bodies(PUT, '{"key":"Zm9v","value":null,"lease":null,"prev_kv":null}'), get(b"foo")],
    ),
    Case("null for a list", [*_bodies(TXN, '{"compare":null,"success":null,"failure":null}')]),
    Case(
        "null for a message",
        [*_bodies(TXN, '{"success":[{"request_range":null}]}', '{"success":[{"request_txn":null}]}')],
        rows=("http-2-null",),
    ),
    Case(
        "null in a list",
        [*_bodies(TXN, '{"compare":[null]}', '{"failure":[null]}', '{"success":[null]}'), get(b"foo")],
        rows=("http-2-null", "http-8-null-op"),
    ),
    Case(
        "null for a compare's value",
        [*STORE, *_bodies(TXN, '{"compare":[{"key":"Zm9v","target":"VALUE","value":null}]}')],
    ),
]

NAMES = [
    Case(
        "camelCase",
        [
            *STORE,
            *_bodies(RANGE, '{"key":"AA==","rangeEnd":"AA==","sortOrder":"DESCEND","keysOnly":true,"countOnly":false}'),
        ],
        rows=("http-2-field-names",),
    ),
    Case(
        "camelCase in a txn",
        [
            *STORE,
            *_bodies(
                TXN,
                '{"compare":[{"key":"Zm9v","target":"MOD","modRevision":"0","result":"GREATER","rangeEnd":""}],'
                '"success":[{"requestPut":{"key":"YQ==","prevKv":true}},{"requestRange":{"key":"YQ=="}},'
                '{"requestDeleteRange":{"key":"Zw==","rangeEnd":"aA==","prevKv":true}},{"requestTxn":{"success":[]}}]}',
            ),
        ],
        rows=("http-2-field-names",),
    ),
    Case(
        "another case of a name is unknown",
        [*STORE, *_bodies(RANGE, '{"Key":"Zm9v"}', '{"KEY":"Zm9v"}'), *_ranges('"Limit":1', '"limit_":1')],
        rows=("http-2-field-names",),
    ),
    Case(
        "mixed forms of a name are unknown",
        [*STORE, *_bodies(RANGE, '{"key":"YQ==","Range_End":"AA=="}', '{"key":"YQ==","range-end":"AA=="}')],
    ),
    Case(
        "a name written in escapes",
        [*STORE, *_bodies(RANGE, '{"\\u006bey":"Zm9v"}', '{"k\\u0065y":"Zm9v","l\\u0069mit":"1"}')],
    ),
    Case(
        "unknown fields",
        [*STORE, *_ranges('"foo":1', '"foo":"x"', '"foo":[1,{"a":null}]', '"foo":{"key":"!!"}', '"foo":null', '"":1')],
        rows=("http-2-unknown",),
    ),
    Case(
        "unknown fields further down",
        [*STORE, *_bodies(TXN, '{"success":[{"request_range":{"key":"Zm9v","x":[]},"y":{}}],"z":1}')],
        rows=("http-2-unknown",),
    ),
    Case("an unknown field twice", [*STORE, *_ranges('"foo":1,"foo":2', '"foo":{"a":1,"a":2}')]),
    Case("no field of the message but others", [*STORE, *_bodies(RANGE, '{"foo":"bar"}', '{"header":{}}')]),
    Case("the type field of Any", [*STORE, *_ranges('"@type":"type.googleapis.com/etcdserverpb.RangeRequest"')]),
]

DUPLICATES = [
    Case(
        "a field twice",
        [*STORE, *_bodies(RANGE, '{"key":"Zm9v","key":"YQ=="}', '{"key":"Zm9v","key":"Zm9v"}')],
        rows=("http-2-duplicate", "http-2-body-duplicate"),
    ),
    Case(
        "a field twice in both forms",
        [*STORE, *_ranges('"rangeEnd":"AA=="', '"keys_only":true,"keysOnly":true')],
        rows=("http-2-duplicate",),
    ),
    Case(
        "a field twice, once null", [*STORE, *_bodies(RANGE, '{"key":null,"key":"Zm9v"}', '{"key":"Zm9v","key":null}')]
    ),
    Case(
        "a field twice at its default", [*STORE, *_ranges('"limit":0,"limit":0', '"keys_only":false,"keys_only":false')]
    ),
    Case("a list twice", [*_bodies(TXN, '{"success":[],"success":[]}', '{"compare":[],"compare":[]}')]),
    Case(
        "a field twice further down",
        [*_bodies(TXN, '{"success":[{"request_put":{"key":"Zm9v","key":"Zm9v"}}]}'), get(b"foo")],
    ),
    Case("colons in values", [*_bodies(PUT, '{"key":"Zm9v","value":"Ojo6","x":"a:b:c"}'), get(b"foo")]),
]

ONEOFS = [
    Case(
        "two operations in one",
        [*_bodies(TXN, '{"success":[{"request_put":{"key":"Zm9v"},"request_range":{"key":"Zm9v"}}]}'), get(b"foo")],
        rows=("http-2-oneof", "http-2-body-oneof"),
    ),
    Case(
        "two operations, one null",
        [*_bodies(TXN, '{"success":[{"request_put":{"key":"Zm9v"},"request_range":null}]}'), get(b"foo")],
    ),
    Case(
        "two operations in both forms",
        [*_bodies(TXN, '{"success":[{"request_put":{"key":"Zm9v"},"requestTxn":{}}]}'), get(b"foo")],
    ),
    Case(
        "an operation twice",
        [*_bodies(TXN, '{"success":[{"request_put":{"key":"Zm9v"},"request_put":{"key":"YQ=="}}]}'), get(b"foo")],
    ),
    Case(
        "two values of a compare",
        [*_bodies(TXN, '{"compare":[{"key":"Zm9v","version":1,"mod_revision":1}]}')],
        rows=("http-2-oneof",),
    ),
    Case("two values of a compare at 0", [*_bodies(TXN, '{"compare":[{"key":"Zm9v","version":0,"value":""}]}')]),
    Case(
        "two values of a compare, one null",
        [*STORE, *_bodies(TXN, '{"compare":[{"key":"Zm9v","version":1,"value":null}]}')],
    ),
]

MESSAGES = [
    Case(
        "a list where a message belongs",
        [*_bodies(TXN, '{"success":[[]]}', '{"success":[{"request_put":[]}]}', '{"success":["x"]}')],
    ),
    Case(
        "a message where a list belongs",
        [*_bodies(TXN, '{"success":{}}', '{"compare":"x"}', '{"compare":1}', '{"failure":true}')],
    ),
    Case(
        "a scalar where a message belongs",
        [*_bodies(TXN, '{"success":[{"request_put":1}]}', '{"success":[{"request_range":"x"}]}')],
    ),
    Case("the first fault is told", [*_bodies(RANGE, '{"key":"!!","limit":"x"}', '{"limit":"x","key":"!!"}')]),
]

CASES = [*NUMBERS, *BYTES, *ENUMS, *BOOLEANS, *NULLS, *NAMES, *DUPLICATES, *ONEOFS, *MESSAGES]
