"""Bytes that are no proper HTTP: raftgate answers with an error or closes, and serves the next client.

What is refused, and how fast, is tested with the listener; here only that no such client can hold a worker,
bring down the member, see a traceback or change the store.
"""

import http.client
import json
import re
import socket
import time

import pytest

from tests.e2e.client import Client
from tests.e2e.runner import clear
from tests.e2e.servers import Server

pytestmark = pytest.mark.slow

DEADLINE = 5.0
PUT = b"POST /v3/kv/put HTTP/1.1\r\nHost: x\r\n"
BODY = b'{"key":"bWFsZm9ybWVk","value":"YmFy"}'
MIB = 1024 * 1024


def _length(number: object) -> bytes:
    return PUT + b"Content-Length: %b\r\n\r\n" % str(number).encode()


def _chunked(*parts: bytes) -> bytes:
    return PUT + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(parts)


# What the client sends before it ends its side: nothing more can come, so the server answers with an error or closes.
CUT_OFF = {
    "a length above the body": _length(len(BODY) + 10) + BODY,
    "a body cut off": _length(len(BODY)) + BODY[:-1],
    "no body at all": _length(len(BODY)),
    "headers cut off": PUT + b"Content-Len",
    "a chunk cut off": _chunked(b"25\r\n", BODY[:10]),
    "no last chunk": _chunked(b"25\r\n", BODY, b"\r\n"),
    "an HTTP/2 preface cut off": b"PRI * HTTP/2.0\r\n\r\nSM",
}

# What a server can refuse while the client still keeps its side open.
REFUSED = {
    "a length far above the body": _length(2**62) + BODY,
    "a length past 64 bits": _length(2**70) + BODY,
    "a negative length": _length(-1) + BODY,
    "a length in words": _length("many") + BODY,
    "a length with a sign": _length("+37") + BODY,
    "two lengths": PUT + b"Content-Length: 5\r\nContent-Length: 37\r\n\r\n" + BODY,
    "a length beside chunks": PUT + b"Content-Length: 37\r\nTransfer-Encoding: chunked\r\n\r\n25\r\n" + BODY,
    "a chunk size that is no number": _chunked(b"xyz\r\n", BODY, b"\r\n0\r\n\r\n"),
    "a negative chunk": _chunked(b"-1\r\n", BODY, b"\r\n0\r\n\r\n"),
    "a chunk past 64 bits": _chunked(b"fffffffffffffffff\r\n", BODY),
    "a chunk longer than it says": _chunked(b"5\r\n", BODY, b"\r\n0\r\n\r\n"),
    "an unknown transfer coding": PUT + b"Transfer-Encoding: rot13\r\n\r\n" + BODY,
    "a method that is none": b"P\0ST /v3/kv/put HTTP/1.1\r\nHost: x\r\n\r\n",
    "a version that is none": b"POST /v3/kv/put HTTP/x.y\r\nHost: x\r\n\r\n",
    "no version": b"POST /v3/kv/put\r\n\r\n",
    "a header without a colon": PUT + b"broken\r\nContent-Length: 0\r\n\r\n",
    "a header name with a space": PUT + b"Content Length: 0\r\n\r\n",
    "a zero byte in a header": PUT + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "not HTTP": bytes(range(256)) * 4,
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "one line without end": b"GET /" + b"x" * (2 * MIB),
    "a header without end": PUT + b"X: " + b"x" * (2 * MIB),
    "headers without end": PUT + b"X: y\r\n" * 200_000,
    "trailers without end": _chunked(b"25\r\n", BODY, b"\r\n0\r\n", b"X: y\r\n" * 200_000),
    "a body over every limit": _length(16 * MIB) + b"x" * (16 * MIB),
    "chunks over every limit": _chunked(*[b"100000\r\n" + b"x" * MIB + b"\r\n"] * 16),
    "an HTTP/2 preface and rubbish": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 200,
}


def _exchange(port: int, request: bytes, *, end: bool) -> bytes:
    """Send bytes, `end` our side on demand, and give all that comes until the server closes; fails at the deadline."""
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as connection:
        try:
            connection.sendall(request)
            if end:
                connection.shutdown(socket.SHUT_WR)
        except ConnectionError:
            pass  # the server closed before it had read everything, as it may
        return _read_to_end(connection)


def _read_to_end(connection: socket.socket) -> bytes:
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionError:
        pass  # a reset is a close as well
    return received


def _read(port: int, key: bytes) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    connection.request("POST", "/v3/kv/range", b'{"key":"%b"}' % key)
    return connection.getresponse()


def _assert_serves(server: Server) -> None:
    assert server.process.is_alive()
    response = _read(server.client_port, b"bWFsZm9ybWVk")
    assert response.status == 200
    assert "kvs" not in json.loads(response.read()), "the broken put was stored"


@pytest.fixture(autouse=True)
def _empty_store(raftgate: Server) -> None:
    client = Client(raftgate.client_port)
    clear(client)
    client.close()


@pytest.mark.parametrize("request_bytes", CUT_OFF.values(), ids=CUT_OFF)
def test_a_request_cut_off_has_no_effect(request_bytes: bytes, raftgate: Server) -> None:
    answer = _exchange(raftgate.client_port, request_bytes, end=True)
    assert b"Traceback" not in answer
    assert b"HTTP/1.1 200" not in answer
    _assert_serves(raftgate)


@pytest.mark.parametrize("request_bytes", REFUSED.values(), ids=REFUSED)
def test_what_is_no_request_is_refused(request_bytes: bytes, raftgate: Server) -> None:
    answer = _exchange(raftgate.client_port, request_bytes, end=False)
    assert b"Traceback" not in answer
    assert b"HTTP/1.1 200" not in answer
    _assert_serves(raftgate)


def test_a_body_over_every_limit_gets_its_answer(raftgate: Server) -> None:
    with socket.create_connection(("127.0.0.1", raftgate.client_port), DEADLINE) as connection:
        connection.sendall(_length(64 * MIB))
        answer = _read_to_end(connection)
    assert answer.startswith(b"HTTP/1.1 429 ")
    _assert_serves(raftgate)


def test_the_client_goes_away(raftgate: Server) -> None:
    for request in (PUT, _length(len(BODY)) + BODY[:5], _length(0), b""):
        with socket.create_connection(("127.0.0.1", raftgate.client_port), DEADLINE) as connection:
            connection.sendall(request)
    _assert_serves(raftgate)


def test_open_connections_hold_up_nobody(raftgate: Server) -> None:
    beginnings = [PUT, _length(len(BODY)) + BODY[:5], _chunked(b"25\r\n"), b"", b"P"] * 20
    connections = []
    try:
        for beginning in beginnings:
            connection = socket.create_connection(("127.0.0.1", raftgate.client_port), DEADLINE)
            connection.sendall(beginning)
            connections.append(connection)
        started = time.monotonic()
        _assert_serves(raftgate)
        assert time.monotonic() - started < DEADLINE / 2
    finally:
        for connection in connections:
            connection.close()


def test_requests_in_one_segment_are_answered_in_order(raftgate: Server) -> None:
    read = b'POST /v3/kv/range HTTP/1.1\r\nHost: x\r\nContent-Length: 18\r\n\r\n{"key":"bm9uZQ=="}'
    unknown = b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = _exchange(raftgate.client_port, read + unknown + read + last, end=False)
    statuses = re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", answer)
    assert statuses == [b"200", b"404", b"200", b"200"]


def test_http_1_0(raftgate: Server) -> None:
    request = b'POST /v3/kv/range HTTP/1.0\r\nContent-Length: 18\r\n\r\n{"key":"bm9uZQ=="}'
    with socket.create_connection(("127.0.0.1", raftgate.client_port), DEADLINE) as connection:
        connection.sendall(request)
        answer = _read_to_end(connection)  # ends because the server closes
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n")[0]
    assert b"chunked" not in head.lower()
    assert json.loads(body)["header"]["revision"]


@pytest.mark.soak
@pytest.mark.timeout(60)
def test_a_body_that_trickles_is_cut_off(raftgate: Server) -> None:
    """Under 1 KiB/s over 30 s: the pauses between bytes are the subject, not a wait for something."""
    with socket.create_connection(("127.0.0.1", raftgate.client_port), DEADLINE) as connection:
        connection.sendall(_length(1000))
        connection.settimeout(1.0)
        ended = time.monotonic() + 45
        received = None
        while received is None and time.monotonic() < ended:
            try:
                connection.sendall(b" ")
                received = connection.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                received = b""
    assert received is not None, "still open after 45 s"
    _assert_serves(raftgate)
