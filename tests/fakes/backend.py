"""A backend that answers from a table and remembers what it was asked."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

from raftgate.api.cluster import (
    MemberAddRequest,
    MemberAddResponse,
    MemberListRequest,
    MemberListResponse,
    MemberPromoteRequest,
    MemberPromoteResponse,
    MemberRemoveRequest,
    MemberRemoveResponse,
    MemberUpdateRequest,
    MemberUpdateResponse,
)
from raftgate.api.kv import (
    CompactionRequest,
    CompactionResponse,
    DeleteRangeRequest,
    DeleteRangeResponse,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    ResponseHeader,
    TxnRequest,
    TxnResponse,
)
from raftgate.api.lease import (
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseKeepAliveRequest,
    LeaseKeepAliveResponse,
    LeaseLeasesRequest,
    LeaseLeasesResponse,
    LeaseRevokeRequest,
    LeaseRevokeResponse,
    LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
)
from raftgate.api.maintenance import (
    AlarmRequest,
    AlarmResponse,
    DefragmentRequest,
    DefragmentResponse,
    DowngradeRequest,
    DowngradeResponse,
    HashKVRequest,
    HashKVResponse,
    HashRequest,
    HashResponse,
    MoveLeaderRequest,
    MoveLeaderResponse,
    StatusRequest,
    StatusResponse,
)
from raftgate.api.message import Caller, Message, R, Request
from raftgate.api.watch import Event, WatchRequest, WatchResponse

HEADER = ResponseHeader(cluster_id=1, member_id=2, revision=3, raft_term=4)

Answer = Message | Exception | Callable[[Any, Caller], Message | Exception]  # Any: the request of its key


class FakeWatchStream:
    """Answers creates, cancels and progress requests at once, and tells what it is handed."""

    def __init__(self, revision: int) -> None:
        self.revision = revision
        """Of the headers of its own answers."""
        self.requests: list[WatchRequest] = []
        self.answers: list[WatchResponse] | None = None
        """Given to the first request instead of its own answer."""
        self.knows_progress = True
        self.asked = asyncio.Event()
        """Set with each request."""
        self.closed = asyncio.Event()
        self._queue: asyncio.Queue[Sequence[WatchResponse] | Exception] = asyncio.Queue()
        self._ids = 0

    def header(self) -> ResponseHeader:
        return ResponseHeader(cluster_id=1, member_id=2, revision=self.revision, raft_term=4)

    def send(self, request: WatchRequest) -> None:
        self.requests.append(request)
        self.asked.set()
        if self.answers is not None:
            answers, self.answers = self.answers, None
            self.tell(*answers)
        elif request.create_request is not None:
            self.tell(WatchResponse(header=self.header(), watch_id=self._ids, created=True))
            self._ids += 1
        elif request.cancel_request is not None:
            watch_id = request.cancel_request.watch_id
            self.tell(WatchResponse(header=self.header(), watch_id=watch_id, canceled=True))
        elif request.progress_request is not None and self.knows_progress:
            self.tell(WatchResponse(header=self.header(), watch_id=-1))

    def tell(self, *responses: WatchResponse) -> None:
        """Queues responses, to be received together."""
        self._queue.put_nowait(responses)

    def happen(self, *events: Event, watch_id: int = 0) -> WatchResponse:
        """Queues one response with events and returns it."""
        response = WatchResponse(header=self.header(), watch_id=watch_id, events=events)
        self.tell(response)
        return response

    def fail(self, error: Exception) -> None:
        """Ends the stream."""
        self._queue.put_nowait(error)

    async def receive(self) -> Sequence[WatchResponse]:
        responses = await self._queue.get()
        if isinstance(responses, Exception):
            raise responses
        return responses

    def close(self) -> None:
        self.closed.set()


class FakeBackend:
    """Answers requests by their class; an exception in the table is raised."""

    def __init__(self) -> None:
        self.answers: dict[type[Request[Any]], Answer] = {
            RangeRequest: RangeResponse(header=HEADER),
            PutRequest: PutResponse(header=HEADER),
            DeleteRangeRequest: DeleteRangeResponse(header=HEADER),
            TxnRequest: TxnResponse(header=HEADER),
            CompactionRequest: CompactionResponse(header=HEADER),
            AlarmRequest: AlarmResponse(header=HEADER),
            StatusRequest: StatusResponse(header=HEADER),
            DefragmentRequest: DefragmentResponse(),
            HashRequest: HashResponse(header=HEADER),
            HashKVRequest: HashKVResponse(header=HEADER),
            MoveLeaderRequest: MoveLeaderResponse(),
            DowngradeRequest: DowngradeResponse(header=HEADER, version="3.6"),
            MemberListRequest: MemberListResponse(header=HEADER),
            MemberAddRequest: MemberAddResponse(header=HEADER),
            MemberRemoveRequest: MemberRemoveResponse(header=HEADER),
            MemberUpdateRequest: MemberUpdateResponse(header=HEADER),
            MemberPromoteRequest: MemberPromoteResponse(header=HEADER),
            LeaseGrantRequest: LeaseGrantResponse(header=HEADER, ID=7, TTL=60),
            LeaseRevokeRequest: LeaseRevokeResponse(header=HEADER),
            LeaseKeepAliveRequest: LeaseKeepAliveResponse(header=HEADER, ID=7, TTL=60),
            LeaseTimeToLiveRequest: LeaseTimeToLiveResponse(header=HEADER, ID=7, TTL=59, grantedTTL=60),
            LeaseLeasesRequest: LeaseLeasesResponse(header=HEADER),
        }
        self.calls: list[tuple[Request[Any], Caller]] = []
        self.gate: asyncio.Event | None = None
        """Calls wait for it when it is there."""
        self.waiting = asyncio.Event()
        """Set once a call waits at the gate."""
        self.canceled = asyncio.Event()
        """Set once a waiting call was cancelled."""
        self.revision = 3
        """Of streams that are opened from now on."""
        self.streams: asyncio.Queue[FakeWatchStream] = asyncio.Queue()
        """Those that were opened."""
        self.watch_answers: list[WatchResponse] | None = None
        """What the next stream gives to its first request."""
        self.watch_callers: list[Caller] = []
        self.watch_error: Exception | None = None
        """Refuses streams when it is there."""

    async def call(self, request: Request[R], caller: Caller) -> R:
        self.calls.append((request, caller))
        if self.gate is not None:
            self.waiting.set()
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.canceled.set()
                raise
        answer = self.answers[type(request)]
        if callable(answer):
            answer = answer(request, caller)
        if isinstance(answer, Exception):
            raise answer
        return cast(R, answer)

    async def watch(self, caller: Caller) -> FakeWatchStream:
        self.watch_callers.append(caller)
        if self.watch_error is not None:
            raise self.watch_error
        stream = FakeWatchStream(self.revision)
        stream.answers, self.watch_answers = self.watch_answers, None
        self.streams.put_nowait(stream)
        return stream
