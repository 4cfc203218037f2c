"""Metrics of stores that are sent, received and installed, by etcd's names (etcd rafthttp/metrics.go)."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_BOUNDS: Final = tuple(0.1 * 2**step for step in range(10))


class Direction(Collector):
    """Transfers one way; labels are members' ids in hexadecimal."""

    def __init__(self, registry: CollectorRegistry, verb: str, label: str) -> None:
        self._prefix = f"etcd_network_snapshot_{verb}"
        self._label = label
        self._running: Counter[str] = Counter()
        self._ended: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
        name, text = f"{self._prefix}_total_duration_seconds", f"Total latency distributions of v3 snapshot {verb}s."
        self._duration = Histogram(name, text, (label,), buckets=_BOUNDS, registry=registry)
        registry.register(self)

    def began(self, member_id: int) -> None:
        """Counts a transfer as running."""
        self._running[f"{member_id:x}"] += 1

    def ended(self, member_id: int, seconds: float, *, ok: bool) -> None:
        """Counts a transfer that is over."""
        remote = f"{member_id:x}"
        self._running[remote] -= 1
        self._ended[ok][remote] += 1
        if ok:
            self._duration.labels(remote).observe(seconds)

    def collect(self) -> Iterable[Metric]:
        """The families whose counters lack the `_total` that the library insists on, and the gauge that has it."""
        running = GaugeMetricFamily(
            f"{self._prefix}_inflights_total", "Total number of inflight snapshots.", labels=[self._label]
        )
        for remote, count in self._running.items():
            running.add_metric([remote], count)
        yield running
        for ok, name in ((True, "success"), (False, "failures")):
            full = f"{self._prefix}_{name}"
            family = Metric(full, f"Total number of snapshots, {name}.", "counter")
            for remote, count in self._ended[ok].items():
                family.add_sample(full, {self._label: remote}, count)
            if family.samples:
                yield family


class SnapshotMetrics:
    """The metrics of one member's transfers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.sent = Direction(registry, "send", "To")
        self.received = Direction(registry, "receive", "From")
        self.installing = Gauge(
            "etcd_server_snapshot_apply_in_progress_total",
            "1 if the server is applying the incoming snapshot. 0 if none.",
            registry=registry,
        )
