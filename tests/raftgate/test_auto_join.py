"""A member that joins by itself: whom it takes itself for, and how it comes to its vote."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from consensus.cluster import cluster_id, member_id
from consensus.leader_calls import encode_call
from consensus.peer import build_peer_app
from consensus.peer_http import Calls
from consensus.peer_identity import CALL_PATH, PeerIdentity
from consensus.peer_receiver import Admitted
from consensus.wal_format import Identity
from raftgate.api import errors
from raftgate.api.cluster import Member, MemberAddRequest, MemberAddResponse, MemberPromoteRequest
from raftgate.api.message import Caller
from raftgate.auto_join import be_promoted, join
from raftgate.config import Config, load
from raftgate.joining import BootstrapRefused, Start
from raftgate.listener import Listener
from tests.fakes.cluster import cluster_of
from tests.fakes.loopback import free_socket, listening

pytestmark = pytest.mark.anyio

CLUSTER = 0xC1
OWN = "http://10.0.0.9:2380"
ADDED = Member(ID=9, peerURLs=(OWN,), isLearner=True)


def config(directory: Path, named: Mapping[str, str], *flags: str) -> Config:
    listed = ",".join(f"{name}={url}" for name, url in named.items())
    return load(
        [
            "--name=n9",
            f"--data-dir={directory}",
            f"--initial-advertise-peer-urls={OWN}",
            f"--initial-cluster={listed}",
            "--initial-cluster-token=tok",
            "--raftgate-auto-join=learner",
            *flags,
        ],
        {},
    )


class Cluster:
    """One member that answers for a cluster."""

    def __init__(self, members: Sequence[Member] = (), cluster_id: int = CLUSTER) -> None:
        self.members = list(members)
        self.cluster_id = cluster_id
        self.asked: list[bytes] = []
        self.answers: list[bytes] = []
        """What it answers to calls, one each."""
        self.url = ""

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(await Request(scope, receive).body())
        body = self.answers.pop(0)
        await Response(body or b"busy", 200 if body else 503)(scope, receive, send)

    @asynccontextmanager
    async def serving(self, number: int = 1) -> AsyncIterator[None]:
        """Serves as the member of that number, which is listed."""
        call: ASGIApp = Admitted(PeerIdentity(self.cluster_id, number), self._call)
        app = build_peer_app(self.cluster_id, lambda: self.members, dict, {CALL_PATH: call})
        async with listening(app) as (_, port):
            self.url = f"http://127.0.0.1:{port}"
            self.members.append(Member(number, f"n{number}", (self.url,), ("http://a:1",)))
            yield


@pytest.fixture
async def there() -> AsyncIterator[Cluster]:
    cluster = Cluster()
    async with cluster.serving():
        yield cluster


def refusal(name: str) -> bytes:
    """What a member that does not add anybody says."""
    return msgspec.msgpack.encode([None, name, name])


def acceptance(*members: Member) -> bytes:
    """What a leader says that has added the new one."""
    return msgspec.msgpack.encode([msgspec.to_builtins(MemberAddResponse(None, ADDED, members)), "", ""])


async def test_the_leader_is_asked_to_add_a_learner(tmp_path: Path, there: Cluster) -> None:
    members = (*there.members, ADDED)
    there.answers = [acceptance(*members)]
    start = await join(config(tmp_path, {"n1": there.url}), Calls())
    assert start == Start(Identity(CLUSTER, ADDED.ID), members, joins=True)
    assert there.asked == [encode_call(MemberAddRequest(peerURLs=(OWN,), isLearner=True))]


@pytest.mark.parametrize(
    "first", [refusal("Unhealthy"), refusal("NotLeader"), b""], ids=["refused", "elsewhere", "busy"]
)
async def test_it_waits_until_it_may(tmp_path: Path, there: Cluster, first: bytes) -> None:
    there.answers = [first, acceptance(ADDED)]
    start = await join(config(tmp_path, {"n1": there.url}), Calls())
    assert start == Start(Identity(CLUSTER, ADDED.ID), (ADDED,), joins=True)


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (refusal("Unhealthy"), "Unhealthy"),
        (refusal("NotLeader"), errors.NoLeader().text),
        (b"", errors.NoLeader().text),
    ],
    ids=["refused", "elsewhere", "busy"],
)
async def test_it_does_not_wait_for_ever(tmp_path: Path, there: Cluster, first: bytes, reason: str) -> None:
    there.answers = [first]
    with pytest.raises(BootstrapRefused, match=f"this member could not join: {reason}"):
        await join(config(tmp_path, {"n1": there.url}), Calls(), patience=0.0)


async def test_members_that_the_flags_do_not_name_are_asked_too(tmp_path: Path, there: Cluster) -> None:
    leader = Cluster()
    async with leader.serving(2):
        there.members += leader.members
        there.answers, leader.answers = [refusal("NotLeader")], [acceptance(ADDED)]
        gone = Member(3, "n3", ("http://127.0.0.1:1",))
        there.members.append(gone)
        start = await join(config(tmp_path, {"n1": there.url}), Calls())
    assert start is not None
    assert len(leader.asked) == 1


async def test_a_place_that_was_held_is_taken(tmp_path: Path, there: Cluster) -> None:
    there.members.append(ADDED)
    start = await join(config(tmp_path, {"n1": there.url}), Calls())
    assert start == Start(Identity(CLUSTER, ADDED.ID), tuple(there.members), joins=True)
    assert not there.asked


@pytest.mark.parametrize(
    "used",
    [
        Member(ID=9, name="n9", peerURLs=("http://10.0.0.8:1",), clientURLs=("http://a:1",)),
        Member(ID=9, name="other", peerURLs=(OWN,), clientURLs=("http://a:1",)),
    ],
    ids=["name", "URL"],
)
async def test_a_member_that_has_lost_its_disk_is_told_what_to_do(tmp_path: Path, there: Cluster, used: Member) -> None:
    there.members.append(used)
    with pytest.raises(BootstrapRefused, match=r"member 9 has already been bootstrapped.*raftgatectl member remove 9"):
        await join(config(tmp_path, {"n1": there.url}), Calls())
    assert not there.asked


async def test_founders_found(tmp_path: Path) -> None:
    assert await join(config(tmp_path, {"n9": OWN, "n1": "http://127.0.0.1:1"}), Calls()) is None
    for state, is_founder in (("new", True), ("existing", False)):
        there = Cluster()
        async with listening_founder(there):
            settings = config(tmp_path, {"n9": OWN, "n1": there.url}, f"--initial-cluster-state={state}")
            assert (await join(settings, Calls()) is None) == is_founder


@asynccontextmanager
async def listening_founder(there: Cluster) -> AsyncIterator[None]:
    """The other founder of a cluster that has begun without this member."""
    sock = free_socket()
    there.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    ids = [member_id([url], "tok") for url in (OWN, there.url)]
    members = [Member(ids[0], peerURLs=(OWN,)), Member(ids[1], "n1", (there.url,))]
    listener = Listener(build_peer_app(cluster_id(ids), lambda: members, dict), [sock])
    await listener.start()
    try:
        yield
    finally:
        await listener.stop(0.0)


async def test_who_is_no_founder_waits_for_the_cluster(tmp_path: Path) -> None:
    with pytest.raises(BootstrapRefused, match="nobody answers at the URLs of --initial-cluster"):
        await join(config(tmp_path, {"n1": "http://127.0.0.1:1"}), Calls(), patience=0.0)


async def test_two_clusters_are_one_too_many(tmp_path: Path, there: Cluster) -> None:
    other = Cluster(cluster_id=0xC2)
    async with other.serving(2):
        with pytest.raises(BootstrapRefused, match="lead to several clusters"):
            await join(config(tmp_path, {"n1": there.url, "n2": other.url}), Calls())


class Learner:
    """A member whose leader answers as the test says."""

    def __init__(self, *answers: type[errors.EtcdError] | None) -> None:
        self.leader_calls = self
        self.asked: list[object] = []
        self._answers = list(answers)

    def is_learner(self) -> bool:
        return bool(self._answers)

    async def ask(self, request: object) -> None:
        self.asked.append(request)
        answer = self._answers.pop(0)
        if answer is not None:
            raise answer


@pytest.mark.parametrize(
    "answers",
    [
        (errors.LearnerNotReady, errors.NoLeader, None),
        (errors.MemberNotLearner,),
        (errors.Timeout, errors.MemberNotFound),
    ],
    ids=["in the end", "is one", "is none"],
)
async def test_a_learner_asks_until_it_is_promoted(answers: Sequence[type[errors.EtcdError] | None]) -> None:
    learner = Learner(*answers)
    async with asyncio.timeout(10):
        await be_promoted(learner, 9, 0.0)  # type: ignore[arg-type]  # all of a member that is used
    assert learner.asked == [MemberPromoteRequest(9)] * len(answers)


async def test_a_learner_of_a_cluster_is_promoted(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1) as cluster:
        leader = await cluster.leader()
        added = await leader.server.call(MemberAddRequest(peerURLs=(OWN,), isLearner=True), Caller())
        assert added.member is not None
        started = cluster.join(replace(added.member, name="n9", clientURLs=("http://a:1",)))
        async with asyncio.timeout(10):
            await started.wait()
            learner = cluster.network.members[added.member.ID]
            assert learner.is_learner()
            await be_promoted(learner, added.member.ID, 0.01)
        assert added.member.ID in leader.voters()
