"""Where values come from: the command line in Go's flag syntax, `ETCD_*` variables, or a file instead of both."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from raftgate.config.errors import ConfigError, Finished, Note, Refusal, invalid
from raftgate.config.flags import FLAGS, Flag
from raftgate.config.kinds import GATE_MAP, STRING, URLS
from raftgate.config.syntax import quote
from raftgate.config.usage import USAGE, help_text

Values = dict[str, Any]  # Any: flag name -> what the flag's kind makes of its text
_PREFIXES = ("ETCD_", "RAFTGATE_")
_SECRET = re.compile("PASSWORD|SECRET|TOKEN|KEY")
_HIDDEN = "<redacted>"
_CONFLICT = (  # the parentheses are etcd's (etcd pkg/flags/flag.go)
    "conflicting environment variable is shadowed by corresponding command-line flag "
    "(either unset environment variable or disable flag))"
)


def read_arguments(argv: Sequence[str]) -> tuple[Values, Sequence[str]]:
    """The flags given, and what is left from the first word that is none (Go flag.FlagSet.Parse).

    Raises: ConfigError with exit code 2, Finished for `--help`.
    """
    values: Values = {}
    words = list(argv)
    while words and words[0].startswith("-") and words[0] != "-":
        word = words.pop(0)
        if word == "--":
            break
        body = word.removeprefix("-").removeprefix("-")
        if not body or body[0] in "-=":
            raise _misuse(f"bad flag syntax: {word}")
        name, equals, text = body.partition("=")
        if name in {"h", "help"}:
            raise Finished(help_text())
        flag = FLAGS.get(name)
        if flag is None:
            raise _misuse(f"flag provided but not defined: -{name}")
        if not equals and not flag.kind.is_switch:
            if not words:
                raise _misuse(f"flag needs an argument: -{name}")
            text = words.pop(0)
        values[name] = _parse_argument(flag, text if equals or not flag.kind.is_switch else "true", values)
    return values, words


def _parse_argument(flag: Flag, text: str, values: Values) -> object:
    try:
        return flag.kind.parse(text, values.get(flag.name, flag.default_value()))
    except ValueError as error:
        if flag.kind.is_switch:
            raise _misuse(f"invalid boolean value {quote(text)} for -{flag.name}: {error}") from None
        raise _misuse(f"invalid value {quote(text)} for flag -{flag.name}: {error}") from None


def _misuse(line: str) -> ConfigError:
    return ConfigError(2, stderr=f"{line}\n{USAGE}\n")


def read_environment(environ: Mapping[str, str], given: Values, notes: list[Note]) -> Values:
    """The values of `ETCD_*` and `RAFTGATE_*` variables; `given` are the flags, which must not name the same setting.

    Raises: Refusal.
    """
    values: Values = {}
    refusal: Refusal | None = None
    flags = {flag.variable: flag for flag in FLAGS.values() if flag.variable}
    if environ.get("ETCD_VERSION"):
        fields = {"key": "ETCD_VERSION", "value": environ["ETCD_VERSION"]}
        notes.append(Note(logging.WARNING, "cannot set special environment variable", fields))
    for name, text in sorted(environ.items()):
        flag = flags.get(name)
        if flag is not None and flag.name in given:
            raise Refusal(Note(logging.CRITICAL, _CONFLICT, {"environment-variable": name}))
        if flag is None and name.startswith(_PREFIXES) and name != "ETCD_VERSION":
            shown = _HIDDEN if _SECRET.search(name) else text
            notes.append(_warning("unrecognized environment variable", {"environment-variable": f"{name}={shown}"}))
        if flag is None or not text:
            continue
        try:
            values[flag.name] = flag.kind.parse(text, flag.default_value())
        except ValueError as error:
            # a conflict found later in the environment is told first, as etcd does
            refusal = refusal or invalid(f"invalid value {quote(text)} for {name}: {error}")
            continue
        fields = {"variable-name": name, "variable-value": _HIDDEN if flag.is_secret else text}
        notes.append(Note(logging.INFO, "recognized and used environment variable", fields))
    if refusal is not None:
        raise refusal
    return values


def _warning(message: str, fields: Mapping[str, object]) -> Note:
    return Note(logging.WARNING, message, fields)


def read_file(path: str, notes: list[Note]) -> Values:
    """The values of a YAML or JSON file; unknown keys are noted and ignored.

    Raises: Refusal.
    """
    document = _load_yaml(path)
    values: Values = {}
    flags = {key: flag for flag in FLAGS.values() for key in flag.keys}
    blocks = {key[:end] for key in flags for end in range(len(key)) if key[end] == "."}
    for key, value in _leaves(document, blocks):
        flag = flags.get(key)
        if flag is None:
            notes.append(_warning("unknown key in the configuration file is ignored", {"key": key}))
        elif value is not None:
            values[flag.name] = _parse_file_value(flag, key, value)
    return values


def _load_yaml(path: str) -> Mapping[object, object]:
    import yaml  # noqa: PLC0415 - a tenth of the start-up time, wasted unless there is a file

    try:
        with open(path, "rb") as file:  # noqa: PTH123 - open() names the path in its error as the user wrote it
            document = yaml.safe_load(file)
    except OSError as error:
        raise invalid(f"open {path}: {(error.strerror or str(error)).lower()}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # the two latter: odd dates, endless nesting
        raise invalid(f"error converting YAML to JSON: yaml: {_yaml_fault(error)}") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise invalid("error unmarshaling JSON: the configuration file is not a mapping of settings")
    return document


def _yaml_fault(error: Exception) -> str:
    problem = str(getattr(error, "problem", None) or error).replace("not allowed here", "not allowed in this context")
    mark = getattr(error, "problem_mark", None)
    line = mark.line if mark is not None else 0  # counted from 0; go-yaml counts one less from 1 and leaves 0 out
    return f"line {line}: {problem}" if line else problem


def _leaves(document: Mapping[object, object], blocks: set[str], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in document.items():
        key = f"{prefix}{name}"
        if key not in blocks or value is None:
            yield key, value
        elif isinstance(value, dict):
            yield from _leaves(value, blocks, f"{key}.")
        else:
            raise invalid(f"{key}: expected mapping, got {_shown(value)}")


def _parse_file_value(flag: Flag, key: str, value: object) -> object:
    if value == "" and flag.kind is not STRING:
        return flag.default_value()
    text = flag.kind.to_text(value)
    try:
        if text is not None:
            return flag.kind.parse(text, None)
    except ValueError as error:
        if flag.kind is URLS:
            raise invalid(f"unexpected error setting up {key}: {error}") from None
        if flag.kind is GATE_MAP:
            raise invalid(str(error)) from None
    raise invalid(f"{key}: expected {flag.kind.name}, got {_shown(value)}")


def _shown(value: object) -> str:
    return quote(value) if isinstance(value, str) else str(value)
