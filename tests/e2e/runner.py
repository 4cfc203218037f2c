"""Runs cases against servers and gives the answers in comparable form."""

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.e2e.answers import Answer, comparable, comparable_excerpt, mismatches
from tests.e2e.case import Case, Origin, Step
from tests.e2e.client import Client
from tests.e2e.rpc import ALARM, DELETE_RANGE, LEASES, MEMBER_ADD, MEMBER_REMOVE, MEMBERS, REVOKE
from tests.e2e.servers import Server
from tests.e2e.streams import Stream, open_stream

Flags = tuple[str, ...]

# Whatever lies below this is about members.
CLUSTER = "/v3/cluster/"
# Whatever lies below these may grant leases.
LEASING = ("/v3/lease/", "/v3/kv/lease/", "/v3/lock/", "/v3/election/")

EVERYTHING = b'{"key":"AA==","range_end":"AA=="}'


def clear(client: Client, *, is_fresh: bool = False) -> Origin:
    """Delete every key; the answer's header says from where revisions are counted."""
    reply = client.send("POST", DELETE_RANGE, EVERYTHING, {})
    assert reply.status == 200, reply
    header = json.loads(reply.body)["header"]
    assert not is_fresh or header["revision"] == "1", header
    return Origin(header["cluster_id"], header["member_id"], header["raft_term"], int(header["revision"]), is_fresh)


def list_members(client: Client, origin: Origin) -> None:
    """Note those that are there at the beginning."""
    listed = json.loads(client.send("POST", MEMBERS, b"{}", {}).body)["members"]
    listed.sort(key=lambda member: (member["ID"] != origin.member_id, member["name"]))
    origin.members.extend(member["ID"] for member in listed)
    origin.peer_urls.extend(member["peerURLs"][0] for member in listed)


def remove_added(client: Client, first: Sequence[str]) -> None:
    """Remove all members but the first ones: another case adds its own."""
    for member in json.loads(client.send("POST", MEMBERS, b"{}", {}).body)["members"]:
        if member["ID"] not in first:
            reply = client.send("POST", MEMBER_REMOVE, json.dumps({"ID": member["ID"]}).encode(), {})
            assert reply.status == 200, reply


def disarm(client: Client) -> None:
    """Take back every alarm: what one case raises would refuse the next one's writes."""
    for alarm in json.loads(client.send("POST", ALARM, b"{}", {}).body).get("alarms", []):
        body = json.dumps({"action": "DEACTIVATE", **alarm}).encode()
        reply = client.send("POST", ALARM, body, {})
        assert reply.status == 200, reply


def revoke_all(client: Client) -> None:
    """End every lease: the next case lists its own only."""
    for lease in json.loads(client.send("POST", LEASES, b"{}", {}).body).get("leases", []):
        client.send("POST", REVOKE, json.dumps(lease).encode(), {})


@dataclass(slots=True)
class Run:
    """A case on its way: where it counts from, and its open streams."""

    client: Client
    origin: Origin
    streams: dict[str, Stream] = field(default_factory=dict)

    def take(self, step: Step) -> Answer | None:
        """Do what a step says and give the answer, if there is one yet."""
        body = step.encode(self.origin)
        stream = self.streams.get(step.stream)
        match step.method, stream:
            case _, None if step.stream:
                self.streams[step.stream] = open_stream(self.client.port, step, body)
            case "SEND", Stream():
                stream.connection.send(body or b"")
            case "END", Stream():
                stream.connection.end()
            case "CLOSE", Stream():
                self.streams.pop(step.stream).connection.close()
            case "READ", Stream():
                return comparable_excerpt(stream.read(step.reading), self.origin, step)
            case _:
                return comparable(self.client.send(step.method, step.path, body, step.headers), self.origin, step)
        return None

    def close(self) -> None:
        """Close the streams that are still open."""
        for stream in self.streams.values():
            stream.connection.close()


def run(client: Client, case: Case, *, real_etcd: bool) -> Generator[tuple[Step, Answer | None]]:
    """Take a case's steps in order and give each with its answer; None where there is none.

    There is none where something is only sent, and where etcd must not get the step.
    """
    running = Run(client, clear(client, is_fresh=case.fresh))
    if any(step.path.startswith(CLUSTER) for step in case.steps):
        list_members(client, running.origin)
    first = list(running.origin.members)
    try:
        for step in case.steps:
            yield step, None if real_etcd and not step.sent_to_etcd else running.take(step)
    finally:
        running.close()
        if any(step.path == ALARM for step in case.steps):
            disarm(client)
        if any(step.path.startswith(LEASING) for step in case.steps):
            revoke_all(client)
        if not case.fresh and any(step.path == MEMBER_ADD for step in case.steps):
            remove_added(client, first)


def report(compared: Sequence[tuple[Step, Answer | None, Answer | None]]) -> str:
    """Tell of every step whose answer, the last of the three, is not the wanted one; empty when all are."""
    lines = []
    for number, (step, wanted, got) in enumerate(compared, 1):
        if wanted is None or got is None:
            assert wanted is got, "recorded for another form of this case: run with --rewrite"
            continue
        wrong = mismatches(wanted, got)
        if wrong:
            head = f"step {number}: {step.method} {step.stream}{step.path} {str(step.body)[:300]}"
            lines += [head, *(f"  {w}" for w in wrong)]
    return "\n".join(lines)


@dataclass
class Running:
    """Servers of one program by their extra flags, with a connection each; started at their first use.

    `takes_own_flags` tells whether the program is raftgate.
    """

    start: Callable[[Flags], Server]
    takes_own_flags: bool = False
    started: dict[Flags, tuple[Server, Client]] = field(default_factory=dict)
    failed: dict[Flags, AssertionError] = field(default_factory=dict)

    @contextmanager
    def serving(self, case: Case) -> Iterator[tuple[Server, Client]]:
        """Give the server that a case is for; a fresh one ends with the case."""
        flags = (*case.flags, *case.own_flags) if self.takes_own_flags else case.flags
        if not case.fresh:
            yield self.with_flags(*flags)
            return
        server, client = self._start(flags)
        try:
            yield server, client
        finally:
            client.close()
            server.process.kill()

    def with_flags(self, *flags: str) -> tuple[Server, Client]:
        """Give the server with these flags, anew if it has ended; one that did not start is not tried again."""
        if flags in self.failed:
            raise self.failed[flags]
        known = self.started.get(flags)
        if known is None or not known[0].process.is_alive():
            known = self.started[flags] = self._start(flags)
        return known

    def _start(self, flags: Flags) -> tuple[Server, Client]:
        try:
            server = self.start(flags)
        except AssertionError as error:
            self.failed[flags] = error
            raise
        return server, Client(server.client_port)

    def stop(self) -> None:
        """End all of them."""
        for server, client in self.started.values():
            client.close()
            server.process.kill()
