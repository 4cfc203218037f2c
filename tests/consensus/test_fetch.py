import pytest

from consensus.env import Lane
from consensus.fetch import fetched
from raftgate.api.errors import Compacted
from tests.fakes.env import FakeEnv

pytestmark = pytest.mark.anyio


class Read:
    """A read that notes what becomes of it."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.is_closed = False

    def run(self) -> int:
        if self.failure is not None:
            raise self.failure
        return 7

    def close(self) -> None:
        self.is_closed = True


async def test_a_read_runs_in_a_readers_thread_and_is_closed() -> None:
    env, read = FakeEnv(), Read()
    assert await fetched(env, read) == 7
    assert read.is_closed
    assert env.calls == [(Lane.READERS, "run")]


async def test_a_read_that_fails_is_closed_too() -> None:
    read = Read(Compacted())
    with pytest.raises(Compacted):
        await fetched(FakeEnv(), read)
    assert read.is_closed
