from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from consensus.raft.progress import Progress, ProgressView
from consensus.raft.types import ProgressState, ProgressStatus

PROBE, REPLICATE, SNAPSHOT = ProgressState.PROBE, ProgressState.REPLICATE, ProgressState.SNAPSHOT


def replicating(match: int = 5, max_inflight: int = 2) -> Progress:
    progress = Progress(match + 1, max_inflight, match=match)
    assert not progress.acknowledged(match, first=1)
    assert progress.state is REPLICATE
    return progress


def test_a_probe_is_one_message_at_a_time() -> None:
    progress = Progress(6, 2)
    assert progress.wants(last=8, commit=0)
    progress.sent(8, commit=0)
    assert not progress.wants(last=9, commit=9)
    assert progress.next == 6


def test_a_probe_goes_again_after_a_heartbeat_was_answered() -> None:
    progress = Progress(6, 2)
    progress.sent(8, commit=0)
    progress.answered_heartbeat(last=8)
    assert not progress.wants(last=8, commit=0), "the answer is to no heartbeat that was sent since"
    progress.sent_heartbeat(commit=0)
    progress.answered_heartbeat(last=8)
    assert progress.wants(last=8, commit=0)


def test_an_acknowledged_probe_replicates_behind_it() -> None:
    progress = Progress(6, 2)
    progress.sent(8, commit=0)
    assert progress.acknowledged(8, first=1)
    assert (progress.state, progress.match, progress.next) == (REPLICATE, 8, 9)


def test_an_old_acknowledgement_is_no_news() -> None:
    progress = replicating(5)
    progress.become_probe()
    progress.sent(7, commit=0)
    assert not progress.acknowledged(4, first=1)
    assert (progress.state, progress.match) == (PROBE, 5)
    assert not progress.acknowledged(5, first=1)
    assert progress.state is REPLICATE


def test_what_may_be_in_flight_is_bounded() -> None:
    progress = replicating(5, max_inflight=2)
    for last in (6, 8):
        assert progress.wants(last=9, commit=0)
        progress.sent(last, commit=0)
    assert progress.is_full
    assert not progress.wants(last=9, commit=9)
    assert progress.acknowledged(7, first=1)
    assert progress.wants(last=9, commit=0)
    progress.sent(9, commit=0)
    assert progress.acknowledged(9, first=1)
    assert not progress.is_full


def test_the_commit_index_is_said_once() -> None:
    progress = replicating(5)
    assert progress.wants(last=5, commit=3)
    progress.sent(5, commit=3)
    assert not progress.wants(last=5, commit=3)
    assert progress.wants(last=5, commit=4)
    progress.sent_heartbeat(4)
    assert not progress.wants(last=5, commit=4)
    progress.sent(6, commit=9)
    assert not progress.wants(last=6, commit=6), "it was said with the entries that it covers"


@pytest.mark.parametrize(
    ("refused", "hint", "after"),
    [(5, 3, 4), (5, 9, 5), (5, 0, 3), (4, 1, None), (6, 1, None)],
)
def test_a_refused_probe_goes_back(refused: int, hint: int, after: int | None) -> None:
    progress = Progress(6, 2, match=2)
    progress.sent(6, commit=0)
    assert progress.refused(refused, hint) is (after is not None)
    assert progress.next == (after or 6)
    assert progress.wants(last=9, commit=0) is (after is not None)


def test_a_refusal_while_replicating_probes_behind_what_is_known() -> None:
    progress = replicating(5)
    progress.sent(9, commit=9)
    assert not progress.refused(5, 3), "an old answer"
    assert progress.refused(9, 7)
    assert (progress.state, progress.next, progress.sent_commit) == (PROBE, 6, 5)


def test_a_snapshot_under_way() -> None:
    progress = replicating(5)
    progress.become_snapshot(20)
    assert not progress.wants(last=30, commit=30)
    assert not progress.refused(5, 0)
    progress.sent_heartbeat(5)
    progress.answered_heartbeat(last=30)
    assert not progress.wants(last=30, commit=30)


@pytest.mark.parametrize(("ok", "following"), [(True, 21), (False, 6)])
def test_a_snapshot_that_has_ended(*, ok: bool, following: int) -> None:
    progress = replicating(5)
    progress.become_snapshot(20)
    progress.snapshot_sent(ok=ok)
    assert (progress.state, progress.next) == (PROBE, following)
    assert not progress.wants(last=30, commit=30), "it waits for a sign of life"
    progress.sent_heartbeat(5)
    progress.answered_heartbeat(last=30)
    assert progress.wants(last=30, commit=30)


def test_a_snapshot_that_was_acknowledged() -> None:
    progress = replicating(5)
    progress.become_snapshot(20)
    assert progress.acknowledged(7, first=10), "the store is still needed"
    assert progress.state is SNAPSHOT
    assert progress.acknowledged(20, first=10)
    assert (progress.state, progress.next) == (REPLICATE, 21)
    progress.snapshot_sent(ok=False)
    assert progress.state is REPLICATE


def test_a_poke_goes_through_a_full_window() -> None:
    progress = replicating(5, max_inflight=1)
    progress.sent(6, commit=0)
    progress.sent_heartbeat(0)
    progress.answered_heartbeat(last=6)
    assert progress.wants(last=6, commit=0)
    progress.sent(progress.next - 1, commit=0)
    assert not progress.wants(last=6, commit=0)


def test_whoever_has_all_is_not_poked() -> None:
    progress = replicating(5)
    progress.sent_heartbeat(0)
    progress.answered_heartbeat(last=5)
    assert not progress.wants(last=5, commit=0)


def test_a_lost_message_while_replicating_probes() -> None:
    progress = replicating(5)
    progress.sent(9, commit=0)
    progress.unreachable()
    assert (progress.state, progress.next) == (PROBE, 6)
    assert progress.wants(last=9, commit=0)
    progress.sent(9, commit=0)
    progress.unreachable()
    assert not progress.wants(last=9, commit=0), "a probe waits for a sign of life"


@pytest.mark.parametrize(
    "word",
    [
        lambda progress: progress.acknowledged(0, 1),
        lambda progress: progress.refused(99, 0),
        lambda progress: progress.answered_heartbeat(0),
    ],
)
def test_each_word_is_a_sign_of_life(word: Callable[[Progress], object]) -> None:
    progress = Progress(1, 2)
    assert not progress.recent_active
    word(progress)
    assert progress.recent_active


def test_others_see_a_copy_made_when_looked_at() -> None:
    progress = {1: replicating(5), 3: Progress(9, 2)}
    view = ProgressView(progress)
    assert dict(view) == {
        1: ProgressStatus(5, 6, REPLICATE, recent_active=True),
        3: ProgressStatus(0, 9, PROBE, recent_active=False),
    }
    assert len(view) == 2
    progress[1].acknowledged(6, 1)
    assert view[1].match == 6


class Link(RuleBasedStateMachine):
    """A leader's log that grows and is cut, a follower's that is a mere index, and messages that may get lost."""

    def __init__(self) -> None:
        super().__init__()
        self.progress = Progress(1, 3)
        self.first, self.last, self.commit = 1, 1, 0
        self.durable = 0
        """What the follower has."""
        self.known = 0
        """The commit index that it knows."""
        self.sent: list[tuple[int, int, int]] = []
        self.answers: list[tuple[bool, int, int]] = []

    @rule(count=st.integers(1, 5))
    def propose(self, count: int) -> None:
        self.last += count

    @rule()
    def commit_all(self) -> None:
        self.commit = self.last

    @rule(index=st.integers(1, 100))
    def cut(self, index: int) -> None:
        self.first = max(self.first, min(index, self.commit) + 1)

    @precondition(lambda self: self.progress.wants(self.last, self.commit))
    @rule(size=st.integers(1, 4))
    def send(self, size: int) -> None:
        progress = self.progress
        if progress.next < self.first:
            progress.become_snapshot(self.commit)
            return
        last = progress.next - 1 if progress.is_full else min(self.last, progress.next - 1 + size)
        self.sent.append((progress.next - 1, last, self.commit))
        progress.sent(last, self.commit)

    @precondition(lambda self: self.sent)
    @rule(at=st.integers(0, 9), lost=st.booleans(), known=st.booleans())
    def arrive(self, at: int, *, lost: bool, known: bool) -> None:
        previous, last, commit = self.sent.pop(at % len(self.sent))
        if lost:
            if known:
                self.progress.unreachable()
        elif previous > self.durable:
            self.answers.append((True, previous, self.durable))
        else:
            self.durable = max(self.durable, last)
            self.known = max(self.known, min(commit, last))
            self.answers.append((False, last, 0))

    @precondition(lambda self: self.answers)
    @rule(at=st.integers(0, 9), lost=st.booleans())
    def answer(self, at: int, *, lost: bool) -> None:
        refused, index, hint = self.answers.pop(at % len(self.answers))
        if lost:
            return
        if refused:
            self.progress.refused(index, hint)
        else:
            self.progress.acknowledged(index, self.first)

    @rule(lost=st.booleans())
    def heartbeat(self, *, lost: bool) -> None:
        commit = min(self.progress.match, self.commit)
        self.progress.sent_heartbeat(commit)
        if not lost:
            self.known = max(self.known, commit)
            self.progress.answered_heartbeat(self.last)

    @precondition(lambda self: self.progress.state is SNAPSHOT)
    @rule(ok=st.booleans())
    def snapshot(self, *, ok: bool) -> None:
        if ok:
            self.durable = max(self.durable, self.progress.pending_snapshot)
        self.progress.snapshot_sent(ok=ok)

    @invariant()
    def what_is_known_is_true(self) -> None:
        progress = self.progress
        assert progress.match <= self.durable <= self.last
        assert self.known <= self.durable
        assert progress.match < progress.next <= self.last + 1
        assert len(progress._inflight) <= progress.max_inflight
        assert list(progress._inflight) == sorted(progress._inflight)

    def teardown(self) -> None:
        """From any state a link that loses nothing brings the follower all of the log, and of the commit index."""
        self.commit = self.last
        for _ in range(40):
            while self.sent:
                self.arrive(0, lost=False, known=False)
            while self.answers:
                self.answer(0, lost=False)
            self.heartbeat(lost=False)
            if self.progress.state is SNAPSHOT:
                self.snapshot(ok=True)
            while self.progress.wants(self.last, self.commit):
                self.send(4)
        assert self.durable == self.progress.match == self.last
        assert self.known == self.commit


TestLink = Link.TestCase
TestLink.settings = settings(deadline=None, max_examples=150)
