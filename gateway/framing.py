"""Cuts a stream of bytes into JSON objects, whatever stands between them and wherever its pieces end."""

import re

from gateway.limits import too_large

_SPACE = re.compile(rb"[ \t\r\n]*+")
_TOKEN = re.compile(rb'["{}]')
_TEXT = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)

_QUOTE, _OPEN = b'"{'


class Splitter:
    """Finds where each object ends by its braces; whether it is well-formed is the decoder's to say.

    What is no object ends the reading, as in etcd, whose decoder cannot find its way after it (Go encoding/json).
    """

    __slots__ = ("_depth", "_escaped", "_in_text", "_max_bytes", "_parts", "_size", "is_over")

    def __init__(self, max_bytes: int) -> None:
        """`max_bytes` bounds an object that comes in pieces."""
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []
        self._size = 0
        self._depth = 0
        self._in_text = self._escaped = False
        self.is_over = False
        """Whether something that is no object has been met; it was returned last, and nothing follows it."""

    @property
    def unfinished(self) -> bytes:
        """What has come of an object that has not ended."""
        return b"".join(self._parts)

    def feed(self, data: bytes) -> list[bytes]:
        """Takes in a piece and returns what has come to its end with it.

        Raises: MessageTooLarge.
        """
        found: list[bytes] = []
        start = 0
        while not self.is_over:
            if not self._depth:
                start = _end(_SPACE, data, start)
                if start == len(data):
                    break
                if data[start] != _OPEN:
                    self.is_over = True
                    found.append(data[start:])
                    break
            end = self._scan(data, start)
            self._keep(data[start:end])
            if self._depth:
                break
            found.append(self.unfinished)
            self._parts.clear()
            self._size = 0
            start = end
        return found

    def _keep(self, part: bytes) -> None:
        self._parts.append(part)
        self._size += len(part)
        if self._size > self._max_bytes:
            raise too_large(self._size, self._max_bytes)

    def _scan(self, data: bytes, position: int) -> int:
        """Where the object ends, or the end of the data."""
        while position < len(data):
            if self._in_text:
                position = self._skip_text(data, position)
                continue
            token = _TOKEN.search(data, position)
            if token is None:
                return len(data)
            position = token.end()
            byte = data[token.start()]
            if byte == _QUOTE:
                self._in_text = True
            elif byte == _OPEN:
                self._depth += 1
            else:
                self._depth -= 1
                if not self._depth:
                    return position
        return position

    def _skip_text(self, data: bytes, position: int) -> int:
        if self._escaped:
            self._escaped = False
            return position + 1
        position = _end(_TEXT, data, position)
        if position < len(data):
            if data[position] == _QUOTE:
                self._in_text = False
            else:
                self._escaped = True  # a backslash that is the last byte of the piece
            position += 1
        return position


def _end(pattern: re.Pattern[bytes], data: bytes, position: int) -> int:
    match = pattern.match(data, position)
    assert match is not None  # both patterns match nothing as well
    return match.end()
