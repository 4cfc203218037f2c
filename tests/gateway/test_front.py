import pytest
from starlette.types import Message, Scope

from gateway.front import clean_path
from tests.fakes.gateway import RANGE, Gateway


@pytest.mark.parametrize(
    ("path", "clean"),
    [
        (b"/", b"/"), (b"/v3/kv/range", b"/v3/kv/range"), (b"/v3//kv/range", b"/v3/kv/range"),
        (b"//health", b"/health"),
        (b"/v3/./kv", b"/v3/kv"), (b"/v3/../health", b"/health"), (b"/../../x", b"/x"), (b"/a/", b"/a/"),
        (b"/a//", b"/a/"), (b"/a/.", b"/a/"), (b"/a/b/..", b"/a/"), (b"/..", b"/"), (b"/a/.b/..c", b"/a/.b/..c"),
        (b"/v3", b"/v3/"), (b"//", b"/"),
    ],
)  # fmt: skip
def test_clean_path(path: bytes, clean: bytes) -> None:
    assert clean_path(path) == clean


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "location"),
    [
        pytest.param("/v3//kv/range", "/v3/kv/range", id="double-slash"),
        pytest.param("/v3//kv/range?x=1", "/v3/kv/range?x=1", id="query-kept"),
        pytest.param("/v3beta//kv/range", "/v3/kv/range", id="old-prefix-first"),
        pytest.param("/v3", "/v3/", id="v3-alone"),
    ],
)
async def test_unclean_paths_are_redirected_so_that_a_post_stays_one(path: str, location: str) -> None:
    response = await Gateway().post(path, RANGE)
    assert (response.status_code, response.headers["location"], response.content) == (307, location, b"")
    assert response.headers["access-control-allow-origin"] == "*"


@pytest.mark.anyio
async def test_a_redirected_get_shows_where_to_escaped() -> None:
    response = await Gateway().get('//health?"<&')
    assert response.status_code == 307
    assert response.text.startswith('<a href="/health?')
    assert "<&" not in response.text


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/v3beta/kv/range", 200, id="v3beta"),
        pytest.param("/v3alpha/kv/range", 404, id="v3alpha"),
        pytest.param("/v3/kv/%72ange", 200, id="escaped-letter"),
        pytest.param("/v3/kv%2Frange", 404, id="escaped-slash"),
        pytest.param("/v3/kv%2frange", 404, id="escaped-slash-lower"),
        pytest.param("/v3%2Fkv%2Frange", 404, id="escaped-slashes"),
        pytest.param("/v3/kv/range%0A", 404, id="escaped-newline"),
        pytest.param("/v3/kv/range%00", 404, id="escaped-nul"),
        pytest.param("/v3/kv/range%ff", 404, id="escaped-not-utf8"),
        pytest.param("/v3/kv/range/", 404, id="trailing-slash"),
        pytest.param("/v3/kv/range?key=x", 200, id="query-ignored"),
    ],
)
async def test_shape_of_rpc_paths(path: str, status: int) -> None:
    assert (await Gateway().post(path, RANGE)).status_code == status


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/", "/nope", "/v3/kv/range", "/v3/nope", "/health", "/metrics", "/v3//x"])
async def test_options_anywhere(path: str) -> None:
    gateway = Gateway()
    response = await gateway.request("OPTIONS", path)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == "0"
    assert response.headers["access-control-allow-methods"] == "POST, GET, OPTIONS, PUT, DELETE"
    assert response.headers["access-control-allow-headers"] == "accept, content-type, authorization"
    assert gateway.backend.calls == []


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/v3/kv/range", "/v3/nope", "/nope", "/health", "/version", "/metrics", "/v3//x"])
@pytest.mark.parametrize("method", ["POST", "GET", "HEAD", "PUT"])
async def test_every_answer_carries_the_cors_headers(method: str, path: str) -> None:
    response = await Gateway().request(method, path)
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["access-control-allow-methods"] == "POST, GET, OPTIONS, PUT, DELETE"
    assert response.headers["access-control-allow-headers"] == "accept, content-type, authorization"


@pytest.mark.anyio
@pytest.mark.parametrize(("origin", "echoed"), [("http://a:1", "http://a:1"), ("http://b:1", None), (None, None)])
async def test_listed_origins_are_echoed(origin: str | None, echoed: str | None) -> None:
    gateway = Gateway(cors=frozenset({"http://a:1"}))
    headers = {"origin": origin} if origin else {}
    for path in ("/v3/kv/range", "/nope", "/health"):
        response = await gateway.post(path, RANGE, headers=headers)
        assert response.headers.get("access-control-allow-origin") == echoed
        assert ("access-control-allow-methods" in response.headers) is (echoed is not None)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("example.org", 200), ("example.org:2379", 200), ("[::1]:2379", 200), ("[::1]", 200),
        ("evil.org", 421), ("evil.org:2379", 421), ("", 421), ("EXAMPLE.ORG", 421),
    ],
)  # fmt: skip
async def test_host_whitelist(host: str, status: int) -> None:
    gateway = Gateway(host_whitelist=frozenset({"example.org", "::1"}))
    for path in ("/v3/kv/range", "/nope", "/v3beta/kv/range"):
        response = await gateway.post(path, RANGE, headers={"host": host})
        if status == 421:
            assert response.status_code == 421
            assert response.headers["content-type"] == "text/plain; charset=utf-8"
            assert "--host-whitelist" in response.text
        else:
            assert response.status_code != 421
    assert len(gateway.backend.calls) == (0 if status == 421 else 2)


@pytest.mark.anyio
async def test_the_host_list_does_not_hold_for_tls() -> None:
    gateway = Gateway(host_whitelist=frozenset({"example.org"}))
    response = await gateway.client.post("https://evil.org/v3/kv/range", json=RANGE)
    assert response.status_code == 200


@pytest.mark.anyio
async def test_a_refused_websocket_on_a_server_that_cannot_say_why() -> None:
    gateway = Gateway(host_whitelist=frozenset({"good.example"}))
    scope: Scope = {
        "type": "websocket",
        "scheme": "ws",
        "path": "/v3/watch",
        "raw_path": b"/v3/watch",
        "headers": [(b"host", b"evil.example")],
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await gateway.app(scope, receive, send)
    assert sent == [{"type": "websocket.close"}]
