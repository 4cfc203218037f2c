"""The verbs `member add`, `remove`, `update` and `promote` (etcdctl/ctlv3/command/member_command.go).

An output format that these verbs do not have is refused before the members change; etcdctl finds out afterwards.
"""

from collections.abc import Sequence
from typing import TypeVar

from raftgate.api.cluster import (
    MemberAddRequest,
    MemberAddResponse,
    MemberPromoteRequest,
    MemberRemoveRequest,
    MemberUpdateRequest,
)
from raftgate.api.kv import ResponseHeader
from raftgate.api.message import Message, Request
from raftgate.config.urls import parse_url
from raftgate.ctl.client import Client, connect
from raftgate.ctl.errors import CommandError, ExitCode
from raftgate.ctl.invocation import Invocation
from raftgate.ctl.literals import parse_id
from raftgate.ctl.printers import to_json
from raftgate.ctl.quoting import quote, to_bytes

R = TypeVar("R", bound=Message)


def add(invocation: Invocation) -> None:
    """Adds a member, and tells with which variables to start it."""
    name = _name(invocation.arguments)
    urls = _peer_urls(invocation)
    is_learner = invocation.flags.boolean("learner")
    with connect(invocation) as client:
        response = _change(client, MemberAddRequest(_checked(urls), is_learner))
        invocation.console.write(render_added(response, name, urls, client.settings.output))


def remove(invocation: Invocation) -> None:
    """Removes a member."""
    member = _member(invocation.arguments)
    _run(invocation, MemberRemoveRequest(member), f"Member {member:16x} removed from cluster")


def update(invocation: Invocation) -> None:
    """Gives a member other peer URLs."""
    member = _member(invocation.arguments)
    urls = _checked(_peer_urls(invocation))
    _run(invocation, MemberUpdateRequest(member, urls), f"Member {member:16x} updated in cluster")


def promote(invocation: Invocation) -> None:
    """Makes a voter of a learner."""
    member = _member(invocation.arguments)
    _run(invocation, MemberPromoteRequest(member), f"Member {member:16x} promoted in cluster")


def render_added(response: MemberAddResponse, name: str, urls: str, output: str) -> str:
    """What goes to stdout after an addition; `urls` as they were given."""
    if output == "json":
        return to_json(response) + "\n"
    added = response.member
    assert added is not None  # a server answers with it
    learner = " as learner" if added.isLearner else ""  # 3.6
    cluster = [
        f"{name if member.ID == added.ID else member.name}={url}"
        for member in response.members
        for url in member.peerURLs
    ]
    return (
        f"Member {added.ID:16x} added{learner} to cluster {_cluster_of(response.header)}\n\n"
        f"ETCD_NAME={_quoted(name)}\n"
        f"ETCD_INITIAL_CLUSTER={_quoted(','.join(cluster))}\n"
        f"ETCD_INITIAL_ADVERTISE_PEER_URLS={_quoted(urls)}\n"
        'ETCD_INITIAL_CLUSTER_STATE="existing"\n'
    )


def _run(invocation: Invocation, request: Request[R], done: str) -> None:
    with connect(invocation) as client:
        response = _change(client, request)
        if client.settings.output == "json":
            invocation.console.write(to_json(response) + "\n")
        else:
            header: ResponseHeader | None = response.header  # type: ignore[attr-defined]  # every answer to a client has one
            invocation.console.write(f"{done} {_cluster_of(header)}\n")


def _change(client: Client, request: Request[R]) -> R:
    """Raises: CommandError."""
    output = client.settings.output
    if output not in ("simple", "json"):
        raise CommandError(f"{output} not supported as output format", ExitCode.BAD_FEATURE)
    return client.call(request)


def _name(arguments: Sequence[str]) -> str:
    if not arguments:
        raise CommandError("member name not provided", ExitCode.BAD_ARGS)
    if len(arguments) > 1:
        urls = [argument for argument in arguments if argument.lower().startswith("http")]
        hints = "".join(f", did you mean --peer-urls={url}" for url in urls)
        raise CommandError(f"too many arguments{hints}", ExitCode.BAD_ARGS)
    return arguments[0]


def _member(arguments: Sequence[str]) -> int:
    if len(arguments) != 1:
        raise CommandError("member ID is not provided", ExitCode.BAD_ARGS)
    try:
        return parse_id(arguments[0])
    except ValueError as error:
        raise CommandError(f"bad member ID arg ({error}), expecting ID in Hex", ExitCode.BAD_ARGS) from None


def _peer_urls(invocation: Invocation) -> str:
    urls = invocation.flags.string("peer-urls")
    if not urls:
        raise CommandError("member peer urls not provided", ExitCode.BAD_ARGS)
    return urls


def _checked(urls: str) -> tuple[str, ...]:
    """The URLs of a comma separated list, which etcd's client looks at, too (client/v3/cluster.go)."""
    split = tuple(urls.split(","))
    for url in split:
        try:
            parse_url(url)
        except ValueError as error:
            raise CommandError(f"{error}") from None
    return split


def _cluster_of(header: ResponseHeader | None) -> str:
    return f"{(header or ResponseHeader()).cluster_id:16x}"


def _quoted(text: str) -> str:
    return quote(to_bytes(text))
