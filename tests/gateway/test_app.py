import pytest

from tests.fakes.gateway import RANGE, Gateway


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/metrics", "/health", "/livez", "/readyz", "/readyz/non_learner"])
async def test_a_metrics_listener_serves_probes_without_cors(path: str) -> None:
    response = await Gateway(metrics_only=True).get(path)
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/version", "/debug/vars", "/v3/kv/range", "/v3/", "/"])
async def test_a_metrics_listener_serves_nothing_else(path: str) -> None:
    response = await Gateway(metrics_only=True).post(path, RANGE)
    assert response.status_code == 404


@pytest.mark.anyio
async def test_options_on_a_metrics_listener() -> None:
    gateway = Gateway(metrics_only=True)
    response = await gateway.request("OPTIONS", "/health")
    assert (response.status_code, response.headers["allow"]) == (405, "GET")
    assert (await gateway.request("OPTIONS", "/nope")).text == "404 page not found\n"
    assert (await gateway.request("HEAD", "/metrics")).status_code == 200


@pytest.mark.anyio
async def test_a_metrics_listener_takes_any_host() -> None:
    gateway = Gateway(metrics_only=True, host_whitelist=frozenset({"a"}))
    assert (await gateway.get("/livez", headers={"host": "10.0.0.1:2381"})).status_code == 200
