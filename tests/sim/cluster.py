"""Cluster: the machines of one simulation, and someone who starts again what has died."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from consensus.raft.types import Role
from consensus.wal_format import WalError
from tests.sim.assembly import options, records
from tests.sim.host import Host, World
from tests.sim.invariants import Invariants
from tests.sim.ledger import Ledger
from tests.sim.loop import VirtualLoop
from tests.sim.network import Network
from tests.sim.sqlite import Connections

_WITH_LEARNER: Final = 0.3
"""Share of the seeds in which there is a learner."""
_LOOKS_EVERY: Final = 0.25
"""Seconds between two looks whether a member must be started."""


class DidNotRecover(AssertionError):
    """The cluster does not serve although nothing disturbs it any more."""


class Cluster:
    """Some machines, each with a member."""

    def __init__(self, seed: int, members: int, directory: Path, connections: Connections, ledger: Ledger) -> None:
        """`members`: who vote; where that are several, some seeds add a learner.

        `directory`: a real one for the stores; to be made while `connections` are entered.
        """
        self.loop = VirtualLoop()
        self.ledger = ledger
        learners = int(members > 1 and random.Random(f"{seed} cluster").random() < _WITH_LEARNER)
        listed = records(members, learners)
        ledger.events["learners"] += learners
        names = [record.name for record in listed]
        self.invariants = Invariants(ledger, names[:members], self.loop.time, names[members:])
        self.network = Network(self.loop, seed, ledger, self.invariants)
        self.world = World(self.loop, ledger, self.invariants, connections, self.network, seed)
        self.hosts: list[Host] = []
        self.voters = {record.ID for record in listed if not record.isLearner}
        for record in listed:
            store = directory / record.name
            store.mkdir(parents=True)
            self.hosts.append(Host(self.world, options(listed, record), store))
        self.loop.after_step = self._look

    def start(self) -> None:
        """Starts all members, and starts again those that die."""
        for host in self.hosts:
            host.start()
        self.loop.create_task(self._supervise())

    async def recover(self, patience: float) -> None:
        """Ends what disturbs machines and network, and waits until all members serve.

        Raises: DidNotRecover, after `patience` seconds.
        """
        self.network.calm()
        for host in self.hosts:
            host.calm()
        deadline = self.loop.time() + patience
        while not all(host.ready for host in self.hosts):
            if self.loop.time() > deadline:
                waiting = [host.name for host in self.hosts if not host.ready]
                raise DidNotRecover(f"{waiting} did not come back within {patience} s")
            await self.loop.elapse(_LOOKS_EVERY)

    def leader(self) -> Host | None:
        """The machine whose member leads, by its own account, in the latest term."""
        leading = [(host.status().term, host) for host in self.up() if host.parts and host.status().role is Role.LEADER]
        return max(leading, key=lambda each: each[0])[1] if leading else None

    def up(self) -> Sequence[Host]:
        """The machines whose member runs."""
        return [host for host in self.hosts if host.is_up]

    def end(self) -> None:
        """Closes everything; after the run."""
        for host in self.hosts:
            host.kill()
        self.loop.end()

    async def _supervise(self) -> None:
        while True:
            await self.loop.elapse(_LOOKS_EVERY)
            for host in self.hosts:
                if not host.is_up and self.loop.time() >= host.down_until:
                    host.start()

    def _look(self) -> None:
        if self.loop.failures:
            raise AssertionError(self.loop.failures[0])
        for host in self.hosts:
            if host.parts is None:
                continue
            try:
                self.invariants.look(host)
            except WalError as error:  # its log has failed, and the process has not ended yet
                host.blame(error)
