"""Linearizable reads: gathers those that wait, asks for one confirmed index, wakes them when it is applied.

One round serves all reads of one turn of the event loop (Raft 6.4; etcd v3_server.go, linearizableReadLoop).
"""

import asyncio
from collections import deque
from collections.abc import Callable

from consensus.metrics import Metrics
from consensus.raft.types import ReadState
from raftgate.api.errors import EtcdError, LeaderChanged, Timeout

Waiting = list["asyncio.Future[None]"]

RETRY = 0.5
"""Seconds after which a question without an answer is put again: etcd v3_server.go, readIndexRetryTime."""


class Reads:
    """The reads of one member that wait for their barrier."""

    def __init__(self, ask: Callable[[bytes], bool], timeout: float, metrics: Metrics, prefix: bytes = b"") -> None:
        """Puts rounds to `ask`, which takes the context that a ReadState will carry; `timeout`: seconds.

        `ask` answers whether the question was taken; without a leader nobody takes it, and it is asked again.
        Contexts begin with `prefix`, which must differ from run to run: a late answer to a question of an earlier
        process would serve the wrong read.
        """
        self._prefix = prefix
        self._retry_at = 0.0
        self._ask = ask
        self._timeout = timeout
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._gathering: Waiting = []
        self._rounds: dict[bytes, tuple[float, Waiting]] = {}
        """Rounds not confirmed yet, oldest first: context -> deadline and reads."""
        self._unasked: list[bytes] = []
        """Rounds that nobody has taken."""
        self._behind: deque[tuple[int, float, Waiting]] = deque()
        """Rounds that wait for an index to be applied: indexes never go down."""
        self._counter = 0
        self._applied = 0

    def barrier(self) -> "asyncio.Future[None]":
        """A future that is done once all that was committed before this call is applied here.

        Raises (through the future): Timeout, LeaderChanged.
        """
        future = self._loop.create_future()
        self._gathering.append(future)
        if len(self._gathering) == 1:
            self._loop.call_soon(self._start_round)
        return future

    def _start_round(self) -> None:
        self._counter += 1
        context = self._prefix + self._counter.to_bytes(8, "big")
        self._rounds[context] = (self._loop.time() + self._timeout, self._gathering)
        self._gathering = []
        if not self._ask(context):
            self._unasked.append(context)

    def confirmed(self, state: ReadState) -> None:
        """Takes the core's answer to a round."""
        entry = self._rounds.pop(state.context, None)
        if entry is None:  # it has timed out, or the leader has changed
            return
        deadline, waiting = entry
        if state.index <= self._applied:
            _wake(waiting)
        else:
            self._behind.append((state.index, deadline, waiting))

    def applied(self, index: int) -> None:
        """Wakes the reads that waited for entries up to `index`."""
        self._applied = index
        while self._behind and self._behind[0][0] <= index:
            _wake(self._behind.popleft()[2])

    def leader_changed(self) -> None:
        """Fails the rounds that the former leader has not confirmed, and asks where nobody was there to be asked."""
        for context in [context for context in self._rounds if context not in self._unasked]:
            self._fail(self._rounds.pop(context)[1], LeaderChanged)
        self._ask_again()

    def _ask_again(self) -> None:
        self._unasked = [c for c in self._unasked if c in self._rounds and not self._ask(c)]

    def expire(self, now: float) -> None:
        """Fails the reads whose time is over, and asks again for others; `now`: the loop's time."""
        self._ask_again()
        if now >= self._retry_at:  # questions and answers may get lost between members
            self._retry_at = now + RETRY
            oldest = now + self._timeout - RETRY
            for context in [each for each, (deadline, _) in self._rounds.items() if deadline <= oldest]:
                if context not in self._unasked and not self._ask(context):
                    self._unasked.append(context)
        for context, (deadline, waiting) in list(self._rounds.items()):
            if deadline > now:
                break
            del self._rounds[context]
            self._metrics.slow_read_indexes.inc()
            self._fail(waiting, Timeout)
        while self._behind and self._behind[0][1] <= now:
            self._fail(self._behind.popleft()[2], Timeout)

    def stop(self, error: type[EtcdError]) -> None:
        """Fails everything that waits."""
        for waiting in [self._gathering, *(w for _, w in self._rounds.values()), *(w for _, _, w in self._behind)]:
            self._fail(waiting, error)
        self._gathering = []
        self._rounds.clear()
        self._behind.clear()

    def _fail(self, waiting: Waiting, error: type[EtcdError]) -> None:
        for future in waiting:
            if not future.done():
                self._metrics.read_indexes_failed.inc()
                future.set_exception(error())


def _wake(waiting: Waiting) -> None:
    for future in waiting:
        if not future.done():
            future.set_result(None)
