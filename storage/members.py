"""The replicated member records."""

from collections.abc import Iterable

import msgspec

from raftgate.api.cluster import Member, MemberAdded, MemberAttributes, MembersRecorded
from raftgate.api.errors import MemberExist, MemberNotFound, PeerURLExist


class Members:
    """The members of the cluster by id."""

    __slots__ = ("_by_id", "changed")

    def __init__(self, members: Iterable[Member] = ()) -> None:
        self._by_id = {member.ID: member for member in members}
        self.changed = False
        """Whether the records differ from those that SQLite has been given."""

    def all(self) -> tuple[Member, ...]:
        """All members by ascending id."""
        return tuple(self._by_id[member_id] for member_id in sorted(self._by_id))

    def add(self, request: MemberAdded) -> MembersRecorded:
        """Records a new member.

        Raises: MemberExist, PeerURLExist.
        """
        member = request.member
        assert member is not None, "a membership change names its member"
        if member.ID in self._by_id:
            raise MemberExist
        taken = {url for known in self._by_id.values() for url in known.peerURLs}
        if not taken.isdisjoint(member.peerURLs):
            raise PeerURLExist
        return self._record(member)

    def publish(self, request: MemberAttributes) -> MembersRecorded:
        """Records the name and client URLs of a member that has started.

        Raises: MemberNotFound.
        """
        member = self._by_id.get(request.ID)
        if member is None:
            raise MemberNotFound
        return self._record(msgspec.structs.replace(member, name=request.name, clientURLs=request.clientURLs))

    def _record(self, member: Member) -> MembersRecorded:
        self._by_id[member.ID] = member
        self.changed = True
        return MembersRecorded(self.all())
