"""The verbs `lease grant`, `revoke`, `timetolive`, `list` and `keep-alive` (etcdctl/ctlv3/command/lease_command.go)."""

from base64 import b64encode
from collections.abc import Callable
from typing import TypeVar

from raftgate.api.errors import LeaseNotFound
from raftgate.api.kv import ResponseHeader
from raftgate.api.lease import (
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseKeepAliveResponse,
    LeaseLeasesRequest,
    LeaseLeasesResponse,
    LeaseRevokeRequest,
    LeaseRevokeResponse,
    LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
)
from raftgate.ctl.client import CallError, connect
from raftgate.ctl.errors import CommandError, ExitCode
from raftgate.ctl.invocation import Invocation
from raftgate.ctl.keepalive import renew, renewals
from raftgate.ctl.literals import parse_int
from raftgate.ctl.printers import Fields, to_json
from raftgate.ctl.quoting import quote, to_text
from raftgate.ctl.settings import Settings

Response = (
    LeaseGrantResponse | LeaseRevokeResponse | LeaseTimeToLiveResponse | LeaseLeasesResponse | LeaseKeepAliveResponse
)
T = TypeVar("T")

_Show = Callable[[str, Response], str]
"""Takes the text of the simple format beside the response, and gives the text of the chosen one."""


def grant(invocation: Invocation) -> None:
    """Grants a lease."""
    text = _only_argument(invocation, "lease grant command needs TTL argument")
    try:
        ttl = parse_int(text, 10)
    except ValueError as error:
        raise CommandError(f"bad TTL ({error})", ExitCode.BAD_ARGS) from None
    with connect(invocation) as client:
        show = _printer(client.settings)
        try:
            response = client.call(LeaseGrantRequest(TTL=ttl))
        except CallError as error:
            raise CommandError(f"failed to grant lease ({error.text})") from None
        header = _simple_id(response.ID)
        invocation.console.write(show(f"{header} granted with TTL({response.TTL}s)\n", response))


def revoke(invocation: Invocation) -> None:
    """Revokes a lease."""
    lease = _lease(_only_argument(invocation, "lease revoke command needs 1 argument"))
    with connect(invocation) as client:
        show = _printer(client.settings)
        try:
            response = client.call(LeaseRevokeRequest(ID=lease))
        except CallError as error:
            raise CommandError(f"failed to revoke lease ({error.text})") from None
        invocation.console.write(show(f"{_simple_id(lease)} revoked\n", response))


def time_to_live(invocation: Invocation) -> None:
    """Tells a lease's time, and with --keys what is attached to it."""
    lease = _lease(_only_argument(invocation, "lease timetolive command needs lease ID as argument"))
    keys = invocation.flags.boolean("keys")
    with connect(invocation) as client:
        show = _printer(client.settings)
        response = _connected(lambda: client.call(LeaseTimeToLiveRequest(ID=lease, keys=keys)))
        invocation.console.write(show(_simple_time(response, with_keys=keys), response))


def list_(invocation: Invocation) -> None:
    """Lists the leases."""
    with connect(invocation) as client:
        show = _printer(client.settings)
        response = _connected(lambda: client.call(LeaseLeasesRequest()))
        lines = "".join(f"{lease.ID:016x}\n" for lease in response.leases)
        invocation.console.write(show(f"found {len(response.leases)} leases\n{lines}", response))


def keep_alive(invocation: Invocation) -> None:
    """Renews a lease again and again until it is gone, or once."""
    lease = _lease(_only_argument(invocation, "lease keep-alive command needs lease ID as argument"))
    with connect(invocation) as client:
        show = _printer(client.settings)

        def tell(response: LeaseKeepAliveResponse) -> None:
            line = f"{_simple_id(response.ID)} keepalived with TTL({response.TTL})\n"
            invocation.console.write(show(line, response))

        if invocation.flags.boolean("once"):
            response = _connected(lambda: renew(client, lease))
            if response.TTL <= 0:
                raise CommandError(LeaseNotFound.default_text, ExitCode.BAD_CONNECTION)
            tell(response)
            return
        for response in renewals(client, lease, invocation.clock.sleep):
            tell(response)
        invocation.console.write(f"{_simple_id(lease)} expired or revoked.\n")


def _only_argument(invocation: Invocation, complaint: str) -> str:
    if len(invocation.arguments) != 1:
        raise CommandError(complaint, ExitCode.BAD_ARGS)
    return invocation.arguments[0]


def _lease(text: str) -> int:
    try:
        return parse_int(text, 16)
    except ValueError as error:
        raise CommandError(f"bad lease ID arg ({error}), expecting ID in Hex", ExitCode.BAD_ARGS) from None


def _connected(ask: Callable[[], T]) -> T:
    """Asks where etcdctl takes any failure for one of the connection."""
    try:
        return ask()
    except CallError as error:
        raise CommandError(error.text, ExitCode.BAD_CONNECTION) from None


def _simple_id(lease: int) -> str:
    return f"lease {lease:016x}"


def _simple_time(response: LeaseTimeToLiveResponse, *, with_keys: bool) -> str:
    lease = _simple_id(response.ID)
    if not response.grantedTTL and response.TTL == -1:
        return f"{lease} already expired\n"
    keys = f", attached keys([{' '.join(map(to_text, response.keys))}])" if with_keys else ""
    return f"{lease} granted with TTL({response.grantedTTL}s), remaining({response.TTL}s){keys}\n"


def _printer(settings: Settings) -> _Show:
    if settings.output == "simple":
        return lambda text, _: text
    if settings.output == "json":
        return lambda _, response: _json(response) + "\n"
    if settings.output == "fields":
        fields = Fields(is_hex=settings.is_hex)
        return lambda _, response: "".join(f"{line}\n" for line in _fields(response, fields))
    raise CommandError(f"{settings.output} not supported as output format", ExitCode.BAD_FEATURE)


def _json(response: Response) -> str:
    """A header without a name of its own, and names that differ from answer to answer: Go's structs, embedded."""
    if isinstance(response, LeaseRevokeResponse):
        return to_json(response)
    header = to_json(response.header or ResponseHeader())[1:-1]
    if isinstance(response, LeaseGrantResponse):
        rest = f'"ID":{response.ID},"TTL":{response.TTL},"Error":""'
    elif isinstance(response, LeaseKeepAliveResponse):
        rest = f'"ID":{response.ID},"TTL":{response.TTL}'
    elif isinstance(response, LeaseTimeToLiveResponse):
        keys = ",".join(f'"{b64encode(key).decode()}"' for key in response.keys)
        rest = f'"id":{response.ID},"ttl":{response.TTL},"granted-ttl":{response.grantedTTL},"keys":'
        rest += f"[{keys}]" if keys else "null"
    else:
        rest = '"leases":[' + ",".join(f'{{"id":{lease.ID}}}' for lease in response.leases) + "]"
    return "{" + ",".join(filter(None, (header, rest))) + "}"


def _fields(response: Response, fields: Fields) -> list[str]:
    lines = fields.header(response.header or ResponseHeader())
    if isinstance(response, LeaseLeasesResponse):
        return lines + [f'"ID" : {lease.ID}' for lease in response.leases]
    if isinstance(response, LeaseRevokeResponse):
        return lines
    lines += [f'"ID" : {response.ID}', f'"TTL" : {response.TTL}']
    if isinstance(response, LeaseTimeToLiveResponse):
        lines.append(f'"GrantedTTL" : {response.grantedTTL}')
        lines += [f'"Key" : {quote(key)}' for key in response.keys]
    return lines
