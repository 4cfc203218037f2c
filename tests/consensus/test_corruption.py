import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from consensus.corruption import ATTEMPTS, HASH_PATH, Claim, Corruption, CorruptionFound, Views, differing
from consensus.member import Member
from consensus.peer_http import PeerUnreachable
from consensus.peer_identity import Refused
from raftgate.api import errors
from raftgate.api.cluster import Member as Record
from raftgate.api.kv import CompactionRequest, PutRequest, RangeRequest
from raftgate.api.maintenance import AlarmMember, AlarmRequest, AlarmType
from raftgate.api.message import Caller
from storage.hash import DatabaseUnsound, KvHash
from tests.fakes.cluster import ChanceEnv, LocalCluster, LocalTransport, cluster_of
from tests.fakes.member import open_member
from tests.fakes.peers import turns_until

pytestmark = pytest.mark.anyio

CALLER = Caller()
UNSOUND = DatabaseUnsound.__name__
A, B = (-1, 10), (-1, 20)


@pytest.mark.parametrize(
    ("views", "members", "right", "expected"),
    [
        pytest.param({1: A, 2: A, 3: A}, 3, 1, [], id="all agree"),
        pytest.param({1: A, 2: A, 3: B}, 3, 1, [3], id="one differs"),
        pytest.param({1: B, 2: A, 3: A}, 3, 1, [1], id="the leader differs"),
        pytest.param({1: A, 2: B}, 3, 1, [2], id="no majority: the leader is right"),
        pytest.param({1: A, 2: B, 3: (-1, 30)}, 3, 1, [2, 3], id="all differ"),
        pytest.param({1: A, 2: "ahead", 3: A}, 3, 1, [2], id="one is ahead"),
        pytest.param({1: A, 2: None, 3: B}, 3, 1, [3], id="one cannot be compared"),
        pytest.param({1: None, 2: A, 3: B}, 3, 1, [], id="the leader itself cannot be compared"),
        pytest.param({1: A, 2: UNSOUND}, 2, 1, [2], id="one cannot be read"),
        pytest.param({1: UNSOUND}, 1, 1, [1], id="the only one cannot be read"),
        pytest.param({1: UNSOUND, 2: UNSOUND, 3: A}, 3, 1, [1, 2], id="two that cannot be read are no majority"),
        pytest.param({1: A, 2: B}, 3, 0, [0], id="no majority: one of them"),
        pytest.param({1: A, 2: A}, 3, 0, [], id="no difference"),
        pytest.param({1: A, 2: A, 3: B}, 3, 0, [3], id="a majority"),
        pytest.param({}, 3, 0, [], id="nobody"),
    ],
)
def test_who_differs(views: Views, members: int, right: int, expected: Sequence[int]) -> None:
    assert differing(views, members, right) == expected


def spoil(directory: Path, statement: str = "UPDATE history SET value = x'00' WHERE key = x'6b'") -> None:
    """Changes the database of a member that does not run, in a way that SQLite does not notice."""
    connection = sqlite3.connect(directory / "kv.db")
    with connection:
        assert connection.execute(statement).rowcount > 0
    connection.close()


async def restart_spoiled(cluster: LocalCluster, directory: Path, member: Member, *statement: str) -> Member:
    """Stops a member, spoils its store and starts it again."""
    number = member.options.member.ID - 0xA1
    await cluster.stop(member)
    spoil(directory / member.options.member.name, *statement)
    await cluster.start(number).wait()
    return next(each for each in cluster.members if each.options.member.ID == member.options.member.ID)


async def follower_of(cluster: LocalCluster) -> Member:
    leader = await cluster.leader()
    return next(member for member in cluster.members if member is not leader)


def raised(*members: Member) -> tuple[AlarmMember, ...]:
    return tuple(AlarmMember(member.options.member.ID, AlarmType.CORRUPT) for member in members)


async def test_equal_members_raise_no_alarm(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        leader = await cluster.leader()
        assert await leader.corruption.check() == []
        for number in range(5):
            await leader.server.call(PutRequest(key=b"k", value=b"%d" % number), CALLER)
        assert await leader.corruption.check() == []
        assert leader.machine.alarms == ()


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("UPDATE history SET value = x'00' WHERE key = x'6b'", id="a value"),
        pytest.param("UPDATE meta SET value = value + 7 WHERE name = 'revision'", id="the revision is ahead"),
        pytest.param("DELETE FROM history WHERE key = x'6b'", id="a row is lost"),
    ],
)
async def test_a_follower_that_differs_is_found(tmp_path: Path, statement: str) -> None:
    async with cluster_of(tmp_path) as cluster:
        follower = await follower_of(cluster)
        await follower.server.call(PutRequest(key=b"k", value=b"v"), CALLER)
        follower = await restart_spoiled(cluster, tmp_path, follower, statement)
        leader = await cluster.leader()
        assert await leader.corruption.check() == [follower.options.member.ID]
        assert leader.machine.alarms == raised(follower)
        with pytest.raises(errors.Corrupt):
            await leader.server.call(PutRequest(key=b"k"), CALLER)
        assert (await leader.server.call(RangeRequest(key=b"k"), CALLER)).kvs[0].value == b"v"
        index = leader.machine.applied_index
        assert await leader.corruption.check() == [follower.options.member.ID]
        assert leader.machine.applied_index == index, "the alarm is raised already"


async def test_a_leader_that_differs_from_the_majority_accuses_itself(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        spoiled = await follower_of(cluster)
        await spoiled.server.call(PutRequest(key=b"k", value=b"v"), CALLER)
        spoiled = await restart_spoiled(cluster, tmp_path, spoiled)
        await (await cluster.leader()).node.hand_over(spoiled.options.member.ID, 1.0)
        assert await cluster.leader() is spoiled
        assert await spoiled.corruption.check() == [spoiled.options.member.ID]
        assert spoiled.machine.alarms == raised(spoiled)


async def test_a_check_runs_each_interval_on_the_leader(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, corrupt_check_time=0.02) as cluster:
        follower = await follower_of(cluster)
        await follower.server.call(PutRequest(key=b"k", value=b"v"), CALLER)
        follower = await restart_spoiled(cluster, tmp_path, follower)
        leader = await cluster.leader()
        await turns_until(lambda: leader.machine.alarms)
        assert leader.machine.alarms == raised(follower)


async def test_what_is_written_and_compacted_meanwhile_is_no_difference(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        leader = await cluster.leader()

        async def write() -> None:
            while True:
                await leader.server.call(PutRequest(key=b"k"), CALLER)
                await leader.server.call(CompactionRequest(revision=leader.machine.revision), CALLER)

        writing = asyncio.create_task(write())
        for _ in range(20):
            assert await leader.corruption.check() == []
        writing.cancel()


class Parts:
    """A leader with two others, who say what the test wants, one after the other."""

    def __init__(self, *claims: Claim | Exception | bytes, own: Sequence[Claim] = ()) -> None:
        """`own`: what it finds itself, again and again; by default what the first other says."""
        first = claims[0] if claims else None
        self.own = list(own) or [first if isinstance(first, Claim) else Claim(7, -1, 10)]
        self.claims = dict(enumerate(claims, start=2))
        self.machine = SimpleNamespace(
            members=tuple(Record(number) for number in range(1, 2 + len(claims))),
            alarms=(),
            applied_index=9,
            revision=7,
            compact_revision=-1,
        )
        self.options = SimpleNamespace(member=Record(1), request_timeout=1.0, corrupt_check_time=0.0)
        self.node = SimpleNamespace(leader=1)
        self.reads = self
        self.confirmed: errors.EtcdError | None = None
        self.refusal: errors.EtcdError | None = None
        self.raised: list[int] = []
        self.hashed = 0
        parts = cast("Any", self)  # Any: it is a replica, a hash, proposals and a transport
        self.corruption = Corruption(parts, parts, parts, parts)

    async def barrier(self) -> None:
        if self.confirmed is not None:
            raise self.confirmed

    async def at(self, revision: int) -> KvHash:
        claim = self.own[min(self.hashed, len(self.own) - 1)]
        self.hashed += 1
        if claim.problem:
            known = {kind.__name__: kind for kind in (DatabaseUnsound, errors.Compacted)}
            raise known[claim.problem](claim.text)
        return KvHash(claim.hash, claim.compact_revision, revision)

    async def propose(self, request: AlarmRequest) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.raised.append(request.memberID)

    async def call(self, member_id: int, _body: bytes, path: str) -> bytes:
        assert path == HASH_PATH
        said = self.claims[member_id]
        if isinstance(said, Exception):
            raise said
        return said if isinstance(said, bytes) else msgspec.msgpack.encode(said)


SAME, OTHER, COMPACTED = Claim(7, -1, 10), Claim(7, -1, 20), Claim(7, 6, 0, "Compacted")


@pytest.mark.parametrize(
    ("claims", "found"),
    [
        pytest.param((SAME, SAME), [], id="equal"),
        pytest.param((SAME, OTHER), [3], id="another hash"),
        pytest.param((OTHER, OTHER), [1], id="the leader has another hash"),
        pytest.param((SAME, Claim(8, -1, 10)), [3], id="ahead"),
        pytest.param((SAME, Claim(7, 5, 10)), [3], id="its compaction is ahead"),
        pytest.param((SAME, Claim(6, -1, 0, "FutureRev")), [3], id="behind though it has caught up"),
        pytest.param((SAME, Claim(7, -1, 0, "DatabaseUnsound", "malformed")), [3], id="damaged"),
        pytest.param((SAME, PeerUnreachable("gone")), [], id="unreachable"),
        pytest.param((SAME, Refused(404, "not found")), [], id="of a version without this"),
        pytest.param((SAME, b"what?"), [], id="unreadable"),
        pytest.param((SAME, Claim(7, -1, 0, "NotCurrent", "timed out")), [], id="it cannot catch up"),
        pytest.param((), [], id="alone"),
    ],
)
async def test_what_a_leader_makes_of_answers(claims: Sequence[Claim | Exception | bytes], found: list[int]) -> None:
    parts = Parts(*claims, own=[SAME])
    assert await parts.corruption.check() == found
    assert parts.raised == found
    assert parts.hashed == 1


async def test_a_compaction_that_comes_between_has_the_check_repeated() -> None:
    compacted = Claim(7, -1, 0, "Compacted")
    parts = Parts(SAME, OTHER, own=[compacted, SAME])
    assert await parts.corruption.check() == [3]
    assert parts.hashed == 2
    parts = Parts(SAME, OTHER, own=[compacted])
    assert await parts.corruption.check() == []
    assert parts.hashed == ATTEMPTS


async def test_a_member_that_compacted_earlier_is_not_compared() -> None:
    parts = Parts(SAME, COMPACTED, own=[SAME])
    parts.machine.compact_revision = 6
    assert await parts.corruption.check() == []
    assert parts.hashed == ATTEMPTS


async def test_without_a_quorum_there_is_no_verdict() -> None:
    parts = Parts(SAME, OTHER)
    parts.confirmed = errors.Timeout()
    assert await parts.corruption.check() == []


async def test_an_alarm_is_raised_once_and_again_when_that_failed(caplog: pytest.LogCaptureFixture) -> None:
    parts = Parts(SAME, OTHER)
    parts.refusal = errors.Timeout()
    assert await parts.corruption.check() == [3]
    assert "failed to raise the CORRUPT alarm" in caplog.messages
    parts.refusal = None
    assert await parts.corruption.check() == [3]
    assert parts.raised == [3]
    parts.machine.alarms = (AlarmMember(3, AlarmType.CORRUPT),)
    assert await parts.corruption.check() == [3]
    assert parts.raised == [3]


@pytest.mark.parametrize(
    ("claims", "starts"),
    [
        pytest.param((SAME, SAME), True, id="equal"),
        pytest.param((OTHER, OTHER), False, id="both differ"),
        pytest.param((OTHER, PeerUnreachable("gone")), False, id="one differs, who is right is not known"),
        pytest.param((SAME, OTHER), True, id="it is of the majority"),
        pytest.param((PeerUnreachable("gone"), PeerUnreachable("gone")), True, id="nobody answers"),
        pytest.param((Claim(6, -1, 0, "FutureRev"), COMPACTED), True, id="nobody can compare"),
        pytest.param((Claim(9, 5, 20), Claim(9, 5, 20)), True, id="compacted since"),
    ],
)
async def test_the_check_before_the_start(claims: Sequence[Claim | Exception], starts: bool) -> None:  # noqa: FBT001 - a row
    parts = Parts(*claims, own=[SAME])
    if starts:
        await parts.corruption.check_at_start()
    else:
        with pytest.raises(CorruptionFound, match="1 found data inconsistency with peers: 2"):
            await parts.corruption.check_at_start()
    assert parts.raised == []


async def test_a_damaged_member_does_not_start_and_accuses_itself() -> None:
    parts = Parts(SAME, SAME, own=[Claim(7, -1, 0, "DatabaseUnsound", "database disk image is malformed")])
    with pytest.raises(CorruptionFound, match="cannot be read: database disk image is malformed"):
        await parts.corruption.check_at_start()
    assert await parts.corruption.check() == [1]


async def test_an_empty_member_has_nothing_to_compare() -> None:
    parts = Parts(OTHER, OTHER, own=[SAME])
    parts.machine.applied_index = 0
    await parts.corruption.check_at_start()
    assert parts.hashed == 0


async def test_a_compaction_is_compared_until_all_have_answered() -> None:
    parts = Parts(SAME, PeerUnreachable("gone"))
    assert await parts.corruption.check_compaction() == ()
    assert parts.hashed == 0, "there was none"
    parts.machine.compact_revision = 6
    parts.own[0] = parts.claims[2] = Claim(7, 6, 10)
    for _ in range(2):
        assert await parts.corruption.check_compaction() == []
    parts.claims[3] = Claim(7, 6, 10)
    assert await parts.corruption.check_compaction() == []
    assert parts.hashed == 3
    assert await parts.corruption.check_compaction() == ()
    assert parts.hashed == 3


async def test_behind_a_compaction_without_a_majority_nobody_is_named() -> None:
    parts = Parts(Claim(7, 6, 20), PeerUnreachable("gone"), own=[Claim(7, 6, 10)])
    parts.machine.compact_revision = 6
    assert await parts.corruption.check_compaction() == [0]
    assert parts.raised == [0]


async def answered(parts: Parts, *question: object) -> Claim:
    return msgspec.msgpack.decode(await parts.corruption.answer(msgspec.msgpack.encode(question)), type=Claim)


async def test_a_member_answers_what_it_has() -> None:
    parts = Parts(own=[SAME])
    assert await answered(parts, 7, False) == SAME
    parts.confirmed = errors.Timeout()
    assert (await answered(parts, 7, True)).problem == "NotCurrent"
    assert await answered(parts, 7, False) == SAME
    assert (await answered(parts, "7")).problem == "Unreadable"


async def test_who_does_not_answer_is_not_compared(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        follower = await follower_of(cluster)
        await cluster.stop(follower)
        leader = await cluster.leader()
        assert await leader.corruption.check() == []


async def test_a_compaction_is_compared_once(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        follower = await follower_of(cluster)
        for value in (b"a", b"b", b"c"):
            await follower.server.call(PutRequest(key=b"k", value=value), CALLER)
        leader = await cluster.leader()
        assert await leader.corruption.check_compaction() == ()
        await leader.server.call(CompactionRequest(revision=3), CALLER)
        assert await leader.corruption.check_compaction() == []
        assert await leader.corruption.check_compaction() == ()
        follower = await restart_spoiled(
            cluster, tmp_path, follower, "UPDATE history SET value = x'00' WHERE id >> 24 = 3"
        )
        leader = await cluster.leader()
        await leader.server.call(CompactionRequest(revision=4), CALLER)
        assert await leader.corruption.check_compaction() == [], "that row is no more"


async def test_a_compaction_behind_which_two_of_two_differ_alarms_nobody_by_name(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, compact_hash_check_time=0.02) as cluster:
        follower = await follower_of(cluster)
        await follower.server.call(PutRequest(key=b"k", value=b"v"), CALLER)
        follower = await restart_spoiled(cluster, tmp_path, follower)
        leader = await cluster.leader()
        third = next(member for member in cluster.members if member not in (leader, follower))
        await cluster.stop(third)
        await leader.server.call(CompactionRequest(revision=2), CALLER)
        await turns_until(lambda: leader.machine.alarms)
        assert leader.machine.alarms == (AlarmMember(0, AlarmType.CORRUPT),)


async def test_a_member_that_differs_does_not_start(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        follower = await follower_of(cluster)
        record = follower.options.member
        await follower.server.call(PutRequest(key=b"k", value=b"v"), CALLER)
        await cluster.stop(follower)
        spoil(tmp_path / record.name)
        member = open_member(
            ChanceEnv(1),
            tmp_path / record.name,
            replace(cluster.settings(record), initial_corrupt_check=True),
            connect=lambda callbacks: LocalTransport(cluster.network, record.ID, callbacks),
        )
        with pytest.raises(CorruptionFound, match=f"{record.ID:x} found data inconsistency with peers: a., a."):
            await member.run(asyncio.Event())
        await member.close()


async def test_members_that_are_equal_start_together_and_compare(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        leader = await cluster.leader()
        await leader.server.call(PutRequest(key=b"k", value=b"v"), CALLER)
        for member in cluster.members:
            await cluster.stop(member)
        started = [cluster.start(n, lambda settings: replace(settings, initial_corrupt_check=True)) for n in range(3)]
        for event in started:
            await event.wait()
