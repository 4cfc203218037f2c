"""The verb `endpoint health`: one linearizable read and the alarm list of each endpoint, all at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

from raftgate.api.errors import Code, PermissionDenied
from raftgate.api.kv import RangeRequest
from raftgate.api.maintenance import AlarmRequest, AlarmType
from raftgate.ctl.client import CallError
from raftgate.ctl.errors import CommandError, ExitCode
from raftgate.ctl.invocation import Invocation
from raftgate.ctl.literals import format_bool, format_duration
from raftgate.ctl.printers import json_text
from raftgate.ctl.quoting import quote, to_bytes
from raftgate.ctl.settings import read_settings
from raftgate.ctl.table import ASCII, borders_for, table
from raftgate.ctl.targets import Target, ask_all, connect_each

_KEY = b"health"


@dataclass(frozen=True, slots=True)
class Health:
    """What one endpoint answered."""

    endpoint: str
    took: int
    """Nanoseconds."""
    error: str = ""

    @property
    def is_healthy(self) -> bool:
        """Whether the endpoint serves."""
        return not self.error


def run(invocation: Invocation) -> None:
    """Prints the health of every endpoint, in the order of their answers.

    Raises: CommandError when one is unhealthy.
    """
    settings = read_settings(invocation)
    if settings.output == "protobuf":
        raise CommandError("protobuf not supported as output format", ExitCode.BAD_FEATURE)
    with connect_each(invocation, settings) as targets:
        results = list(ask_all(targets, _probe, as_they_come=True))
    for line in _complaints(results) if settings.output == "simple" else ():
        invocation.console.complain(line)
    invocation.console.write(render(results, settings.output, borders_for(invocation.environ)))
    if not all(result.is_healthy for result in results):
        raise CommandError("unhealthy cluster")


def render(results: Sequence[Health], output: str, borders: Sequence[str] = ASCII) -> str:
    """What goes to stdout; in the simple format only healthy endpoints."""
    if output == "json":
        return "[" + ",".join(map(_json, results)) + "]\n"
    if output == "fields":
        return "".join(map(_fields, results))
    if output == "table":
        rows = [
            (each.endpoint, format_bool(each.is_healthy), format_duration(each.took), each.error) for each in results
        ]
        return table(("endpoint", "health", "took", "error"), rows, borders)
    healthy = [each for each in results if each.is_healthy]
    text = "{} is healthy: successfully committed proposal: took = {}\n"
    return "".join(text.format(each.endpoint, format_duration(each.took)) for each in healthy)


def _probe(target: Target) -> Health:
    endpoint, client = target.endpoint, target.client
    start = client.clock.monotonic()

    def took() -> int:
        return round((client.clock.monotonic() - start) * 1e9)

    try:
        client.call(RangeRequest(key=_KEY))
    except CallError as error:
        # A refused read went through consensus all the same.
        if error.status != Code.PERMISSION_DENIED or error.text != PermissionDenied.default_text:
            return Health(endpoint, took(), f"{error}")
    time = took()
    try:
        alarms = client.call(AlarmRequest()).alarms
    except CallError:
        return Health(endpoint, time, "Unable to fetch the alarm list")
    if not alarms:
        return Health(endpoint, time)
    names = [alarm.alarm if alarm.alarm in (AlarmType.NOSPACE, AlarmType.CORRUPT) else "UNKNOWN" for alarm in alarms]
    return Health(endpoint, time, "Active Alarm(s): " + "".join(f"{name} " for name in names))


def _complaints(results: Sequence[Health]) -> list[str]:
    text = "{} is unhealthy: failed to commit proposal: {}"
    return [text.format(each.endpoint, each.error) for each in results if not each.is_healthy]


def _json(result: Health) -> str:
    text = f'{{"endpoint":{json_text(result.endpoint)},"health":{format_bool(result.is_healthy)},'
    text += f'"took":{json_text(format_duration(result.took))}'
    return text + (f',"error":{json_text(result.error)}}}' if result.error else "}")


def _fields(result: Health) -> str:
    lines = (
        f'"Endpoint" : {quote(to_bytes(result.endpoint))}',
        f'"Health" : {format_bool(result.is_healthy)}',
        f'"Took" : {format_duration(result.took)}',
        f'"Error" : {result.error}',
        "",
    )
    return "".join(f"{line}\n" for line in lines)
