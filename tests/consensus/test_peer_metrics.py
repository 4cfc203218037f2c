from prometheus_client import CollectorRegistry, generate_latest

from consensus.peer_metrics import PeerMetrics


def test_names_labels_and_buckets_are_etcds() -> None:
    registry = CollectorRegistry()
    metrics = PeerMetrics(registry, 0xA1)
    metrics.sent_bytes.labels("b2").inc(5)
    metrics.active_peers.labels(metrics.local, "b2").set(1)
    metrics.round_trip.labels("b2").observe(0.0003)
    text = generate_latest(registry).decode()
    assert 'etcd_network_peer_sent_bytes_total{To="b2"} 5.0' in text
    assert 'etcd_network_active_peers{Local="a1",Remote="b2"} 1.0' in text
    assert 'etcd_network_peer_round_trip_time_seconds_bucket{To="b2",le="0.0004"} 1.0' in text
    assert 'le="3.2768"' in text


def test_a_removed_member_leaves_no_series() -> None:
    registry = CollectorRegistry()
    metrics = PeerMetrics(registry, 0xA1)
    metrics.sent_failures.labels("b2").inc()
    metrics.disconnected_peers.labels("a1", "b2").inc()
    metrics.forget(0xB2)
    assert "b2" not in generate_latest(registry).decode()
