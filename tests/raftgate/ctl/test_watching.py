import httpx

from raftgate.api import json_codec
from raftgate.api.kv import KeyValue, ResponseHeader
from raftgate.api.watch import Event, WatchCreateRequest, WatchRequest, WatchResponse
from raftgate.ctl.client import connect
from raftgate.ctl.watching import Watching
from tests.fakes.terminal import FakeServer, Terminal

PATH = "/v3/watch"


def created(revision: int) -> WatchResponse:
    return WatchResponse(header=ResponseHeader(revision=revision), created=True)


def told(*revisions: int, now: int = 0) -> WatchResponse:
    events = tuple(Event(kv=KeyValue(key=b"k", mod_revision=revision)) for revision in revisions)
    return WatchResponse(header=ResponseHeader(revision=now or revisions[-1]), events=events)


def connection(*responses: WatchResponse) -> httpx.Response:
    """A connection that tells so much and breaks, in the middle of a line."""
    lines = b"".join(b'{"result":%b}\n' % json_codec.encode(response) for response in responses)
    return httpx.Response(200, content=lines + b'{"result":{"ev')


def watch(
    *connections: httpx.Response, start: int = 0, ask_before: int = -1
) -> tuple[list[WatchResponse], list[list[WatchRequest]]]:
    """What a watch yields, and what each of its connections began with; it ends when the server cancels it."""
    left = iter(connections)
    server = FakeServer(on_request=lambda _: next(left))
    with connect(Terminal(server).invocation(["watch", "k"])) as client:
        watching = Watching(client, WatchCreateRequest(key=b"k", start_revision=start))
        responses = []
        for at, response in enumerate(watching.responses()):
            responses.append(response)
            if at == ask_before:
                watching.ask_for_progress()
    sent = [[json_codec.decode(WatchRequest, line) for line in each.content.splitlines()] for each in server.requests]
    return responses, sent


def starts(sent: list[list[WatchRequest]]) -> list[int]:
    return [requests[0].create_request.start_revision for requests in sent if requests[0].create_request]


END = WatchResponse(canceled=True, compact_revision=9)


def test_a_watch_from_now_on_resumes_behind_what_was_told() -> None:
    responses, sent = watch(
        connection(created(5)),
        connection(created(6), told(6), told(8)),
        connection(created(8)),
        connection(created(9), END),
    )
    assert responses == [told(6), told(8), END]
    assert starts(sent) == [0, 6, 9, 9]


def test_a_watch_of_the_past_resumes_behind_its_events_not_behind_the_header() -> None:
    responses, sent = watch(
        connection(created(20), told(3, 4, now=20)), connection(created(20), told(7, now=20), END), start=2
    )
    assert responses == [told(3, 4, now=20), told(7, now=20), END]
    assert starts(sent) == [2, 5]


def test_a_watch_that_has_told_nothing_resumes_where_it_began() -> None:
    _, sent = watch(connection(created(20)), connection(created(20), END), start=2)
    assert starts(sent) == [2, 2]


def test_progress_moves_the_start() -> None:
    progress = WatchResponse(header=ResponseHeader(revision=30))
    responses, sent = watch(connection(created(5), progress), connection(created(30), END))
    assert responses == [progress, END]
    assert starts(sent) == [0, 31]


def test_progress_that_lags_does_not_move_it_back() -> None:
    progress = WatchResponse(header=ResponseHeader(revision=7))
    _, sent = watch(connection(created(5), told(9), progress), connection(created(30), END))
    assert starts(sent) == [0, 10]


def test_asking_for_progress_repeats_nothing() -> None:
    progress = WatchResponse(watch_id=-1, header=ResponseHeader(revision=9))
    responses, sent = watch(
        connection(created(5), told(6), told(8)),
        connection(created(9), told(8, now=9), progress, told(8, 10, now=10), END),
        ask_before=1,
    )
    assert responses == [told(6), told(8), progress, told(10, now=10), END]
    assert starts(sent) == [0, 8]
    assert [request.progress_request is not None for request in sent[1]] == [False, True]
    assert len(sent[0]) == 1


def test_asking_for_progress_of_what_is_not_known_yet() -> None:
    _, sent = watch(connection(END), start=0)
    assert starts(sent) == [0]


def test_a_refused_watch() -> None:
    refusal = WatchResponse(watch_id=-1, created=True, canceled=True, cancel_reason="no")
    assert watch(connection(refusal))[0] == [refusal]
