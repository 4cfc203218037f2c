"""The peer port of a whole member, and the way to it from another."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from consensus.peer_http import Calls
from consensus.peer_identity import CALL_PATH, MESSAGES_PATH, SNAPSHOT_PATH, PeerIdentity, Refused
from consensus.raft.types import Message, MessageType
from consensus.transport import Callbacks, Transport
from consensus.wal_format import Identity
from raftgate.api.lease import LeaseGrantRequest
from raftgate.api.message import Caller
from raftgate.config import Config, load
from raftgate.peer_port import MAX_FRAME_BYTES, PeerPort, max_frame_bytes
from tests.fakes.env import FakeEnv
from tests.fakes.loopback import listening
from tests.fakes.member import RECORD, running
from tests.fakes.peers import turns_until

pytestmark = pytest.mark.anyio

CLUSTER = 0xC1
OTHER = 0xB2


def config(directory: Path) -> Config:
    return load([f"--data-dir={directory}", "--election-timeout=500", "--heartbeat-interval=50"], {})


class Other:
    """Another member's way to the one under test."""

    def __init__(self, directory: Path, port: int, cluster_id: int = CLUSTER) -> None:
        self.unreachable: list[int] = []
        self.registry = CollectorRegistry()
        peer_port = PeerPort(config(directory), Identity(cluster_id, OTHER), time.monotonic, self.registry)
        self.transport: Transport = peer_port.connect(Callbacks(self.unreachable.append))
        self.transport.add_peer(RECORD.ID, [f"http://127.0.0.1:{port}"])


@asynccontextmanager
async def served(directory: Path) -> AsyncIterator[tuple[int, CollectorRegistry]]:
    """A member with its peer port: the port, and its metrics."""
    registry = CollectorRegistry()
    async with running(FakeEnv(), directory) as member:
        peer_port = PeerPort(config(directory), Identity(CLUSTER, RECORD.ID), time.monotonic, registry)

        async def snapshots(_scope: object, _receive: object, send: object) -> None:
            raise NotImplementedError

        await member.server.call(LeaseGrantRequest(60, 7), Caller())
        app = peer_port.app(member, lambda: {"etcdserver": "3.6.13"}, {SNAPSHOT_PATH: snapshots})
        async with listening(app) as (_, port):
            yield port, registry


async def test_messages_and_calls_come_through(tmp_path: Path) -> None:
    async with served(tmp_path) as (port, registry):
        other = Other(tmp_path, port)
        await turns_until(lambda: other.transport.active_since(RECORD.ID) is not None)
        other.transport.send([Message(type=MessageType.HEARTBEAT, to=RECORD.ID, sender=OTHER, term=1)])
        label = {"From": f"{OTHER:x}"}
        await turns_until(lambda: registry.get_sample_value("etcd_network_peer_received_bytes_total", label))
        call = msgspec.msgpack.encode(["LeaseKeepAliveRequest", {"ID": 7}])
        answer = msgspec.msgpack.decode(await other.transport.call(RECORD.ID, call, CALL_PATH))
        assert (answer[0]["TTL"], answer[1]) == (60, "")
        assert await other.transport.version(RECORD.ID) == {"etcdserver": "3.6.13"}
        await other.transport.close()


async def test_a_member_of_another_cluster_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with served(tmp_path) as (port, _):
        other = Other(tmp_path, port, 0xC2)
        with pytest.raises(Refused, match="cluster ID mismatch") as caught:
            await other.transport.call(RECORD.ID, b"")
        assert caught.value.status == 412
        assert "refused a request on the peer port" in caplog.text
        await turns_until(lambda: other.unreachable)
        await other.transport.close()


@pytest.mark.parametrize("path", [MESSAGES_PATH, CALL_PATH, SNAPSHOT_PATH])
async def test_nobody_else_is_let_in(tmp_path: Path, path: str) -> None:
    async with served(tmp_path) as (port, _), asyncio.timeout(10):
        calls = Calls()
        answer = await calls.request("POST", f"http://127.0.0.1:{port}", path, {})
        assert (answer.status, answer.body) == (412, b"incompatible version\n")
        headers = PeerIdentity(CLUSTER, OTHER).request_headers(0xEE)
        answer = await calls.request("POST", f"http://127.0.0.1:{port}", path, headers)
        assert (answer.status, answer.body) == (412, b"to field mismatch\n")
        calls.close()


async def test_anybody_may_ask_who_is_there(tmp_path: Path) -> None:
    async with served(tmp_path) as (port, _), asyncio.timeout(10):
        calls = Calls()
        answer = await calls.request("GET", f"http://127.0.0.1:{port}", "/members", {})
        assert [member["id"] for member in msgspec.json.decode(answer.body)] == [RECORD.ID]
        assert answer.headers["x-etcd-cluster-id"] == "c1"
        calls.close()


def test_a_frame_holds_the_largest_entry() -> None:
    assert max_frame_bytes(1_572_864) == MAX_FRAME_BYTES
    assert max_frame_bytes(100 << 20) == 208 << 20
