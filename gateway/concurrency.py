"""The services Lock and Election, made of the keys, leases and watches of any backend.

How keys are named and what is compared is etcd's to the letter: clients mix these calls with the Go library's own.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, cast

from gateway.backend import Backend
from gateway.election import Election
from gateway.lock import Lock
from gateway.waiters import Waiters
from raftgate.api.concurrency import (
    CampaignRequest,
    LeaderRequest,
    LeaderResponse,
    LockRequest,
    ProclaimRequest,
    ResignRequest,
    UnlockRequest,
)
from raftgate.api.message import Caller, Message, R, Request

_CHECK_INTERVAL = 5.0

_Handler = Callable[[Any, Caller], Awaitable[Message]]  # Any: one request class each


class Concurrency:
    """Both services in front of a backend."""

    def __init__(self, backend: Backend, check_interval: float = _CHECK_INTERVAL) -> None:
        """`check_interval`: seconds after which a waiter makes sure that there still is a quorum."""
        waiters = Waiters(backend, check_interval)
        lock = Lock(backend, waiters)
        self._election = Election(backend, waiters)
        self._handlers: Mapping[type[Request[Any]], _Handler] = {  # Any: the response class differs
            LockRequest: lock.lock,
            UnlockRequest: lock.unlock,
            CampaignRequest: self._election.campaign,
            ProclaimRequest: self._election.proclaim,
            LeaderRequest: self._election.leader,
            ResignRequest: self._election.resign,
        }

    async def call(self, request: Request[R], caller: Caller) -> R:
        """Answers a request of either service; cancelling one that waits deletes the key with which it waits.

        Raises: errors of the catalogue.
        """
        return cast("R", await self._handlers[type(request)](request, caller))

    def observe(self, request: LeaderRequest, caller: Caller) -> AsyncGenerator[LeaderResponse]:
        """Yields who leads, then each new value and each new leader, until it is closed.

        Raises: errors of the catalogue.
        """
        return self._election.observe(request, caller)
