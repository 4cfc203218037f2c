"""What the composition root decides for the gateway."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from gateway.metrics import Metrics

Check = Callable[[], Awaitable[None]]
"""A health check: returns when all is well, raises with the text of what is not."""

GRPC_OVERHEAD_BYTES = 512 * 1024  # etcd embed/config.go, server/etcdserver/api/v3rpc/grpc.go: grpcOverheadBytes


def _never() -> bool:
    return False


def _not_decided() -> str:
    return "not_decided"


def _no_vars() -> Mapping[str, object]:
    return {}


@dataclass(frozen=True, slots=True)
class Options:
    """Limits, names and hooks of one gateway."""

    metrics: Metrics
    max_request_bytes: int = 1_572_864
    """Bound of the replicated request; the bounds of messages and bodies follow from it."""
    cors: frozenset[str] = frozenset({"*"})
    """Allowed origins, `scheme://host:port` each, or `*`."""
    host_whitelist: frozenset[str] = frozenset({"*"})
    """Accepted Host headers without port, or `*`."""
    server_version: str = "3.6.13"
    """The version of etcd whose behaviour is offered; clients switch on it."""
    raftgate_version: str = ""
    cluster_version: Callable[[], str] = _not_decided
    """`3.6.0`, or `not_decided` as long as the members have not agreed."""
    live_checks: Mapping[str, Check] = field(default_factory=dict)
    """Own checks of /livez, in the order in which they are listed; /readyz runs them too."""
    ready_checks: Mapping[str, Check] = field(default_factory=dict)
    """Own checks of /readyz alone."""
    draining: Callable[[], bool] = _never
    """True from the moment that the process was asked to stop."""
    health_timeout: float = 3.0
    """Seconds that a health check may take."""
    debug_vars: Callable[[], Mapping[str, object]] = _no_vars
    """What /debug/vars shows besides the command line; JSON values."""
    body_window: float = 30.0
    """Seconds over which a request body must keep up `body_rate`."""
    body_rate: int = 1024
    """Bytes a second."""
    offload_bytes: int = 16 * 1024
    """Bodies above it are decoded in a worker thread: the tolerant decoder needs milliseconds for as much."""
    sse_progress_seconds: float = 15.0
    """Silence on a stream of server-sent events after which it is told how far it has got."""
    clock: Callable[[], float] = time.perf_counter

    @property
    def max_message_bytes(self) -> int:
        """Bound of a decoded request, as etcd's gRPC server has it."""
        return self.max_request_bytes + GRPC_OVERHEAD_BYTES

    @property
    def max_body_bytes(self) -> int:
        """Bound of a request body: any message within bounds fits, base64 and white space included."""
        return 2 * self.max_request_bytes + 4 * 1024 * 1024
