"""Lease time on a clock that the test moves: never early, little late, forgiving, noted, spread."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.lease_clock import MOST_TOGETHER, LeaseClock, Timer
from raftgate.api.lease import LeaseCheckpoint
from storage.lease import MAX_TTL, Lease

STEP = 0.125  # exact, so that moments are
SLACK = 0.75


class Clock:
    """A lease clock that turns each eighth of a second, with what its turns have found."""

    def __init__(self, *leases: Lease, extension: float = 0.0) -> None:
        self.mono = 1000.0
        self.clock = LeaseClock(lambda: self.mono, between=STEP, tolerance=STEP, slack=SLACK)
        self.clock.start(leases, extension)
        self.expired: dict[int, float] = {}
        self.notes: list[tuple[float, int, int]] = []  # moment, lease, rest

    @property
    def passed(self) -> float:
        return self.mono - 1000.0

    def turn(self) -> None:
        is_complete = False
        while not is_complete:
            turn = self.clock.turn(100)
            is_complete = turn.is_complete
            self.expired |= dict.fromkeys(turn.expired, self.passed)
            self.notes += [(round(self.passed, 3), note.ID, note.remaining_TTL) for note in turn.notes]

    def run(self, seconds: float) -> None:
        end = self.mono + seconds
        while self.mono < end - 1e-9:
            self.mono += min(STEP, end - self.mono)
            self.turn()

    def timer(self, lease_id: int = 7) -> Timer:
        timer = self.clock.get(lease_id)
        assert timer is not None
        return timer


@pytest.mark.parametrize("ttl", [1, 2, 10, 61])
def test_a_lease_ends_after_its_time_and_within_a_turn(ttl: int) -> None:
    clock = Clock(Lease(7, ttl))
    clock.run(ttl - 0.01)
    assert clock.expired == {}
    assert clock.clock.left(clock.timer()) == pytest.approx(0.01)
    clock.run(0.2)
    assert ttl <= clock.expired[7] <= ttl + STEP
    assert clock.timer().is_expired
    assert clock.clock.left(clock.timer()) == 0
    clock.run(5)
    assert len(clock.expired) == 1  # told once; the lease stays until its revocation is applied
    clock.clock.remove(7)
    assert len(clock.clock) == 0


def test_a_new_lease_has_its_time_from_the_grant_on() -> None:
    clock = Clock()
    clock.run(3)
    clock.mono += 0.05
    clock.clock.add(Lease(7, 5))
    clock.run(5)
    assert clock.expired == {7: pytest.approx(8.05, abs=1e-6)}


def test_a_renewed_lease_lives_on_without_a_note() -> None:
    clock = Clock(Lease(7, 6))
    for _ in range(30):  # ten times its TTL
        clock.run(2)
        clock.clock.renew(clock.timer())
    assert (clock.expired, clock.notes) == ({}, [])
    clock.run(6.1)
    assert clock.expired == {7: pytest.approx(66.0, abs=STEP)}


def test_between_two_turns_a_lease_that_is_over_can_still_be_renewed() -> None:
    clock = Clock(Lease(7, 1))
    clock.run(0.95)
    clock.mono += 0.1
    assert not clock.timer().is_expired  # a turn decides that
    clock.clock.renew(clock.timer())
    clock.run(0.9)
    assert clock.expired == {}


# ---- stalls ----


def test_time_in_which_the_loop_stood_still_does_not_count() -> None:
    clock = Clock(Lease(7, 2), Lease(8, 10))
    clock.run(1.875)
    clock.mono += 3.0
    clock.turn()
    assert clock.expired == {}
    clock.run(STEP)
    assert clock.expired == {7: 5.0}
    clock.run(8)
    assert clock.expired[8] == pytest.approx(13.0, abs=STEP)


def test_after_a_stall_what_was_received_is_served_first() -> None:
    clock = Clock(Lease(7, 2))
    clock.run(1.99)
    clock.mono += 3.0
    assert clock.clock.left(clock.timer()) == 0
    assert clock.clock.stalled == pytest.approx(3.0 - STEP)
    clock.mono += 0.05  # for others that came before it
    clock.clock.renew(clock.timer())
    clock.turn()
    assert (clock.clock.stalled, clock.expired) == (0, {})
    clock.run(1.9)
    assert clock.expired == {}
    clock.run(0.2)
    assert clock.expired == {7: pytest.approx(1.99 + 3.05 + 2.0, abs=STEP)}


def test_a_turn_that_is_a_little_late_counts() -> None:
    clock = Clock(Lease(7, 2))
    clock.run(1.875)
    clock.mono += 0.25
    clock.turn()
    assert clock.expired == {7: 2.125}


# ---- promotion ----


def test_who_begins_to_count_gives_all_time_anew_or_what_was_noted() -> None:
    clock = Clock(Lease(7, 60), Lease(8, 60, 41), extension=1.0)
    assert [clock.clock.left(clock.timer(lease)) for lease in (7, 8)] == [61, 42]
    assert [clock.timer(lease).note for lease in (7, 8)] == [0, 1]
    clock.run(30)
    clock.clock.start([Lease(7, 60), Lease(8, 60, 40)], extension=0.0)
    assert [clock.clock.left(clock.timer(lease)) for lease in (7, 8)] == [60, 40]
    assert [timer.lease_id for timer in clock.clock.timers()] == [7, 8]
    clock.clock.clear()
    assert clock.clock.get(7) is None
    clock.run(100)
    assert clock.expired == {}


def test_a_renewal_takes_nothing_away() -> None:
    clock = Clock(Lease(7, 60), extension=1.0)
    clock.clock.renew(clock.timer())
    assert clock.clock.left(clock.timer()) == 61


def test_very_many_that_would_end_together_are_spread() -> None:
    count = 2 * MOST_TOGETHER + 500
    clock = Clock(*(Lease(n, 5 if n % 2 else 6) for n in range(count)))
    lefts = sorted(clock.clock.left(timer) for timer in clock.clock.timers())
    assert lefts[0] == 5
    assert lefts[-1] == 7
    for n in range(count - MOST_TOGETHER):
        assert lefts[n + MOST_TOGETHER] - lefts[n] >= 1.0
    assert all(clock.clock.left(timer) >= timer.ttl for timer in clock.clock.timers())


def test_as_many_as_can_be_revoked_are_not_spread() -> None:
    clock = Clock(*(Lease(n, 5) for n in range(MOST_TOGETHER)))
    assert {clock.clock.left(timer) for timer in clock.clock.timers()} == {5}


# ---- notes ----


def test_what_is_left_is_noted_each_third_of_the_ttl() -> None:
    clock = Clock(Lease(7, 60))
    clock.run(61)
    assert clock.notes == [(20.75, 7, 40), (40.75, 7, 20)]
    assert clock.timer().note == 2


def test_what_is_left_is_noted_each_five_minutes_at_most() -> None:
    clock = Clock(Lease(7, MAX_TTL))
    clock.run(950)
    assert clock.notes == [(n * 300 + 0.75, 7, MAX_TTL - n * 300) for n in (1, 2, 3)]


def test_notes_are_whole_seconds_rounded_up() -> None:
    clock = Clock(Lease(7, 10))
    clock.run(9.9)
    assert clock.notes == [(4.125, 7, 6), (8.125, 7, 2)]


def test_an_extended_lease_is_not_noted_with_more_than_its_ttl() -> None:
    clock = Clock(Lease(7, 60), extension=30.0)
    clock.run(50)
    assert clock.notes == [(41.5, 7, 49)]


@settings(deadline=None, max_examples=300)
@given(
    ttl=st.integers(1, 100),
    renewals=st.lists(st.floats(0.01, 40), max_size=4),
    until_crash=st.lists(st.floats(0, 120), min_size=1, max_size=3),
)
def test_across_crashes_a_lease_is_never_early_and_little_late(
    ttl: int, renewals: list[float], until_crash: list[float]
) -> None:
    """Each crash costs at most an interval, by which its note may be old; renewals take notes back."""
    lease = Lease(7, ttl)
    clock = Clock(lease)

    def run(seconds: float) -> bool:
        nonlocal lease
        clock.run(seconds)
        if clock.notes:
            lease = Lease(7, ttl, clock.notes[-1][2])
        clock.notes.clear()
        return 7 in clock.expired

    renewed = 0.0
    for wait in renewals:
        if run(wait):
            break
        clock.clock.renew(clock.timer())
        lease, renewed = Lease(7, ttl), clock.passed
    crashes = 0
    for wait in until_crash:
        if 7 in clock.expired or run(wait):
            break
        crashes += 1
        clock.clock.start([lease], extension=0.0)
    if 7 not in clock.expired:
        run(ttl + 2 * STEP)
    lived = clock.expired[7] - renewed
    interval = max(1.0, min(ttl / 3, 300.0))
    assert lived >= ttl - 1e-6
    assert lived <= ttl + crashes * (interval + SLACK + STEP) + STEP + 1e-6


# ---- size ----


def test_leases_that_come_and_go_leave_nothing_behind() -> None:
    clock = Clock(*(Lease(n, MAX_TTL) for n in range(10)))
    for n in range(5000):
        clock.clock.add(Lease(99, MAX_TTL - n))
        clock.clock.remove(99)
    assert len(clock.clock._heap) < 1100
    assert len(clock.clock) == 10


def test_a_lease_that_took_the_id_of_another_has_its_own_time() -> None:
    clock = Clock(Lease(7, 5))
    clock.clock.remove(7)
    clock.clock.add(Lease(7, 10))
    clock.run(9.9)
    assert clock.expired == {}
    clock.run(0.2)
    assert list(clock.expired) == [7]


def test_a_turn_is_bounded() -> None:
    clock = Clock(*(Lease(n, 1) for n in range(250)))
    clock.run(0.875)
    clock.mono += STEP
    turns = [clock.clock.turn(100) for _ in range(3)]
    assert [len(turn.expired) for turn in turns] == [100, 100, 50]
    assert [turn.is_complete for turn in turns] == [False, False, True]


def test_a_note_names_the_lease() -> None:
    clock = Clock(Lease(-7, 3))
    clock.run(1.7)
    clock.mono += STEP
    turn = clock.clock.turn(1)
    assert turn.notes == [LeaseCheckpoint(-7, 2)]
