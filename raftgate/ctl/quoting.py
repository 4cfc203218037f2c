"""Go's quoted strings, in which etcdctl prints keys and reads transactions.

Texts hold bytes as `str` with surrogate escapes, as `sys.argv` does, so that keys which are not UTF-8 survive.
"""

import re

_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
_ESCAPES |= {"\\": "\\\\", '"': '\\"'}
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)


def to_bytes(text: str) -> bytes:
    """The bytes that a text with surrogate escapes stands for."""
    return text.encode("utf-8", "surrogateescape")


def to_text(data: bytes) -> str:
    """The text with surrogate escapes that stands for `data`."""
    return data.decode("utf-8", "surrogateescape")


def quote(data: bytes) -> str:
    """`data` as a double-quoted Go string (Go strconv.Quote, which is what `%q` prints)."""
    return '"' + "".join(map(_quoted, to_text(data))) + '"'


def _quoted(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    point = ord(char)
    if 0xDC80 <= point <= 0xDCFF:  # a byte that is not UTF-8
        return f"\\x{point - 0xDC00:02x}"
    if char.isprintable():
        return char
    if point < 0x80:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def unquote(literal: str) -> str:
    """The text of a Go string literal in double quotes or backquotes (Go strconv.Unquote).

    Raises: ValueError.
    """
    if len(literal) < 2 or literal[0] != literal[-1] or literal[0] not in '"`':
        raise ValueError("invalid syntax")
    body = literal[1:-1]
    if literal[0] == "`":
        if "`" in body:
            raise ValueError("invalid syntax")
        return body.replace("\r", "")
    pieces = []
    at = 0
    while (found := body.find("\\", at)) >= 0:
        pieces.append(_plain(body[at:found]))
        match = _ESCAPE.match(body, found)
        if match is None:
            raise ValueError("invalid syntax")
        pieces.append(_unescaped(match))
        at = match.end()
    pieces.append(_plain(body[at:]))
    return to_text(b"".join(pieces))


def _plain(text: str) -> bytes:
    if '"' in text or "\n" in text:
        raise ValueError("invalid syntax")
    return to_bytes(text)


def _unescaped(match: re.Match[str]) -> bytes:
    hexadecimal, octal, short, long, simple = match.groups()
    if simple is not None:
        if simple not in _SIMPLE:
            raise ValueError("invalid syntax")
        return _SIMPLE[simple].encode()
    if hexadecimal or octal:
        value = int(hexadecimal, 16) if hexadecimal else int(octal, 8)
        if value > 0xFF:
            raise ValueError("invalid syntax")
        return bytes([value])
    point = int(short or long, 16)
    if point > 0x10FFFF or 0xD800 <= point <= 0xDFFF:
        raise ValueError("invalid syntax")
    return chr(point).encode()
