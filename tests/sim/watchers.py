"""Watchers of a simulated cluster: they resume at any member, and must be told everything once and in order.

What they were told is held against the committed log in the end: between where a watcher has begun and where it has
come to lies each change of its range, but for what a compaction has passed by while nobody told it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from raftgate.api.watch import EventType, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse
from tests.sim.asking import Asker
from tests.sim.host import Host, World
from tests.sim.streams import Broken, Stream

QUIET: Final = 0.5
"""Seconds without a word after which a watcher asks how far it has been told everything."""
PATIENCE: Final = 4
"""Times that it asks in vain before it goes to another member."""
LEAVES: Final = 0.02
"""How often it leaves after a response, by itself."""
AWAY: Final = 8.0
"""Seconds for which it stays away then, at most."""


class Change(NamedTuple):
    """What became of a key at a revision; `value` None: it was deleted."""

    revision: int
    key: bytes
    value: bytes | None


class Misled(AssertionError):
    """A watcher was told what it must not be told."""


class _Again(Exception):
    """The watch has ended: a compaction has passed it by."""


@dataclass
class Told:
    """What one watcher was told."""

    key: bytes
    end: bytes
    """The range, as a watch names it."""
    began: int = 0
    """The revision behind which it was to be told everything; 0: it has not begun."""
    reached: int = 0
    """The revision up to which it believes to know everything."""
    changes: list[Change] = field(default_factory=list)
    gaps: list[tuple[int, int]] = field(default_factory=list)
    """(first, last) revisions that it was told to be compacted."""

    def wants(self, change: Change) -> bool:
        """Whether it was to be told of a change."""
        in_range = self.key == change.key if not self.end else self.key <= change.key
        is_known = any(first <= change.revision <= last for first, last in self.gaps)
        return in_range and self.began < change.revision <= self.reached and not is_known

    def take(self, response: WatchResponse) -> None:
        """Takes a response.

        Raises: Misled; _Again, when the watch has ended.
        """
        header = response.header
        assert header is not None
        if response.canceled:
            self._compacted(response)
        if response.created and not self.began:
            self.began = self.reached = header.revision
        elif not response.created and not response.events:
            self.reached = max(self.reached, header.revision)
        for event in response.events:
            kv = event.kv
            assert kv is not None
            value = None if event.type is EventType.DELETE else kv.value
            self.changes.append(Change(kv.mod_revision, kv.key, value))
        told = [change.revision for change in self.changes[len(self.changes) - len(response.events) :]]
        if told:
            if told[0] <= self.reached or told != sorted(told) or told[-1] > header.revision:
                raise Misled(f"told of revisions {told} by a store of {header.revision}, behind {self.reached}")
            self.reached = told[-1]

    def _compacted(self, response: WatchResponse) -> None:
        revision = response.compact_revision
        if revision <= self.reached + 1:
            raise Misled(f"canceled by {response}, knowing all up to {self.reached}")
        self.gaps.append((self.reached + 1, revision - 1))
        self.reached = revision - 1
        raise _Again

    def check(self, changes: Sequence[Change]) -> str | None:
        """None if it was told what it should have been, of all that there were, else where that differs."""
        wanted = sorted(change for change in changes if self.wants(change))
        told = sorted(self.changes)
        if wanted == told:
            return None
        missing = [change for change in wanted if change not in told][:3]
        wrong = [change for change in told if change not in wanted][:3]
        return f"missing are {missing}, not committed or told twice {wrong}"


class Watcher(Asker):
    """A client that watches."""

    def __init__(self, world: World, hosts: Sequence[Host], name: str, key: bytes, end: bytes) -> None:
        super().__init__(world, hosts, name)
        self.told_of = Told(key, end)

    async def run(self) -> None:
        """Watches until cancelled, at one member after the other; what it must not be told ends the simulation."""
        while True:
            stream = self.host.watch()
            try:
                await self._follow(stream)
            except Misled as error:
                self.world.loop.failures.append(f"{self.name} at {self.host.name}: {error}")
                return
            except _Again:
                self.world.ledger.events["watches passed by a compaction"] += 1
            except (Broken, TimeoutError):
                self.world.ledger.events["watches broken"] += 1
                self.change_host()
                await self.world.loop.elapse(self.chance.uniform(0.0, QUIET))
            finally:
                stream.close()

    async def catch_up(self, revision: int, patience: float) -> None:
        """Returns when it knows of everything up to a revision.

        Raises: AssertionError, after `patience` seconds.
        """
        deadline = self.world.loop.time() + patience
        while self.told_of.reached < revision:
            told = self.told_of
            assert self.world.loop.time() < deadline, f"{self.name} has come to {told.reached} of {revision} only"
            await self.world.loop.elapse(QUIET / 4)

    async def _follow(self, stream: Stream) -> None:
        """Takes what is told until it leaves by itself.

        Raises: Misled, _Again, Broken, TimeoutError.
        """
        told = self.told_of
        start = told.reached + 1 if told.began else 0
        stream.send(WatchRequest(create_request=WatchCreateRequest(told.key, told.end, start)))
        in_vain = 0
        while True:
            try:
                response = await stream.receive(QUIET)
            except TimeoutError:
                in_vain += 1
                if in_vain > PATIENCE:
                    raise
                stream.send(WatchRequest(progress_request=WatchProgressRequest()))
                continue
            in_vain = 0
            told.take(response)
            self.told(told.reached, len(response.events))
            self.world.ledger.events["events watched"] += len(response.events)
            if self.chance.random() < LEAVES:
                stream.close()
                self.change_host()
                await self.world.loop.elapse(self.chance.uniform(0.0, AWAY))
                return
