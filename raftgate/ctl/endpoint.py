"""The verb `endpoint health`: one linearizable read and the alarm list of each endpoint, all at a time."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace

import msgspec

from raftgate.api.errors import Code, PermissionDenied
from raftgate.api.kv import RangeRequest
from raftgate.api.maintenance import AlarmRequest, AlarmType
from raftgate.ctl.client import CallError, Client
from raftgate.ctl.errors import CommandError, ExitCode
from raftgate.ctl.invocation import Invocation
from raftgate.ctl.literals import format_duration
from raftgate.ctl.printers import ASCII, UNICODE, json_text, table
from raftgate.ctl.quoting import quote, to_bytes
from raftgate.ctl.settings import Settings, read_settings

_KEY = b"health"
_MEMBER_LIST = "/v3/cluster/member/list"
_TABLE_VARIABLE = "RAFTGATECTL_TABLE"
_MOST_THREADS = 64


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


class _Member(msgspec.Struct):
    clientURLs: list[str] = []  # noqa: N815 - etcd's name


class _MemberList(msgspec.Struct):
    members: list[_Member] = []


def health(invocation: Invocation) -> None:
    """Prints the health of every endpoint, in the order of their answers.

    Raises: CommandError when one is unhealthy.
    """
    settings = read_settings(invocation)
    if settings.output == "protobuf":
        raise CommandError("protobuf not supported as output format", ExitCode.BAD_FEATURE)
    endpoints = settings.endpoints
    if invocation.flags.boolean("cluster"):
        endpoints = _cluster_endpoints(settings, invocation)
    results = _probe_all(endpoints, settings, invocation)
    for line in _complaints(results) if settings.output == "simple" else ():
        invocation.console.complain(line)
    borders = UNICODE if invocation.environ.get(_TABLE_VARIABLE) == "unicode" else ASCII
    invocation.console.write(render(results, settings.output, borders))
    if not all(result.is_healthy for result in results):
        raise CommandError("unhealthy cluster")


def refuse(invocation: Invocation) -> None:
    """Stands in for the sub-commands that are to come: a group's usage and exit code 0 would hide their absence.

    Raises: CommandError.
    """
    raise CommandError(f"endpoint {invocation.found.command.name} is not supported yet")


def render(results: Sequence[Health], output: str, borders: Sequence[str] = ASCII) -> str:
    """What goes to stdout; in the simple format only healthy endpoints."""
    if output == "json":
        return "[" + ",".join(map(_json, results)) + "]\n"
    if output == "fields":
        return "".join(map(_fields, results))
    if output == "table":
        rows = [(each.endpoint, _claim(each), format_duration(each.took), each.error) for each in results]
        return table(("endpoint", "health", "took", "error"), rows, borders)
    healthy = [each for each in results if each.is_healthy]
    text = "{} is healthy: successfully committed proposal: took = {}\n"
    return "".join(text.format(each.endpoint, format_duration(each.took)) for each in healthy)


def _probe_all(endpoints: Sequence[str], settings: Settings, invocation: Invocation) -> list[Health]:
    clients = {endpoint: _client((endpoint,), settings, invocation) for endpoint in dict.fromkeys(endpoints)}
    if not clients:
        return []
    with ThreadPoolExecutor(min(len(endpoints), _MOST_THREADS)) as pool:
        probes = [pool.submit(_probe, endpoint, clients[endpoint]) for endpoint in endpoints]
        results = [probe.result() for probe in as_completed(probes)]
    for client in clients.values():
        client.close()
    return results


def _probe(endpoint: str, client: Client) -> Health:
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


def _cluster_endpoints(settings: Settings, invocation: Invocation) -> tuple[str, ...]:
    with _client(settings.endpoints, settings, invocation) as client:
        try:
            members = msgspec.json.decode(client.post(_MEMBER_LIST, b"{}", is_read=True), type=_MemberList).members
        except (CallError, msgspec.DecodeError) as error:
            raise CommandError(f"failed to fetch endpoints from etcd cluster member list: {error}") from None
    return tuple(url for member in members for url in member.clientURLs)


def _client(endpoints: tuple[str, ...], settings: Settings, invocation: Invocation) -> Client:
    log = invocation.console.complain if settings.debug else None
    return Client(replace(settings, endpoints=endpoints), invocation.clock, log, invocation.transport)


def _complaints(results: Sequence[Health]) -> list[str]:
    text = "{} is unhealthy: failed to commit proposal: {}"
    return [text.format(each.endpoint, each.error) for each in results if not each.is_healthy]


def _claim(result: Health) -> str:
    return str(result.is_healthy).lower()


def _json(result: Health) -> str:
    text = f'{{"endpoint":{json_text(result.endpoint)},"health":{_claim(result)},'
    text += f'"took":{json_text(format_duration(result.took))}'
    return text + (f',"error":{json_text(result.error)}}}' if result.error else "}")


def _fields(result: Health) -> str:
    endpoint = quote(to_bytes(result.endpoint))
    took = format_duration(result.took)
    return f'"Endpoint" : {endpoint}\n"Health" : {_claim(result)}\n"Took" : {took}\n"Error" : {result.error}\n\n'
