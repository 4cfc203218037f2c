"""The hub of watches: tells each its events, in order and once, and brings up to date those that are behind.

A watch is **synced**: told of each command as that is committed; or **behind**: brought up to date in rounds, which
read rows of the past (`watch_history.py`), until it is synced; or **aside**: its receiver has had enough, and nothing
is done for it until `resume`, but to remember the revision from which it goes on. So a slow receiver costs no memory;
the price is that a compaction may pass it by, which it is told. It is etcd's model (mvcc/watchable_store.go).

Nothing here waits: receivers are called, and must be quick.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from enum import Enum, auto
from typing import Final

from raftgate.api.kv import KeyValue
from storage.row import Row, Stub
from storage.sweep import Sweep
from storage.watch_events import Batch, Changes, Wanted, may_have_previous
from storage.watch_history import REVISIONS, Reading, Store
from storage.watch_ranges import Ranges

Undo = Sequence[tuple[bytes, KeyValue | None]]

AT_ONCE: Final = 1_000
"""Watches that are handed something in one go while they catch up: about a millisecond."""


class State(Enum):
    """How a watch stands to the present."""

    SYNCED = auto()
    BEHIND = auto()
    READING = auto()  # behind, and in the round that is running
    ASIDE = auto()
    ENDED = auto()


class Watcher(ABC):
    """One watch; whoever receives its events subclasses it."""

    __slots__ = ("group", "next", "state")

    group: "Group"
    next: int
    """The revision from which on it has not been told."""
    state: State

    @abstractmethod
    def take(self, batch: Batch) -> bool:
        """Takes events, or refuses them: then it is aside, until resumed."""

    @abstractmethod
    def compacted(self, revision: int) -> None:
        """Learns that it has ended: what it would be told next is compacted, as all below `revision` is."""


class Group:
    """The watches that want the same."""

    __slots__ = ("count", "synced", "wanted")

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.synced: dict[Watcher, None] = {}
        self.count = 0
        """All of them, synced or not."""


class WatchHub:
    """All watches of one member."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kv = store.kv
        self._groups: dict[Wanted, Group] = {}
        self._ranges: Ranges[Group] = Ranges()
        self._behind: dict[Watcher, None] = {}
        self.on_behind: Callable[[], None] = lambda: None
        """Called when there is somebody to bring up to date."""
        self.count = 0
        """Watches."""
        self.slow = 0
        """Watches that are not synced."""

    @property
    def is_behind(self) -> bool:
        """Whether `catch_up` would have something to do."""
        return bool(self._behind)

    def add(self, watcher: Watcher, wanted: Wanted, start_revision: int = 0) -> None:
        """Begins a watch from `start_revision` on, past or future, or with 0 from now on.

        Where that is compacted, the watch learns it at once, and has ended.
        """
        watcher.next = start_revision or self._kv.revision + 1
        group = self._groups.get(wanted)
        if group is None:
            group = self._groups[wanted] = Group(wanted)
            self._ranges.add(wanted.key, wanted.range_end, group)
            self._kv.watched = self
        group.count += 1
        watcher.group = group
        watcher.state = State.ASIDE
        self.count += 1
        self.slow += 1
        self._go_on(watcher)

    def remove(self, watcher: Watcher) -> None:
        """Ends a watch; may be called again."""
        if watcher.state is State.ENDED:
            return
        self._leave(watcher, State.ENDED)
        self.count -= 1
        self.slow -= 1
        group = watcher.group
        group.count -= 1
        if not group.count:
            del self._groups[group.wanted]
            self._ranges.remove(group.wanted.key, group.wanted.range_end, group)
            if not self._groups:
                self._kv.watched = None

    def resume(self, watcher: Watcher) -> None:
        """Goes on with a watch that is aside, from the revision that it refused."""
        if watcher.state is State.ASIDE:
            self._go_on(watcher)

    def restore(self, store: Store) -> None:
        """Goes on with another store, which holds all that the one before held, and more: whoever watches is behind."""
        told = self._kv.revision
        self._kv.watched = None
        self._store, self._kv = store, store.kv
        if self._groups:
            self._kv.watched = self
        for group in list(self._groups.values()):  # one whose watch a compaction has passed by goes
            for watcher in list(group.synced):
                watcher.next = max(watcher.next, told + 1)
                self._leave(watcher, State.ASIDE)
                self._go_on(watcher)

    def is_current(self, watcher: Watcher) -> bool:
        """Whether a watch has been told all there is, and waits for nothing but the next revision."""
        return watcher.state is State.SYNCED and watcher.next <= self._kv.revision + 1

    def committed(self, pending: Sequence[Row], start: int, undo: Undo) -> None:
        """Tells of a command that has become the store's revision: its rows are those of `pending` from `start` on.

        `undo`: what each of them has replaced.
        """
        revision = self._kv.revision
        if len(pending) - start > self._kv.options.large:
            for group in self._groups.values():
                self._set_aside(group, revision)
            return
        rows = pending[start:]
        hits: dict[Group, list[int]] = {}
        find = self._ranges.find
        for number, row in enumerate(rows):
            for group in find(row[1]):
                if group.synced and group.wanted.wants(row):
                    hits.setdefault(group, []).append(number)
        if not hits:
            return
        previous: dict[int, KeyValue] = {}
        evicted: set[int] = set()
        if any(group.wanted.prev_kv for group in hits):
            previous, evicted = _previous(rows, undo)
        changes = Changes(revision, rows, previous)
        for group, numbers in hits.items():
            if group.wanted.prev_kv and not evicted.isdisjoint(numbers):
                self._set_aside(group, revision)
            else:
                self._tell(group, changes.batch(numbers, prev_kv=group.wanted.prev_kv))

    def swept(self, sweep: Sweep) -> None:
        """Tells of the deletion of very many keys at once: whoever watches some of them gets them as history."""
        for group in self._groups.values():
            if sweep.overlaps(group.wanted.key, group.wanted.end):
                self._set_aside(group, sweep.revision)

    def catch_up(self) -> Generator[Callable[[], None] | None, None, None]:
        """Brings some of those who are behind further, a few milliseconds for each step of the iterator.

        It answers None when the loop may turn, or what is to be run in a reader's thread before the next step; between
        two steps others may write, but no command may be half applied when one is taken.
        """
        chosen = self._choose()
        if not chosen:
            return
        reading = Reading(self._store, dict.fromkeys((watcher.group.wanted, watcher.next) for watcher in chosen))
        try:
            yield from reading.steps()
            for count, watcher in enumerate(chosen, start=1):
                if watcher.state is State.READING:
                    self._hand_out(watcher, reading)
                if count % AT_ONCE == 0:
                    yield None
        finally:
            reading.close()
            for watcher in chosen:
                if watcher.state is State.READING:
                    self._go_on(watcher)

    def _choose(self) -> list[Watcher]:
        """The watch that has waited longest, and those that need about the same rows."""
        chosen: list[Watcher] = []
        first = 0
        for watcher in list(self._behind):
            if watcher.next < self._kv.compact_revision:
                self._go_on(watcher)
                continue
            first = first or watcher.next
            if first <= watcher.next < first + REVISIONS:
                self._leave(watcher, State.READING)
                chosen.append(watcher)
        return chosen

    def _hand_out(self, watcher: Watcher, reading: Reading) -> None:
        """Gives a watch what a round has found for it."""
        batch = reading.batches.get((watcher.group.wanted, watcher.next))
        if batch is not None and not watcher.take(batch):
            self._leave(watcher, State.ASIDE)
            return
        watcher.next = reading.end + 1
        self._go_on(watcher)

    def _tell(self, group: Group, batch: Batch) -> None:
        slow = [watcher for watcher in group.synced if watcher.next <= batch.revision and not watcher.take(batch)]
        for watcher in slow:
            watcher.next = batch.revision
            self._leave(watcher, State.ASIDE)

    def _set_aside(self, group: Group, revision: int) -> None:
        """Makes the synced watches of a group catch up, from a revision on that they have not been told of."""
        for watcher in list(group.synced):
            if watcher.next <= revision:
                watcher.next = revision
                self._leave(watcher, State.BEHIND)
                self._behind[watcher] = None
        self.on_behind()

    def _go_on(self, watcher: Watcher) -> None:
        """Goes on with a watch that is not synced from where it is."""
        kv = self._kv
        if watcher.next > kv.revision:
            self._leave(watcher, State.SYNCED)
            watcher.group.synced[watcher] = None
            self.slow -= 1
        elif watcher.next < kv.compact_revision:
            self.remove(watcher)
            watcher.compacted(kv.compact_revision)
        else:
            self._leave(watcher, State.BEHIND)
            self._behind[watcher] = None
            self.on_behind()

    def _leave(self, watcher: Watcher, state: State) -> None:
        """Takes a watch out of where it is."""
        if watcher.state is State.SYNCED:
            del watcher.group.synced[watcher]
            self.slow += 1
        elif watcher.state is State.BEHIND:
            del self._behind[watcher]
        watcher.state = state


def _previous(rows: Sequence[Row], undo: Undo) -> tuple[dict[int, KeyValue], set[int]]:
    """What the keys of rows were before the command, by number of row; and the numbers of those not in memory.

    A key may have changed twice: it is the first change that tells (etcd reads at the revision before).
    """
    before: dict[bytes, KeyValue | None] = {}
    for key, replaced in undo:
        before.setdefault(key, replaced)
    previous: dict[int, KeyValue] = {}
    evicted: set[int] = set()
    for number, row in enumerate(rows):
        kv = before[row[1]] if may_have_previous(row) else None
        if type(kv) is Stub:
            evicted.add(number)
        elif kv is not None:
            previous[number] = kv
    return previous, evicted
