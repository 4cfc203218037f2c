import asyncio
from collections.abc import Iterator

import pytest

from consensus.env import Lane
from consensus.fetch import fetched
from raftgate.api.errors import Compacted
from tests.fakes.env import FakeEnv

pytestmark = pytest.mark.anyio


def whole() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


class Read:
    """A read that notes what becomes of it."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.is_closed = False
        self.pieces = 0

    def collect(self) -> Iterator[None]:
        for _ in range(3):
            self.pieces += 1
            yield

    def run(self) -> int:
        if self.failure is not None:
            raise self.failure
        return 7

    def close(self) -> None:
        self.is_closed = True


async def test_a_read_runs_in_a_readers_thread_and_is_closed() -> None:
    env, read = FakeEnv(), Read()
    assert await fetched(env, whole(), read) == 7
    assert read.is_closed
    assert read.pieces == 3
    assert env.calls == [(Lane.READERS, "run")]


async def test_a_read_that_fails_is_closed_too() -> None:
    read = Read(Compacted())
    with pytest.raises(Compacted):
        await fetched(FakeEnv(), whole(), read)
    assert read.is_closed


async def test_gathering_waits_while_a_command_is_half_applied() -> None:
    half, read = asyncio.Event(), Read()
    task = asyncio.create_task(fetched(FakeEnv(), half, read))
    for _ in range(5):
        await asyncio.sleep(0)
    assert (read.pieces, task.done()) == (1, False)
    half.set()
    assert await task == 7
