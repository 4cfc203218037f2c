import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftgate.config.urls import Url, parse_url, parse_urls


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:2379", Url("http", "127.0.0.1", 2379)),
        (" https://h.example:1 ", Url("https", "h.example", 1)),
        ("HTTP://H:1", Url("http", "H", 1)),
        ("http://[::1]:2379", Url("http", "::1", 2379)),
        ("http://:2379", Url("http", "", 2379)),
        ("http://1.1.1.1:", Url("http", "1.1.1.1", 0)),
        ("http://user:pw@1.1.1.1:5?q=1#f", Url("http", "1.1.1.1", 5)),
        ("unix:///run/x.sock", Url("unix", "/run/x.sock", 0)),
        ("unixs://localhost:7", Url("unixs", "localhost:7", 0)),
    ],
)
def test_urls_that_etcd_takes(text: str, url: Url) -> None:
    assert parse_url(text) == url


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("127.0.0.1:2379", 'parse "127.0.0.1:2379": first path segment in URL cannot contain colon'),
        (":2379", 'parse ":2379": missing protocol scheme'),
        ("://x", 'parse "://x": missing protocol scheme'),
        ("http://[::1:2379", "parse \"http://[::1:2379\": missing ']' in host"),
        ("http://1.1.1.1:abc", 'parse "http://1.1.1.1:abc": invalid port ":abc" after host'),
        ("http://[::1]x:1", 'parse "http://[::1]x:1": invalid port "x:1" after host'),
        ("http://a\x01:1", 'parse "http://a\\x01:1": net/url: invalid control character in URL'),
        ("localhost:2379", "URL scheme must be http, https, unix, or unixs: localhost:2379"),
        ("", "URL scheme must be http, https, unix, or unixs: "),
        ("http:1.1.1.1:1", 'URL address does not have the form "host:port": http:1.1.1.1:1'),
        ("http://h", 'URL address does not have the form "host:port": http://h'),
        ("http://1:2:3", 'URL address does not have the form "host:port": http://1:2:3'),
        ("http://[::1]", 'URL address does not have the form "host:port": http://[::1]'),
        ("http://h:1/", "URL must not contain a path: http://h:1/"),
    ],
)
def test_urls_that_etcd_refuses(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_url(text)
    assert str(caught.value) == reason


def test_a_list_is_sorted_and_each_url_once() -> None:
    urls = parse_urls("http://b:1,http://a:2,http://b:1")
    assert [str(url) for url in urls] == ["http://a:2", "http://b:1"]


def test_what_a_url_knows() -> None:
    assert str(Url("http", "::1", 1)) == "http://[::1]:1"
    assert Url("https", "h", 1).is_secure
    assert not Url("http", "h", 1).is_secure
    assert str(Url("unix", "/x", 0)) == "unix:///x"


@given(st.text())
def test_any_text_is_a_url_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        url = parse_url(text)
        assert str(parse_url(str(url))) == str(url)
