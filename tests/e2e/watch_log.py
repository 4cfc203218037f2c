"""Watchers of a cluster that write down each event, and whether none is missing, twice there or out of order."""

import base64
import http.client
import json
import socket
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tests.e2e.cluster import Member, encoded
from tests.e2e.history import History

DEADLINE = 30.0
RETRY = 0.05


@dataclass(frozen=True, slots=True)
class Event:
    """One change of a key; value None: it was deleted."""

    revision: int
    key: bytes
    value: bytes | None


class WatchLog:
    """A watch on one member, resumed there behind the last revision that it has told of when its stream breaks."""

    def __init__(self, member: Member, prefix: bytes, start_revision: int) -> None:
        self.member = member
        self.events: list[Event] = []
        self.streams = 0
        """How many streams it took."""
        self.refusals: list[str] = []
        self._prefix = prefix
        self._next = start_revision
        self._news = threading.Condition()
        self._end = threading.Event()
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end.set()
        with self._news:
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def wait_for(self, revision: int, deadline: float = DEADLINE) -> None:
        """Waits until it has told of a revision."""
        with self._news:
            came = self._news.wait_for(lambda: self._next > revision, deadline)
        assert came, f"the watch on {self.member.name} stands at {self._next - 1}, not {revision}: {self.refusals}"

    def wait_until_open(self) -> None:
        """Waits until its first stream has begun."""
        with self._news:
            assert self._news.wait_for(lambda: self.streams > 0, DEADLINE), f"no watch on {self.member.name}"

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                self._follow()
            except (OSError, ValueError, http.client.HTTPException):
                self._end.wait(RETRY)  # its member is away

    def _follow(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.member.client_port)
        create = {"key": encoded(self._prefix), "range_end": encoded(after(self._prefix)), "start_revision": self._next}
        connection.connect()
        with self._news:
            self._socket = connection.sock.dup()
        try:
            connection.request("POST", "/v3/watch", json.dumps({"create_request": create}))
            response = connection.getresponse()
            if response.status != 200:
                raise ConnectionRefusedError(response.status)
            while line := response.readline():
                self._take(json.loads(line))
        finally:
            connection.close()
            with self._news:
                self._socket.close()
                self._socket = None

    def _take(self, message: dict[str, Any]) -> None:  # JSON
        result = message.get("result", {})
        with self._news:
            if result.get("canceled"):
                self.refusals.append(json.dumps(message))
            self.streams += bool(result.get("created"))
            for event in result.get("events", []):
                kv = event["kv"]
                value = None if event.get("type") == "DELETE" else base64.b64decode(kv.get("value", ""))
                self.events.append(Event(int(kv["mod_revision"]), base64.b64decode(kv["key"]), value))
                self._next = self.events[-1].revision + 1
            self._news.notify_all()


def after(prefix: bytes) -> bytes:
    """The end of the range of all keys with a prefix."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


def check(logs: Sequence[WatchLog], history: History, wanted: Iterable[int]) -> None:
    """Fails unless all logs tell the same, of every wanted revision and of all acknowledged writes among them."""
    wanted = set(wanted)
    for log in logs:
        assert not log.refusals, (log.member.name, log.refusals)
        revisions = [event.revision for event in log.events]
        assert revisions == sorted(revisions), f"{log.member.name} is out of order"
        assert len(set(log.events)) == len(log.events), f"{log.member.name} told something twice"
        missing = sorted(wanted.difference(revisions))
        assert not missing, f"{log.member.name} told nothing of {missing[:10]} and {len(missing)} in all"
        assert log.events == logs[0].events, f"{log.member.name} and {logs[0].member.name} differ"
    told: dict[int, set[tuple[bytes, bytes | None]]] = {}
    for event in logs[0].events:
        told.setdefault(event.revision, set()).add((event.key, event.value))
    for revision, write in history.acknowledged().items():
        if revision in wanted:
            assert told[revision] == set(write.changes), f"{write} was told as {told[revision]}"
