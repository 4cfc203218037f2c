"""The words of a watch, on the command line or on a line of its interactive mode, made into a request.

What precedes the first `--` says what to watch, what follows it is a program (etcdctl watch_command.go).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raftgate.api.watch import WatchCreateRequest
from raftgate.ctl import flags
from raftgate.ctl.commands import WATCH
from raftgate.ctl.errors import CommandError, ExitCode, UsageError
from raftgate.ctl.flags import Values
from raftgate.ctl.kv import FROM_KEY, prefix_end
from raftgate.ctl.quoting import quote, to_bytes

_BAD_NUMBER = "bad number of arguments"


@dataclass(frozen=True, slots=True)
class Words:
    """A watch as it was written."""

    arguments: tuple[str, ...]
    """Key and range end, from the environment if they are not among the words."""
    program: tuple[str, ...]
    """What is run for each event."""
    flags: Values


def split(words: Sequence[str], arguments: Sequence[str], values: Values, environ: Mapping[str, str]) -> Words:
    """Parts of a command line that was parsed; `words` are those behind the verb, `--` among them.

    Raises: CommandError.
    """
    program = _program(words)
    arguments = arguments[: len(arguments) - len(program)]
    named = environment_range(environ)
    if named and arguments:
        raise _bad(f"{_BAD_NUMBER} (found conflicting environment key)")
    return Words((*named, *arguments), program, values)


def parse_line(words: Sequence[str], environ: Mapping[str, str]) -> Words:
    """Parts of a line in interactive mode, behind its verb.

    Raises: CommandError for what ends the whole mode.
    """
    _program(words)
    try:
        values, arguments = flags.parse(WATCH.flags, words)
    except UsageError as error:
        raise _bad(error.text) from None
    parts = split(words, arguments, values, environ)
    if not (parts.arguments or parts.program):
        raise _bad(_BAD_NUMBER)
    return parts


def environment_range(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Key and range end that the environment names.

    Raises: CommandError for a range end without a key.
    """
    key, range_end = environ.get("ETCDCTL_WATCH_KEY", ""), environ.get("ETCDCTL_WATCH_RANGE_END", "")
    if range_end and not key:
        raise _bad(f"ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END={quote(to_bytes(range_end))}")
    return tuple(filter(None, (key, range_end)))


def create_request(words: Words) -> WatchCreateRequest:
    """What to ask of the server.

    Raises: CommandError.
    """
    if not words.arguments:
        raise _bad(_BAD_NUMBER)
    values = words.flags
    key, range_end = to_bytes(words.arguments[0]), b""
    if len(words.arguments) == 2:  # further ones make etcdctl forget the second, too
        if values.boolean("prefix"):
            raise _bad("`range_end` and `--prefix` are mutually exclusive")
        range_end = to_bytes(words.arguments[1])
    elif values.boolean("prefix"):
        key, range_end = (key, prefix_end(key)) if key else (FROM_KEY, FROM_KEY)
    return WatchCreateRequest(
        key=key,
        range_end=range_end,
        start_revision=values.integer("rev"),
        prev_kv=values.boolean("prev-kv"),
        progress_notify=values.boolean("progress-notify"),
    )


def _program(words: Sequence[str]) -> tuple[str, ...]:
    if "--" not in words:
        return ()
    program = tuple(words[words.index("--") + 1 :])
    if not program:
        raise _bad(f"{_BAD_NUMBER} (found separator --, but no commands)")
    return program


def _bad(text: str) -> CommandError:
    return CommandError(text, ExitCode.BAD_ARGS)
