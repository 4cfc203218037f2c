"""Methods and paths: http.md section 1."""

from tests.e2e.case import ANY_TEXT, ANYTHING, Case, Difference, Expected, Like, Step
from tests.e2e.rpc import DELETE_RANGE, PUT, RANGE, TXN, get_all, post, put

FOO = b'{"key":"Zm9v"}'
STORE = [put(b"foo", b"bar")]
KV = (RANGE, PUT, DELETE_RANGE, TXN)

# RFC 3986 2.2. What etcd does hangs on the Go that it was built with: since 1.22 its router matches escaped segments.
ESCAPED = "an escaped slash is no separator"
UNWANTED: dict[str, Expected] = {"grpc-metadata-content-type": ANYTHING, "location": ANYTHING}
NO_SEPARATOR = Difference(
    ESCAPED,
    "design 14",
    404,
    {**UNWANTED, "content-type": "application/json"},
    {"error": "Not Found", "code": 5, "message": "Not Found"},
)
NO_SEPARATOR_ELSEWHERE = Difference(
    ESCAPED,
    "design 14",
    404,
    {**UNWANTED, "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"},
    "404 page not found\n",
)

UNKNOWN_METHOD = Difference(
    "the HTTP parser knows methods by a list, in capitals, and refuses the rest",
    "http.md 1",
    400,
    {"content-type": Like("text/plain.*")},
    ANY_TEXT,
)


def _each(method: str, *paths: str, body: bytes | None = None) -> list[Step]:
    return [Step(method, path, body) for path in paths]


CASES = [
    Case("GET", _each("GET", *KV), rows=("http-1-method", "http-4-body")),
    Case("PUT", [*_each("PUT", *KV, body=FOO), get_all()], rows=("http-1-method",)),
    Case("DELETE", [*STORE, *_each("DELETE", *KV, body=FOO), get_all()], rows=("http-1-method",)),
    Case("PATCH", _each("PATCH", *KV, body=FOO)),
    Case("HEAD", _each("HEAD", *KV), rows=("http-1-head",)),
    Case(
        "other methods",
        [
            *_each("TRACE", RANGE),
            *_each("PROPFIND", PUT),
            Step("FOO", RANGE).differs(UNKNOWN_METHOD),
            Step("post", RANGE, FOO).differs(UNKNOWN_METHOD),
        ],
    ),
    Case("GET with a query", [*STORE, *_each("GET", f"{RANGE}?key=Zm9v")]),
    Case("GET with a body", [*STORE, *_each("GET", RANGE, body=FOO)]),
    Case(
        "the query is not looked at",
        [*STORE, post(f"{RANGE}?key=YQ==", FOO), post(f"{RANGE}?key=Zm9v"), post(f"{RANGE}?", FOO)],
        rows=("http-1-query",),
    ),
    Case("a query that is none", [*STORE, post(f"{RANGE}?%zz=%", FOO), post(f"{RANGE}?a;b&&=", FOO)]),
    Case("OPTIONS on an RPC", _each("OPTIONS", *KV), rows=("http-1-options",)),
    Case(
        "OPTIONS elsewhere",
        _each("OPTIONS", "/", "/health", "/version", "/metrics", "/nothing", "/v3/nothing", "/v2/keys"),
        rows=("http-1-options",),
    ),
    Case(
        "unknown below /v3",
        _each("POST", "/v3/nothing", "/v3/kv/nothing", "/v3/kv", "/v3/", "/v3/kv/", body=b"{}"),
        rows=("http-1-unknown-v3", "http-4-body"),
    ),
    Case("unknown below /v3 by GET", _each("GET", "/v3/nothing", "/v3/kv", "/v3/")),
    Case(
        "unknown below /v3 by other methods",
        [*_each("PUT", "/v3/nothing"), *_each("HEAD", "/v3/nothing"), *_each("DELETE", "/v3/x/y")],
    ),
    Case("/v3 itself", [*_each("GET", "/v3"), *_each("POST", "/v3", body=b"{}")]),
    Case(
        "unknown elsewhere",
        _each("GET", "/", "/nothing", "/v2/keys", "/v2/members", "/v1", "/v3x/kv/range", "/favicon.ico"),
        rows=("http-1-unknown",),
    ),
    Case("unknown elsewhere by POST", _each("POST", "/", "/nothing", "/v2/keys/a", "/kv/range", body=FOO)),
    Case("unknown elsewhere by HEAD", _each("HEAD", "/", "/nothing")),
    Case("/v3alpha", _each("POST", "/v3alpha/kv/range", "/v3alpha/", body=FOO), rows=("http-1-v3beta",)),
    Case(
        "/v3beta",
        [*STORE, *_each("POST", "/v3beta/kv/range", "/v3beta/kv/put", body=FOO), *_each("GET", "/v3beta/kv/range")],
        rows=("http-1-v3beta",),
    ),
    Case("unknown below /v3beta", _each("POST", "/v3beta/nothing", "/v3beta/", "/v3beta", body=FOO)),
    Case(
        "a slash at the end",
        [*STORE, *_each("POST", *(f"{path}/" for path in KV), body=FOO), get_all()],
        rows=("http-1-trailing-slash",),
    ),
    Case(
        "two slashes",
        [*STORE, *_each("POST", "//v3/kv/range", "/v3//kv/range", "/v3/kv//range", body=FOO)],
        rows=("http-1-double-slash",),
    ),
    Case(
        "two slashes by GET",
        _each("GET", "//health", "//v3/kv/range", "/v3/kv//range", "//nothing"),
        rows=("http-1-double-slash",),
    ),
    Case("two slashes and a query", _each("POST", "/v3//kv/range?a=b&c", body=FOO)),
    Case(
        "dots",
        [*STORE, *_each("POST", "/v3/./kv/range", "/v3/x/../kv/range", "/../v3/kv/range", "/v3/kv/..", body=FOO)],
    ),
    Case("another case", _each("POST", "/V3/kv/range", "/v3/KV/range", "/v3/kv/Range", body=FOO)),
    Case("escapes", [*STORE, *_each("POST", "/v3/kv/%72ange", "/%763/kv/range", "/v3/kv/range%20", body=FOO)]),
    Case(
        "escaped slashes",
        [
            *STORE,
            Step("POST", "/v3%2Fkv/range", FOO).differs(NO_SEPARATOR_ELSEWHERE),
            Step("POST", "/v3/kv%2frange", FOO).differs(NO_SEPARATOR),
            Step("POST", "/%2Fv3/kv/range", FOO).differs(NO_SEPARATOR_ELSEWHERE),
            Step("POST", "/v3/%2Fkv/range", FOO).differs(NO_SEPARATOR),
        ],
    ),
    Case("something after an RPC", _each("POST", "/v3/kv/range:cancel", "/v3/kv/range/x", "/v3/kv/rangex", body=FOO)),
    Case(
        "aliases that do not exist",
        _each("POST", "/v3/kv/lease/grant", "/v3/kv/lease/keepalive", "/v3/kv/lease", body=b"{}"),
        rows=("http-1-unknown-v3",),
    ),
    Case(
        "the old name of put and delete", _each("POST", "/v3/kv/delete", "/v3/kv/get", "/v3/range", "/v3/put", body=FOO)
    ),
    Case("an absolute target", [*STORE, *_each("POST", "http://127.0.0.1/v3/kv/range", body=FOO)]),
    Case("a long path", _each("GET", "/" + "x" * 8000, "/v3/" + "x" * 8000)),
]
