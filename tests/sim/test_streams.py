"""Streams between members and clients keep their order, and end when one side does."""

from collections.abc import Iterator

import pytest

from raftgate.api.kv import ResponseHeader
from raftgate.api.watch import WatchResponse
from tests.sim.loop import VirtualLoop
from tests.sim.streams import Broken, Stream


def response(revision: int) -> WatchResponse:
    return WatchResponse(ResponseHeader(revision=revision))


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    made = VirtualLoop()
    yield made
    made.end()


def test_nothing_overtakes_and_the_end_comes_last(loop: VirtualLoop) -> None:
    trips = iter((0.3, 0.1, 0.2))
    stream = Stream(loop, lambda: next(trips))

    async def take() -> None:
        stream.deliver(response(1))
        stream.deliver(response(2))
        stream.disconnect()
        assert await stream.receive(1.0) == response(1)
        assert await stream.receive(1.0) == response(2)
        with pytest.raises(Broken):
            await stream.receive(1.0)
        assert loop.time() == pytest.approx(0.3)

    loop.run_until_complete(take())


def test_patience_ends(loop: VirtualLoop) -> None:
    stream = Stream(loop, lambda: 2.0)

    async def take() -> None:
        stream.deliver(response(1))
        with pytest.raises(TimeoutError):
            await stream.receive(1.0)
        assert await stream.receive(1.5) == response(1)

    loop.run_until_complete(take())


def test_who_has_left_is_told_nothing_more(loop: VirtualLoop) -> None:
    stream = Stream(loop, lambda: 0.1)

    async def take() -> None:
        stream.close()
        with pytest.raises(Broken):
            await stream.receive(1.0)

    loop.run_until_complete(take())
