"""The verb `move-leader` (etcdctl/ctlv3/command/move_leader_command.go)."""

from raftgate.api.kv import ResponseHeader
from raftgate.api.maintenance import MoveLeaderRequest, MoveLeaderResponse, StatusRequest
from raftgate.ctl.client import NO_ENDPOINTS, Client
from raftgate.ctl.errors import CommandError, ExitCode
from raftgate.ctl.invocation import Invocation
from raftgate.ctl.literals import parse_id
from raftgate.ctl.printers import to_json
from raftgate.ctl.settings import Settings, read_settings
from raftgate.ctl.targets import Target, connect_to


def run(invocation: Invocation) -> None:
    """Looks for the leader among the endpoints, and asks it to hand over; the command's time is that of all calls."""
    target = _target(invocation)
    settings = read_settings(invocation)
    if settings.output not in ("simple", "json"):
        raise CommandError(f"{settings.output} not supported as output format", ExitCode.BAD_FEATURE)
    if not settings.endpoints:
        raise CommandError(NO_ENDPOINTS, ExitCode.BAD_CONNECTION)
    deadline = invocation.clock.monotonic() + settings.command_timeout
    with connect_to(settings.endpoints, invocation, settings) as targets:
        leader, client = _leader(targets, settings, deadline)
        answer = client.call(MoveLeaderRequest(targetID=target), deadline)
    invocation.console.write(render(leader, target, answer, settings.output))


def render(leader: int, target: int, answer: MoveLeaderResponse, output: str) -> str:
    """What goes to stdout."""
    if output == "json":
        return to_json(answer) + "\n"
    return f"Leadership transferred from {leader:x} to {target:x}\n"


def _target(invocation: Invocation) -> int:
    if len(invocation.arguments) != 1:
        raise CommandError("move-leader command needs 1 argument", ExitCode.BAD_ARGS)
    try:
        return parse_id(invocation.arguments[0])
    except ValueError as error:
        raise CommandError(f"{error}", ExitCode.BAD_ARGS) from None


def _leader(targets: list[Target], settings: Settings, deadline: float) -> tuple[int, Client]:
    """The leader's id, and what speaks to it: the first endpoint that says so of itself."""
    for target in targets:
        status = target.client.call(StatusRequest(), deadline)
        if status.leader == (status.header or ResponseHeader()).member_id:
            return status.leader, target.client
    text = f"no leader endpoint given at [{' '.join(settings.endpoints)}]"
    raise CommandError(text, ExitCode.BAD_ARGS)
