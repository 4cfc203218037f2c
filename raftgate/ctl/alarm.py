"""The verbs `alarm list` and `alarm disarm`."""

from collections.abc import Callable, Iterable

from raftgate.api.maintenance import AlarmAction, AlarmMember, AlarmRequest, AlarmResponse, AlarmType
from raftgate.ctl.client import Client, connect
from raftgate.ctl.errors import CommandError, ExitCode
from raftgate.ctl.invocation import Invocation
from raftgate.ctl.printers import Fields, to_json
from raftgate.ctl.settings import Settings


def list_(invocation: Invocation) -> None:
    """Prints all alarms."""
    _run(invocation, lambda client: client.call(AlarmRequest()))


def disarm(invocation: Invocation) -> None:
    """Clears all alarms and prints those that it cleared."""
    _run(invocation, _disarm)


def render(response: AlarmResponse, output: str, *, is_hex: bool = False) -> str:
    """What goes to stdout."""
    if output == "json":
        return to_json(response) + "\n"
    if output == "fields":
        return _lines(_fields(response, Fields(is_hex=is_hex)))
    return _lines(map(describe_alarm, response.alarms))


def describe_alarm(alarm: AlarmMember) -> str:
    """One alarm as protobuf's compact text has it: zero fields left out, a space behind each."""
    member = f"memberID:{alarm.memberID} " if alarm.memberID else ""
    return member if alarm.alarm is AlarmType.NONE else f"{member}alarm:{alarm.alarm} "


def _run(invocation: Invocation, ask: Callable[[Client], AlarmResponse]) -> None:
    if invocation.arguments:
        name = invocation.found.command.name
        raise CommandError(f"alarm {name} command accepts no arguments", ExitCode.BAD_ARGS)
    with connect(invocation) as client:
        settings: Settings = client.settings
        if settings.output not in ("simple", "json", "fields"):
            raise CommandError(f"{settings.output} not supported as output format", ExitCode.BAD_FEATURE)
        invocation.console.write(render(ask(client), settings.output, is_hex=settings.is_hex))


def _disarm(client: Client) -> AlarmResponse:
    """Asks for the alarms and clears each, since a server clears only what is named exactly."""
    cleared: list[AlarmMember] = []
    for alarm in client.call(AlarmRequest()).alarms:
        request = AlarmRequest(action=AlarmAction.DEACTIVATE, memberID=alarm.memberID, alarm=alarm.alarm)
        cleared += client.call(request).alarms
    return AlarmResponse(alarms=tuple(cleared))  # made of several answers, so that it has no header


def _fields(response: AlarmResponse, fields: Fields) -> list[str]:
    lines = [] if response.header is None else fields.header(response.header)  # etcdctl panics without one
    for alarm in response.alarms:
        lines += [f'"MemberID" : {fields.id(alarm.memberID)}', f'"AlarmType" : {alarm.alarm}', ""]
    return lines


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
