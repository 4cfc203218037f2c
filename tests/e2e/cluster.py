"""Whole clusters of real processes: raftgate's or the real etcd's, with links between the members that can be cut.

Each member keeps its ports and its data over restarts. All is asked over HTTP, by the calls that both programs know.
"""

import base64
import contextlib
import http.client
import json
import re
import shlex
import signal
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.e2e.links import CUT, Links
from tests.e2e.rpc import HASHKV, PUT, STATUS
from tests.e2e.servers import READY, Process, free_ports

T = TypeVar("T")

LEARNER = "etcdserver: rpc not supported for learner"
DEADLINE = 30.0
"""Seconds within which a cluster must get over whatever it was."""
QUICK = ("--heartbeat-interval=50", "--election-timeout=500")
PAUSE = 0.02


def encoded(data: bytes) -> str:
    """Bytes as JSON has them."""
    return base64.b64encode(data).decode()


@dataclass(frozen=True, slots=True)
class Program:
    """What a cluster is made of."""

    name: str
    command: Sequence[str]


class NotAnswered(Exception):
    """A member did not answer, or refused; `status` 0: nothing has come back."""

    def __init__(self, status: int, text: str, *, was_sent: bool = True) -> None:
        super().__init__(f"{status} {text}")
        self.status = status
        self.text = text
        self.was_sent = was_sent and LEARNER not in text
        """Whether the member may have done anything about the request."""


class Connection:
    """A kept-alive connection to one member, opened anew when it broke."""

    def __init__(self, port: int, timeout: float = DEADLINE) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def post(self, path: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Asks something.

        Raises: NotAnswered.
        """
        was_sent = False
        try:
            if self._connection.sock is None:
                self._connection.connect()
            was_sent = True
            self._connection.request("POST", path, json.dumps(message))
            response = self._connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise NotAnswered(0, repr(error), was_sent=was_sent) from None
        if response.status != 200:
            raise NotAnswered(response.status, body.decode(errors="replace"))
        answer: dict[str, Any] = json.loads(body)
        return answer

    def close(self) -> None:
        """Closes it."""
        self._connection.close()


@dataclass
class Member:
    """One member's place: it outlives the processes that fill it."""

    number: int
    client_port: int
    peer_port: int
    data_dir: Path
    held: list[socket.socket] = field(default_factory=list)
    process: Process | None = None
    id: str = ""

    @property
    def name(self) -> str:
        """What the cluster calls it."""
        return f"m{self.number}"

    @property
    def running(self) -> Process:
        """Its process, which must be there."""
        assert self.process is not None, f"{self.name} was never started"
        return self.process

    @property
    def is_alive(self) -> bool:
        """Whether it has a process, be it stopped."""
        return self.process is not None and self.process.is_alive()

    def ask(self, path: str, message: Mapping[str, Any], timeout: float = DEADLINE) -> dict[str, Any]:
        """Asks something over a connection of its own.

        Raises: NotAnswered.
        """
        connection = Connection(self.client_port, timeout)
        try:
            return connection.post(path, message)
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        """The sum of a metric's samples over all labels; 0 if there is none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.client_port, timeout=DEADLINE)
        try:
            connection.request("GET", "/metrics")
            lines = connection.getresponse().read().decode().splitlines()
        finally:
            connection.close()
        return sum(float(line.rpartition(" ")[2]) for line in lines if re.match(rf"{name}[ {{]", line))

    def kill(self) -> None:
        """kill -9."""
        self.running.kill()

    def terminate(self) -> float:
        """Asks it to end; answers after how many seconds it has."""
        began = time.monotonic()
        self.running.signal(signal.SIGTERM)
        code = self.running.wait()
        assert code in (0, -signal.SIGTERM), self.running.tail()  # etcd ends by the signal that it was sent
        return time.monotonic() - began

    def pause(self) -> None:
        """SIGSTOP."""
        self.running.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.running.signal(signal.SIGCONT)


class Cluster:
    """Members that know each other; a context manager, which ends all of them."""

    def __init__(self, program: Program, directory: Path, *flags: str, size: int = 3, linked: bool = True) -> None:
        """`linked`: put proxies between them, so that `links` may be used."""
        self._program = program
        self._flags = flags
        self._token = directory.name
        ports = free_ports(2 * size)
        pairs = zip(ports[::2], ports[1::2], strict=True)
        self.members = [
            Member(number, client_port, peer_port, directory / f"m{number}")
            for number, (client_port, peer_port) in enumerate(pairs)
        ]
        for member in self.members:
            member.held = [_hold(member.client_port), _hold(member.peer_port)]
        peer_ports = [member.peer_port for member in self.members]
        self._links = Links(peer_ports, self._pids) if linked else None
        self._peer_ports = self._links.ports if self._links else peer_ports

    def __enter__(self) -> Self:
        try:
            self.start(*self.members)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(self.logs())
        self._end()

    def _end(self) -> None:
        for member in self.members:
            if member.process is not None:
                member.process.kill()
            for sock in member.held:
                sock.close()
        if self._links is not None:
            self._links.close()

    # ---- processes ----

    def start(self, *members: Member) -> None:
        """Starts members that do not run, together, and waits until they serve."""
        for member in members:
            self.launch(member)
        for member in members:
            member.running.wait_for_line(READY)
            member.id = member.ask(STATUS, {})["header"]["member_id"]

    def launch(self, member: Member, *flags: str) -> None:
        """Starts a member without waiting for it."""
        client = f"http://127.0.0.1:{member.client_port}"
        urls = [f"{each.name}=http://127.0.0.1:{self._peer_ports[each.number]}" for each in self.members]
        member.process = Process([
            *self._program.command,
            f"--name={member.name}",
            f"--data-dir={member.data_dir}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls=http://127.0.0.1:{member.peer_port}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{self._peer_ports[member.number]}",
            f"--initial-cluster={','.join(urls)}",
            f"--initial-cluster-token={self._token}",
            *self._flags,
            *flags,
        ])  # fmt: skip

    def logs(self) -> str:
        """The ends of all logs, for a report."""
        tails = [f"---- {each.name}\n{each.process.tail()}" for each in self.members if each.process is not None]
        return "\n".join([shlex.join(self._program.command), *tails])

    def _pids(self) -> dict[int, int]:
        return {each.running.pid: each.number for each in self.members if each.is_alive}

    # ---- links ----

    @property
    def links(self) -> Links:
        """What lies between the members."""
        assert self._links is not None, "this cluster has no proxies"
        return self._links

    def isolate(self, *members: Member) -> None:
        """Cuts members off from the others, both ways; those who are cut off still have each other."""
        inside = {member.number for member in members}
        self.links.change(CUT, [pair for pair in self.links.all_pairs() if len(inside.intersection(pair)) == 1])

    def recover(self) -> None:
        """Heals all links and brings back every member."""
        if self._links is not None:
            self._links.heal()
        for member in self.members:
            if member.is_alive:
                member.resume()
        self.start(*(member for member in self.members if not member.is_alive))

    # ---- what they say ----

    def leader(self, among: Iterable[Member] = (), *, unlike: Member | None = None) -> Member:
        """Waits until one member leads by the word of a majority, and gives it."""
        asked = list(among) or [member for member in self.members if member.is_alive]
        quorum = len(self.members) // 2 + 1

        def elected() -> Member | None:
            named = [str(_status(member).get("leader", "")) for member in asked]
            for member in asked:
                if member is not unlike and named.count(member.id) >= quorum:
                    return member
            return None

        return self.wait_for(elected, "a leader")

    def followers(self) -> list[Member]:
        """Waits for a leader and gives the others."""
        leader = self.leader()
        return [member for member in self.members if member is not leader]

    def others(self, *members: Member) -> list[Member]:
        """All but these."""
        return [member for member in self.members if member not in members]

    def term(self) -> int:
        """The highest term that is known."""
        return max(int(_status(member).get("raftTerm", 0)) for member in self.members if member.is_alive)

    def settle(self, key: str) -> int:
        """Puts a key, waits until all members have it and checks that their stores are equal; answers its revision."""
        message = {"key": encoded(key.encode()), "value": ""}
        revision = int(self.wait_for(lambda: _answer(self.members[0], PUT, message), "a write")["header"]["revision"])
        for member in self.members:
            self.wait_for(partial(_has_reached, member, revision), f"revision {revision} on {member.name}")
        hashes = [member.ask(HASHKV, {"revision": revision}) for member in self.members]
        found = {(each["hash"], each.get("compact_revision")) for each in hashes}
        assert len(found) == 1, f"the stores differ: {hashes}"
        return revision

    def wait_for(self, condition: Callable[[], T | None], what: str, deadline: float = DEADLINE) -> T:
        """Asks until there is an answer, and gives it."""
        end = time.monotonic() + deadline
        while True:
            found = condition()
            if found:
                return found
            assert time.monotonic() < end, f"never came to {what}"
            self.members[0].running.wait_for_news(PAUSE)


def _hold(port: int) -> socket.socket:
    """Keeps a port from being given to others while its member is down; a member that listens is not hindered."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    return sock


def _answer(member: Member, path: str, message: Mapping[str, Any], timeout: float = 2.0) -> dict[str, Any] | None:
    with contextlib.suppress(NotAnswered):
        return member.ask(path, message, timeout)
    return None


def _status(member: Member) -> dict[str, Any]:
    return _answer(member, STATUS, {}, 1.0) or {}


def _has_reached(member: Member, revision: int) -> bool:
    return int(_status(member).get("header", {}).get("revision", 0)) >= revision
