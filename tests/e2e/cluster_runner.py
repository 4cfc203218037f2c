"""Runs cases against clusters: a step goes to a member by its number, and number 0 leads at the beginning.

Beside requests there are steps that do something to a member: KILL its process, JOIN the cluster as the member that was
added with the peer URL of that number, see it be GONE, or wait until somebody is the LEADER.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.answers import Answer, comparable
from tests.e2e.case import Case, Origin, Step
from tests.e2e.client import Client
from tests.e2e.cluster import QUICK, Cluster, Member, NotAnswered, Program
from tests.e2e.rpc import MEMBER_ADD, MEMBER_REMOVE, MEMBERS, TRANSFER
from tests.e2e.runner import clear, list_members, remove_added
from tests.e2e.servers import READY, free_ports

SIZE = 3
UNUSED = "http://127.0.2.254:1"
"""The peer URL of a learner that comes and goes before the cases do."""
INACTIVE = "peer became inactive"


def act(method: str, member: int) -> Step:
    """Do something to a member."""
    return Step(method, "", to=member)


class Group(Cluster):
    """Three members, and the place of a fourth one."""

    def __init__(self, program: Program, directory: Path, *flags: str) -> None:
        super().__init__(program, directory, *QUICK, *flags, size=SIZE, linked=False)
        client_port, peer_port = free_ports(2)
        self.newcomer = Member(SIZE, client_port, peer_port, directory / f"m{SIZE}")
        self.clients: dict[int, Client] = {}

    def prepare(self) -> None:
        """Waits until every member may change the members: each has seen the others for a while."""
        for member in self.members:
            added = self.wait_for(lambda member=member: self._learner(member), "healthy members")  # type: ignore[misc]  # mypy sees no type in the default
            member.ask(MEMBER_REMOVE, {"ID": added})

    def _learner(self, member: Member) -> str:
        try:
            return str(member.ask(MEMBER_ADD, {"peerURLs": [UNUSED], "isLearner": True})["member"]["ID"])
        except NotAnswered as refused:
            if refused.status in (404, 503):  # within the same second the id is that of the one before
                return ""
            raise

    def lead_with_the_first(self) -> None:
        """Makes number 0 the leader."""
        first = self.members[0]
        leader = self.leader()
        if leader is not first:
            leader.ask(TRANSFER, {"targetID": first.id})
            self.wait_for(lambda: self.leader() is first, "the transfer")

    def client(self, number: int) -> Client:
        """What speaks to a member."""
        if number not in self.clients:
            self.clients[number] = Client(self.members[number].client_port)
        return self.clients[number]

    def kill_and_miss(self, member: Member) -> None:
        """Ends a member, and waits until the others know."""
        member.kill()
        name = f'"{int(member.id):x}"'
        for other in self.members:
            if other.is_alive:
                lines = other.running.lines
                self.wait_for(
                    lambda lines=lines: any(INACTIVE in line and name in line for line in list(lines)),  # type: ignore[misc]  # as above
                    f"{other.name} missing {member.name}",
                )

    def join(self) -> None:
        """Starts the fourth member, and waits until all know its name."""
        member = self.newcomer
        self.members.append(member)
        self._peer_ports.append(member.peer_port)
        self.launch(member, "--initial-cluster-state=existing")
        member.running.wait_for_line(READY)
        for each in self.members[:SIZE]:  # itself it may not list them, as a learner
            self.wait_for(lambda each=each: self._names(each, member.name), f"{each.name} knowing {member.name}")  # type: ignore[misc]  # as above

    def _names(self, member: Member, name: str) -> bool:
        try:
            return name in [known.get("name") for known in member.ask(MEMBERS, {})["members"]]
        except NotAnswered:
            return False

    def close(self) -> None:
        """Closes the connections."""
        for client in self.clients.values():
            client.close()


def run(group: Group, case: Case, *, real_etcd: bool) -> Generator[tuple[Step, Answer | None]]:
    """Take a case's steps in order and give each with its answer, as `runner.run` does."""
    group.lead_with_the_first()
    first = group.client(0)
    cleared = clear(first)
    origin = Origin(cleared.cluster_id, cleared.member_id, "", cleared.revision)
    list_members(first, origin)
    initial = list(origin.members)
    origin.peer_urls.append(f"http://127.0.0.1:{group.newcomer.peer_port}")
    for step in case.steps:
        yield step, None if real_etcd and not step.sent_to_etcd else take(group, step, origin)
    if not case.fresh:
        remove_added(first, initial)


def take(group: Group, step: Step, origin: Origin) -> Answer | None:
    """Do what a step says and give the answer, if there is one."""
    match step.method:
        case "KILL":
            group.kill_and_miss(group.members[step.to])
        case "JOIN":
            group.join()
        case "GONE":
            return Answer(group.members[step.to].running.wait(), {}, None)
        case "LEADER":
            group.leader(among=[member for member in group.members if member.is_alive])
        case _:
            reply = group.client(step.to).send(step.method, step.path, step.encode(origin), step.headers)
            return comparable(reply, origin, step)
    return None


@dataclass
class Groups:
    """Clusters of one program by their extra flags, started at their first use; a case may have its own."""

    program: Program
    directory: Callable[[], Path]
    takes_own_flags: bool = False
    started: dict[tuple[str, ...], Group] = field(default_factory=dict)

    @contextmanager
    def serving(self, case: Case) -> Iterator[Group]:
        """Give the cluster that a case is for."""
        flags = (*case.flags, *case.own_flags) if self.takes_own_flags else case.flags
        if not case.fresh:
            if flags not in self.started:
                self.started[flags] = self._start(flags)
            yield self.started[flags]
            return
        group = self._start(flags)
        try:
            yield group
        finally:
            self._end(group)

    def _start(self, flags: tuple[str, ...]) -> Group:
        group = Group(self.program, self.directory(), *flags).__enter__()
        try:
            group.prepare()
        except BaseException:
            self._end(group)
            raise
        return group

    def _end(self, group: Group) -> None:
        group.close()
        group.__exit__(None, None, None)

    def stop(self) -> None:
        """End all of them."""
        for group in self.started.values():
            self._end(group)
