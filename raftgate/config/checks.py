"""What values are refused together, in the order and words of etcd (etcd server/embed/config.go, Validate).

Each check is one function over all settings; `verify` runs them and then refuses what raftgate does not do yet.
"""

import ipaddress
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raftgate.config.errors import ConfigError, Note, fatal, invalid
from raftgate.config.flags import FLAGS, Flag, Support
from raftgate.config.gates import GATES, is_enabled
from raftgate.config.syntax import parse_duration, quote
from raftgate.config.urls import Url

MAX_ELECTION = 50000  # milliseconds; etcd embed/config.go maxElectionMs
MIN_PROGRESS_INTERVAL = 0.1  # seconds; etcd v3rpc/watch.go minWatchProgressInterval
RECOMMENDED_REQUEST_BYTES = 10 * 1024 * 1024  # etcd embed/etcd.go
LEVELS = ("debug", "info", "warn", "error", "panic", "fatal")
_LEVEL_WORDS = {**{level: level for level in LEVELS}, "": "info", "warning": "warn", "dpanic": "panic"}
_STANDARD_OUTPUTS = frozenset({"default", "stderr", "stdout"})
_TLS_VERSIONS = {"": 0, "TLS1.2": 2, "TLS1.3": 3}
_BCRYPT_COSTS = range(4, 32)
_ROTATION_TYPES: dict[str, type[int]] = {
    "maxsize": int,
    "maxage": int,
    "maxbackups": int,
    "localtime": bool,
    "compress": bool,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """All values by flag name, which checks may settle, and the names of those that somebody gave."""

    values: dict[str, Any]  # Any: the kind of each flag fixes the type
    given: set[str]
    is_from_file: bool = False

    def __getitem__(self, name: str) -> Any:  # Any: as above
        return self.values[name]


def verify(settings: Settings, notes: list[Note]) -> None:
    """Refuses wrong values and those not supported yet, settles a few, and notes what is accepted without effect.

    Raises: Refusal; ConfigError for an unknown log level, where etcd ends with a panic.
    """
    for check in (
        _move_old_spellings,
        _check_fallback,
        _check_logging,
        _check_listen_hosts,
        _check_advertised_hosts,
        _check_bootstrap,
        _check_timing,
        _check_advertised,
        _check_compaction,
        _settle_progress_interval,
        _check_gates,
        _check_hash_check_time,
        _check_tls_versions,
        _check_auth,
        _check_own,
    ):
        check(settings, notes)
    for flag in FLAGS.values():
        _check_support(flag, settings, notes)
    _check_secure_listeners(settings)
    _check_ports(settings)


def _move_old_spellings(settings: Settings, notes: list[Note]) -> None:
    for name in FLAGS:
        flag = FLAGS[name]
        if flag.support is not Support.OLD or name not in settings.given:
            continue
        if flag.replaced_by in GATES:
            _move_gate(flag, settings)
            new = f"feature-gates={flag.replaced_by}=true"
        else:
            new = flag.replaced_by
            if new in settings.given:
                raise invalid(f"cannot set --{name} and --{new} at the same time, please use --{new} only")
            settings.values[new] = settings[name]
            settings.given.add(new)
        text = f"--{name} is deprecated in 3.6 and will be decommissioned in 3.7. Use '--{new}' instead."
        notes.append(Note(logging.WARNING, text))


def _move_gate(flag: Flag, settings: Settings) -> None:
    name, gates = flag.replaced_by, settings["feature-gates"]
    value = _word(settings[flag.name])
    if name in gates and "feature-gates" in settings.given:
        new = f"--feature-gates={name}={_word(gates[name])}"
        raise invalid(
            f"cannot specify both flags: --{flag.name}={value} and {new} at the same time, please just use {new}"
        )
    settings.values["feature-gates"] = {**gates, name: settings[flag.name]}


def _word(value: bool) -> str:  # noqa: FBT001 - the value itself is what is shown
    return "true" if value else "false"


def _check_fallback(settings: Settings, _: list[Note]) -> None:
    if settings["discovery-fallback"] == "proxy":
        raise invalid('v2 proxy is deprecated, and --discovery-fallback can\'t be configured as "proxy"')


def _check_logging(settings: Settings, _: list[Note]) -> None:
    level = settings["log-level"]
    if level.lower() not in _LEVEL_WORDS:
        raise ConfigError(2, stderr=f"unrecognized level: {quote(level)}\n")
    settings.values["log-level"] = _LEVEL_WORDS[level.lower()]
    if settings["logger"] == "capnslog":
        raise invalid("--logger=capnslog is removed in v3.5")
    if settings["logger"] != "zap":
        raise invalid(f"unknown logger option {quote(settings['logger'])}")
    outputs = settings.values["log-outputs"] = settings["log-outputs"] or ("default",)
    if len(outputs) > 1 and "default" in outputs:
        raise invalid('multi logoutput for "default" is not supported yet')
    if settings["enable-log-rotation"]:
        _check_rotation(outputs, settings["log-rotation-config-json"])
    if len(outputs) > 1 and "systemd/journal" in outputs:
        listed = " ".join(map(quote, outputs))
        raise invalid(
            f"running with systemd/journal but other '--log-outputs' values ([{listed}]) are configured "
            "with 'default'; override 'default' value with something else"
        )
    settings.values["log-format"] = settings["log-format"] or "json"
    if settings["log-format"] not in {"json", "console"}:
        raise invalid(f"unknown log format: {settings['log-format']}, supported values json, console")


def _check_rotation(outputs: tuple[str, ...], text: str) -> None:
    files = [output for output in outputs if output not in _STANDARD_OUTPUTS]
    if len(files) != 1 or "systemd/journal" in files:
        raise invalid("--log-outputs requires a single file path when --log-rotate-config-json is defined")
    try:
        rotation = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise invalid(f"improperly formatted log rotation config: {error}") from None
    if not isinstance(rotation, dict):
        raise invalid("invalid log rotation config: an object is needed")
    for name, kind in _ROTATION_TYPES.items():
        value = rotation.get(name, kind())
        if type(value) is not kind or value < 0:
            raise invalid(f"invalid log rotation config: {name} must be {kind.__name__} and not negative")


def _check_listen_hosts(settings: Settings, _: list[Note]) -> None:
    for name in ("listen-peer-urls", "listen-client-urls", "listen-client-http-urls", "listen-metrics-urls"):
        for url in settings[name]:
            if url.scheme.startswith("unix"):
                raise invalid(f"--{name}: {url.scheme} is not supported yet ({url})")
            if url.host != "localhost" and not _is_address(url.host):
                raise invalid(f"expected IP in URL for binding ({url})")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host  # Go's net.ParseIP takes no zone


def _check_advertised_hosts(settings: Settings, _: list[Note]) -> None:
    for name in ("initial-advertise-peer-urls", "advertise-client-urls"):
        urls: tuple[Url, ...] = settings[name]
        for url in urls:
            if not url.host and not url.scheme.startswith("unix"):
                listed = quote(",".join(str(other) for other in urls))
                raise invalid(f'--{name} {listed} must be "host:port" (unexpected empty host ({url}))')


def _check_bootstrap(settings: Settings, _: list[Note]) -> None:
    given = ("discovery", "discovery-srv", "discovery-endpoints")
    if any(settings[name] for name in (*given, "discovery-srv-name")) and "initial-cluster" not in settings.given:
        settings.values["initial-cluster"] = ""
    if sum(bool(settings[name]) for name in (*given, "initial-cluster")) > 1:
        raise invalid(
            "multiple discovery or bootstrap flags are set. "
            'Choose one of "initial-cluster", "discovery", "discovery-endpoints" or "discovery-srv"'
        )
    if bool(settings["discovery-token"]) != bool(settings["discovery-endpoints"]):
        raise invalid("both --discovery-token and --discovery-endpoints must be set")


def _check_timing(settings: Settings, _: list[Note]) -> None:
    heartbeat, election = settings["heartbeat-interval"], settings["election-timeout"]
    for name, value in (("heartbeat-interval", heartbeat), ("election-timeout", election)):
        if value == 0:
            raise invalid(f"--{name} must be >0 (set to 0ms)")
    if 5 * heartbeat > election:
        pair = f"--election-timeout[{election}ms] should be at least as 5 times as --heartbeat-interval[{heartbeat}ms]"
        raise invalid(pair)
    if election > MAX_ELECTION:
        raise invalid(f"--election-timeout[{election}ms] is too long, and should be set less than {MAX_ELECTION}ms")


def _check_advertised(settings: Settings, _: list[Note]) -> None:
    needs = "listen-client-urls" in settings.given and "advertise-client-urls" not in settings.given
    if needs and not settings.is_from_file:
        raise invalid("--advertise-client-urls is required when --listen-client-urls is set explicitly")


def _check_compaction(settings: Settings, _: list[Note]) -> None:
    mode, retention = settings["auto-compaction-mode"], settings["auto-compaction-retention"]
    if mode not in {"periodic", "revision"}:
        text = f"unknown auto-compaction-mode {quote(mode)}" if mode else "undefined auto-compaction-mode"
        raise invalid(text)
    if retention.isascii() and retention.isdigit():
        return
    if mode == "revision":
        reason = f"strconv.ParseInt: parsing {quote(retention)}: invalid syntax"
        raise fatal(f"error parsing CompactionRetention: {reason}")
    try:
        parse_duration(retention)
    except ValueError:
        raise fatal(f"error parsing CompactionRetention: time: invalid duration {quote(retention)}") from None


def _settle_progress_interval(settings: Settings, notes: list[Note]) -> None:
    name = "watch-progress-notify-interval"
    if settings[name] <= 0:
        settings.values[name] = FLAGS[name].default_value()
    elif settings[name] < MIN_PROGRESS_INTERVAL:
        settings.values[name] = MIN_PROGRESS_INTERVAL
        fields = {"min-watch-progress-notify-interval": f"{MIN_PROGRESS_INTERVAL:g}s"}
        notes.append(Note(logging.WARNING, "adjusting watch progress notify interval to minimum period", fields))


def _check_gates(settings: Settings, notes: list[Note]) -> None:
    gates: Mapping[str, bool] = settings["feature-gates"]
    if is_enabled(gates, "LeaseCheckpointPersist") and not is_enabled(gates, "LeaseCheckpoint"):
        raise invalid("enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint")
    for name, value in gates.items():
        gate = GATES[name]
        if not gate.has_effect:
            notes.append(_without_effect(f"--feature-gates={name}"))
        elif value != gate.default and not gate.works:
            raise invalid(f"--feature-gates={name}={_word(value)} is not supported yet")


def _check_hash_check_time(settings: Settings, _: list[Note]) -> None:
    if settings["compact-hash-check-time"] <= 0:
        raise invalid(f"--compact-hash-check-time must be >0 (set to {settings['compact-hash-check-time']:g}s)")


def _check_tls_versions(settings: Settings, _: list[Note]) -> None:
    low, high = settings["tls-min-version"], settings["tls-max-version"]
    for version in (low, high):
        if version not in _TLS_VERSIONS:
            raise invalid(f"unexpected TLS version {quote(version)} (must be one of: TLS1.2, TLS1.3)")
    if high and _TLS_VERSIONS[low] > _TLS_VERSIONS[high]:
        raise invalid(f"min version ({low}) is greater than max version ({high})")
    if low == "TLS1.3" and settings["cipher-suites"]:
        raise invalid("cipher suites cannot be configured when only TLS1.3 is enabled")


def _check_auth(settings: Settings, notes: list[Note]) -> None:
    kind, *options = settings["auth-token"].split(",")
    if kind not in {"", "simple", "jwt"}:
        raise fatal("auth: invalid auth options")
    if kind == "jwt" and not any(option.startswith(("pub-key=", "priv-key=")) for option in options):
        raise fatal("auth: missing key data")
    if settings["bcrypt-cost"] not in _BCRYPT_COSTS:
        fields = {"min-cost": 4, "max-cost": 31, "default-cost": 10, "given-cost": settings["bcrypt-cost"]}
        notes.append(Note(logging.WARNING, "use default bcrypt cost instead of the invalid given cost", fields))
        settings.values["bcrypt-cost"] = 10


def _check_own(settings: Settings, notes: list[Note]) -> None:
    if settings["raftgate-health-timeout"] <= 0:
        raise invalid(f"--raftgate-health-timeout must be >0 (set to {settings['raftgate-health-timeout']:g}s)")
    for name in ("raftgate-shutdown-delay", "backend-batch-interval", "backend-batch-limit"):
        if settings[name] < 0:
            raise invalid(f"--{name} must not be negative (set to {settings[name]:g})")
    for name in ("raft-read-timeout", "raft-write-timeout"):
        if settings[name] < 5:
            settings.values[name] = 5.0
            notes.append(Note(logging.INFO, f"{name} increased to minimum value: {FLAGS[name].default}"))
    if settings["max-request-bytes"] > RECOMMENDED_REQUEST_BYTES:
        fields = {
            "max-request-bytes": settings["max-request-bytes"],
            "recommended-request-bytes": RECOMMENDED_REQUEST_BYTES,
        }
        notes.append(Note(logging.WARNING, "exceeded recommended request limit", fields))


def _check_support(flag: Flag, settings: Settings, notes: list[Note]) -> None:
    is_default = settings[flag.name] == flag.default_value()
    if flag.support is Support.NO_EFFECT and flag.name in settings.given:
        notes.append(_without_effect(f"--{flag.name}"))
    elif flag.support is Support.REFUSED and not is_default:
        raise invalid(f"--{flag.name} is not supported")
    elif flag.support is Support.LATER and not is_default:
        raise invalid(f"--{flag.name} is not supported yet")


def _without_effect(flag: str) -> Note:
    return Note(logging.WARNING, "flag accepted but has no effect", {"flag": flag})


def _check_secure_listeners(settings: Settings) -> None:
    for name in ("listen-client-urls", "listen-client-http-urls"):
        for url in settings[name]:
            if url.is_secure:
                files = "TLS key/cert (--cert-file, --key-file)"
                raise fatal(f"{files} must be provided for client url {url} with HTTPS scheme")
    for name in ("listen-peer-urls", "listen-metrics-urls"):
        for url in settings[name]:
            if url.is_secure:
                raise fatal(f"cannot listen on TLS for {url.address}: KeyFile and CertFile are not presented")


def _check_ports(settings: Settings) -> None:
    for name in ("listen-peer-urls", "listen-client-urls", "listen-client-http-urls", "listen-metrics-urls"):
        for url in settings[name]:
            if url.port > 65535:
                raise fatal(f"listen tcp: address {url.port}: invalid port")
