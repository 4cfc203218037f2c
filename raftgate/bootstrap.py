"""How a member without a history begins: by founding a cluster, or by joining one (etcd etcdserver/bootstrap.go)."""

import asyncio
import dataclasses
import logging
import socket

from consensus.peer_http import Calls
from raftgate import auto_join, discovery
from raftgate.config import Config, Resolve, Unresolved, check_members
from raftgate.joining import (
    RESOLVE_SECONDS,
    RETRY_SECONDS,
    Start,
    ask,
    check_unused,
    founders,
    identity,
    join,
    others,
)

log = logging.getLogger(__name__)


async def begin(config: Config) -> Start:
    """Who this member is and who else there is, as flags, SRV records and the cluster itself say.

    Raises: BootstrapRefused, Refusal.
    """
    calls = Calls()
    if config.discovery_srv:
        config = dataclasses.replace(config, initial_cluster=await discovery.discover(config))
    if config.raftgate_auto_join == "learner":
        joined = await auto_join.join(config, calls)
        if joined is not None:
            return joined
    if config.initial_cluster_state == "existing":
        return await join(config, calls)
    await check_advertised(config)
    await check_may_found(config, calls)
    return Start(identity(config), founders(config))


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
    own = identity(config).member_id
    for url in others(config):
        remote = await ask(url, calls or Calls())
        if remote is not None:
            for member in remote.members:
                if own == member.ID:
                    check_unused(member)
            return
