"""What the flags say of a new cluster: who founds it, and whether this member may (etcd etcdserver/bootstrap.go)."""

import asyncio
import logging
import socket
from collections.abc import Mapping, Sequence

import msgspec

from consensus.cluster import cluster_id, member_id
from consensus.peer_http import Calls, PeerUnreachable
from consensus.wal_format import Identity
from raftgate.api import cluster
from raftgate.config import Config, Resolve, Unresolved, check_members

log = logging.getLogger(__name__)

ASK_SECONDS = 1.0
"""How long a founder may take to say who is in its cluster: etcd config/config.go, BootstrapTimeoutEffective."""

RESOLVE_SECONDS = 30.0
RETRY_SECONDS = 1.0  # etcd pkg/netutil/netutil.go, retryInterval


class BootstrapRefused(Exception):
    """A cluster must not be founded by this member; the text is for the operator."""


class _Known(msgspec.Struct, frozen=True):
    """A member as another one's /members tells of it."""

    id: int
    clientURLs: Sequence[str] = ()  # noqa: N815 - etcd's name


def founders(config: Config) -> tuple[cluster.Member, ...]:
    """The members that `--initial-cluster` names, with etcd's ids; client URLs are each one's own to publish."""
    token = config.initial_cluster_token
    named = {name: tuple(str(url) for url in urls) for name, urls in config.initial_cluster.items()}
    return tuple(cluster.Member(ID=member_id(urls, token), name=name, peerURLs=urls) for name, urls in named.items())


def identity(config: Config) -> Identity:
    """Who this member is if it starts anew."""
    ids = {member.name: member.ID for member in founders(config)}
    return Identity(cluster_id(list(ids.values())), ids[config.name])


async def check_advertised(
    config: Config, resolve: Resolve = socket.gethostbyname, patience: float = RESOLVE_SECONDS
) -> None:
    """Compares this member's URLs with those that its cluster names, once more if a name had no address yet.

    `patience`: seconds to wait for addresses (etcd config/config.go, advertiseMatchesCluster).
    Raises: Refusal.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    while True:
        try:
            return check_members(config.initial_cluster, config.name, config.initial_advertise_peer_urls, resolve)
        except Unresolved as unresolved:
            if loop.time() >= deadline:
                raise
            fields = {"error": str(unresolved), "retry-interval": f"{RETRY_SECONDS:g}s"}
            log.warning("failed to resolve URL Host", extra={"fields": fields})
        await asyncio.sleep(RETRY_SECONDS)


async def check_may_found(config: Config, calls: Calls | None = None) -> None:
    """Asks the other founders, one by one, until one answers; that none does is usual, and passes.

    A member that has published itself before and has lost its directory could vote a second time in a term.
    Raises: BootstrapRefused.
    """
    if config.initial_cluster_state == "existing":
        raise BootstrapRefused("--initial-cluster-state=existing: joining a cluster is not supported yet")
    own = identity(config).member_id
    urls = [url for member in founders(config) if member.name != config.name for url in member.peerURLs]
    for url in sorted(urls):
        known = await _members_by(url, calls or Calls())
        if known:
            if known.get(own, ()):
                raise BootstrapRefused(f"member {own:x} has already been bootstrapped")
            return


async def _members_by(url: str, calls: Calls) -> Mapping[int, Sequence[str]]:
    """The members that a member knows, id -> client URLs; empty if it does not say."""
    try:
        async with asyncio.timeout(ASK_SECONDS):
            answer = await calls.request("GET", url, "/members", {})
        known = msgspec.json.decode(answer.body, type=list[_Known])
    except (TimeoutError, PeerUnreachable, msgspec.MsgspecError) as error:
        log.debug("%s does not say who is in its cluster: %s", url, error)
        return {}
    finally:
        calls.close()
    return {member.id: member.clientURLs for member in known}
