"""Keepers of leases in a simulated cluster: a lease must not end before its time, and must end at last.

A lease lives at least its TTL long from the moment in which a grant or a renewal was asked for that was answered:
whoever leads, and however often that changes, counts from no earlier moment.
"""

from collections.abc import Callable, Sequence
from typing import Final

from raftgate.api.errors import LeaseNotFound
from raftgate.api.kv import PutRequest, RangeRequest
from raftgate.api.lease import (
    LeaseGrantRequest,
    LeaseKeepAliveRequest,
    LeaseLeasesRequest,
    LeaseRevokeRequest,
    LeaseTimeToLiveRequest,
)
from tests.sim.asking import Asker, NotConnected, Refused, Unknown
from tests.sim.host import Host, World

PREFIX: Final = b"lease"
"""Keys of leases begin with it: behind those of other clients."""
_TTLS: Final = (2, 3, 5)


class EndedEarly(AssertionError):
    """A lease has ended before its time."""


class Keeper(Asker):
    """A client that holds one lease after the other."""

    def __init__(self, world: World, hosts: Sequence[Host], name: str) -> None:
        super().__init__(world, hosts, name)
        self._key = PREFIX + name.encode()
        self._lease = 0
        self._until = 0.0
        """Before this time the lease must not be over."""
        self._has_key = False

    async def run(self, is_busy: Callable[[], bool]) -> None:
        """Takes, renews and leaves leases while `is_busy`.

        Raises: EndedEarly.
        """
        while is_busy():
            try:
                await self._hold(self.chance.choice(_TTLS))
            except NotConnected:
                await self._rest(0.5)
            except (Refused, Unknown):
                self.world.ledger.events["leases left alone"] += 1
                await self._rest(0.1)

    async def _hold(self, ttl: int) -> None:
        self._has_key = False
        start = self.now()
        granted = await self.ask(LeaseGrantRequest(TTL=ttl))
        self._lease, self._until = granted.ID, start + granted.TTL
        try:
            await self.ask(PutRequest(key=self._key, value=b"%d" % self._lease, lease=self._lease), (LeaseNotFound,))
            self._has_key = True
            for _ in range(self.chance.randrange(8)):
                await self._rest(self.chance.uniform(0.0, ttl / 2))
                await self.chance.choice((self._renew, self._renew, self._look, self._ask_time))()
            if self.chance.random() < 0.3:
                await self.ask(LeaseRevokeRequest(ID=self._lease), (LeaseNotFound,))
                self._until = self.now()
                return
        except LeaseNotFound:
            self._over("an error")
        if self.chance.random() < 0.5:  # sees it end
            await self._rest(self._until - self.now() + 4.0)

    async def _renew(self) -> None:
        start = self.now()
        answer = await self.ask(LeaseKeepAliveRequest(ID=self._lease), (LeaseNotFound,))
        if answer.TTL <= 0:
            self._over("a renewal")
            return
        self._until = max(self._until, start + answer.TTL)
        self.world.ledger.events["leases renewed"] += 1

    async def _ask_time(self) -> None:
        answer = await self.ask(LeaseTimeToLiveRequest(ID=self._lease))
        if answer.TTL < 0:
            self._over("its time")

    async def _look(self) -> None:
        """The key, put with the lease, is there as long as the lease is."""
        answer = await self.ask(RangeRequest(key=self._key))
        if self._has_key and not answer.kvs:
            self._over("its key")

    def _over(self, how: str) -> None:
        """Takes note that the lease is over; nothing of it comes back.

        Raises: EndedEarly.
        """
        self.world.ledger.checks["leases end no earlier"] += 1
        if self.now() < self._until:
            raise EndedEarly(
                f"{self.name}: {how} says at {self.now()} that lease {self._lease:x} is over, due {self._until}"
            )
        self.world.ledger.events["leases seen to be over"] += 1

    async def _rest(self, seconds: float) -> None:
        await self.world.loop.elapse(max(0.0, seconds))


async def until_all_are_over(host: Host, patience: float) -> None:
    """Returns when a member knows no lease any more.

    Raises: AssertionError, after `patience` seconds.
    """
    loop = host.loop
    deadline = loop.time() + patience
    while leases := (await host.call(LeaseLeasesRequest(), patience)).leases:
        assert loop.time() < deadline, f"{host.name} has leases for ever: {leases}"
        await loop.elapse(0.25)
