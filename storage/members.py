"""The replicated member records, and the ids of those that were removed: an id is never used again.

With them goes the cluster's version, which all members are able to follow.
"""

from dataclasses import dataclass

import msgspec

from raftgate.api.cluster import (
    ClusterVersionRecorded,
    ClusterVersionSet,
    Member,
    MemberAdded,
    MemberAttributes,
    MemberPromoted,
    MemberRemoved,
    MembersRecorded,
    MemberUpdated,
)
from raftgate.api.errors import (
    MemberExist,
    MemberNotEnoughStarted,
    MemberNotFound,
    MemberNotLearner,
    PeerURLExist,
    TooManyLearners,
)


@dataclass(frozen=True, slots=True)
class Records:
    """Who takes part, by ascending id, and who did."""

    members: tuple[Member, ...] = ()
    removed: frozenset[int] = frozenset()
    version: tuple[int, int] = (0, 0)
    """The cluster's version, major and minor, zeros as long as none is decided."""


class Members:
    """The members of the cluster by id.

    Changes are checked once more where they are applied, as far as all members decide alike
    (etcd membership/cluster.go, ValidateConfigurationChange).
    """

    __slots__ = ("_by_id", "_removed", "_version", "changed")

    def __init__(self, records: Records | None = None) -> None:
        records = records or Records()
        self._by_id = {member.ID: member for member in records.members}
        self._removed = records.removed
        self._version = records.version
        self.changed = False
        """Whether the records differ from those that SQLite has been given."""

    def all(self) -> tuple[Member, ...]:
        """All members by ascending id."""
        return tuple(self._by_id[member_id] for member_id in sorted(self._by_id))

    @property
    def removed(self) -> frozenset[int]:
        """The ids of members that were removed."""
        return self._removed

    @property
    def version(self) -> str:
        """The cluster's version, such as `3.6.0`, empty as long as none is decided."""
        major, minor = self._version
        return f"{major}.{minor}.0" if major else ""

    def records(self) -> Records:
        """All that is kept."""
        return Records(self.all(), self._removed, self._version)

    def add(self, request: MemberAdded) -> MembersRecorded:
        """Records a new member.

        Raises: MemberNotFound (it was removed once), MemberExist, PeerURLExist, TooManyLearners.
        """
        member = request.member
        assert member is not None, "a membership change names its member"
        self._check_not_removed(member.ID)
        if member.ID in self._by_id:
            raise MemberExist
        self._check_urls(member)
        learners = sum(known.isLearner for known in self._by_id.values())
        if member.isLearner and 0 < request.maxLearners <= learners:
            raise TooManyLearners
        return self._record(member)

    def remove(self, request: MemberRemoved) -> MembersRecorded:
        """Forgets a member, for ever.

        Raises: MemberNotFound, MemberNotEnoughStarted (nobody would vote any more).
        """
        member = self._known(request.ID)
        if not member.isLearner and sum(not known.isLearner for known in self._by_id.values()) == 1:
            raise MemberNotEnoughStarted
        del self._by_id[member.ID]
        self._removed |= {member.ID}
        return self._recorded()

    def update(self, request: MemberUpdated) -> MembersRecorded:
        """Records other peer URLs of a member.

        Raises: MemberNotFound, PeerURLExist.
        """
        member = msgspec.structs.replace(self._known(request.ID), peerURLs=request.peerURLs)
        self._check_urls(member)
        return self._record(member)

    def promote(self, request: MemberPromoted) -> MembersRecorded:
        """Gives a learner a vote.

        Raises: MemberNotFound, MemberNotLearner.
        """
        member = self._known(request.ID)
        if not member.isLearner:
            raise MemberNotLearner
        return self._record(msgspec.structs.replace(member, isLearner=False))

    def publish(self, request: MemberAttributes) -> MembersRecorded:
        """Records the name and client URLs of a member that has started.

        Raises: MemberNotFound.
        """
        member = self._known(request.ID)
        return self._record(msgspec.structs.replace(member, name=request.name, clientURLs=request.clientURLs))

    def set_version(self, request: ClusterVersionSet) -> ClusterVersionRecorded:
        """Records the cluster's version, unless it has a higher one."""
        major, minor, *_ = map(int, request.ver.split("."))
        if (major, minor) > self._version:
            self._version = major, minor
            self.changed = True
        return ClusterVersionRecorded(self.version)

    def _known(self, member_id: int) -> Member:
        self._check_not_removed(member_id)
        member = self._by_id.get(member_id)
        if member is None:
            raise MemberNotFound
        return member

    def _check_not_removed(self, member_id: int) -> None:
        if member_id in self._removed:
            raise MemberNotFound

    def _check_urls(self, member: Member) -> None:
        taken = {url for known in self._by_id.values() if known.ID != member.ID for url in known.peerURLs}
        if not taken.isdisjoint(member.peerURLs):
            raise PeerURLExist

    def _record(self, member: Member) -> MembersRecorded:
        self._by_id[member.ID] = member
        return self._recorded()

    def _recorded(self) -> MembersRecorded:
        self.changed = True
        return MembersRecorded(self.all())
