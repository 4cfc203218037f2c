"""The watches of one caller: what they are told goes into one queue, in the order in which it happened.

A queue that is full refuses events; the hub sets their watch aside, and it goes on when the queue has been taken. What
answers a request is never refused. There is no task: whoever tells something wakes the one that receives.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from consensus.fragments import fragments
from raftgate.api import errors
from raftgate.api.errors import EtcdError
from raftgate.api.watch import WatchCreateRequest, WatchFilter, WatchRequest, WatchResponse
from storage.index import FROM_KEY
from storage.watch import Watcher
from storage.watch_events import Batch, Wanted

if TYPE_CHECKING:
    from consensus.watches import Watches

QUEUED: Final = 128
"""Responses that wait for their receiver: etcd mvcc/watchable_store.go, chanBufLen."""
QUEUED_BYTES: Final = 4 << 20
"""Bytes of events likewise; one message more may be larger by itself."""

NO_WATCH: Final = -1
"""The id in responses that are of no watch: etcd clientv3.InvalidWatchID."""

EMPTY_RANGE: Final = "mvcc: watcher range is empty"  # etcd mvcc/watcher.go
DUPLICATE_ID: Final = "mvcc: duplicate watch ID provided on the WatchStream"


class Watch(Watcher):
    """A watch of a stream."""

    __slots__ = ("fragment", "id", "is_due", "stream")

    def __init__(self, stream: "WatchStream", watch_id: int, request: WatchCreateRequest) -> None:
        self.stream = stream
        self.id = watch_id
        self.fragment = request.fragment
        self.is_due = True if request.progress_notify else None
        """Whether the next progress notice is due; None: it wants none."""

    def take(self, batch: Batch) -> bool:
        """Puts events into the stream's queue."""
        return self.stream.push(self, batch)

    def compacted(self, revision: int) -> None:
        """Says so on the stream."""
        self.stream.compacted(self, revision)


class WatchStream:
    """Watches of one caller that share a stream."""

    __slots__ = (
        "_aside",
        "_bytes",
        "_error",
        "_hub",
        "_next_id",
        "_queue",
        "_service",
        "_timer",
        "_waiter",
        "_watches",
        "events",
        "needs_leader",
    )

    def __init__(self, service: "Watches", *, needs_leader: bool) -> None:
        """Use `Watches.open`."""
        self._service = service
        self._hub = service.hub
        self._watches: dict[int, Watch] = {}
        self._next_id = 0
        self._queue: list[WatchResponse | Iterator[WatchResponse]] = []  # an iterator: one response in fragments
        self._bytes = 0
        self._aside: list[Watch] = []
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._error: EtcdError | None = None
        self.needs_leader = needs_leader
        """Whether it ends when nobody has led for long."""
        self.events = 0
        """Events that wait for their receiver."""

    def send(self, request: WatchRequest) -> None:
        """Takes a request; whatever there is to say to it comes by `receive`."""
        if self._error is not None:
            return
        if request.create_request is not None:
            self._create(request.create_request)
        elif request.cancel_request is not None:
            watch = self._watches.pop(request.cancel_request.watch_id, None)
            if watch is not None:
                self._hub.remove(watch)
                self._put(WatchResponse(self._service.header(), watch.id, canceled=True))
        elif request.progress_request is not None:
            watches = self._watches.values()
            if watches and len(self._queue) < QUEUED and all(map(self._hub.is_current, watches)):
                self._put(WatchResponse(self._service.header(), NO_WATCH))

    async def receive(self) -> Sequence[WatchResponse]:
        """Waits for the next responses, one at least; two streams may be given the same object.

        Raises: Stopped, NoLeader, WatchCanceled (it has been closed).
        """
        while not self._queue and self._error is None:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._error is not None:
            raise self._error
        return self._take()

    def close(self) -> None:
        """Ends all watches of the stream; may be called again."""
        self.fail(errors.WatchCanceled())

    def fail(self, error: EtcdError) -> None:
        """Ends all watches of the stream, and tells the receiver why instead of anything else."""
        if self._error is not None:
            return
        self._error = error
        for watch in self._watches.values():
            self._hub.remove(watch)
        self._watches.clear()
        self._queue.clear()
        self._aside.clear()
        self.events = 0
        if self._timer is not None:
            self._timer.cancel()
        self._service.closed(self)
        self._wake()

    def push(self, watch: Watch, batch: Batch) -> bool:
        """Puts events of a watch into the queue, if there is room."""
        if len(self._queue) >= QUEUED or self._bytes >= QUEUED_BYTES:
            self._aside.append(watch)
            return False
        response = batch.responses.get(watch.id)
        if response is None:
            response = WatchResponse(self._service.header(batch.revision), watch.id, events=batch.events)
            batch.responses[watch.id] = response
        if watch.fragment and batch.size >= self._service.fragment_bytes and len(batch.events) > 1:
            self._queue.append(fragments(response, self._service.fragment_bytes))
        else:
            self._queue.append(response)
        self._bytes += batch.size
        self.events += len(batch.events)
        if watch.is_due is not None:
            watch.is_due = False  # events are as good as a notice (etcd v3rpc/watch.go)
        self._wake()
        return True

    def compacted(self, watch: Watch, revision: int) -> None:
        """Tells the end of a watch that a compaction has passed by: the header has no revision then."""
        del self._watches[watch.id]
        self._put(WatchResponse(self._service.header(0), watch.id, canceled=True, compact_revision=revision))

    def _create(self, request: WatchCreateRequest) -> None:
        key, end, start = request.key or b"\0", request.range_end, request.start_revision
        reason = ""
        if start < 0:
            reason = errors.Compacted.default_text
        elif end not in (b"", FROM_KEY) and end <= key:
            reason = EMPTY_RANGE
        elif request.watch_id and request.watch_id in self._watches:
            reason = DUPLICATE_ID
        header = self._service.header()
        if reason:
            self._put(WatchResponse(header, NO_WATCH, created=True, canceled=True, cancel_reason=reason))
            return
        watch = Watch(self, request.watch_id or self._pick_id(), request)
        self._watches[watch.id] = watch
        self._put(WatchResponse(header, watch.id, created=True))
        if watch.is_due is not None and self._timer is None:
            self._timer = self._service.notify_later(self._notify)
        puts, deletes = WatchFilter.NOPUT not in request.filters, WatchFilter.NODELETE not in request.filters
        self._hub.add(watch, Wanted(key, end, puts, deletes, request.prev_kv), start)

    def _pick_id(self) -> int:
        while self._next_id in self._watches:
            self._next_id += 1
        self._next_id += 1
        return self._next_id - 1

    def _notify(self) -> None:
        """Tells those who want it, and have been told nothing since the last time, that there was nothing to tell."""
        self._timer = None
        for watch in self._watches.values():
            if watch.is_due is None:
                continue
            if watch.is_due and len(self._queue) < QUEUED and self._hub.is_current(watch):
                self._put(WatchResponse(self._service.header(), watch.id))
            watch.is_due = True
            if self._timer is None:
                self._timer = self._service.notify_later(self._notify)

    def _take(self) -> Sequence[WatchResponse]:
        first = self._queue[0]
        if not isinstance(first, WatchResponse):
            part = next(first)
            if not part.fragment:
                del self._queue[0]
            responses: Sequence[WatchResponse] = (part,)
        else:
            plain = [response for response in self._queue if isinstance(response, WatchResponse)]
            if len(plain) < len(self._queue):  # one in fragments comes by itself
                plain = plain[: next(n for n, each in enumerate(self._queue) if not isinstance(each, WatchResponse))]
            del self._queue[: len(plain)]
            responses = plain
        if not self._queue:
            self._service.sent_events += self.events
            self._bytes = self.events = 0
            aside, self._aside = self._aside, []
            for watch in aside:
                self._hub.resume(watch)
        return responses

    def _put(self, response: WatchResponse) -> None:
        self._queue.append(response)
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
