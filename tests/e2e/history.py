"""Clients that write down what a cluster told them, and whether one store can have said it."""

import base64
import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from raftgate.api.kv import KeyValue
from tests.e2e.cluster import Connection, Member, NotAnswered, encoded
from tests.e2e.rpc import DELETE_RANGE, PUT, RANGE, TXN
from tests.sim import linearizability as linear
from tests.sim import revisions
from tests.sim.linearizability import Call, Delete, Put, Swap

PATIENCE = (0.2, 0.5, 2.5)
OFTEN = (5, 4, 1)
"""Seconds after which clients give up, and how often they have that much."""
RETRY = 0.02
KEYS = 6
DEADLINE = 40.0
"""Seconds within which the clients must get on."""

Answer = dict[str, Any]  # JSON


def decoded(text: str | None) -> bytes:
    """Bytes that JSON has given."""
    return base64.b64decode(text or "")


def key_value(kv: Mapping[str, str]) -> KeyValue:
    """A key as JSON gives it."""
    numbers = {name: int(kv[name]) for name in ("create_revision", "mod_revision", "version") if name in kv}
    return KeyValue(key=decoded(kv["key"]), value=decoded(kv.get("value")), **numbers)


@dataclass
class History:
    """What all clients were told."""

    calls: list[Call] = field(default_factory=list)
    writes: list[revisions.Write] = field(default_factory=list)
    looks: list[revisions.Look] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)

    def check(self) -> None:
        """Fails on what cannot be explained."""
        problem = linear.check(self.calls) or revisions.check(self.writes, self.looks)
        assert problem is None, problem

    def acknowledged(self) -> Mapping[int, revisions.Write]:
        """The writes that were acknowledged, by their revisions."""
        return revisions.at(self.writes)


class Client:
    """One client: it stays with a member while that answers, and changes now and then."""

    def __init__(self, name: str, clients: "Clients", members: Sequence[Member]) -> None:
        self._name = name
        self._clients = clients
        self._chance = random.Random(f"{clients.seed} {name}")
        self._connections = [[Connection(member.client_port, patience) for patience in PATIENCE] for member in members]
        self._place = self._chance.randrange(len(members))
        self._known: dict[bytes, bytes | None] = {}

    def run(self) -> None:
        """Asks one thing after another until the clients are to end."""
        operations: tuple[tuple[Callable[[], None], int], ...] = (
            (self._put, 25), (self._delete, 8), (self._swap, 22), (self._get, 20), (self._range, 10),
            (self._serializable, 5), (self._several, 10),
        )  # fmt: skip
        kinds, weights = zip(*operations, strict=True)
        while not self._clients.ended:
            try:
                self._chance.choices(kinds, weights)[0]()
                outcome = "answered"
            except NotAnswered as error:
                outcome = "unknown" if error.was_sent else "not connected"
                self._change_member()
            self._clients.count(outcome)
            self._clients.rest(RETRY if outcome == "not connected" else self._clients.pause)
            if self._chance.random() < 0.05:
                self._change_member()
        for connections in self._connections:
            for connection in connections:
                connection.close()

    def _put(self) -> None:
        key, value = self._key(), self._value()
        wants = self._chance.random() < 0.3
        message = {"key": encoded(key), "value": encoded(value), "prev_kv": wants}

        def told(answer: Answer) -> list[linear.Action]:
            kv = answer.get("prev_kv")
            previous = None if kv is None else decoded(kv.get("value"))
            return [Put(value, previous if wants else linear.IMPOSSIBLE)]

        self._write(PUT, message, [(key, Put(value))], told)

    def _delete(self) -> None:
        key = self._key()

        def told(answer: Answer) -> list[linear.Action]:
            return [Delete(found="deleted" in answer)]

        self._write(DELETE_RANGE, {"key": encoded(key)}, [(key, Delete())], told)

    def _swap(self) -> None:
        """Compare-and-swap, mostly on what the key was last seen to hold."""
        key, value = self._key(), self._value()
        expected = self._known.get(key) if self._chance.random() < 0.9 else b"never written"
        target = {"target": "VERSION", "version": "0"}
        if expected is not None:
            target = {"target": "VALUE", "value": encoded(expected)}
        message = {
            "compare": [{"key": encoded(key), **target}],
            "success": [{"request_put": {"key": encoded(key), "value": encoded(value)}}],
            "failure": [{"request_range": {"key": encoded(key)}}],
        }

        def told(answer: Answer) -> list[linear.Action]:
            if answer.get("succeeded"):
                return [Swap(expected, value, succeeded=True)]
            kvs = answer["responses"][0]["response_range"].get("kvs", [])
            self._known[key] = decoded(kvs[0].get("value")) if kvs else None
            return [Swap(expected, value, succeeded=False, seen=self._known[key])]

        self._write(TXN, message, [(key, Swap(expected, value))], told)

    def _several(self) -> None:
        """Writes two keys at once."""
        keys = self._chance.sample(self._clients.keys, 2)
        actions: list[tuple[bytes, linear.Action]] = [(key, Put(self._value())) for key in keys]
        puts = [{"request_put": {"key": encoded(key), "value": encoded(_written(put) or b"")}} for key, put in actions]
        self._write(TXN, {"success": puts}, actions, lambda _answer: [action for _, action in actions])

    def _write(
        self,
        path: str,
        message: Mapping[str, Any],
        actions: Sequence[tuple[bytes, linear.Action]],
        told: Callable[[Answer], list[linear.Action]],
    ) -> None:
        """Asks for a change and notes it: as `actions` while its outcome is open, else as what was `told` of them.

        Raises: NotAnswered.
        """
        start = time.monotonic()
        try:
            answer = self._ask(path, message)
        except NotAnswered as error:
            if error.was_sent:
                self._note(start, linear.UNKNOWN, revisions.UNKNOWN, actions)
            raise
        now = time.monotonic()
        known = [(key, action) for (key, _), action in zip(actions, told(answer), strict=True)]
        self._note(start, now, int(answer["header"]["revision"]), known)

    def _note(self, start: float, end: float, revision: int, actions: Sequence[tuple[bytes, linear.Action]]) -> None:
        history = self._clients.history
        history.calls.extend(Call(key, action, start, end, self._name) for key, action in actions)
        if any(_did_nothing(action) for _, action in actions):
            return
        changes = tuple((key, _written(action)) for key, action in actions)
        history.writes.append(revisions.Write(start, end, revision, changes))
        if revision:
            self._known.update(changes)

    def _get(self) -> None:
        self._look((self._key(),))

    def _range(self) -> None:
        self._look(self._clients.keys)

    def _serializable(self) -> None:
        self._look(self._clients.keys, serializable=True)

    def _look(self, keys: tuple[bytes, ...], *, serializable: bool = False) -> None:
        message = {"key": encoded(keys[0]), "serializable": serializable}
        if len(keys) > 1:
            message["range_end"] = encoded(keys[-1] + b"\0")
        start = time.monotonic()
        answer = self._ask(RANGE, message)
        now = time.monotonic()
        found = tuple(key_value(kv) for kv in answer.get("kvs", []))
        history = self._clients.history
        history.looks.append(
            revisions.Look(start, now, int(answer["header"]["revision"]), keys, found, not serializable)
        )
        if not serializable:
            values = {kv.key: kv.value for kv in found}
            history.calls.extend(linear.reads(keys, values, start, now, self._name))
            self._known.update({key: values.get(key) for key in keys})

    def _ask(self, path: str, message: Mapping[str, Any]) -> Answer:
        (connection,) = self._chance.choices(self._connections[self._place], OFTEN)
        return connection.post(path, message)

    def _change_member(self) -> None:
        self._place = self._chance.randrange(len(self._connections))

    def _key(self) -> bytes:
        return self._chance.choice(self._clients.keys)

    def _value(self) -> bytes:
        return b"%d" % next(self._clients.values)


def _written(action: linear.Action) -> bytes | None:
    assert isinstance(action, Put | Delete | Swap)
    return None if isinstance(action, Delete) else action.value


def _did_nothing(action: linear.Action) -> bool:
    return (isinstance(action, Delete) and action.found is False) or (
        isinstance(action, Swap) and action.succeeded is False
    )


class Clients:
    """Several clients at once, on few keys of their own; a context manager: they ask while it is open."""

    def __init__(
        self, members: Sequence[Member], prefix: str, *, count: int = 6, pause: float = 0.0, seed: int = 1
    ) -> None:
        """`pause`: seconds between a client's calls; where they go on for long, the check would go on for longer."""
        self.history = History()
        self.pause = pause
        self.seed = seed
        self.prefix = prefix.encode()
        self.keys = tuple(b"%b%d" % (self.prefix, number) for number in range(KEYS))
        self.values = itertools.count(1)
        self._news = threading.Condition()
        self._end = threading.Event()
        clients = [Client(f"c{number}", self, members) for number in range(count)]
        self._threads = [threading.Thread(target=client.run) for client in clients]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()
        if error is not None:
            error.add_note(f"the clients were told: {dict(self.history.outcomes)}")

    @property
    def ended(self) -> bool:
        """Whether they are to end."""
        return self._end.is_set()

    def rest(self, seconds: float) -> None:
        """Lets some time pass, unless they are to end."""
        if seconds:
            self._end.wait(seconds)

    def count(self, outcome: str) -> None:
        """Notes how a call went."""
        with self._news:
            self.history.outcomes[outcome] += 1
            self._news.notify_all()

    def go_on(self, count: int, outcome: str = "answered", *, seconds: float = 0.0) -> None:
        """Waits until so many more calls have gone that way, and at least so long."""
        end = time.monotonic() + seconds
        with self._news:
            wanted = self.history.outcomes[outcome] + count
            came = self._news.wait_for(lambda: self.history.outcomes[outcome] >= wanted, DEADLINE)
            assert came, f"not {count} more calls {outcome} within {DEADLINE} s: {dict(self.history.outcomes)}"
            self._news.wait_for(lambda: time.monotonic() >= end, seconds)
