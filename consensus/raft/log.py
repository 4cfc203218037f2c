"""The log as the core sees it: what the store holds durably, and behind it what is not durable yet.

    stable (LogStore)             unstable (list)
    [first_index ... stable_index][stable_index + 1 ... last_index]

Invariant: applied <= commit <= last_index, and applied <= stable_index. Nothing at or below `commit` ever changes
(Raft 5.4, state machine safety). The store may still hold entries above `stable_index`: a conflicting append has made
them void, and saving its entries overwrites them.

While `snapshot` is set, the log begins behind it: what the store holds belongs to the state that is being replaced, and
nothing is read of it until the driver has switched.
"""

from collections.abc import Sequence

from consensus.raft.errors import Compacted, LogCorrupt, Unavailable
from consensus.raft.log_store import LogStore, limit_bytes
from consensus.raft.types import Entry, SnapshotMeta


class Log:
    """One member's log with its three marks: stable, commit, applied."""

    def __init__(self, store: LogStore, applied: int) -> None:
        """Takes up where the store ends; `applied`: the index that the state machine has reached durably.

        Raises: LogCorrupt.
        """
        self._store = store
        self.stable_index = store.last_index()
        self._unstable: list[Entry] = []
        self.snapshot: SnapshotMeta | None = None
        saved = store.initial_state().commit
        if not store.first_index() - 1 <= applied <= self.stable_index:
            raise LogCorrupt(
                f"the applied index {applied} is not within the log, {store.first_index()} to {self.stable_index}"
            )
        if saved > self.stable_index:
            raise LogCorrupt(f"the commit index {saved} is above the last one, {self.stable_index}")
        self.applied = applied
        # The commit index is saved without a sync, while the state machine may have applied beyond what was saved.
        self.commit = max(saved, applied)

    @property
    def first_index(self) -> int:
        """The lowest index whose entry is here."""
        return self._store.first_index() if self.snapshot is None else self.snapshot.index + 1

    @property
    def last_index(self) -> int:
        """The highest index whose entry is here."""
        return self.stable_index + len(self._unstable)

    @property
    def last_term(self) -> int:
        """The term of the last entry."""
        return self.term(self.last_index)

    def term(self, index: int) -> int:
        """The term of an entry.

        Raises: Compacted, Unavailable.
        """
        if index <= self.stable_index:
            return self._store.term(index) if self.snapshot is None else self._snapshot_term(self.snapshot, index)
        if index > self.last_index:
            raise Unavailable(f"index {index} is above the last one, {self.last_index}")
        return self._unstable[index - self.stable_index - 1].term

    @staticmethod
    def _snapshot_term(snapshot: SnapshotMeta, index: int) -> int:
        if index < snapshot.index:
            raise Compacted(f"index {index} is below the first one, {snapshot.index + 1}")
        return snapshot.term

    def matches(self, index: int, term: int) -> bool:
        """Whether this log has an entry of that index and term (Raft 5.3, the consistency check)."""
        return index <= self.last_index and self.term(index) == term

    def is_up_to_date(self, index: int, term: int) -> bool:
        """Whether a log ending in (index, term) is at least as up to date as this one (Raft 5.4.1)."""
        return (term, index) >= (self.last_term, self.last_index)

    def entries(self, low: int, max_bytes: int) -> list[Entry]:
        """Entries from `low` on, durable or not: at least one if there are any, else by bytes of data.

        Raises: Compacted.
        """
        if low > self.stable_index:
            return limit_bytes(self._unstable[low - self.stable_index - 1 :], max_bytes)
        found = self._store.entries(low, self.stable_index + 1, max_bytes)
        if self._unstable and found[-1].index == self.stable_index:
            found = limit_bytes(found + self._unstable, max_bytes)
        return found

    def append(self, entries: Sequence[Entry]) -> None:
        """Appends entries that follow the last one: a leader only ever appends (Raft 5.3)."""
        self._unstable.extend(entries)

    def maybe_append(self, index: int, term: int, entries: Sequence[Entry]) -> int | None:
        """Appends what a leader sent to follow (index, term), unless that entry is not here: then None.

        Entries which conflict are removed with all that follow them; those already here are kept, since the message
        may be an old one that says less than this log holds (Raft 5.3). Returns the index of the last entry that is
        now known to match the leader's log.

        Raises: LogCorrupt.
        """
        if not self.matches(index, term):
            return None
        new = self._first_new(entries)
        if new < len(entries):
            self._truncate(entries[new].index)
            self._unstable.extend(entries[new:])
        return index + len(entries)

    def _first_new(self, entries: Sequence[Entry]) -> int:
        """The position of the first entry that this log does not have."""
        if entries and entries[0].index > self.last_index:  # the usual case, without a look at each
            return 0
        for position, entry in enumerate(entries):
            if not self.matches(entry.index, entry.term):
                return position
        return len(entries)

    def _truncate(self, index: int) -> None:
        """Removes the entries from `index` on."""
        if index <= self.commit:
            raise LogCorrupt(f"entry {index} conflicts with one that is committed, the commit index is {self.commit}")
        if index <= self.stable_index:
            self.stable_index = index - 1
        del self._unstable[index - self.stable_index - 1 :]

    def possible_match(self, index: int, term: int, low: int) -> tuple[int, int]:
        """The highest entry, not above `index`, whose term is not above `term`: its index and term.

        That is the highest point where this log may agree with another one that has `term` at `index`, since terms
        never go down along a log; up to `low` they agree in any case. A follower tells it to its leader, which looks
        in its own log in turn: so it goes back to it at once instead of entry by entry (Raft 5.3, last part).
        """
        high = min(index, self.last_index)
        while low < high:
            middle = (low + high + 1) // 2
            if self.term(middle) <= term:
                low = middle
            else:
                high = middle - 1
        return low, self.term(low)

    def commit_to(self, index: int) -> None:
        """Raises the commit index; it never goes back.

        Raises: LogCorrupt.
        """
        if index > self.last_index:
            raise LogCorrupt(
                f"the commit index {index} is above the last one, {self.last_index}: was the log cut short?"
            )
        self.commit = max(self.commit, index)

    def unstable_entries(self) -> list[Entry]:
        """The entries that are not durable yet."""
        return self._unstable.copy()

    def has_unstable(self) -> bool:
        """Whether some entry is not durable yet."""
        return bool(self._unstable)

    def stable_to(self, index: int, term: int) -> None:
        """Notes that the unstable entries up to (index, term) are durable.

        Nothing happens when that entry is no longer here: a conflicting append came while it was being written, and
        what took its place goes out with the next Ready.
        """
        if self.snapshot is None and self.stable_index < index and self.matches(index, term):
            del self._unstable[: index - self.stable_index]
            self.stable_index = index

    def restore(self, snapshot: SnapshotMeta) -> None:
        """Begins anew behind a state that holds more than is known to be committed here (Raft 7)."""
        self._unstable = []
        self.snapshot = snapshot
        self.commit = self.stable_index = snapshot.index

    def restored(self, snapshot: SnapshotMeta) -> None:
        """Notes that the driver has switched to that state: it is applied, and the store begins behind it."""
        self.applied = snapshot.index
        if self.snapshot is snapshot:  # else there is a later one already
            self.snapshot = None

    def has_next_committed(self) -> bool:
        """Whether `next_committed` has entries."""
        return self.snapshot is None and self.applied < min(self.commit, self.stable_index)

    def next_committed(self, max_bytes: int) -> list[Entry]:
        """Entries to apply next: committed and durable here, at least one if there are any, else by bytes of data."""
        if not self.has_next_committed():
            return []
        return self._store.entries(self.applied + 1, min(self.commit, self.stable_index) + 1, max_bytes)

    def applied_to(self, index: int) -> None:
        """Notes that the state machine has applied the entries up to `index`."""
        self.applied = index
