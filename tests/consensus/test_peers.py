from collections.abc import AsyncIterator

import pytest

from consensus.peer_http import PeerUnreachable
from consensus.peers import NoTransport, Peers
from consensus.raft.types import Message, MessageType
from raftgate.api.cluster import Member

pytestmark = pytest.mark.anyio

A, B, C = (Member(ID=number, peerURLs=(f"http://{number}:2380",)) for number in (1, 2, 3))


class Noted(NoTransport):
    """A transport that notes what it is asked, and says since when members are there."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.since: dict[int, float] = {}

    def add_peer(self, member_id: int, urls: object) -> None:
        self.asked.append((f"add {urls}", member_id))

    def remove_peer(self, member_id: int) -> None:
        self.asked.append(("remove", member_id))

    def active_since(self, member_id: int) -> float | None:
        return self.since.get(member_id)


def test_the_transport_follows_the_records() -> None:
    transport = Noted()
    peers = Peers(transport, 1, lambda: 100.0)
    peers.follow([A, B])
    peers.follow([A, B])
    assert transport.asked == [("add ('http://2:2380',)", 2)]
    moved = Member(ID=2, peerURLs=("http://moved:2380",))
    peers.follow([A, moved, C])
    peers.follow([A, C])
    assert transport.asked[1:] == [("add ('http://moved:2380',)", 2), ("add ('http://3:2380',)", 3), ("remove", 2)]


def test_who_is_expected_is_not_removed_by_records_that_do_not_name_it_yet() -> None:
    transport = Noted()
    peers = Peers(transport, 1, lambda: 100.0)
    peers.expect([A, B, C])
    peers.follow([A])
    assert ("remove", 2) not in transport.asked


def test_one_who_sends_is_answered_before_its_record_comes() -> None:
    transport = Noted()
    peers = Peers(transport, 1, lambda: 100.0)
    peers.follow([A, B])
    for member_id in (1, 2, 3, 3):
        peers.meet(member_id, [f"http://{member_id}:2380"])
    assert transport.asked[1:] == [("add ['http://3:2380']", 3)]
    peers.follow([A, B])  # still too old to name it
    assert transport.asked[2:] == []
    peers.follow([A, B, C])
    peers.follow([A, B])
    assert transport.asked[2:] == [("add ('http://3:2380',)", 3), ("remove", 3)]


def test_one_who_was_removed_before_its_record_came_is_let_go() -> None:
    transport = Noted()
    peers = Peers(transport, 1, lambda: 100.0)
    left: list[int] = []
    peers.on_left = left.append
    peers.meet(3, ["http://3:2380"])
    peers.follow([A, B], {3})
    peers.follow([A, B], {3})
    assert transport.asked[0:] == [("add ['http://3:2380']", 3), ("remove", 3), ("add ('http://2:2380',)", 2)]
    assert left == [3]


@pytest.mark.parametrize("urls", [[], ["garbage"], ["http://a:1", "ftp://b:1"], ["http://a:port"]])
def test_one_who_does_not_say_where_it_is_stays_unknown(urls: list[str]) -> None:
    transport = Noted()
    Peers(transport, 1, lambda: 100.0).meet(3, urls)
    assert not transport.asked


def test_a_quorum_is_there() -> None:
    transport = Noted()
    peers = Peers(transport, 1, lambda: 100.0)
    assert peers.has_quorum([1])
    assert not peers.has_quorum([1, 2])
    assert not peers.has_quorum([1, 2, 3])
    transport.since[3] = 95.0
    assert peers.has_quorum([1, 2, 3])
    assert peers.has_quorum([1, 2, 3], 5.0)
    assert not peers.has_quorum([1, 2, 3], 5.1)
    assert peers.connected_for(3) == 5.0
    assert peers.connected_for(2) == -1.0


def test_the_longest_connected_voter() -> None:
    transport = Noted()
    peers = Peers(transport, 1, lambda: 100.0)
    assert peers.longest_connected([1, 2, 3]) == 0
    transport.since = {2: 60.0, 3: 50.0, 4: 50.0, 5: 1.0}
    assert peers.longest_connected([4, 3, 2, 1]) == 3
    transport.since = {2: 100.0}
    assert peers.longest_connected([1, 2]) == 2


async def test_without_others_nobody_answers() -> None:
    transport = NoTransport()
    transport.send([])
    transport.add_peer(2, ())
    transport.update_peer(2, ())
    transport.remove_peer(2)
    assert transport.active_since(2) is None
    message = Message(type=MessageType.SNAP, to=2, sender=1, term=1)
    for asking in (transport.call(2, b""), transport.version(2), transport.send_snapshot(message, _nothing())):
        with pytest.raises(PeerUnreachable):
            await asking
    await transport.close()


async def _nothing() -> AsyncIterator[bytes]:
    yield b""
