"""A backend that answers from a table and remembers what it was asked."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

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
from raftgate.api.maintenance import (
    AlarmRequest,
    AlarmResponse,
    DefragmentRequest,
    DefragmentResponse,
    HashKVRequest,
    HashKVResponse,
    HashRequest,
    HashResponse,
    StatusRequest,
    StatusResponse,
)
from raftgate.api.message import Caller, Message, R, Request

HEADER = ResponseHeader(cluster_id=1, member_id=2, revision=3, raft_term=4)

Answer = Message | Exception | Callable[[Any, Caller], Message | Exception]  # Any: the request of its key


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
        }
        self.calls: list[tuple[Request[Any], Caller]] = []
        self.gate: asyncio.Event | None = None
        """Calls wait for it when it is there."""
        self.waiting = asyncio.Event()
        """Set once a call waits at the gate."""
        self.canceled = asyncio.Event()
        """Set once a waiting call was cancelled."""

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
