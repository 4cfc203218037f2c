import asyncio
from contextlib import suppress

import pytest

from consensus.peer_channel import Channel, ChannelOptions, Lane
from consensus.peer_codec import FrameKind, encode_control
from consensus.peer_identity import PeerIdentity, Refused
from consensus.raft.types import Message
from tests.fakes.loopback import DEADLINE, free_socket, listening
from tests.fakes.peers import CLUSTER, QUICK, FakePeer, Inbox, appending, heartbeat, raw_server

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


ONE, TWO = PeerIdentity(CLUSTER, 1), PeerIdentity(CLUSTER, 2)
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
AGREED = HEAD + b"".join(f"{name}: {value}\r\n".encode() for name, value in TWO.answer_headers().items()) + b"\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class FakeOwner:
    """The peer, as a record of what its channel told."""

    def __init__(self, port: int) -> None:
        self.id = 2
        self.port = port
        self.told = Inbox()
        self.open = 0
        self.errors: list[Exception] = []
        self.bytes = 0
        self.failures = 0
        self.pongs: list[bytes] = []

    def url(self, lane: Lane) -> str:
        assert lane is Lane.SIGNALS
        return f"http://127.0.0.1:{self.port}"

    def opened(self, lane: Lane) -> None:
        assert lane is Lane.SIGNALS
        self.open += 1
        self.told.tell()

    def lost(self, lane: Lane, error: Exception) -> None:
        assert lane is Lane.SIGNALS
        self.errors.append(error)
        self.told.tell()

    def sent(self, size: int) -> None:
        self.bytes += size

    def dropped(self, count: int) -> None:
        self.failures += count
        self.told.tell()

    def ping(self) -> bytes:
        return b"ping"

    def ponged(self, payload: bytes) -> None:
        self.pongs.append(payload)
        self.told.tell()


class Using:
    """A channel to a port, closed at the end in time."""

    def __init__(self, port: int, options: ChannelOptions = QUICK) -> None:
        self.owner = FakeOwner(port)
        self._options = options

    async def __aenter__(self) -> tuple[Channel, FakeOwner]:
        self.channel = Channel(Lane.SIGNALS, self.owner, ONE, self._options)
        return self.channel, self.owner

    async def __aexit__(self, *_: object) -> None:
        async with asyncio.timeout(DEADLINE):
            await self.channel.close()


async def agree(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(AGREED)


async def test_what_is_sent_while_it_connects_arrives() -> None:
    peer = FakePeer()
    async with listening(peer.app()) as (_, port), Using(port) as (channel, owner):
        channel.send([heartbeat(commit=1), appending(count=3)])
        assert await peer.inbox.count(2) == [heartbeat(commit=1), appending(count=3)]
        channel.send([heartbeat(commit=2)])
        await peer.inbox.count(3)
        assert owner.failures == 0
        assert owner.open == 1
        await owner.told.until(lambda: owner.pongs)
        assert owner.pongs[0] == b"ping"


async def test_a_turn_of_messages_arrives_in_order_and_whole() -> None:
    peer = FakePeer()
    sent: list[Message] = [appending(index=64 * step, count=64) for step in range(200)]  # 5 MB
    async with listening(peer.app()) as (_, port), Using(port) as (channel, owner):
        await owner.told.until(lambda: owner.open)
        for message in sent:
            channel.send([message])
        assert await peer.inbox.count(200) == sent
        assert owner.failures == 0


async def test_the_last_words_before_a_close_arrive() -> None:
    peer = FakePeer()
    async with listening(peer.app()) as (_, port):
        async with Using(port) as (channel, owner):
            await owner.told.until(lambda: owner.open)
            channel.send([appending(count=1000), heartbeat(commit=9)])
        assert (await peer.inbox.count(2))[-1] == heartbeat(commit=9)


async def test_a_peer_that_does_not_read_fills_its_bounded_queue_and_no_more() -> None:
    async def agree_and_sleep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await agree(reader, writer)
        await asyncio.Event().wait()

    options = ChannelOptions(queue_bytes=1 << 20, write_buffer_bytes=64 * 1024, ping_seconds=DEADLINE)
    async with raw_server(agree_and_sleep) as port, Using(port, options) as (channel, owner):
        await owner.told.until(lambda: owner.open)
        for step in range(1000):  # 50 MB in all: far above the buffers of both systems
            channel.send([appending(index=step, count=100, size=500)])
            if step % 10 == 0:
                await asyncio.sleep(0)
        taken = owner.bytes + channel.queued_bytes
        assert owner.failures > 500
        assert channel.queued_bytes <= 1 << 20
        assert taken < 25 << 20


async def test_the_number_of_queued_messages_is_bounded_too() -> None:
    async def never(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with raw_server(never) as port, Using(port, ChannelOptions(queue_messages=10)) as (channel, owner):
        channel.send([heartbeat(commit=step) for step in range(25)])
        assert owner.failures == 15


async def test_one_message_above_the_bound_passes_where_nothing_waits() -> None:
    peer = FakePeer()
    async with listening(peer.app()) as (_, port), Using(port, ChannelOptions(queue_bytes=1000)) as (channel, owner):
        channel.send([appending(size=100_000), heartbeat()])
        await peer.inbox.count(1)
        assert owner.failures == 1


async def test_a_peer_that_reads_slowly_gets_everything_that_was_queued() -> None:
    reading = asyncio.Event()
    got = bytearray()
    inbox = Inbox()

    async def agree_and_wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await agree(reader, writer)
        await reading.wait()
        while data := await reader.read(1 << 16):
            got.extend(data)
            inbox.tell()

    options = ChannelOptions(write_buffer_bytes=64 * 1024, queue_bytes=64 << 20, ping_seconds=DEADLINE)
    async with raw_server(agree_and_wait) as port, Using(port, options) as (channel, owner):
        await owner.told.until(lambda: owner.open)
        channel.send([appending(index=step, size=100_000) for step in range(300)])  # 30 MB
        assert channel.queued_bytes > 0
        reading.set()
        await inbox.until(lambda: len(got) > 300 * 100_000)
        assert channel.queued_bytes == 0
        assert owner.failures == 0


async def test_a_dead_peer_drops_what_is_sent_and_comes_back() -> None:
    peer = FakePeer()
    sock = free_socket()
    port: int = sock.getsockname()[1]
    sock.close()
    async with Using(port) as (channel, owner):
        channel.send([heartbeat()])
        await owner.told.until(lambda: owner.errors and owner.failures == 1)
        async with listening(peer.app()) as (_, owner.port):
            await owner.told.until(lambda: owner.open)
            channel.send([heartbeat(commit=1)])
            await peer.inbox.count(1)
        errors = len(owner.errors)
        await owner.told.until(lambda: len(owner.errors) > errors)
        async with listening(peer.app()) as (_, owner.port):
            await owner.told.until(lambda: owner.open == 2)
            channel.send([heartbeat(commit=2)])
            assert await peer.inbox.count(2) == [heartbeat(commit=1), heartbeat(commit=2)]


async def test_between_two_attempts_nothing_is_taken() -> None:
    sock = free_socket()
    port: int = sock.getsockname()[1]
    sock.close()
    async with Using(port, ChannelOptions(retry_seconds=DEADLINE)) as (channel, owner):
        await owner.told.until(lambda: owner.errors)
        channel.send([heartbeat(), heartbeat()])
        assert owner.failures == 2


@pytest.mark.parametrize("error", ["the peer gives no sign of life", "no answer in time"])
async def test_a_silent_peer_is_given_up(error: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if error == "the peer gives no sign of life":
            await agree(reader, writer)
        await asyncio.Event().wait()

    options = ChannelOptions(dial_seconds=0.05, ping_seconds=0.01, silent_pings=3)
    async with raw_server(serve) as port, Using(port, options) as (_, owner):
        await owner.told.until(lambda: owner.errors)
        assert str(owner.errors[0]) == error


async def test_any_sign_of_life_counts() -> None:
    signs = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal signs
        await agree(reader, writer)
        while await reader.read(1 << 16):
            writer.write(chunk(encode_control(FrameKind.PONG)))
            signs += 1
            owner.told.tell()

    options = ChannelOptions(ping_seconds=0.01, silent_pings=2)
    async with raw_server(serve) as port, Using(port, options) as (_, owner):
        await owner.told.until(lambda: signs > 10)
        assert owner.errors == []
        assert owner.pongs == []


REFUSAL = chunk(encode_control(FrameKind.REFUSAL, b"not understood"))


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 412 No\r\nContent-Length: 20\r\n\r\ncluster ID mismatch\n", Refused(412, "cluster ID mismatch")),
        (b"HTTP/1.1 410 Gone\r\nContent-Length: 8\r\n\r\nremoved\n", Refused(410, "removed")),
        (HEAD + b"X-Etcd-Cluster-Id: c2\r\nX-Server-Version: 3.6.0\r\nX-Min-Cluster-Version: 3.0.0\r\n\r\n",
         Refused(412, "cluster ID mismatch")),
        (HEAD + b"\r\n", Refused(412, "incompatible version")),
        (AGREED + REFUSAL, Refused(400, "not understood")),
        (AGREED + b"0\r\n\r\n", ConnectionError("the peer has ended the stream")),
        (AGREED + chunk(b"\xff\xff\xff\xff garbage"), ConnectionError("a frame of 4294967295 bytes")),
        (b"\0\1\2 garbage", ConnectionError("unreadable answer")),
        (b"", ConnectionError("")),
    ],
)  # fmt: skip
async def test_refusals_and_garbage_end_the_stream(answer: bytes, error: Exception) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with raw_server(serve) as port, Using(port) as (_, owner):
        await owner.told.until(lambda: len(owner.errors) > 2)
        for met in owner.errors[:3]:
            assert str(error) in str(met)
            assert isinstance(met, Refused) == isinstance(error, Refused)
            if isinstance(met, Refused) and isinstance(error, Refused):
                assert met.status == error.status


@pytest.mark.parametrize("port", [0, -1])
async def test_an_address_that_is_none_is_a_dead_peer(port: int) -> None:
    async with Using(port) as (_, owner):
        await owner.told.until(lambda: len(owner.errors) > 2)


async def test_a_stop_while_it_waits_for_the_agreement_leaves_no_connection() -> None:
    async def never(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        with suppress(ConnectionError):
            await reader.read()
        gone.set()

    asked, gone = asyncio.Event(), asyncio.Event()
    async with raw_server(never) as port, asyncio.timeout(DEADLINE):
        async with Using(port):
            await asked.wait()
        await gone.wait()


async def test_a_stop_does_not_wait_long_for_a_peer_that_does_not_read() -> None:
    async def agree_and_sleep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await agree(reader, writer)
        await asyncio.Event().wait()

    async with raw_server(agree_and_sleep) as port, Using(port) as (channel, owner):
        await owner.told.until(lambda: owner.open)
        channel.send([appending(index=step, size=100_000) for step in range(300)])
        async with asyncio.timeout(2.0):
            await channel.close()
