"""The rows of etcd's contract on watches, on a member that runs."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from consensus.member import Member
from consensus.watch_stream import QUEUED, QUEUED_BYTES, WatchStream
from raftgate.api import errors
from raftgate.api.kv import CompactionRequest, DeleteRangeRequest, PutRequest, RequestOp, ResponseHeader, TxnRequest
from raftgate.api.message import Caller
from raftgate.api.watch import (
    WatchCancelRequest,
    WatchCreateRequest,
    WatchFilter,
    WatchProgressRequest,
    WatchRequest,
    WatchResponse,
)
from tests.fakes.env import FakeEnv
from tests.fakes.member import RECORD, options, running

pytestmark = pytest.mark.anyio

CALLER = Caller()
PROGRESS = WatchRequest(progress_request=WatchProgressRequest())


def header(revision: int) -> ResponseHeader:
    return ResponseHeader(0xC1, RECORD.ID, revision, 2)


def create(key: bytes = b"a", **fields: Any) -> WatchRequest:  # Any: fields of their own types
    return WatchRequest(create_request=WatchCreateRequest(key, **fields))


def cancel(watch_id: int) -> WatchRequest:
    return WatchRequest(cancel_request=WatchCancelRequest(watch_id))


class Client:
    """One who watches a member that it also writes to."""

    def __init__(self, member: Member, stream: WatchStream) -> None:
        self.member = member
        self.stream = stream
        self.left: list[WatchResponse] = []

    def send(self, *requests: WatchRequest) -> None:
        for request in requests:
            self.stream.send(request)

    async def next(self) -> WatchResponse:
        if not self.left:
            async with asyncio.timeout(5):
                self.left += await self.stream.receive()
        return self.left.pop(0)

    async def some(self, count: int) -> list[WatchResponse]:
        return [await self.next() for _ in range(count)]

    async def put(self, key: bytes, value: bytes = b"v") -> None:
        await self.member.server.call(PutRequest(key, value), CALLER)

    async def delete(self, key: bytes) -> None:
        await self.member.server.call(DeleteRangeRequest(key), CALLER)

    async def compact(self, revision: int) -> None:
        await self.member.server.call(CompactionRequest(revision), CALLER)

    async def ids(self, *requests: WatchRequest) -> list[int]:
        self.send(*requests)
        return [response.watch_id for response in await self.some(len(requests))]

    async def nothing(self) -> None:
        """Nothing has been said: what is said next is that of a request made now."""
        self.send(create(b"\xff"))
        assert (await self.next()).created


def told(responses: Sequence[WatchResponse]) -> list[tuple[str, bytes, int]]:
    events = [event for response in responses for event in response.events]
    return [(str(event.type), event.kv.key, event.kv.mod_revision) for event in events if event.kv]


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with running(FakeEnv(), tmp_path, options(watch_progress_interval=0.05)) as member:
        yield Client(member, await member.server.watch(CALLER))


async def test_created_and_then_events(client: Client) -> None:
    client.send(create())
    assert await client.next() == WatchResponse(header(1), created=True)
    await client.put(b"a")
    await client.put(b"b")
    await client.delete(b"a")
    first, second = await client.some(2)
    assert (first.header, first.watch_id, first.created) == (header(2), 0, False)
    assert second.header == header(4)
    assert told([first, second]) == [("PUT", b"a", 2), ("DELETE", b"a", 4)]


async def test_a_request_without_any_member_is_ignored(client: Client) -> None:
    client.send(WatchRequest())
    await client.nothing()


async def test_no_key_is_the_key_of_one_zero_byte(client: Client) -> None:
    client.send(create(b""))
    await client.next()
    await client.put(b"\0")
    await client.put(b"a")
    assert told([await client.next()]) == [("PUT", b"\0", 2)]
    await client.nothing()


async def test_no_key_up_to_a_zero_byte_is_everything(client: Client) -> None:
    client.send(create(b"", range_end=b"\0"))
    await client.next()
    await client.put(b"\0")
    await client.put(b"\xff")
    assert told(await client.some(2)) == [("PUT", b"\0", 2), ("PUT", b"\xff", 3)]


async def test_the_end_of_a_range_is_outside(client: Client) -> None:
    client.send(create(b"a", range_end=b"b"))
    await client.next()
    for key in (b"Z", b"a", b"az", b"b"):
        await client.put(key)
    assert told(await client.some(2)) == [("PUT", b"a", 3), ("PUT", b"az", 4)]
    await client.nothing()


async def test_ids_are_picked_around_those_in_use(client: Client) -> None:
    assert await client.ids(create(watch_id=1), create(), create(), create()) == [1, 0, 2, 3]
    assert await client.ids(create(watch_id=-1), create(watch_id=-(2**63))) == [-1, -(2**63)]


async def test_an_id_that_was_cancelled_may_be_used_again(client: Client) -> None:
    assert await client.ids(create(watch_id=5), cancel(5), create(watch_id=5), create()) == [5, 5, 5, 0]


DUPLICATE = "mvcc: duplicate watch ID provided on the WatchStream"
REFUSED = [
    ("empty range", create(b"b", range_end=b"a"), "mvcc: watcher range is empty"),
    ("range of nothing", create(b"b", range_end=b"b"), "mvcc: watcher range is empty"),
    ("id in use", create(watch_id=7), DUPLICATE),
    ("below zero", create(start_revision=-1), "etcdserver: mvcc: required revision has been compacted"),
]


@pytest.mark.parametrize(("request_", "reason"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_refusals_end_nothing_else(client: Client, request_: WatchRequest, reason: str) -> None:
    client.send(create(watch_id=7), request_)
    _, refused = await client.some(2)
    assert refused == WatchResponse(header(1), -1, created=True, canceled=True, cancel_reason=reason)
    await client.put(b"a")
    assert (await client.next()).watch_id == 7


async def test_history_from_a_revision_on(client: Client) -> None:
    for _ in range(3):
        await client.put(b"a")
    client.send(create(start_revision=3))
    created, events = await client.some(2)
    assert created == WatchResponse(header(4), created=True)
    assert (events.header, told([events])) == (header(4), [("PUT", b"a", 3), ("PUT", b"a", 4)])


async def test_a_revision_to_come(client: Client) -> None:
    client.send(create(start_revision=3))
    assert await client.next() == WatchResponse(header(1), created=True)
    await client.put(b"a")
    await client.put(b"a")
    assert told([await client.next()]) == [("PUT", b"a", 3)]


async def test_below_the_compacted_revision(client: Client) -> None:
    for _ in range(3):
        await client.put(b"a")
    await client.compact(3)
    client.send(create(start_revision=2, watch_id=9), create(start_revision=3), create(watch_id=9))
    created, cancelled, other, again = (await client.some(5))[:4]
    assert created == WatchResponse(header(4), 9, created=True)
    assert cancelled == WatchResponse(header(0), 9, canceled=True, compact_revision=3)
    assert other.created
    assert (again.watch_id, again.created, again.canceled) == (9, True, False)


async def test_at_the_compacted_revision(client: Client) -> None:
    for _ in range(3):
        await client.put(b"a")
    await client.compact(3)
    client.send(create(start_revision=3))
    assert told(await client.some(2)) == [("PUT", b"a", 3), ("PUT", b"a", 4)]


async def test_filters(client: Client) -> None:
    client.send(
        create(filters=(WatchFilter.NOPUT, 17)),
        create(filters=(WatchFilter.NODELETE,)),
        create(filters=(WatchFilter.NOPUT, WatchFilter.NODELETE)),
    )
    await client.some(3)
    await client.put(b"a")
    await client.delete(b"a")
    assert [(each.watch_id, told([each])[0][0]) for each in await client.some(2)] == [(1, "PUT"), (0, "DELETE")]
    await client.nothing()


async def test_prev_kv(client: Client) -> None:
    await client.put(b"a", b"1")
    client.send(create(prev_kv=True), create(prev_kv=True, start_revision=2), create())
    await client.some(4)
    await client.put(b"a", b"2")
    await client.delete(b"a")
    await client.put(b"a", b"3")
    values: dict[int, list[bytes | None]] = {0: [], 1: [], 2: []}
    for response in await client.some(9):
        values[response.watch_id] += [event.prev_kv.value if event.prev_kv else None for event in response.events]
    assert values == {0: [b"1", b"2", None], 1: [b"1", b"2", None], 2: [None] * 3}


async def test_cancelled(client: Client) -> None:
    client.send(create(), create(), cancel(0), cancel(77))
    await client.some(2)
    assert await client.next() == WatchResponse(header(1), 0, canceled=True)
    await client.put(b"a")
    assert (await client.next()).watch_id == 1
    client.send(cancel(0))
    await client.nothing()


async def test_progress_comes_behind_what_it_speaks_of(client: Client) -> None:
    client.send(create(), PROGRESS)
    created, progress = await client.some(2)
    assert created.created
    assert progress == WatchResponse(header(1), -1)
    await client.put(b"a")
    client.send(PROGRESS)
    events, progress = await client.some(2)
    assert events.events
    assert progress == WatchResponse(header(2), -1)


async def test_progress_of_no_watch_of_one_behind_and_of_one_to_come_is_not_told(client: Client) -> None:
    client.send(PROGRESS)
    await client.put(b"a")
    client.send(create(start_revision=1), PROGRESS, cancel(0), create(start_revision=9), PROGRESS)
    kinds = [(response.created, response.canceled, response.watch_id) for response in await client.some(3)]
    assert kinds == [(True, False, 0), (False, True, 0), (True, False, 1)]
    await client.nothing()


async def test_notices_where_nothing_else_is_told(client: Client) -> None:
    client.send(create(progress_notify=True), create(b"b"))
    await client.some(2)
    for _ in range(2):
        assert await client.next() == WatchResponse(header(1), 0)
    await client.put(b"a")
    assert (await client.next()).events
    assert await client.next() == WatchResponse(header(2), 0)


async def test_a_notice_right_after_events_is_skipped(client: Client) -> None:
    client.send(create(progress_notify=True))
    await client.next()
    loop = asyncio.get_running_loop()
    started = loop.time()
    await client.put(b"a")
    assert (await client.next()).events
    assert not (await client.next()).events
    assert loop.time() - started > 0.05  # an interval has passed by


async def test_fragments_only_for_those_who_want_them(client: Client) -> None:
    for _ in range(9):
        await client.put(b"a", bytes(400_000))
    client.send(create(start_revision=2), create(start_revision=2, fragment=True))
    parts = [response for response in await client.some(5) if response.events]
    assert [(part.watch_id, len(part.events), part.fragment) for part in parts] == [
        (0, 9, False),
        (1, 5, True),
        (1, 4, False),
    ]
    assert {part.header for part in parts} == {header(10)}


async def test_a_revision_too_may_be_split(client: Client) -> None:
    client.send(create(b"a", range_end=b"b", fragment=True))
    await client.next()
    ops = tuple(RequestOp(request_put=PutRequest(b"a%d" % n, bytes(400_000))) for n in range(3))
    await client.member.server.call(TxnRequest(success=ops), CALLER)  # too small
    assert not (await client.next()).fragment


async def test_a_slow_receiver_is_set_aside_and_loses_nothing(client: Client) -> None:
    client.send(create())
    for _ in range(3 * QUEUED):
        await client.put(b"a")
    assert client.member.watches.pending_events == QUEUED - 1
    assert client.member.watches.hub.slow == 1
    revisions: list[int] = []
    while len(revisions) < 3 * QUEUED:
        revisions += [revision for _, _, revision in told([await client.next()])]
    assert revisions == list(range(2, 3 * QUEUED + 2))
    assert client.member.watches.hub.slow == 0


async def test_a_slow_receiver_holds_few_bytes(client: Client) -> None:
    client.send(create())
    for _ in range(20):
        await client.put(b"a", bytes(1 << 20))
    assert client.member.watches.pending_events <= QUEUED_BYTES >> 20
    revisions: list[int] = []
    while len(revisions) < 20:
        revisions += [revision for _, _, revision in told([await client.next()])]
    assert revisions == list(range(2, 22))


async def test_a_slow_receiver_is_passed_by_a_compaction(client: Client) -> None:
    client.send(create())
    for _ in range(3 * QUEUED):
        await client.put(b"a")
    await client.compact(2 * QUEUED)
    responses = await client.some(QUEUED + 1)
    assert told(responses) == [("PUT", b"a", revision) for revision in range(2, QUEUED + 1)]
    assert responses[-1] == WatchResponse(header(0), 0, canceled=True, compact_revision=2 * QUEUED)
    await client.nothing()


async def test_a_receiver_that_waits_is_woken_and_may_give_up(client: Client) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await client.stream.receive()
    waiting = asyncio.create_task(client.next())
    await asyncio.sleep(0)
    client.send(create())
    assert (await waiting).created


async def test_a_stream_that_is_closed_has_no_watches(client: Client) -> None:
    client.send(create(), create(progress_notify=True))
    await client.some(2)
    waiting = asyncio.create_task(client.stream.receive())
    await asyncio.sleep(0)
    client.stream.close()
    client.stream.close()
    client.send(create())
    with pytest.raises(errors.WatchCanceled):
        await waiting
    with pytest.raises(errors.WatchCanceled):
        await client.stream.receive()
    assert (client.member.watches.hub.count, client.member.watches.streams) == (0, 0)
