"""Runs cases against servers and gives the answers in comparable form."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.e2e.answers import Answer, Origin, comparable
from tests.e2e.case import Case, Step
from tests.e2e.client import Client
from tests.e2e.rpc import DELETE_RANGE
from tests.e2e.servers import Server

Flags = tuple[str, ...]

EVERYTHING = b'{"key":"AA==","range_end":"AA=="}'


def clear(client: Client) -> Origin:
    """Delete every key; the answer's header says from where revisions are counted."""
    reply = client.send("POST", DELETE_RANGE, EVERYTHING, {})
    assert reply.status == 200, reply
    header = json.loads(reply.body)["header"]
    return Origin(header["cluster_id"], header["member_id"], header["raft_term"], int(header["revision"]))


def run(client: Client, case: Case, *, real_etcd: bool) -> Iterator[tuple[Step, Answer | None]]:
    """Send a case's steps in order and give each with its answer; None where etcd must not get the step."""
    origin = clear(client)
    for step in case.steps:
        if real_etcd and not step.sent_to_etcd:
            yield step, None
            continue
        reply = client.send(step.method, step.path, step.encode(origin.revision), step.headers)
        yield step, comparable(reply, origin, step)


@dataclass
class Running:
    """Servers of one program by their extra flags, with a connection each; started at their first use."""

    start: Callable[[Flags], Server]
    started: dict[Flags, tuple[Server, Client]] = field(default_factory=dict)
    failed: dict[Flags, AssertionError] = field(default_factory=dict)

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
