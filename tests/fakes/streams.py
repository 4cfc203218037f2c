"""A gateway on a fake backend behind a real listener, and a client that reads answers chunk by chunk."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from raftgate.api.kv import KeyValue
from raftgate.api.watch import Event, EventType
from raftgate.connection import Connection, ConnectionOptions
from raftgate.listener import Listener
from raftgate.websocket import WebSocketOptions
from tests.fakes.backend import FakeBackend, FakeWatchStream
from tests.fakes.gateway import Gateway
from tests.fakes.loopback import DEADLINE, Answer, Client, listening

CREATE = b'{"create_request":{"key":"YQ=="}}'
CREATED = {
    "result": {"header": {"cluster_id": "1", "member_id": "2", "revision": "3", "raft_term": "4"}, "created": True}
}


def put(key: bytes, revision: int, value: bytes = b"v") -> Event:
    return Event(kv=KeyValue(key=key, create_revision=revision, mod_revision=revision, version=1, value=value))


def delete(key: bytes, revision: int) -> Event:
    return Event(type=EventType.DELETE, kv=KeyValue(key=key, mod_revision=revision))


class StreamClient(Client):
    """One connection on which a stream is asked for."""

    async def head(self) -> Answer:
        """The head of an answer."""
        async with asyncio.timeout(DEADLINE):
            return Answer((await self.reader.readuntil(b"\r\n\r\n"))[:-4], b"")

    async def chunk(self) -> bytes:
        """One chunk; empty at the end of the body, EOFError when the connection was cut before."""
        async with asyncio.timeout(DEADLINE):
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            return (await self.reader.readexactly(size + 2))[:-2]

    async def line(self) -> Any:
        """One JSON line, which has a chunk of its own."""
        chunk = await self.chunk()
        assert chunk.endswith(b"\n"), chunk
        assert chunk.count(b"\n") == 1
        return json.loads(chunk)


class StreamServer:
    """The server's side."""

    def __init__(self, gateway: Gateway, listener: Listener, port: int) -> None:
        self.gateway = gateway
        self.backend: FakeBackend = gateway.backend
        self.listener = listener
        self.port = port

    async def stream(self) -> FakeWatchStream:
        """The next stream of watches that was opened."""
        return await asyncio.wait_for(self.backend.streams.get(), DEADLINE)

    @asynccontextmanager
    async def client(self, *sent: bytes) -> AsyncIterator[StreamClient]:
        """A client that has sent something."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        client = StreamClient(reader, writer)
        try:
            await client.send(b"".join(sent))
            yield client
        finally:
            client.close()

    def sample(self, name: str, /, **labels: str) -> float:
        """The value of a metric."""
        return self.gateway.sample(name, **labels) or 0.0

    async def blocked(self) -> Connection:
        """The only connection, once its client reads too slowly."""
        async with asyncio.timeout(DEADLINE):
            while True:
                (connection,) = self.listener._state.connections
                assert isinstance(connection, Connection)
                if connection.flow.write_paused:
                    return connection
                await asyncio.sleep(0)  # nothing tells of it

    async def no_task_left(self) -> None:
        async with asyncio.timeout(DEADLINE):
            while self.listener._state.tasks:
                await asyncio.wait(self.listener._state.tasks)


@asynccontextmanager
async def streaming(websocket: WebSocketOptions | None = None, **changes: Any) -> AsyncIterator[StreamServer]:
    """A gateway that serves; `changes` are those of its options."""
    gateway = Gateway(**changes)
    options = ConnectionOptions(linger_seconds=0.3, websocket=websocket or WebSocketOptions())
    async with listening(gateway.app, options) as (listener, port):
        yield StreamServer(gateway, listener, port)


async def until(event: asyncio.Event) -> None:
    """Waits for something that must happen."""
    await asyncio.wait_for(event.wait(), DEADLINE)
