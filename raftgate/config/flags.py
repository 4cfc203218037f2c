"""THE TABLE of settings: every flag of etcd 3.6, its older spellings, and raftgate's own.

A row is name, kind, default as etcd's help shows it, support, help. Environment variable and YAML key follow
from the name unless the row says otherwise. Nothing else in the program lists flags.
"""

from dataclasses import dataclass
from enum import Enum, auto

from raftgate.config.gates import GATES
from raftgate.config.kinds import (
    BOOL,
    DURATION,
    GATE_MAP,
    IGNORED,
    INT,
    INT64,
    LIST,
    ORIGINS,
    OUTPUTS,
    STRING,
    UINT,
    UINT32,
    UINT64,
    URLS,
    WORDS,
    Kind,
    choice,
)


class Support(Enum):
    """What raftgate does with a setting."""

    WORKS = auto()
    LATER = auto()  # only the default works yet; anything else is refused
    NO_EFFECT = auto()  # accepted with one warning: it steers something that raftgate has not got
    REFUSED = auto()  # anything but the default is refused for good
    OLD = auto()  # an older spelling of another setting
    SILENT = auto()  # accepted and ignored, as etcd does


WORKS, LATER, NO_EFFECT, REFUSED, OLD, SILENT = Support


@dataclass(frozen=True, slots=True)
class Flag:
    """One setting. `yaml` are its keys in a file (see `keys`), `replaced_by` is the newer name or the gate."""

    name: str
    kind: Kind
    default: str
    support: Support
    help: str
    yaml: str | None = None  # None: the name itself
    replaced_by: str = ""
    is_secret: bool = False

    @property
    def variable(self) -> str:
        """The environment variable; empty where there is none."""
        if self.name in {"version", "help"}:
            return ""
        name = self.name.upper().replace("-", "_")
        return name if name.startswith("RAFTGATE_") else f"ETCD_{name}"

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of a configuration file, dots for nesting."""
        if self.yaml is not None:
            return tuple(self.yaml.split())
        return (f"raftgate.{self.name.removeprefix('raftgate-')}" if self.name.startswith("raftgate-") else self.name,)

    def default_value(self) -> object:
        """The value that holds when nobody gives one."""
        return self.kind.parse(self.default, None)


ROTATION = '{"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}'
C, P, D, S = "client-transport-security.", "peer-transport-security.", "discovery-config.", "socket-options."
STATE = choice("new", "existing")
JOIN = choice("off", "learner")
V2_STAGE = choice("write-only", "write-only-drop-data", "gone", refusal="invalid value {}")

# fmt: off
TABLE: dict[str, tuple[Flag, ...]] = {
    "Member": (
        Flag("name", STRING, "default", WORKS, "Human-readable name of this member."),
        Flag("data-dir", STRING, "", WORKS, "Path to the data directory (empty: ${name}.etcd)."),
        Flag("wal-dir", STRING, "", WORKS, "Path to a separate directory for the Raft log."),
        Flag("snapshot-count", UINT64, "10000", WORKS, "Applied entries between two cuts of the Raft log."),
        Flag("snapshot-catchup-entries", UINT64, "5000", WORKS, "Entries kept behind a cut for slow followers."),
        Flag("heartbeat-interval", UINT, "100", WORKS, "Milliseconds between two heartbeats."),
        Flag("election-timeout", UINT, "1000", WORKS, "Milliseconds without a leader before an election."),
        Flag("initial-election-tick-advance", BOOL, "true", WORKS, "Shorten the first election after a start."),
        Flag("listen-peer-urls", URLS, "http://localhost:2380", WORKS, "URLs to listen on for other members."),
        Flag("listen-client-urls", URLS, "http://localhost:2379", WORKS, "URLs to listen on for clients."),
        Flag("listen-client-http-urls", URLS, "", WORKS, "Further URLs to listen on for clients."),
        Flag("max-wals", UINT, "5", NO_EFFECT, "Log files to keep (0: all)."),
        Flag("max-snapshots", UINT, "5", NO_EFFECT, "Snapshot files to keep (0: all)."),
        Flag("memory-mlock", BOOL, "false", NO_EFFECT, "Keep the pages of the database in memory."),
        Flag("backend-bbolt-freelist-type", STRING, "map", NO_EFFECT, "Kind of the free list: array or map."),
        Flag("backend-batch-interval", DURATION, "0s", WORKS, "Longest time between two commits (0: 100ms)."),
        Flag("backend-batch-limit", INT, "0", WORKS, "Most operations in one commit (0: 10000)."),
        Flag("socket-reuse-port", BOOL, "false", WORKS, "Listen with SO_REUSEPORT.", S + "reuse-port"),
        Flag("socket-reuse-address", BOOL, "false", WORKS, "Listen with SO_REUSEADDR.", S + "reuse-address"),
        Flag("raft-read-timeout", DURATION, "5s", LATER, "Read timeout between members (at least 5s).", ""),
        Flag("raft-write-timeout", DURATION, "5s", LATER, "Write timeout between members (at least 5s).", ""),
    ),
    "Limits": (
        Flag("quota-backend-bytes", INT64, "0", WORKS, "Largest database in bytes (0: 2 GiB, negative: no limit)."),
        Flag("max-txn-ops", UINT, "128", WORKS, "Most operations in a transaction."),
        Flag("max-request-bytes", UINT, "1572864", WORKS, "Largest request in bytes."),
        Flag("max-concurrent-streams", UINT32, "4294967295", WORKS, "Most streams at a time for each client."),
        Flag("grpc-keepalive-min-time", DURATION, "5s", NO_EFFECT, "Shortest time between two pings of a client."),
        Flag("grpc-keepalive-interval", DURATION, "2h", NO_EFFECT, "Time between two pings to a client (0: none)."),
        Flag("grpc-keepalive-timeout", DURATION, "20s", NO_EFFECT, "Wait for the answer to a ping (0: for ever)."),
        Flag("enable-grpc-gateway", BOOL, "true", REFUSED, "Serve the JSON API: it is all that raftgate serves."),
    ),
    "Clustering": (
        Flag("initial-advertise-peer-urls", URLS, "http://localhost:2380", WORKS, "Peer URLs told to other members."),
        Flag("initial-cluster", STRING, "default=http://localhost:2380", WORKS, "Members: name=URL,..."),
        Flag("initial-cluster-state", STATE, "new", WORKS, "new: start a cluster, existing: join one."),
        Flag("initial-cluster-token", STRING, "etcd-cluster", WORKS, "Tells clusters with equal members apart."),
        Flag("advertise-client-urls", URLS, "http://localhost:2379", WORKS, "Client URLs told to other members."),
        Flag("discovery", STRING, "", REFUSED, "URL of a v2 discovery service."),
        Flag("discovery-proxy", STRING, "", REFUSED, "HTTP proxy to the discovery service."),
        Flag("discovery-fallback", choice("exit", "proxy"), "exit", WORKS, "What to do when it fails: exit.", ""),
        Flag("discovery-srv", STRING, "", WORKS, "Domain whose SRV records name the members."),
        Flag("discovery-srv-name", STRING, "", WORKS, "Suffix of the SRV service name."),
        Flag("strict-reconfig-check", BOOL, "true", WORKS, "Refuse membership changes that would lose the quorum."),
        Flag("pre-vote", BOOL, "true", LATER, "Ask for votes before a new term is begun."),
        Flag("max-learners", INT, "1", WORKS, "Most learners in the cluster."),
        Flag("discovery-endpoints", LIST, "", REFUSED, "Endpoints of a v3 discovery service.", D + "endpoints"),
        Flag("discovery-token", STRING, "", REFUSED, "Token of the cluster there.", D + "token"),
        Flag("discovery-dial-timeout", DURATION, "2s", REFUSED, "Timeout of connecting there.", D + "dial-timeout"),
        Flag("discovery-request-timeout", DURATION, "5s", REFUSED, "Timeout of a request.", D + "request-timeout"),
        Flag("discovery-keepalive-time", DURATION, "2s", REFUSED, "Time between pings.", D + "keepalive-time"),
        Flag("discovery-keepalive-timeout", DURATION, "6s", REFUSED, "Wait for a ping.", D + "keepalive-timeout"),
        Flag("discovery-insecure-transport", BOOL, "true", REFUSED, "No TLS.", D + "secure.insecure-transport"),
        Flag("discovery-insecure-skip-tls-verify", BOOL, "false", REFUSED, "Trust.", D + "secure.insecure-skip-verify"),
        Flag("discovery-cert", STRING, "", REFUSED, "Client certificate.", D + "secure.cert"),
        Flag("discovery-key", STRING, "", REFUSED, "Key of the client certificate.", D + "secure.key"),
        Flag("discovery-cacert", STRING, "", REFUSED, "CA of the service.", D + "secure.cacert"),
        Flag("discovery-user", STRING, "", REFUSED, "User[:password].", D + "auth.username", is_secret=True),
        Flag("discovery-password", STRING, "", REFUSED, "Password.", D + "auth.password", is_secret=True),
    ),
    "Client TLS": (
        Flag("cert-file", STRING, "", LATER, "Certificate of the client listener.", C + "cert-file"),
        Flag("key-file", STRING, "", LATER, "Key of that certificate.", C + "key-file"),
        Flag("client-cert-auth", BOOL, "false", LATER, "Demand a client certificate.", C + "client-cert-auth"),
        Flag("trusted-ca-file", STRING, "", LATER, "CA of client certificates.", C + "trusted-ca-file"),
        Flag("client-cert-file", STRING, "", LATER, "Certificate of our own calls.", C + "client-cert-file"),
        Flag("client-key-file", STRING, "", LATER, "Key of that certificate.", C + "client-key-file"),
        Flag("client-crl-file", STRING, "", LATER, "Revoked certificates.", f"{C}crl-file {C}client-crl-file"),
        Flag("client-cert-allowed-hostname", LIST, "", LATER, "Accepted SANs of clients.", C + "allowed-hostname"),
        Flag("auto-tls", BOOL, "false", LATER, "Make a certificate.", C + "auto-tls"),
    ),
    "Peer TLS": (
        Flag("peer-cert-file", STRING, "", LATER, "Certificate of the peer listener.", P + "cert-file"),
        Flag("peer-key-file", STRING, "", LATER, "Key of that certificate.", P + "key-file"),
        Flag("peer-client-cert-auth", BOOL, "false", LATER, "Demand peer certificates.", P + "client-cert-auth"),
        Flag("peer-trusted-ca-file", STRING, "", LATER, "CA of peer certificates.", P + "trusted-ca-file"),
        Flag("peer-client-cert-file", STRING, "", LATER, "Certificate of calls to peers.", P + "client-cert-file"),
        Flag("peer-client-key-file", STRING, "", LATER, "Key of that certificate.", P + "client-key-file"),
        Flag("peer-crl-file", STRING, "", LATER, "Revoked certificates.", f"{P}crl-file {P}peer-crl-file"),
        Flag("peer-cert-allowed-cn", LIST, "", LATER, "Accepted CNs of peers.", P + "allowed-cn"),
        Flag("peer-cert-allowed-hostname", LIST, "", LATER, "Accepted SANs of peers.", P + "allowed-hostname"),
        Flag("peer-auto-tls", BOOL, "false", LATER, "Make a certificate.", P + "auto-tls"),
        Flag("peer-skip-client-san-verification", BOOL, "false", LATER, "Any SAN.", P + "skip-client-san-verification"),
    ),
    "TLS and HTTP policy": (
        Flag("self-signed-cert-validity", UINT, "1", LATER, "Years that a certificate made by raftgate is valid."),
        Flag("cipher-suites", LIST, "", LATER, "TLS cipher suites in order of preference (empty: automatic)."),
        Flag("tls-min-version", STRING, "TLS1.2", LATER, "Lowest TLS version: TLS1.2 or TLS1.3."),
        Flag("tls-max-version", STRING, "", LATER, "Highest TLS version: TLS1.2, TLS1.3 or empty."),
        Flag("cors", ORIGINS, "*", WORKS, "Origins that browsers may call from (*: all)."),
        Flag("host-whitelist", WORDS, "*", WORKS, "Host names that requests without TLS may use (empty or *: all)."),
    ),
    "Auth": (
        Flag("auth-token", STRING, "simple", LATER, "Kind of tokens and its options: simple or jwt,..."),
        Flag("auth-token-ttl", UINT, "300", LATER, "Seconds that a simple token lives after its last use."),
        Flag("bcrypt-cost", UINT, "10", LATER, "Cost of a password hash, 4 to 31."),
    ),
    "Compaction and watch": (
        Flag("auto-compaction-mode", STRING, "periodic", WORKS, "What the retention counts: periodic or revision."),
        Flag("auto-compaction-retention", STRING, "0", WORKS, "History to keep (0: all)."),
        Flag("compaction-batch-limit", INT, "1000", WORKS, "Revisions removed in one step."),
        Flag("compaction-sleep-interval", DURATION, "10ms", WORKS, "Pause between two steps."),
        Flag("watch-progress-notify-interval", DURATION, "10m", WORKS, "Time between two progress notices."),
        Flag("bootstrap-defrag-threshold-megabytes", UINT, "0", WORKS, "MiB to gain by it (0: never)."),
    ),
    "Integrity and feature gates": (
        Flag("corrupt-check-time", DURATION, "0s", WORKS, "Time between two comparisons of all members (0: never)."),
        Flag("compact-hash-check-time", DURATION, "1m", WORKS, "Time between two comparisons of compaction hashes."),
        Flag("feature-gates", GATE_MAP, "", WORKS, f"Name=bool pairs of {', '.join(GATES)}."),
        Flag("downgrade-check-time", DURATION, "5s", NO_EFFECT, "Time between two checks of a downgrade."),
        Flag("v2-deprecation", V2_STAGE, "write-only", NO_EFFECT, "Stage of the v2 store's end."),
    ),
    "Logging, metrics, tracing": (
        Flag("logger", STRING, "zap", WORKS, "Only zap: structured logging."),
        Flag("log-level", STRING, "info", WORKS, "debug, info, warn, error, panic or fatal."),
        Flag("log-format", STRING, "json", WORKS, "json or console."),
        Flag("log-outputs", OUTPUTS, "default", WORKS, "default, stdout, stderr, systemd/journal, or file paths."),
        Flag("enable-log-rotation", BOOL, "false", WORKS, "Rotate the one file among the log outputs."),
        Flag("log-rotation-config-json", STRING, ROTATION, WORKS, "Sizes in MB, ages in days, 0: no limit."),
        Flag("enable-pprof", BOOL, "false", NO_EFFECT, "Profiling below /debug/pprof/."),
        Flag("metrics", STRING, "basic", WORKS, "basic, or extensive: with histograms of handling times."),
        Flag("listen-metrics-urls", URLS, "", WORKS, "URLs to listen on for metrics and health only."),
        Flag("warning-apply-duration", DURATION, "100ms", WORKS, "Log an apply that takes longer."),
        Flag("warning-unary-request-duration", DURATION, "300ms", WORKS, "Log a request that takes longer."),
        Flag("enable-distributed-tracing", BOOL, "false", NO_EFFECT, "Send traces."),
        Flag("distributed-tracing-address", STRING, "localhost:4317", NO_EFFECT, "Collector of traces."),
        Flag("distributed-tracing-service-name", STRING, "etcd", NO_EFFECT, "Service name in traces."),
        Flag("distributed-tracing-instance-id", STRING, "", NO_EFFECT, "Instance id in traces."),
        Flag("distributed-tracing-sampling-rate", INT, "0", NO_EFFECT, "Traces sent of a million."),
    ),
    "Unsafe": (
        Flag("force-new-cluster", BOOL, "false", WORKS, "Keep the data and drop every other member."),
        Flag("unsafe-no-fsync", BOOL, "false", WORKS, "Never wait for the disk: acknowledged writes may be lost."),
    ),
    "Raftgate's own": (
        Flag("raftgate-auto-join", JOIN, "off", WORKS, "learner: join the cluster that is there, be promoted."),
        Flag("raftgate-dns-server", STRING, "", WORKS, "Asked for SRV records (empty: as /etc/resolv.conf says)."),
        Flag("raftgate-value-cache-bytes", INT64, "0", WORKS, "Bytes of values in memory (0: a quarter of it)."),
        Flag("raftgate-auto-disarm", BOOL, "true", WORKS, "Clear NOSPACE once use is below 90% of the quota."),
        Flag("raftgate-health-timeout", DURATION, "3s", WORKS, "Deadline of each health check."),
        Flag("raftgate-shutdown-delay", DURATION, "0s", WORKS, "Time between not ready and stopping."),
    ),
    "Program": (
        Flag("config-file", STRING, "", WORKS, "Path to a file that replaces flags and variables.", ""),
        Flag("version", BOOL, "false", WORKS, "Print the version and exit.", ""),
        Flag("help", BOOL, "false", WORKS, "Print this text and exit (also -h).", ""),
    ),
}
# fmt: on

_NOW = {flag.name: flag for section in TABLE.values() for flag in section}
_RENAMED = (
    "bootstrap-defrag-threshold-megabytes",
    "compact-hash-check-time",
    "compaction-batch-limit",
    "compaction-sleep-interval",
    "corrupt-check-time",
    "distributed-tracing-address",
    "distributed-tracing-instance-id",
    "distributed-tracing-sampling-rate",
    "distributed-tracing-service-name",
    "downgrade-check-time",
    "enable-distributed-tracing",
    "max-learners",
    "memory-mlock",
    "peer-skip-client-san-verification",
    "snapshot-catchup-entries",
    "warning-apply-duration",
    "warning-unary-request-duration",
    "watch-progress-notify-interval",
)
_IGNORED = (
    "cluster-active-size",
    "cluster-remove-delay",
    "cluster-sync-interval",
    "config",
    "force",
    "max-result-buffer",
    "max-retry-attempts",
    "peer-heartbeat-interval",
    "peer-election-timeout",
    "retry-interval",
    "snapshot",
    "v",
    "vv",
    "test.coverprofile",
    "test.outputdir",
)  # etcd server/etcdmain/config.go
_OLD_KEYS = {
    # two YAML keys in 3.6 (etcd embed/config.go)
    "snapshot-catchup-entries": "experimental-snapshot-catchup-entries experimental-snapshot-catch-up-entries",
}


def _renamed(name: str) -> Flag:
    new = _NOW[name]
    text = f"Deprecated in 3.6: use --{name}."
    return Flag(f"experimental-{name}", new.kind, new.default, OLD, text, _OLD_KEYS.get(name), replaced_by=name)


TABLE["Spellings of 3.5"] = (
    *map(_renamed, _RENAMED),
    *(
        Flag(
            f"experimental-{gate.old_flag}",
            BOOL,
            str(gate.default).lower(),
            OLD,
            f"Deprecated in 3.6: use --feature-gates={gate.name}=true.",
            replaced_by=gate.name,
        )
        for gate in GATES.values()
        if gate.old_flag
    ),
    Flag("experimental-enable-v2v3", STRING, "", REFUSED, "Prefix of v2 keys in the v3 store."),
)
TABLE["Ignored"] = tuple(Flag(name, IGNORED, "", SILENT, "No longer has a meaning.", "") for name in _IGNORED)

FLAGS: dict[str, Flag] = {flag.name: flag for section in TABLE.values() for flag in section}
"""Every flag by its name, in the order of the table."""
