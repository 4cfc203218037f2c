"""What a request body may be: http.md section 2, body rules and second table."""

from tests.e2e.case import ANY_TEXT, Case, Step, refused
from tests.e2e.rpc import DELETE_RANGE, PUT, RANGE, TXN, get, get_all, post, put

STORE = [put(b"foo", b"bar")]
FOO = b'{"key":"Zm9v"}'

TOO_DEEP = refused("nesting is bounded at 500 levels", "design 12", 400, 3, ANY_TEXT)


def _bodies(*bodies: bytes) -> list[Step]:
    return [post(RANGE, body) for body in bodies]


def _nested(levels: int) -> bytes:
    return b'{"key":"Zm9v","x":' + b"[" * levels + b"]" * levels + b"}"


EMPTY = [
    Case(
        "no body",
        [post(RANGE, None), post(PUT, None), post(DELETE_RANGE, None), post(TXN, None)],
        rows=("http-2-body-empty",),
    ),
    Case(
        "an empty body",
        [post(RANGE, b""), post(PUT, b""), post(DELETE_RANGE, b""), post(TXN, b"")],
        rows=("http-2-body-empty",),
    ),
    Case("white space", [post(RANGE, b" \n\t\r "), post(TXN, b"\n\n"), post(PUT, b" ")], rows=("http-2-body-empty",)),
    Case("an empty object", [post(RANGE, b"{}"), post(PUT, b"{ }"), post(TXN, b"{\n}")], rows=("http-2-body-empty",)),
]

FIRST_VALUE = [
    Case(
        "something after the object",
        [*STORE, *_bodies(FOO + b"garbage", FOO + b"}", FOO + b"]]]", FOO + b"\0")],
        rows=("http-2-first-value",),
    ),
    Case(
        "a second object",
        [*STORE, *_bodies(FOO + FOO, FOO + b'\n{"key":1}', FOO + b" null")],
        rows=("http-2-first-value",),
    ),
    Case("a second object of a put", [post(PUT, b'{"key":"YQ=="}{"key":"Yg=="}'), get_all()]),
    Case("bytes that are not UTF-8 after the object", [*STORE, *_bodies(FOO + b"\xff\xfe")]),
    Case("white space around", [*STORE, *_bodies(b" \r\n\t" + FOO + b"\n", b'{ "key" :\n"Zm9v" ,\t"limit" : 1 }')]),
    Case("an empty object, then garbage", [post(TXN, b"{}}"), post(TXN, b'{}{"success":[null]}')]),
]

OTHER_VALUES = [
    Case("null", _bodies(b"null"), rows=("http-2-body-other", "http-2-null")),
    Case("a list", _bodies(b"[]", b"[" + FOO + b"]"), rows=("http-2-body-other",)),
    Case("a string", _bodies(b'"x"', b'""'), rows=("http-2-body-other",)),
    Case("a number", _bodies(b"1", b"-1.5e3"), rows=("http-2-body-other",)),
    Case("a boolean", _bodies(b"true", b"false")),
    Case("null for a put and a txn", [post(PUT, b"null"), post(TXN, b"null"), post(TXN, b"[]")]),
]

BROKEN = [
    Case("cut off after a value", _bodies(b'{"key":"Zm9v"'), rows=("http-2-body-truncated",)),
    Case(
        "cut off in a value",
        _bodies(b'{"key":"Zm', b'{"key":"Zm9v","limit":1', b'{"key":tr'),
        rows=("http-2-body-truncated",),
    ),
    Case("cut off after a name", _bodies(b'{"key"', b'{"key":', b'{"ke')),
    Case("cut off at the start", _bodies(b"{", b"[", b'"')),
    Case("cut off after a comma", _bodies(b'{"key":"Zm9v",')),
    Case("a comma too many", _bodies(b'{"key":"Zm9v",}', b'{,"key":"Zm9v"}', b'{"key":"Zm9v",,"limit":1}')),
    Case("no comma", _bodies(b'{"key":"Zm9v" "limit":1}')),
    Case("a form", _bodies(b"key=foo", b"key=Zm9v&limit=1"), rows=("http-2-body-form",)),
    Case("single quotes", _bodies(b"{'key':'Zm9v'}", b"{\"key\":'Zm9v'}"), rows=("http-2-body-quotes",)),
    Case("no quotes", _bodies(b'{key:"Zm9v"}', b'{"key":Zm9v}')),
    Case("a comment", _bodies(b'{"key":"Zm9v"/* foo */}', b"// foo\n{}")),
    Case("a byte order mark", _bodies(b"\xef\xbb\xbf" + FOO)),
    Case("UTF-16", _bodies(FOO.decode().encode("utf-16"), FOO.decode().encode("utf-16-le"))),
    Case("a stray zero byte", _bodies(b'{"key":"Zm9v"\0}', b"\0" + FOO, b'{"key":"Zm\x009v"}')),
    Case(
        "a control character in a string", _bodies(b'{"key":"Zm\n9v"}', b'{"x":"\x01","key":"Zm9v"}', b'{"x":"\x7f"}')
    ),
    Case("a bad escape", _bodies(b'{"key":"\\x"}', b'{"key":"\\u12"}', b'{"key":"\\u12zz"}', b'{"x":"\\')),
    Case(
        "a lone surrogate",
        _bodies(b'{"key":"Zm9v","x":"\\ud800"}', b'{"key":"\\ud800"}', b'{"\\udc00":1,"key":"Zm9v"}'),
    ),
    Case(
        "surrogates in order",
        [*STORE, *_bodies(b'{"key":"Zm9v","x":"\\ud83d\\ude00"}', b'{"key":"Zm9v","\\ud83d\\ude00":1}')],
    ),
    Case(
        "not UTF-8 in a known field",
        _bodies(b'{"key":"\xff\xfe"}', b'{"key":"Zm9v","range_end":"\xc3"}'),
        rows=("http-2-body-utf8", "http-2-string"),
    ),
    Case(
        "not UTF-8 in an unknown field",
        _bodies(b'{"key":"Zm9v","x":"\xff"}', b'{"x":["\xc3\x28"],"key":"Zm9v"}'),
        rows=("http-2-string", "http-2-body-utf8"),
    ),
    Case("not UTF-8 in a name", _bodies(b'{"\xff":1,"key":"Zm9v"}')),
    Case(
        "UTF-8 in an unknown field",
        [*STORE, *_bodies('{"key":"Zm9v","é":"ü\u2028\U0001f600"}'.encode())],
        rows=("http-2-string",),
    ),
    Case(
        "a broken put stores nothing",
        [post(PUT, b'{"key":"YQ==","value":"Yg=="'), post(PUT, b'{"key":"YQ==","value":"Yg==",'), get_all()],
    ),
]

NESTING = [
    Case("some nesting in an unknown field", [*STORE, *_bodies(_nested(100), _nested(400))]),
    Case("over 500 levels", [*STORE, post(RANGE, _nested(600)).differs(TOO_DEEP), get(b"foo")]),
    Case("over 500 levels of objects", [*STORE, post(RANGE, b'{"x":' * 600 + b"1" + b"}" * 600).differs(TOO_DEEP)]),
    Case(
        "100,000 levels",
        [
            *STORE,
            post(RANGE, _nested(100_000)),
            post(RANGE, b"[" * 100_000),
            post(RANGE, b'{"a":' * 50_000),
            get(b"foo"),
        ],
    ),
]

CASES = [*EMPTY, *FIRST_VALUE, *OTHER_VALUES, *BROKEN, *NESTING]
