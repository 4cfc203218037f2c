import httpx
import pytest

from consensus.peer import build_peer_app
from raftgate.api.cluster import Member

pytestmark = pytest.mark.anyio

MEMBERS = [
    Member(ID=5, name="b", peerURLs=("http://b:1",), clientURLs=("http://b:2",)),
    Member(ID=2, peerURLs=("http://a:1",)),
]


def client() -> httpx.AsyncClient:
    app = build_peer_app(0xC1, lambda: MEMBERS, lambda: {"etcdserver": "3.6.13"})
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://peer")


async def test_members_are_listed_by_id_with_numbers_as_etcd_does() -> None:
    async with client() as peer:
        answer = await peer.get("/members")
    assert answer.headers["X-Etcd-Cluster-Id"] == "c1"
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == [
        {"id": 2, "peerURLs": ["http://a:1"]},
        {"id": 5, "peerURLs": ["http://b:1"], "name": "b", "clientURLs": ["http://b:2"]},
    ]


async def test_version() -> None:
    async with client() as peer:
        answer = await peer.get("/version")
    assert (answer.status_code, answer.json()) == (200, {"etcdserver": "3.6.13"})


@pytest.mark.parametrize("path", ["/members", "/version"])
@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS"])
async def test_only_get_is_allowed(path: str, method: str) -> None:
    async with client() as peer:
        answer = await peer.request(method, path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")


@pytest.mark.parametrize("path", ["/", "/members/", "/health", "/v3/kv/range"])
async def test_nothing_else_is_here(path: str) -> None:
    async with client() as peer:
        answer = await peer.get(path)
    assert (answer.status_code, answer.text) == (404, "404 page not found\n")
