"""Lifts what a request shows and asks for into `Caller`; judges nothing."""

import re
from collections.abc import Iterable

from raftgate.api.errors import InvalidArgument
from raftgate.api.message import Caller

NOBODY = Caller()

NO_TIME = 1e-9
"""Seconds of a deadline that has passed before the call began; `Caller.timeout` 0 means none."""

# grpc-gateway v2 runtime/context.go: timeoutDecode.
_TIMEOUT = re.compile(rb"([+-]?[0-9]+)([HMSmun])")
_SECONDS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_MAX_INT64 = 2**63 - 1
_LONGEST = 1e9  # seconds: beyond it a deadline is none

# etcd auth/store.go looks at the metadata `token` first, then at `authorization`.
_TOKEN_HEADERS = (b"grpc-metadata-token", b"authorization", b"grpc-metadata-authorization")
_TOKENS = frozenset(_TOKEN_HEADERS)
_NAMES = _TOKENS | {b"grpc-timeout", b"grpc-metadata-hasleader"}


def lift(headers: Iterable[tuple[bytes, bytes]]) -> Caller:
    """The caller of a request; header names are in lower case.

    Raises: InvalidArgument.
    """
    shown = [header for header in headers if header[0] in _NAMES]
    if not shown:
        return NOBODY
    values: dict[bytes, bytes] = {}
    for name, value in shown:
        values.setdefault(name, value)
    token = next((values[name] for name in _TOKEN_HEADERS if values.get(name)), b"")
    return Caller(
        token=token.removeprefix(b"Bearer ").decode("latin-1"),
        timeout=_timeout(values.get(b"grpc-timeout", b"")),
        needs_leader=values.get(b"grpc-metadata-hasleader") == b"true",
    )


def _timeout(text: bytes) -> float:
    if not text:
        return 0.0
    match = _TIMEOUT.fullmatch(text)
    if match is None or len(text) > len("-9223372036854775808H") or abs(int(match[1])) > _MAX_INT64:
        raise InvalidArgument(f"invalid grpc-timeout: {text.decode('latin-1')}")
    seconds = int(match[1]) * _SECONDS[match[2]]
    if seconds < 0:
        return NO_TIME
    return 0.0 if seconds > _LONGEST else seconds
