"""A watcher that keeps what it is told, and takes only so much."""

from collections.abc import Callable

from raftgate.api.watch import Event
from storage.machine import Machine
from storage.watch import Watcher
from storage.watch_events import Batch


class Receiver(Watcher):
    """Notes everything in the order in which it came."""

    __slots__ = ("batches", "compact_revision", "room")

    def __init__(self, room: int = 1_000_000) -> None:
        """`room`: batches that it takes before it refuses."""
        self.room = room
        self.batches: list[Batch] = []
        self.compact_revision = 0

    def take(self, batch: Batch) -> bool:
        """Takes a batch while there is room."""
        if self.room <= 0:
            return False
        self.room -= 1
        self.batches.append(batch)
        return True

    def compacted(self, revision: int) -> None:
        """Notes the end."""
        assert not self.compact_revision
        self.compact_revision = revision

    @property
    def events(self) -> list[Event]:
        """All events so far."""
        return [event for batch in self.batches for event in batch.events]

    @property
    def told(self) -> list[tuple[str, bytes, int]]:
        """Type, key and revision of each event."""
        return [(str(event.type), event.kv.key, event.kv.mod_revision) for event in self.events if event.kv]


def catch_up(machine: Machine, between: Callable[[], object] = lambda: None) -> None:
    """Runs rounds until nobody is behind; `between`: done between two steps."""
    while machine.watchers.is_behind:
        for read in machine.watchers.catch_up():
            if read is not None:
                read()
            between()
