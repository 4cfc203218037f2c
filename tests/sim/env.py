"""The Env of a simulated member: virtual time, seeded chance, and blocking calls as steps of that time."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ParamSpec, Protocol, TypeVar

from consensus.env import Lane
from tests.sim.disk import PowerCut, SimDisk
from tests.sim.loop import Process

P = ParamSpec("P")
T = TypeVar("T")

EPOCH = 1_700_000_000.0
"""Wall time at the start of a simulation."""


@dataclass(slots=True)
class Clock:
    """A machine's wall clock, which may be set."""

    offset: float = 0.0


@dataclass(slots=True)
class Pace:
    """How long a lane's calls take, in seconds; a fault makes it slower for a while."""

    least: float = 0.0001
    most: float = 0.002
    until: float = 0.0
    """While the loop's time is below this, calls take `slow` at most."""
    slow: float = 0.0

    def draw(self, chance: random.Random, now: float) -> float:
        """The duration of a call that begins now."""
        return chance.uniform(self.least, self.slow if now < self.until else self.most)


@dataclass(slots=True)
class Machinery:
    """What of a machine outlives its processes."""

    disk: SimDisk
    clock: Clock = field(default_factory=Clock)
    paces: dict[Lane, Pace] = field(default_factory=lambda: {lane: Pace() for lane in Lane})


class Watch(Protocol):
    """Told of blocking calls at the moment in which they happen."""

    def begins(self, lane: Lane, name: str, arguments: tuple[Any, ...]) -> None:  # Any: of any call
        """A call is about to happen."""
        ...

    def ends(self, lane: Lane, name: str, arguments: tuple[Any, ...]) -> None:  # Any: of any call
        """A call has succeeded; nobody knows yet."""
        ...


class SimEnv:
    """The Env (`consensus.env.Env`) of one process."""

    def __init__(
        self,
        process: Process,
        machinery: Machinery,
        chance: random.Random,
        watch: "Watch",
    ) -> None:
        """`watch` is told of each blocking call."""
        self.disk = machinery.disk
        self._loop = process.loop
        self._process = process
        self._machinery = machinery
        self._chance = chance
        self._watch = watch
        self._free_at = dict.fromkeys(Lane, 0.0)

    def random(self) -> float:
        """A number in [0, 1)."""
        return self._chance.random()

    def random_bytes(self, n: int) -> bytes:
        """Bytes that are the same in each run of a seed."""
        return self._chance.randbytes(n)

    def wall_time(self) -> float:
        """Seconds since 1970 by a clock that may be set."""
        return EPOCH + self._loop.time() + self._machinery.clock.offset

    def monotonic(self) -> float:
        """The loop's time."""
        return self._loop.time()

    def run_blocking(
        self, lane: Lane, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> "asyncio.Future[T]":
        """Has the call happen at one moment of the time that it takes, behind those of its lane."""
        future: asyncio.Future[T] = self._loop.create_future()
        now = self._loop.time()
        begin = now if lane is Lane.READERS else max(now, self._free_at[lane])
        takes = self._machinery.paces[lane].draw(self._chance, begin)
        self._free_at[lane] = begin + takes
        happens = takes * self._chance.random()
        name = getattr(function, "__name__", "")

        def happen() -> None:
            self._watch.begins(lane, name, args)
            try:
                result = function(*args, **kwargs)
            except PowerCut:
                return
            except Exception as error:  # noqa: BLE001 - handed to the one who waits
                self._process.later(takes - happens, _settle, future, None, error)
            else:
                self._watch.ends(lane, name, args)
                self._process.later(takes - happens, _settle, future, result, None)

        self._process.later(begin + happens - now, happen)
        return future


def _settle(future: "asyncio.Future[T]", result: T, error: Exception | None) -> None:
    if future.done():  # whoever waited has gone
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
