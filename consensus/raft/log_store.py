"""What the core needs of the durable log, and the same in memory.

The core only reads. It asks for nothing above the index that it was told is stable, so that the driver may write
in another thread meanwhile; the store must bear that.
"""

from collections.abc import Sequence
from typing import Protocol

from consensus.raft.errors import Compacted, Unavailable
from consensus.raft.types import ConfState, Entry, HardState, SnapshotMeta


class LogStore(Protocol):
    """The entries and the hard state that are durable."""

    def initial_state(self) -> HardState:
        """The hard state as last saved; read once, at the start."""
        ...

    def first_index(self) -> int:
        """The lowest index whose entry is here: 1 in a log never cut."""
        ...

    def last_index(self) -> int:
        """The highest index whose entry is here; `first_index() - 1` when there is none."""
        ...

    def term(self, index: int) -> int:
        """The term of an entry, also of the one just below `first_index()`; that of index 0 is 0.

        Raises: Compacted, Unavailable.
        """
        ...

    def entries(self, low: int, high: int, max_bytes: int) -> list[Entry]:
        """Entries of [low, high): the first, and as many more as keep the sum of their data within `max_bytes`.

        Raises: Compacted, Unavailable.
        """
        ...

    def snapshot_meta(self) -> SnapshotMeta:
        """The cut marker: index and term of what lies just below `first_index()`."""
        ...


def limit_bytes(entries: list[Entry], max_bytes: int) -> list[Entry]:
    """The first entry and as many more as keep the sum of their data within `max_bytes`."""
    total = 0
    for count, entry in enumerate(entries):
        total += len(entry.data)
        if total > max_bytes:
            return entries[: max(count, 1)]
    return entries


class MemoryLogStore:
    """A LogStore that forgets with its process; written like the Wal: `save`, `cut` and `restore`."""

    def __init__(
        self,
        hard_state: HardState = HardState(),  # noqa: B008 - immutable
        entries: Sequence[Entry] = (),
        snapshot_meta: SnapshotMeta = SnapshotMeta(),  # noqa: B008 - immutable
    ) -> None:
        self._hard_state = hard_state
        self._snapshot_meta = snapshot_meta
        self._entries: list[Entry] = []
        self.save(None, entries)

    def initial_state(self) -> HardState:
        """As LogStore has it."""
        return self._hard_state

    def first_index(self) -> int:
        """As LogStore has it."""
        return self._snapshot_meta.index + 1

    def last_index(self) -> int:
        """As LogStore has it."""
        return self._snapshot_meta.index + len(self._entries)

    def term(self, index: int) -> int:
        """As LogStore has it."""
        if index == self._snapshot_meta.index:
            return self._snapshot_meta.term
        return self._entries[self._position(index)].term

    def entries(self, low: int, high: int, max_bytes: int) -> list[Entry]:
        """As LogStore has it."""
        first = self._position(low)
        self._position(high - 1)
        return limit_bytes(self._entries[first : first + high - low], max_bytes)

    def snapshot_meta(self) -> SnapshotMeta:
        """As LogStore has it."""
        return self._snapshot_meta

    def save(self, hard_state: HardState | None, entries: Sequence[Entry], must_sync: bool = True) -> None:  # noqa: ARG002, FBT001, FBT002 - the Wal's signature
        """Keeps a batch; from the first entry's index on it replaces what was there.

        Raises: Compacted (over the cut), Unavailable (it would leave a gap).
        """
        if hard_state is not None:
            self._hard_state = hard_state
        if entries:
            first = entries[0].index
            if first != self.last_index() + 1:
                del self._entries[self._position(first) :]
            self._entries.extend(entries)

    def cut(self, index: int, conf_state: ConfState = ConfState()) -> None:  # noqa: B008 - immutable
        """Drops the entries up to `index`; `conf_state`: who took part as of that index.

        Raises: Compacted, Unavailable.
        """
        position = self._position(index)
        self._snapshot_meta = SnapshotMeta(index, self._entries[position].term, conf_state)
        del self._entries[: position + 1]

    def restore(self, snapshot: SnapshotMeta) -> None:
        """Begins anew behind a state that has come from elsewhere; the hard state stays."""
        self._snapshot_meta = snapshot
        self._entries = []

    def _position(self, index: int) -> int:
        position = index - self._snapshot_meta.index - 1
        if position < 0:
            raise Compacted(f"index {index} is below the first one, {self.first_index()}")
        if position >= len(self._entries):
            raise Unavailable(f"index {index} is above the last one, {self.last_index()}")
        return position
