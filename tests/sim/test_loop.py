"""The virtual loop: time that costs nothing, order that repeats, processes that stop and die."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator

import pytest

from tests.sim.loop import Process, Stuck, VirtualLoop

Run = Callable[[Coroutine[object, None, None]], None]


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    made = VirtualLoop()
    yield made
    made.end()


@pytest.fixture
def process(loop: VirtualLoop) -> Process:
    return Process(loop, "p")


def test_hours_pass_in_moments(loop: VirtualLoop) -> None:
    async def wait() -> None:
        for _ in range(1000):
            await loop.elapse(3600.0)

    loop.run_until_complete(wait())
    assert loop.time() == 3_600_000.0


def test_timeouts_come_in_virtual_time(loop: VirtualLoop) -> None:
    async def wait() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(7.0):
                await loop.create_future()

    loop.run_until_complete(wait())
    assert loop.time() == 7.0


def test_what_is_due_at_one_moment_comes_in_the_same_order_each_time() -> None:
    def order() -> list[int]:
        loop, seen = VirtualLoop(), list[int]()

        async def wait() -> None:
            for number in range(50):
                loop.call_later(1.0, seen.append, number)
                loop.call_soon(seen.append, number)
            await loop.elapse(2.0)

        loop.run_until_complete(wait())
        loop.end()
        return seen

    seen = order()
    assert seen[:50] == sorted(seen[50:]) == list(range(50))
    assert order() == seen


def test_a_run_in_which_nothing_can_happen_any_more_is_told(loop: VirtualLoop) -> None:
    async def wait() -> None:
        await loop.create_future()

    with pytest.raises(Stuck):
        loop.run_until_complete(wait())


async def tick(loop: VirtualLoop, seen: list[float]) -> None:
    try:
        while True:
            seen.append(loop.time())
            await loop.elapse(1.0)
    finally:
        seen.append(-1.0)


def test_a_stopped_process_goes_on_late(loop: VirtualLoop, process: Process) -> None:
    seen: list[float] = []

    async def world() -> None:
        process.spawn(tick(loop, seen))
        await loop.elapse(2.5)
        process.stop()
        await loop.elapse(10.0)
        assert seen == [0.0, 1.0, 2.0]
        process.resume()
        await loop.elapse(1.1)

    loop.run_until_complete(world())
    assert seen == [0.0, 1.0, 2.0, 12.5, 13.5]


def test_of_a_killed_process_not_even_the_finally_runs(loop: VirtualLoop, process: Process) -> None:
    seen: list[float] = []
    deaths: list[float] = []
    process.on_death.append(lambda: deaths.append(loop.time()))

    async def world() -> None:
        task = process.spawn(tick(loop, seen))
        await loop.elapse(1.5)
        process.kill()
        process.kill()
        task.cancel()
        await loop.elapse(10.0)

    loop.run_until_complete(world())
    assert seen == [0.0, 1.0]
    assert deaths == [1.5]


def test_what_a_process_starts_belongs_to_it(loop: VirtualLoop, process: Process) -> None:
    seen: list[float] = []

    async def parent() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(tick(loop, seen))
            asyncio.get_running_loop().call_later(3.0, seen.append, 99.0)

    async def world() -> None:
        process.spawn(parent())
        await loop.elapse(1.5)
        process.kill()
        await loop.elapse(10.0)

    loop.run_until_complete(world())
    assert seen == [0.0, 1.0]


def test_the_world_hears_of_what_a_process_has_done(loop: VirtualLoop, process: Process) -> None:
    async def work() -> int:
        await loop.elapse(1.0)
        return 7

    async def world() -> None:
        assert await process.spawn(work()) == 7

    loop.run_until_complete(world())


def test_a_failure_that_nobody_awaits_is_kept(loop: VirtualLoop) -> None:
    def fail() -> None:
        raise ValueError("lost")

    async def world() -> None:
        loop.call_later(1.0, fail)
        await loop.elapse(2.0)

    loop.run_until_complete(world())
    assert "lost" in loop.failures[0]
