"""The Lease service of a whole member, on a clock that the test moves."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from consensus.leases import SORT_AT_ONCE, least_ttl
from consensus.lessor import TURN
from consensus.member import Member
from consensus.options import Options
from raftgate.api import errors
from raftgate.api.cluster import Member as Record
from raftgate.api.cluster import MemberAdded
from raftgate.api.kv import DeleteRangeRequest, PutRequest, RangeRequest, ResponseHeader
from raftgate.api.lease import (
    LeaseGrantRequest,
    LeaseKeepAliveRequest,
    LeaseKeepAliveResponse,
    LeaseLeasesRequest,
    LeaseRevokeRequest,
    LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
)
from raftgate.api.maintenance import AlarmAction, AlarmRequest, AlarmType
from raftgate.api.message import Caller, Message, Request
from tests.fakes.cluster import cluster_of
from tests.fakes.env import FakeEnv
from tests.fakes.member import RECORD, open_member, running

pytestmark = pytest.mark.anyio

OPTIONS = Options(member=RECORD, cluster_id=0xC1)
"""Timing as by default."""
CALLER = Caller()
MAX_INT64 = 2**63 - 1

R = TypeVar("R", bound=Message)


def header(revision: int, term: int = 2) -> ResponseHeader:
    return ResponseHeader(0xC1, RECORD.ID, revision, term)


def follower_header(member: Member) -> ResponseHeader:
    return ResponseHeader(0xC1, member.options.member.ID, member.machine.revision, member.node.term)


async def call(member: Member, request: Request[R]) -> R:
    return await member.server.call(request, CALLER)


async def pass_time(member: Member, env: FakeEnv, seconds: float) -> None:
    """Moves the clock in steps that are no stalls; what falls due meanwhile is applied."""
    for _ in range(round(seconds / TURN)):
        env.now += TURN
        await member.lessor.turn()
        await member.reads.barrier()


async def leases(member: Member) -> list[int]:
    return [lease.ID for lease in (await call(member, LeaseLeasesRequest())).leases]


# ---- grant and revoke ----


@pytest.mark.parametrize(
    ("ttl", "granted"), [(60, 60), (3, 3), (2, 2), (1, 2), (0, 2), (-5, 2), (9_000_000_000, 9_000_000_000)], ids=str
)
@pytest.mark.parametrize("lease_id", [7, -7, MAX_INT64, -(2**63)])
async def test_a_grant_answers_id_and_ttl_which_has_a_least_value(
    tmp_path: Path, lease_id: int, ttl: int, granted: int
) -> None:
    async with running(FakeEnv(), tmp_path, OPTIONS) as member:
        answer = await call(member, LeaseGrantRequest(ttl, lease_id))
        assert (answer.header, answer.ID, answer.TTL, answer.error) == (header(1), lease_id, granted, "")
        kept = await call(member, LeaseTimeToLiveRequest(lease_id))
        assert kept.grantedTTL == granted


async def test_without_an_id_the_server_picks_a_positive_one(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path, OPTIONS) as member:
        picked = {(await call(member, LeaseGrantRequest(60))).ID for _ in range(20)}
        assert len(picked) == 20
        assert all(0 < lease_id <= MAX_INT64 for lease_id in picked)


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        pytest.param(LeaseGrantRequest(60, 7), errors.LeaseExist, id="id in use"),
        pytest.param(LeaseGrantRequest(9_000_000_001, 8), errors.LeaseTTLTooLarge, id="TTL too large"),
        pytest.param(LeaseGrantRequest(MAX_INT64), errors.LeaseTTLTooLarge, id="TTL much too large"),
        pytest.param(LeaseRevokeRequest(8), errors.LeaseNotFound, id="revoke of an unknown lease"),
        pytest.param(LeaseRevokeRequest(), errors.LeaseNotFound, id="revoke of none"),
        pytest.param(PutRequest(b"k", lease=8), errors.LeaseNotFound, id="put with an unknown lease"),
    ],
)
async def test_what_is_refused(tmp_path: Path, request_: Request[Message], error: type[errors.EtcdError]) -> None:
    async with running(FakeEnv(), tmp_path, OPTIONS) as member:
        await call(member, LeaseGrantRequest(60, 7))
        with pytest.raises(error):
            await call(member, request_)
        assert await leases(member) == [7]
        assert member.machine.revision == 1


async def test_a_revocation_answers_the_revision_of_the_deletion(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path, OPTIONS) as member:
        for lease_id in (7, 8):
            await call(member, LeaseGrantRequest(60, lease_id))
        for key in (b"b", b"a"):
            await call(member, PutRequest(key, lease=7))
        assert (await call(member, LeaseRevokeRequest(8))).header == header(3)
        assert (await call(member, LeaseRevokeRequest(7))).header == header(4)
        assert (await call(member, RangeRequest(b"\0", b"\0"))).count == 0
        assert await leases(member) == []


async def test_very_many_keys_are_revoked_while_the_loop_goes_on(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path, OPTIONS) as member:
        await call(member, LeaseGrantRequest(60, 7))
        await asyncio.gather(*(call(member, PutRequest(b"%d" % n, lease=7)) for n in range(5000)))
        revision = member.machine.revision
        revoking = asyncio.create_task(call(member, LeaseRevokeRequest(7)))
        while member.applier.whole.is_set():  # noqa: ASYNC110 - it is cleared, not set
            await asyncio.sleep(0)
        assert not revoking.done()  # others had a turn in the middle of it
        assert await call(member, LeaseKeepAliveRequest(7)) == LeaseKeepAliveResponse(
            header(revision), 7, 60
        )  # still there
        assert (await revoking).header == header(revision + 1)
        assert (await call(member, RangeRequest(b"\0", b"\0"))).count == 0


async def test_without_space_grants_are_refused_and_revocations_are_not(tmp_path: Path) -> None:
    raising = AlarmRequest(AlarmAction.ACTIVATE, RECORD.ID + 1, AlarmType.NOSPACE)
    async with running(FakeEnv(), tmp_path, OPTIONS) as member:
        await call(member, LeaseGrantRequest(60, 7))
        await call(member, PutRequest(b"k", lease=7))
        await call(member, raising)
        with pytest.raises(errors.NoSpace):
            await call(member, LeaseGrantRequest(60, 8))
        assert (await call(member, LeaseKeepAliveRequest(7))).TTL == 60
        assert (await call(member, LeaseRevokeRequest(7))).header == header(3)


async def test_a_grant_counts_against_the_quota(tmp_path: Path) -> None:
    settings = replace(OPTIONS, quota_bytes=10)
    async with running(FakeEnv(), tmp_path, settings) as member:
        with pytest.raises(errors.NoSpace):
            await call(member, LeaseGrantRequest(60, 7))
        assert [alarm.alarm for alarm in member.machine.alarms] == [AlarmType.NOSPACE]


# ---- time to live, leases ----


async def test_time_to_live(tmp_path: Path) -> None:
    env = FakeEnv()
    async with running(env, tmp_path, OPTIONS) as member:
        await call(member, LeaseGrantRequest(60, 7))
        for key in (b"b", b"a"):
            await call(member, PutRequest(key, lease=7))
        env.now += 0.01
        without = await call(member, LeaseTimeToLiveRequest(7))
        assert without == LeaseTimeToLiveResponse(header(3), 7, 59, 60)  # rounded down
        assert (await call(member, LeaseTimeToLiveRequest(7, keys=True))).keys == (b"a", b"b")
        await call(member, DeleteRangeRequest(b"a"))
        assert (await call(member, LeaseTimeToLiveRequest(7, keys=True))).keys == (b"b",)
        await pass_time(member, env, 10)
        assert (await call(member, LeaseTimeToLiveRequest(7))).TTL == 49


async def test_very_many_keys_are_told_as_of_one_moment(tmp_path: Path) -> None:
    count = 2 * SORT_AT_ONCE + 5
    unhurried = replace(OPTIONS, batch_interval=3600.0)  # nobody else settles
    async with running(FakeEnv(), tmp_path, unhurried) as member:
        await call(member, LeaseGrantRequest(60, 7))
        for key in (b"s%d", b"k%d"):
            await asyncio.gather(*(call(member, PutRequest(key % n, lease=7)) for n in range(count)))
        await call(member, DeleteRangeRequest(b"s", b"t"))  # in one sweep, and not settled yet
        assert member.machine.leases.count(7) == 2 * count
        asking = asyncio.create_task(call(member, LeaseTimeToLiveRequest(7, keys=True)))
        while member.machine.leases.count(7) > count:  # noqa: ASYNC110 - others have their turns meanwhile
            await asyncio.sleep(0)
        revision = member.machine.revision
        assert not asking.done()
        await call(member, PutRequest(b"later", lease=7))
        answer = await asking
        assert answer.keys == tuple(sorted(b"k%d" % n for n in range(count)))
        assert answer.header == header(revision)


@pytest.mark.parametrize("lease_id", [0, 8, -1])
async def test_an_unknown_lease_has_minus_one(tmp_path: Path, lease_id: int) -> None:
    async with running(FakeEnv(), tmp_path, OPTIONS) as member:
        answer = await call(member, LeaseTimeToLiveRequest(lease_id, keys=True))
        assert answer == LeaseTimeToLiveResponse(header(1), lease_id, -1)


async def test_a_lease_that_has_expired_is_gone_with_its_keys(tmp_path: Path) -> None:
    env = FakeEnv()
    async with running(env, tmp_path, OPTIONS) as member:
        await call(member, LeaseGrantRequest(2, 7))
        await call(member, PutRequest(b"k", lease=7))
        await pass_time(member, env, 1.9)
        assert await call(member, LeaseTimeToLiveRequest(7)) == LeaseTimeToLiveResponse(header(2), 7, 0, 2)
        assert (await call(member, RangeRequest(b"k"))).count == 1
        await pass_time(member, env, 0.2)
        assert (await call(member, LeaseTimeToLiveRequest(7))).TTL == -1
        assert (await call(member, LeaseKeepAliveRequest(7))) == LeaseKeepAliveResponse(header(3), 7)
        with pytest.raises(errors.LeaseNotFound):
            await call(member, PutRequest(b"k", lease=7))
        assert (await call(member, RangeRequest(b"k"))).count == 0


async def test_a_lease_that_has_expired_can_be_used_until_it_is_revoked(tmp_path: Path) -> None:
    env = FakeEnv()
    async with running(env, tmp_path, OPTIONS) as member:
        await call(member, LeaseGrantRequest(2, 7))
        await call(member, AlarmRequest(AlarmAction.ACTIVATE, 1, AlarmType.CORRUPT))  # which refuses revocations
        await pass_time(member, env, 2.2)
        assert await call(member, LeaseTimeToLiveRequest(7)) == LeaseTimeToLiveResponse(header(1), 7, 0, 2)
        waiting = asyncio.create_task(call(member, LeaseKeepAliveRequest(7)))
        await call(member, AlarmRequest(AlarmAction.DEACTIVATE, 1, AlarmType.CORRUPT))
        await call(member, PutRequest(b"k", lease=7))
        assert not waiting.done()
        await pass_time(member, env, 0.7)
        assert await waiting == LeaseKeepAliveResponse(header(3), 7)
        assert member.machine.revision == 3


async def test_leases_are_listed_soonest_first(tmp_path: Path) -> None:
    env = FakeEnv()
    async with running(env, tmp_path, OPTIONS) as member:
        for lease_id, ttl in ((1, 30), (2, 10), (3, 20), (-4, 60)):
            await call(member, LeaseGrantRequest(ttl, lease_id))
        assert await leases(member) == [2, 3, 1, -4]
        await pass_time(member, env, 5)
        await call(member, LeaseKeepAliveRequest(2))
        await call(member, LeaseKeepAliveRequest(3))
        assert await leases(member) == [2, 3, 1, -4]
        await pass_time(member, env, 7)
        await call(member, LeaseKeepAliveRequest(2))
        await pass_time(member, env, 6)
        await call(member, LeaseKeepAliveRequest(2))
        assert await leases(member) == [3, 2, 1, -4]
        member.lessor.demote()
        assert await leases(member) == [-4, 1, 2, 3]  # whoever does not count knows no better


async def test_very_many_leases_are_sorted_in_a_readers_thread(tmp_path: Path) -> None:
    env = FakeEnv()
    count = SORT_AT_ONCE + 1
    async with running(env, tmp_path, OPTIONS) as member:
        await asyncio.gather(*(call(member, LeaseGrantRequest(60 + count - n, n)) for n in range(1, count + 1)))
        env.calls.clear()
        assert await leases(member) == list(range(count, 0, -1))
        assert "_in_order" in [name for _, name in env.calls]


# ---- keepalive ----


async def test_a_renewal_answers_the_whole_ttl(tmp_path: Path) -> None:
    env = FakeEnv()
    async with running(env, tmp_path, OPTIONS) as member:
        await call(member, LeaseGrantRequest(3, 7))
        await call(member, PutRequest(b"k", lease=7))
        for _ in range(10):
            await pass_time(member, env, 1)
            assert await call(member, LeaseKeepAliveRequest(7)) == LeaseKeepAliveResponse(header(2), 7, 3)
        applied = member.machine.applied_index
        await call(member, LeaseKeepAliveRequest(7))
        assert member.machine.applied_index == applied  # it is not an entry
        await pass_time(member, env, 2.9)
        assert await leases(member) == [7]


@pytest.mark.parametrize("lease_id", [0, 8, -1])
async def test_a_renewal_of_an_unknown_lease_answers_no_ttl(tmp_path: Path, lease_id: int) -> None:
    async with running(FakeEnv(), tmp_path, OPTIONS) as member:
        assert await call(member, LeaseKeepAliveRequest(lease_id)) == LeaseKeepAliveResponse(header(1), lease_id)


async def test_after_a_stall_leadership_is_confirmed_before_a_renewal(tmp_path: Path) -> None:
    env = FakeEnv()
    async with running(env, tmp_path, OPTIONS) as member:
        await call(member, LeaseGrantRequest(2, 7))
        rounds = member.reads._counter
        assert (await call(member, LeaseKeepAliveRequest(7))).TTL == 2
        assert member.reads._counter == rounds
        env.now += 30
        assert (await call(member, LeaseKeepAliveRequest(7))).TTL == 2
        assert member.reads._counter == rounds + 1


# ---- leaders ----

RENEW_AND_ASK: list[Request[Any]] = [LeaseKeepAliveRequest(7), LeaseTimeToLiveRequest(7)]  # Any: by request


async def test_without_a_leader_renewals_and_times_are_refused_in_the_end(tmp_path: Path) -> None:
    settings = replace(OPTIONS, heartbeat_interval=-0.245, election_timeout=-2.45)  # a request timeout of a tenth
    member = open_member(FakeEnv(), tmp_path, settings)
    for request in RENEW_AND_ASK:
        with pytest.raises(errors.NoLeader):
            await call(member, request)
    await member.close()


async def test_a_follower_asks_the_leader(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        leader = await cluster.leader()
        follower = next(member for member in cluster.members if member is not leader)
        granted = await call(follower, LeaseGrantRequest(60))
        await call(follower, PutRequest(b"k", lease=granted.ID))
        renewed = await call(follower, LeaseKeepAliveRequest(granted.ID))
        assert (renewed.ID, renewed.TTL) == (granted.ID, 60)
        found = await call(follower, LeaseTimeToLiveRequest(granted.ID, keys=True))
        assert (found.TTL, found.grantedTTL, found.keys) == (60, 60, (b"k",))
        for answer in (renewed, found):  # the header is of the member that was asked
            assert answer.header == follower_header(follower)
        assert (await call(follower, LeaseKeepAliveRequest(8))).TTL == 0
        assert (await call(follower, LeaseTimeToLiveRequest(8))).TTL == -1
        assert await leases(follower) == [granted.ID]


async def test_a_renewal_goes_on_with_the_next_leader(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        leader = await cluster.leader()
        others = [member for member in cluster.members if member is not leader]
        granted = await call(leader, LeaseGrantRequest(60))
        cluster.network.isolate(leader.options.member.ID)
        renewals = [asyncio.create_task(call(member, LeaseKeepAliveRequest(granted.ID))) for member in others]
        times = [asyncio.create_task(call(member, LeaseTimeToLiveRequest(granted.ID))) for member in others]
        assert [(await renewal).TTL for renewal in renewals] == [60, 60]
        assert [(await time).TTL for time in times] == [60, 60]  # its clocks stand still
        assert await cluster.leader(others) in others
        cluster.network.cut.clear()
        assert (await call(leader, LeaseKeepAliveRequest(granted.ID))).TTL == 60


async def test_a_renewal_waits_for_a_promotion(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path, OPTIONS) as member:
        await call(member, LeaseGrantRequest(60, 7))
        member.lessor.demote()
        waiting = asyncio.create_task(call(member, LeaseKeepAliveRequest(7)))
        for _ in range(3):
            await asyncio.sleep(0)
        assert not waiting.done()
        member.applier.on_term(member.node.term)
        assert (await waiting).TTL == 60


async def test_a_leader_of_several_gives_an_election_timeout_more(tmp_path: Path) -> None:
    async with running(FakeEnv(), tmp_path, OPTIONS) as member:
        await call(member, LeaseGrantRequest(60, 7))
        member.applier.on_term(member.node.term)
        assert member.lessor.left(7) == 60
        await member.server._proposals.replicate(MemberAdded(Record(0xB2, peerURLs=("http://b",))))
        member.applier.on_term(member.node.term)
        assert member.lessor.left(7) == 61


# ---- restarts ----


async def test_after_a_restart_leases_have_their_time_anew_or_what_was_noted(tmp_path: Path) -> None:
    env = FakeEnv()
    async with running(env, tmp_path, OPTIONS) as member:
        await call(member, LeaseGrantRequest(60, 7))
        await call(member, LeaseGrantRequest(6000, 8))
        await pass_time(member, env, 22)
        await call(member, LeaseGrantRequest(60, 9))
        await call(member, PutRequest(b"k", lease=7))
    async with running(env, tmp_path, OPTIONS) as member:
        assert [member.lessor.left(lease_id) for lease_id in (7, 8, 9)] == [40, 6000, 60]
        assert (await call(member, LeaseTimeToLiveRequest(7, keys=True))).keys == (b"k",)
        assert (await call(member, LeaseKeepAliveRequest(7))).TTL == 60
    async with running(env, tmp_path, OPTIONS) as member:
        assert member.lessor.left(7) == 60  # the note was taken back
        await call(member, LeaseRevokeRequest(7))
    async with running(env, tmp_path, OPTIONS) as member:
        assert await leases(member) == [9, 8]
        assert member.machine.revision == 3


@pytest.mark.parametrize(
    ("election", "heartbeat", "ttl"),
    [(1.0, 0.1, 2), (0.1, 0.01, 1), (5.0, 0.5, 8), (1.1, 0.1, 2), (0.5, 0.1, 1), (50.0, 0.1, 75)],
    ids=str,
)
def test_the_least_ttl_is_one_and_a_half_election_timeouts(election: float, heartbeat: float, ttl: int) -> None:
    assert least_ttl(Options(RECORD, 1, heartbeat, election)) == ttl
