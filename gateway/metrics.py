"""What the gateway counts, under the names that etcd's dashboards and alerts read.

A request touches plain numbers only; families are made of them when they are scraped, in another thread. A library
metric would cost ten times as much a request, and one request raises a dozen of them.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from gateway.stream_metrics import StreamStats
from raftgate.api.errors import Code
from raftgate.api.services import KV, RPCS, Rpc, RpcKind

GRPC_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
HTTP_BOUNDS = (0.001, 0.0025, *GRPC_BOUNDS)
SIZE_BOUNDS = tuple(256.0 * 4**i for i in range(8))
INFINITY = float("inf")

OTHER = "other"
"""The route of whatever no route serves, and the method that nobody expects: labels never hold a client's text."""

_METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS"})
_CODE_NAMES = {code: code.name.title().replace("_", "") for code in Code} | {Code.OK: "OK"}
_RPC_LABELS = ("grpc_service", "grpc_method", "grpc_type")


class Histogram:
    """Counts of values by upper bound."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Counts one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def add_to(self, family: HistogramMetricFamily, labels: Sequence[str]) -> None:
        """Writes the counts as one series of `family`."""
        total = 0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip((*self._bounds, INFINITY), self._counts, strict=True):
            total += count
            buckets.append((floatToGoString(bound), total))  # type: ignore[no-untyped-call]  # the library's
        family.add_metric(labels, buckets, self._sum)


class RouteStats:
    """Counts of one HTTP route."""

    __slots__ = ("_durations", "_metrics", "_received", "_requests", "_sent", "_timed", "route")

    def __init__(self, metrics: "Metrics", route: str, *, timed: bool) -> None:
        self.route = route
        self._metrics = metrics
        self._timed = timed
        self._requests: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._durations: dict[int, Histogram] = {}
        self._received = Histogram(SIZE_BOUNDS)
        self._sent = Histogram(SIZE_BOUNDS)

    def begin(self) -> None:
        """Counts a request that has come in."""
        self._metrics.in_flight += 1

    def end(self) -> None:
        """Counts a request that is done with, answered or not."""
        self._metrics.in_flight -= 1

    def record(self, method: str, status: int, received: int, sent: int, seconds: float | None) -> None:
        """Counts an answer; `received` and `sent` are the bytes of the two bodies.

        `seconds` is None for a stream, whose end the client chooses.
        """
        self._requests[method if method in _METHODS else OTHER, status] += 1
        self._received.add(received)
        self._sent.add(sent)
        if self._timed:
            if seconds is not None:
                duration = self._durations.get(status // 100)
                if duration is None:
                    duration = self._durations.setdefault(status // 100, Histogram(HTTP_BOUNDS))
                duration.add(seconds)
            self._metrics.client_received += received
            self._metrics.client_sent += sent

    def write(self, families: "_HttpFamilies") -> None:
        """Writes the counts of this route, if there are any."""
        for (method, status), count in list(self._requests.items()):
            families.requests.add_metric([self.route, method, str(status)], count)
        for status_class, duration in list(self._durations.items()):
            duration.add_to(families.durations, [self.route, f"{status_class}xx"])
        if self._requests:
            self._received.add_to(families.received, [self.route])
            self._sent.add_to(families.sent, [self.route])


class _HttpFamilies:
    def __init__(self) -> None:
        self.requests = CounterMetricFamily(
            "raftgate_http_requests", "HTTP requests answered.", labels=["route", "method", "status"]
        )
        self.durations = HistogramMetricFamily(
            "raftgate_http_request_duration_seconds",
            "Time from a request's head to the last byte of its answer, RPCs only.",
            labels=["route", "status_class"],
        )
        self.received = HistogramMetricFamily(
            "raftgate_http_request_size_bytes", "Bytes of request bodies.", labels=["route"]
        )
        self.sent = HistogramMetricFamily(
            "raftgate_http_response_size_bytes", "Bytes of response bodies.", labels=["route"]
        )

    def __iter__(self) -> Iterator[Metric]:
        return iter((self.requests, self.durations, self.received, self.sent))


class RpcStats:
    """Counts of one RPC, whatever paths it has."""

    __slots__ = ("_seconds", "handled", "received", "rpc", "sent", "started")

    def __init__(self, rpc: Rpc) -> None:
        self.rpc = rpc
        self.started = 0
        self.received = self.sent = 0
        """Messages of a stream; of a unary call there is one each way."""
        # Alerts divide by what other codes are counted next to, and dashboards subtract: zeros matter.
        codes = list(Code) if rpc.service == KV else [Code.OK]
        self.handled: dict[Code, int] = dict.fromkeys(codes, 0)
        self._seconds = Histogram(GRPC_BOUNDS)

    def finish(self, code: Code, seconds: float) -> None:
        """Counts the end of a call."""
        self.handled[code] = self.handled.get(code, 0) + 1
        self._seconds.add(seconds)

    def write(self, families: "_RpcFamilies") -> None:
        """Writes the counts of this RPC, those of calls that never came included."""
        labels = [self.rpc.service, self.rpc.method, self.rpc.kind]
        families.started.add_metric(labels, self.started)
        for code, count in list(self.handled.items()):
            families.handled.add_metric([*labels, _CODE_NAMES[code]], count)
        unary = self.rpc.kind is RpcKind.UNARY
        families.received.add_metric(labels, self.started if unary else self.received)
        families.sent.add_metric(labels, self.handled[Code.OK] if unary else self.sent)
        if self.rpc.request is not None:
            self._seconds.add_to(families.seconds, labels)


class _RpcFamilies:
    def __init__(self) -> None:
        self.started = CounterMetricFamily("grpc_server_started", "RPCs started on the server.", labels=_RPC_LABELS)
        self.handled = CounterMetricFamily(
            "grpc_server_handled", "RPCs completed on the server, by code.", labels=(*_RPC_LABELS, "grpc_code")
        )
        self.received = CounterMetricFamily(
            "grpc_server_msg_received", "RPC messages received by the server.", labels=_RPC_LABELS
        )
        self.sent = CounterMetricFamily("grpc_server_msg_sent", "RPC messages sent by the server.", labels=_RPC_LABELS)
        self.seconds = HistogramMetricFamily(
            "grpc_server_handling_seconds", "Time that the server took to answer RPCs.", labels=_RPC_LABELS
        )

    def __iter__(self) -> Iterator[Metric]:
        return iter((self.started, self.handled, self.received, self.sent, self.seconds))


class HealthStats:
    """Results of health checks."""

    def __init__(self) -> None:
        self._health = {True: 0, False: 0}
        self._last: dict[tuple[str, str], int] = {}
        self._checks: defaultdict[tuple[str, str, str], int] = defaultdict(int)

    def health(self, *, success: bool) -> None:
        """Counts an answer of /health."""
        self._health[success] += 1

    def check(self, kind: str, name: str, *, success: bool) -> None:
        """Counts the result of one check; `kind` is livez or readyz."""
        self._last[kind, name] = int(success)
        self._checks[kind, name, "success" if success else "error"] += 1

    def collect(self) -> Iterator[Metric]:
        """The families of health checks; the first two bear their bare names in etcd."""
        yield bare_counter("etcd_server_health_success", "Successful answers of /health.", self._health[True])
        yield bare_counter("etcd_server_health_failures", "Failed answers of /health.", self._health[False])
        last = GaugeMetricFamily("etcd_server_healthcheck", "Last result of each check.", labels=["type", "name"])
        for key, value in list(self._last.items()):
            last.add_metric(key, value)
        yield last
        checks = CounterMetricFamily(
            "etcd_server_healthchecks", "Results of checks.", labels=["type", "name", "status"]
        )
        for labels, count in list(self._checks.items()):
            checks.add_metric(labels, count)
        yield checks


class Metrics:
    """The gateway's counters; registers itself with the registry of its member."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.in_flight = 0
        self.client_received = 0
        self.client_sent = 0
        self.scrape_seconds = 0.0
        self.health = HealthStats()
        self.streams = StreamStats()
        self._routes: dict[str, RouteStats] = {}
        self._rpcs = {(rpc.service, rpc.method): RpcStats(rpc) for rpc in RPCS}
        registry.register(self)

    def route(self, route: str, *, timed: bool = False) -> RouteStats:
        """The counts of a route; `timed` for RPCs, whose durations and bytes are counted apart."""
        return self._routes.setdefault(route, RouteStats(self, route, timed=timed))

    def rpc(self, rpc: Rpc) -> RpcStats:
        """The counts of an RPC."""
        return self._rpcs[rpc.service, rpc.method]

    def collect(self) -> Iterator[Metric]:
        """Makes the families; called by the registry, from any thread."""
        rpc_families = _RpcFamilies()
        for rpc in self._rpcs.values():
            rpc.write(rpc_families)
        yield from rpc_families
        yield _client_requests(self._rpcs.values())
        received, sent = "etcd_network_client_grpc_received_bytes", "etcd_network_client_grpc_sent_bytes"
        yield CounterMetricFamily(received, "Bytes received from clients.", value=self.client_received)
        yield CounterMetricFamily(sent, "Bytes sent to clients.", value=self.client_sent)
        yield from self.health.collect()
        yield from self.streams.collect()
        http_families = _HttpFamilies()
        for route in list(self._routes.values()):
            route.write(http_families)
        yield from http_families
        in_flight = GaugeMetricFamily(
            "raftgate_http_requests_in_flight", "HTTP requests being answered.", labels=["role"]
        )
        in_flight.add_metric(["gateway"], self.in_flight)
        yield in_flight
        yield GaugeMetricFamily(
            "raftgate_scrape_duration_seconds", "Time that the previous scrape took.", value=self.scrape_seconds
        )


def _client_requests(rpcs: Iterable[RpcStats]) -> Metric:
    family = CounterMetricFamily(
        "etcd_server_client_requests", "Requests of clients.", labels=["type", "client_api_version"]
    )
    by_kind = {"unary": 0, "stream": 0}
    for rpc in rpcs:
        by_kind["unary" if rpc.rpc.kind is RpcKind.UNARY else "stream"] += rpc.started
    for kind, count in by_kind.items():
        if count:
            family.add_metric([kind, "unknown"], count)
    return family


def bare_counter(name: str, text: str, value: float) -> Metric:
    """A counter whose name lacks `_total`, as a few of etcd's do; `exposition` writes such families itself."""
    family = Metric(name, text, "counter")
    family.add_sample(name, {}, value)
    return family


def register_process_metrics(registry: CollectorRegistry) -> None:
    """Registers the families of the process and the Python runtime, once for each registry."""
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(_FileDescriptors())


class _FileDescriptors:
    """etcd's two names for what the process collector counts as well."""

    def __init__(self) -> None:
        self._process = ProcessCollector(registry=None)

    def collect(self) -> Iterator[Metric]:
        values = {family.name: family.samples[0].value for family in self._process.collect()}
        used, limit = values.get("process_open_fds", 0), values.get("process_max_fds", 0)
        yield GaugeMetricFamily("os_fd_used", "Open file descriptors.", value=used)
        yield GaugeMetricFamily("os_fd_limit", "Limit of open file descriptors.", value=limit)
