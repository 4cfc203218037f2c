from prometheus_client import CollectorRegistry

from consensus.snapshot_metrics import SnapshotMetrics
from gateway.exposition import render


def test_transfers_under_the_names_of_etcd() -> None:
    registry = CollectorRegistry()
    metrics = SnapshotMetrics(registry)
    metrics.sent.began(0xA1)
    metrics.sent.ended(0xA1, 0.3, ok=True)
    metrics.sent.began(0xA1)
    metrics.received.began(0xA2)
    metrics.received.ended(0xA2, 1.0, ok=False)
    lines = render(registry, "", "").body.decode().splitlines()
    for line in (
        'etcd_network_snapshot_send_inflights_total{To="a1"} 1.0',
        'etcd_network_snapshot_send_success{To="a1"} 1.0',
        'etcd_network_snapshot_send_total_duration_seconds_count{To="a1"} 1.0',
        "# TYPE etcd_network_snapshot_send_success counter",
        'etcd_network_snapshot_receive_failures{From="a2"} 1.0',
        'etcd_network_snapshot_receive_inflights_total{From="a2"} 0.0',
        "etcd_server_snapshot_apply_in_progress_total 0.0",
    ):
        assert line in lines
