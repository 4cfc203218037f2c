import asyncio
import logging

import pytest

from consensus.peer_channel import ChannelOptions
from consensus.peer_http import PeerUnreachable
from consensus.peer_identity import PeerIdentity, Refused
from consensus.raft.types import MessageType
from tests.fakes.loopback import DEADLINE, free_socket, listening
from tests.fakes.peers import CLUSTER, QUICK, FakePeer, appending, heartbeat, raw_server, sending, turns_until

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


def dead_port() -> int:
    with free_socket() as sock:
        port: int = sock.getsockname()[1]
        return port


async def test_each_message_goes_to_its_member() -> None:
    two, three = FakePeer(2), FakePeer(3)
    async with listening(two.app()) as (_, a), listening(three.app()) as (_, b), sending(a, b) as sender:
        sender.transport.send([heartbeat(2, commit=1), heartbeat(3, commit=2), heartbeat(2, commit=3), heartbeat(9)])
        assert await two.inbox.count(2) == [heartbeat(2, commit=1), heartbeat(2, commit=3)]
        assert await three.inbox.count(1) == [heartbeat(3, commit=2)]
        sender.transport.send([])
        await sender.until_active(2)
        await sender.until_active(3)
        assert sender.transport.active_since(9) is None
        assert sender.unreachable == []
        assert sender.value("active_peers", Local="1", Remote="2") == 1
        assert sender.value("known_peers", Local="1", Remote="3") == 1
        sent = sender.value("peer_sent_bytes_total", To="3")
        assert sent is not None
        assert sent > 50


async def test_round_trips_are_measured() -> None:
    peer = FakePeer()
    async with listening(peer.app()) as (_, port), sending(port) as sender:
        await turns_until(lambda: sender.value("peer_round_trip_time_seconds_count", To="2"))
        total = sender.value("peer_round_trip_time_seconds_sum", To="2")
        assert total is not None
        assert 0 < total < DEADLINE


async def test_a_heartbeat_passes_appends_that_a_peer_does_not_take() -> None:
    heartbeats = FakePeer()
    app = heartbeats.app()

    async def unread_entries(scope, receive, send):  # type: ignore[no-untyped-def]  # ASGI
        headers = dict(scope["headers"])
        if headers[b"x-raftgate-channel"] == b"signals":
            await app(scope, receive, send)
            return
        lines = [(name.encode(), value.encode()) for name, value in heartbeats.identity.answer_headers().items()]
        await send({"type": "http.response.start", "status": 200, "headers": lines})
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        await asyncio.Event().wait()

    channel = ChannelOptions(queue_bytes=4 << 20)
    async with listening(unread_entries) as (_, port), sending(port, channel=channel) as sender:
        await sender.until_active()
        for step in range(400):
            sender.transport.send([appending(index=step, size=100_000)])  # 40 MB
        sender.transport.send([heartbeat(commit=5)])
        assert await heartbeats.inbox.count(1) == [heartbeat(commit=5)]
        await sender.told.until(lambda: sender.unreachable)
        failures = sender.value("peer_sent_failures_total", To="2")
        assert failures is not None
        assert failures > 100


async def test_a_slow_and_a_dead_peer_hold_up_nobody() -> None:
    async def deaf(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    peer = FakePeer(4)
    async with raw_server(deaf) as slow, listening(peer.app()) as (_, port), sending(slow, dead_port(), port) as sender:
        for step in range(100):
            sender.transport.send([appending(to, index=step, size=10_000) for to in (2, 3, 4)])
        await peer.inbox.count(100)
        await sender.told.until(lambda: 3 in sender.unreachable)


async def test_drops_are_told_once_a_turn_and_not_within_send() -> None:
    async with sending(dead_port(), channel=ChannelOptions(retry_seconds=DEADLINE)) as sender:
        await sender.told.until(lambda: sender.unreachable)
        await asyncio.sleep(0)
        sender.unreachable.clear()
        for _ in range(10):
            sender.transport.send([heartbeat(), appending()])
        assert sender.unreachable == []
        await sender.told.until(lambda: sender.unreachable)
        assert sender.unreachable == [2]
        assert sender.value("peer_sent_failures_total", To="2") == 20


async def test_a_peer_goes_and_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "consensus.transport")
    peer = FakePeer()
    async with listening(peer.app()) as (_, port), sending(port) as sender:
        await sender.until_active()
        peer.receiver.drop(1)
        await sender.told.until(lambda: sender.unreachable)
        assert sender.value("disconnected_peers_total", Local="1", Remote="2") == 1
        await sender.until_active()
        sender.transport.send([heartbeat(commit=3)])
        await peer.inbox.count(1)
    texts = [record.getMessage() for record in caplog.records]
    assert texts.count("peer became active") == 2
    assert "peer became inactive (message send to peer failed)" in texts


@pytest.mark.parametrize(
    ("identity", "text"),
    [
        (PeerIdentity(0xC2, 1), "cluster ID mismatch"),
        (PeerIdentity(CLUSTER, 1, "2.0.0"), "incompatible version"),
    ],
)
async def test_another_cluster_is_told_so_and_told_of_once(
    identity: PeerIdentity, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    peer = FakePeer()
    async with listening(peer.app()) as (_, port), sending(port, identity=identity) as sender:
        sender.transport.send([heartbeat()])
        await sender.told.until(lambda: len(sender.unreachable) > 5)
        with pytest.raises(Refused, match=text):
            await sender.transport.call(2, b"")
        assert sender.removed == 0
    errors = [record.fields["error"] for record in caplog.records if record.name == "consensus.transport"]  # type: ignore[attr-defined]  # an extra
    assert errors == [text]
    assert peer.inbox.messages == []


async def test_a_removed_member_is_told_so_once() -> None:
    peer = FakePeer(identity=PeerIdentity(CLUSTER, 2, is_removed=lambda member_id: member_id == 1))
    async with listening(peer.app()) as (_, port), sending(port) as sender:
        await sender.told.until(lambda: sender.removed)
        await sender.told.until(lambda: len(sender.unreachable) > 4)
        assert sender.removed == 1


async def test_a_member_with_several_urls_is_found_at_any() -> None:
    peer = FakePeer()
    async with listening(peer.app()) as (_, port), sending() as sender:
        sender.transport.add_peer(2, [f"http://127.0.0.1:{dead_port()}", f"http://127.0.0.1:{port}"])
        await sender.until_active()


async def test_a_member_moves() -> None:
    older, newer = FakePeer(), FakePeer()
    async with listening(older.app()) as (_, a), listening(newer.app()) as (_, b), sending(a) as sender:
        await sender.until_active()
        sender.transport.update_peer(2, [f"http://127.0.0.1:{a}"])
        assert sender.transport.active_since(2) is not None
        sender.transport.add_peer(2, [f"http://127.0.0.1:{b}"])
        sender.transport.update_peer(77, ["http://127.0.0.1:1"])
        await sender.told.until(lambda: sender.unreachable)
        await sender.until_active()
        sender.transport.send([heartbeat(commit=1)])
        await newer.inbox.count(1)
        assert older.inbox.messages == []


async def test_a_member_is_removed_with_its_metrics_and_no_more_reports() -> None:
    async with sending(dead_port()) as sender:
        await sender.told.until(lambda: sender.unreachable)
        sender.transport.send([heartbeat()])
        sender.transport.remove_peer(2)
        sender.transport.remove_peer(2)
        sender.unreachable.clear()
        sender.transport.send([heartbeat()])
        await sender.transport.close()
        assert sender.unreachable == []
        assert sender.value("known_peers", Local="1", Remote="2") is None


async def test_the_member_itself_is_no_peer() -> None:
    async with sending() as sender:
        sender.transport.add_peer(1, ["http://127.0.0.1:1"])
        sender.transport.send([heartbeat(to=1)])
        with pytest.raises(PeerUnreachable, match="no member 1 is known"):
            await sender.transport.call(1, b"")


async def test_calls_and_versions() -> None:
    peer = FakePeer()
    async with listening(peer.app()) as (_, port), sending(port, dead_port()) as sender:
        answers = await asyncio.gather(*(sender.transport.call(2, b"%d" % number) for number in range(100)))
        assert answers == [b"answer to %d" % number for number in range(100)]
        assert await sender.transport.version(2) == {"etcdserver": "3.6.0"}
        with pytest.raises(Refused, match="404 page not found"):
            await sender.transport.call(2, b"", "/raft/v1/none")
        with pytest.raises(PeerUnreachable):
            await sender.transport.call(3, b"")


async def test_a_version_that_is_none() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET /version"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
            await writer.drain()

    async with raw_server(serve) as port, sending(port) as sender:
        with pytest.raises(PeerUnreachable, match="unreadable version"):
            await sender.transport.version(2)


async def test_a_forwarded_proposal_goes_with_the_appends() -> None:
    peer = FakePeer()
    proposal = appending(index=0)
    forwarded = [type(proposal)(type=MessageType.PROP, to=2, sender=1, term=0, entries=proposal.entries)]
    async with listening(peer.app()) as (_, port), sending(port) as sender:
        sender.transport.send(forwarded)
        assert await peer.inbox.count(1) == forwarded


async def test_a_stop_in_the_midst_of_it_is_quick() -> None:
    peer = FakePeer()
    async with listening(peer.app()) as (_, port), sending(port, dead_port(), channel=QUICK) as sender:
        await sender.until_active()
        sender.transport.send([appending(index=step) for step in range(1000)])
        async with asyncio.timeout(2.0):
            await sender.transport.close()
        sender.transport.send([heartbeat()])
        assert sender.transport.active_since(2) is None
    assert len(await peer.inbox.count(1000)) == 1000
