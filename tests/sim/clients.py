"""Clients of a simulated cluster: each asks one thing after another and writes down what it was told.

All values differ, so that a value tells which write it comes from.
"""

import itertools
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from raftgate.api import errors
from raftgate.api.errors import EtcdError
from raftgate.api.kv import (
    CompactionRequest,
    Compare,
    CompareTarget,
    DeleteRangeRequest,
    KeyValue,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)
from raftgate.api.message import Message, Request
from tests.sim import linearizability as linear
from tests.sim import revisions
from tests.sim.host import Disconnected, Host, World
from tests.sim.linearizability import Call, Delete, Put, Read, Swap

R = TypeVar("R", bound=Message)

KEYS: Final = tuple(b"key%d" % number for number in range(8))
END: Final = b"key9"
"""Behind all keys."""

PATIENCE: Final = (0.5, 3.0, 12.0)
"""Seconds after which clients give up; the member's own limit is 7."""

_REFUSED: Final = (errors.TooManyRequests, errors.NoSpace, errors.Compacted, errors.FutureRev)
"""Errors that say: it was not done, and will not be."""


@dataclass
class History:
    """What all clients were told."""

    calls: list[Call] = field(default_factory=list)
    writes: list[revisions.Write] = field(default_factory=list)
    looks: list[revisions.Look] = field(default_factory=list)
    operations: int = 0

    def check(self) -> str | None:
        """What cannot be explained, None if nothing."""
        return linear.check(self.calls) or revisions.check(self.writes, self.looks)


class Refused(Exception):
    """Nothing was done."""


class NotConnected(Refused):
    """Nobody was there to be asked."""


class Unknown(Exception):
    """The outcome is open."""


class Client:
    """One client; it changes to another member when one does not answer."""

    def __init__(
        self, world: World, hosts: Sequence[Host], history: History, name: str, values: "itertools.count[int]"
    ) -> None:
        self._world = world
        self._hosts = hosts
        self._history = history
        self._name = name
        self._values = values
        self._chance = random.Random(f"{world.seed} client {name}")
        self._host = self._chance.choice(hosts)
        self._known: dict[bytes, bytes | None] = {}
        """What it believes that keys hold, for its swaps."""
        self._revision = 1
        self._kinds: list[tuple[int, Callable[[], object]]] = []

    async def run(self, count: int, pause: float, is_busy: Callable[[], bool]) -> None:
        """Asks `count` things, and more while `is_busy`, with pauses of `pause` seconds on average between them."""
        operations: tuple[tuple[Callable[[], Awaitable[None]], int], ...] = (
            (self._put, 24), (self._delete, 8), (self._swap, 18), (self._get, 18), (self._range, 12),
            (self._serializable, 6), (self._past, 5), (self._several, 7), (self._compact, 2),
        )  # fmt: skip
        kinds, weights = zip(*operations, strict=True)
        done = 0
        while done < count or is_busy():
            if self._chance.random() < 0.5:  # in bursts, so that calls meet
                await self._world.loop.elapse(self._chance.expovariate(1 / pause))
            operation = self._chance.choices(kinds, weights)[0]
            try:
                await operation()
            except NotConnected:
                await self._world.loop.elapse(pause)
                self._world.ledger.events["not connected"] += 1
                continue
            except Refused:
                self._world.ledger.events["refused"] += 1
            except Unknown:
                self._world.ledger.events["outcome unknown"] += 1
            done += 1
            self._history.operations += 1

    async def read_all(self, host: Host) -> None:
        """Reads all keys from one member.

        Raises: Refused, Unknown.
        """
        self._host = host
        await self._range()

    # ---- operations ----

    async def _put(self) -> None:
        key, value = self._key(), self._value()
        wants = self._chance.random() < 0.3
        start = self._now()
        try:
            answer = await self._ask(PutRequest(key=key, value=value, prev_kv=wants))
        except Unknown:
            self._wrote(start, 0, Call(key, Put(value), start, client=self._name))
            raise
        assert answer.header is not None
        previous = _value_of(answer.prev_kv) if wants else linear.IMPOSSIBLE
        self._wrote(start, answer.header.revision, Call(key, Put(value, previous), start, self._now(), self._name))

    async def _delete(self) -> None:
        key = self._key()
        start = self._now()
        try:
            answer = await self._ask(DeleteRangeRequest(key=key))
        except Unknown:
            self._wrote(start, 0, Call(key, Delete(), start, client=self._name))
            raise
        assert answer.header is not None
        call = Call(key, Delete(found=answer.deleted > 0), start, self._now(), self._name)
        if answer.deleted:
            self._wrote(start, answer.header.revision, call)
        else:
            self._history.calls.append(call)

    async def _swap(self) -> None:
        """Compare-and-swap, mostly on what the key was last seen to hold."""
        key, value = self._key(), self._value()
        expected = self._known.get(key) if self._chance.random() < 0.9 else b"never written"
        compare = (
            Compare(key=key, target=CompareTarget.VERSION, version=0)
            if expected is None
            else Compare(key=key, target=CompareTarget.VALUE, value=expected)
        )
        request = TxnRequest(
            compare=(compare,),
            success=(RequestOp(request_put=PutRequest(key=key, value=value)),),
            failure=(RequestOp(request_range=RangeRequest(key=key)),),
        )
        start = self._now()
        try:
            answer = await self._ask(request)
        except Unknown:
            self._wrote(start, 0, Call(key, Swap(expected, value), start, client=self._name))
            raise
        assert answer.header is not None
        if answer.succeeded:
            self._world.ledger.events["swaps that succeeded"] += 1
            call = Call(key, Swap(expected, value, succeeded=True), start, self._now(), self._name)
            self._wrote(start, answer.header.revision, call)
            return
        found = answer.responses[0].response_range
        assert found is not None
        seen = _value_of(found.kvs[0] if found.kvs else None)
        self._known[key] = seen
        call = Call(key, Swap(expected, value, succeeded=False, seen=seen), start, self._now(), self._name)
        self._history.calls.append(call)

    async def _several(self) -> None:
        """Writes two keys at once."""
        keys = self._chance.sample(KEYS, 2)
        values = [self._value(), self._value()]
        puts = [PutRequest(key=key, value=value) for key, value in zip(keys, values, strict=True)]
        start = self._now()
        revision, end = 0, linear.UNKNOWN
        try:
            answer = await self._ask(TxnRequest(success=tuple(RequestOp(request_put=put) for put in puts)))
        except Unknown:
            self._wrote(start, revision, *(Call(put.key, Put(put.value), start, end, self._name) for put in puts))
            raise
        assert answer.header is not None
        revision, end = answer.header.revision, self._now()
        self._wrote(start, revision, *(Call(put.key, Put(put.value), start, end, self._name) for put in puts))

    async def _get(self) -> None:
        await self._look((self._key(),))

    async def _range(self) -> None:
        await self._look(KEYS)

    async def _serializable(self) -> None:
        await self._look(KEYS, serializable=True)

    async def _past(self) -> None:
        await self._look(KEYS, at=max(1, self._revision - self._chance.randrange(20)))

    async def _look(self, keys: tuple[bytes, ...], *, serializable: bool = False, at: int = 0) -> None:
        end = b"" if len(keys) == 1 else END
        start = self._now()
        answer = await self._ask(RangeRequest(key=keys[0], range_end=end, serializable=serializable, revision=at))
        assert answer.header is not None
        now = self._now()
        look = revisions.Look(start, now, answer.header.revision, keys, answer.kvs, not serializable, at)
        self._history.looks.append(look)
        self._world.ledger.note(now, self._name, "sees", answer.header.revision, len(answer.kvs))
        if not serializable and not at:
            found = {kv.key: kv.value for kv in answer.kvs}
            self._history.calls.extend(linear.reads(keys, found, start, now, self._name))
            self._known.update({key: found.get(key) for key in keys})

    async def _compact(self) -> None:
        await self._ask(CompactionRequest(revision=max(1, self._revision - self._chance.randrange(5, 40))))
        self._world.ledger.events["compactions"] += 1

    # ---- asking ----

    async def _ask(self, request: Request[R]) -> R:
        """Asks the member that it is connected to.

        Raises: Refused, Unknown.
        """
        try:
            answer = await self._host.call(request, self._chance.choice(PATIENCE))
        except _REFUSED as error:
            self._told(type(error).__name__)
            raise Refused from None
        except Disconnected as error:
            self._told("disconnected")
            self._change_host()
            raise (Unknown if error.was_sent else NotConnected) from None
        except (EtcdError, TimeoutError) as error:
            self._told(type(error).__name__)
            self._change_host()
            raise Unknown from None
        header = answer.header  # type: ignore[attr-defined]  # all that clients ask for here is answered with one
        self._revision = max(self._revision, header.revision)
        self._told(type(request).__name__, header.revision)
        return answer

    def _wrote(self, start: float, revision: int, *calls: Call) -> None:
        self._history.calls.extend(calls)
        changes = tuple((call.key, _written(call)) for call in calls)
        self._history.writes.append(revisions.Write(start, self._now(), revision, changes))
        if revision:
            self._known.update(changes)
            self._world.ledger.events["acknowledged writes"] += 1

    def _told(self, *words: object) -> None:
        self._world.ledger.note(self._now(), self._name, "is told", *words)

    def _change_host(self) -> None:
        self._host = self._chance.choice(self._hosts)

    def _key(self) -> bytes:
        return self._chance.choice(KEYS)

    def _value(self) -> bytes:
        return b"%d " % next(self._values) + b"x" * self._chance.choice((0, 10, 100))

    def _now(self) -> float:
        return self._world.loop.time()


def _value_of(kv: KeyValue | None) -> bytes | None:
    return None if kv is None else kv.value


def _written(call: Call) -> bytes | None:
    action = call.action
    assert isinstance(action, Put | Delete | Swap), f"{Read} writes nothing"
    return None if isinstance(action, Delete) else action.value
