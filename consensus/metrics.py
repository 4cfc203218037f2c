"""Metrics of consensus: etcd's names for Raft, log and disk, and raftgate's own for batches and the loop."""

from collections.abc import Callable, Iterable
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from consensus.raft.rawnode import Status
from consensus.snapshot_metrics import SnapshotMetrics
from raftgate.api.maintenance import AlarmMember


class Hub(Protocol):
    """What the metrics show of the watches' hub."""

    count: int
    slow: int


class Watches(Protocol):
    """What the metrics show of the watch streams."""

    sent_events: int

    @property
    def hub(self) -> Hub:
        """The hub of the watches."""
        ...

    @property
    def streams(self) -> int:
        """How many are open."""
        ...

    @property
    def pending_events(self) -> int:
        """Events that wait for their receivers."""
        ...


def doubling(first: float, count: int) -> tuple[float, ...]:
    """Bucket bounds that double, `count` of them from `first` on."""
    return tuple(first * 2**step for step in range(count))


class LeaseMetrics:
    """What happens to leases (etcd lease/metrics.go)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str) -> Counter:
            return Counter(f"etcd_debugging_{name}_total", text, registry=registry)

        self.granted = counter("lease_granted", "The total number of granted leases.")
        self.revoked = counter("lease_revoked", "The total number of revoked leases.")
        self.renewed = counter("lease_renewed", "The number of renewed leases seen by the leader.")
        self.expired = counter("server_lease_expired", "The total number of expired leases.")
        name, text = "etcd_debugging_lease_ttl_total", "Bucketed histogram of lease TTLs."
        self.ttl = Histogram(name, text, buckets=doubling(1, 24), registry=registry)


class Metrics:
    """The metrics of one member."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

        def counter(name: str, text: str) -> Counter:
            return Counter(name, text, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(name, text, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(name, text, labels, buckets=buckets, registry=registry)

        disk = doubling(0.001, 14)
        self.leader_changes = counter("etcd_server_leader_changes_seen_total", "Leader changes seen.")
        self.heartbeat_send_failures = counter(
            "etcd_server_heartbeat_send_failures_total", "Ticks for which the event loop came too late."
        )
        self.proposals_pending = gauge("etcd_server_proposals_pending", "Proposals that are not applied yet.")
        self.proposals_failed = counter("etcd_server_proposals_failed_total", "Proposals that failed.")
        self.slow_apply = counter("etcd_server_slow_apply_total", "Applies that took too long.")
        self.slow_read_indexes = counter("etcd_server_slow_read_indexes_total", "Read indexes that took too long.")
        self.read_indexes_failed = counter("etcd_server_read_indexes_failed_total", "Read indexes that failed.")
        self.apply_duration = histogram(
            "etcd_server_apply_duration_seconds",
            "Durations of applies.",
            doubling(0.0001, 20),
            "version",
            "op",
            "success",
        )
        self.wal_fsync = histogram("etcd_disk_wal_fsync_duration_seconds", "Durations of syncs of the log.", disk)
        self.wal_write = histogram("etcd_disk_wal_write_duration_seconds", "Durations of writes of the log.", disk)
        self.wal_write_bytes = gauge("etcd_disk_wal_write_bytes_total", "Bytes written to the log.")
        self.backend_commit = histogram(
            "etcd_disk_backend_commit_duration_seconds", "Durations of commits of the database.", disk
        )
        self.leases = LeaseMetrics(registry)
        self.snapshots = SnapshotMetrics(registry)
        self.batch_entries = histogram("raftgate_proposal_batch_entries", "Entries per log append.", doubling(1, 10))
        self.loop_lag = histogram(
            "raftgate_event_loop_lag_seconds", "How late the event loop came for a tick.", doubling(0.001, 12)
        )
        self.checkpoint = histogram(
            "raftgate_sqlite_checkpoint_duration_seconds", "Durations of checkpoints.", disk, "file"
        ).labels("kv")

    def watch_status(
        self,
        status: Callable[[], Status],
        member_id: int,
        log_entries: Callable[[], int],
        is_learner: Callable[[], bool],
    ) -> None:
        """Adds the gauges that are read off the node when scraped."""
        self._registry.register(_StatusCollector(status, member_id, log_entries, is_learner))

    def watch_alarms(self, alarms: Callable[[], Iterable[AlarmMember]]) -> None:
        """Adds the raised alarms as they are when scraped."""
        self._registry.register(_AlarmCollector(alarms))

    def watch_cluster_version(self, version: Callable[[], str]) -> None:
        """Adds the cluster's version, `3.6.0` or empty, as it is when scraped."""
        self._registry.register(_VersionCollector(version))

    def watch_watches(self, watches: Watches) -> None:
        """Adds what the watches' hub and streams have when scraped."""
        self._registry.register(_WatchCollector(watches))


class _WatchCollector(Collector):
    def __init__(self, watches: Watches) -> None:
        self._watches = watches

    def collect(self) -> Iterable[Metric]:
        watches, prefix = self._watches, "etcd_debugging_mvcc"
        for name, text, value in (
            ("watch_stream_total", "Total number of watch streams.", watches.streams),
            ("watcher_total", "Total number of watchers.", watches.hub.count),
            ("slow_watcher_total", "Total number of unsynced slow watchers.", watches.hub.slow),
            ("pending_events_total", "Total number of pending events to be sent.", watches.pending_events),
        ):
            yield GaugeMetricFamily(f"{prefix}_{name}", text, float(value))
        sent = watches.sent_events
        yield CounterMetricFamily(f"{prefix}_events", "Total number of events sent by this member.", float(sent))


class _VersionCollector(Collector):
    def __init__(self, version: Callable[[], str]) -> None:
        self._version = version

    def collect(self) -> Iterable[Metric]:
        text = "Which version is running. 1 for 'cluster_version' label with current cluster version"
        family = GaugeMetricFamily("etcd_cluster_version", text, labels=["cluster_version"])
        if version := self._version():
            family.add_metric([version.rpartition(".")[0]], 1.0)
        yield family


class _AlarmCollector(Collector):
    def __init__(self, alarms: Callable[[], Iterable[AlarmMember]]) -> None:
        self._alarms = alarms

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily("etcd_server_alarms", "Alarms that are raised.", labels=["server_id", "alarm_type"])
        for alarm in self._alarms():
            family.add_metric([f"{alarm.memberID:x}", str(alarm.alarm)], 1.0)
        yield family


class _StatusCollector(Collector):
    def __init__(
        self,
        status: Callable[[], Status],
        member_id: int,
        log_entries: Callable[[], int],
        is_learner: Callable[[], bool],
    ) -> None:
        self._is_learner = is_learner
        self._status = status
        self._member_id = member_id
        self._log_entries = log_entries

    def collect(self) -> Iterable[Metric]:
        status = self._status()
        for name, text, value in (
            ("etcd_server_has_leader", "Whether or not a leader exists.", status.leader != 0),
            ("etcd_server_is_leader", "Whether or not this member is a leader.", status.leader == self._member_id),
            ("etcd_server_is_learner", "Whether or not this member is a learner.", self._is_learner()),
            ("etcd_server_proposals_committed_total", "The total number of proposals committed.", status.commit),
            ("etcd_server_proposals_applied_total", "The total number of proposals applied.", status.applied),
            ("raftgate_raft_term", "The current term.", status.term),
            ("raftgate_raft_commit_index", "The commit index.", status.commit),
            ("raftgate_raft_applied_index", "The applied index.", status.applied),
            ("raftgate_raft_log_entries", "Entries in the log.", self._log_entries()),
        ):
            yield GaugeMetricFamily(name, text, float(value))
        identity = GaugeMetricFamily(
            "etcd_server_id", "Server or member ID in hexadecimal format.", labels=["server_id"]
        )
        identity.add_metric([f"{self._member_id:x}"], 1.0)
        yield identity
