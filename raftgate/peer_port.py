"""A member's side of the peer port: who it is, its way to the others, and the application that takes what they send."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from consensus.corruption import HASH_PATH
from consensus.member import Member
from consensus.peer import build_peer_app
from consensus.peer_channel import ChannelOptions
from consensus.peer_identity import CALL_PATH, MESSAGES_PATH, SNAPSHOT_PATH, PeerIdentity
from consensus.peer_metrics import PeerMetrics
from consensus.peer_receiver import MAX_CALL_BYTES, Admitted, CallReceiver, MessageReceiver, ReceiverOptions
from consensus.snapshot_http import SnapshotApp
from consensus.transport import Callbacks, HttpTransport, Transport, TransportOptions
from consensus.wal_format import Identity
from raftgate.config import Config
from raftgate.version import SERVER_VERSION

DIAL_SECONDS = 1.0  # etcd embed/config.go, PeerDialTimeout: a second and the election timeout
MAX_FRAME_BYTES = 64 << 20


class PeerPort:
    """Made before the member, which gets its transport from here; afterwards it serves the member."""

    def __init__(
        self, config: Config, identity: Identity, monotonic: Callable[[], float], registry: CollectorRegistry
    ) -> None:
        self._config = config
        self._monotonic = monotonic
        self._removed: Callable[[], frozenset[int]] = frozenset
        self._identity = PeerIdentity(
            identity.cluster_id,
            identity.member_id,
            SERVER_VERSION,
            is_removed=lambda member: member in self._removed(),
            peer_urls=tuple(str(url) for url in config.initial_advertise_peer_urls),
        )
        self._metrics = PeerMetrics(registry, identity.member_id)

    def connect(self, callbacks: Callbacks) -> Transport:
        """The way to the other members."""
        channel = ChannelOptions(dial_seconds=DIAL_SECONDS + self._config.election_timeout)
        return HttpTransport(TransportOptions(self._identity, self._monotonic, channel), callbacks, self._metrics)

    def app(
        self, member: Member, version: Callable[[], dict[str, str]], further: Mapping[str, ASGIApp] | None = None
    ) -> ASGIApp:
        """The peer listener's application; `further` are for members, too, and get what is theirs, by path."""
        options = ReceiverOptions(max_frame_bytes=max_frame_bytes(self._config.max_request_bytes))
        messages = MessageReceiver(self._identity, member.receive, self._metrics, options)
        member.peers.on_left = messages.drop
        messages.on_sender = member.peers.meet
        self._removed = lambda: member.machine.removed_members
        apps: Mapping[str, ASGIApp] = {
            MESSAGES_PATH: messages,
            CALL_PATH: CallReceiver(self._identity, member.answer, MAX_CALL_BYTES),
            HASH_PATH: CallReceiver(self._identity, member.corruption.answer, MAX_CALL_BYTES),
            SNAPSHOT_PATH: SnapshotApp(self._identity, member.incoming.receive),
            **(further or {}),
        }
        admitted = {path: Admitted(self._identity, app) for path, app in apps.items()}
        return build_peer_app(self._identity.cluster_id, lambda: member.machine.members, version, admitted)


def max_frame_bytes(max_request_bytes: int) -> int:
    """More than the largest entry: MessagePack is no longer than JSON, of which the gateway takes twice the request."""
    return max(MAX_FRAME_BYTES, 2 * max_request_bytes + (8 << 20))
