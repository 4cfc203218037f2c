import shutil
import subprocess

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families as parse

from gateway.exposition import render
from gateway.limits import in_thread
from gateway.metrics import GRPC_BOUNDS, Metrics, register_process_metrics
from raftgate.api.errors import Code
from raftgate.api.services import RPCS
from tests.fakes.backend import FakeBackend
from tests.fakes.gateway import PUT, RANGE, Gateway

PUT_LABELS = {"grpc_service": "etcdserverpb.KV", "grpc_method": "Put", "grpc_type": "unary"}


def test_every_rpc_is_there_at_zero() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    for rpc in RPCS:
        labels = {"grpc_service": rpc.service, "grpc_method": rpc.method, "grpc_type": rpc.kind.value}
        assert registry.get_sample_value("grpc_server_started_total", labels) == 0
        assert registry.get_sample_value("grpc_server_handled_total", {**labels, "grpc_code": "OK"}) == 0
        assert registry.get_sample_value("grpc_server_msg_received_total", labels) == 0
        assert registry.get_sample_value("grpc_server_msg_sent_total", labels) == 0


def test_kv_methods_have_all_codes_by_their_camel_case_names() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    names = ["OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists",
             "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented",
             "Internal", "Unavailable", "DataLoss", "Unauthenticated"]  # fmt: skip
    assert len(names) == len(Code)
    for name in names:
        assert registry.get_sample_value("grpc_server_handled_total", {**PUT_LABELS, "grpc_code": name}) == 0


def test_handling_seconds_has_grpcs_bounds() -> None:
    metrics = Metrics(CollectorRegistry())
    family = next(f for f in metrics.collect() if f.name == "grpc_server_handling_seconds")
    bounds = [s.labels["le"] for s in family.samples if s.name.endswith("_bucket") and s.labels["grpc_method"] == "Put"]
    assert [float(bound) for bound in bounds] == [*GRPC_BOUNDS, float("inf")]


@pytest.mark.anyio
async def test_a_put_is_counted_once_everywhere() -> None:
    gateway = Gateway()
    response = await gateway.post("/v3/kv/put", PUT)
    received, sent = len(response.request.content), len(response.content)
    assert gateway.sample("grpc_server_started_total", **PUT_LABELS) == 1
    assert gateway.sample("grpc_server_handled_total", **PUT_LABELS, grpc_code="OK") == 1
    assert gateway.sample("grpc_server_msg_received_total", **PUT_LABELS) == 1
    assert gateway.sample("grpc_server_msg_sent_total", **PUT_LABELS) == 1
    assert gateway.sample("grpc_server_handling_seconds_count", **PUT_LABELS) == 1
    assert gateway.sample("etcd_network_client_grpc_received_bytes_total") == received
    assert gateway.sample("etcd_network_client_grpc_sent_bytes_total") == sent
    assert gateway.sample("etcd_server_client_requests_total", type="unary", client_api_version="unknown") == 1
    route = {"route": "/v3/kv/put"}
    assert gateway.sample("raftgate_http_requests_total", **route, method="POST", status="200") == 1
    assert gateway.sample("raftgate_http_request_duration_seconds_count", **route, status_class="2xx") == 1
    assert gateway.sample("raftgate_http_request_size_bytes_sum", **route) == received
    assert gateway.sample("raftgate_http_response_size_bytes_sum", **route) == sent
    assert gateway.sample("raftgate_http_requests_in_flight", role="gateway") == 0


@pytest.mark.anyio
async def test_labels_never_hold_what_a_client_wrote() -> None:
    gateway = Gateway()
    await gateway.get("/metrics")
    await gateway.request("WHATEVER", "/some/path")
    before = len((await gateway.get("/metrics")).text.splitlines())
    for i in range(50):
        await gateway.request(f"M{i}", f"/path/{i}")
        await gateway.request(f"M{i}", f"/v3/path/{i}")
        await gateway.post(f"/v3/kv/{i}", RANGE)
    text = (await gateway.get("/metrics")).text
    assert len(text.splitlines()) - before < 10
    assert 'route="other",status="404"' in text
    assert "path/1" not in text


@pytest.mark.peer
@pytest.mark.anyio
async def test_promtool_parses_a_scrape_and_blames_only_etcds_names() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    backend = FakeBackend()
    gateway = Gateway(backend)
    register_process_metrics(gateway.options.metrics.registry)
    await gateway.post("/v3/kv/put", PUT)
    for path in ("/health", "/readyz", "/livez", "/nope"):
        await gateway.get(path)
    scrape = (await gateway.get("/metrics")).content
    result = await in_thread(
        subprocess.run, [promtool, "check", "metrics"], input=scrape, capture_output=True, check=False
    )
    remarks = result.stderr.decode().splitlines()
    assert result.returncode in (0, 3), remarks
    assert all(remark.startswith("etcd_server_health_") for remark in remarks), remarks


def test_process_families_have_etcds_names() -> None:
    registry = CollectorRegistry()
    register_process_metrics(registry)
    names = {family.name for family in parse(render(registry, "", "").body.decode())}
    assert {"process_open_fds", "process_max_fds", "process_resident_memory_bytes", "process_start_time_seconds",
            "process_virtual_memory_bytes", "os_fd_used", "os_fd_limit", "python_info"} <= names  # fmt: skip
