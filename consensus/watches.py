"""The asyncio half of watching: the open streams of a member, and the task that brings up to date what is behind."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from consensus.env import Lane
from consensus.fragments import OVERHEAD
from consensus.metrics import Metrics
from consensus.replica import Replica
from consensus.watch_stream import WatchStream
from raftgate.api import errors
from raftgate.api.errors import EtcdError
from raftgate.api.kv import ResponseHeader
from raftgate.api.message import Caller
from storage.database import StoreExchanged

log = logging.getLogger(__name__)

JITTER: Final = 0.1
"""Of the interval between two progress notices, so that those of many streams do not coincide (etcd v3rpc/watch.go)."""
PATIENCE: Final = 3
"""Election timeouts without a leader that end streams which need one: etcd v3rpc/interceptor.go, maxNoLeaderCnt."""


class Watches:
    """All watch streams of one member."""

    def __init__(self, replica: Replica, metrics: Metrics) -> None:
        options = replica.options
        self._replica = replica
        self._loop = asyncio.get_running_loop()
        self._machine = replica.machine
        self._interval = options.watch_progress_interval
        self._patience = PATIENCE * options.election_timeout
        self._leaderless_since: float | None = None
        self._behind = asyncio.Event()
        self._streams: dict[WatchStream, None] = {}
        self.hub = replica.machine.watchers
        """What is watched."""
        self.hub.on_behind = self._behind.set
        self.fragment_bytes = options.max_request_bytes + OVERHEAD
        """Size from which on responses are split for those who have asked for it."""
        self.sent_events = 0
        """Events that receivers have taken."""
        metrics.watch_watches(self)

    @property
    def streams(self) -> int:
        """How many are open."""
        return len(self._streams)

    @property
    def pending_events(self) -> int:
        """Events that wait for their receivers."""
        return sum(stream.events for stream in self._streams)

    def open(self, caller: Caller) -> WatchStream:
        """Opens a stream, to be closed."""
        stream = WatchStream(self, needs_leader=caller.needs_leader)
        self._streams[stream] = None
        return stream

    def closed(self, stream: WatchStream) -> None:
        """Forgets a stream that has ended."""
        self._streams.pop(stream, None)

    def header(self, revision: int | None = None) -> ResponseHeader:
        """The header of a response, with the store's revision unless another is given."""
        return self._replica.header(self._machine.revision if revision is None else revision)

    def notify_later(self, notify: Callable[[], None]) -> asyncio.TimerHandle:
        """Has something called when the next progress notices are due."""
        return self._loop.call_later(self._interval * (1 + JITTER * self._replica.env.random()), notify)

    async def run(self) -> None:
        """Brings watches up to date that are behind, until cancelled.

        Raises: what the database says.
        """
        while True:
            await self._behind.wait()
            self._behind.clear()
            while self.hub.is_behind:
                await self._catch_up()
                await asyncio.sleep(0)

    def expire(self, now: float) -> None:
        """Ends the streams that need a leader when there has been none for long; `now`: the loop's time."""
        if self._replica.node.leader:
            self._leaderless_since = None
        elif self._leaderless_since is None:
            self._leaderless_since = now
        elif now - self._leaderless_since >= self._patience:
            for stream in list(self._streams):
                if stream.needs_leader:
                    stream.fail(errors.NoLeader())

    def stop(self, error: type[EtcdError]) -> None:
        """Ends all streams."""
        for stream in list(self._streams):
            stream.fail(error())

    async def _catch_up(self) -> None:
        whole = self._replica.applier.whole
        await whole.wait()
        steps = self.hub.catch_up()
        try:
            for read in steps:
                if read is None:
                    await asyncio.sleep(0)
                else:
                    await self._replica.env.run_blocking(Lane.READERS, read)
                await whole.wait()
        except StoreExchanged:
            log.debug("watches catch up from another store")
        finally:
            steps.close()
