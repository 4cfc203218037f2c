"""Go's syntax of single values (strconv, time, fmt), with Go's words for what does not fit: users of etcd know both."""

import re
from decimal import Decimal

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_INTEGER = re.compile(
    r"(?P<sign>[+-]?)"
    r"(?:0[xX](?P<x>(?:_?[0-9a-fA-F])+)|0[bB](?P<b>(?:_?[01])+)|0[oO]?(?P<o>(?:_?[0-7])+)|(?P<d>0|[1-9](?:_?[0-9])*))"
)
_BASES = {"x": 16, "b": 2, "o": 8, "d": 10}
_LONGEST_INTEGER = 100  # characters: far above 64 bits in any base, far below what int() takes a while for
_NANOSECONDS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_DURATION = re.compile(r"(?P<count>[0-9]+\.?[0-9]*|\.[0-9]+)(?P<unit>ns|us|ms|s|m|h)")


def quote(text: str) -> str:
    """The text in double quotes, as %q prints it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else repr(c)[1:-1] for c in escaped) + '"'


def parse_bool(text: str) -> bool:
    """A boolean (strconv.ParseBool).

    Raises: ValueError.
    """
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("parse error")


def parse_integer(text: str, low: int, high: int) -> int:
    """An integer in any of Go's notations (strconv.ParseInt with base 0) within [low, high]; signs only if low < 0.

    Raises: ValueError.
    """
    found = _INTEGER.fullmatch(text)
    if found is None or (found["sign"] and low >= 0):
        raise ValueError("parse error")
    base = found.lastgroup or "d"
    digits = found[base].replace("_", "")
    if len(text) > _LONGEST_INTEGER or not low <= (value := int(found["sign"] + digits, _BASES[base])) <= high:
        raise ValueError("value out of range")
    return value


def parse_duration(text: str) -> float:
    """A duration such as `1h30m`, `-1.5s` or `0` (time.ParseDuration), in seconds.

    Raises: ValueError.
    """
    sign, body = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if body == "0":
        return 0.0
    body = body.replace("\N{MICRO SIGN}s", "us").replace("\N{GREEK SMALL LETTER MU}s", "us")
    nanoseconds, position = Decimal(0), 0
    while part := _DURATION.match(body, position):
        nanoseconds += Decimal(part["count"]) * _NANOSECONDS[part["unit"]]
        position = part.end()
    if not body or position != len(body) or nanoseconds >= 2**63:
        raise ValueError("parse error")
    return sign * int(nanoseconds) / 10**9
