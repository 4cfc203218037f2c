import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from consensus.raft import confchange
from consensus.raft.errors import LogCorrupt, OutOfTurn, ProposalDropped
from consensus.raft.log_store import MemoryLogStore
from consensus.raft.rawnode import Config, RawNode, Status
from consensus.raft.types import (
    ConfChange,
    ConfChangeType,
    ConfState,
    Entry,
    HardState,
    Message,
    MessageType,
    ProgressState,
    ProgressStatus,
    ReadState,
    Ready,
    Role,
    SoftState,
)
from tests.consensus.raft.members import Member, append, entries_of, half, leader, member

ADD_SELF = ConfChange(ConfChangeType.ADD_NODE, 1, b"member record")


def test_a_new_member_has_nothing_to_do() -> None:
    assert not member().node.has_ready()
    assert member().node.status() == Status(1, 0, 0, Role.FOLLOWER, 0, 0, 0)


def test_the_readies_of_a_lone_voter_that_boots() -> None:
    subject = member()
    subject.node.campaign()
    first, second, third = (subject.process() for _ in range(3))
    assert not subject.node.has_ready()
    empty = entries_of([1])
    assert first == Ready(SoftState(0, Role.CANDIDATE), HardState(1, 1, 0), [], [], [], [], [], must_sync=True)
    assert second == Ready(SoftState(1, Role.LEADER), None, empty, [], [], [], [], must_sync=True)
    assert third == Ready(None, HardState(1, 1, 1), [], empty, [], [], [], must_sync=False)
    progress = {1: ProgressStatus(1, 2, ProgressState.REPLICATE, recent_active=True)}
    assert subject.node.status() == Status(1, 1, 1, Role.LEADER, 1, 1, 1, progress=progress)


def test_one_ready_at_a_time() -> None:
    subject = leader()
    subject.node.propose([b"x"])
    ready = subject.node.ready()
    subject.node.propose([b"y"])
    assert not subject.node.has_ready()
    with pytest.raises(OutOfTurn):
        subject.node.ready()
    subject.persist(ready)
    subject.node.advance(ready)
    assert subject.node.has_ready()
    with pytest.raises(OutOfTurn):
        subject.node.advance(ready)


def test_inputs_during_a_ready_come_with_the_next() -> None:
    subject = leader()
    subject.node.propose([b"x"])
    ready = subject.node.ready()
    subject.node.propose([b"y"])
    subject.node.read_index(b"r")
    subject.node.tick()
    subject.persist(ready)
    subject.node.advance(ready)
    following = subject.node.ready()
    assert [entry.data for entry in following.committed_entries] == [b"x"]
    assert [entry.data for entry in following.entries] == [b"y"]
    assert following.read_states == [ReadState(1, b"r")]


def test_a_ready_is_not_altered_afterwards() -> None:
    subject = leader()
    subject.node.propose([b"x"])
    ready = subject.node.ready()
    subject.node.propose([b"y"])
    subject.node.read_index(b"r")
    assert [entry.data for entry in ready.entries] == [b"x"]
    assert ready.read_states == []


def test_what_is_committed_is_applied_only_when_durable() -> None:
    subject = member((1, 2))
    subject.node.step(append(1, 0, 0, [1], commit=1))
    first = subject.process()
    assert (first.entries, first.committed_entries) == (entries_of([1]), [])
    assert subject.process().committed_entries == entries_of([1])


def test_committed_entries_are_bounded() -> None:
    subject = leader(max_committed_bytes=5)
    subject.node.propose([b"ab", b"cd", b"longer than five", b"e"])
    subject.process()
    sizes = []
    while subject.node.has_ready():
        sizes.append([len(entry.data) for entry in subject.process().committed_entries])
    assert sizes == [[2, 2], [16], [1]]


def test_a_commit_alone_needs_no_sync() -> None:
    subject = member((1, 2), [1])
    subject.node.step(append(1, 1, 1, [], commit=1))
    ready = subject.process()
    assert ready.hard_state == HardState(1, 0, 1)
    assert not ready.must_sync


def test_a_vote_alone_needs_one() -> None:
    subject = member((1, 2), hard_state=HardState(term=1))
    subject.node.step(Message(type=MessageType.VOTE, to=1, sender=2, term=1))
    ready = subject.process()
    assert ready.hard_state == HardState(1, 2, 0)
    assert ready.must_sync


def test_bootstrap() -> None:
    subject = member(())
    subject.node.bootstrap([ADD_SELF])
    first, second = subject.process(), subject.process()
    assert first.hard_state == HardState(1, 0, 1)
    assert first.committed_entries == []
    assert [confchange.decode(entry.data) for entry in second.committed_entries] == [ADD_SELF]
    assert subject.conf == ConfState((1,))
    subject.node.campaign()
    subject.settle()
    progress = {1: ProgressStatus(2, 3, ProgressState.REPLICATE, recent_active=True)}
    assert subject.node.status() == Status(1, 2, 1, Role.LEADER, 2, 2, 2, progress=progress)


def test_bootstrap_makes_the_same_log_everywhere() -> None:
    changes = [ConfChange(ConfChangeType.ADD_NODE, number) for number in (1, 2, 3)]
    logs = []
    for number in (1, 2, 3):
        subject = member((), id=number)
        subject.node.bootstrap(changes)
        subject.settle()
        logs.append(subject.applied)
        assert subject.conf == ConfState((1, 2, 3))
    assert logs[0] == logs[1] == logs[2]


def test_a_log_begins_once() -> None:
    with pytest.raises(LogCorrupt):
        leader().node.bootstrap([ADD_SELF])
    with pytest.raises(LogCorrupt):
        member(hard_state=HardState(term=1)).node.bootstrap([ADD_SELF])


def test_a_crash_in_the_middle_of_the_bootstrap() -> None:
    subject = member(())
    subject.node.bootstrap([ADD_SELF])
    subject.process()
    again = Member(Config(id=1, random=half), subject.store)
    assert again.process().committed_entries[0].data == confchange.encode(ADD_SELF)


def test_a_restart_applies_what_the_state_machine_lacks() -> None:
    store = MemoryLogStore(HardState(2, 1, 3), entries_of([1, 1, 2, 2]))
    node = RawNode(Config(id=1, random=half, conf_state=ConfState((1,)), applied=1), store)
    ready = node.ready()
    assert ready.committed_entries == entries_of([1, 2], 2)
    assert (ready.hard_state, ready.entries, ready.soft_state) == (None, [], None)


def test_answers_of_a_member_that_is_no_more_are_dropped() -> None:
    subject = member((1, 2), hard_state=HardState(term=1))
    subject.node.step(Message(type=MessageType.VOTE_RESP, to=1, sender=3, term=9))
    assert subject.node.status().term == 1


class LoneVoter(RuleBasedStateMachine):
    """A lone voter with a driver that may crash anywhere: what it acknowledged by applying is never lost."""

    def __init__(self) -> None:
        super().__init__()
        self.subject = member()
        self.outstanding: Ready | None = None
        self.history: list[Entry] = []
        self.proposed = 0
        self.asked: dict[bytes, int] = {}
        self.position = 0
        """The index that the state machine has reached in its present life."""

    @rule(count=st.integers(1, 5))
    def propose(self, count: int) -> None:
        data = [(self.proposed + number).to_bytes(4, "big") for number in range(count)]
        try:
            self.subject.node.propose(data)
        except ProposalDropped:
            return
        self.proposed += count

    @rule()
    def read(self) -> None:
        context = len(self.asked).to_bytes(4, "big")
        self.asked[context] = len(self.history)
        self.subject.node.read_index(context)

    @rule(count=st.integers(1, 30))
    def tick(self, count: int) -> None:
        for _ in range(count):
            self.subject.node.tick()

    @precondition(lambda self: self.subject.node.has_ready())
    @rule()
    def take(self) -> None:
        self.outstanding = ready = self.subject.node.ready()
        assert ready.committed_entries == [] or ready.committed_entries[-1].index <= self.subject.store.last_index()
        for state in ready.read_states:
            assert state.index >= self.asked.pop(state.context)

    @precondition(lambda self: self.outstanding is not None)
    @rule(applied_first=st.booleans())
    def finish(self, *, applied_first: bool) -> None:
        assert self.outstanding is not None
        if applied_first:
            self._apply(self.outstanding)
            self.subject.persist(self.outstanding)
        else:
            self.subject.persist(self.outstanding)
            self._apply(self.outstanding)
        self.subject.node.advance(self.outstanding)
        self.outstanding = None

    @rule(persisted=st.booleans(), applied=st.booleans(), kept=st.integers(0, 100))
    def crash(self, *, persisted: bool, applied: bool, kept: int) -> None:
        if self.outstanding is not None:
            if applied:
                self._apply(self.outstanding)
            if persisted:
                self.subject.persist(self.outstanding)
        self.outstanding = None
        # The state machine may have been made durable up to any index that was applied.
        applied_index = min(kept, len(self.history))
        config = Config(id=1, random=half, conf_state=ConfState((1,)), applied=applied_index)
        self.subject = Member(config, self.subject.store)
        self.position = applied_index

    def _apply(self, ready: Ready) -> None:
        for entry in ready.committed_entries:
            assert entry.index == self.position + 1
            self.position = entry.index
            if entry.index <= len(self.history):
                assert self.history[entry.index - 1] == entry
            else:
                self.history.append(entry)

    @invariant()
    def applied_is_durable(self) -> None:
        store = self.subject.store
        assert store.last_index() >= len(self.history)
        if self.history:
            assert store.entries(1, len(self.history) + 1, 1 << 30) == self.history

    @invariant()
    def no_proposal_is_applied_twice(self) -> None:
        data = [entry.data for entry in self.history if entry.data]
        assert len(data) == len(set(data))

    @invariant()
    def terms_never_go_down(self) -> None:
        terms = [entry.term for entry in self.history]
        assert terms == sorted(terms)


TestLoneVoter = LoneVoter.TestCase
