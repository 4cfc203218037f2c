from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sse_events import Position
from gateway.sse_query import Wish, accepts_events, parse_query, read_wish
from raftgate.api.errors import EmptyKey, InvalidArgument
from raftgate.api.watch import WatchCreateRequest, WatchFilter


def wish(query: str, **headers: str) -> Wish:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return read_wish(parse_query(query.encode()), None, raw)


def create(query: str) -> WatchCreateRequest:
    return wish(query).create


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("key=YQ==", WatchCreateRequest(key=b"a")),
        ("key=YQ", WatchCreateRequest(key=b"a")),
        ("encoding=utf8&key=a", WatchCreateRequest(key=b"a")),
        ("encoding=utf8&key=a+b%2Bc", WatchCreateRequest(key=b"a b+c")),
        ("encoding=utf8&key=%C3%BC", WatchCreateRequest(key="ü".encode())),
        ("key=YQ%3D%3D&range_end=Yg", WatchCreateRequest(key=b"a", range_end=b"b")),
        ("encoding=utf8&key=a&prefix=true", WatchCreateRequest(key=b"a", range_end=b"b")),
        ("encoding=utf8&key=a%FF&prefix", WatchCreateRequest(key=b"a\xff", range_end=b"b")),
        ("encoding=utf8&key=%FF&prefix=1", WatchCreateRequest(key=b"\xff", range_end=b"\0")),
        ("prefix=true", WatchCreateRequest(key=b"\0", range_end=b"\0")),
        ("range_end=AA", WatchCreateRequest(range_end=b"\0")),
        ("key=YQ&start_revision=7&prev_kv=true", WatchCreateRequest(key=b"a", start_revision=7, prev_kv=True)),
        ("key=YQ&start_revision=-7", WatchCreateRequest(key=b"a", start_revision=-7)),
        ("key=YQ&prev_kv=false&unknown=1&_=2", WatchCreateRequest(key=b"a")),
        ("key=YQ&filters=NOPUT", WatchCreateRequest(key=b"a", filters=(WatchFilter.NOPUT,))),
        (
            "key=YQ&filters=NOPUT,NODELETE",
            WatchCreateRequest(key=b"a", filters=(WatchFilter.NOPUT, WatchFilter.NODELETE)),
        ),
        (
            "key=YQ&filters=NOPUT&filters=NODELETE",
            WatchCreateRequest(key=b"a", filters=(WatchFilter.NOPUT, WatchFilter.NODELETE)),
        ),
    ],
)
def test_queries(query: str, expected: WatchCreateRequest) -> None:
    assert create(query) == expected


@given(st.binary(min_size=1), st.sampled_from([b64encode, urlsafe_b64encode]), st.booleans())
def test_any_key_in_base64_escaped_or_not(key: bytes, encode: object, escaped: bool) -> None:  # noqa: FBT001 - drawn
    assert callable(encode)
    text = encode(key).decode()
    assert create(f"key={quote(text, safe='') if escaped else text}").key == key


@given(st.binary(min_size=1))
def test_any_key_in_plain(key: bytes) -> None:
    assert create(f"encoding=utf8&key={quote(key, safe='')}").key == key


@pytest.mark.parametrize(
    "query",
    [
        "key=!!!",
        "key=YQ&key=Yg",
        "key=YQ&prefix=true&range_end=Yg",
        "key=YQ&prefix=yes",
        "key=YQ&start_revision=x",
        "key=YQ&start_revision=9223372036854775808",
        "key=YQ&start_revision=" + "9" * 5000,
        "key=YQ&filters=noput",
        "key=YQ&encoding=hex",
        "key=YQ&timeout=x",
        "key=YQ&timeout=-1",
        "key=YQ&timeout=1e3",
        "key=YQ&timeout=nan",
        "key=YQ&timeout=9999999999",
    ],
)
def test_bad_queries(query: str) -> None:
    with pytest.raises(InvalidArgument):
        wish(query)


@pytest.mark.parametrize("query", ["", "start_revision=1", "key="])
def test_a_key_is_needed(query: str) -> None:
    with pytest.raises(EmptyKey):
        wish(query)


@pytest.mark.parametrize(("text", "seconds"), [("25", 25.0), ("25s", 25.0), ("0.5", 0.5), ("0", 0.0)])
def test_the_time_after_which_the_stream_ends(text: str, seconds: float) -> None:
    assert wish(f"key=YQ&timeout={text}").seconds == seconds


@pytest.mark.parametrize(
    ("given_back", "start", "after"),
    [("7", 8, Position(7)), ("0", 1, Position(0)), ("7.2", 7, Position(7, 2)), (" 7 ", 8, Position(7)), ("", 3, None)],
)
def test_what_a_client_gives_back_decides_where_it_goes_on(given_back: str, start: int, after: Position | None) -> None:
    found = wish("key=YQ&start_revision=3", last_event_id=given_back)
    assert (found.create.start_revision, found.after) == (start, after)


@pytest.mark.parametrize("given_back", ["x", "7.", ".2", "-7", "7.2.1", "9223372036854775807", "\u0667"])
def test_an_id_that_was_never_given(given_back: str) -> None:
    with pytest.raises(InvalidArgument, match="Last-Event-ID"):
        wish("key=YQ", last_event_id=given_back)


def test_a_body_is_the_same_object_as_elsewhere() -> None:
    body = b'{"create_request":{"key":"YQ==","watch_id":7,"fragment":true,"filters":["NOPUT"],"progress_notify":true}}'
    found = read_wish(parse_query(b"encoding=utf8&timeout=3&key=Yg"), body, [])
    assert found.create == WatchCreateRequest(key=b"a", filters=(WatchFilter.NOPUT,), progress_notify=True)
    assert (found.utf8, found.seconds) == (True, 3.0)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"cancel_request":{}}', b"null", b"x", b'{"create_request":5}'])
def test_bad_bodies(body: bytes) -> None:
    with pytest.raises(InvalidArgument):
        read_wish({}, body, [])


@pytest.mark.parametrize(
    ("method", "accept", "wanted"),
    [
        ("GET", b"text/event-stream", True),
        ("POST", b"application/json, Text/Event-Stream;q=0.9", True),
        ("GET", b"*/*", False),
        ("HEAD", b"text/event-stream", False),
    ],
)
def test_who_asks_for_events(method: str, accept: bytes, wanted: bool) -> None:  # noqa: FBT001 - a column
    assert accepts_events({"method": method, "headers": [(b"accept", accept)]}) is wanted
    assert not accepts_events({"method": "GET", "headers": []})
