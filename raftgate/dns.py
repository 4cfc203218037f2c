"""SRV records from the domain name system (RFC 1035, RFC 2782): what the system's resolver cannot be asked for.

One question over UDP, again over TCP if the answer is cut short. Own code rather than a library: it is one record type,
asked once in a member's life, against a package as large as the rest of the start together.
"""

import asyncio
import secrets
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

RESOLV_CONF = Path("/etc/resolv.conf")
TIMEOUT = 5.0
"""Seconds for one attempt: resolv.conf(5), as Go has it (net/dnsconfig_unix.go)."""
ATTEMPTS = 2
PORT = 53
TYPE_SRV: Final = 33
CLASS_IN: Final = 1

_HEADER = struct.Struct(">HHHHHH")
_QUESTION = struct.Struct(">HH")
_RECORD = struct.Struct(">HHIH")
_SRV = struct.Struct(">HHH")
_LENGTH = struct.Struct(">H")
_RECURSE, _ANSWER, _TRUNCATED, _CODE = 0x0100, 0x8000, 0x0200, 0x000F
_NO_SUCH_NAME = 3
_POINTER = 0xC0
_MAX_NAME = 255
_MAX_LABEL = 63


class LookupFailed(Exception):
    """There are no such records, or nobody answers; the text is as Go's (net/dnsclient.go)."""


class _Unreadable(Exception):
    """An answer that is none to the question."""


class Srv(NamedTuple):
    """One record."""

    priority: int
    weight: int
    port: int
    target: str
    """Without the dot at its end."""


class Server(NamedTuple):
    """Whom to ask."""

    host: str
    port: int = PORT

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_server(text: str) -> Server:
    """The server of `host`, `host:port` or `[host]:port`.

    Raises: ValueError.
    """
    host, colon, port = text.rpartition(":")
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        return Server(host, int(port.removeprefix(":") or PORT))
    return Server(host, int(port)) if colon and ":" not in host else Server(text)


def configured_servers(path: Path = RESOLV_CONF) -> list[Server]:
    """The servers that the system is set to ask."""
    lines: list[list[str]] = []
    with suppress(OSError):
        lines = [line.split() for line in path.read_text(errors="replace").splitlines()]
    found = [Server(words[1]) for words in lines if len(words) > 1 and words[0] == "nameserver"]
    return found[:3] or [Server("127.0.0.1")]


async def lookup_srv(
    name: str, servers: Sequence[Server], patience: float = TIMEOUT, attempts: int = ATTEMPTS
) -> list[Srv]:
    """The records of a full name, by priority and target; `patience`: seconds for each attempt.

    Raises: LookupFailed.
    """
    failure = f"lookup {name}: no servers"
    for server in list(servers) * attempts:
        try:
            async with asyncio.timeout(patience):
                code, records = await _ask(name, server)
        except TimeoutError:
            failure = f"lookup {name} on {server}: i/o timeout"
            continue
        except (OSError, EOFError, _Unreadable) as error:
            failure = f"lookup {name} on {server}: {error}"
            continue
        if records:
            return sorted(records, key=lambda record: (record.priority, record.target, record.port))
        if code in (0, _NO_SUCH_NAME):
            raise LookupFailed(f"lookup {name} on {server}: no such host")
        failure = f"lookup {name} on {server}: server misbehaving"
    raise LookupFailed(failure)


async def _ask(name: str, server: Server) -> tuple[int, list[Srv]]:
    number = secrets.randbits(16)
    query = encode_query(number, name)
    data = await _ask_udp(query, server)
    code, records, is_cut = decode_answer(data, query)
    if is_cut:
        code, records, _ = decode_answer(await _ask_tcp(query, server), query)
    return code, records


class _Datagrams(asyncio.DatagramProtocol):
    """Waits for the answer to one query; what answers another is passed over."""

    def __init__(self, query: bytes) -> None:
        self._query = query
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - the socket is connected
        if not self.answer.done() and data[:2] == self._query[:2]:
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _ask_udp(query: bytes, server: Server) -> bytes:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: _Datagrams(query), remote_addr=(server.host, server.port)
    )
    try:
        transport.sendto(query)
        return await protocol.answer
    finally:
        transport.close()


async def _ask_tcp(query: bytes, server: Server) -> bytes:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        writer.write(_LENGTH.pack(len(query)) + query)
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        return await reader.readexactly(length)
    finally:
        writer.close()


def encode_query(number: int, name: str) -> bytes:
    """The question for a name's SRV records.

    Raises: LookupFailed if it is no name.
    """
    labels = [label.encode() for label in name.removesuffix(".").split(".")]
    if not name.isascii() or not all(0 < len(label) <= _MAX_LABEL for label in labels) or len(name) > _MAX_NAME - 2:
        raise LookupFailed(f"lookup {name}: no such host")
    encoded = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return _HEADER.pack(number, _RECURSE, 1, 0, 0, 0) + encoded + _QUESTION.pack(TYPE_SRV, CLASS_IN)


def decode_answer(data: bytes, query: bytes) -> tuple[int, list[Srv], bool]:
    """The response code, the records, and whether the answer was cut short.

    Raises: _Unreadable.
    """
    try:
        number, flags, questions, answers, _, _ = _HEADER.unpack_from(data)
        end = len(query)
        is_echo = data[_HEADER.size : end].lower() == query[_HEADER.size :].lower()
        if not flags & _ANSWER or number != _HEADER.unpack_from(query)[0] or (questions and not is_echo):
            raise _Unreadable("the answer is to another question")
        offset = end if questions else _HEADER.size
        records = [] if flags & _TRUNCATED else list(_records(data, offset, answers))
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise _Unreadable(f"cannot unmarshal DNS message: {error}") from None
    return flags & _CODE, records, bool(flags & _TRUNCATED)


def _records(data: bytes, offset: int, count: int) -> Iterator[Srv]:
    for _ in range(count):
        _, offset = _name(data, offset)
        kind, of_class, _, length = _RECORD.unpack_from(data, offset)
        offset += _RECORD.size
        if (kind, of_class) == (TYPE_SRV, CLASS_IN):
            target, _ = _name(data, offset + _SRV.size)
            if target:  # a lone dot: the service is not there (RFC 2782)
                priority, weight, port = _SRV.unpack_from(data, offset)
                yield Srv(priority, weight, port, target)
        offset += length


def _name(data: bytes, offset: int) -> tuple[str, int]:
    """The name at an offset, and where what follows it begins; pointers lead back only, so that they end."""
    labels: list[str] = []
    end = 0
    lowest = offset
    while True:
        length = data[offset]
        if length & _POINTER == _POINTER:
            end = end or offset + 2
            offset = _LENGTH.unpack_from(data, offset)[0] & 0x3FFF
            if offset >= lowest:
                raise _Unreadable("cannot unmarshal DNS message: a pointer leads on")
            lowest = offset
            continue
        if length > _MAX_LABEL:
            raise _Unreadable("cannot unmarshal DNS message: a label is too long")
        offset += 1
        if not length:
            return ".".join(labels), end or offset
        labels.append(data[offset : offset + length].decode("ascii"))
        offset += length
