"""A gateway on a fake backend, and a client that speaks to it without a socket."""

import json
from typing import Any

import httpx
from prometheus_client import CollectorRegistry

from gateway.app import build_app, build_metrics_app
from gateway.metrics import Metrics
from gateway.options import Options
from tests.fakes.backend import FakeBackend

PUT = {"key": "Zm9v", "value": "YmFy"}
RANGE = {"key": "Zm9v"}


def make_options(**changes: Any) -> Options:  # Any: each option has its own type
    """Options with metrics of their own."""
    return Options(metrics=Metrics(CollectorRegistry()), **changes)


class Gateway:
    """The application, its options and backend, and a client."""

    def __init__(self, backend: FakeBackend | None = None, *, metrics_only: bool = False, **changes: Any) -> None:
        self.backend = backend or FakeBackend()
        self.options = make_options(**changes)
        self.app = (build_metrics_app if metrics_only else build_app)(self.backend, self.options)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://localhost:2379")

    async def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:  # Any: httpx's own
        """Sends a request whose path is taken as it is."""
        url = httpx.URL("http://localhost:2379").copy_with(raw_path=path.encode())
        return await self.client.request(method, url, **arguments)

    async def post(self, path: str, body: bytes | dict[str, Any] = b"", **arguments: Any) -> httpx.Response:
        """Sends an RPC."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.request("POST", path, content=content, **arguments)

    async def get(self, path: str, **arguments: Any) -> httpx.Response:  # Any: httpx's own
        """Asks for a page."""
        return await self.request("GET", path, **arguments)

    def sample(self, name: str, /, **labels: str) -> float | None:
        """The value of a metric."""
        return self.options.metrics.registry.get_sample_value(name, labels)
