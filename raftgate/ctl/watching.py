"""A watch that outlives its connections: each new one starts behind what the last has told."""

import socket
import threading
from collections.abc import Iterator

import httpx
import msgspec

from raftgate.api import json_codec
from raftgate.api.watch import WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse
from raftgate.ctl.client import PATHS, Client
from raftgate.ctl.streams import results

_CATCH_UP = 0.3
"""Seconds after which a new watch knows the past, usually: servers do not tell the progress of one that does not."""


class Watching:
    """One watch; its responses are read by one thread, what else it offers may be called by others."""

    def __init__(self, client: Client, create: WatchCreateRequest) -> None:
        self._client = client
        self._create = create
        self._next = create.start_revision
        """The lowest revision that is still to be told; 0 until the server has said what is now."""
        self._lock = threading.Lock()
        self._wants_progress = False
        self._socket: socket.socket | None = None

    def responses(self) -> Iterator[WatchResponse]:
        """Yields events, progress, and last of all a cancellation.

        Raises: CallError where the server refuses.
        """
        for response in results(self._client, PATHS[WatchRequest], self._requests, WatchResponse, self._opened):
            news = self._take(response)
            if news is not None:
                yield news
            if response.canceled:
                return

    def ask_for_progress(self) -> None:
        """Makes the server tell up to where everything has been told, by a connection that begins with the question.

        A request cannot be sent on a connection whose body has ended, and a body without end is not for every server.
        """
        with self._lock:
            self._wants_progress = True
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)

    def _requests(self) -> Iterator[bytes]:
        with self._lock:
            asks, self._wants_progress = self._wants_progress, False
        # A watch that begins in the future has no progress: it begins with what is known, which is left out again.
        start = self._next - 1 if asks and self._next > 1 else self._next
        create = WatchRequest(create_request=msgspec.structs.replace(self._create, start_revision=start))
        yield json_codec.encode(create) + b"\n"
        if asks:
            self._client.clock.sleep(_CATCH_UP)
            yield json_codec.encode(WatchRequest(progress_request=WatchProgressRequest())) + b"\n"

    def _opened(self, response: httpx.Response) -> None:
        stream = response.extensions.get("network_stream")  # a test's transport has none
        with self._lock:
            self._socket = None if stream is None else stream.get_extra_info("socket")

    def _take(self, response: WatchResponse) -> WatchResponse | None:
        """What of a response is new."""
        revision = response.header.revision if response.header else 0
        if response.canceled:  # a refusal has nothing else in etcd's client
            return msgspec.structs.replace(response, header=None) if response.created else response
        if response.created:
            self._next = self._next or revision + 1
            return None
        if not response.events:
            self._next = max(self._next, revision + 1)
            return response
        new = tuple(event for event in response.events if event.kv and event.kv.mod_revision >= self._next)
        if not new:
            return None
        last = new[-1].kv
        assert last is not None
        self._next = last.mod_revision + 1
        return response if len(new) == len(response.events) else msgspec.structs.replace(response, events=new)
