"""Refuses gRPC over HTTP/2 in a way that its clients print: each call is answered "unimplemented", with a hint.

Answered in HTTP/1.1, etcdctl would wait for its dial timeout and say nothing of use. Heads of requests are not
decoded: whatever was called, the answer is the same. RFC 9113 and the gRPC over HTTP/2 protocol.
"""

from urllib.parse import quote

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

_HINT = "this port speaks etcd's JSON API over HTTP/1.1, not gRPC: use raftgatectl instead of etcdctl"

_MAX_FRAME = 16_384  # SETTINGS_MAX_FRAME_SIZE, as long as nobody announces another
_HEADERS, _SETTINGS, _PING, _GOAWAY, _CONTINUATION = 0x1, 0x4, 0x6, 0x7, 0x9
_ACK, _END_STREAM, _END_HEADERS = 0x1, 0x1, 0x4
_PROTOCOL_ERROR, _FRAME_SIZE_ERROR, _ENHANCE_YOUR_CALM = 0x1, 0x6, 0xB
_MAX_CALLS = 1000
"""Calls answered on one connection: a client that has not understood by then never will."""


class Http2Refusal:
    """The server's side of one connection, as bytes in and bytes out."""

    def __init__(self) -> None:
        self.is_over = False
        """True once the connection is to be closed."""
        self._preface = PREFACE
        self._buffer = bytearray()
        self._calls = 0
        self._last_stream = 0

    def receive(self, data: bytes) -> bytes:
        """Takes what a client sent, the preface first; gives what to send back."""
        self._buffer += data
        out: list[bytes] = []
        if self._preface:
            if len(self._buffer) < len(PREFACE) and PREFACE.startswith(self._buffer):
                return b""
            if not self._buffer.startswith(PREFACE):
                self.is_over = True
                return b""
            del self._buffer[: len(PREFACE)]
            self._preface = b""
            out.append(_frame(_SETTINGS, 0, 0, b""))
        while not self.is_over and len(self._buffer) >= 9:
            length = int.from_bytes(self._buffer[:3])
            if length > _MAX_FRAME:
                out.append(self._go_away(_FRAME_SIZE_ERROR))
                break
            if len(self._buffer) < 9 + length:
                break
            kind, flags = self._buffer[3], self._buffer[4]
            stream = int.from_bytes(self._buffer[5:9]) & 0x7FFFFFFF
            payload = bytes(self._buffer[9 : 9 + length])
            del self._buffer[: 9 + length]
            out.append(self._answer(kind, flags, stream, payload))
        return b"".join(out)

    def _answer(self, kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        if kind == _SETTINGS and not flags & _ACK:
            return _frame(_SETTINGS, _ACK, 0, b"")
        if kind == _PING and not flags & _ACK:
            return _frame(_PING, _ACK, 0, payload)
        if kind == _GOAWAY:
            self.is_over = True
        if kind in (_HEADERS, _CONTINUATION) and flags & _END_HEADERS:
            return self._refuse(stream)
        return b""

    def _refuse(self, stream: int) -> bytes:
        if stream == 0:
            return self._go_away(_PROTOCOL_ERROR)
        self._calls += 1
        self._last_stream = stream
        refusal = _frame(_HEADERS, _END_HEADERS | _END_STREAM, stream, _REFUSAL)
        return refusal + self._go_away(_ENHANCE_YOUR_CALM) if self._calls >= _MAX_CALLS else refusal

    def _go_away(self, code: int) -> bytes:
        self.is_over = True
        return _frame(_GOAWAY, 0, 0, self._last_stream.to_bytes(4) + code.to_bytes(4))


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def _literal(name: bytes, value: bytes) -> bytes:
    """A header field that enters no table (RFC 7541 6.2.2); shorter than 127 bytes each, so a byte holds a length."""
    assert len(name) < 127
    assert len(value) < 127
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


_REFUSAL = (
    b"\x88"  # `:status: 200` of the static table (RFC 7541 appendix A)
    + _literal(b"content-type", b"application/grpc")
    + _literal(b"grpc-status", b"12")
    + _literal(b"grpc-message", quote(_HINT, safe=" !\"#$&'()*+,/:;<=>?@[]^`{|}").encode())
)
