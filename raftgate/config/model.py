"""The configuration that the rest of the program reads: typed, complete and checked.

Fields are named like their flags and exist once something heeds them. Durations are float seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from raftgate.config.errors import Note
from raftgate.config.urls import Url


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRotation:
    """How the log file is rotated; 0 is no limit, except for `maxsize`, where it is 100 (natefinch/lumberjack)."""

    maxsize: int = 100  # MB
    maxage: int = 0  # days
    maxbackups: int = 0
    localtime: bool = False
    compress: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One member's configuration.

    `initial_cluster` (name -> peer URLs) names this member, and has been checked as far as names have addresses, unless
    the data directory is initialised, the member may join by itself, or SRV records are to be asked.
    `notes` are the lines to log once logging is set up.
    """

    name: str
    data_dir: Path
    wal_dir: Path | None
    snapshot_count: int
    snapshot_catchup_entries: int
    heartbeat_interval: float
    election_timeout: float
    initial_election_tick_advance: bool
    listen_peer_urls: tuple[Url, ...]
    listen_client_urls: tuple[Url, ...]
    listen_client_http_urls: tuple[Url, ...]
    listen_metrics_urls: tuple[Url, ...]
    backend_batch_interval: float
    backend_batch_limit: int
    socket_reuse_port: bool
    socket_reuse_address: bool

    quota_backend_bytes: int
    max_txn_ops: int
    max_request_bytes: int
    max_concurrent_streams: int

    initial_advertise_peer_urls: tuple[Url, ...]
    advertise_client_urls: tuple[Url, ...]
    initial_cluster: Mapping[str, tuple[Url, ...]]
    initial_cluster_state: str
    initial_cluster_token: str
    discovery_srv: str
    discovery_srv_name: str
    strict_reconfig_check: bool
    max_learners: int
    pre_vote: bool

    auto_compaction_mode: str
    auto_compaction_retention: float
    """Seconds of history to keep in mode `periodic`, revisions in mode `revision`; 0 is all."""
    compaction_batch_limit: int
    compaction_sleep_interval: float
    watch_progress_notify_interval: float
    bootstrap_defrag_threshold_megabytes: int

    corrupt_check_time: float
    compact_hash_check_time: float
    feature_gates: Mapping[str, bool]
    """Every gate by name: whether it is on."""

    cors: tuple[str, ...]
    host_whitelist: tuple[str, ...]

    log_level: str
    log_format: str
    log_outputs: tuple[str, ...]
    log_rotation: LogRotation | None
    metrics: str
    warning_apply_duration: float
    warning_unary_request_duration: float

    force_new_cluster: bool
    unsafe_no_fsync: bool
    raftgate_auto_join: str
    raftgate_dns_server: str
    raftgate_value_cache_bytes: int
    raftgate_auto_disarm: bool
    raftgate_health_timeout: float
    raftgate_shutdown_delay: float

    notes: tuple[Note, ...] = ()

    @property
    def election_ticks(self) -> int:
        """Heartbeats in an election timeout (etcd embed/config.go, ElectionTicks)."""
        return round(self.election_timeout * 1000) // round(self.heartbeat_interval * 1000)

    @property
    def request_timeout(self) -> float:
        """Seconds after which a request is given up: 5 s + 2 x election timeout (etcd config/config.go, ReqTimeout)."""
        return 5.0 + 2 * self.election_timeout

    @property
    def wal_directory(self) -> Path:
        """Where the Raft log lies."""
        return self.wal_dir or self.data_dir / "member" / "wal"
