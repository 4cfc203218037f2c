"""Request and response headers: http.md section 3."""

from tests.e2e.case import Case, Step
from tests.e2e.rpc import PUT, RANGE, get, get_all, post, put

STORE = [put(b"foo", b"bar")]
FOO = b'{"key":"Zm9v"}'
LISTED = ("--cors=http://a.example:80,https://b.example:443", "--host-whitelist=127.0.0.1,good.example")


def _read(**headers: str) -> Step:
    return post(RANGE, FOO).with_headers(**headers)


def _each(name: str, *values: str) -> list[Step]:
    return [_read(**{name: value}) for value in values]


ANY = [
    Case(
        "every Content-Type",
        [*STORE, *_each("Content_Type", "application/json", "text/plain", "application/x-www-form-urlencoded", "x")],
        rows=("http-1-content-type",),
    ),
    Case(
        "a form's body under its type",
        [post(RANGE, b"key=foo").with_headers(Content_Type="application/x-www-form-urlencoded")],
        rows=("http-1-content-type",),
    ),
    Case(
        "a charset",
        [*STORE, *_each("Content_Type", "application/json; charset=latin-1", "multipart/form-data; boundary=x")],
    ),
    Case(
        "gRPC's Content-Type on HTTP/1.1", [*STORE, *_each("Content_Type", "application/grpc-web", "application/grpc")]
    ),
    Case(
        "every Accept",
        [*STORE, *_each("Accept", "*/*", "text/html", "application/xml;q=0.9", "x")],
        rows=("http-1-content-type",),
    ),
    Case(
        "no compression of an RPC",
        [*STORE, *_each("Accept_Encoding", "gzip", "gzip, deflate, br", "identity;q=0")],
        rows=("http-3-rpc",),
    ),
    Case(
        "a chunked body",
        [*STORE, _read(Transfer_Encoding="chunked"), post(RANGE, b"").with_headers(Transfer_Encoding="chunked")],
    ),
    Case(
        "a chunked put",
        [post(PUT, b'{"key":"Zm9v","value":"YmFy"}').with_headers(Transfer_Encoding="chunked"), get(b"foo")],
    ),
    Case("Expect", [*STORE, _read(Expect="100-continue")]),
    Case("Connection: close", [*STORE, _read(Connection="close"), _read(Connection="keep-alive"), get(b"foo")]),
    Case(
        "headers that nobody knows", [*STORE, _read(X_Request_Id="1", Cookie="a=b", Forwarded="for=x", User_Agent="")]
    ),
    Case("a method override is not looked at", [*STORE, _read(X_HTTP_Method_Override="GET")]),
]

TOKENS = [
    Case(
        "Authorization while auth is off",
        [*STORE, *_each("Authorization", "garbage", "Bearer garbage", "Basic Zm9vOmJhcg==", "")],
        rows=("http-3-authorization-off",),
    ),
    Case(
        "tokens in gRPC metadata while auth is off",
        [*STORE, _read(Grpc_Metadata_Token="x"), _read(Grpc_Metadata_Authorization="x")],
        rows=("http-3-metadata-token",),
    ),
    Case("a plain Token", [*STORE, _read(Token="x")], rows=("http-3-metadata-token",)),
    Case(
        "gRPC metadata that nobody knows",
        [*STORE, _read(Grpc_Metadata_Foo="bar", Grpc_Metadata_Client_Api_Version="3.6")],
    ),
]

DEADLINES = [
    Case(
        "Grpc-Timeout",
        [*STORE, *_each("Grpc_Timeout", "5S", "1H", "5M", "5000m", "5000000u")],
        rows=("http-3-timeout",),
    ),
    Case("Grpc-Timeout 0 is none", [*STORE, *_each("Grpc_Timeout", "0S", "0n", "00S")], rows=("http-3-timeout",)),
    Case(
        "Grpc-Timeout malformed",
        [*STORE, *_each("Grpc_Timeout", "xx", "5", "S", "5s", "5SS", "5.5S", " 5S", "5 S")],
        rows=("http-3-timeout",),
    ),
    Case("Grpc-Timeout empty", [*STORE, *_each("Grpc_Timeout", "")]),
    Case("Grpc-Timeout negative", [*STORE, *_each("Grpc_Timeout", "-5S")]),
    Case("Grpc-Timeout with many digits", [*STORE, *_each("Grpc_Timeout", "99999999S", "123456789S")]),
    Case(
        "Grpc-Timeout passed",
        [*STORE, *_each("Grpc_Timeout", "1n")],
        rows=("http-3-timeout", "http-5-DeadlineExceeded"),
    ),
    Case(
        "Grpc-Timeout on a bad request",
        [post(RANGE, b'{"key":1}').with_headers(Grpc_Timeout="xx"), post(RANGE).with_headers(Grpc_Timeout="5S")],
    ),
    Case(
        "Grpc-Timeout on other methods",
        [Step("GET", RANGE, None, {"Grpc-Timeout": "xx"}), Step("POST", "/v3/x", b"", {"Grpc-Timeout": "xx"})],
    ),
    Case("a put whose deadline is malformed", [post(PUT, FOO).with_headers(Grpc_Timeout="xx"), get_all()]),
]

LEADER = [
    Case("Hasleader", [*STORE, *_each("Grpc_Metadata_Hasleader", "true", "false", "")]),
]

ORIGINS = [
    Case(
        "every origin",
        [
            *STORE,
            _read(Origin="http://x.example"),
            _read(Origin="null"),
            Step("OPTIONS", RANGE, None, {"Origin": "http://x"}),
        ],
    ),
    Case(
        "a preflight",
        [
            Step(
                "OPTIONS",
                PUT,
                None,
                {
                    "Origin": "http://x.example",
                    "Access-Control-Request-Method": "POST",
                    "Access-Control-Request-Headers": "x-foo",
                },
            )
        ],
    ),
    Case(
        "a listed origin",
        [*STORE, _read(Origin="http://a.example:80"), _read(Origin="https://b.example:443")],
        LISTED,
        rows=("http-3-cors-list",),
    ),
    Case(
        "an origin not listed",
        [*STORE, _read(Origin="http://c.example:80"), _read(Origin="http://a.example"), _read(Origin="*")],
        LISTED,
        rows=("http-3-cors-list",),
    ),
    Case("no origin where some are listed", [*STORE, _read()], LISTED, rows=("http-3-cors-list",)),
    Case(
        "origins on other paths",
        [
            *[
                Step("GET", path, None, {"Origin": "http://a.example:80"})
                for path in ("/health", "/nothing", "/v3/nothing")
            ],
            *[
                Step("GET", path, None, {"Origin": "http://c.example:80"})
                for path in ("/health", "/nothing", "/v3/nothing")
            ],
            Step("OPTIONS", RANGE, None, {"Origin": "http://a.example:80"}),
            Step("OPTIONS", RANGE, None, {"Origin": "http://c.example:80"}),
            Step("OPTIONS", RANGE, None, {}),
        ],
        LISTED,
    ),
]

HOSTS = [
    Case("every host", [*STORE, *_each("Host", "x.example", "x.example:1", "127.0.0.1")]),
    Case(
        "a listed host",
        [*STORE, *_each("Host", "good.example", "good.example:2379", "127.0.0.1:1")],
        LISTED,
        rows=("http-3-host-list",),
    ),
    Case(
        "a host not listed",
        [*STORE, *_each("Host", "bad.example", "bad.example:2379", "www.good.example", "localhost")],
        LISTED,
        rows=("http-3-host-list",),
    ),
    Case("a host in another case", [*STORE, *_each("Host", "GOOD.example", "good.example.")], LISTED),
    Case(
        "a host not listed on other paths",
        [Step("GET", path, None, {"Host": "bad.example"}) for path in ("/health", "/version", "/x")],
        LISTED,
    ),
    Case("OPTIONS from a host not listed", [Step("OPTIONS", RANGE, None, {"Host": "bad.example"})], LISTED),
]

CASES = [*ANY, *TOKENS, *DEADLINES, *LEADER, *ORIGINS, *HOSTS]
