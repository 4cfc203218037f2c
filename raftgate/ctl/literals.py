"""Go's integers, booleans and durations as flags take them, with Go's error texts (strconv, time).

Also how Go prints them, and sizes beside them.
"""

import re

from raftgate.ctl.quoting import quote, to_bytes

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_DIGITS = {2: "01", 8: "0-7", 10: "0-9", 16: "0-9a-fA-F"}
_PREFIXES = {"0b": 2, "0B": 2, "0o": 8, "0O": 8, "0x": 16, "0X": 16}
_PART = re.compile(r"([0-9]*)(\.[0-9]*)?([^0-9.]*)")
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_SIZE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_MAX_INT64 = 2**63 - 1
_MAX_UINT64 = 2**64 - 1


def parse_bool(text: str) -> bool:
    """Raises: ValueError."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f"strconv.ParseBool: parsing {_quoted(text)}: invalid syntax")


def parse_int(text: str, base: int = 0) -> int:
    """An int64; base 0 reads Go's prefixes and underscores, too.

    Raises: ValueError.
    """
    sign, digits = (text[0], text[1:]) if text[:1] in ("+", "-") else ("", text)
    if base == 0:
        base, digits = _strip_prefix(digits)
        digits = re.sub(r"(?<=[0-9a-fA-F])_(?=[0-9a-fA-F])", "", digits)
    if not re.fullmatch(f"[{_DIGITS[base]}]+", digits):
        raise ValueError(f"strconv.ParseInt: parsing {_quoted(text)}: invalid syntax")
    value = int(sign + digits, base)
    if not -_MAX_INT64 - 1 <= value <= _MAX_INT64:
        raise ValueError(f"strconv.ParseInt: parsing {_quoted(text)}: value out of range")
    return value


def parse_id(text: str) -> int:
    """A uint64 in hex, as members are named.

    Raises: ValueError.
    """
    if not re.fullmatch(f"[{_DIGITS[16]}]+", text):
        raise ValueError(f"strconv.ParseUint: parsing {_quoted(text)}: invalid syntax")
    value = int(text, 16)
    if value > _MAX_UINT64:
        raise ValueError(f"strconv.ParseUint: parsing {_quoted(text)}: value out of range")
    return value


def _strip_prefix(digits: str) -> tuple[int, str]:
    if digits[:2] in _PREFIXES:
        return _PREFIXES[digits[:2]], digits[2:].removeprefix("_")
    if len(digits) > 1 and digits[0] == "0":
        return 8, digits[1:].removeprefix("_")
    return 10, digits


def parse_duration(text: str) -> int:
    """Nanoseconds of a Go duration (`1m1.5s`, `-2h`, `0`).

    Raises: ValueError.
    """
    sign, rest = (-1 if text[:1] == "-" else 1), text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(f"time: invalid duration {_quoted(text)}")
    total = 0
    while rest:
        match = _PART.match(rest)
        assert match is not None  # every group may be empty
        whole, fraction, unit = match.group(1), match.group(2) or "", match.group(3)
        if not whole and len(fraction) < 2:
            raise ValueError(f"time: invalid duration {_quoted(text)}")
        if not unit:
            raise ValueError(f"time: missing unit in duration {_quoted(text)}")
        if unit not in _UNITS:
            raise ValueError(f"time: unknown unit {_quoted(unit)} in duration {_quoted(text)}")
        scale = _UNITS[unit]
        total += int(whole or "0") * scale
        if len(fraction) > 1:
            total += int(fraction[1:]) * scale // 10 ** (len(fraction) - 1)
        if total > _MAX_INT64:
            raise ValueError(f"time: invalid duration {_quoted(text)}")
        rest = rest[match.end() :]
    return sign * total


def format_duration(nanoseconds: int) -> str:
    """A duration as Go prints it: `777.089µs`, `1m0.5s` (Go time.Duration.String)."""
    sign, value = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if value == 0:
        return "0s"
    for unit in ("ns", "µs", "ms"):
        if value < _UNITS[unit] * 1000:
            return f"{sign}{_decimal(value, _UNITS[unit])}{unit}"
    minutes, rest = divmod(value, _UNITS["m"])
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, _UNITS['s'])}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    if hours:
        text = f"{hours}h{text}"
    return sign + text


def format_bool(value: bool) -> str:  # noqa: FBT001 - the value is what is printed
    """`true` or `false`."""
    return "true" if value else "false"


def format_size(size: int) -> str:
    """Bytes in SI units with two digits at least: `25 kB`, `2.1 GB` (dustin/go-humanize, Bytes)."""
    if size < 10:
        return f"{size} B"
    exponent = (len(str(size)) - 1) // 3
    value = (size * 10 / 1000**exponent + 0.5) // 1 / 10
    return f"{value:.{int(value < 10)}f} {_SIZE_UNITS[exponent]}"


def _decimal(value: int, scale: int) -> str:
    whole, rest = divmod(value, scale)
    if not rest:
        return str(whole)
    return f"{whole}.{str(rest).zfill(len(str(scale)) - 1).rstrip('0')}"


def _quoted(text: str) -> str:
    return quote(to_bytes(text))
