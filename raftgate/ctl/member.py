"""The verb `member list` (etcdctl/ctlv3/command/member_command.go)."""

from collections.abc import Sequence

from raftgate.api.cluster import Member, MemberListRequest, MemberListResponse
from raftgate.api.kv import ResponseHeader
from raftgate.ctl.client import connect
from raftgate.ctl.errors import CommandError, ExitCode
from raftgate.ctl.invocation import Invocation
from raftgate.ctl.literals import format_bool
from raftgate.ctl.printers import Fields, to_json
from raftgate.ctl.quoting import quote, to_bytes
from raftgate.ctl.table import ASCII, borders_for, table

_TITLES = ("ID", "status", "name", "peer addrs", "client addrs", "is learner")


def list_(invocation: Invocation) -> None:
    """Prints all members."""
    consistency = invocation.flags.string("consistency")
    if consistency not in ("l", "s"):
        raise CommandError(f"unknown consistency flag {_quoted(consistency)}", ExitCode.BAD_FEATURE)
    with connect(invocation) as client:
        settings = client.settings
        if settings.output == "protobuf":
            raise CommandError("protobuf not supported as output format", ExitCode.BAD_FEATURE)
        answer = client.call(MemberListRequest(linearizable=consistency == "l"))
        borders = borders_for(invocation.environ)
        invocation.console.write(render(answer, settings.output, is_hex=settings.is_hex, borders=borders))


def render(answer: MemberListResponse, output: str, *, is_hex: bool = False, borders: Sequence[str] = ASCII) -> str:
    """What goes to stdout; ids are in hex anyway where people read."""
    if output == "json":
        return to_json(answer, ids_in_hex=is_hex) + "\n"
    if output == "fields":
        fields = Fields(is_hex=is_hex)
        lines = fields.header(answer.header or ResponseHeader())
        return "".join(f"{line}\n" for line in (*lines, *_fields(answer.members, fields)))
    rows = list(map(_cells, answer.members))
    if output == "table":
        return table(_TITLES, rows, borders)
    return "".join(f"{', '.join(row)}\n" for row in rows)


def _cells(member: Member) -> tuple[str, ...]:
    return (
        f"{member.ID:x}",
        "started" if member.name else "unstarted",
        member.name,
        ",".join(member.peerURLs),
        ",".join(member.clientURLs),
        format_bool(member.isLearner),
    )


def _fields(members: Sequence[Member], fields: Fields) -> list[str]:
    lines = []
    for member in members:
        lines += [f'"ID" : {fields.id(member.ID)}', f'"Name" : {_quoted(member.name)}']
        lines += [f'"PeerURL" : {_quoted(url)}' for url in member.peerURLs]
        lines += [f'"ClientURL" : {_quoted(url)}' for url in member.clientURLs]
        lines += [f'"IsLearner" : {format_bool(member.isLearner)}', ""]
    return lines


def _quoted(text: str) -> str:
    return quote(to_bytes(text))
