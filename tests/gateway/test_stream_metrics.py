from prometheus_client import CollectorRegistry

from gateway.metrics import Metrics
from gateway.stream_metrics import KINDS


def test_kinds_are_there_from_the_start() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    for kind in KINDS:
        assert registry.get_sample_value("raftgate_streams_open", {"kind": kind}) == 0
        assert registry.get_sample_value("raftgate_stream_events_total", {"kind": kind}) == 0
