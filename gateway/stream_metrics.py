"""What is counted of streams: how many there are, what was written to them, and how they ended."""

from collections import defaultdict
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

KINDS = ("lease_keepalive", "observe", "watch_ndjson", "watch_sse", "watch_websocket")


class StreamStats:
    """Counts of the streams of one gateway, by kind."""

    def __init__(self) -> None:
        self.open: dict[str, int] = dict.fromkeys(KINDS, 0)
        self.events: dict[str, int] = dict.fromkeys(KINDS, 0)
        self.closed: defaultdict[tuple[str, str], int] = defaultdict(int)

    def collect(self) -> Iterator[Metric]:
        """The families; called from any thread."""
        streams = GaugeMetricFamily("raftgate_streams_open", "Streams being served.", labels=["kind"])
        events = CounterMetricFamily("raftgate_stream_events", "Events written to streams.", labels=["kind"])
        closed = CounterMetricFamily("raftgate_stream_closed", "Streams that ended.", labels=["kind", "reason"])
        for kind in KINDS:
            streams.add_metric([kind], self.open[kind])
            events.add_metric([kind], self.events[kind])
        for labels, count in list(self.closed.items()):
            closed.add_metric(labels, count)
        yield from (streams, events, closed)
