"""Clients of a simulated cluster: each asks one thing after another and writes down what it was told.

All values differ, so that a value tells which write it comes from.
"""

import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

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
from tests.sim.asking import Asker, NotConnected, Refused, Unknown
from tests.sim.host import Host, World
from tests.sim.linearizability import Call, Delete, Put, Read, Swap

R = TypeVar("R", bound=Message)

KEYS: Final = tuple(b"key%d" % number for number in range(8))
END: Final = b"key9"
"""Behind all keys."""


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


class Client(Asker):
    """One client of the KV service."""

    def __init__(
        self, world: World, hosts: Sequence[Host], history: History, name: str, values: "itertools.count[int]"
    ) -> None:
        super().__init__(world, hosts, name)
        self._history = history
        self._values = values
        self._known: dict[bytes, bytes | None] = {}
        """What it believes that keys hold, for its swaps."""
        self._revision = 1

    async def run(self, count: int, pause: float, is_busy: Callable[[], bool]) -> None:
        """Asks `count` things, and more while `is_busy`, with pauses of `pause` seconds on average between them."""
        operations: tuple[tuple[Callable[[], Awaitable[None]], int], ...] = (
            (self._put, 24), (self._delete, 8), (self._swap, 18), (self._get, 18), (self._range, 12),
            (self._serializable, 6), (self._past, 5), (self._several, 7), (self._compact, 2),
        )  # fmt: skip
        kinds, weights = zip(*operations, strict=True)
        done = 0
        while done < count or is_busy():
            if self.chance.random() < 0.5:  # in bursts, so that calls meet
                await self.world.loop.elapse(self.chance.expovariate(1 / pause))
            operation = self.chance.choices(kinds, weights)[0]
            try:
                await operation()
            except NotConnected:
                await self.world.loop.elapse(pause)
                self.world.ledger.events["not connected"] += 1
                continue
            except Refused:
                self.world.ledger.events["refused"] += 1
            except Unknown:
                self.world.ledger.events["outcome unknown"] += 1
            done += 1
            self._history.operations += 1

    async def read_all(self, host: Host) -> None:
        """Reads all keys from one member.

        Raises: Refused, Unknown.
        """
        self.host = host
        await self._range()

    # ---- operations ----

    async def _put(self) -> None:
        key, value = self._key(), self._value()
        wants = self.chance.random() < 0.3
        start = self.now()
        try:
            answer = await self._ask(PutRequest(key=key, value=value, prev_kv=wants))
        except Unknown:
            self._wrote(start, 0, Call(key, Put(value), start, client=self.name))
            raise
        assert answer.header is not None
        previous = _value_of(answer.prev_kv) if wants else linear.IMPOSSIBLE
        self._wrote(start, answer.header.revision, Call(key, Put(value, previous), start, self.now(), self.name))

    async def _delete(self) -> None:
        key = self._key()
        start = self.now()
        try:
            answer = await self._ask(DeleteRangeRequest(key=key))
        except Unknown:
            self._wrote(start, 0, Call(key, Delete(), start, client=self.name))
            raise
        assert answer.header is not None
        call = Call(key, Delete(found=answer.deleted > 0), start, self.now(), self.name)
        if answer.deleted:
            self._wrote(start, answer.header.revision, call)
        else:
            self._history.calls.append(call)

    async def _swap(self) -> None:
        """Compare-and-swap, mostly on what the key was last seen to hold."""
        key, value = self._key(), self._value()
        expected = self._known.get(key) if self.chance.random() < 0.9 else b"never written"
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
        start = self.now()
        try:
            answer = await self._ask(request)
        except Unknown:
            self._wrote(start, 0, Call(key, Swap(expected, value), start, client=self.name))
            raise
        assert answer.header is not None
        if answer.succeeded:
            self.world.ledger.events["swaps that succeeded"] += 1
            call = Call(key, Swap(expected, value, succeeded=True), start, self.now(), self.name)
            self._wrote(start, answer.header.revision, call)
            return
        found = answer.responses[0].response_range
        assert found is not None
        seen = _value_of(found.kvs[0] if found.kvs else None)
        self._known[key] = seen
        call = Call(key, Swap(expected, value, succeeded=False, seen=seen), start, self.now(), self.name)
        self._history.calls.append(call)

    async def _several(self) -> None:
        """Writes two keys at once."""
        keys = self.chance.sample(KEYS, 2)
        values = [self._value(), self._value()]
        puts = [PutRequest(key=key, value=value) for key, value in zip(keys, values, strict=True)]
        start = self.now()
        revision, end = 0, linear.UNKNOWN
        try:
            answer = await self._ask(TxnRequest(success=tuple(RequestOp(request_put=put) for put in puts)))
        except Unknown:
            self._wrote(start, revision, *(Call(put.key, Put(put.value), start, end, self.name) for put in puts))
            raise
        assert answer.header is not None
        revision, end = answer.header.revision, self.now()
        self._wrote(start, revision, *(Call(put.key, Put(put.value), start, end, self.name) for put in puts))

    async def _get(self) -> None:
        await self._look((self._key(),))

    async def _range(self) -> None:
        await self._look(KEYS)

    async def _serializable(self) -> None:
        await self._look(KEYS, serializable=True)

    async def _past(self) -> None:
        await self._look(KEYS, at=max(1, self._revision - self.chance.randrange(20)))

    async def _look(self, keys: tuple[bytes, ...], *, serializable: bool = False, at: int = 0) -> None:
        end = b"" if len(keys) == 1 else END
        start = self.now()
        answer = await self._ask(RangeRequest(key=keys[0], range_end=end, serializable=serializable, revision=at))
        assert answer.header is not None
        now = self.now()
        look = revisions.Look(start, now, answer.header.revision, keys, answer.kvs, not serializable, at)
        self._history.looks.append(look)
        self.world.ledger.note(now, self.name, "sees", answer.header.revision, len(answer.kvs))
        if not serializable and not at:
            found = {kv.key: kv.value for kv in answer.kvs}
            self._history.calls.extend(linear.reads(keys, found, start, now, self.name))
            self._known.update({key: found.get(key) for key in keys})

    async def _compact(self) -> None:
        await self._ask(CompactionRequest(revision=max(1, self._revision - self.chance.randrange(5, 40))))
        self.world.ledger.events["compactions"] += 1

    # ---- what is written down ----

    async def _ask(self, request: Request[R]) -> R:
        """Asks, and takes note of the revision.

        Raises: Refused, Unknown.
        """
        answer = await self.ask(request)
        header = answer.header  # type: ignore[attr-defined]  # all that clients ask for here is answered with one
        self._revision = max(self._revision, header.revision)
        return answer

    def _wrote(self, start: float, revision: int, *calls: Call) -> None:
        self._history.calls.extend(calls)
        changes = tuple((call.key, _written(call)) for call in calls)
        self._history.writes.append(revisions.Write(start, self.now(), revision, changes))
        if revision:
            self._known.update(changes)
            self.world.ledger.events["acknowledged writes"] += 1

    def _key(self) -> bytes:
        return self.chance.choice(KEYS)

    def _value(self) -> bytes:
        return b"%d " % next(self._values) + b"x" * self.chance.choice((0, 10, 100))


def _value_of(kv: KeyValue | None) -> bytes | None:
    return None if kv is None else kv.value


def _written(call: Call) -> bytes | None:
    action = call.action
    assert isinstance(action, Put | Delete | Swap), f"{Read} writes nothing"
    return None if isinstance(action, Delete) else action.value
