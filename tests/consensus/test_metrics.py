from prometheus_client import CollectorRegistry

from consensus.metrics import Metrics, doubling
from consensus.raft.rawnode import Status
from consensus.raft.types import Role
from raftgate.api.maintenance import AlarmMember, AlarmType


def test_the_bounds_are_etcds() -> None:
    assert doubling(0.001, 14)[-1] == 8.192
    assert doubling(0.0001, 20)[-1] == 52.4288


def test_the_state_of_the_core_is_read_when_scraped() -> None:
    registry = CollectorRegistry()
    status = [Status(0xA1, 3, 0, Role.FOLLOWER, 10, 9, 11)]
    Metrics(registry).watch_status(lambda: status[0], 0xA1, lambda: 11, lambda: False)
    assert registry.get_sample_value("etcd_server_has_leader") == 0
    status[0] = Status(0xA1, 4, 0xA1, Role.LEADER, 12, 12, 12)
    assert registry.get_sample_value("etcd_server_has_leader") == 1
    assert registry.get_sample_value("etcd_server_is_leader") == 1
    assert registry.get_sample_value("etcd_server_proposals_committed_total") == 12
    assert registry.get_sample_value("etcd_server_proposals_applied_total") == 12
    assert registry.get_sample_value("etcd_server_id", {"server_id": "a1"}) == 1
    assert registry.get_sample_value("raftgate_raft_term") == 4


def test_etcds_oddly_named_gauges_stay_gauges() -> None:
    registry = CollectorRegistry()
    Metrics(registry).watch_status(lambda: Status(1, 1, 1, Role.LEADER, 1, 1, 1), 1, lambda: 1, lambda: True)
    kinds = {family.name: family.type for family in registry.collect()}
    assert kinds["etcd_server_proposals_committed_total"] == "gauge"
    assert kinds["etcd_disk_wal_write_bytes_total"] == "gauge"
    assert kinds["etcd_server_leader_changes_seen"] == "counter"


def test_alarms_are_there_while_they_are_raised() -> None:
    registry = CollectorRegistry()
    alarms = [AlarmMember(memberID=0xA1, alarm=AlarmType.NOSPACE)]
    Metrics(registry).watch_alarms(lambda: alarms)
    labels = {"server_id": "a1", "alarm_type": "NOSPACE"}
    assert registry.get_sample_value("etcd_server_alarms", labels) == 1
    alarms.clear()
    assert registry.get_sample_value("etcd_server_alarms", labels) is None


class Hub:
    count = 5
    slow = 2


class Streams:
    hub = Hub()
    streams = 3
    pending_events = 7
    sent_events = 11


def test_watches_as_they_are_when_scraped() -> None:
    registry = CollectorRegistry()
    Metrics(registry).watch_watches(Streams())
    kinds = {family.name: family.type for family in registry.collect()}
    prefix = "etcd_debugging_mvcc"
    for name, value in {
        "watch_stream_total": 3,
        "watcher_total": 5,
        "slow_watcher_total": 2,
        "pending_events_total": 7,
    }.items():
        assert registry.get_sample_value(f"{prefix}_{name}") == value
        assert kinds[f"{prefix}_{name}"] == "gauge"
    assert registry.get_sample_value(f"{prefix}_events_total") == 11
    assert kinds[f"{prefix}_events"] == "counter"


def test_leases_are_counted_under_etcds_names() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.leases.ttl.observe(8_388_608)
    for counter in (metrics.leases.granted, metrics.leases.revoked, metrics.leases.renewed, metrics.leases.expired):
        counter.inc()
    for name in ("lease_granted", "lease_revoked", "lease_renewed", "server_lease_expired"):
        assert registry.get_sample_value(f"etcd_debugging_{name}_total") == 1
    buckets = [
        sample.labels["le"]
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "etcd_debugging_lease_ttl_total_bucket"
    ]
    assert (len(buckets), buckets[0], buckets[-2]) == (25, "1.0", "8.388608e+06")


def test_the_clusters_version_is_there_once_it_is_decided() -> None:
    registry = CollectorRegistry()
    decided = [""]
    Metrics(registry).watch_cluster_version(lambda: decided[0])
    assert registry.get_sample_value("etcd_cluster_version", {"cluster_version": "3.6"}) is None
    decided[0] = "3.6.0"
    assert registry.get_sample_value("etcd_cluster_version", {"cluster_version": "3.6"}) == 1
