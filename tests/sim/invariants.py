"""What must hold after each step of a simulation, whatever happens (Raft figure 3, and what the house adds).

Checked as things happen: each new role, each batch that became durable, each entry that was applied, each restart. A
violation ends the run; how often each invariant had something to look at is counted in the ledger.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from consensus.raft.errors import Compacted, Unavailable
from consensus.raft.log_store import LogStore
from consensus.raft.rawnode import Status
from consensus.raft.types import Entry, HardState, Message, MessageType, Role
from tests.sim.ledger import Ledger

EVERYTHING = 1 << 60

_OF_A_LEADER = frozenset({MessageType.APP, MessageType.HEARTBEAT})


class Violation(AssertionError):
    """Something that must never happen has happened."""


class View(Protocol):
    """A member that runs, as the invariants see it."""

    name: str

    def status(self) -> Status:
        """Its core at a glance."""
        ...

    @property
    def log(self) -> LogStore:
        """Its durable log."""
        ...

    def term(self, index: int) -> int | None:
        """The term of an entry of the core's log, durable or not; None if it has none or no longer."""
        ...

    @property
    def applied_index(self) -> int:
        """What its state machine has applied."""
        ...


@dataclass(slots=True)
class _Seen:
    """What is known of one machine."""

    role: Role = Role.FOLLOWER
    term: int = 0
    applied: int = 0
    commit: int = 0
    durable: dict[int, Entry] = field(default_factory=dict)
    """Entries whose save has returned, by index."""
    last: int = 0
    """The highest of these indexes."""
    restored: int = 0
    """The index of a store that is taking the place of its own, 0 for none."""
    saving: tuple[HardState | None, Sequence[Entry]] | None = None
    """A save that has begun and not returned: a crash may leave all or nothing of it."""
    hard_state: HardState = field(default_factory=HardState)
    """The last one whose save has returned."""


class Invariants:
    """All that has been seen of a cluster."""

    def __init__(
        self, ledger: Ledger, voters: Sequence[str], now: Callable[[], float], learners: Sequence[str] = ()
    ) -> None:
        """`voters`: the names of the machines whose logs make up the quorum; `learners`: those of the other ones."""
        self._ledger = ledger
        self._voters = list(voters)
        self._now = now
        self._seen = {name: _Seen() for name in (*voters, *learners)}
        self._leaders: dict[int, str] = {}
        self._entries: dict[tuple[int, int], tuple[Entry, int]] = {}
        """(index, term) -> the entry, and the term of the one before it."""
        self._votes: dict[tuple[int, int], int] = {}
        """(term, voter) -> candidate."""
        self.committed: dict[int, Entry] = {}
        """All entries that any member has applied, by index."""
        self.highest = 0
        """The highest of these indexes."""

    def look(self, view: View) -> None:
        """Looks at a member after a step."""
        seen = self._seen[view.name]
        status = view.status()
        is_new = (status.role, status.term) != (seen.role, seen.term)
        if is_new:
            if status.term < seen.term:
                raise Violation(f"{view.name} went back from term {seen.term} to {status.term}")
            seen.role, seen.term = status.role, status.term
            self._ledger.note(self._now(), view.name, "is", status.role, "of term", status.term)
            if status.role is Role.LEADER:
                self._check_leader(view, status)
        if status.commit < seen.commit:
            raise Violation(f"{view.name}: its commit index went back from {seen.commit} to {status.commit}")
        if status.commit > seen.commit and status.role is Role.LEADER and not is_new:
            self._check_commit(view, status)
        seen.commit = status.commit
        if seen.restored and view.applied_index >= seen.restored:
            seen.applied, seen.restored = seen.restored, 0
        if view.applied_index != seen.applied:
            self._check_applied(view, seen)

    def saving(self, name: str, state: HardState | None, entries: Sequence[Entry]) -> None:
        """Takes a batch that a member's log begins to write."""
        self._seen[name].saving = state, entries

    def saved(self, name: str, state: HardState | None, entries: Sequence[Entry]) -> None:
        """Takes a batch that a member's log has made durable."""
        seen = self._seen[name]
        seen.saving = None
        if state is not None:
            self._check_hard_state(name, seen.hard_state, state)
            seen.hard_state = state
        if not entries:
            return
        void = {index: seen.durable.pop(index) for index in range(entries[0].index, seen.last + 1)}
        for entry in entries:
            before = seen.durable.get(entry.index - 1)
            seen.durable[entry.index] = entry
            if before is not None or entry.index == 1:
                self._check_match(name, entry, before.term if before else 0)
        seen.last = entries[-1].index
        for index, entry in void.items():
            if self.committed.get(index) == entry != seen.durable.get(index):
                raise Violation(f"{name} threw the committed entry {index} of term {entry.term} away")

    def sent(self, message: Message) -> None:
        """Takes a message that leaves a member."""
        if message.type in _OF_A_LEADER:
            self._note_leader(message.term, f"{message.sender:x}")
        if message.type is MessageType.VOTE_RESP and not message.reject:
            self._count("one vote a term")
            voted = self._votes.setdefault((message.term, message.sender), message.to)
            if voted != message.to:
                raise Violation(f"{message.sender:x} voted for {voted:x} and {message.to:x} in term {message.term}")

    def restarted(self, view: View) -> None:
        """Looks at a member that has come back: what its log had made durable must be there."""
        seen, log = self._seen[view.name], view.log
        begin = log.snapshot_meta()
        if begin.index > seen.last or (begin.index in seen.durable and seen.durable[begin.index].term != begin.term):
            self.restored(view.name, begin.index)  # it died on the way, and has gone on with it
        if seen.saving is not None:
            state, entries = seen.saving
            if entries and _term(log, entries[-1].index) == entries[-1].term:
                self.saved(view.name, state, entries)
        self._count("what was saved is there after a restart")
        found, kept = log.initial_state(), seen.hard_state
        if found.term < kept.term or (found.term == kept.term and kept.vote not in (0, found.vote)):
            raise Violation(f"{view.name} forgot {kept}, it has {found}")
        for index, entry in seen.durable.items():
            if index >= log.first_index() and _term(log, index) != entry.term:
                raise Violation(f"{view.name} lost entry {index} of term {entry.term}: {_term(log, index)}")
        seen.role, seen.term, seen.commit = Role.FOLLOWER, found.term, 0
        seen.hard_state, seen.saving = found, None
        seen.applied, seen.restored = view.applied_index, 0
        if seen.applied > self.highest:
            raise Violation(f"{view.name} has applied {seen.applied}, which nobody has committed")

    def restored(self, name: str, index: int) -> None:
        """A member's log has begun anew behind `index`, for the store of another member that it takes up."""
        seen = self._seen[name]
        self._count("a snapshot holds committed entries only")
        if index > self.highest:
            raise Violation(f"{name} was restored to {index}, which nobody has committed")
        if index < seen.applied:
            raise Violation(f"{name} was restored to {index}, having applied {seen.applied}")
        seen.durable = {at: entry for at, entry in self.committed.items() if at <= index}
        seen.restored = seen.last = index
        self._ledger.note(self._now(), name, "was restored to", index)

    # ---- Raft figure 3 ----

    def _check_leader(self, view: View, status: Status) -> None:
        self._note_leader(status.term, f"{status.id:x}")
        self._ledger.events["elections"] += 1
        self._count("leader completeness")
        first = view.log.first_index()
        for index, entry in self.committed.items():
            if index >= first and view.term(index) != entry.term:
                raise Violation(
                    f"{view.name} leads term {status.term} without entry {index} of term {entry.term}, "
                    f"in its place it has one of term {view.term(index)}"
                )

    def _check_commit(self, view: View, status: Status) -> None:
        """Only an entry of its own term tells a leader what is committed (Raft 5.4.2)."""
        self._count("a leader commits by entries of its term")
        if view.term(status.commit) != status.term:
            raise Violation(
                f"{view.name} leads term {status.term} and has committed up to entry {status.commit} "
                f"of term {view.term(status.commit)}"
            )

    def _note_leader(self, term: int, name: str) -> None:
        self._count("one leader a term")
        if self._leaders.setdefault(term, name) != name:
            raise Violation(f"{self._leaders[term]} and {name} both lead term {term}")

    def _check_match(self, name: str, entry: Entry, term_before: int) -> None:
        self._count("log matching")
        known = self._entries.setdefault((entry.index, entry.term), (entry, term_before))
        if known != (entry, term_before):
            raise Violation(
                f"{name} has {entry} behind an entry of term {term_before}; "
                f"elsewhere it is {known[0]} behind {known[1]}"
            )

    def _check_applied(self, view: View, seen: _Seen) -> None:
        if view.applied_index < seen.applied:
            raise Violation(f"{view.name} went back from entry {seen.applied} to {view.applied_index}")
        for entry in view.log.entries(seen.applied + 1, view.applied_index + 1, EVERYTHING):
            self._count("state machine safety")
            known = self.committed.get(entry.index)
            if known is None:
                self._check_quorum(view.name, entry)
                self.committed[entry.index] = entry
                self.highest = max(self.highest, entry.index)
            elif known != entry:
                raise Violation(f"{view.name} applied {entry}, others {known}")
            self._ledger.note(self._now(), view.name, "applied", entry.index, entry.term, len(entry.data))
        seen.applied = view.applied_index

    def _check_quorum(self, name: str, entry: Entry) -> None:
        if entry.term == 1 and entry.index <= len(self._seen):
            return  # with these each log begins: committed by agreement
        self._count("durable on a quorum before applied")
        holders = [voter for voter in self._voters if self._seen[voter].durable.get(entry.index) == entry]
        if len(holders) <= len(self._voters) // 2:
            raise Violation(f"{name} applied entry {entry.index} of term {entry.term}, durable only on {holders}")

    def _check_hard_state(self, name: str, old: HardState, new: HardState) -> None:
        self._count("term and vote never go back")
        if new.term < old.term or (new.term == old.term and old.vote not in (0, new.vote)):
            raise Violation(f"{name} saved {new} after {old}")

    def _count(self, name: str) -> None:
        self._ledger.checks[name] += 1


def _term(log: LogStore, index: int) -> int | None:
    try:
        return log.term(index)
    except (Compacted, Unavailable):
        return None
