"""The line of keys below a name in which locks and elections wait (etcd client/v3/concurrency, mutex.go and key.go).

Each waiter has a key, `name/lease`, that lives as long as its lease. Whose create revision is the lowest has won; the
others wait for the deletion of the latest key before their own, so that each deletion wakes one of them.
"""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from gateway.backend import Backend
from gateway.codeless import Codeless
from raftgate.api.errors import EtcdError, LeaseNotFound, Stopped, WatchCanceled
from raftgate.api.kv import (
    Compare,
    CompareTarget,
    DeleteRangeRequest,
    KeyValue,
    PutRequest,
    RangeRequest,
    RequestOp,
    ResponseHeader,
    SortOrder,
    SortTarget,
    TxnRequest,
)
from raftgate.api.lease import LeaseGrantRequest, LeaseRevokeRequest
from raftgate.api.message import Caller
from raftgate.api.watch import WatchCreateRequest, WatchFilter, WatchRequest, WatchResponse

_LOG = logging.getLogger(__name__)

OWN_TTL = 60
"""Seconds of a lease that nobody brought and nobody keeps alive (etcd client/v3/concurrency/session.go)."""

_LEAVE_TIMEOUT = 5.0
_LEAVING: set["asyncio.Future[None]"] = set()
"""The loop itself keeps tasks by weak references only."""

_STATUS = re.compile(r"^rpc error: code = \w+ desc = ")


@dataclass(frozen=True, slots=True)
class Waiter:
    """A key in the line."""

    prefix: bytes
    key: bytes
    lease: int
    owns_lease: bool
    """Whether the lease was granted for this key alone, so that nobody else knows of it."""
    revision: int
    """The key's create revision."""
    header: ResponseHeader
    """Of the transaction that put or found the key."""
    found: KeyValue | None
    """The key as it was, where the same lease had it already."""
    is_first: bool


class Waiters:
    """All lines of one backend."""

    def __init__(self, backend: Backend, check_interval: float) -> None:
        """`check_interval`: seconds after which a waiter makes sure that there still is a quorum."""
        self._backend = backend
        self._client = Codeless(backend)
        self._check_interval = check_interval
        self._present: Counter[tuple[bytes, int]] = Counter()

    @asynccontextmanager
    async def standing(self, name: bytes, lease: int, value: bytes, caller: Caller) -> AsyncIterator[Waiter]:
        """Puts a key into the line, and takes it out if the block does not end well, cancelled or otherwise.

        Raises: errors of the catalogue.
        """
        entering = asyncio.ensure_future(self._enter(name, lease, value, caller))
        try:
            waiter = await asyncio.shield(entering)  # a transaction under way may put the key all the same
        except asyncio.CancelledError:
            await _in_time(self._undo(entering, caller))
            raise
        place = (waiter.key, waiter.revision)
        self._present[place] += 1
        try:
            yield waiter
        except BaseException:
            if self._present[place] == 1:  # or a repeated call waits with the same key
                await _in_time(self._leave(waiter, caller))
            raise
        finally:
            self._present[place] -= 1
            if not self._present[place]:
                del self._present[place]

    async def wait(self, waiter: Waiter, caller: Caller) -> None:
        """Returns when no key of the line is older than the waiter's.

        Raises: errors of the catalogue.
        """
        older = RangeRequest(
            key=waiter.prefix,
            range_end=prefix_end(waiter.prefix),
            limit=1,
            sort_order=SortOrder.DESCEND,
            sort_target=SortTarget.CREATE,
            keys_only=True,
            max_create_revision=waiter.revision - 1,
        )
        while True:
            response = await self._client.call(older, caller)
            if not response.kvs:
                return
            assert response.header is not None
            await self._deletion(response.kvs[0].key, response.header.revision, caller)

    async def look(self, waiter: Waiter, caller: Caller) -> ResponseHeader | None:
        """The header of a read that still found the waiter's key; None if the key is gone.

        Raises: errors of the catalogue.
        """
        response = await self._client.call(RangeRequest(key=waiter.key), caller)
        return response.header if response.kvs else None

    async def _enter(self, name: bytes, lease: int, value: bytes, caller: Caller) -> Waiter:
        owns_lease = not lease
        if owns_lease:
            lease = (await self._client.call(LeaseGrantRequest(TTL=OWN_TTL), caller)).ID
        prefix = name + b"/"
        key = prefix + f"{lease:x}".encode()
        first = RequestOp(request_range=oldest(prefix))
        response = await self._client.call(
            TxnRequest(
                compare=(Compare(target=CompareTarget.CREATE, key=key, create_revision=0),),
                success=(RequestOp(request_put=PutRequest(key=key, value=value, lease=lease)), first),
                failure=(RequestOp(request_range=RangeRequest(key=key)), first),
            ),
            caller,
        )
        header = response.header or ResponseHeader()
        own, ahead = (op.response_range.kvs if op.response_range else () for op in response.responses)
        found = own[0] if own else None
        return Waiter(
            prefix=prefix,
            key=key,
            lease=lease,
            owns_lease=owns_lease,
            revision=found.create_revision if found else header.revision,
            header=header,
            found=found,
            is_first=bool(ahead) and ahead[0].key == key,
        )

    async def _deletion(self, key: bytes, revision: int, caller: Caller) -> None:
        """Returns when the key, which existed at `revision`, may be gone."""
        create = WatchCreateRequest(key=key, start_revision=revision + 1, filters=(WatchFilter.NOPUT,))
        stream = await self._client.watch(caller)
        try:
            stream.send(WatchRequest(create_request=create))
            while True:
                try:
                    async with asyncio.timeout(self._check_interval):
                        responses = await stream.receive()
                except TimeoutError:
                    # Without codes lost: whoever has waited may try again, so that it is told "unavailable".
                    if not (await self._backend.call(RangeRequest(key=key, count_only=True), caller)).count:
                        return
                    continue
                if any(is_over(response) or response.events for response in responses):
                    return
        finally:
            stream.close()

    async def _undo(self, entering: "asyncio.Future[Waiter]", caller: Caller) -> None:
        """Takes out the key of a waiter that has left before it knew its place."""
        waiter = await entering
        if waiter.found is None:
            await self._leave(waiter, caller)

    async def _leave(self, waiter: Waiter, caller: Caller) -> None:
        if waiter.owns_lease:
            with suppress(LeaseNotFound):
                await self._backend.call(LeaseRevokeRequest(ID=waiter.lease), caller)
            return
        mine = Compare(target=CompareTarget.CREATE, key=waiter.key, create_revision=waiter.revision)
        delete = RequestOp(request_delete_range=DeleteRangeRequest(key=waiter.key))
        await self._backend.call(TxnRequest(compare=(mine,), success=(delete,)), caller)


async def _in_time(leaving: Coroutine[None, None, None]) -> None:
    """Runs to its end, even if the caller is cancelled again, what only its log line may fail."""

    async def run() -> None:
        try:
            async with asyncio.timeout(_LEAVE_TIMEOUT):
                await leaving
        except Stopped:  # many leave then; whoever comes back with its lease finds its key and its place
            return
        except (EtcdError, TimeoutError) as error:
            _LOG.warning("the key of a waiter that has left stays until its lease ends: %s", type(error).__name__)

    task = asyncio.ensure_future(run())
    _LEAVING.add(task)
    task.add_done_callback(_LEAVING.discard)
    await asyncio.shield(task)


def prefix_end(prefix: bytes) -> bytes:
    """The end of the range of all keys below a name, whose prefix ends in `/`."""
    return prefix[:-1] + b"0"


def oldest(prefix: bytes) -> RangeRequest:
    """Asks for the key with the lowest create revision below a name."""
    return RangeRequest(
        key=prefix,
        range_end=prefix_end(prefix),
        limit=1,
        sort_order=SortOrder.ASCEND,
        sort_target=SortTarget.CREATE,
    )


def is_over(response: WatchResponse) -> bool:
    """Whether a watch ended because its history has been compacted, so that one looks again.

    Raises: EtcdError if it was refused.
    """
    if response.canceled and not response.compact_revision:
        raise EtcdError(_STATUS.sub("", response.cancel_reason) or WatchCanceled.default_text)
    return response.canceled
