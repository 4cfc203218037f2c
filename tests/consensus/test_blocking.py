import asyncio

import pytest

from consensus.blocking import Whole, finished

pytestmark = pytest.mark.anyio


async def test_the_result_of_a_call() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    future.set_result(7)
    assert await finished(future) == 7


async def test_a_call_ends_before_who_waits_for_it_does() -> None:
    call: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    made: list[int] = []
    task = asyncio.create_task(finished(call, made.append))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not task.done()
    call.set_result(7)
    await asyncio.wait([task])
    assert task.cancelled()
    assert made == [7]


async def test_a_call_that_fails_has_made_nothing() -> None:
    call: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    made: list[int] = []
    task = asyncio.create_task(finished(call, made.append))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    call.set_exception(OSError())
    await asyncio.wait([task])
    assert task.cancelled()
    assert made == []


async def test_who_waits_is_not_let_go_while_it_is_cleared_again() -> None:
    whole = Whole()
    task = asyncio.create_task(whole.wait())
    await asyncio.sleep(0)
    whole.set()
    whole.clear()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not task.done()
    whole.set()
    async with asyncio.timeout(5):
        assert await task
