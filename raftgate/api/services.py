"""The table of RPCs: etcd's services and methods, their messages, kinds and HTTP paths.

Routes, metrics and the published contract are made from it. A row without a request class is an RPC that
is not served yet; its paths answer "unimplemented".
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from raftgate.api import cluster, concurrency, kv, lease, maintenance, watch
from raftgate.api.message import Request


class RpcKind(StrEnum):
    """How many messages go each way; the value is the metric label."""

    UNARY = "unary"
    SERVER_STREAM = "server_stream"
    BIDI_STREAM = "bidi_stream"


@dataclass(frozen=True, slots=True)
class Rpc:
    """One method of a service."""

    service: str
    method: str
    paths: tuple[str, ...]
    request: type[Request[Any]] | None = None  # Any: the response class differs from row to row
    kind: RpcKind = RpcKind.UNARY


KV = "etcdserverpb.KV"
WATCH = "etcdserverpb.Watch"
LEASE = "etcdserverpb.Lease"
CLUSTER = "etcdserverpb.Cluster"
MAINTENANCE = "etcdserverpb.Maintenance"
AUTH = "etcdserverpb.Auth"
LOCK = "v3lockpb.Lock"
ELECTION = "v3electionpb.Election"

# The hottest paths stand first: routes are tried in this order.
RPCS: tuple[Rpc, ...] = (
    Rpc(KV, "Range", ("/v3/kv/range",), kv.RangeRequest),
    Rpc(KV, "Put", ("/v3/kv/put",), kv.PutRequest),
    Rpc(KV, "DeleteRange", ("/v3/kv/deleterange",), kv.DeleteRangeRequest),
    Rpc(KV, "Txn", ("/v3/kv/txn",), kv.TxnRequest),
    Rpc(KV, "Compact", ("/v3/kv/compaction",), kv.CompactionRequest),
    Rpc(WATCH, "Watch", ("/v3/watch",), watch.WatchRequest, RpcKind.BIDI_STREAM),
    Rpc(LEASE, "LeaseGrant", ("/v3/lease/grant",), lease.LeaseGrantRequest),
    Rpc(LEASE, "LeaseRevoke", ("/v3/lease/revoke", "/v3/kv/lease/revoke"), lease.LeaseRevokeRequest),
    Rpc(LEASE, "LeaseKeepAlive", ("/v3/lease/keepalive",), lease.LeaseKeepAliveRequest, RpcKind.BIDI_STREAM),
    Rpc(LEASE, "LeaseTimeToLive", ("/v3/lease/timetolive", "/v3/kv/lease/timetolive"), lease.LeaseTimeToLiveRequest),
    Rpc(LEASE, "LeaseLeases", ("/v3/lease/leases", "/v3/kv/lease/leases"), lease.LeaseLeasesRequest),
    Rpc(LOCK, "Lock", ("/v3/lock/lock",), concurrency.LockRequest),
    Rpc(LOCK, "Unlock", ("/v3/lock/unlock",), concurrency.UnlockRequest),
    Rpc(ELECTION, "Campaign", ("/v3/election/campaign",), concurrency.CampaignRequest),
    Rpc(ELECTION, "Proclaim", ("/v3/election/proclaim",), concurrency.ProclaimRequest),
    Rpc(ELECTION, "Leader", ("/v3/election/leader",), concurrency.LeaderRequest),
    Rpc(ELECTION, "Observe", ("/v3/election/observe",), concurrency.LeaderRequest, RpcKind.SERVER_STREAM),
    Rpc(ELECTION, "Resign", ("/v3/election/resign",), concurrency.ResignRequest),
    Rpc(CLUSTER, "MemberAdd", ("/v3/cluster/member/add",), cluster.MemberAddRequest),
    Rpc(CLUSTER, "MemberRemove", ("/v3/cluster/member/remove",), cluster.MemberRemoveRequest),
    Rpc(CLUSTER, "MemberUpdate", ("/v3/cluster/member/update",), cluster.MemberUpdateRequest),
    Rpc(CLUSTER, "MemberList", ("/v3/cluster/member/list",), cluster.MemberListRequest),
    Rpc(CLUSTER, "MemberPromote", ("/v3/cluster/member/promote",), cluster.MemberPromoteRequest),
    Rpc(MAINTENANCE, "Alarm", ("/v3/maintenance/alarm",), maintenance.AlarmRequest),
    Rpc(MAINTENANCE, "Status", ("/v3/maintenance/status",), maintenance.StatusRequest),
    Rpc(MAINTENANCE, "Defragment", ("/v3/maintenance/defragment",), maintenance.DefragmentRequest),
    Rpc(MAINTENANCE, "Hash", ("/v3/maintenance/hash",), maintenance.HashRequest),
    Rpc(MAINTENANCE, "HashKV", ("/v3/maintenance/hashkv",), maintenance.HashKVRequest),
    Rpc(MAINTENANCE, "Snapshot", ("/v3/maintenance/snapshot",), kind=RpcKind.SERVER_STREAM),
    Rpc(MAINTENANCE, "MoveLeader", ("/v3/maintenance/transfer-leadership",), maintenance.MoveLeaderRequest),
    Rpc(MAINTENANCE, "Downgrade", ("/v3/maintenance/downgrade",), maintenance.DowngradeRequest),
    Rpc(AUTH, "AuthEnable", ("/v3/auth/enable",)),
    Rpc(AUTH, "AuthDisable", ("/v3/auth/disable",)),
    Rpc(AUTH, "AuthStatus", ("/v3/auth/status",)),
    Rpc(AUTH, "Authenticate", ("/v3/auth/authenticate",)),
    Rpc(AUTH, "UserAdd", ("/v3/auth/user/add",)),
    Rpc(AUTH, "UserGet", ("/v3/auth/user/get",)),
    Rpc(AUTH, "UserList", ("/v3/auth/user/list",)),
    Rpc(AUTH, "UserDelete", ("/v3/auth/user/delete",)),
    Rpc(AUTH, "UserChangePassword", ("/v3/auth/user/changepw",)),
    Rpc(AUTH, "UserGrantRole", ("/v3/auth/user/grant",)),
    Rpc(AUTH, "UserRevokeRole", ("/v3/auth/user/revoke",)),
    Rpc(AUTH, "RoleAdd", ("/v3/auth/role/add",)),
    Rpc(AUTH, "RoleGet", ("/v3/auth/role/get",)),
    Rpc(AUTH, "RoleList", ("/v3/auth/role/list",)),
    Rpc(AUTH, "RoleDelete", ("/v3/auth/role/delete",)),
    Rpc(AUTH, "RoleGrantPermission", ("/v3/auth/role/grant",)),
    Rpc(AUTH, "RoleRevokePermission", ("/v3/auth/role/revoke",)),
)
