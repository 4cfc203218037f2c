"""Each invariant notices what it is there for."""

from dataclasses import dataclass, field

import pytest

from consensus.raft.log_store import MemoryLogStore
from consensus.raft.rawnode import Status
from consensus.raft.types import Entry, EntryType, HardState, Message, MessageType, Role, SnapshotMeta
from tests.sim.invariants import Invariants, Violation
from tests.sim.ledger import Ledger

NAMES = ("a", "b", "c")


def entry(index: int, term: int = 1, data: bytes = b"x") -> Entry:
    return Entry(term, index, EntryType.NORMAL, data)


@dataclass
class View:
    """A member as a test wants it to be."""

    name: str
    log: MemoryLogStore = field(default_factory=MemoryLogStore)
    role: Role = Role.FOLLOWER
    at_term: int = 1
    commit: int = 0
    applied_index: int = 0

    def status(self) -> Status:
        number = NAMES.index(self.name) + 1
        return Status(
            id=number,
            term=self.at_term,
            leader=0,
            role=self.role,
            commit=self.commit,
            applied=self.applied_index,
            last_index=self.log.last_index(),
        )

    def term(self, index: int) -> int | None:
        return self.log.term(index) if index <= self.log.last_index() else None


@dataclass
class World:
    invariants: Invariants
    views: dict[str, View]

    def save(self, name: str, *entries: Entry, state: HardState | None = None) -> None:
        self.invariants.saving(name, state, entries)
        self.views[name].log.save(state, entries)
        self.invariants.saved(name, state, entries)

    def apply(self, name: str, index: int) -> None:
        self.views[name].applied_index = index
        self.invariants.look(self.views[name])


@pytest.fixture
def world() -> World:
    return World(Invariants(Ledger(), NAMES, lambda: 0.0), {name: View(name) for name in NAMES})


def test_what_is_right_passes(world: World) -> None:
    for name in NAMES:
        world.save(name, entry(1), entry(2), state=HardState(1, 1, 0))
    for name in NAMES:
        world.apply(name, 2)
    leader = world.views["b"]
    leader.role, leader.at_term = Role.LEADER, 2
    world.invariants.look(leader)
    world.save("c", entry(3))
    world.save("c", entry(3, term=2))
    leader.commit = leader.applied_index = 0
    leader.role = Role.FOLLOWER
    world.invariants.restarted(leader)
    world.apply("b", 2)


def test_two_leaders_of_a_term(world: World) -> None:
    for name in "ab":
        world.views[name].role = Role.LEADER
    world.invariants.look(world.views["a"])
    with pytest.raises(Violation, match="both lead"):
        world.invariants.look(world.views["b"])


def test_a_leader_by_its_messages(world: World) -> None:
    def append(sender: int) -> Message:
        return Message(type=MessageType.APP, to=3, sender=sender, term=4)

    world.invariants.sent(append(1))
    with pytest.raises(Violation, match="both lead"):
        world.invariants.sent(append(2))


def test_logs_that_do_not_match(world: World) -> None:
    world.save("a", entry(1), entry(2, term=2))
    with pytest.raises(Violation, match="elsewhere"):
        world.save("b", entry(1, data=b"other"))
    world.save("c", entry(1, term=2))
    with pytest.raises(Violation, match="elsewhere"):
        world.save("c", entry(2, term=2))


def test_members_that_apply_different_entries(world: World) -> None:
    world.save("a", entry(1))
    world.save("b", entry(1))
    world.save("c", entry(1, term=2))
    world.apply("a", 1)
    with pytest.raises(Violation, match="others"):
        world.apply("c", 1)


def test_an_entry_applied_before_a_quorum_has_it(world: World) -> None:
    world.save("a", entry(1))
    world.apply("a", 1)  # with such a cluster begins
    world.save("a", entry(2, term=2))
    with pytest.raises(Violation, match="durable only on"):
        world.apply("a", 2)


def test_a_leader_without_a_committed_entry(world: World) -> None:
    world.save("a", entry(1))
    world.save("b", entry(1))
    world.apply("a", 1)
    world.views["c"].role, world.views["c"].at_term = Role.LEADER, 2
    with pytest.raises(Violation, match="without entry 1"):
        world.invariants.look(world.views["c"])


def test_a_leader_that_commits_by_an_old_entry(world: World) -> None:
    leader = world.views["a"]
    world.save("a", entry(1), entry(2, term=2))
    leader.role, leader.at_term = Role.LEADER, 2
    world.invariants.look(leader)
    leader.commit = 1
    with pytest.raises(Violation, match="of term 1"):
        world.invariants.look(leader)


def test_a_committed_entry_thrown_away(world: World) -> None:
    world.save("a", entry(1))
    world.save("b", entry(1))
    world.apply("a", 1)
    with pytest.raises(Violation, match="threw"):
        world.save("b", entry(1, term=3))


def test_an_applied_index_commit_index_or_term_that_goes_back(world: World) -> None:
    for name in "ab":
        world.save(name, entry(1), entry(2))
    view = world.views["a"]
    view.at_term, view.commit = 3, 2
    world.apply("a", 2)
    with pytest.raises(Violation, match="went back from entry"):
        world.apply("a", 1)
    view.commit = 1
    with pytest.raises(Violation, match="commit index"):
        world.invariants.look(view)
    view.at_term = 2
    with pytest.raises(Violation, match="from term"):
        world.invariants.look(view)


def test_a_vote_that_changes(world: World) -> None:
    world.save("a", state=HardState(2, 1, 0))
    with pytest.raises(Violation, match="saved"):
        world.save("a", state=HardState(2, 2, 0))


def test_a_restart_that_has_lost_entries(world: World) -> None:
    world.save("a", entry(1), entry(2))
    world.views["a"].log = MemoryLogStore(HardState(), [entry(1)])
    with pytest.raises(Violation, match="lost entry 2"):
        world.invariants.restarted(world.views["a"])


def test_a_restart_that_has_lost_its_vote(world: World) -> None:
    world.save("a", state=HardState(2, 1, 0))
    world.views["a"].log = MemoryLogStore(HardState(2, 0, 0))
    with pytest.raises(Violation, match="forgot"):
        world.invariants.restarted(world.views["a"])


@pytest.mark.parametrize("has_arrived", [True, False])
def test_a_save_that_was_cut_may_have_happened_or_not(world: World, *, has_arrived: bool) -> None:
    world.save("a", entry(1), entry(2))
    batch = [entry(2, term=3)]
    world.invariants.saving("a", None, batch)
    if has_arrived:
        world.views["a"].log.save(None, batch)
    world.invariants.restarted(world.views["a"])


def test_a_store_that_holds_what_nobody_has_committed(world: World) -> None:
    world.views["a"].applied_index = 5
    with pytest.raises(Violation, match="nobody has committed"):
        world.invariants.restarted(world.views["a"])
    with pytest.raises(Violation, match="nobody has committed"):
        world.invariants.restored("b", 5)


def test_a_store_of_another_member_takes_the_place_of_what_was_applied(world: World) -> None:
    for name in "ab":
        world.save(name, entry(1), entry(2))
    world.apply("a", 2)
    behind = world.views["c"]
    world.save("c", entry(1, term=3))  # of a leader that nobody has followed
    behind.log = MemoryLogStore(HardState(3, 0, 2), snapshot_meta=SnapshotMeta(2, 1))
    world.invariants.restored("c", 2)
    world.invariants.look(behind)  # not in use yet
    world.apply("c", 2)
    with pytest.raises(Violation, match="went back"):
        world.apply("c", 1)


def test_an_exchange_that_was_cut_short_may_have_been_finished(world: World) -> None:
    for name in "ab":
        world.save(name, entry(1), entry(2))
    world.apply("a", 2)
    world.save("c", entry(1, term=3))
    behind = world.views["c"]
    behind.log = MemoryLogStore(HardState(3, 0, 2), snapshot_meta=SnapshotMeta(2, 1))
    behind.applied_index = 2
    world.invariants.restarted(behind)
    world.save("c", entry(3))


def test_a_store_of_another_member_is_not_older_than_its_own(world: World) -> None:
    for name in "ab":
        world.save(name, entry(1), entry(2))
    world.apply("a", 2)
    with pytest.raises(Violation, match="having applied 2"):
        world.invariants.restored("a", 1)
