"""The other members as this one sees them: whom the transport talks to, and who is there."""

from collections.abc import AsyncIterator, Callable, Container, Iterable, Sequence

from consensus.peer_http import PeerUnreachable, parse_url
from consensus.raft.types import Message
from consensus.transport import Transport
from raftgate.api.cluster import Member


class Peers:
    """Keeps the transport at the member records."""

    def __init__(self, transport: Transport, own: int, monotonic: Callable[[], float]) -> None:
        self._transport = transport
        self._own = own
        self._monotonic = monotonic
        self._recorded: dict[int, tuple[str, ...]] = {}
        self._met: set[int] = set()
        self.on_left: Callable[[int], None] = lambda _: None
        """Called with the id of a member that is none any more."""

    def expect(self, members: Iterable[Member]) -> None:
        """Begins to talk to members that are not recorded yet."""
        for member in members:
            self._transport.add_peer(member.ID, member.peerURLs)

    def meet(self, member_id: int, urls: Sequence[str]) -> None:
        """Begins to talk to a member that sends and is not recorded: the entry that has added it is still to come.

        It may lead, and this member lag behind so far that it gets nothing without answering
        (etcd rafthttp/http.go, addRemoteFromRequest).
        """
        if member_id in (self._own, *self._recorded, *self._met) or not urls or not all(map(_is_url, urls)):
            return
        self._met.add(member_id)
        self._transport.add_peer(member_id, urls)

    def follow(self, members: Iterable[Member], removed: Container[int] = ()) -> None:
        """Takes over the records: new members, other URLs, and the leaving of those that were recorded before."""
        records = {member.ID: member.peerURLs for member in members}
        records.pop(self._own, None)
        left = [known for known in sorted(self._met) if known in removed]
        self._met.difference_update(left, records)
        for member_id in [*(gone for gone in self._recorded if gone not in records), *left]:
            self._transport.remove_peer(member_id)
            self.on_left(member_id)
        for member_id, urls in records.items():
            if self._recorded.get(member_id) != urls:
                self._transport.add_peer(member_id, urls)
        self._recorded = records

    def connected_for(self, member_id: int) -> float:
        """Seconds since when a member is there without a break; -1 while it is not."""
        since = self._transport.active_since(member_id)
        return -1.0 if since is None else self._monotonic() - since

    def has_quorum(self, voters: Sequence[int], seconds: float = 0.0) -> bool:
        """Whether enough voters, this member counted, have been there for so long (etcd cluster_util.go)."""
        count = sum(voter == self._own or self.connected_for(voter) >= seconds for voter in voters)
        return 2 * count > len(voters)

    def longest_connected(self, voters: Iterable[int]) -> int:
        """The voter that is there for longest, the lowest id among equals; 0 if none is (etcd cluster_util.go)."""
        there = [(-self.connected_for(voter), voter) for voter in sorted(voters) if voter != self._own]
        span, voter = min(there, default=(1.0, 0))
        return voter if span <= 0 else 0


def _is_url(text: str) -> bool:
    try:
        parse_url(text)
    except ValueError:
        return False
    return True


class NoTransport:
    """Where there are no other members."""

    def send(self, messages: Sequence[object]) -> None:
        """Nobody is there."""

    def add_peer(self, member_id: int, urls: Sequence[str]) -> None:
        """Changes nothing."""

    def update_peer(self, member_id: int, urls: Sequence[str]) -> None:
        """Changes nothing."""

    def remove_peer(self, member_id: int) -> None:
        """Changes nothing."""

    async def call(self, member_id: int, body: bytes, path: str = "") -> bytes:  # noqa: ARG002 - as Transport has it
        """Raises: PeerUnreachable."""
        raise PeerUnreachable(f"no member {member_id:x} is known")

    async def send_snapshot(self, message: Message, store: AsyncIterator[bytes]) -> None:  # noqa: ARG002 - as above
        """Raises: PeerUnreachable."""
        raise PeerUnreachable(f"no member {message.to:x} is known")

    async def version(self, member_id: int) -> dict[str, str]:
        """Raises: PeerUnreachable."""
        raise PeerUnreachable(f"no member {member_id:x} is known")

    def active_since(self, _member_id: int) -> float | None:
        """None: nobody is there."""
        return None

    async def close(self) -> None:
        """Nothing is held."""
