"""From arguments and environment to a Config: read the sources, have them checked, fill in what follows from them."""

import dataclasses
import json
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from raftgate.config.checks import Settings, verify
from raftgate.config.cluster import Resolve, Unresolved, check_joining, check_members, default_host, parse_members
from raftgate.config.errors import ConfigError, Finished, Note, Refusal, invalid
from raftgate.config.flags import FLAGS
from raftgate.config.gates import GATES, is_enabled
from raftgate.config.model import Config, LogRotation
from raftgate.config.sources import read_arguments, read_environment, read_file
from raftgate.config.syntax import parse_duration, quote
from raftgate.config.urls import Url
from raftgate.config.usage import version_text

_LOADED = (
    "loaded server configuration, other configuration command line flags and environment variables "
    "will be ignored if provided"
)
_DEFAULT_NAME = (
    "it isn't recommended to use default name, please set a value for --name. "
    "Note that etcd might run into issue when multiple members have the same default name"
)


def load(
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    find_host: Callable[[], str | None] = default_host,
    resolve: Resolve = socket.gethostbyname,
) -> Config:
    """The configuration of the member; `argv` without the program's name.

    Reads the configuration file if one is named, and looks whether the data directory is initialised; writes nothing.
    `find_host` and `resolve` ask the network when a listener's or a member's address is to be derived or compared.

    Raises: ConfigError for a mistake, Finished for `--help` and `--version`.
    """
    arguments, rest = read_arguments(argv)
    notes: list[Note] = []
    try:
        if rest:
            raise invalid(f"{quote(rest[0])} is not a valid flag")
        if arguments.get("version"):
            raise Finished(version_text())
        settings = _read(arguments, environ, notes)
        verify(settings, notes)
        _note_choices(settings, notes)
        _derive_advertised(settings, find_host, notes)
        return _build(settings, resolve, notes)
    except Refusal as refusal:
        raise ConfigError(1, notes=(*notes, refusal.note)) from None
    except ConfigError as error:
        raise ConfigError(error.exit_code, stderr=error.stderr, notes=(*notes, *error.notes)) from None


def _read(arguments: dict[str, Any], environ: Mapping[str, str], notes: list[Note]) -> Settings:  # Any: see Values
    defaults = {flag.name: flag.default_value() for flag in FLAGS.values()}
    path = arguments.get("config-file") or environ.get("ETCD_CONFIG_FILE")
    if path:
        values = read_file(path, notes)
        notes.append(Note(logging.INFO, _LOADED, {"path": path}))
        return Settings(defaults | values, set(values), is_from_file=True)
    values = arguments | read_environment(environ, arguments, notes)
    return Settings(defaults | values, set(values))


def _note_choices(settings: Settings, notes: list[Note]) -> None:
    if settings["name"] == FLAGS["name"].default:
        notes.append(Note(logging.WARNING, _DEFAULT_NAME, {"name": settings["name"]}))
    if not settings["data-dir"]:
        settings.values["data-dir"] = f"{settings['name']}.etcd"
        fields = {"data-dir": settings["data-dir"]}
        notes.append(Note(logging.WARNING, "'data-dir' was empty; using default", fields))
    if settings["unsafe-no-fsync"]:
        text = "--unsafe-no-fsync is set: nothing waits for the disk, and a crash loses acknowledged writes"
        notes.append(Note(logging.WARNING, text))


def _derive_advertised(settings: Settings, find_host: Callable[[], str | None], notes: list[Note]) -> None:
    """Default advertised URLs of a member that listens everywhere, and the cluster of a member that only has a name.

    etcd embed/config.go, UpdateDefaultClusterFromName: the default cluster stays as it is under the default name.
    """
    for listen, advertise in (
        ("listen-peer-urls", "initial-advertise-peer-urls"),
        ("listen-client-urls", "advertise-client-urls"),
    ):
        url: Url = settings[listen][0]
        if url.host == "0.0.0.0" and settings[advertise] == FLAGS[advertise].default_value():  # noqa: S104 - compared
            host = find_host()
            if host is not None:
                settings.values[advertise] = (Url("http", host, url.port),)
                notes.append(Note(logging.INFO, "detected default host for advertise", {"host": host}))
        if advertise == "initial-advertise-peer-urls":
            _derive_cluster(settings)


def _derive_cluster(settings: Settings) -> None:
    cluster, name = FLAGS["initial-cluster"].default, settings["name"]
    if settings["initial-cluster"] == cluster and name != FLAGS["name"].default:
        urls = settings["initial-advertise-peer-urls"]
        settings.values["initial-cluster"] = ",".join(f"{name or FLAGS['name'].default}={url}" for url in urls)


def _build(settings: Settings, resolve: Resolve, notes: list[Note]) -> Config:
    names = {field.name: field.name.replace("_", "-") for field in dataclasses.fields(Config)}
    values = {field: settings[name] for field, name in names.items() if name in settings.values}
    wal = settings["wal-dir"]
    values |= {
        "data_dir": Path(settings["data-dir"]),
        "wal_dir": Path(wal) if wal else None,
        "heartbeat_interval": settings["heartbeat-interval"] / 1000,
        "election_timeout": settings["election-timeout"] / 1000,
        "backend_batch_interval": settings["backend-batch-interval"] or 0.1,  # etcd storage/backend/backend.go
        "backend_batch_limit": settings["backend-batch-limit"] or 10000,
        "auto_compaction_retention": _retention(settings),
        "feature_gates": {name: is_enabled(settings["feature-gates"], name) for name in GATES},
        "host_whitelist": settings["host-whitelist"] or ("*",),
        "log_rotation": _rotation(settings),
        "initial_cluster": {settings["name"]: settings["initial-advertise-peer-urls"]},
        "notes": tuple(notes),
    }
    config = Config(**values)
    if _is_initialised(config):  # only a log that a stop has left empty needs it
        with suppress(Refusal):
            members = parse_members(settings["initial-cluster"])
            if config.name in members or (members and config.raftgate_auto_join != "off"):
                return dataclasses.replace(config, initial_cluster=members)
        return config
    if config.discovery_srv:  # `raftgate.bootstrap` asks who is there
        return dataclasses.replace(config, initial_cluster={})
    members = parse_members(settings["initial-cluster"])
    if config.name in members or config.raftgate_auto_join == "off":
        _check(members, config, resolve)
    return dataclasses.replace(config, initial_cluster=members)


def _check(members: Mapping[str, tuple[Url, ...]], config: Config, resolve: Resolve) -> None:
    if config.initial_cluster_state == "existing":
        check_joining(members, config.name)
        return
    with suppress(Unresolved):  # `raftgate.bootstrap` asks again
        check_members(members, config.name, config.initial_advertise_peer_urls, resolve)


def _retention(settings: Settings) -> float:
    """A bare number counts revisions, or hours."""
    retention: str = settings["auto-compaction-retention"]
    if retention.isdigit():
        return float(retention) * (1 if settings["auto-compaction-mode"] == "revision" else 3600)
    return parse_duration(retention)


def _rotation(settings: Settings) -> LogRotation | None:
    if not settings["enable-log-rotation"]:
        return None
    known = {field.name for field in dataclasses.fields(LogRotation)}
    given = json.loads(settings["log-rotation-config-json"])
    rotation = LogRotation(**{name: value for name, value in given.items() if name in known})
    return rotation if rotation.maxsize else dataclasses.replace(rotation, maxsize=LogRotation().maxsize)


def _is_initialised(config: Config) -> bool:
    # a member that has a log ignores --initial-cluster (etcd server/storage/wal, Exist)
    return any(config.wal_directory.glob("*.wal"))
