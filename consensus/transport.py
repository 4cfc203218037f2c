"""How messages reach other members: the Transport that the driver sees, and the one over HTTP.

Nothing here waits for a peer: `send` hands over what can be handed over and drops the rest, of which Raft is told.
"""

import asyncio
import logging
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

import msgspec

from consensus.peer_channel import Channel, ChannelOptions, Lane
from consensus.peer_http import Answer, Calls, PeerUnreachable
from consensus.peer_identity import CALL_PATH, PeerIdentity, Refused
from consensus.peer_metrics import PeerMetrics
from consensus.raft.types import Message, MessageType
from consensus.snapshot_http import post_snapshot

log = logging.getLogger(__name__)

_WITH_ENTRIES = frozenset({MessageType.APP, MessageType.PROP})
_PING = struct.Struct(">d")


class Transport(Protocol):
    """The way to the other members."""

    def send(self, messages: Sequence[Message]) -> None:
        """Sends each message to the member that it names. Never waits; what is dropped is reported as unreachable."""
        ...

    def add_peer(self, member_id: int, urls: Sequence[str]) -> None:
        """Begins to talk to a member; one that is known already gets the URLs."""
        ...

    def update_peer(self, member_id: int, urls: Sequence[str]) -> None:
        """Talks to a member under other URLs from now on."""
        ...

    def remove_peer(self, member_id: int) -> None:
        """Ends the talk with a member; what is queued for it is dropped."""
        ...

    async def call(self, member_id: int, body: bytes, path: str = CALL_PATH) -> bytes:
        """Asks a member something, once, and answers its answer. The caller bounds the time.

        Raises: PeerUnreachable, Refused.
        """
        ...

    async def send_snapshot(self, message: Message, store: AsyncIterator[bytes]) -> None:
        """Sends a SNAP with the pieces of the store behind it; returns when the member has that durably.

        `consensus.snapshots.Receiver.receive` takes both there.
        Raises: PeerUnreachable, Refused, and what `store` raises.
        """
        ...

    async def version(self, member_id: int) -> dict[str, str]:
        """What a member's /version says.

        Raises: PeerUnreachable, Refused.
        """
        ...

    def active_since(self, member_id: int) -> float | None:
        """Since when a member takes messages without a break, in monotonic seconds; None while it does not."""
        ...

    async def close(self) -> None:
        """Sends what is on its way, and ends all talks within about a second."""
        ...


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Whom the transport tells; called from the event loop, never from within `send`."""

    on_unreachable: Callable[[int], None]
    """Messages to that member were dropped, or the connection to it is lost: its progress is to be probed."""
    on_removed: Callable[[], None] = _nothing
    """A member has said that this one was removed from the cluster."""


Connect = Callable[[Callbacks], Transport]
"""Makes the transport of a member that is being put together."""


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """Who this member is, and the bounds of its connections."""

    identity: PeerIdentity
    monotonic: Callable[[], float]
    channel: ChannelOptions = field(default_factory=ChannelOptions)


class HttpTransport:
    """Two long requests to each peer, one a lane, and short ones for calls."""

    def __init__(self, options: TransportOptions, callbacks: Callbacks, metrics: PeerMetrics) -> None:
        self._options = options
        self._callbacks = callbacks
        self._metrics = metrics
        self._peers: dict[int, _Peer] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._unreachable: set[int] = set()
        self._is_removed = False

    def send(self, messages: Sequence[Message]) -> None:
        """Groups the messages by peer and lane, so that each gets one write."""
        if len(messages) == 1:
            self._send(messages[0].to, _lane(messages[0]), messages)
            return
        groups: dict[tuple[int, Lane], list[Message]] = {}
        for message in messages:
            groups.setdefault((message.to, _lane(message)), []).append(message)
        for (member_id, lane), group in groups.items():
            self._send(member_id, lane, group)

    def add_peer(self, member_id: int, urls: Sequence[str]) -> None:
        """Connects at once, and again whenever the connection is lost."""
        if member_id in self._peers:
            self.update_peer(member_id, urls)
        elif member_id != self._options.identity.member_id:
            self._peers[member_id] = _Peer(member_id, urls, self._options, self._metrics, self._tell)

    def update_peer(self, member_id: int, urls: Sequence[str]) -> None:
        """Reconnects if the URLs are others."""
        if member_id in self._peers:
            self._peers[member_id].update(urls)

    def remove_peer(self, member_id: int) -> None:
        """Closes the connections in the background; the metrics of the member are gone with it."""
        peer = self._peers.pop(member_id, None)
        if peer is not None:
            task = asyncio.get_running_loop().create_task(peer.leave(), name=f"peer {member_id:x} leaves")
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def call(self, member_id: int, body: bytes, path: str = CALL_PATH) -> bytes:
        """A POST over a connection of its own."""
        return (await self._ask("POST", member_id, path, body)).body

    async def send_snapshot(self, message: Message, store: AsyncIterator[bytes]) -> None:
        """One long POST, over a connection of its own."""
        peer = self._peers.get(message.to)
        if peer is None:
            raise PeerUnreachable(f"no member {message.to:x} is known")
        options = self._options
        await post_snapshot(peer.url(Lane.SIGNALS), options.identity, message, store, options.channel.tls)

    async def version(self, member_id: int) -> dict[str, str]:
        """A GET of /version."""
        answer = await self._ask("GET", member_id, "/version", b"")
        try:
            return msgspec.json.decode(answer.body, type=dict[str, str])
        except msgspec.MsgspecError as error:
            raise PeerUnreachable(f"unreadable version: {error}") from error

    def active_since(self, member_id: int) -> float | None:
        """Active is a peer that has agreed to take both lanes, and gives signs of life."""
        peer = self._peers.get(member_id)
        return None if peer is None else peer.active_since

    async def close(self) -> None:
        """Removes all peers, and waits until they are gone."""
        for member_id in list(self._peers):
            self.remove_peer(member_id)
        if self._leaving:
            await asyncio.wait(self._leaving)

    def _send(self, member_id: int, lane: Lane, messages: Sequence[Message]) -> None:
        peer = self._peers.get(member_id)
        if peer is None:
            log.debug("ignored messages to unknown member %x", member_id)
        else:
            peer.channels[lane].send(messages)

    async def _ask(self, method: str, member_id: int, path: str, body: bytes) -> Answer:
        peer = self._peers.get(member_id)
        if peer is None:
            raise PeerUnreachable(f"no member {member_id:x} is known")
        headers = self._options.identity.request_headers(member_id)
        answer = await peer.calls.request(method, peer.url(Lane.SIGNALS), path, headers, body)
        if answer.status != HTTPStatus.OK:
            raise Refused(answer.status, answer.body[:1024].decode(errors="replace").strip())
        return answer

    def _tell(self, member_id: int, error: Exception | None) -> None:
        """Tells of lost messages, once a turn of the loop, and never from within the core's own turn."""
        if not self._unreachable:
            asyncio.get_running_loop().call_soon(self._tell_all)
        self._unreachable.add(member_id)
        if isinstance(error, Refused) and error.status == HTTPStatus.GONE and not self._is_removed:
            self._is_removed = True
            self._callbacks.on_removed()

    def _tell_all(self) -> None:
        told, self._unreachable = sorted(self._unreachable), set()
        for member_id in told:
            if member_id in self._peers:
                self._callbacks.on_unreachable(member_id)


def _lane(message: Message) -> Lane:
    return Lane.ENTRIES if message.type in _WITH_ENTRIES else Lane.SIGNALS


class _Peer:
    """Another member: its channels, and whether it is there."""

    def __init__(
        self,
        member_id: int,
        urls: Sequence[str],
        options: TransportOptions,
        metrics: PeerMetrics,
        tell: Callable[[int, Exception | None], None],
    ) -> None:
        self.id = member_id
        self._urls = tuple(urls)
        self._turns = dict.fromkeys(Lane, 0)
        self._monotonic = options.monotonic
        self._tell = tell
        self._told = ""
        self.active_since: float | None = None
        remote = f"{member_id:x}"
        self._metrics = metrics
        self._sent_bytes = metrics.sent_bytes.labels(remote)
        self._sent_failures = metrics.sent_failures.labels(remote)
        self._round_trip = metrics.round_trip.labels(remote)
        self._active = metrics.active_peers.labels(metrics.local, remote)
        self._active.set(0)
        metrics.known_peers.labels(metrics.local, remote).set(1)
        self.calls = Calls(options.channel.tls)
        self.channels = {lane: Channel(lane, self, options.identity, options.channel) for lane in Lane}

    def update(self, urls: Sequence[str]) -> None:
        """Takes other URLs."""
        if tuple(urls) != self._urls:
            self._urls, self._turns = tuple(urls), dict.fromkeys(Lane, 0)
            self.calls.close()
            for channel in self.channels.values():
                channel.reconnect()

    async def leave(self) -> None:
        """Ends all connections."""
        self.calls.close()
        await asyncio.gather(*(channel.close() for channel in self.channels.values()))
        self._metrics.forget(self.id)

    # What its channels tell

    def url(self, lane: Lane) -> str:
        """The URL that answers, or the next one to be tried: after a failure it is another (etcd, urlpick.go)."""
        return self._urls[self._turns[lane] % len(self._urls)] if self._urls else ""

    def opened(self, lane: Lane) -> None:
        """The peer takes messages of a lane."""
        log.debug("connected to peer %x for %s", self.id, lane)
        if all(channel.is_open for channel in self.channels.values()):
            self._told = ""
            self.active_since = self._monotonic()
            self._active.set(1)
            log.info("peer became active", extra={"fields": {"peer-id": f"{self.id:x}"}})

    def lost(self, lane: Lane, error: Exception) -> None:
        """The peer does not take messages of a lane."""
        url, self._turns[lane] = self.url(lane), self._turns[lane] + 1
        if self.active_since is not None:
            self.active_since = None
            self._active.set(0)
            self._metrics.disconnected_peers.labels(self._metrics.local, f"{self.id:x}").inc()
        text = f"{error}"
        if text != self._told:
            self._told = text
            fields = {"peer-id": f"{self.id:x}", "lane": str(lane), "url": url, "error": text}
            log.warning("peer became inactive (message send to peer failed)", extra={"fields": fields})
        self._tell(self.id, error)

    def sent(self, size: int) -> None:
        """Counts bytes."""
        self._sent_bytes.inc(size)

    def dropped(self, count: int) -> None:
        """Messages will not arrive."""
        self._sent_failures.inc(count)
        self._tell(self.id, None)

    def ping(self) -> bytes:
        """The time."""
        return _PING.pack(self._monotonic())

    def ponged(self, payload: bytes) -> None:
        """Measures how long a ping took."""
        if len(payload) == _PING.size:
            self._round_trip.observe(max(0.0, self._monotonic() - _PING.unpack(payload)[0]))
