import asyncio

import pytest
from prometheus_client import CollectorRegistry

from consensus.metrics import Metrics
from consensus.raft.types import ReadState
from consensus.reads import Reads
from raftgate.api.errors import LeaderChanged, Stopped, Timeout

pytestmark = pytest.mark.anyio


class Rounds:
    """What the core was asked for."""

    def __init__(self) -> None:
        self.contexts: list[bytes] = []
        self.asked = asyncio.Event()
        self.has_leader = True

    def ask(self, context: bytes) -> bool:
        self.contexts.append(context)
        self.asked.set()
        return self.has_leader

    async def next(self) -> bytes:
        async with asyncio.timeout(5):
            await self.asked.wait()
        self.asked.clear()
        return self.contexts[-1]


def reads(rounds: Rounds, timeout: float = 7.0) -> Reads:
    return Reads(rounds.ask, timeout, Metrics(CollectorRegistry()))


async def test_reads_of_one_turn_share_a_round() -> None:
    rounds = Rounds()
    subject = reads(rounds)
    futures = [subject.barrier() for _ in range(3)]
    context = await rounds.next()
    subject.confirmed(ReadState(0, context))
    await asyncio.gather(*futures)
    assert len(rounds.contexts) == 1


async def test_a_read_that_comes_later_takes_the_next_round() -> None:
    rounds = Rounds()
    subject = reads(rounds)
    first = subject.barrier()
    context = await rounds.next()
    second = subject.barrier()
    subject.confirmed(ReadState(0, context))
    await first
    assert not second.done()
    subject.confirmed(ReadState(0, await rounds.next()))
    await second


async def test_a_confirmed_read_waits_until_its_index_is_applied() -> None:
    rounds = Rounds()
    subject = reads(rounds)
    future = subject.barrier()
    subject.confirmed(ReadState(5, await rounds.next()))
    subject.applied(4)
    assert not future.done()
    subject.applied(5)
    await future


async def test_a_change_of_leader_fails_what_is_not_confirmed() -> None:
    rounds = Rounds()
    subject = reads(rounds)
    confirmed = subject.barrier()
    subject.confirmed(ReadState(5, await rounds.next()))
    asked = subject.barrier()
    await rounds.next()
    subject.leader_changed()
    with pytest.raises(LeaderChanged):
        await asked
    subject.applied(5)
    await confirmed


async def test_reads_time_out_in_each_stage() -> None:
    rounds = Rounds()
    subject = reads(rounds, timeout=7.0)
    behind = subject.barrier()
    subject.confirmed(ReadState(5, await rounds.next()))
    asked = subject.barrier()
    late = await rounds.next()
    now = asyncio.get_running_loop().time()
    subject.expire(now + 6.9)
    assert not behind.done()
    subject.expire(now + 7.1)
    for future in (behind, asked):
        with pytest.raises(Timeout):
            await future
    subject.confirmed(ReadState(5, late))  # an answer that comes too late finds nobody
    subject.applied(5)


async def test_stopping_fails_all() -> None:
    rounds = Rounds()
    subject = reads(rounds)
    behind = subject.barrier()
    subject.confirmed(ReadState(5, await rounds.next()))
    asked = subject.barrier()
    await rounds.next()
    gathering = subject.barrier()
    subject.stop(Stopped)
    for future in (behind, asked, gathering):
        with pytest.raises(Stopped):
            await future


async def test_a_reader_that_has_gone_is_passed_over() -> None:
    rounds = Rounds()
    subject = reads(rounds)
    gone, stays = subject.barrier(), subject.barrier()
    gone.cancel()
    subject.confirmed(ReadState(0, await rounds.next()))
    await stays


async def test_without_a_leader_the_question_is_asked_again() -> None:
    rounds = Rounds()
    rounds.has_leader = False
    subject = reads(rounds)
    future = subject.barrier()
    context = await rounds.next()
    subject.expire(asyncio.get_running_loop().time())
    assert rounds.contexts == [context, context]
    rounds.has_leader = True
    subject.leader_changed()
    assert rounds.contexts == [context] * 3
    subject.expire(asyncio.get_running_loop().time())
    assert rounds.contexts == [context] * 3  # it was taken
    subject.confirmed(ReadState(0, context))
    await future


async def test_a_question_that_nobody_takes_times_out() -> None:
    rounds = Rounds()
    rounds.has_leader = False
    subject = reads(rounds, timeout=7.0)
    future = subject.barrier()
    await rounds.next()
    subject.expire(asyncio.get_running_loop().time() + 7.1)
    with pytest.raises(Timeout):
        await future
    subject.leader_changed()
    assert len(rounds.contexts) == 2  # it is forgotten
