"""What all clients of a simulated cluster do alike: ask a member, and go to another one when it does not answer."""

import random
from collections.abc import Sequence
from typing import Final, TypeVar

from raftgate.api import errors
from raftgate.api.errors import EtcdError
from raftgate.api.message import Message, Request
from tests.sim.host import Disconnected, Host, World

R = TypeVar("R", bound=Message)

PATIENCE: Final = (0.5, 3.0, 12.0)
"""Seconds after which clients give up; the member's own limit is 7."""

_REFUSED: Final = (errors.TooManyRequests, errors.NoSpace, errors.Compacted, errors.FutureRev)
"""Errors that say: it was not done, and will not be."""


class Refused(Exception):
    """Nothing was done."""


class NotConnected(Refused):
    """Nobody was there to be asked."""


class Unknown(Exception):
    """The outcome is open."""


class Asker:
    """A client's connection; it changes to another member when one does not answer."""

    def __init__(self, world: World, hosts: Sequence[Host], name: str) -> None:
        self.world = world
        self.name = name
        self.chance = random.Random(f"{world.seed} client {name}")
        self.host = self.chance.choice(hosts)
        self._hosts = hosts

    async def ask(self, request: Request[R], expects: tuple[type[EtcdError], ...] = ()) -> R:
        """Asks the member that it is connected to; `expects`: errors that are as good as answers.

        Raises: Refused, Unknown, and what is expected.
        """
        try:
            answer = await self.host.call(request, self.chance.choice(PATIENCE))
        except Disconnected as error:
            self.told("disconnected")
            self.change_host()
            raise (Unknown if error.was_sent else NotConnected) from None
        except (EtcdError, TimeoutError) as error:
            self.told(type(error).__name__)
            if isinstance(error, expects):
                raise
            if isinstance(error, _REFUSED):
                raise Refused from None
            self.change_host()
            raise (NotConnected if isinstance(error, errors.NotSupportedForLearner) else Unknown) from None
        self.told(type(request).__name__)
        return answer

    def told(self, *words: object) -> None:
        """Writes into the trace what the client has learnt."""
        self.world.ledger.note(self.now(), self.name, "is told", *words)

    def change_host(self) -> None:
        """Connects to some member."""
        self.host = self.chance.choice(self._hosts)

    def now(self) -> float:
        """The time."""
        return self.world.loop.time()
