import pytest

from gateway.cors import Cors

METHODS = (b"access-control-allow-methods", b"POST, GET, OPTIONS, PUT, DELETE")
HEADERS = (b"access-control-allow-headers", b"accept, content-type, authorization")


@pytest.mark.parametrize(
    ("allowed", "origin", "echoed"),
    [
        pytest.param({"*"}, None, b"*", id="star-no-origin"),
        pytest.param({"*"}, b"http://a:1", b"*", id="star-wins-over-origin"),
        pytest.param({"*", "http://a:1"}, b"http://a:1", b"*", id="star-among-others"),
        pytest.param(set(), b"http://a:1", b"*", id="empty-allows-all"),
        pytest.param({"http://a:1", "http://b:2"}, b"http://b:2", b"http://b:2", id="listed-is-echoed"),
        pytest.param({"http://a:1"}, b"http://b:2", None, id="unlisted-gets-none"),
        pytest.param({"http://a:1"}, None, None, id="list-no-origin"),
    ],
)
def test_origins(allowed: set[str], origin: bytes | None, echoed: bytes | None) -> None:
    request = [(b"host", b"x"), *([(b"origin", origin)] if origin else [])]
    headers = Cors(frozenset(allowed)).headers(request)
    expected = [] if echoed is None else [METHODS, HEADERS, (b"access-control-allow-origin", echoed)]
    assert sorted(headers) == sorted(expected)
