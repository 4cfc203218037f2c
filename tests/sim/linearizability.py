"""Whether a history of calls by several clients can be explained by one store that does one thing at a time.

A call has taken effect at one moment between its start and its end; a call whose outcome nobody knows (it timed out,
the connection broke) at one moment after its start, or never. Keys are checked one by one, which is enough for calls
on one key (linearizability is local: Herlihy and Wing 1990); what touches several keys is handed in as one call for
each key, a weaker demand (`tests.sim.revisions` checks those as a whole).

The search is Wing and Gong's, made breadth-first as in Lowe's "Testing for linearizability" (2017, just-in-time):
the events are gone through in their order, with the set of all (state, calls taken effect) that explain what
has been answered so far. Reads take effect as soon as they fit, since they hinder nobody.
"""

import math
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

UNKNOWN: Final = math.inf
"""The end of a call whose outcome nobody knows."""

State = bytes | None
"""What a key holds; None: there is no such key."""


class Impossible:
    """What a step answers when its outcome cannot come from the state."""


IMPOSSIBLE: Final = Impossible()


class Action(Protocol):
    """What a call did to its key, with what is known of the answer."""

    def step(self, state: State) -> State | Impossible:
        """The state after the action took effect in `state`."""
        ...


@dataclass(frozen=True, slots=True)
class Read:
    """Saw `value`; a read without an answer says nothing and belongs into no history."""

    value: State

    def step(self, state: State) -> State | Impossible:
        return state if state == self.value else IMPOSSIBLE


@dataclass(frozen=True, slots=True)
class Put:
    """Wrote `value`; `previous` is what it was told that the key held before, if it asked."""

    value: bytes
    previous: State | Impossible = IMPOSSIBLE

    def step(self, state: State) -> State | Impossible:
        return self.value if isinstance(self.previous, Impossible) or self.previous == state else IMPOSSIBLE


@dataclass(frozen=True, slots=True)
class Delete:
    """Deleted the key; `found`: whether the answer said that there was one, None if nobody knows."""

    found: bool | None = None

    def step(self, state: State) -> State | Impossible:
        return None if self.found is None or self.found == (state is not None) else IMPOSSIBLE


@dataclass(frozen=True, slots=True)
class Swap:
    """Compared the key with `expected` (None: no such key), and if that held wrote `value` (None: deleted it)."""

    expected: State
    value: State
    succeeded: bool | None = None
    seen: State | Impossible = IMPOSSIBLE
    """What a swap that failed read in its other branch, if it did."""

    def step(self, state: State) -> State | Impossible:
        succeeds = state == self.expected
        if self.succeeded is not None and self.succeeded != succeeds:
            return IMPOSSIBLE
        if not succeeds and not isinstance(self.seen, Impossible) and self.seen != state:
            return IMPOSSIBLE
        return self.value if succeeds else state


@dataclass(frozen=True, slots=True)
class Call:
    """One call on one key by one client, with times of one clock."""

    key: bytes
    action: Action
    start: float
    end: float = UNKNOWN
    client: str = ""


def reads(
    keys: Iterable[bytes], found: Mapping[bytes, bytes], start: float, end: float, client: str = ""
) -> list[Call]:
    """One range over several keys as calls: `found` holds those of them that were there."""
    return [Call(key, Read(found.get(key)), start, end, client) for key in keys]


def check(calls: Iterable[Call], initial: Mapping[bytes, bytes] | None = None) -> str | None:
    """None if the history is linearizable, else what cannot be explained; `initial`: what keys held at the start."""
    by_key: dict[bytes, list[Call]] = defaultdict(list)
    for call in calls:
        by_key[call.key].append(call)
    for key, history in by_key.items():
        problem = _Search(history, (initial or {}).get(key)).run()
        if problem is not None:
            return problem
    return None


_Configuration = tuple[State, int]
"""A state, and the calls that have taken effect without an answer yet, as bits by their number."""


class _Front:
    """Configurations, without those that another one makes superfluous.

    Of two that differ only in the unknown calls which have taken effect, the one with fewer can do all that the other
    can: unknown calls need never take effect. Without this, each of them would double the search.
    """

    def __init__(self, unknown: int) -> None:
        """`unknown`: the calls whose outcome nobody knows, as bits."""
        self._unknown = unknown
        self._masks: dict[_Configuration, list[int]] = {}

    def add(self, configuration: _Configuration) -> bool:
        """Takes a configuration, unless it is superfluous."""
        state, done = configuration
        masks = self._masks.setdefault((state, done & ~self._unknown), [])
        mask = done & self._unknown
        if any(other & ~mask == 0 for other in masks):
            return False
        masks[:] = [other for other in masks if mask & ~other]
        masks.append(mask)
        return True

    def __iter__(self) -> Iterator[_Configuration]:
        return iter([(state, known | mask) for (state, known), masks in self._masks.items() for mask in masks])


class _Search:
    def __init__(self, history: list[Call], initial: State) -> None:
        self._calls = sorted(history, key=lambda call: (call.start, call.end))
        self._unknown = sum(1 << number for number, call in enumerate(self._calls) if call.end == UNKNOWN)
        self._configurations: list[_Configuration] = [(initial, 0)]
        self._open_writes: list[int] = []
        self._open_reads: list[int] = []

    def run(self) -> str | None:
        for number, is_end in self._events():
            call = self._calls[number]
            is_read = isinstance(call.action, Read)
            open_calls = self._open_reads if is_read else self._open_writes
            if not is_end:
                open_calls.append(number)
                if is_read:
                    self._configurations = self._front(self._settle(each) for each in self._configurations)
                continue
            before = self._configurations
            self._configurations = self._ending(number)
            if not self._configurations:
                return self._report(call, before)
            open_calls.remove(number)
        return None

    def _events(self) -> list[tuple[int, bool]]:
        """(number of the call, whether it ends) in order; of one moment starts come first: they may overlap."""
        starts = [(call.start, False, number) for number, call in enumerate(self._calls)]
        ends = [(call.end, True, number) for number, call in enumerate(self._calls) if call.end != UNKNOWN]
        return [(number, is_end) for _, is_end, number in sorted(starts + ends)]

    def _front(self, configurations: Iterable[_Configuration]) -> list[_Configuration]:
        front = _Front(self._unknown)
        for each in configurations:
            front.add(each)
        return list(front)

    def _settle(self, configuration: _Configuration) -> _Configuration:
        """Lets the reads take effect that fit."""
        state, done = configuration
        for number in self._open_reads:
            if not done >> number & 1 and self._calls[number].action.step(state) is not IMPOSSIBLE:
                done |= 1 << number
        return state, done

    def _ending(self, number: int) -> list[_Configuration]:
        """The configurations in which a call has taken effect, reached by any calls that are open."""
        bit = 1 << number
        found: list[_Configuration] = []
        seen = _Front(self._unknown)
        waiting = deque(each for each in self._configurations if seen.add(each))
        while waiting:
            configuration = waiting.popleft()
            if configuration[1] & bit:
                found.append((configuration[0], configuration[1] & ~bit))
            else:
                waiting.extend(each for each in self._following(configuration) if seen.add(each))
        return self._front(found)

    def _following(self, configuration: _Configuration) -> Iterator[_Configuration]:
        """The configurations after one more write."""
        state, done = configuration
        for number in self._open_writes:
            if not done >> number & 1:
                after = self._calls[number].action.step(state)
                if not isinstance(after, Impossible):
                    yield self._settle((after, done | 1 << number))

    def _report(self, call: Call, before: Iterable[_Configuration]) -> str:
        states = list(dict.fromkeys(state for state, _ in before))
        running = [self._calls[number] for number in self._open_writes]
        return f"{call} cannot be explained: the key may have held {states[:8]}, with these writes under way: {running}"
