"""How a member joins a cluster that there is: whom it finds at the given URLs, and who it is among them.

As etcd etcdserver/bootstrap.go, cluster_util.go and membership/cluster.go (ValidateClusterAndAssignIDs); texts are
etcd's. Unlike etcd, all that answer are heard: one that lags behind need not keep a member out.
"""

import asyncio
import logging
import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from consensus.cluster import cluster_id, member_id
from consensus.peer_http import Calls, PeerUnreachable
from consensus.peer_identity import CLUSTER_ID
from consensus.wal_format import Identity
from raftgate.api import cluster
from raftgate.config import Config, Resolve, Url, compare, parse_url

log = logging.getLogger(__name__)

ASK_SECONDS = 1.0
"""How long a member may take to say who is in its cluster: etcd config/config.go, BootstrapTimeoutEffective."""
JOIN_SECONDS = 10.0
"""How long somebody is asked for who must answer: etcd cluster_util.go, GetClusterFromRemotePeers."""
RESOLVE_SECONDS = 30.0
"""How long a name may take to get an address: etcd membership/cluster.go, ValidateClusterAndAssignIDs."""
RETRY_SECONDS = 1.0  # etcd pkg/netutil/netutil.go, retryInterval


class BootstrapRefused(Exception):
    """The member must not begin as it was told to; the text is for the operator."""


@dataclass(frozen=True, slots=True)
class Start:
    """How a member without a history begins."""

    identity: Identity
    members: tuple[cluster.Member, ...]
    """Who founds the cluster, or whom one who joins may ask; this member among them."""
    joins: bool = False


@dataclass(frozen=True, slots=True)
class Remote:
    """A cluster as one of its members tells of it."""

    cluster_id: int
    members: tuple[cluster.Member, ...]

    def __str__(self) -> str:
        """As etcd writes it (membership/cluster.go, RaftCluster.String)."""
        told = " ".join(
            f"&{{ID:{member.ID:x} RaftAttributes:{{PeerURLs:[{' '.join(member.peerURLs)}] "
            f"IsLearner:{str(member.isLearner).lower()}}} "
            f"Attributes:{{Name:{member.name} ClientURLs:[{' '.join(member.clientURLs)}]}}}}"
            for member in self.members
        )
        return f"{{ClusterID:{self.cluster_id:x} Members:[{told}] RemovedMemberIDs:[]}}"


class _Told(msgspec.Struct, frozen=True):
    """A member as another one's /members tells of it."""

    id: int
    peerURLs: tuple[str, ...] = ()  # noqa: N815 - etcd's name
    name: str = ""
    clientURLs: tuple[str, ...] = ()  # noqa: N815 - likewise
    isLearner: bool = False  # noqa: N815 - likewise


class _Unmatched(Exception):
    """The given members are not those of the cluster; `is_late`: a name without an address may be why."""

    def __init__(self, text: str, *, is_late: bool = False) -> None:
        super().__init__(text)
        self.is_late = is_late


def founders(config: Config) -> tuple[cluster.Member, ...]:
    """The members that `--initial-cluster` names, with etcd's ids; client URLs are each one's own to publish."""
    token = config.initial_cluster_token
    named = {name: tuple(str(url) for url in urls) for name, urls in config.initial_cluster.items()}
    return tuple(cluster.Member(ID=member_id(urls, token), name=name, peerURLs=urls) for name, urls in named.items())


def identity(config: Config) -> Identity:
    """Who this member is if it founds a cluster."""
    ids = {member.name: member.ID for member in founders(config)}
    return Identity(cluster_id(list(ids.values())), ids[config.name])


async def ask(url: str, calls: Calls) -> Remote | None:
    """The cluster of the member at a peer URL; None if it does not say, or knows of nobody yet."""
    try:
        async with asyncio.timeout(ASK_SECONDS):
            answer = await calls.request("GET", url, "/members", {})
        told = msgspec.json.decode(answer.body, type=list[_Told])
        known_as = int(answer.headers.get(CLUSTER_ID, ""), 16)
    except (TimeoutError, PeerUnreachable, msgspec.MsgspecError, ValueError) as error:
        log.debug("%s does not say who is in its cluster: %s", url, error)
        return None
    finally:
        calls.close()
    members = [cluster.Member(each.id, each.name, each.peerURLs, each.clientURLs, each.isLearner) for each in told]
    return Remote(known_as, tuple(sorted(members, key=lambda member: member.ID))) if members else None


async def ask_all(urls: Iterable[str], calls: Calls) -> list[Remote]:
    """What those say who say something, by their URLs."""
    answers = await asyncio.gather(*(ask(url, calls) for url in sorted(urls)))
    return [answer for answer in answers if answer is not None]


def others(config: Config) -> list[str]:
    """The peer URLs of the other members that the configuration names."""
    named = config.initial_cluster.items()
    return sorted({str(url) for name, urls in named if name != config.name for url in urls})


async def join(
    config: Config,
    calls: Calls,
    resolve: Resolve = socket.gethostbyname,
    patience: float = JOIN_SECONDS,
    resolve_patience: float = RESOLVE_SECONDS,
) -> Start:
    """Finds who this member is in the cluster that it was added to, and who the others are.

    Raises: BootstrapRefused.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        remotes = await ask_all(others(config), calls)
        try:
            if remotes:
                return _place(config, remotes, resolve)
        except _Unmatched as unmatched:
            if not unmatched.is_late or loop.time() >= began + resolve_patience:
                raise BootstrapRefused(str(unmatched)) from None
            fields = {"error": str(unmatched), "retry-interval": f"{RETRY_SECONDS:g}s"}
            log.warning("failed to resolve URL Host", extra={"fields": fields})
        if not remotes and loop.time() >= began + patience:
            problem = "could not retrieve cluster information from the given URLs"
            raise BootstrapRefused(f"cannot fetch cluster info from peer urls: {problem}")
        await asyncio.sleep(RETRY_SECONDS)


def check_unused(member: cluster.Member) -> None:
    """Refuses to be a member that has served before: with its log it has lost what it has promised and voted.

    etcd looks for this only where a cluster is founded (cluster_util.go, isMemberBootstrapped).
    Raises: BootstrapRefused.
    """
    if member.name or member.clientURLs:
        raise BootstrapRefused(
            f"member {member.ID:x} has already been bootstrapped, but its data directory is empty: it must not begin "
            f"anew, since it could vote twice; if the data are lost, remove it (raftgatectl member remove "
            f"{member.ID:x}) and add it again"
        )


def _place(config: Config, remotes: Sequence[Remote], resolve: Resolve) -> Start:
    """Raises: _Unmatched if nobody's cluster is the given one, BootstrapRefused."""
    failures: list[_Unmatched] = []
    for remote in remotes:
        try:
            matched = _match(remote.members, config.initial_cluster, resolve)
        except _Unmatched as unmatched:
            text = f"error validating peerURLs {remote}: {unmatched}"
            failures.append(_Unmatched(text, is_late=unmatched.is_late))
            continue
        own = matched[config.name]
        for told in remotes:
            for member in told.members:
                if (told.cluster_id, member.ID) == (remote.cluster_id, own.ID):
                    check_unused(member)
        _check_learners(config, remote)
        return Start(Identity(remote.cluster_id, own.ID), remote.members, joins=True)
    raise next((failure for failure in failures if failure.is_late), failures[0])


def _check_learners(config: Config, remote: Remote) -> None:
    """As etcd membership/cluster.go, ValidateMaxLearnerConfig. Raises: BootstrapRefused."""
    if sum(member.isLearner for member in remote.members) > config.max_learners:
        raise BootstrapRefused("membership: too many learner members in cluster")


def _match(
    members: Sequence[cluster.Member], named: Mapping[str, tuple[Url, ...]], resolve: Resolve
) -> Mapping[str, cluster.Member]:
    """Which member each name is, by their URLs, in the end by their addresses.

    Raises: _Unmatched.
    """
    if len(members) != len(named):
        raise _Unmatched("member count is unequal")
    found: dict[str, cluster.Member] = {}
    for member in members:
        name, error, is_late = _name_of(member, named, resolve)
        if name is None or name in found:
            urls = f"[{' '.join(member.peerURLs)}]"
            text = f"no match found for existing member ({member.ID:x}, {urls}), last resolver error ({error})"
            raise _Unmatched(f"PeerURLs: {text}", is_late=is_late)
        found[name] = member
    return found


def _name_of(
    member: cluster.Member, named: Mapping[str, tuple[Url, ...]], resolve: Resolve
) -> tuple[str | None, str, bool]:
    """The name that has a member's URLs, else why none has, and whether that is for want of an address."""
    urls: tuple[Url, ...] = ()
    with suppress(ValueError):
        urls = tuple(sorted(map(parse_url, member.peerURLs), key=str))
    for name, given in named.items():
        if given == urls:
            return name, "", False
    error, is_late = "<nil>", False
    for name, given in named.items():
        try:
            error = compare(urls, given, resolve)
        except OSError as unresolved:
            error, is_late = str(unresolved), True
            continue
        if not error:
            return name, "", False
    return None, error, is_late
