"""Calls without an end: streams of JSON lines that are opened anew when the connection breaks, and answers that wait.

Neither gives up by itself: like etcdctl they try the endpoints in turn until one serves.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import TypeVar

import httpx
import msgspec

from raftgate.api import json_codec
from raftgate.api.errors import Code, InvalidArgument
from raftgate.api.message import Message, Request
from raftgate.ctl.client import PATHS, RETRY_PAUSE, CallError, Client, NoAnswer, error_of, response_of

R = TypeVar("R", bound=Message)

_PAUSE = 4 * RETRY_PAUSE


_NOTHING = msgspec.Raw(b"")


class _Line(msgspec.Struct):
    result: msgspec.Raw = _NOTHING
    error: msgspec.Raw = _NOTHING


def results(
    client: Client,
    path: str,
    body: Callable[[], bytes | Iterator[bytes]],
    answer: type[R],
    opened: Callable[[httpx.Response], None] = lambda _: None,
) -> Iterator[R]:
    """Yields what a stream tells; when it breaks, it is opened again with what `body` then gives.

    `opened` is told of each connection.

    Raises: CallError where the server refuses.
    """
    for url in _endpoints(client):
        try:
            yield from _results_once(client, url + path, body(), answer, opened)
        except NoAnswer as error:
            client.note(url, error)
        except CallError as error:
            client.note(url, error)
            if error.status != Code.UNAVAILABLE:
                raise


def wait(client: Client, request: Request[R]) -> R:
    """Asks for what may take any time; asked again when the connection breaks.

    Raises: CallError where the server refuses.
    """
    path, body = PATHS[type(request)], json_codec.encode(request)
    for url in _endpoints(client):
        try:
            with client.exchange(url + path, body, _patience(client), {}) as response:
                answer = response.read()
            if response.status_code != httpx.codes.OK:
                raise error_of(response.status_code, answer)
            return _decode(response_of(request), answer)
        except NoAnswer as error:
            client.note(url, error)
        except CallError as error:
            client.note(url, error)
            if error.status != Code.UNAVAILABLE:
                raise
    raise AssertionError  # the endpoints do not end


def _endpoints(client: Client) -> Iterator[str]:
    """The endpoints, again and again; a pause behind each."""
    for url in itertools.cycle(client.urls):
        yield url
        client.clock.sleep(_PAUSE)


def _results_once(
    client: Client, url: str, body: bytes | Iterator[bytes], answer: type[R], opened: Callable[[httpx.Response], None]
) -> Iterator[R]:
    with client.exchange(url, body, _patience(client), {"Grpc-Metadata-hasleader": "true"}) as response:
        if response.status_code != httpx.codes.OK:
            raise error_of(response.status_code, response.read())
        opened(response)
        for line in _lines(response):
            try:
                parts = msgspec.json.decode(line, type=_Line)
            except msgspec.DecodeError as error:
                raise CallError(Code.INTERNAL, f"malformed answer from server: {error}") from None
            if parts.error:
                raise error_of(response.status_code, bytes(parts.error))
            if parts.result:
                yield _decode(answer, bytes(parts.result))


def _lines(response: httpx.Response) -> Iterator[bytes]:
    """Whole lines only: one that the end of the connection cuts is none."""
    rest = bytearray()
    for part in response.iter_bytes():
        rest += part
        if b"\n" in part:
            *lines, tail = rest.split(b"\n")
            rest = tail
            yield from (bytes(line) for line in lines if line.strip())


def _decode(answer: type[R], body: bytes) -> R:
    try:
        return json_codec.decode(answer, body)
    except InvalidArgument as error:
        raise CallError(Code.INTERNAL, f"malformed answer from server: {error}") from None


def _patience(client: Client) -> httpx.Timeout:
    return httpx.Timeout(None, connect=client.settings.dial_timeout or None)
