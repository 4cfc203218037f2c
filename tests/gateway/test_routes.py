import pytest

from raftgate.api.services import ELECTION, LOCK, RPCS, RpcKind
from tests.fakes.gateway import RANGE, Gateway

# What is a stream or made of several calls has tests of its own.
_PLAIN = [rpc for rpc in RPCS if rpc.kind is RpcKind.UNARY and rpc.service not in (LOCK, ELECTION)]
SERVED = [path for rpc in _PLAIN if rpc.request is not None for path in rpc.paths]
UNSERVED = [path for rpc in RPCS if rpc.request is None for path in rpc.paths]
PAGES = ["/health", "/livez", "/readyz", "/version", "/debug/vars"]
NOT_FOUND = {"error": "Not Found", "code": 5, "message": "Not Found"}
METHOD_NOT_ALLOWED = {"error": "Method Not Allowed", "code": 12, "message": "Method Not Allowed"}


@pytest.mark.anyio
@pytest.mark.parametrize("path", SERVED)
async def test_served_paths_answer_posts(path: str) -> None:
    response = await Gateway().post(path, b"{}")
    assert response.status_code == 200


@pytest.mark.anyio
@pytest.mark.parametrize("path", UNSERVED)
async def test_paths_of_rpcs_that_are_not_served(path: str) -> None:
    gateway = Gateway()
    response = await gateway.post(path, b"{}")
    assert response.status_code == 501
    assert response.json() == {"error": "not implemented", "code": 12, "message": "not implemented"}
    assert (await gateway.get(path)).json() == METHOD_NOT_ALLOWED


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "TRACE", "WHATEVER"])
async def test_other_methods_on_rpc_paths(method: str) -> None:
    gateway = Gateway()
    response = await gateway.request(method, "/v3/kv/range")
    assert response.status_code == 501
    assert response.headers["content-type"] == "application/json"
    assert response.json() == METHOD_NOT_ALLOWED
    assert gateway.backend.calls == []


@pytest.mark.anyio
async def test_head_on_an_rpc_path_has_no_body() -> None:
    response = await Gateway().request("HEAD", "/v3/kv/range")
    assert (response.status_code, response.content) == (501, b"")


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/v3/", "/v3/nope", "/v3/kv/lease/grant", "/v3/kv/lease/keepalive", "/v3/kv/range/x"])
async def test_unknown_paths_below_v3(method: str, path: str) -> None:
    response = await Gateway().request(method, path)
    assert (response.status_code, response.json()) == (404, NOT_FOUND)
    assert response.headers["content-type"] == "application/json"


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/", "/v2/keys", "/v3alpha/kv/range", "/v3beta", "/health/", "/livez/nope", "/V3/"])
async def test_unknown_paths_elsewhere(path: str) -> None:
    response = await Gateway().post(path, RANGE)
    assert (response.status_code, response.text) == (404, "404 page not found\n")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.anyio
@pytest.mark.parametrize("path", [*PAGES, "/livez/serializable_read", "/readyz/data_corruption"])
@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT", "DELETE"])
async def test_pages_know_get_only(method: str, path: str) -> None:
    response = await Gateway().request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, "GET")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.text == ("" if method == "HEAD" else "Method Not Allowed\n")


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
async def test_metrics_answer_any_method(method: str) -> None:
    response = await Gateway().request(method, "/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.anyio
async def test_metrics_tell_how_long_the_last_scrape_took() -> None:
    gateway = Gateway()
    await gateway.get("/metrics")
    assert (gateway.sample("raftgate_scrape_duration_seconds") or 0) > 0


@pytest.mark.anyio
async def test_version() -> None:
    gateway = Gateway(cluster_version=lambda: "3.6.0", raftgate_version="0.1.0")
    response = await gateway.get("/version")
    assert response.headers["content-type"] == "application/json"
    assert response.text == '{"etcdserver":"3.6.13","etcdcluster":"3.6.0","storage":"3.6.0","raftgate":"0.1.0"}'


@pytest.mark.anyio
async def test_version_while_the_cluster_has_not_decided() -> None:
    version = (await Gateway().get("/version")).json()
    assert (version["etcdcluster"], version["storage"]) == ("not_decided", "unknown")


@pytest.mark.anyio
async def test_debug_vars() -> None:
    response = await Gateway(debug_vars=lambda: {"raft.status": {"term": 1}}).get("/debug/vars")
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    variables = response.json()
    assert variables["raft.status"] == {"term": 1}
    assert variables["file_descriptor_limit"] > 0
    assert isinstance(variables["cmdline"], list)
