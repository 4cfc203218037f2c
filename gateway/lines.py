"""Responses as the texts that streams carry: one JSON object a line, each response encoded once for all who get it."""

import json
from collections.abc import Callable
from http import HTTPStatus

from gateway.errors import HTTP_STATUS
from gateway.limits import in_thread
from raftgate.api import json_codec
from raftgate.api.errors import Code, EtcdError
from raftgate.api.message import Message
from raftgate.api.watch import WatchResponse

_MAX_KEPT = 64
_MAX_KEPT_BYTES = 1024 * 1024

# As in `limits`: what takes longer than about a millisecond is encoded in a thread.
_LIGHT_EVENTS = 300
_LIGHT_BYTES = 128 * 1024


def result_line(message: Message) -> bytes:
    """A message of a stream (grpc-gateway runtime/handler.go: ForwardResponseStream)."""
    return b'{"result":%b}\n' % json_codec.encode(message)


def error_line(error: EtcdError) -> bytes:
    """The last line of a stream that fails, in the forms of both generations of etcd's JSON gateway."""
    status = HTTP_STATUS[error.code]
    phrase = "" if error.code is Code.CANCELED else HTTPStatus(status).phrase  # Go knows no name of 499
    fields = {
        "grpc_code": int(error.code),
        "http_code": status,
        "message": error.text,
        "http_status": phrase,
        "code": int(error.code),
    }
    return json.dumps({"error": fields}, ensure_ascii=False, separators=(",", ":")).encode(errors="replace") + b"\n"


def is_heavy(response: WatchResponse) -> bool:
    """Whether encoding the response would hold the loop for milliseconds."""
    if len(response.events) > _LIGHT_EVENTS:
        return True
    size = 0
    for event in response.events:
        size += len(event.kv.value) if event.kv else 0
        size += len(event.prev_kv.value) if event.prev_kv else 0
    return size > _LIGHT_BYTES


class Rendered:
    """The texts of watch responses, which many streams are given as one and the same object at nearly one time."""

    def __init__(self, render: Callable[[WatchResponse], bytes]) -> None:
        self._render = render
        self._texts: dict[int, tuple[WatchResponse, bytes]] = {}  # a kept object's id is not given to another
        self._bytes = 0

    def get(self, response: WatchResponse) -> bytes | None:
        """The text of a response; None when it is not known and takes long to make."""
        kept = self._texts.get(id(response))
        if kept is not None:
            return kept[1]
        if not response.events:
            return self._render(response)
        return None if is_heavy(response) else self._keep(response, self._render(response))

    async def make(self, response: WatchResponse) -> bytes:
        """Makes a text in a worker thread."""
        text = await in_thread(self._render, response)
        return self._keep(response, text)

    def _keep(self, response: WatchResponse, text: bytes) -> bytes:
        if len(self._texts) >= _MAX_KEPT or self._bytes + len(text) > _MAX_KEPT_BYTES:
            self._texts.clear()
            self._bytes = 0
        self._texts[id(response)] = response, text
        self._bytes += len(text)
        return text
