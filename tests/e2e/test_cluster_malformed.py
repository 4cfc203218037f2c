"""Membership calls that end real etcds, asked of each of three members: nobody ends, and nothing enters the log."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.e2e import servers
from tests.e2e.cluster import QUICK, Cluster, NotAnswered, Program
from tests.e2e.rpc import MEMBER_ADD, MEMBER_PROMOTE, MEMBER_REMOVE, MEMBER_UPDATE, MEMBERS, STATUS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

Message = Mapping[str, Any]  # Any: JSON

BAD_URLS = "etcdserver: given member URLs are invalid"
GARBAGE: tuple[list[Any], ...] = (
    [],
    [""],
    ["garbage"],
    ["http://127.0.3.1:1", "garbage"],
    ["http://127.0.3.1"],
    ["http://127.0.3.1:1/path"],
    ["http://127.0.3.1:x"],
    ["http://127.0.3.1:99999"],
    ["http://127.0. 3.1:1"],
    ["ftp://127.0.3.1:1"],
    ["unix://127.0.3.1:1"],
    ["http://[::1:1"],
    ["http://u@127.0.3.1:1"],
    ["\0"],
    [None],
    ["http://127.0.3.1:1", "http://127.0.3.1:1"],
)
NO_MESSAGES: tuple[Message, ...] = (
    {"ID": "x", "peerURLs": ["http://127.0.3.1:1"]},
    {"ID": -1, "peerURLs": ["http://127.0.3.1:1"]},
    {"ID": 2**64, "peerURLs": ["http://127.0.3.1:1"]},
    {"ID": [], "peerURLs": ["http://127.0.3.1:1"]},
    {"ID": 1, "peerURLs": "http://127.0.3.1:1"},
    {"ID": 1, "peerURLs": [1]},
    {"ID": 1, "peerURLs": {}},
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    program = Program("raftgate", servers.raftgate_command())
    with Cluster(program, tmp_path_factory.mktemp("malformed"), *QUICK, linked=False) as cluster:
        cluster.leader()
        cluster.settle("before")
        yield cluster


def refusal(cluster: Cluster, number: int, path: str, message: Message) -> NotAnswered:
    with pytest.raises(NotAnswered) as refused:
        cluster.members[number].ask(path, message)
    return refused.value


def log_end(cluster: Cluster) -> list[str]:
    """What each member has committed."""
    return [str(member.ask(STATUS, {})["raftIndex"]) for member in cluster.members]


def settled(cluster: Cluster) -> list[str]:
    """What all have committed alike."""

    def equal() -> list[str] | None:
        ends = log_end(cluster)
        return ends if len(set(ends)) == 1 else None

    return cluster.wait_for(equal, "one end of all logs")


@pytest.fixture(autouse=True)
def nothing_happens(cluster: Cluster) -> Iterator[None]:
    pids, ends = [member.running.pid for member in cluster.members], settled(cluster)
    members, term = cluster.members[0].ask(MEMBERS, {"linearizable": True})["members"], cluster.term()
    yield
    assert all(member.is_alive for member in cluster.members)
    assert [member.running.pid for member in cluster.members] == pids
    assert log_end(cluster) == ends
    assert cluster.term() == term
    for member in cluster.members:
        assert member.ask(MEMBERS, {"linearizable": True})["members"] == members
    assert not [line for member in cluster.members for line in member.running.lines if '"level":"error"' in line]


@pytest.mark.parametrize("asked", range(3))
@pytest.mark.parametrize("named", range(3))
def test_updates_with_garbage(cluster: Cluster, asked: int, named: int) -> None:
    for urls in GARBAGE:
        found = refusal(cluster, asked, MEMBER_UPDATE, {"ID": cluster.members[named].id, "peerURLs": urls})
        assert found.status == 400, urls
        assert BAD_URLS in found.text or urls == [None]
    found = refusal(cluster, asked, MEMBER_UPDATE, {"ID": cluster.members[named].id})
    assert BAD_URLS in found.text


@pytest.mark.parametrize("asked", range(3))
@pytest.mark.parametrize("is_learner", [False, True])
def test_additions_of_garbage(cluster: Cluster, asked: int, *, is_learner: bool) -> None:
    for urls in GARBAGE:
        found = refusal(cluster, asked, MEMBER_ADD, {"peerURLs": urls, "isLearner": is_learner})
        assert found.status == 400, urls


@pytest.mark.parametrize("asked", range(3))
@pytest.mark.parametrize("path", [MEMBER_ADD, MEMBER_REMOVE, MEMBER_UPDATE, MEMBER_PROMOTE])
def test_messages_that_are_none(cluster: Cluster, asked: int, path: str) -> None:
    for message in NO_MESSAGES:
        if "ID" in message and path in (MEMBER_REMOVE, MEMBER_PROMOTE) and message["ID"] == 1:
            continue  # fields that these calls do not have count for nothing
        if path == MEMBER_ADD and isinstance(message["peerURLs"], list) and message["ID"] != 1:
            continue
        assert refusal(cluster, asked, path, message).status == 400, message


@pytest.mark.parametrize("asked", range(3))
def test_members_that_nobody_knows(cluster: Cluster, asked: int) -> None:
    for unknown in (0, 7, 2**64 - 1):
        for path in (MEMBER_REMOVE, MEMBER_UPDATE, MEMBER_PROMOTE):
            found = refusal(cluster, asked, path, {"ID": unknown, "peerURLs": ["http://127.0.3.1:1"]})
            assert found.status == 404, (path, unknown)
