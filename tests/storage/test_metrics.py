from prometheus_client import CollectorRegistry, generate_latest

from storage.metrics import Gauges, Metrics

FAMILIES = {
    "etcd_mvcc_put_total": "counter",
    "etcd_mvcc_delete_total": "counter",
    "etcd_mvcc_txn_total": "counter",
    "etcd_mvcc_range_total": "counter",
    "etcd_mvcc_db_total_size_in_bytes": "gauge",
    "etcd_mvcc_db_total_size_in_use_in_bytes": "gauge",
    "etcd_debugging_mvcc_current_revision": "gauge",
    "etcd_debugging_mvcc_compact_revision": "gauge",
    "etcd_debugging_mvcc_keys_total": "gauge",
    "etcd_debugging_mvcc_total_put_size_in_bytes": "gauge",
}


def test_families_have_etcds_names_and_types() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    lines = generate_latest(registry).decode().splitlines()
    types = dict(line.removeprefix("# TYPE ").split() for line in lines if line.startswith("# TYPE "))
    assert types == FAMILIES
    assert len([line for line in lines if not line.startswith("#")]) == len(FAMILIES)


def test_values_are_read_at_scrape_time() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    assert registry.get_sample_value("etcd_debugging_mvcc_compact_revision") == -1
    metrics.puts, metrics.ranges, metrics.deletes, metrics.txns, metrics.put_bytes = 1, 2, 4, 3, 5
    metrics.gauges = lambda: Gauges(10, 9, 8, 7, 6)
    assert metrics.operations() == 7
    values = {name: registry.get_sample_value(name) for name in FAMILIES}
    assert list(values.values()) == [1, 4, 3, 2, 10, 9, 8, 7, 6, 5]


def test_counts_can_be_taken_back() -> None:
    metrics = Metrics(CollectorRegistry())
    metrics.puts, metrics.put_bytes, metrics.ranges = 2, 20, 3
    counts = metrics.counts()
    metrics.puts = metrics.deletes = metrics.txns = 9
    metrics.reset(counts)
    assert (metrics.puts, metrics.put_bytes, metrics.deletes, metrics.ranges, metrics.txns) == (2, 20, 0, 3, 0)
