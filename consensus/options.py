"""What the composition root may set of a member's consensus."""

from dataclasses import dataclass

from raftgate.api.cluster import Member


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of one member; times are seconds."""

    member: Member
    """This member as its flags describe it; its ID follows from them (`consensus.cluster`)."""
    cluster_id: int
    heartbeat_interval: float = 0.1
    election_timeout: float = 1.0
    snapshot_count: int = 10_000
    """Entries applied since the log was last cut that call for the next cut."""
    snapshot_catchup_entries: int = 5_000
    """Entries kept behind a cut for members that lag."""
    batch_interval: float = 0.1
    """The longest that applied rows wait for their SQLite transaction."""
    initial_election_tick_advance: bool = True
    """Campaign at once at the start where nobody else can lead."""
    quota_bytes: int = 0
    """Bound of the store's size, 0 for none (`consensus.quota.effective`)."""
    auto_disarm: bool = True
    """Clear this member's NOSPACE alarm once there is room again."""
    auto_compaction_mode: str = "periodic"
    auto_compaction_retention: float = 0.0
    """Seconds or, in mode `revision`, revisions of history to keep; 0 keeps all."""
    compaction_pause: float = 0.01
    """Seconds between two steps of a compaction."""
    defragment_above: int = 0
    """Bytes that a defragmentation at the start must gain; 0 never makes one."""
    watch_progress_interval: float = 600.0
    """Seconds between two progress notices of a watch that has nothing else to tell."""
    server_version: str = ""
    storage_version: str = ""
    max_request_bytes: int = 1_572_864
    max_txn_ops: int = 128
    warning_apply_duration: float = 0.1
    max_message_bytes: int = 1 << 20
    """Entries in one message between members, in bytes; one entry may be larger."""
    max_inflight: int = 256
    """Messages with entries that go to a member ahead of its answers."""
    strict_reconfig_check: bool = True
    """Refuse membership changes that would leave the cluster without a quorum of started, reachable members."""
    max_learners: int = 1
    corrupt_check_time: float = 0.0
    """Seconds between two comparisons of all members' data; 0: none."""
    compact_hash_check_time: float = 0.0
    """Seconds between two looks for a compaction behind which the members are to be compared; 0: none."""
    initial_corrupt_check: bool = False
    """Compare this member's data with that of others before it takes part."""
    joins: bool = False
    """This member founds no cluster: an existing one has added it, and tells it everything."""
    initial_members: tuple[Member, ...] = ()
    """Who founds a new cluster, this member among them; empty where it does so alone."""

    @property
    def request_timeout(self) -> float:
        """How long a proposal or a linearizable read may take (etcd config.go, ReqTimeout)."""
        return 5.0 + 2 * self.election_timeout

    @property
    def election_ticks(self) -> int:
        """Election timeout in ticks of one heartbeat interval."""
        return max(1, round(self.election_timeout / self.heartbeat_interval))
