"""What watches are told: events, made of the rows of commands, and shared by all who want the same ones."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from raftgate.api.kv import KeyValue
from raftgate.api.watch import Event, EventType, WatchResponse
from storage.index import FROM_KEY
from storage.row import SUB_BITS, Row, key_value

OVERHEAD: Final = 200
"""Bytes that an event takes in memory besides keys and values, about."""


class Wanted(NamedTuple):
    """What a watch wants to be told."""

    key: bytes
    range_end: bytes = b""
    puts: bool = True
    deletes: bool = True
    prev_kv: bool = False

    @property
    def end(self) -> bytes | None:
        """The key that ends the range, also for a single key; None: nothing does."""
        if not self.range_end:
            return self.key + b"\0"
        return None if self.range_end == FROM_KEY else self.range_end

    def wants(self, row: Row) -> bool:
        """Whether a change of a key of the range is wanted."""
        return self.puts if row[3] else self.deletes


class Batch:
    """Events in (revision, sub) order, all of a range that a span of revisions has; nobody changes it."""

    __slots__ = ("events", "responses", "revision", "size")

    def __init__(self, revision: int, events: tuple[Event, ...]) -> None:
        """`revision`: the store's, for the header."""
        self.revision = revision
        self.events = events
        self.size = sum(map(_size, events))
        """Bytes of memory that it takes, about."""
        self.responses: dict[int, WatchResponse] = {}
        """What has been made of it already: watch id -> response."""


class Changes:
    """Rows on their way to those who watch."""

    __slots__ = ("_batches", "_events", "_previous", "_revision", "rows")

    def __init__(self, revision: int, rows: Sequence[Row], previous: Mapping[int, KeyValue]) -> None:
        """`previous`: number of a row -> what its key was before the row's revision."""
        self._revision = revision
        self.rows = rows
        self._previous = previous
        self._events: dict[tuple[int, bool], Event] = {}
        self._batches: dict[tuple[tuple[int, ...], bool], Batch] = {}

    def batch(self, numbers: Sequence[int], *, prev_kv: bool) -> Batch:
        """The events of some of the rows; the same object for whoever wants the same ones."""
        wanted = tuple(numbers)
        with_previous = prev_kv and any(number in self._previous for number in wanted)
        batch = self._batches.get((wanted, with_previous))
        if batch is None:
            events = tuple(self._event(number, with_previous and number in self._previous) for number in wanted)
            batch = self._batches[wanted, with_previous] = Batch(self._revision, events)
        return batch

    def _event(self, number: int, with_previous: bool) -> Event:  # noqa: FBT001 - it is half of a dict's key
        event = self._events.get((number, with_previous))
        if event is None:
            row = self.rows[number]
            previous = self._previous[number] if with_previous else None
            if row[3]:
                event = Event(kv=key_value(row), prev_kv=previous)
            else:
                event = Event(EventType.DELETE, KeyValue(row[1], mod_revision=row[0] >> SUB_BITS), previous)
            self._events[number, with_previous] = event
        return event


def may_have_previous(row: Row) -> bool:
    """Whether a row may have replaced what was there before its revision: not so where it has created its key."""
    return not row[3] or row[2] != row[0] >> SUB_BITS


def _size(event: Event) -> int:
    assert event.kv is not None, "events of the store have one"
    size = OVERHEAD + len(event.kv.key) + len(event.kv.value)
    return size if event.prev_kv is None else size + OVERHEAD + len(event.prev_kv.value)
