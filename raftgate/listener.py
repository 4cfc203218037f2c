"""Servers on open sockets: start, orderly stop, and the signals that ask for it.

Made of uvicorn's parts below its `Server`, which would take the signals for one server and poll for its end.
"""

import asyncio
import logging
import os
import signal
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email.utils import formatdate

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from raftgate.connection import Connection, ConnectionOptions

_LOG = logging.getLogger(__name__)

_BACKLOG = 2048
_DATE_SECONDS = 0.5  # between two looks at the clock: the Date header is right to the second, nearly
_CANCEL_SECONDS = 1.0  # that a cancelled request may take to end

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Listener:
    """Serves one application on some sockets."""

    def __init__(
        self,
        app: ASGIApp,
        sockets: Sequence[socket.socket],
        options: ConnectionOptions | None = None,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`sockets` are bound and become the listener's own."""
        self._sockets = sockets
        self._options = options or ConnectionOptions()
        self._tls = tls
        self._config = uvicorn.Config(
            app,
            interface="asgi3",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
        )
        self._config.load()
        self._state = ServerState()
        self._servers: list[asyncio.Server] = []
        self._empty = asyncio.Event()
        self._date_timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Begins to accept connections."""
        loop = asyncio.get_running_loop()
        self._set_date()
        for sock in self._sockets:
            server = await loop.create_server(self._connect, sock=sock, ssl=self._tls, backlog=_BACKLOG)
            self._servers.append(server)  # uvloop closes a server that nobody holds

    async def stop(self, seconds: float) -> None:
        """Accepts no more, lets running requests finish within `seconds`, and closes all connections."""
        for server in self._servers:
            server.close()
        for sock in self._sockets:
            sock.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(seconds):
                await self._wait_until_empty()
        except TimeoutError:
            self._cut()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=_CANCEL_SECONDS)
        if self._date_timer is not None:
            self._date_timer.cancel()

    async def _wait_until_empty(self) -> None:
        while self._state.connections:
            self._empty.clear()
            await self._empty.wait()

    def _cut(self) -> None:
        if self._state.connections:
            _LOG.warning("%d connections did not end in time and are cut", len(self._state.connections))
        for connection in list(self._state.connections):
            connection.transport.abort()

    def _connect(self) -> Connection:
        return Connection(self._config, self._state, self._options, self._lost)

    def _lost(self) -> None:
        if not self._state.connections:
            self._empty.set()

    def _set_date(self) -> None:
        self._state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
        self._date_timer = asyncio.get_running_loop().call_later(_DATE_SECONDS, self._set_date)


async def serve(listeners: Sequence[Listener], stop: asyncio.Event, stop_seconds: float = 5.0) -> None:
    """Serves on all listeners until `stop` is set, then ends them together within about `stop_seconds`."""
    started: list[Listener] = []
    try:
        for listener in listeners:
            started.append(listener)
            await listener.start()
        await stop.wait()
    finally:
        await asyncio.gather(*(listener.stop(stop_seconds) for listener in started))


class Signals:
    """What the process was told."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop
        self.received: signal.Signals | None = None
        """The signal that asked for the stop."""

    def handle(self, number: signal.Signals) -> None:
        """Asks for an orderly stop at the first signal, and exits with 1 at the second."""
        if self.received is not None:
            _LOG.warning("%s again: exiting at once", number.name)
            os._exit(1)
        _LOG.info("received %s: stopping", number.name)
        self.received = number
        self._stop.set()


@contextmanager
def signals_handled(stop: asyncio.Event) -> Iterator[Signals]:
    """Sets `stop` on SIGTERM or SIGINT while it lasts; needs the main thread and a running loop."""
    loop = asyncio.get_running_loop()
    signals = Signals(stop)
    for number in _SIGNALS:
        loop.add_signal_handler(number, signals.handle, number)
    try:
        yield signals
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
