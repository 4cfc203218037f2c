"""The command `raftgatectl`: finds the verb, parses its flags, runs it, and turns errors into etcdctl's exit codes."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING

from raftgate.ctl import flags
from raftgate.ctl.commands import ROOT, Found, find
from raftgate.ctl.errors import CommandError, ConflictError, ExitCode, SilentError, UsageError
from raftgate.ctl.invocation import Clock, Console, Invocation
from raftgate.ctl.quoting import to_text

if TYPE_CHECKING:
    import httpx

_BROKEN_PIPE = 128 + signal.SIGPIPE  # what a shell shows for a program that SIGPIPE ended


def main() -> int:
    """Runs the process's own command line; returns the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ends by the signal itself, as etcdctl does
    # A stream that was closed before the start is None.
    console = Console(*(stream.buffer if stream else BytesIO() for stream in (sys.stdin, sys.stdout, sys.stderr)))
    words = [to_text(os.fsencode(word)) for word in sys.argv[1:]]
    try:
        code = run(words, os.environ, console)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the flush at exit fails, too
        code = _BROKEN_PIPE
    if threading.active_count() > 1:  # a watch beside may be writing: Python aborts if it ends meanwhile
        os._exit(code)
    return code


def run(
    words: Sequence[str],
    environ: Mapping[str, str],
    console: Console,
    clock: Clock | None = None,
    transport: "httpx.BaseTransport | None" = None,
) -> int:
    """Runs one command line; returns the exit code."""
    found: Found | None = None
    try:
        found = find(ROOT, words)
        values, arguments = flags.parse((*found.inherited, *found.own), found.words)
        invocation = Invocation(found, arguments, values, environ, console, clock or Clock(), transport)
        _verb(invocation)(invocation)
    except UsageError as error:
        _explain(error, found, console)
        return error.code
    except ConflictError as error:
        console.complain(error.text)
        return error.code
    except SilentError as error:
        return error.code
    except CommandError as error:
        console.complain(f"Error: {error.text}")
        return error.code
    return ExitCode.SUCCESS


def _verb(invocation: Invocation) -> Callable[[Invocation], None]:
    target = invocation.found.command.run
    if invocation.flags.boolean("help") or not target:
        target = "raftgate.ctl.usage:run_for_verb"
    module, _, function = target.partition(":")
    verb: Callable[[Invocation], None] = getattr(import_module(module), function)
    return verb


def _explain(error: UsageError, found: Found | None, console: Console) -> None:
    """The error twice, as cobra and then etcdctl's main print it, around a hint or the usage."""
    console.complain(f"Error: {error.text}")
    console.complain(error.hint)
    if found is not None:
        usage = import_module("raftgate.ctl.usage")
        console.write(usage.render(found))
    console.complain(f"Error: {error.text}")


if __name__ == "__main__":
    sys.exit(main())
