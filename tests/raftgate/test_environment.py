import asyncio
import threading

import pytest

from consensus.env import Lane
from raftgate.environment import ProductionEnv

pytestmark = pytest.mark.anyio


async def test_calls_of_a_lane_run_one_after_the_other_in_its_own_thread() -> None:
    env = ProductionEnv()
    order: list[tuple[int, str]] = []

    def note(number: int) -> int:
        order.append((number, threading.current_thread().name))
        return number

    results = await asyncio.gather(*(env.run_blocking(Lane.LOG, note, number) for number in range(5)))
    assert results == [0, 1, 2, 3, 4]
    assert order == [(number, "lane-log") for number in range(5)]
    env.close()


async def test_a_call_starts_without_being_awaited() -> None:
    env = ProductionEnv()
    begun = threading.Event()
    future = env.run_blocking(Lane.DATABASE, begun.set)
    assert begun.wait(5)
    await future
    env.close()


async def test_lanes_do_not_wait_for_each_other() -> None:
    env = ProductionEnv()
    release = threading.Event()
    held = env.run_blocking(Lane.DATABASE, release.wait, 5)
    assert await env.run_blocking(Lane.LOG, lambda: "through") == "through"
    release.set()
    assert await held
    env.close()


async def test_readers_overlap() -> None:
    env = ProductionEnv()
    release = threading.Event()
    held = env.run_blocking(Lane.READERS, release.wait, 5)
    await env.run_blocking(Lane.READERS, release.set)
    assert await held
    env.close()


async def test_what_a_call_raises_comes_to_the_one_who_waits() -> None:
    env = ProductionEnv()

    def fail() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        await env.run_blocking(Lane.LOG, fail)
    assert await env.run_blocking(Lane.LOG, int, "7") == 7
    env.close()


async def test_a_result_that_nobody_waits_for_any_more_is_dropped() -> None:
    env = ProductionEnv()
    release = threading.Event()
    future = env.run_blocking(Lane.LOG, release.wait, 5)
    future.cancel()
    release.set()
    assert await env.run_blocking(Lane.LOG, int, "7") == 7
    env.close()


async def test_keywords_are_passed_on() -> None:
    env = ProductionEnv()
    assert await env.run_blocking(Lane.LOG, int, "ff", base=16) == 255
    env.close()


async def test_clocks_and_chance() -> None:
    env = ProductionEnv()
    assert 0 <= env.random() < 1
    assert len(env.random_bytes(16)) == 16
    assert env.random_bytes(16) != env.random_bytes(16)
    assert env.monotonic() <= env.monotonic()
    assert env.wall_time() > 1_700_000_000
    env.close()
