"""Which membership changes are safe (etcd server.go, mayAddMember and others; membership/cluster.go, IsReadyTo...).

A member counts as started once it has published its name; as connected when it has been there for a while.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

from consensus.peers import Peers
from raftgate.api import errors
from raftgate.api.cluster import Member

HEALTHY_SECONDS: Final = 5.0  # etcd server.go, HealthInterval
_HOST: Final = re.compile(r"[^\s%\\^`{|}\"<>]+|[0-9a-f:.]+%[0-9a-z._~%-]+")
READY_SHARE: Final = 0.9
"""Of the leader's log that a learner must have: etcd server.go, readyPercent."""


def quorum(voters: int) -> int:
    """How many of so many voters decide."""
    return voters // 2 + 1


def checked_urls(urls: Iterable[str]) -> tuple[str, ...]:
    """The peer URLs that a call gives, sorted, as other members will use them.

    etcd takes what it can parse for an addition and anything for an update, which then ends the other members.
    Raises: MemberBadURLs.
    """
    given = tuple(sorted(map(_as_members_write_it, urls)))
    if not given or len(set(given)) != len(given):
        raise errors.MemberBadURLs
    return given


def _as_members_write_it(url: str) -> str:
    """A peer URL without white space around it, the scheme in lower case (etcd client/pkg/types/urls.go).

    Raises: MemberBadURLs.
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
        has_port = parts.port is not None
    except ValueError:
        raise errors.MemberBadURLs from None
    is_plain = url.isprintable() and not (parts.path or parts.query or parts.fragment)
    is_address = has_port and _HOST.fullmatch(parts.hostname or "") is not None and "@" not in parts.netloc
    if parts.scheme not in ("http", "https") or not is_plain or not is_address:
        raise errors.MemberBadURLs
    return f"{parts.scheme}://{parts.netloc}"


class Safety:
    """Refuses what would leave the cluster without a quorum, as one member sees it."""

    def __init__(self, own: int, members: Callable[[], Sequence[Member]], peers: Peers) -> None:
        self._own = own
        self._members = members
        self._peers = peers

    def check_add(self, *, is_learner: bool) -> None:
        """Raises: MemberNotEnoughStarted, Unhealthy."""
        voters = self._voters()
        started = _started(voters)
        grows_from_one = started == 1 and len(voters) == 1  # the only one may, and has to wait for the other then
        if not is_learner and not grows_from_one and started < quorum(len(voters) + 1):
            raise errors.MemberNotEnoughStarted
        if self._connected(voters) < min(quorum(len(voters) + 1), len(voters)):
            raise errors.Unhealthy

    def check_remove(self, member_id: int) -> None:
        """Raises: MemberNotEnoughStarted, Unhealthy."""
        voters = self._voters()
        others = {voter.ID: voter for voter in voters}
        if others.pop(member_id, None) is None:  # a learner, or nobody
            return
        rest = list(others.values())
        if _started(rest) < quorum(len(rest)):
            raise errors.MemberNotEnoughStarted
        if member_id != self._own and self._peers.connected_for(member_id) < 0:
            return  # it is no part of the quorum that works
        if self._connected(voters) - 1 < quorum(len(rest)):
            raise errors.Unhealthy

    def check_promote(self) -> None:
        """Raises: MemberNotEnoughStarted."""
        voters = self._voters()
        if _started(voters) + 1 < quorum(len(voters) + 1):
            raise errors.MemberNotEnoughStarted

    def _voters(self) -> list[Member]:
        return [member for member in self._members() if not member.isLearner]

    def _connected(self, voters: Sequence[Member]) -> int:
        return sum(
            self._own == voter.ID or self._peers.connected_for(voter.ID) >= HEALTHY_SECONDS  # itself it hears always
            for voter in voters
        )


def _started(members: Sequence[Member]) -> int:
    return sum(bool(member.name) for member in members)
