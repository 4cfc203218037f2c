"""A listener on a free loopback port, and a client that sends bytes as they are."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import ASGIApp

from raftgate.connection import ConnectionOptions
from raftgate.listener import Listener

DEADLINE = 10.0
"""Seconds after which a test has waited in vain."""


def free_socket() -> socket.socket:
    """A socket bound to a free port."""
    return socket.create_server(("127.0.0.1", 0))


@asynccontextmanager
async def listening(app: ASGIApp, options: ConnectionOptions | None = None) -> AsyncIterator[tuple[Listener, int]]:
    """A started listener and its port."""
    sock = free_socket()
    port: int = sock.getsockname()[1]
    listener = Listener(app, [sock], options)
    await listener.start()
    try:
        yield listener, port
    finally:
        await listener.stop(0.0)


class Answer:
    """One HTTP answer as it came."""

    def __init__(self, head: bytes, body: bytes) -> None:
        status, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(status.split(" ")[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        self.body = body


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Sends bytes; that the server has closed meanwhile is seen by reading."""
        try:
            self.writer.write(data)
            await asyncio.wait_for(self.writer.drain(), DEADLINE)
        except (ConnectionError, RuntimeError):  # uvloop raises the latter on a transport that is gone
            return

    async def answer(self, method: str = "POST") -> Answer:
        """Reads one answer with a Content-Length."""
        async with asyncio.timeout(DEADLINE):
            head = (await self.reader.readuntil(b"\r\n\r\n"))[:-4]
            answer = Answer(head, b"")
            length = int(answer.headers.get("content-length", 0)) if method != "HEAD" else 0
            answer.body = await self.reader.readexactly(length)
        return answer

    async def rest(self) -> bytes:
        """Reads until the server closes."""
        async with asyncio.timeout(DEADLINE):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b"reset"

    def close(self) -> None:
        """Goes away."""
        self.writer.transport.abort()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    """A client of that port."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    client = Client(reader, writer)
    try:
        yield client
    finally:
        client.close()


def rpc(body: bytes = b"{}", path: str = "/v3/kv/range", *headers: str, version: str = "1.1") -> bytes:
    """A POST with a Content-Length."""
    lines = [f"POST {path} HTTP/{version}", "Host: localhost", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(*rest: bytes, path: str = "/v3/kv/range", headers: bytes = b"") -> bytes:
    """A POST in chunks, which the caller gives as they go over the wire."""
    head = b"POST %b HTTP/1.1\r\nHost: localhost\r\n%bTransfer-Encoding: chunked\r\n\r\n" % (path.encode(), headers)
    return head + b"".join(rest)
