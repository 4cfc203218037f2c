"""Global flags and their `ETCDCTL_` variables, made into what clients and printers need.

Read when a verb is about to connect, after its own arguments have been checked: etcdctl's order.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from raftgate.ctl.commands import GLOBAL_FLAGS
from raftgate.ctl.errors import CommandError, ConflictError, ExitCode
from raftgate.ctl.flags import Value, Values
from raftgate.ctl.invocation import Console, Invocation

FORMATS = ("fields", "json", "protobuf", "simple", "table")

_PREFIX = "ETCDCTL_"
_LENIENT = "RAFTGATECTL_LENIENT"
_KNOWN_VARIABLES = frozenset({"ETCDCTL_API", "ETCDCTL_WATCH_KEY", "ETCDCTL_WATCH_RANGE_END"})
_FILES = ("cert", "key", "cacert")
_LATER = (*_FILES, "discovery-srv", "discovery-srv-name", "insecure-skip-tls-verify", "password", "user")
_HIDDEN = ("password", "user")
_SECOND = 10**9
_HOST = re.compile(r"[A-Za-z0-9._~%:\[\]-]+")  # no user and password: they would travel as a header


@dataclass(frozen=True, slots=True)
class Settings:
    """How to reach the server and how to print."""

    endpoints: tuple[str, ...]
    """As given: etcdctl prints them so; `base_url` makes addresses of them."""
    dial_timeout: float
    command_timeout: float
    """Seconds."""
    output: str
    is_hex: bool
    debug: bool = False
    max_request_bytes: int = 0
    max_recv_bytes: int = 0
    """0: no limit of the client's own."""


def read_settings(invocation: Invocation) -> Settings:
    """Merges flags and variables.

    Raises: ConflictError, CommandError for values that cannot be used.
    """
    values = _with_environment(invocation.flags, invocation.environ, invocation.console)
    if values.boolean("debug"):
        _tell(values, invocation.console)
    _check_supported(values)
    output = values.string("write-out")
    if output not in FORMATS:
        raise CommandError("unsupported output format", ExitCode.BAD_FEATURE)
    return Settings(
        endpoints=tuple(endpoint.strip() for endpoint in values.strings("endpoints") if endpoint.strip()),
        dial_timeout=values.integer("dial-timeout") / _SECOND,
        command_timeout=values.integer("command-timeout") / _SECOND,
        output=output,
        is_hex=values.boolean("hex"),
        debug=values.boolean("debug"),
        max_request_bytes=values.integer("max-request-bytes"),
        max_recv_bytes=values.integer("max-recv-bytes"),
    )


def base_url(endpoint: str) -> str:
    """The address of an endpoint; without scheme it means http.

    Raises: CommandError.
    """
    url = endpoint if "://" in endpoint else f"http://{endpoint}"
    try:
        parts = urlsplit(url)
        valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise _bad_endpoint(endpoint) from None
    if parts.scheme == "https":
        raise CommandError(f'TLS is not supported yet: endpoint "{endpoint}"')
    if parts.scheme != "http" or not valid or not _HOST.fullmatch(parts.netloc):
        raise _bad_endpoint(endpoint)
    return f"http://{parts.netloc}"


def variable(name: str) -> str:
    """The environment variable of a global flag."""
    return _PREFIX + name.replace("-", "_").upper()


def _bad_endpoint(endpoint: str) -> CommandError:
    return CommandError(f'invalid endpoint "{endpoint}"', ExitCode.BAD_ARGS)


def _with_environment(flags: Values, environ: Mapping[str, str], console: Console) -> Values:
    """Raises: ConflictError."""
    values: dict[str, Value] = dict(flags.values)
    for flag in GLOBAL_FLAGS:
        text = environ.get(variable(flag.name))
        if text is None:
            continue
        if flag.name in flags.given:
            if environ.get(_LENIENT) != "1":
                raise ConflictError(_conflict(variable(flag.name)))
            continue
        if not text:
            continue
        try:
            values[flag.name] = flag.parse(text)
        except ValueError as error:  # etcdctl goes on without a word
            console.complain(f"Warning: {variable(flag.name)} is ignored: {error}")
    known = {variable(flag.name) for flag in GLOBAL_FLAGS} | _KNOWN_VARIABLES
    for name in sorted(environ):
        if name.startswith(_PREFIX) and name not in known:
            console.complain(f"Warning: unrecognized environment variable {name}")
    return Values(values, flags.given)


def _conflict(name: str) -> str:
    """The log line with which etcdctl gives up (etcd pkg/flags/flag.go, verifyEnv)."""
    reason = (
        "conflicting environment variable is shadowed by corresponding command-line flag "
        "(either unset environment variable or disable flag))"
    )
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    line = {"level": "fatal", "ts": now, "caller": "flags/flag.go:85", "msg": reason, "environment-variable": name}
    return json.dumps(line, separators=(",", ":"))


def _tell(values: Values, console: Console) -> None:
    for flag in GLOBAL_FLAGS:
        value = values.values[flag.name]
        text = "***" if flag.name in _HIDDEN and value else flag.show(value)
        console.complain(f"{variable(flag.name)}={text}")


def _check_supported(values: Values) -> None:
    for name in _FILES:
        if name in values.given and not values.string(name):
            raise CommandError(f"empty string is passed to --{name} option", ExitCode.BAD_ARGS)
    for name in _LATER:
        if values.values[name]:
            raise CommandError(f"--{name} is not supported yet")
    if not values.boolean("insecure-transport"):
        raise CommandError("--insecure-transport=false is not supported yet")
