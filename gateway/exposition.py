"""Metrics as text: the classic format or OpenMetrics, compressed when asked for.

The library writes all families but a few counters of etcd's, whose names lack the suffix that it insists on.
"""

import gzip
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from gateway.replies import Reply, make_reply

# The library's own constant names version 1.0.0, which older scrapers do not know.
CLASSIC = b"text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = b"application/openmetrics-text; version=1.0.0; charset=utf-8"

_GZIP_LEVEL = 5


def render(registry: CollectorRegistry, accept: str, accept_encoding: str) -> Reply:
    """Writes all families of a registry; takes tens of milliseconds, so call it in a worker thread."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's; etcd has no `_created` gauges
    families = list(registry.collect())
    if "application/openmetrics-text" in accept:
        content_type = OPENMETRICS
        text: bytes = openmetrics.generate_latest(_Families(_as_unknown(families)))  # type: ignore[no-untyped-call]  # the library's
    else:
        content_type = CLASSIC
        bare = [family for family in families if is_bare(family)]
        rest = _Families(family for family in families if not is_bare(family))
        text = generate_latest(rest) + _bare_text(bare)
    headers = [(b"content-type", content_type)]
    if _accepts_gzip(accept_encoding):
        headers += [(b"content-encoding", b"gzip")]
        text = gzip.compress(text, _GZIP_LEVEL)
    return make_reply(200, headers, text)


class _Families(Collector):
    """Collected families in the shape of a registry."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)


def is_bare(family: Metric) -> bool:
    """Whether the family is a counter whose samples bear its name without `_total`."""
    return family.type == "counter" and bool(family.samples) and family.samples[0].name == family.name


def _bare_text(families: Iterable[Metric]) -> bytes:
    lines: list[str] = []
    for family in families:
        # The library writes it as a gauge of the same name, with labels escaped; only the type differs.
        gauge = Metric(family.name, family.documentation, "gauge")
        gauge.samples = family.samples
        text = generate_latest(_Families([gauge])).decode()
        lines.append(text.replace(f"# TYPE {family.name} gauge\n", f"# TYPE {family.name} counter\n", 1))
    return "".join(lines).encode()


def _as_unknown(families: Iterable[Metric]) -> Iterator[Metric]:
    """OpenMetrics forbids a counter without `_total`, but not a family of unknown type."""
    for family in families:
        if not is_bare(family):
            yield family
            continue
        unknown = Metric(family.name, family.documentation, "unknown")
        unknown.samples = family.samples
        yield unknown


def _accepts_gzip(accept_encoding: str) -> bool:
    for part in accept_encoding.split(","):
        coding, _, parameters = part.partition(";")
        if coding.strip().lower() == "gzip":
            return parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
