"""A terminal for `raftgatectl`: streams, environment, clock and server are the test's."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from io import BytesIO

import httpx

from raftgate.api import json_codec
from raftgate.api.message import Message
from raftgate.ctl import flags
from raftgate.ctl.__main__ import run
from raftgate.ctl.commands import ROOT, find
from raftgate.ctl.invocation import Clock, Console, Invocation

Answer = Message | httpx.Response | Exception
NOTHING_LISTENS = httpx.ConnectError("Connection refused")


def failure(status: int, code: int, text: str) -> httpx.Response:
    """An error answer as servers send it."""
    return httpx.Response(status, json={"error": text, "code": code, "message": text})


@dataclass
class FakeTime:
    """A clock that only sleeping moves."""

    now: float = 100.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += max(seconds, 1e-6)

    def clock(self) -> Clock:
        return Clock(lambda: self.now, self.sleep)


@dataclass
class FakeServer:
    """Answers by path, or by `on_request`; keeps what it was asked."""

    answers: dict[str, Answer] = field(default_factory=dict)
    on_request: Callable[[httpx.Request], Answer] | None = None
    requests: list[httpx.Request] = field(default_factory=list)

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.on_request(request) if self.on_request else self.answers[request.url.path]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        return httpx.Response(200, content=json_codec.encode(answer))

    def sent(self, cls: type[Message]) -> list[Message]:
        """The bodies received, decoded as `cls`."""
        return [json_codec.decode(cls, request.content) for request in self.requests]


def each_by_host(answers: Mapping[str, Mapping[str, Answer]]) -> FakeServer:
    """Servers that answer by host, then path, behind one keeper of requests."""
    return FakeServer(on_request=lambda request: answers[request.url.host][request.url.path])


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The text of the last `Error:` line."""
        lines = [line for line in self.err.splitlines() if line.startswith("Error: ")]
        return lines[-1].removeprefix("Error: ") if lines else ""


class Terminal:
    """Runs command lines against a fake server."""

    def __init__(self, server: FakeServer | None = None, environ: Mapping[str, str] | None = None) -> None:
        self.server = server or FakeServer()
        self.environ = environ or {}
        self.time = FakeTime()

    def run(self, *words: str, stdin: bytes = b"") -> Outcome:
        console = Console(BytesIO(stdin), BytesIO(), BytesIO())
        transport = httpx.MockTransport(self.server.handle)
        code = run(words, self.environ, console, self.time.clock(), transport)
        return Outcome(code, _text(console.stdout), _text(console.stderr))

    def invocation(self, words: Iterable[str], stdin: bytes = b"") -> Invocation:
        """What a verb gets when `words` are run here."""
        found = find(ROOT, list(words))
        values, arguments = flags.parse((*found.inherited, *found.own), found.words)
        console = Console(BytesIO(stdin), BytesIO(), BytesIO())
        transport = httpx.MockTransport(self.server.handle)
        return Invocation(found, arguments, values, self.environ, console, self.time.clock(), transport)


def _text(stream: object) -> str:
    assert isinstance(stream, BytesIO)
    return stream.getvalue().decode(errors="surrogateescape")
