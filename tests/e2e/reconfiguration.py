"""Clusters whose members change, and what is done to them: as an operator does it, over the calls of the cluster."""

import shutil
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.e2e.cluster import Cluster, Member, NotAnswered, Program
from tests.e2e.history import Clients
from tests.e2e.rpc import MEMBER_ADD, MEMBER_PROMOTE, MEMBER_REMOVE, MEMBER_UPDATE, MEMBERS, STATUS
from tests.e2e.servers import READY, free_ports

EXISTING = "--initial-cluster-state=existing"
REMOVED = "the member has been permanently removed from the cluster"
NOT_YET = (
    "etcdserver: unhealthy cluster",
    "etcdserver: can only promote a learner member which is in sync with leader",
)
"""Refusals that pass: somebody is not there for long enough, or has not got everything yet."""


class ChangingCluster(Cluster):
    """A cluster that members join and leave."""

    def __init__(self, program: Program, directory: Path, *flags: str) -> None:
        super().__init__(program, directory, *flags, linked=False)
        self._directory = directory
        self.gone: list[Member] = []
        """Who was a member."""

    def _end(self) -> None:
        self.members += self.gone
        super()._end()

    def url(self, member: Member) -> str:
        """By what the others find it."""
        return f"http://127.0.0.1:{self._peer_ports[member.number]}"

    def recorded(self, member: Member) -> dict[str, dict[str, Any]]:  # Any: what JSON holds
        """Who takes part by the word of one member: records by their ids."""
        return {record["ID"]: record for record in member.ask(MEMBERS, {})["members"]}

    # ---- what changes the members ----

    def newcomer(self) -> Member:
        """A place for one more, which `--initial-cluster` names from now on."""
        client_port, peer_port = free_ports(2)
        number = len(self._peer_ports)
        member = Member(number, client_port, peer_port, self._directory / f"m{number}")
        self._peer_ports.append(peer_port)
        self.members.append(member)
        return member

    def add(self, member: Member, *, is_learner: bool, among: Iterable[Member] = ()) -> None:
        """Adds a member at its URL, as whom it will have another id, and starts it."""
        message = {"peerURLs": [self.url(member)], "isLearner": is_learner}
        answer = self.change(MEMBER_ADD, message, among or self.others(member))
        self.launch(member, EXISTING)
        self.wait_until_it_serves(member)
        assert member.id == answer["member"]["ID"]

    def promote(self, member: Member, among: Iterable[Member] = ()) -> None:
        """Makes a voter of a learner once it has caught up."""
        self.change(MEMBER_PROMOTE, {"ID": member.id}, among or self.others(member))

    def remove(self, member: Member, among: Iterable[Member] = ()) -> None:
        """Removes a member, which keeps its place here: another may fill it."""
        self.change(MEMBER_REMOVE, {"ID": member.id}, among or self.others(member))

    def dismiss(self, member: Member) -> None:
        """Removes a member and its place; `--initial-cluster` names it no more."""
        self.remove(member)
        self.members.remove(member)
        self.gone.append(member)

    def move(self, member: Member) -> None:
        """Gives a member another peer URL and starts it there."""
        (port,) = free_ports(1)
        self.change(MEMBER_UPDATE, {"ID": member.id, "peerURLs": [f"http://127.0.0.1:{port}"]}, self.others(member))
        member.kill()
        member.peer_port = self._peer_ports[member.number] = port
        self.start(member)

    def change(self, path: str, message: Mapping[str, Any], among: Iterable[Member]) -> dict[str, Any]:
        """Asks the first of some members for a change until it is safe, and gives the answer.

        With a leader that is about to be found dead a change may get lost: etcd would wait for it for ever.
        """
        self.leader()
        asked = next(iter(among))

        def attempt() -> dict[str, Any] | None:
            try:
                return asked.ask(path, message)
            except NotAnswered as refusal:
                if not any(text in refusal.text for text in NOT_YET):
                    raise
                return None

        return self.wait_for(attempt, f"{path} {message}")

    # ---- what is done around it ----

    def wait_until_it_serves(self, member: Member) -> None:
        """Waits until a member that was launched serves, and learns its id."""
        member.running.wait_for_line(READY)
        member.id = member.ask(STATUS, {})["header"]["member_id"]

    def check_it_stops(self, member: Member) -> None:
        """Fails unless a removed member ends by itself and says why."""
        code = member.running.wait()
        assert REMOVED in "\n".join(member.running.lines), member.running.tail()
        assert code == 0, member.running.tail()

    def check_all_record_the_same(self) -> None:
        """Waits until all members know exactly those who take part, as voters that have published their names."""
        wanted = {member.id: (member.name, [self.url(member)], False) for member in self.members}

        def agree() -> bool:
            return all(self._voters(member) == wanted for member in self.members)

        self.wait_for(agree, f"the records {wanted}")

    def _voters(self, member: Member) -> dict[str, tuple[str, list[str], bool]]:
        records = self.recorded(member)
        return {
            record["ID"]: (record.get("name", ""), record["peerURLs"], record.get("isLearner", False))
            for record in records.values()
        }


def wipe(member: Member) -> None:
    """A member loses its process and its disk at once."""
    member.kill()
    shutil.rmtree(member.data_dir)


def longest_gap(clients: Clients) -> float:
    """For how long no write at all was acknowledged while the clients asked, seconds."""
    ends = sorted(write.end for write in clients.history.acknowledged().values())
    return max(after - before for before, after in pairwise(ends))
