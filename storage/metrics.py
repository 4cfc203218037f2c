"""Metrics of storage, under etcd's names (etcd server/storage/mvcc/metrics.go).

Counts are plain numbers, since they move with every operation; the registry reads them at scrape time. The collector
touches no file: sizes are those of the last commit.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class Gauges:
    """What a scrape reads of the store."""

    total_size: int = 0
    """Bytes of the database file."""
    in_use_size: int = 0
    """Bytes of it that are not free pages."""
    revision: int = 1
    compact_revision: int = -1
    keys: int = 0


class Metrics(Collector):
    """Counts the operations of one member's store."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.puts = 0
        self.put_bytes = 0
        self.deletes = 0
        self.ranges = 0
        self.txns = 0
        """Transactions of several operations."""
        self.gauges: Callable[[], Gauges] = Gauges
        registry.register(self)

    def counts(self) -> tuple[int, ...]:
        """All counts, for `reset`."""
        return self.puts, self.put_bytes, self.deletes, self.ranges, self.txns

    def reset(self, counts: tuple[int, ...]) -> None:
        """Takes all counts back to what they were: what was counted since is done again."""
        self.puts, self.put_bytes, self.deletes, self.ranges, self.txns = counts

    def operations(self) -> int:
        """The number of ranges, puts and deletes so far."""
        return self.ranges + self.puts + self.deletes

    def collect(self) -> Iterator[Metric]:
        """Lists the families."""
        gauges = self.gauges()
        yield _counter("etcd_mvcc_put", "Total number of puts seen by this member.", self.puts)
        yield _counter("etcd_mvcc_delete", "Total number of deletes seen by this member.", self.deletes)
        yield _counter("etcd_mvcc_txn", "Total number of txns seen by this member.", self.txns)
        yield _counter("etcd_mvcc_range", "Total number of ranges seen by this member.", self.ranges)
        for name, text, value in (
            ("etcd_mvcc_db_total_size_in_bytes", "Size of the database file in bytes.", gauges.total_size),
            (
                "etcd_mvcc_db_total_size_in_use_in_bytes",
                "Size of the database file in bytes, without its free pages.",
                gauges.in_use_size,
            ),
            ("etcd_debugging_mvcc_current_revision", "The current revision of the store.", gauges.revision),
            ("etcd_debugging_mvcc_compact_revision", "The compacted revision of the store.", gauges.compact_revision),
            ("etcd_debugging_mvcc_keys_total", "Total number of keys.", gauges.keys),
            (
                "etcd_debugging_mvcc_total_put_size_in_bytes",
                "Total size of keys and values of the puts seen by this member.",
                self.put_bytes,
            ),
        ):
            yield GaugeMetricFamily(name, text, value)


def _counter(name: str, text: str, value: int) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, value)
