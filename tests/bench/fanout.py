"""Watch fan-out: every put goes to all watchers, each on a connection of its own.

One process, one thread, epoll: the load generator counts events in the bytes as they come and parses nothing.
"""

import selectors
import socket
import time
from dataclasses import dataclass

from tests.e2e.client import Client

MARK = b'"mod_revision"'
"""Stands once in each event."""
WATCH = b'{"create_request":{"key":"Zg==","range_end":"Zw=="}}'
PUT = b'{"key":"Zm9v","value":"%b"}' % (b"dmFsdWU0" * 32)
STALLED = 10.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one run measured: events a second, and milliseconds from a put to its last watcher (lock step only)."""

    rate: float
    p50: float
    p99: float


def deliver(port: int, watchers: int, in_the_air: int, seconds: float) -> Delivery:
    """Put for `seconds`, at most `in_the_air` puts ahead of the slowest watcher on average."""
    fanout = Fanout(port, watchers)
    try:
        return fanout.run(in_the_air, seconds)
    finally:
        fanout.close()


class Fanout:
    """Watchers and writers of one run."""

    def __init__(self, port: int, watchers: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._watchers = watchers
        self._port = port
        self._sockets: list[socket.socket] = []
        self._tails: dict[socket.socket, bytes] = {}
        self.events = 0
        for _ in range(watchers):
            watcher = self._request(b"/v3/watch", WATCH)
            self._selector.register(watcher, selectors.EVENT_READ)
            self._tails[watcher] = b""
        waiting = watchers
        while waiting:
            for key, _ in self._ready():
                waiting -= b'"created":true' in self._read(key.fileobj)  # type: ignore[arg-type]  # all are sockets

    def run(self, in_the_air: int, seconds: float) -> Delivery:
        """Put and wait for the events; the rate counts until the last one has come."""
        client = Client(self._port)  # one put at once: what is in the air is on its way to watchers
        started = time.perf_counter()
        sent: list[float] = []
        took: list[float] = []
        while time.perf_counter() - started < seconds:
            while len(sent) - self.events // self._watchers < in_the_air:
                sent.append(time.perf_counter())
                client.send("POST", "/v3/kv/put", PUT, {})
            self._take(took, sent)
        while self.events < len(sent) * self._watchers:
            self._take(took, sent)
        client.close()
        total = time.perf_counter() - started
        took.sort()
        p50, p99 = (took[int(len(took) * part)] * 1000 for part in (0.5, 0.99))
        return Delivery(self.events / total, p50, p99)

    def close(self) -> None:
        """Close all connections."""
        for each in self._sockets:
            each.close()
        self._selector.close()

    def _take(self, took: list[float], sent: list[float]) -> None:
        done = self.events // self._watchers
        for key, _ in self._ready():
            self.events += self._count(key.fileobj)  # type: ignore[arg-type]  # all are sockets
        now = time.perf_counter()
        took += [now - sent[number] for number in range(done, self.events // self._watchers)]

    def _ready(self) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._selector.select(STALLED)
        if not ready:
            raise SystemExit(f"no event for {STALLED} s")
        return ready

    def _count(self, watcher: socket.socket) -> int:
        data = self._tails[watcher] + self._read(watcher)
        self._tails[watcher] = data[-len(MARK) + 1 :]
        return data.count(MARK)

    @staticmethod
    def _read(watcher: socket.socket) -> bytes:
        data = watcher.recv(1 << 16)
        if not data:
            raise SystemExit("a watch has ended")
        return data

    def _request(self, path: bytes, body: bytes) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self._port))
        self._sockets.append(connection)
        head = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path, len(body))
        connection.sendall(head + body)
        return connection
