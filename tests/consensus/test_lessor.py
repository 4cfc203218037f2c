"""The lessor on a clock that the test moves, with a log that applies at once or when the test says so."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from consensus.apply import Waiter
from consensus.lessor import IN_FLIGHT, RETRY, TURN, Lessor
from consensus.metrics import Metrics
from raftgate.api.errors import Corrupt, EtcdError, LeaseNotFound, Stopped, Timeout, TooManyRequests
from raftgate.api.kv import ResponseHeader
from raftgate.api.lease import (
    LeaseCheckpoint,
    LeaseCheckpointRequest,
    LeaseCheckpointResponse,
    LeaseGrantRequest,
    LeaseRevokeRequest,
    LeaseRevokeResponse,
)
from raftgate.api.message import Request
from storage.lease import Lease, Leases
from tests.fakes.member import options

pytestmark = pytest.mark.anyio

AnyRequest = Request[Any]  # Any: whatever answers it


class Bench:
    """A lessor that leads, with turns each tenth of a second."""

    def __init__(self, *leases: Lease) -> None:
        self.mono = 1000.0
        self.registry = CollectorRegistry()
        self.leases = Leases()
        self.leases.load(leases)
        self.holding = False
        self.refusing: EtcdError | None = None
        self.failing: EtcdError | None = None
        self.proposed: list[tuple[float, AnyRequest]] = []
        self.held: list[tuple[AnyRequest, Waiter]] = []
        settings = options()
        self.lessor = Lessor(self.leases, self.submit, lambda: self.mono, settings, Metrics(self.registry))
        self.lessor.promote(0.0)

    def submit(self, request: AnyRequest) -> Waiter:
        if self.refusing is not None:
            raise self.refusing
        self.proposed.append((round(self.mono - 1000, 3), request))
        waiter: Waiter = asyncio.get_running_loop().create_future()
        self.held.append((request, waiter))
        if not self.holding:
            asyncio.get_running_loop().call_soon(self.apply)
        return waiter

    def apply(self) -> None:
        """Applies the oldest entry."""
        if not self.held:
            return
        request, waiter = self.held.pop(0)
        if self.failing is not None:
            waiter.set_exception(self.failing)
        elif isinstance(request, LeaseRevokeRequest):
            self.leases.remove(request.ID)
            waiter.set_result(LeaseRevokeResponse(ResponseHeader(revision=1)))
        else:
            assert isinstance(request, LeaseCheckpointRequest)
            self.leases.checkpoint(request)
            waiter.set_result(LeaseCheckpointResponse())

    async def run(self, seconds: float) -> None:
        for _ in range(round(seconds / TURN)):
            self.mono += TURN
            await self.turn()

    async def turn(self) -> None:
        await self.lessor.turn()
        for _ in range(5):
            await asyncio.sleep(0)

    def of(self, kind: type[AnyRequest]) -> list[AnyRequest]:
        return [request for _, request in self.proposed if isinstance(request, kind)]

    def count(self, name: str) -> float | None:
        return self.registry.get_sample_value(f"etcd_debugging_{name}")


async def started(call: Coroutine[Any, Any, int | None]) -> "asyncio.Task[int | None]":  # Any: of no concern
    """A call that has come to its first wait."""
    task = asyncio.create_task(call)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


# ---- expiry ----


async def test_what_expires_is_revoked_through_the_log_never_early() -> None:
    bench = Bench(Lease(7, 5), Lease(8, 60))
    await bench.run(4.9)
    assert bench.of(LeaseRevokeRequest) == []
    await bench.run(0.2)
    assert bench.of(LeaseRevokeRequest) == [LeaseRevokeRequest(7)]
    assert bench.proposed[-1][0] == pytest.approx(5.0, abs=TURN)
    assert [lease.id for lease in bench.leases] == [8]
    assert bench.count("server_lease_expired_total") == 1
    assert bench.count("lease_revoked_total") == 1


async def test_a_lease_that_is_kept_alive_lives_on_without_a_single_entry() -> None:
    bench = Bench(Lease(7, 6))
    for _ in range(30):
        await bench.run(2)
        assert await bench.lessor.renew(7) == 6
    assert bench.proposed == []
    assert bench.lessor.left(7) == pytest.approx(6)
    assert bench.count("lease_renewed_total") == 30


async def test_a_lease_that_is_granted_meanwhile_is_counted_too() -> None:
    bench = Bench()
    await bench.run(1)
    bench.leases.grant(LeaseGrantRequest(2, 7))
    assert bench.lessor.left(7) == pytest.approx(2)
    await bench.run(1.9)
    assert bench.of(LeaseRevokeRequest) == []
    await bench.run(0.2)
    assert bench.of(LeaseRevokeRequest) == [LeaseRevokeRequest(7)]
    assert bench.count("lease_granted_total") == 1
    assert bench.count("lease_ttl_total_sum") == 2


async def test_ten_thousand_leases_that_expire_in_one_second_are_gone_a_second_later() -> None:
    bench = Bench(*(Lease(n, 60) for n in range(10_000)))
    for n in range(1000):  # those renewed expire over the next second
        if n % 100 == 0:
            bench.mono += 0.1
            await bench.turn()
        for lease_id in range(n * 10, n * 10 + 10):
            await bench.lessor.renew(lease_id)
    deadlines = {timer.lease_id: timer.deadline for timer in bench.lessor.timers()}
    ended: dict[int, float] = {}
    bench.leases.observer, inner = _Ends(bench, ended), bench.lessor
    await bench.run(62)
    assert len(bench.leases) == 0
    lateness = [ended[lease_id] - deadline for lease_id, deadline in deadlines.items()]
    assert min(lateness) >= -1e-6
    assert max(lateness) <= 1.0
    assert inner.timers() == []


class _Ends:
    """Passes on what it sees, and notes when leases end."""

    def __init__(self, bench: Bench, ended: dict[int, float]) -> None:
        self.bench = bench
        self.ended = ended

    def granted(self, lease: Lease) -> None:
        self.bench.lessor.granted(lease)

    def revoked(self, lease_id: int) -> None:
        self.ended[lease_id] = self.bench.mono - 1000
        self.bench.lessor.revoked(lease_id)


async def test_revocations_on_their_way_are_bounded_and_go_on_as_others_end() -> None:
    bench = Bench(*(Lease(n, 1) for n in range(2500)))
    bench.holding = True
    running = asyncio.create_task(bench.lessor.run())
    await bench.run(1.1)
    assert len(bench.proposed) == IN_FLIGHT
    bench.holding = False
    async with asyncio.timeout(10):
        while len(bench.leases):
            while bench.held:
                bench.apply()
            await asyncio.sleep(0)
    assert len(bench.proposed) == 2500
    running.cancel()


async def test_a_stall_is_given_back() -> None:
    bench = Bench(Lease(7, 2))
    await bench.run(1.9)
    assert not bench.lessor.has_stalled()
    bench.mono += 3
    assert bench.lessor.has_stalled()
    await bench.turn()
    assert not bench.lessor.has_stalled()
    assert bench.of(LeaseRevokeRequest) == []
    assert await bench.lessor.renew(7) == 2
    await bench.run(1.9)
    assert bench.of(LeaseRevokeRequest) == []


# ---- what goes wrong with revocations ----


async def test_a_revocation_that_fails_is_tried_again_after_a_while() -> None:
    bench = Bench(Lease(7, 1))
    bench.failing = Corrupt()
    await bench.run(1.1)
    assert len(bench.proposed) == 1
    await bench.run(RETRY - 2 * TURN)
    assert len(bench.proposed) == 1
    bench.failing = None
    await bench.run(3 * TURN)
    assert len(bench.proposed) == 2
    assert len(bench.leases) == 0
    assert bench.count("server_lease_expired_total") == 1


async def test_a_lease_that_somebody_else_has_revoked_is_let_be() -> None:
    bench = Bench(Lease(7, 1))
    bench.failing = LeaseNotFound()
    await bench.run(3)
    assert len(bench.proposed) == 1


async def test_revocations_that_are_not_taken_wait_for_the_next_turn() -> None:
    bench = Bench(Lease(7, 1), Lease(8, 1))
    bench.refusing = TooManyRequests()
    await bench.run(1.5)
    assert (bench.proposed, len(bench.leases)) == ([], 2)
    bench.refusing = None
    await bench.run(TURN)
    assert len(bench.leases) == 0


# ---- renewals ----


async def test_there_is_nothing_to_renew_of_an_unknown_lease() -> None:
    assert await Bench().lessor.renew(7) == 0


async def test_an_expired_lease_is_not_revived_and_its_renewal_waits_for_the_end() -> None:
    bench = Bench(Lease(7, 1))
    bench.holding = True
    await bench.run(1.1)
    assert bench.lessor.left(7) == 0
    renewals = [await started(bench.lessor.renew(7)) for _ in range(2)]
    assert not any(renewal.done() for renewal in renewals)
    renewals[0].cancel()
    await asyncio.wait([renewals[0]])
    bench.apply()
    assert await renewals[1] == 0
    assert bench.count("lease_renewed_total") == 0


async def test_a_renewal_that_waits_is_told_when_somebody_else_leads() -> None:
    bench = Bench(Lease(7, 1))
    bench.holding = True
    await bench.run(1.1)
    renewal = await started(bench.lessor.renew(7))
    bench.lessor.demote()
    assert await renewal is None
    assert await bench.lessor.renew(7) is None


# ---- notes ----


async def test_what_is_left_is_noted_in_few_entries() -> None:
    bench = Bench(*(Lease(n, 60) for n in range(2500)))
    await bench.run(20.3)
    notes = bench.of(LeaseCheckpointRequest)
    assert [len(note.checkpoints) for note in notes if isinstance(note, LeaseCheckpointRequest)] == [1000, 1000, 500]
    assert {lease.remaining_ttl for lease in bench.leases} == {40}
    bench.lessor.promote(1.0)
    assert {round(bench.lessor.left(n), 6) for n in range(2500)} == {41}


async def test_a_renewal_is_answered_when_the_note_is_taken_back() -> None:
    bench = Bench(Lease(7, 60, 40), Lease(8, 60, 40), Lease(9, 60))
    bench.holding = True
    renewals = [await started(bench.lessor.renew(lease_id)) for lease_id in (7, 8, 8, 9)]
    assert [renewal.done() for renewal in renewals] == [False, False, False, True]
    assert bench.lessor.left(7) == pytest.approx(60)  # it must not expire meanwhile
    while bench.held:
        bench.apply()
    assert [await renewal for renewal in renewals] == [60, 60, 60, 60]
    assert [lease.remaining_ttl for lease in bench.leases] == [0, 0, 0]
    bench.holding = False
    bench.proposed.clear()
    assert await bench.lessor.renew(7) == 60
    assert bench.proposed == []


async def test_renewals_of_one_turn_of_the_loop_share_an_entry() -> None:
    bench = Bench(*(Lease(n, 60, 40) for n in range(100)))
    assert set(await asyncio.gather(*(bench.lessor.renew(n) for n in range(100)))) == {60}
    assert bench.of(LeaseCheckpointRequest) == [LeaseCheckpointRequest(tuple(LeaseCheckpoint(n) for n in range(100)))]


async def test_a_note_on_its_way_is_taken_back_too() -> None:
    bench = Bench(Lease(7, 6))
    bench.holding = True
    await bench.run(2.2)
    assert bench.of(LeaseCheckpointRequest) == [LeaseCheckpointRequest((LeaseCheckpoint(7, 4),))]
    renewal = await started(bench.lessor.renew(7))
    bench.apply()
    assert [lease.remaining_ttl for lease in bench.leases] == [4]
    assert not renewal.done()
    bench.apply()
    assert await renewal == 6
    assert [lease.remaining_ttl for lease in bench.leases] == [0]


async def test_a_renewal_fails_when_the_note_cannot_be_taken_back() -> None:
    bench = Bench(Lease(7, 60, 40))
    bench.failing = Timeout()
    with pytest.raises(Timeout):
        await bench.lessor.renew(7)
    bench.failing, bench.refusing = None, TooManyRequests()
    with pytest.raises(TooManyRequests):
        await bench.lessor.renew(7)
    bench.refusing = None
    assert await bench.lessor.renew(7) == 60
    assert [lease.remaining_ttl for lease in bench.leases] == [0]


async def test_one_who_leaves_takes_nobody_along() -> None:
    bench = Bench(Lease(7, 60, 40), Lease(8, 60, 40))
    bench.holding = True
    one, other = await started(bench.lessor.renew(7)), await started(bench.lessor.renew(8))
    one.cancel()
    await asyncio.wait([one])
    while bench.held:
        bench.apply()
    assert await other == 60


async def test_a_note_that_is_not_taken_is_left_out() -> None:
    bench = Bench(Lease(7, 60))
    bench.refusing = TooManyRequests()
    await bench.run(25)
    bench.refusing = None
    await bench.run(20)
    assert bench.of(LeaseCheckpointRequest) == [LeaseCheckpointRequest((LeaseCheckpoint(7, 20),))]


# ---- promotion ----


async def test_only_a_leader_counts() -> None:
    bench = Bench(Lease(7, 5))
    bench.lessor.demote()
    assert (bench.lessor.timers(), bench.lessor.left(7)) == ([], 0)
    bench.leases.grant(LeaseGrantRequest(5, 8))
    await bench.run(10)
    assert bench.proposed == []
    bench.lessor.promote(1.0)
    assert [timer.lease_id for timer in bench.lessor.timers()] == [7, 8]
    assert bench.lessor.left(7) == bench.lessor.left(8) == 6


async def test_a_stop_is_no_reason_to_try_again() -> None:
    bench = Bench(Lease(7, 1))
    bench.failing = Stopped()
    await bench.run(1.1)
    bench.lessor.demote()
    await bench.run(RETRY + 2 * TURN)
    assert len(bench.proposed) == 1


async def test_leases_of_another_store_are_counted_from_then_on() -> None:
    bench, other = Bench(Lease(8, 30)), Leases()
    other.load([Lease(9, 30)])
    lessor = bench.lessor
    lessor.restore(other)
    assert not lessor.promoted.is_set()
    lessor.promote(0.0)
    assert [timer.lease_id for timer in lessor.timers()] == [9]
