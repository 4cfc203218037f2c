import gzip

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from gateway.exposition import CLASSIC, OPENMETRICS, is_bare, render
from gateway.metrics import Metrics, bare_counter


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Metrics(registry).health.health(success=True)
    Counter("own", "A library counter.", registry=registry).inc()
    Gauge("etcd_server_proposals_committed_total", "A gauge called total.", registry=registry).set(7)
    return registry


def test_classic_text_is_version_0_0_4(registry: CollectorRegistry) -> None:
    reply = render(registry, "text/plain;version=1.0.0,*/*", "")
    assert (b"content-type", CLASSIC) in reply.headers
    assert CLASSIC == b"text/plain; version=0.0.4; charset=utf-8"
    text = reply.body.decode()
    assert "_created" not in text
    assert "# TYPE etcd_server_health_success counter\netcd_server_health_success 1.0\n" in text
    assert "# TYPE etcd_server_health_failures counter\netcd_server_health_failures 0.0\n" in text
    assert "# TYPE etcd_server_proposals_committed_total gauge\n" in text
    assert "# TYPE own_total counter\nown_total 1.0\n" in text
    assert len({family.name for family in parse(text)}) > 10  # the whole of it parses


def test_openmetrics_when_asked_for(registry: CollectorRegistry) -> None:
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    reply = render(registry, accept, "")
    assert (b"content-type", OPENMETRICS) in reply.headers
    families = {family.name: family for family in parse_openmetrics(reply.body.decode())}  # type: ignore[no-untyped-call]  # the library's
    assert families["etcd_server_health_success"].type == "unknown"
    assert families["own"].type == "counter"


@pytest.mark.parametrize(
    ("accept_encoding", "compressed"),
    [("gzip", True), ("deflate, GZIP;q=0.5", True), ("", False), ("br", False), ("gzip;q=0", False)],
)
def test_gzip_when_asked_for(
    registry: CollectorRegistry,
    accept_encoding: str,
    compressed: bool,  # noqa: FBT001 - a column of a table
) -> None:
    reply = render(registry, "", accept_encoding)
    assert ((b"content-encoding", b"gzip") in reply.headers) is compressed
    text = gzip.decompress(reply.body) if compressed else reply.body
    assert text.startswith(b"# HELP")
    assert (b"content-length", b"%d" % len(reply.body)) in reply.headers


def test_bare_counters_are_told_by_their_samples() -> None:
    assert is_bare(bare_counter("etcd_server_learner_promote_successes", "x", 0))
    assert not any(is_bare(family) for family in Counter("a", "b").collect())
