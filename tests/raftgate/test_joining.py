"""Who a member is in a cluster that it was added to, by what others tell of it."""

import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from consensus.cluster import cluster_id, member_id
from consensus.peer import build_peer_app
from consensus.peer_http import Calls
from consensus.wal_format import Identity
from raftgate.api.cluster import Member
from raftgate.config import Config, load
from raftgate.joining import BootstrapRefused, Remote, Start, ask, check_unused, founders, identity, join, others
from tests.fakes.loopback import listening

pytestmark = pytest.mark.anyio

CLUSTER = 0xC1
OWN = "http://10.0.0.1:2380"
OLD = Member(ID=7, name="n2", peerURLs=("http://10.0.0.2:2380",), clientURLs=("http://10.0.0.2:2379",))
NEW = Member(ID=9, peerURLs=(OWN,))


def config(directory: Path, named: Mapping[str, str], *flags: str, own: str = OWN) -> Config:
    listed = ",".join(f"{name}={url}" for name, url in named.items())
    return load(
        [
            "--name=n1",
            f"--data-dir={directory}",
            f"--initial-advertise-peer-urls={own}",
            f"--initial-cluster={listed}",
            "--initial-cluster-token=tok",
            "--initial-cluster-state=existing",
            *flags,
        ],
        {},
    )


@asynccontextmanager
async def telling(*lists: Sequence[Member], of: int = CLUSTER) -> AsyncIterator[list[str]]:
    """Members that tell these lists, and their URLs."""
    async with AsyncExitStack() as stack:
        urls = []
        for members in lists:
            app = build_peer_app(of, lambda members=members: members, dict)  # type: ignore[misc]  # a default binds it
            _, port = await stack.enter_async_context(listening(app))
            urls.append(f"http://127.0.0.1:{port}")
        yield urls


def at(member: Member, url: str) -> Member:
    """The member at another URL."""
    return Member(member.ID, member.name, (url,), member.clientURLs, member.isLearner)


def unknown(host: str) -> str:
    raise OSError(f"{host}: no such host")


def test_ids_of_founders_follow_from_the_flags(tmp_path: Path) -> None:
    named = {"n1": OWN, "n2": "http://10.0.0.2:2380", "n3": "http://10.0.0.3:2380"}
    settings = config(tmp_path, named)
    found = founders(settings)
    assert [(member.name, member.peerURLs, member.clientURLs) for member in found] == [
        (name, (url,), ()) for name, url in named.items()
    ]
    ids = [member_id([url], "tok") for url in named.values()]
    assert [member.ID for member in found] == ids
    assert identity(settings) == Identity(cluster_id(ids), ids[0])
    assert others(settings) == ["http://10.0.0.2:2380", "http://10.0.0.3:2380"]


async def test_what_a_member_tells() -> None:
    async with telling([NEW, OLD], []) as (url, empty):
        assert await ask(url, Calls()) == Remote(CLUSTER, (OLD, NEW))
        assert await ask(empty, Calls()) is None
        assert await ask("http://127.0.0.1:1", Calls()) is None
        assert await ask(f"{url}/v3", Calls()) == Remote(CLUSTER, (OLD, NEW))  # the path of a URL counts for nothing


async def test_a_server_that_is_no_member() -> None:
    async def app(_scope: object, _receive: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})  # type: ignore[operator]  # ASGI
        await send({"type": "http.response.body", "body": b"[]"})  # type: ignore[operator]  # ASGI

    async with listening(app) as (_, port):
        assert await ask(f"http://127.0.0.1:{port}", Calls()) is None


async def test_ids_are_taken_over(tmp_path: Path) -> None:
    old: list[Member] = [NEW]
    async with telling(old) as (url,):
        old.append(at(OLD, url))
        settings = config(tmp_path, {"n1": OWN, "any": url})
        members = (at(OLD, url), NEW)
        assert await join(settings, Calls()) == Start(Identity(CLUSTER, NEW.ID), members, joins=True)


async def test_urls_are_the_same_by_their_addresses(tmp_path: Path) -> None:
    old: list[Member] = [at(NEW, "http://localhost:2380")]
    async with telling(old) as (url,):
        old.append(at(OLD, url))
        settings = config(tmp_path, {"n1": "http://127.0.0.1:2380", "any": url}, own="http://127.0.0.1:2380")
        assert (await join(settings, Calls())).identity.member_id == NEW.ID


async def test_a_name_may_get_its_address_late(tmp_path: Path) -> None:
    failures = [OSError("n1.late: no such host")]

    def resolve(host: str) -> str:
        assert host == "n1.late"
        if failures:
            raise failures.pop()
        return "10.0.0.1"

    old: list[Member] = [at(NEW, "http://n1.late:2380")]
    async with telling(old) as (url,):
        old.append(at(OLD, url))
        settings = config(tmp_path, {"n1": OWN, "any": url})
        assert (await join(settings, Calls(), resolve)).identity.member_id == NEW.ID
        with pytest.raises(BootstrapRefused, match=r"last resolver error \(failed to resolve .*n1.late: no such host"):
            await join(settings, Calls(), unknown, resolve_patience=0.0)


async def test_unequal_counts(tmp_path: Path) -> None:
    async with telling([OLD]) as (url,):
        with pytest.raises(BootstrapRefused) as refused:
            await join(config(tmp_path, {"n1": OWN, "n2": url}), Calls())
    assert str(refused.value) == (
        "error validating peerURLs {ClusterID:c1 Members:[&{ID:7 RaftAttributes:{PeerURLs:[http://10.0.0.2:2380] "
        "IsLearner:false} Attributes:{Name:n2 ClientURLs:[http://10.0.0.2:2379]}}] RemovedMemberIDs:[]}: "
        "member count is unequal"
    )


@pytest.mark.parametrize(
    ("urls", "error"),
    [
        (("http://10.0.0.9:1",), 'resolved urls: "http://10.0.0.9:1" != "http://127'),
        ((OWN, "http://10.0.0.9:1"), 'len(["http://10.0.0.1:2380" "http://10.0.0.9:1"]) != len(["http://127'),
        (("garbage",), 'len([]) != len(["http://127'),
    ],
    ids=["other", "more", "garbage"],
)
async def test_urls_that_nobody_has(tmp_path: Path, urls: tuple[str, ...], error: str) -> None:
    old: list[Member] = [Member(ID=9, peerURLs=urls)]
    async with telling(old) as (url,):
        old.append(at(OLD, url))
        with pytest.raises(BootstrapRefused) as refused:
            await join(config(tmp_path, {"n1": OWN, "any": url}), Calls(), unknown)
    listed = " ".join(urls)
    assert f"PeerURLs: no match found for existing member (9, [{listed}]), last resolver error ({error}" in str(
        refused.value
    )


async def test_two_members_at_one_url(tmp_path: Path) -> None:
    async with telling([NEW, at(OLD, OWN)]) as (url,):
        with pytest.raises(BootstrapRefused, match=r"no match found for existing member \(9,"):
            await join(config(tmp_path, {"n1": OWN, "any": url}), Calls(), unknown)


async def test_one_that_lags_behind_keeps_nobody_out(tmp_path: Path) -> None:
    fresh: list[Member] = [NEW]
    async with telling([at(OLD, "http://127.0.0.1:1")], fresh) as (late, url):
        fresh += [at(OLD, url), Member(ID=11, name="n3", peerURLs=(late,))]
        settings = config(tmp_path, {"n1": OWN, "any": url, "other": late})
        assert (await join(settings, Calls())).identity == Identity(CLUSTER, NEW.ID)


async def test_a_member_that_any_other_has_seen_is_refused(tmp_path: Path) -> None:
    seen = Member(ID=NEW.ID, name="n1", peerURLs=(OWN,))
    first: list[Member] = []
    second: list[Member] = []
    async with telling(first, second) as (one, two):
        here = [Member(ID=7, name="n2", peerURLs=(one,)), Member(ID=8, name="n3", peerURLs=(two,))]
        first += [NEW, *here]
        second += [seen, *here]
        with pytest.raises(BootstrapRefused, match=r"^member 9 has already been bootstrapped.*member remove 9\)"):
            await join(config(tmp_path, {"n1": OWN, "n2": one, "n3": two}), Calls())


async def test_too_many_learners(tmp_path: Path) -> None:
    old: list[Member] = [Member(ID=9, peerURLs=(OWN,), isLearner=True)]
    async with telling(old) as (url,):
        old.append(Member(ID=7, name="n2", peerURLs=(url,), isLearner=True))
        with pytest.raises(BootstrapRefused, match="membership: too many learner members in cluster"):
            await join(config(tmp_path, {"n1": OWN, "any": url}), Calls())
        assert (await join(config(tmp_path, {"n1": OWN, "any": url}, "--max-learners=2"), Calls())).joins


async def test_nobody_answers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    with pytest.raises(BootstrapRefused) as refused:
        await join(config(tmp_path, {"n1": OWN, "n2": url}), Calls(), patience=0.0)
    problem = "could not retrieve cluster information from the given URLs"
    assert str(refused.value) == f"cannot fetch cluster info from peer urls: {problem}"


def test_a_record_that_was_never_used() -> None:
    check_unused(NEW)
    with pytest.raises(BootstrapRefused, match="member 7 has already been bootstrapped"):
        check_unused(OLD)
