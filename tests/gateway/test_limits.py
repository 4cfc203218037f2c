import asyncio
import sys
from collections.abc import Iterable

import pytest
from starlette.types import Message

from gateway.limits import COMPLETE_KEY, BodyRefused, in_thread, is_heavy, let_go, message_size, read_body
from raftgate.api.errors import Canceled
from raftgate.api.kv import (
    Compare,
    CompareResult,
    DeleteRangeResponse,
    KeyValue,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    RequestOp,
    ResponseHeader,
    ResponseOp,
    SortOrder,
    TxnRequest,
    TxnResponse,
)
from raftgate.api.message import Message as ApiMessage
from tests.fakes.gateway import make_options

MIB = 1024 * 1024


class Body:
    """What a server would hand over, one message at a time; an endless one blocks in the end."""

    def __init__(self, pieces: Iterable[bytes], *, endless: bool = False, gone: bool = False) -> None:
        parts = list(pieces)
        self.messages: list[Message] = [
            {"type": "http.request", "body": part, "more_body": endless or gone or i < len(parts) - 1}
            for i, part in enumerate(parts)
        ]
        if gone:
            self.messages.append({"type": "http.disconnect"})
        self.reads = 0

    async def receive(self) -> Message:
        self.reads += 1
        if not self.messages:
            await asyncio.Event().wait()
        return self.messages.pop(0)


def scope(length: int | None = None, *, complete: bool = False) -> dict[str, object]:
    headers = [] if length is None else [(b"content-length", b"%d" % length)]
    return {"headers": headers} | ({COMPLETE_KEY: True} if complete else {})


@pytest.mark.anyio
@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("pieces", [[b""], [b"abc"], [b"a", b"", b"bc"]])
async def test_bodies_are_joined(pieces: list[bytes], complete: bool) -> None:  # noqa: FBT001 - a column of a table
    body = Body(pieces)
    assert await read_body(scope(complete=complete), body.receive, make_options()) == b"".join(pieces)


@pytest.mark.anyio
async def test_an_announced_length_above_the_bound_is_refused_before_a_byte_is_read() -> None:
    options = make_options(max_request_bytes=0)
    body = Body([b"x"])
    with pytest.raises(BodyRefused) as caught:
        await read_body(scope(options.max_body_bytes + 1), body.receive, options)
    assert body.reads == 0
    assert caught.value.reply.status == 429
    assert (b"connection", b"close") in caught.value.reply.headers
    text = f"grpc: received message larger than max ({options.max_body_bytes + 1} vs. {options.max_body_bytes})"
    assert text.encode() in caught.value.reply.body


@pytest.mark.anyio
@pytest.mark.parametrize("complete", [True, False])
async def test_a_body_above_the_bound_is_not_read_to_its_end(complete: bool) -> None:  # noqa: FBT001 - a column
    options = make_options(max_request_bytes=0)
    body = Body([b"x" * MIB] * 100)
    with pytest.raises(BodyRefused) as caught:
        await read_body(scope(complete=complete), body.receive, options)
    assert body.reads == 5
    assert caught.value.reply.status == 429


@pytest.mark.anyio
async def test_the_bound_itself_is_allowed() -> None:
    options = make_options(max_request_bytes=0)
    body = await read_body(scope(4 * MIB), Body([b"x" * MIB] * 4).receive, options)
    assert len(body) == options.max_body_bytes


@pytest.mark.anyio
@pytest.mark.parametrize("pieces", [[], [b"x"], [b"x" * 9, b"x" * 9]], ids=["nothing", "a-byte", "a-byte-short"])
async def test_a_slow_body_is_refused_and_the_connection_closed(pieces: list[bytes]) -> None:
    options = make_options(body_window=0.02, body_rate=1000)  # 20 bytes in 20 ms
    with pytest.raises(BodyRefused) as caught:
        await read_body(scope(), Body(pieces, endless=True).receive, options)
    assert caught.value.reply.status == 408
    assert (b"connection", b"close") in caught.value.reply.headers


@pytest.mark.anyio
async def test_a_body_at_the_least_pace_may_take_many_windows() -> None:
    now = 0.0

    def clock() -> float:
        return now

    options = make_options(body_window=30.0, body_rate=1024, clock=clock)
    body = Body([b"x" * 1024] * 100)

    async def receive() -> Message:
        nonlocal now
        now += 1.0
        return await body.receive()

    assert len(await read_body(scope(), receive, options)) == 100 * 1024
    assert now == 100.0


@pytest.mark.anyio
async def test_a_client_that_goes_away() -> None:
    with pytest.raises(Canceled):
        await read_body(scope(), Body([b"x"], gone=True).receive, make_options())
    with pytest.raises(Canceled):
        await read_body(scope(complete=True), Body([], gone=True).receive, make_options())


@pytest.mark.anyio
async def test_in_thread_hands_back_results() -> None:
    assert await in_thread(divmod, 7, 2) == (3, 1)


def kvs(count: int, size: int) -> tuple[KeyValue, ...]:
    return tuple(KeyValue(key=b"k", value=b"x" * size) for _ in range(count))


@pytest.mark.parametrize(
    ("response", "heavy"),
    [
        pytest.param(PutResponse(), False, id="put"),
        pytest.param(RangeResponse(kvs=kvs(1, 1000)), False, id="one-key"),
        pytest.param(RangeResponse(kvs=kvs(501, 1)), True, id="many-keys"),
        pytest.param(RangeResponse(kvs=kvs(3, MIB)), True, id="large-values"),
        pytest.param(DeleteRangeResponse(prev_kvs=kvs(501, 1)), True, id="many-deleted"),
        pytest.param(TxnResponse(responses=(ResponseOp(response_put=PutResponse()),)), False, id="small-txn"),
        pytest.param(
            TxnResponse(
                responses=(
                    ResponseOp(
                        response_txn=TxnResponse(
                            responses=(
                                ResponseOp(response_range=RangeResponse(kvs=kvs(300, 1))),
                                ResponseOp(response_delete_range=DeleteRangeResponse(prev_kvs=kvs(300, 1))),
                            )
                        )
                    ),
                )
            ),
            True,
            id="nested-txn",
        ),
    ],
)
def test_heavy_answers(response: ApiMessage, heavy: bool) -> None:  # noqa: FBT001 - a column of a table
    assert is_heavy(response) is heavy


@pytest.mark.parametrize("operation", ["range", "delete", "txn"])
def test_a_response_in_a_box_is_let_go(operation: str) -> None:
    kv = KeyValue(b"k")
    before = sys.getrefcount(kv)
    found, deleted = RangeResponse(kvs=(kv,) * 5000), DeleteRangeResponse(prev_kvs=(kv,) * 5000)
    ops = (ResponseOp(response_range=found), ResponseOp(response_delete_range=deleted))
    made: dict[str, ApiMessage] = {"range": found, "delete": deleted, "txn": TxnResponse(responses=ops)}
    box = [made.pop(operation)]
    del found, deleted, ops, made
    let_go(box)
    assert not box
    assert sys.getrefcount(kv) == before


@pytest.mark.parametrize(
    ("message", "size"),
    [  # by the protobuf encoding guide
        pytest.param(PutRequest(), 0, id="empty"),
        pytest.param(PutRequest(key=b"foo"), 5, id="bytes"),
        pytest.param(PutRequest(value=b"x" * 128), 1 + 2 + 128, id="two-byte-length"),
        pytest.param(PutRequest(lease=1), 2, id="small-int"),
        pytest.param(PutRequest(lease=128), 3, id="two-byte-varint"),
        pytest.param(PutRequest(lease=-1), 11, id="negative"),
        pytest.param(PutRequest(prev_kv=True), 2, id="bool"),
        pytest.param(RangeRequest(sort_order=SortOrder.DESCEND), 2, id="enum"),
        pytest.param(RangeRequest(sort_order=300), 3, id="enum-number"),
        pytest.param(RangeRequest(max_create_revision=1), 2, id="field-13"),
        pytest.param(ResponseHeader(cluster_id=2**64 - 1), 11, id="uint64"),
        pytest.param(Compare(range_end=b"a"), 4, id="field-64"),
        pytest.param(Compare(version=0), 2, id="oneof-at-zero"),
        pytest.param(Compare(result=CompareResult.LESS, value=b""), 4, id="oneof-empty-bytes"),
        pytest.param(
            TxnRequest(success=(RequestOp(request_put=PutRequest(key=b"foo")), RequestOp())), 2 + 7 + 2, id="nested"
        ),
    ],
)
def test_message_size(message: ApiMessage, size: int) -> None:
    assert message_size(message) == size
