"""The kinds of values that settings have: each reads Go's flag syntax, and says what it takes from a YAML file."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from raftgate.config.gates import parse_gates
from raftgate.config.syntax import parse_bool, parse_duration, parse_integer, quote
from raftgate.config.urls import Url, parse_urls


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value: its name in error texts, how text is read, and the text that a value of a file stands for."""

    name: str
    parse: Callable[[str, Any], Any]  # Any: the value so far goes in, the new one comes out; their type is the kind's
    to_text: Callable[[object], str | None]  # None: the file holds something of another type
    is_switch: bool = False  # needs no value on the command line


def choice(*words: str, refusal: str = "invalid value") -> Kind:
    """One of a few words; `refusal` is the text for any other, in which `{}` stands for the quoted word."""

    def parse(text: str, _: object) -> str:
        if text not in words:
            raise ValueError(refusal.format(quote(text)))
        return text

    return Kind(" or ".join(words), parse, _text)


def _integer(name: str, low: int, high: int) -> Kind:
    return Kind(name, lambda text, _: parse_integer(text, low, high), _integer_text)


def _parse_uint32(text: str, _: object) -> int:
    try:
        return parse_integer(text, 0, 2**32 - 1)
    except ValueError as error:  # a type of etcd's own with words of its own (etcd pkg/flags/uint32.go)
        reason = "value out of range" if "range" in str(error) else "invalid syntax"
        raise ValueError(f"strconv.ParseUint: parsing {quote(text)}: {reason}") from None


def _parse_url_list(text: str, current: tuple[Url, ...] | None) -> tuple[Url, ...]:
    # an empty list leaves the value as it was, but counts as given (etcd pkg/flags/unique_urls.go)
    return parse_urls(text) if text else current or ()


def _parse_origins(text: str, _: object) -> tuple[str, ...]:
    return ("*",) if text == "*" else tuple(str(url) for url in parse_urls(text))


def _parse_set(text: str, _: object) -> tuple[str, ...]:
    return tuple(sorted(set(text.split(",")))) if text else ()


def _parse_list(text: str, _: object) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def _text(value: object) -> str | None:
    # etcd's YAML library makes text of numbers where text is wanted, but not of booleans
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None


def _text_only(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _bool_text(value: object) -> str | None:
    return str(value) if isinstance(value, bool) else None


def _integer_text(value: object) -> str | None:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _duration_text(value: object) -> str | None:
    number = _integer_text(value)  # nanoseconds, as Go writes a duration into JSON
    return f"{number}ns" if number else _text_only(value)


def _list_text(value: object) -> str | None:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ",".join(value)
    return None


STRING = Kind("string", lambda text, _: text, _text)
BOOL = Kind("bool", lambda text, _: parse_bool(text), _bool_text, is_switch=True)
IGNORED = Kind("ignored", lambda text, _: text, lambda _: "", is_switch=True)
INT = _integer("int", -(2**63), 2**63 - 1)
INT64 = _integer("int64", -(2**63), 2**63 - 1)
UINT = _integer("uint", 0, 2**64 - 1)
UINT64 = _integer("uint64", 0, 2**64 - 1)
UINT32 = Kind("uint32", _parse_uint32, _integer_text)
DURATION = Kind("duration", lambda text, _: parse_duration(text), _duration_text)
URLS = Kind("URL list", _parse_url_list, _text_only)
ORIGINS = Kind("URL list", _parse_origins, _text_only)
WORDS = Kind("comma separated string", _parse_set, _text_only)
OUTPUTS = Kind("list", _parse_set, _list_text)
LIST = Kind("list", _parse_list, _list_text)
GATE_MAP = Kind("string", parse_gates, _text_only)
