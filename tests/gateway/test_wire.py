import asyncio
from collections.abc import Iterable

import pytest
from starlette.types import Message

from gateway.replies import HEADERS_KEY
from gateway.wire import HOLD_KEY, Alongside, ClientGone, HttpWire, Requests
from raftgate.api.errors import InvalidArgument, MessageTooLarge, NoLeader
from raftgate.api.lease import LeaseKeepAliveRequest
from tests.fakes.gateway import make_options


class Pieces:
    """A wire that carries what it is given."""

    kind = "watch_ndjson"

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.pieces = list(pieces)

    async def start(self, *, endless: bool = False) -> None: ...

    async def receive(self) -> bytes | None:
        return self.pieces.pop(0) if self.pieces else None

    async def gone(self) -> None:
        raise ClientGone

    async def write(self, line: bytes) -> None: ...


async def read_all(*pieces: bytes, **changes: int) -> list[int]:
    requests = Requests(LeaseKeepAliveRequest, Pieces(pieces), make_options(**changes))
    found: list[int] = []
    while (request := await requests.read()) is not None:
        found.append(request.ID)
    assert await requests.read() is None
    return found


class TestRequests:
    @pytest.mark.anyio
    async def test_messages_in_pieces(self) -> None:
        assert await read_all(b'{"ID":1}{"I', b"", b'D":"2"} ', b'{"ID":3}') == [1, 2, 3]

    @pytest.mark.anyio
    async def test_many_at_once(self) -> None:
        assert await read_all(b'{"ID":7}' * 10_000) == [7] * 10_000

    @pytest.mark.anyio
    async def test_what_follows_a_malformed_message_is_not_read(self) -> None:
        assert await read_all(b'{"ID":1}{"ID":[]}{"ID":2}') == [1]
        assert await read_all(b'{"ID":1}', b',{"ID":2}') == [1]
        assert await read_all(b'{"ID":1}', b'{"ID":2') == [1]

    @pytest.mark.anyio
    async def test_only_the_first_is_told_of(self) -> None:
        for piece in (b"null", b'{"ID":', b'{"ID":[]}'):
            with pytest.raises(InvalidArgument):
                await read_all(piece)

    @pytest.mark.anyio
    async def test_the_bound_of_a_message(self) -> None:
        large = b'{"ID":7,"x":"' + b"y" * 40_000 + b'"}'
        assert await read_all(large) == [7]
        assert await read_all(large, offload_bytes=10_000) == [7]
        with pytest.raises(MessageTooLarge):
            await read_all(large[:30_000], large[30_000:], max_request_bytes=-2_090_000)


class TestHttpWire:
    @staticmethod
    def make(*messages: Message, hold: object = None) -> tuple[HttpWire, list[Message]]:
        incoming, sent = list(messages), []

        async def receive() -> Message:
            return incoming.pop(0)

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {HEADERS_KEY: [(b"x", b"y")], "method": "POST"}
        if hold is not None:
            scope[HOLD_KEY] = hold  # type: ignore[assignment]  # a scope holds anything
        return HttpWire("watch_ndjson", scope, receive, send, [(b"content-type", b"a/b")]), sent

    @pytest.mark.anyio
    async def test_the_head_goes_out_once(self) -> None:
        held: list[bool] = []
        wire, sent = self.make(hold=lambda *, endless=False: held.append(endless))
        assert held == [False]
        await wire.start(endless=True)
        await wire.start()
        await wire.write(b"line\n")
        await wire.finish()
        assert held == [False, True]
        assert [message["type"] for message in sent] == ["http.response.start", *["http.response.body"] * 2]
        assert sent[0]["headers"] == [(b"x", b"y"), (b"content-type", b"a/b"), (b"connection", b"close")]
        assert (wire.status, wire.sent) == (200, 5)

    @pytest.mark.anyio
    async def test_a_server_that_does_not_cancel_says_that_the_client_has_gone(self) -> None:
        body: Message = {"type": "http.request", "body": b"ab", "more_body": False}
        gone: Message = {"type": "http.disconnect"}
        wire, _ = self.make(body, gone)
        assert [await wire.receive(), await wire.receive()] == [b"ab", None]
        with pytest.raises(ClientGone):
            await wire.gone()
        wire, _ = self.make(gone)
        with pytest.raises(ClientGone):
            await wire.receive()

    @pytest.mark.anyio
    async def test_a_refusal_closes_unless_the_request_was_read(self) -> None:
        wire, sent = self.make()
        await wire.fail(NoLeader())
        assert (wire.status, (b"connection", b"close") in sent[0]["headers"]) == (503, True)
        wire, sent = self.make({"type": "http.request"})
        await wire.receive()
        await wire.fail(NoLeader())
        assert (b"connection", b"close") not in sent[0]["headers"]


class TestAlongside:
    @staticmethod
    async def fails(error: Exception) -> None:
        raise error

    @pytest.mark.anyio
    async def test_a_failure_beside_ends_the_body(self) -> None:
        with pytest.raises(ClientGone):
            async with Alongside(self.fails(ClientGone())):
                await asyncio.Event().wait()
        await asyncio.sleep(0)  # nothing of it is left to be raised

    @pytest.mark.anyio
    async def test_a_failure_as_the_body_ends(self) -> None:
        current = asyncio.current_task()
        assert current is not None
        alongside = Alongside(self.fails(ClientGone()))
        await alongside.__aenter__()
        while not alongside._task.done():  # noqa: ASYNC110 - to await it would be to notice the cancellation
            await asyncio.sleep(0)
        alongside._ended(alongside._task)  # asks for the cancellation, which nothing awaits any more
        with pytest.raises(ClientGone):
            await alongside.__aexit__(None, None, None)
        await asyncio.sleep(0)  # nothing of it is left to be raised

    @pytest.mark.anyio
    async def test_the_end_of_the_body_ends_what_is_beside(self) -> None:
        ended = asyncio.Event()

        async def beside() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        async with Alongside(beside()):
            await asyncio.sleep(0)
        await asyncio.wait_for(ended.wait(), 5.0)

    @pytest.mark.anyio
    async def test_the_bodys_own_error_stands(self) -> None:
        with pytest.raises(NoLeader):
            async with Alongside(asyncio.sleep(0)):
                raise NoLeader

    @pytest.mark.anyio
    async def test_a_cancellation_from_outside_stays_one(self) -> None:
        async def body() -> None:
            async with Alongside(asyncio.Event().wait()):  # type: ignore[arg-type]  # its result is not looked at
                await asyncio.Event().wait()

        task = asyncio.create_task(body())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
