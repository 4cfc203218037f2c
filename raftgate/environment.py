"""The production Env: real clock, chance and disk, and threads for each lane of blocking work."""

import asyncio
import queue
import random
import secrets
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec, TypeVar

from consensus.disk import OsDisk
from consensus.env import Lane

P = ParamSpec("P")
T = TypeVar("T")

Work = tuple["asyncio.Future[Any]", Callable[..., Any], tuple[Any, ...]]  # Any: each call has its own types


THREADS = {Lane.LOG: 1, Lane.DATABASE: 1, Lane.READERS: 4}
"""Of each lane; readers may overlap, so that a long read does not hold up a short one."""


class LaneThreads:
    """Runs calls in threads of their own, with one thread one after the other in the order in which they come."""

    def __init__(self, lane: Lane, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name=f"lane-{lane.value}", daemon=True) for _ in range(THREADS[lane])
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, function: Callable[..., T], *args: Any) -> "asyncio.Future[T]":  # Any: as above
        """A future for the result of a call, which starts as soon as the lane is free."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._work.put((future, function, args))
        return future

    def close(self) -> None:
        """Ends the threads behind what was submitted."""
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            future, function, args = work
            try:
                result = function(*args)
            except BaseException as error:  # noqa: BLE001 - handed to the one who waits, whatever it is
                self._loop.call_soon_threadsafe(_fail, future, error)
            else:
                self._loop.call_soon_threadsafe(_finish, future, result)
                del result
            del work, future, function, args  # a large answer is its receiver's alone


def _finish(future: "asyncio.Future[T]", result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: "asyncio.Future[Any]", error: BaseException) -> None:  # Any: as above
    if not future.done():
        future.set_exception(error)


class ProductionEnv:
    """What differs between production and simulation, as production has it."""

    def __init__(self) -> None:
        self.disk = OsDisk()
        loop = asyncio.get_running_loop()
        self._lanes = {lane: LaneThreads(lane, loop) for lane in Lane}

    def random(self) -> float:
        """A number in [0, 1)."""
        return random.random()  # noqa: S311 - for election timeouts

    def wall_time(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        return time.monotonic()

    def random_bytes(self, count: int) -> bytes:
        """Bytes that nobody can guess."""
        return secrets.token_bytes(count)

    def run_blocking(
        self, lane: Lane, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> "asyncio.Future[T]":
        """Starts a blocking call in its lane, awaited or not."""
        return self._lanes[lane].submit(partial(function, **kwargs) if kwargs else function, *args)

    def close(self) -> None:
        """Ends the lanes behind what they have to do."""
        for lane in self._lanes.values():
            lane.close()
