"""A lease that ends before its time is noticed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import pytest

from raftgate.api.kv import PutRequest, PutResponse, RangeRequest, RangeResponse
from raftgate.api.lease import (
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseKeepAliveRequest,
    LeaseKeepAliveResponse,
    LeaseRevokeRequest,
    LeaseRevokeResponse,
    LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
)
from raftgate.api.message import Request
from tests.sim.host import Host, World
from tests.sim.leases import EndedEarly, Keeper
from tests.sim.ledger import Ledger
from tests.sim.loop import VirtualLoop


@dataclass
class Leases:
    """A member that forgets leases after a share of their TTL."""

    loop: VirtualLoop
    share: float
    ends: float = 0.0
    ttl: int = 0

    async def call(self, request: Request[Any], _patience: float) -> object:  # Any: whatever answers it
        is_over = self.loop.time() > self.ends
        match request:
            case LeaseGrantRequest():
                self.ttl, self.ends = request.TTL, self.loop.time() + request.TTL * self.share
                return LeaseGrantResponse(ID=1, TTL=request.TTL)
            case PutRequest():
                return PutResponse()
            case LeaseKeepAliveRequest():
                if not is_over:
                    self.ends = self.loop.time() + self.ttl * self.share
                return LeaseKeepAliveResponse(ID=1, TTL=0 if is_over else self.ttl)
            case LeaseTimeToLiveRequest():
                return LeaseTimeToLiveResponse(TTL=-1 if is_over else 1)
            case LeaseRevokeRequest():
                return LeaseRevokeResponse()
            case _:
                assert isinstance(request, RangeRequest)
                return RangeResponse()


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    made = VirtualLoop()
    yield made
    made.end()


def keep(loop: VirtualLoop, member: Leases, seed: int) -> None:
    """Has a keeper hold leases for a while."""

    @dataclass
    class OfKeepers:
        """What of a world keepers look at."""

        loop: VirtualLoop
        ledger: Ledger
        seed: int

    world = cast("World", OfKeepers(loop, Ledger(), seed))
    keeper = Keeper(world, [cast("Host", member)], "k")
    loop.run_until_complete(keeper.run(lambda: loop.time() < 200.0))


@pytest.mark.parametrize("seed", range(3))
def test_leases_that_end_early_are_noticed(loop: VirtualLoop, seed: int) -> None:
    with pytest.raises(EndedEarly):
        keep(loop, Leases(loop, 0.5), seed)


def test_a_key_that_is_gone_before_its_lease_is_noticed(loop: VirtualLoop) -> None:
    with pytest.raises(EndedEarly, match="its key"):
        keep(loop, Leases(loop, 1e9), 1)
