"""A history held against its revisions: they put all writes into one order, which must explain all that was seen.

Stronger than the check by keys where several keys take part, and it covers what is not linearizable (serializable
reads, reads of the past): those must show the store as it was at the revision that they name.

Values must be unique, so that a write of unknown outcome is known by its value.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from raftgate.api.kv import KeyValue

UNKNOWN: Final = 0
"""The revision of a write whose outcome nobody knows."""


@dataclass(frozen=True, slots=True)
class Write:
    """A call that changed keys, or may have: what each of them holds then (None: it was deleted)."""

    start: float
    end: float
    revision: int
    changes: tuple[tuple[bytes, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Look:
    """A range over some keys."""

    start: float
    end: float
    revision: int
    """Of the store, as the header says."""
    keys: tuple[bytes, ...]
    found: tuple[KeyValue, ...]
    is_linearizable: bool = True
    at: int = 0
    """The past revision that was asked for; 0: none."""


class _Timeline:
    """What the writes say of the keys, by revision."""

    def __init__(self, writes: Iterable[Write]) -> None:
        self.changes: dict[bytes, list[tuple[int, bytes | None]]] = defaultdict(list)
        """Key -> (revision, value) of acknowledged writes, by revision."""
        self.unknown: dict[tuple[bytes, bytes], float] = {}
        """(key, value) that may have been written -> from when on."""
        self.deletes: dict[bytes, float] = {}
        """Key -> when a delete of unknown outcome began first."""
        for write in sorted(writes, key=lambda write: write.revision):
            for key, value in write.changes:
                if write.revision != UNKNOWN:
                    self.changes[key].append((write.revision, value))
                elif value is None:
                    self.deletes[key] = min(write.start, self.deletes.get(key, write.start))
                else:
                    self.unknown[key, value] = write.start

    def last(self, key: bytes, revision: int) -> tuple[int, bytes | None]:
        """The last acknowledged change of a key up to a revision."""
        return max((each for each in self.changes[key] if each[0] <= revision), default=(0, None), key=lambda e: e[0])


def check(writes: Sequence[Write], looks: Sequence[Look]) -> str | None:
    """None if one order explains all, else what it does not explain."""
    known = [write for write in writes if write.revision != UNKNOWN]
    return _check_order(known, looks) or _check_content(_Timeline(writes), looks)


def _check_order(writes: Sequence[Write], looks: Sequence[Look]) -> str | None:
    """Revisions must not contradict the order in which calls followed each other."""
    taken: dict[int, Write] = {}
    for write in writes:
        if write.revision in taken:
            return f"{write} and {taken[write.revision]} have one revision"
        taken[write.revision] = write
    ordered: list[Write | Look] = [*writes, *(look for look in looks if look.is_linearizable)]
    ends = sorted([(each.end, each.revision) for each in ordered])
    starts = sorted(ordered, key=lambda each: each.start)
    reached, place = 0, 0
    for each in starts:
        while place < len(ends) and ends[place][0] < each.start:
            reached = max(reached, ends[place][1])
            place += 1
        if each.revision < reached or (isinstance(each, Write) and each.revision == reached):
            return f"{each} came after revision {reached} was known"
    return None


def _check_content(timeline: _Timeline, looks: Sequence[Look]) -> str | None:
    versions: dict[tuple[bytes, int], KeyValue] = {}
    for look in looks:
        revision = look.at or look.revision
        found = {kv.key: kv for kv in look.found}
        for key in look.keys:
            problem = _explain(timeline, look, key, found.get(key), revision)
            if problem is not None:
                return f"{look}: {problem}"
        for kv in look.found:
            if versions.setdefault((kv.key, kv.mod_revision), kv) != kv:
                return f"{kv} was {versions[kv.key, kv.mod_revision]} elsewhere"
    return None


def _explain(timeline: _Timeline, look: Look, key: bytes, kv: KeyValue | None, revision: int) -> str | None:
    """Whether what was seen of a key, in a store of some revision, can come from the writes."""
    last, value = timeline.last(key, revision)
    if kv is None:
        may_be_gone = value is None or timeline.deletes.get(key, look.end) < look.end
        return None if may_be_gone else f"{key!r} is missing, it was written at {last}"
    if not last <= kv.mod_revision <= revision:
        return f"{kv} in a store of {revision}, where {last} wrote the key"
    if kv.mod_revision == last:
        return None if value == kv.value else f"{kv}, but {last} wrote {value!r}"
    if timeline.unknown.get((key, kv.value), look.end) >= look.end:
        return f"{kv} was written by nobody"
    return None


def at(writes: Iterable[Write]) -> Mapping[int, Write]:
    """The acknowledged writes by their revisions."""
    return {write.revision: write for write in writes if write.revision != UNKNOWN}
