"""A member that joins by itself (`--raftgate-auto-join=learner`): it registers, catches up, and is promoted.

It speaks to the peer port of those who are there, as one of the cluster. Being a learner first, it is in nobody's way
while it has nothing yet.
"""

import asyncio
import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Protocol

from consensus.leader_calls import LeaderCalls, decode_answer, encode_call
from consensus.peer_http import Calls, PeerUnreachable
from consensus.peer_identity import CALL_PATH, PeerIdentity
from consensus.wal_format import Identity
from raftgate.api import cluster, errors
from raftgate.api.errors import EtcdError
from raftgate.config import Config
from raftgate.joining import ASK_SECONDS, BootstrapRefused, Remote, Start, ask_all, check_unused, identity, others
from raftgate.version import SERVER_VERSION

log = logging.getLogger(__name__)

PATIENCE = 300.0
"""Seconds for which a member that can only join waits until it may; then it ends, and whoever started it decides."""
PAUSE = 1.0
NOBODY = 0
"""As whom a member asks that is none yet."""


class Learner(Protocol):
    """A member that runs, as far as its promotion goes."""

    leader_calls: LeaderCalls

    def is_learner(self) -> bool:
        """Whether it has no vote yet."""
        ...


async def join(config: Config, calls: Calls, patience: float = PATIENCE) -> Start | None:
    """Finds this member's place in the cluster that there is; None if there is none, or this member founds it.

    A start that died between being registered and having a log finds the place that it had been given.
    Raises: BootstrapRefused.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    urls = _urls_to_ask(config)
    while True:
        remotes = await ask_all(urls, calls)
        if not remotes and config.name in config.initial_cluster:
            return None
        reason = "nobody answers at the URLs of --initial-cluster"
        if remotes:
            place = _place(config, remotes)
            if place is not None:
                return None if _founds(config, remotes) else place
            try:
                return await _register(config, remotes[0], urls, calls)
            except EtcdError as error:
                reason = error.text
        if loop.time() >= deadline:
            raise BootstrapRefused(f"--raftgate-auto-join: this member could not join: {reason}")
        log.warning("this member could not join yet", extra={"fields": {"error": reason}})
        await asyncio.sleep(PAUSE)


async def be_promoted(member: Learner, own: int, pause: float = PAUSE) -> None:
    """Has the leader make a voter of this member when it has caught up; returns when it is one, or is removed."""
    while True:
        if member.is_learner():
            try:
                await member.leader_calls.ask(cluster.MemberPromoteRequest(own))
            except (errors.MemberNotLearner, errors.MemberNotFound):
                return
            except EtcdError as error:  # not in sync yet, most of all
                log.info("not promoted yet", extra={"fields": {"reason": error.text}})
            else:
                log.info("promoted to a voter", extra={"fields": {"local-member-id": f"{own:x}"}})
                return
        await asyncio.sleep(pause)


def _urls_to_ask(config: Config) -> list[str]:
    own = {str(url) for url in config.initial_advertise_peer_urls}
    return [url for url in others(config) if url not in own]


def _founds(config: Config, remotes: Sequence[Remote]) -> bool:
    """Whether this member is a founder of that cluster, and so has its place without anybody's doing."""
    if config.initial_cluster_state != "new" or config.name not in config.initial_cluster:
        return False
    own = identity(config)
    return any(
        remote.cluster_id == own.cluster_id and own.member_id in [member.ID for member in remote.members]
        for remote in remotes
    )


def _place(config: Config, remotes: Sequence[Remote]) -> Start | None:
    """The place that is held for this member, which must not have been taken before; None if there is none.

    Raises: BootstrapRefused.
    """
    if len({remote.cluster_id for remote in remotes}) > 1:
        raise BootstrapRefused("--raftgate-auto-join: the URLs of --initial-cluster lead to several clusters")
    own = {str(url) for url in config.initial_advertise_peer_urls}
    found: Start | None = None
    for remote in remotes:
        for member in remote.members:
            if member.name == config.name or own.intersection(member.peerURLs):
                check_unused(member)
                found = found or Start(Identity(remote.cluster_id, member.ID), remote.members, joins=True)
    return found


async def _register(config: Config, remote: Remote, urls: Sequence[str], calls: Calls) -> Start:
    """Has the leader add this member.

    Raises: EtcdError.
    """
    known = {url for member in remote.members for url in member.peerURLs}
    own = tuple(str(url) for url in config.initial_advertise_peer_urls)
    request = cluster.MemberAddRequest(peerURLs=own, isLearner=True)
    identity = PeerIdentity(remote.cluster_id, NOBODY, SERVER_VERSION)
    for url in sorted(known.union(urls)):
        try:
            async with asyncio.timeout(config.request_timeout + ASK_SECONDS):
                answer = await calls.request("POST", url, CALL_PATH, identity.request_headers(0), encode_call(request))
        except (TimeoutError, PeerUnreachable) as error:
            log.debug("%s was not there to add this member: %s", url, error)
            continue
        finally:
            calls.close()
        if answer.status != HTTPStatus.OK:
            log.debug("%s refused to add this member: %d", url, answer.status)
            continue
        try:
            added = decode_answer(request, answer.body)
        except (errors.NotLeader, errors.LeaderChanged):
            continue
        assert added.member is not None, "who was added is told"
        log.info("registered as a learner", extra={"fields": {"local-member-id": f"{added.member.ID:x}"}})
        return Start(Identity(remote.cluster_id, added.member.ID), added.members, joins=True)
    raise errors.NoLeader
