"""How a command ends: etcdctl's exit codes and the errors that carry one."""

from enum import IntEnum


class ExitCode(IntEnum):
    """A process's exit code (etcd pkg/cobrautl/error.go)."""

    SUCCESS = 0
    ERROR = 1
    BAD_CONNECTION = 2
    INVALID_INPUT = 3
    BAD_FEATURE = 4
    INTERRUPTED = 5
    BAD_ARGS = 128


class CommandError(Exception):
    """Ends a command: `Error: TEXT` on stderr, then `code`."""

    def __init__(self, text: str, code: int = ExitCode.ERROR) -> None:
        """`code` is an ExitCode, or that of a program which was run."""
        super().__init__(text)
        self.text = text
        self.code = code


class UsageError(CommandError):
    """A command line that cannot be parsed; `hint` follows the first of the two `Error:` lines, as in cobra."""

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint


class ConflictError(CommandError):
    """A flag given beside its environment variable; told as a JSON log line instead of an `Error:` line."""


class SilentError(CommandError):
    """Ends a command that has told everything already: no `Error:` line follows."""

    def __init__(self, code: ExitCode = ExitCode.ERROR) -> None:
        super().__init__("", code)
