"""The verb `compaction`."""

from raftgate.api.kv import CompactionRequest
from raftgate.ctl.client import connect
from raftgate.ctl.errors import CommandError, ExitCode
from raftgate.ctl.invocation import Invocation
from raftgate.ctl.literals import parse_int


def run(invocation: Invocation) -> None:
    """Drops the history below a revision; says so in the same words whatever the output format."""
    if len(invocation.arguments) != 1:
        raise CommandError("compaction command needs 1 argument", ExitCode.BAD_ARGS)
    try:
        revision = parse_int(invocation.arguments[0], 10)
    except ValueError as error:
        raise CommandError(f"{error}") from None
    with connect(invocation) as client:
        client.call(CompactionRequest(revision=revision, physical=invocation.flags.boolean("physical")))
    invocation.console.write(f"compacted revision {revision}\n")
