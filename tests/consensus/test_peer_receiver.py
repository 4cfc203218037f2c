import asyncio

import pytest

from consensus.peer_codec import Control, FrameKind, FrameReader, encode, encode_control
from consensus.peer_identity import MESSAGES_PATH, PeerIdentity
from consensus.peer_receiver import HOLD_KEY, ReceiverOptions
from consensus.raft.types import Message
from gateway import wire
from tests.fakes.loopback import DEADLINE, Client, connected, listening, rpc
from tests.fakes.peers import CLUSTER, FakePeer, appending, heartbeat

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


ONE = PeerIdentity(CLUSTER, 1)


def head(identity: PeerIdentity = ONE, lane: str = "signals", path: str = MESSAGES_PATH, to: int = 2) -> bytes:
    headers = {**identity.request_headers(to), "x-raftgate-channel": lane, "transfer-encoding": "chunked"}
    lines = [f"POST {path} HTTP/1.1", "host: peer", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def next_frame(client: Client) -> Message | Control:
    async with asyncio.timeout(DEADLINE):
        size = int(await client.reader.readline(), 16)
        data = await client.reader.readexactly(size + 2)
    return next(iter(list(FrameReader().feed(data[:-2]))))


async def opened(client: Client) -> bytes:
    async with asyncio.timeout(DEADLINE):
        return await client.reader.readuntil(b"\r\n\r\n")


async def test_messages_arrive_in_order_however_they_are_chunked() -> None:
    peer = FakePeer()
    sent = [heartbeat(commit=1), appending(count=64), heartbeat(commit=2)]
    frames = bytes(encode(sent))
    async with listening(peer.app()) as (_, port), connected(port) as client:
        await client.send(head())
        answer = await opened(client)
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert b"x-etcd-cluster-id: c1" in answer
        for start in range(0, len(frames), 7000):
            await client.send(chunk(frames[start : start + 7000]))
        assert await peer.inbox.count(3) == sent
    received = peer.registry.get_sample_value("etcd_network_peer_received_bytes_total", {"From": "1"})
    assert received == len(frames)


async def test_who_begins_to_send_is_introduced() -> None:
    peer = FakePeer()
    met: list[tuple[int, list[str]]] = []
    peer.receiver.on_sender = lambda sender, urls: met.append((sender, urls))
    known = PeerIdentity(CLUSTER, 3, peer_urls=("http://a:1", "http://b:1"))
    async with listening(peer.app()) as (_, port):
        for identity in (ONE, known):
            async with connected(port) as client:
                await client.send(head(identity))
                await opened(client)
    assert met == [(1, []), (3, ["http://a:1", "http://b:1"])]


async def test_a_ping_is_answered() -> None:
    async with listening(FakePeer().app()) as (_, port), connected(port) as client:
        await client.send(head() + chunk(encode_control(FrameKind.PING, b"when")))
        await opened(client)
        assert await next_frame(client) == Control(FrameKind.PONG, b"when")


async def test_who_sends_without_a_ping_gets_signs_of_life() -> None:
    peer = FakePeer(options=ReceiverOptions(sign_seconds=0.0))
    async with listening(peer.app()) as (_, port), connected(port) as client:
        await client.send(head() + chunk(bytes(encode([heartbeat()]))))
        await opened(client)
        assert await next_frame(client) == Control(FrameKind.PONG, b"")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"a frame of 1195725856 bytes"),
        (b"\0\0\0\x03\x01\xc1\xc1", b"unreadable message"),
        (b"\0\0\0\x01\x07", b"unknown kind 7"),
        (bytes(encode([heartbeat(to=3)])), b"a message to 3, this is 2"),
    ],
)
async def test_garbage_ends_the_stream_with_a_reason(data: bytes, text: bytes) -> None:
    peer = FakePeer()
    async with listening(peer.app()) as (_, port), connected(port) as client:
        await client.send(head() + chunk(bytes(encode([heartbeat()])) + data))
        await opened(client)
        refusal = await next_frame(client)
        assert isinstance(refusal, Control)
        assert refusal.kind is FrameKind.REFUSAL
        assert text in refusal.payload
        assert await client.rest() == b"0\r\n\r\n"
    assert peer.inbox.messages == [heartbeat()]
    assert peer.registry.get_sample_value("etcd_network_peer_received_failures_total", {"From": "1"}) == 1


async def test_half_a_frame_is_nothing() -> None:
    peer = FakePeer()
    async with listening(peer.app()) as (_, port):
        async with connected(port) as client:
            await client.send(head() + chunk(bytes(encode([heartbeat(commit=1)])) + bytes(encode([appending()]))[:-1]))
            await peer.inbox.count(1)
        async with connected(port) as client:
            await client.send(head() + chunk(bytes(encode([heartbeat(commit=2)]))))
            await peer.inbox.count(2)
    assert peer.inbox.messages == [heartbeat(commit=1), heartbeat(commit=2)]


async def test_an_oversized_frame_is_refused_before_it_has_come() -> None:
    peer = FakePeer(options=ReceiverOptions(max_frame_bytes=1000))
    async with listening(peer.app()) as (_, port), connected(port) as client:
        await client.send(head() + chunk(b"\0\0\x04\0\x01"))
        await opened(client)
        frame = await next_frame(client)
        assert frame == Control(FrameKind.REFUSAL, b"a frame of 1024 bytes, at most 1000 are read")


@pytest.mark.parametrize(
    ("identity", "to", "status", "text"),
    [
        (PeerIdentity(0xC2, 1), 2, 412, b"cluster ID mismatch\n"),
        (PeerIdentity(CLUSTER, 1, "2.3.0"), 2, 412, b"incompatible version\n"),
        (PeerIdentity(CLUSTER, 1, "4.0.0", "4.0.0"), 2, 412, b"incompatible version\n"),
        (PeerIdentity(CLUSTER, 9), 2, 410, b"the member has been permanently removed from the cluster\n"),
        (ONE, 3, 412, b"to field mismatch\n"),
    ],
)
@pytest.mark.parametrize("path", ["/raft/v1/messages", "/raft/v1/call"])
async def test_strangers_are_refused_before_their_body(
    identity: PeerIdentity, to: int, status: int, text: bytes, path: str
) -> None:
    peer = FakePeer(identity=PeerIdentity(CLUSTER, 2, is_removed=lambda member_id: member_id == 9))
    async with listening(peer.app()) as (_, port), connected(port) as client:
        await client.send(head(identity, path=path, to=to) + chunk(bytes(encode([heartbeat()]))))
        answer = await client.answer()
    assert (answer.status, answer.body) == (status, text)
    assert answer.headers["x-etcd-cluster-id"] == "c1"
    assert peer.inbox.messages == []


async def test_only_post_is_taken() -> None:
    async with listening(FakePeer().app()) as (_, port), connected(port) as client:
        await client.send(b"GET /raft/v1/messages HTTP/1.1\r\nHost: peer\r\n\r\n")
        assert (await client.answer()).status == 405


async def test_a_newer_stream_of_a_lane_ends_the_older_one() -> None:
    peer = FakePeer()
    async with listening(peer.app()) as (_, port), connected(port) as older, connected(port) as other:
        await older.send(head())
        await opened(older)
        await other.send(head(lane="entries"))
        await opened(other)
        async with connected(port) as newer:
            await newer.send(head())
            await opened(newer)
            assert await older.rest() == b"0\r\n\r\n"
            await other.send(chunk(bytes(encode([heartbeat(commit=1)]))))
            await peer.inbox.count(1)
            await newer.send(chunk(bytes(encode([heartbeat(commit=2)]))))
            await peer.inbox.count(2)


async def test_a_removed_member_is_cut_off() -> None:
    peer = FakePeer()
    async with listening(peer.app()) as (_, port), connected(port) as client:
        await client.send(head())
        await opened(client)
        peer.receiver.drop(7)
        peer.receiver.drop(1)
        assert await client.rest() == b"0\r\n\r\n"


async def test_a_silent_sender_is_let_go() -> None:
    peer = FakePeer(options=ReceiverOptions(silent_seconds=0.02))
    async with listening(peer.app()) as (_, port), connected(port) as client:
        await client.send(head())
        await opened(client)
        assert await client.rest() == b"0\r\n\r\n"


async def test_a_sender_may_end() -> None:
    async with listening(FakePeer().app()) as (_, port), connected(port) as client:
        await client.send(head() + chunk(bytes(encode([heartbeat()]))) + b"0\r\n\r\n")
        await opened(client)
        assert await client.rest() == b"0\r\n\r\n"


async def test_open_streams_do_not_hold_up_a_stop() -> None:
    async with listening(FakePeer().app()) as (listener, port), connected(port) as client:
        await client.send(head())
        await opened(client)
        stopping = asyncio.create_task(listener.stop(DEADLINE))
        assert await client.rest() == b""
        client.close()
        async with asyncio.timeout(DEADLINE / 2):
            await stopping


def test_the_listener_is_asked_by_its_own_word() -> None:
    assert HOLD_KEY == wire.HOLD_KEY


async def test_calls() -> None:
    peer = FakePeer()
    headers = [f"{name}: {value}" for name, value in ONE.request_headers(2).items()]
    async with listening(peer.app()) as (_, port), connected(port) as client:
        for body in (b"one", b"two"):
            await client.send(rpc(body, "/raft/v1/call", *headers))
            answer = await client.answer()
            assert (answer.status, answer.body) == (200, b"answer to " + body)
        await client.send(rpc(b"x" * (1 << 20) + b"x", "/raft/v1/call", *headers))
        assert (await client.answer()).status == 413
    assert peer.calls == [b"one", b"two"]


async def test_a_handler_that_fails_ends_the_stream_and_no_more() -> None:
    peer = FakePeer()

    def fail(_message: Message) -> None:
        raise ZeroDivisionError

    peer.receiver.on_message = fail
    async with listening(peer.app()) as (_, port), connected(port) as client:
        await client.send(head() + chunk(bytes(encode([heartbeat()]))))
        await opened(client)
        assert await client.rest() == b""
        async with connected(port) as another:
            await another.send(head())
            await opened(another)
