import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from consensus.cluster_version import NOT_DECIDED, ClusterVersion, VersionTooLow
from consensus.peer_http import PeerUnreachable
from consensus.proposals import Proposals
from consensus.replica import Replica
from consensus.transport import Transport
from raftgate.api import errors
from raftgate.api.cluster import ClusterVersionSet, Member
from raftgate.api.maintenance import DowngradeAction, DowngradeRequest, DowngradeResponse
from raftgate.api.message import Caller
from tests.fakes.cluster import cluster_of
from tests.fakes.env import FakeEnv
from tests.fakes.member import open_member, options, running
from tests.fakes.peers import turns_until

pytestmark = pytest.mark.anyio

SETTINGS = replace(options(), server_version="3.6.13")


class Parts:
    """A leader with two others, whose versions the test says."""

    def __init__(self, decided: str = "", own: str = "3.8.1") -> None:
        self.versions: dict[int, dict[str, str]] = {}
        self.proposed: list[str] = []
        self.refusal: errors.EtcdError | None = None
        self.machine = SimpleNamespace(cluster_version=decided, members=(Member(1), Member(2), Member(3)))
        self.options = SimpleNamespace(server_version=own, member=Member(1), election_timeout=0.0)
        self.node = SimpleNamespace(leader=1)
        self.version = ClusterVersion(
            cast("Replica", self), cast("Proposals", self), cast("Transport", self.Asked(self))
        )

    class Asked:
        """The transport of it."""

        def __init__(self, parts: "Parts") -> None:
            self._parts = parts

        async def version(self, member_id: int) -> dict[str, str]:
            if member_id not in self._parts.versions:
                raise PeerUnreachable("it is not there")
            return self._parts.versions[member_id]

    async def replicate(self, request: ClusterVersionSet) -> None:
        self.proposed.append(request.ver)
        if self.refusal is not None:
            raise self.refusal
        self.machine.cluster_version = request.ver

    async def turn(self) -> list[str]:
        """What it proposes when it is woken."""
        task = asyncio.create_task(self.version.run())
        self.version.wake.set()
        await turns_until(lambda: not self.version.wake.is_set())
        for _ in range(20):
            await asyncio.sleep(0)
        task.cancel()
        return self.proposed


@pytest.mark.parametrize(
    ("decided", "versions", "proposed"),
    [
        pytest.param("", ("3.8.0", "3.7.9"), ["3.7.0"], id="the lowest minor"),
        pytest.param("3.6.0", ("3.8.0", "3.8.9"), ["3.8.0"], id="all have been replaced"),
        pytest.param("3.7.0", ("3.8.0", "3.7.9"), [], id="it stays"),
        pytest.param("3.7.0", ("3.8.0", "3.6.9"), [], id="it never becomes less"),
        pytest.param("", ("3.8.0",), ["3.6.0"], id="one does not answer"),
        pytest.param("3.6.0", ("3.8.0",), [], id="one does not answer, and there is a version"),
        pytest.param("", ("3.8.0", "what?"), ["3.6.0"], id="one is not understood"),
        pytest.param("3.8.0", (), [], id="no higher one is possible: nobody is asked"),
        pytest.param("", ("3.9.0", "3.10.0"), ["3.8.0"], id="its own counts"),
    ],
)
async def test_the_leader_decides(decided: str, versions: tuple[str, ...], proposed: list[str]) -> None:
    parts = Parts(decided)
    parts.versions = {number: {"etcdserver": version} for number, version in enumerate(versions, start=2)}
    assert await parts.turn() == proposed


async def test_others_leave_it_to_the_leader() -> None:
    parts = Parts()
    parts.node.leader = 2
    assert await parts.turn() == []


async def test_what_fails_is_decided_later() -> None:
    parts = Parts()
    parts.refusal = errors.Timeout()
    assert await parts.turn() == ["3.6.0"]
    assert parts.version.text == NOT_DECIDED
    parts.refusal = None
    assert await parts.turn() == ["3.6.0", "3.6.0"]
    assert parts.version.text == "3.6.0"


async def test_a_program_that_is_older_than_the_cluster_does_not_start() -> None:
    with pytest.raises(VersionTooLow, match=r"server version is lower .*: 3\.6\.13 < 3\.7\.0"):
        Parts("3.7.0", "3.6.13")
    assert Parts("3.6.0", "3.6.0").version.text == "3.6.0"


async def test_a_member_without_a_version_decides_nothing(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        assert member.cluster_version.text == NOT_DECIDED


async def test_a_member_alone_decides_before_it_serves_and_remembers(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path, SETTINGS) as member:
        assert member.cluster_version.text == "3.6.0"
    member = open_member(FakeEnv(), tmp_path, SETTINGS)
    assert member.cluster_version.text == "3.6.0"
    await member.close()


async def test_three_members_agree(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, server_version="3.6.13") as cluster:  # type: ignore[arg-type]  # fields have types of their own
        await turns_until(lambda: all(member.cluster_version.text == "3.6.0" for member in cluster.members))


VALIDATE, ENABLE, CANCEL = DowngradeAction
WRONG, NONE_LOWER = errors.WrongDowngradeVersionFormat, errors.InvalidDowngradeTargetVersion


@pytest.mark.parametrize("action", [VALIDATE, ENABLE])
@pytest.mark.parametrize(
    ("version", "error"),
    [
        ("3.5", NONE_LOWER),
        ("3.5.0", NONE_LOWER),
        ("3.6", NONE_LOWER),
        ("3.5.0-rc.1+build", NONE_LOWER),
        ("", WRONG),
        ("3", WRONG),
        ("3.x", WRONG),
        ("3.5-rc", WRONG),
        ("3.5.0.0", WRONG),
        ("-3.5.0", WRONG),
        ("3.٥", WRONG),  # noqa: RUF001 - a digit, but not one of a version
    ],
)
async def test_no_version_is_lower(
    tmp_path: Path, action: DowngradeAction, version: str, error: type[errors.EtcdError]
) -> None:
    async with running(FakeEnv(), tmp_path, SETTINGS) as member:
        with pytest.raises(error):
            await member.server.call(DowngradeRequest(action, version), Caller())


async def test_there_is_nothing_to_cancel(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path, SETTINGS) as member:
        answer = await member.server.call(DowngradeRequest(CANCEL, "?"), Caller())
        assert answer.header is not None
        assert answer == DowngradeResponse(answer.header, "3.6")
        assert answer.header.revision == 1
        with pytest.raises(errors.UnknownMethod):
            await member.server.call(DowngradeRequest(9, "3.5"), Caller())


@pytest.mark.parametrize("action", DowngradeAction)
async def test_as_long_as_there_is_no_version_nothing_can_be_said(tmp_path: Path, action: DowngradeAction) -> None:
    async with running(FakeEnv(), tmp_path) as member:
        with pytest.raises(errors.ClusterVersionUnavailable):
            await member.server.call(DowngradeRequest(action, "3.5"), Caller())
