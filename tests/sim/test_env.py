"""Blocking calls as steps of virtual time: lanes, order, failures, and who hears of them."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from consensus.env import Lane
from tests.sim.disk import PowerCut, SimDisk
from tests.sim.env import EPOCH, Machinery, SimEnv
from tests.sim.loop import Process, VirtualLoop


@dataclass
class Heard:
    begun: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    def begins(self, lane: Lane, name: str, arguments: tuple[Any, ...]) -> None:  # Any: of any call
        self.begun.append(f"{lane} {name} {arguments}")

    def ends(self, lane: Lane, name: str, arguments: tuple[Any, ...]) -> None:  # Any: of any call
        self.ended.append(f"{lane} {name} {arguments}")


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    made = VirtualLoop()
    yield made
    made.end()


@pytest.fixture
def machinery() -> Machinery:
    return Machinery(SimDisk())


def make(loop: VirtualLoop, machinery: Machinery) -> tuple[SimEnv, Process, Heard]:
    process, heard = Process(loop, "p"), Heard()
    return SimEnv(process, machinery, random.Random(1), heard), process, heard


def test_calls_of_one_lane_follow_each_other_and_lanes_do_not_wait(loop: VirtualLoop, machinery: Machinery) -> None:
    env, _, heard = make(loop, machinery)
    order: list[str] = []
    machinery.paces[Lane.LOG].until, machinery.paces[Lane.LOG].slow = 1.0, 100.0

    async def world() -> None:
        slow = [env.run_blocking(Lane.LOG, order.append, f"log {number}") for number in range(3)]
        await env.run_blocking(Lane.DATABASE, order.append, "database")
        assert loop.time() < 0.01
        for future in slow:
            await future
        assert loop.time() > 1.0

    loop.run_until_complete(world())
    assert order == ["database", "log 0", "log 1", "log 2"]
    assert heard.begun == heard.ended
    assert heard.ended[0] == "database append ('database',)"


def test_a_failure_goes_to_the_one_who_waits(loop: VirtualLoop, machinery: Machinery) -> None:
    env, _, heard = make(loop, machinery)

    def fail(text: str) -> None:
        raise ValueError(text)

    async def world() -> None:
        with pytest.raises(ValueError, match="no"):
            await env.run_blocking(Lane.READERS, fail, "no")

    loop.run_until_complete(world())
    assert heard.begun
    assert not heard.ended


def test_a_power_cut_ends_a_call_without_a_word(loop: VirtualLoop, machinery: Machinery) -> None:
    env, _, heard = make(loop, machinery)

    def cut() -> None:
        raise PowerCut

    async def world() -> None:
        future = env.run_blocking(Lane.LOG, cut)
        await loop.elapse(10.0)
        assert not future.done()

    loop.run_until_complete(world())
    assert not heard.ended


def test_what_a_killed_process_has_asked_for_does_not_happen(loop: VirtualLoop, machinery: Machinery) -> None:
    env, process, _ = make(loop, machinery)
    done: list[int] = []

    async def member() -> None:
        await env.run_blocking(Lane.LOG, done.append, 1)

    async def world() -> None:
        process.spawn(member())
        await loop.elapse(0.0)
        process.kill()
        await loop.elapse(10.0)

    loop.run_until_complete(world())
    assert done == []


def test_the_wall_clock_may_be_set_and_the_other_one_not(loop: VirtualLoop, machinery: Machinery) -> None:
    env, _, _ = make(loop, machinery)
    assert env.wall_time() == EPOCH
    machinery.clock.offset = -5.0
    assert env.wall_time() == EPOCH - 5.0
    assert env.monotonic() == 0.0


def test_chance_is_the_seed_s(loop: VirtualLoop, machinery: Machinery) -> None:
    first, _, _ = make(loop, machinery)
    second, _, _ = make(loop, machinery)
    assert (first.random(), first.random_bytes(8)) == (second.random(), second.random_bytes(8))
