"""The verb `defrag`: one member after the other, since each serves nothing meanwhile."""

from raftgate.api.maintenance import DefragmentRequest
from raftgate.ctl.client import CallError
from raftgate.ctl.errors import SilentError
from raftgate.ctl.invocation import Invocation
from raftgate.ctl.literals import format_duration
from raftgate.ctl.settings import read_settings
from raftgate.ctl.targets import Target, connect_each


def run(invocation: Invocation) -> None:
    """Gives the free space of every endpoint's file back; one that fails does not keep the next from its turn.

    Raises: CommandError when one failed.
    """
    with connect_each(invocation, read_settings(invocation)) as targets:
        done = [_defragment(target, invocation) for target in targets]
    if not all(done):
        raise SilentError


def _defragment(target: Target, invocation: Invocation) -> bool:
    start = invocation.clock.monotonic()
    failure = None
    try:
        target.client.call(DefragmentRequest())
    except CallError as error:
        failure = error
    took = format_duration(round((invocation.clock.monotonic() - start) * 1e9))
    if failure is not None:
        invocation.console.complain(f"Failed to defragment etcd member[{target.endpoint}]. took {took}. ({failure})")
        return False
    invocation.console.write(f"Finished defragmenting etcd member[{target.endpoint}]. took {took}\n")
    return True
