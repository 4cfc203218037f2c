"""A DNS server on loopback that knows SRV records only, over UDP and TCP on one port."""

import contextlib
import socket
import struct
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

Record = tuple[int, int, int, str]
"""Priority, weight, port, target."""

QUESTION_END = 4  # type and class
NO_SUCH_NAME = 3


class DnsServer:
    """Answers in threads; a context manager, which ends them."""

    def __init__(self, records: Mapping[str, Sequence[Record]]) -> None:
        self.records = records
        self.is_cut = False
        """Whether answers over UDP are cut short."""
        self.is_silent = False
        self.code: int | None = None
        """Answered instead of what there is."""
        self.asked: list[str] = []
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._tcp.getsockname()[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", self.port))
        self._threads = [threading.Thread(target=work) for work in (self._serve_udp, self._serve_tcp)]

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for sock in (self._tcp, self._udp):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # wakes whoever waits
            sock.close()
        for thread in self._threads:
            thread.join()

    def answer(self, query: bytes, *, is_udp: bool) -> bytes:
        """The answer to a query, its names compressed."""
        name, end = _name(query)
        self.asked.append(f"{'udp' if is_udp else 'tcp'} {name}")
        question = query[12 : end + QUESTION_END]
        found = self.records.get(name, ())
        code = self.code if self.code is not None else (0 if found else NO_SUCH_NAME)
        is_cut = is_udp and self.is_cut
        shown = () if is_cut or code else found
        head = query[:2] + struct.pack(">HHHHH", 0x8180 | (0x0200 if is_cut else 0) | code, 1, len(shown), 0, 0)
        return head + question + b"".join(map(_encode, shown))

    def _serve_udp(self) -> None:
        while True:
            try:
                query, address = self._udp.recvfrom(4096)
            except OSError:
                return
            if not query:
                return
            if not self.is_silent:
                self._udp.sendto(b"\0\0stray", address)
                self._udp.sendto(self.answer(query, is_udp=True), address)

    def _serve_tcp(self) -> None:
        while True:
            try:
                connection, _ = self._tcp.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as stream:
                (length,) = struct.unpack(">H", stream.read(2))
                answer = self.answer(stream.read(length), is_udp=False)
                connection.sendall(struct.pack(">H", len(answer)) + answer)


def _encode(record: Record) -> bytes:
    priority, weight, port, target = record
    name = b"".join(bytes([len(label)]) + label.encode() for label in target.split(".") if label) + b"\0"
    data = struct.pack(">HHH", priority, weight, port) + name
    return b"\xc0\x0c" + struct.pack(">HHIH", 33, 1, 60, len(data)) + data


def _name(query: bytes) -> tuple[str, int]:
    labels, offset = [], 12
    while query[offset]:
        labels.append(query[offset + 1 : offset + 1 + query[offset]].decode())
        offset += 1 + query[offset]
    return ".".join(labels), offset + 1
