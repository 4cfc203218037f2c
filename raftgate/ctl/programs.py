"""Programs that verbs run, and how Go's os/exec tells of their ends."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from io import UnsupportedOperation
from typing import BinaryIO

from raftgate.ctl.errors import CommandError
from raftgate.ctl.invocation import Console
from raftgate.ctl.quoting import quote, to_bytes

_KILLED = 255  # the -1 that Go has for it, as a process's exit code


def run_program(words: Sequence[str], environ: Mapping[str, str], console: Console) -> None:
    """Runs a program to its end, without stdin and with the console's stdout and stderr.

    Raises: CommandError with Go's text and the program's exit code.
    """
    streams = [_descriptor(stream) for stream in (console.stdout, console.stderr)]
    try:
        done = subprocess.run(  # noqa: S603 - the user's own words
            [to_bytes(word) for word in words],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if streams[0] is None else streams[0],
            stderr=subprocess.PIPE if streams[1] is None else streams[1],
            env={to_bytes(name): to_bytes(value) for name, value in environ.items()},
        )
    except (OSError, ValueError) as error:
        raise CommandError(_not_started(words[0], error)) from None
    for stream, written in ((console.stdout, done.stdout), (console.stderr, done.stderr)):
        stream.write(written or b"")
    if done.returncode < 0:
        name = signal.strsignal(-done.returncode) or f"signal {-done.returncode}"
        raise CommandError(f"signal: {name.lower()}", _KILLED)
    if done.returncode:
        raise CommandError(f"exit status {done.returncode}", done.returncode)


def show_words(words: Sequence[str]) -> str:
    """Words as Go prints a slice of strings with `%q`."""
    return f"[{' '.join(quote(to_bytes(word)) for word in words)}]"


def _descriptor(stream: BinaryIO) -> int | None:
    try:
        return stream.fileno()
    except UnsupportedOperation:  # a test's
        return None


def _not_started(word: str, error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError) and "/" not in word:
        return f"exec: {quote(to_bytes(word))}: executable file not found in $PATH"
    reason = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else str(error)
    return f"fork/exec {word}: {reason}"
