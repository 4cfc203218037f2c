"""Envs for tests: blocking calls run at once, or only when the test lets them."""

import asyncio
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from consensus.disk import OsDisk
from consensus.env import Disk, Lane

P = ParamSpec("P")
T = TypeVar("T")


class FakeEnv:
    """An Env with a clock that the test moves; blocking calls run where they are started."""

    def __init__(self, disk: Disk | None = None) -> None:
        self.disk: Disk = disk or OsDisk()
        self.now = 1_000_000.0
        self.calls: list[tuple[Lane, str]] = []
        self._random = 0

    def random(self) -> float:
        """Always the same: a timeout is what the test expects."""
        return 0.0

    def random_bytes(self, n: int) -> bytes:
        """Bytes that differ from call to call and are the same in each run."""
        self._random += 1
        return self._random.to_bytes(n, "big")

    def wall_time(self) -> float:
        """The test's clock."""
        return self.now

    def monotonic(self) -> float:
        """The test's clock."""
        return self.now

    def run_blocking(
        self, lane: Lane, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> "asyncio.Future[T]":
        """Runs the call now; the future is done when this returns."""
        self.calls.append((lane, getattr(function, "__name__", "")))
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        settle(future, function, *args, **kwargs)
        return future


class HeldEnv(FakeEnv):
    """A FakeEnv whose calls in one lane wait, while `holding`, until the test releases them."""

    lane = Lane.LOG

    def __init__(self, disk: Disk | None = None) -> None:
        super().__init__(disk)
        self.holding = True
        self.held: list[Callable[[], None]] = []
        self.arrived = asyncio.Event()

    def run_blocking(
        self, lane: Lane, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> "asyncio.Future[T]":
        """Keeps a call of the lane back; others run now."""
        if lane is not self.lane or not self.holding:
            return super().run_blocking(lane, function, *args, **kwargs)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.held.append(lambda: settle(future, function, *args, **kwargs))
        self.arrived.set()
        return future

    def release(self) -> None:
        """Runs the oldest call that is held."""
        self.held.pop(0)()


def settle(future: "asyncio.Future[Any]", function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Gives a future what a call returns or raises."""
    try:
        result = function(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - handed to the one who waits
        future.set_exception(error)
    else:
        future.set_result(result)
