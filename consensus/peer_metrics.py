"""Metrics of what goes between members, by etcd's names (etcd rafthttp/metrics.go)."""

from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from consensus.metrics import doubling


class PeerMetrics:
    """The metrics of one member's connections to its peers; labels are ids in hexadecimal."""

    def __init__(self, registry: CollectorRegistry, member_id: int) -> None:
        self.local = f"{member_id:x}"

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"etcd_network_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"etcd_network_{name}", text, labels, registry=registry)

        both = ("Local", "Remote")
        self.sent_bytes = counter("peer_sent_bytes_total", "The total number of bytes sent to peers.", "To")
        self.received_bytes = counter(
            "peer_received_bytes_total", "The total number of bytes received from peers.", "From"
        )
        self.sent_failures = counter("peer_sent_failures_total", "The total number of send failures from peers.", "To")
        self.received_failures = counter(
            "peer_received_failures_total", "The total number of receive failures from peers.", "From"
        )
        self.round_trip = Histogram(
            "etcd_network_peer_round_trip_time_seconds",
            "Round-Trip-Time histogram between peers.",
            ("To",),
            buckets=doubling(0.0001, 16),
            registry=registry,
        )
        self.active_peers = gauge("active_peers", "The current number of active peer connections.", *both)
        self.disconnected_peers = counter("disconnected_peers_total", "The total number of disconnected peers.", *both)
        self.known_peers = gauge("known_peers", "The current number of known peers.", *both)

    def forget(self, member_id: int) -> None:
        """Drops the series of a member that was removed: an alert on its failures would never end."""
        remote = f"{member_id:x}"
        single = (self.sent_bytes, self.received_bytes, self.sent_failures, self.received_failures, self.round_trip)
        for family in single:
            with suppress(KeyError):
                family.remove(remote)
        for pair in (self.active_peers, self.disconnected_peers, self.known_peers):
            with suppress(KeyError):
                pair.remove(self.local, remote)
