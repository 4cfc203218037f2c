"""Host: one machine of the simulation - a disk that stays, a clock, and a member's process that comes and goes."""

import asyncio
import errno
import random
import sqlite3
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy

from consensus.env import Lane
from consensus.options import Options
from consensus.raft.log_store import LogStore
from consensus.raft.rawnode import Status
from consensus.raft.types import Role
from consensus.wal_format import WalError
from raftgate.api.errors import EtcdError
from raftgate.api.message import Caller, Message, Request
from tests.sim.assembly import Parts, assemble
from tests.sim.disk import PowerCut, SimDisk
from tests.sim.env import Machinery, SimEnv
from tests.sim.invariants import Invariants
from tests.sim.ledger import Ledger
from tests.sim.loop import Process, VirtualLoop
from tests.sim.network import Endpoint, Network, SimTransport
from tests.sim.sqlite import Connections
from tests.sim.stores import Photos, Stores
from tests.sim.streams import Stream

R = TypeVar("R", bound=Message)

TRIP = (0.0001, 0.003)
"""Seconds between client and member, one way."""


class Disconnected(Exception):
    """The connection broke, or there was nobody to connect to; the outcome of what was asked is open."""

    def __init__(self, *, was_sent: bool) -> None:
        super().__init__()
        self.was_sent = was_sent


@dataclass(frozen=True, slots=True)
class World:
    """What all machines of a simulation share."""

    loop: VirtualLoop
    ledger: Ledger
    invariants: Invariants
    connections: Connections
    network: Network
    seed: int


class Host:
    """One machine."""

    def __init__(self, world: World, settings: Options, directory: Path) -> None:
        """`directory`: a real one, for SQLite, that is there."""
        self.name = settings.member.name
        self.id = settings.member.ID
        self.loop = world.loop
        self.machinery = Machinery(SimDisk(mirror=directory))
        self.process: Process | None = None
        self.parts: Parts | None = None
        self.ready = False
        """Whether its member has said that it serves."""
        self.incarnation = 0
        self.down_until = 0.0
        """Nobody starts it before."""
        self._world = world
        self._settings = settings
        self._chance = random.Random(f"{world.seed} {self.name}")
        self._stores = Stores(directory)
        self._outside = copy_context()
        self._waiting: dict[asyncio.Future[Any], None] = {}  # Any: answers; a dict, for its order
        self._streams: dict[Stream, None] = {}
        self._running: asyncio.Task[None] | None = None

    # ---- what the invariants look at ----

    def status(self) -> Status:
        """The core at a glance."""
        assert self.parts is not None
        return self.parts.status()

    @property
    def log(self) -> LogStore:
        """The durable log."""
        assert self.parts is not None
        return self.parts.log

    def term(self, index: int) -> int | None:
        """The term of an entry of the core's log."""
        assert self.parts is not None
        return self.parts.term(index)

    @property
    def applied_index(self) -> int:
        """What the state machine has applied."""
        assert self.parts is not None
        return self.parts.machine.applied_index

    @property
    def is_up(self) -> bool:
        """Whether there is a process."""
        return self.process is not None and self.process.is_alive

    # ---- life ----

    def start(self) -> None:
        """Starts the member, unless it runs; it may fail to, if its disk does."""
        if self.is_up:
            return
        self.incarnation += 1
        self.ready = False
        process = self.process = Process(self._world.loop, self.name)
        process.on_death.append(self._disconnect)
        process.on_failure = self.blame
        env = SimEnv(process, self.machinery, random.Random(f"{self._world.seed} {self.name} {self.incarnation}"), self)
        self._note("starts")
        try:
            transport = SimTransport(self._world.network, self.id)
            parts = process.context.run(assemble, env, self._stores.directory, self._settings, transport.connect)
        except PowerCut:
            return
        except Exception as error:  # noqa: BLE001 - it goes into the report
            self._failed(error)
            return
        self.parts = parts
        endpoint = Endpoint(
            process, parts.take, transport.lost, parts.answer, parts.member.incoming.receive, self._world.loop.time()
        )
        self._world.network.attach(self.id, endpoint)
        self._world.invariants.restarted(self)
        self._world.ledger.events["starts"] += 1
        process.spawn(self._run(parts))

    async def _run(self, parts: Parts) -> None:
        started = asyncio.Event()
        run = asyncio.get_running_loop().create_task(parts.member.run(started))
        run.add_done_callback(self._ended)
        self._running = run
        await started.wait()
        self.ready = True
        self._note("serves")

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            error = task.exception()
            assert error is not None, "a member ended without an error"
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        """The process ends at once when a part of it has failed, as the composition root has it."""
        self._note("fails of", type(error).__name__)
        self._world.ledger.events["members that ended by themselves"] += 1
        self.kill()
        self.blame(error)

    def blame(self, error: BaseException | None) -> None:
        """Ends the run, unless it is the disk's fault: until the process ends, its other parts stumble over it, too."""
        if not (self.machinery.disk.is_full and error is not None and _is_of_the_disk(error)):
            self._world.loop.failures.append(f"{self.name}: {error!r} {getattr(error, 'exceptions', '')}")

    async def stop(self) -> None:
        """Stops the member in order (SIGTERM), if it runs."""
        process, parts, running = self.process, self.parts, self._running
        if process is None or not process.is_alive or parts is None or running is None or process.is_stopped:
            return
        self._note("stops")
        self.ready = False
        self._running = None
        done: asyncio.Future[None] = self._world.loop.create_future()
        process.on_death.append(lambda: _finish(done))
        stopping = process.spawn(self._stop(parts, running))
        stopping.add_done_callback(lambda _: _finish(done))
        await done
        self.kill()

    async def _stop(self, parts: Parts, running: "asyncio.Task[None]") -> None:
        """As the composition root stops a member."""
        if parts.status().role is Role.LEADER:
            await parts.member.hand_over()
            self._world.ledger.events["leadership handed over"] += parts.member.node.leader not in (0, self.id)
        parts.member.server.stop()
        running.cancel()
        await asyncio.wait([running])
        self._world.network.detach(self.id)
        await parts.member.close()

    def transfer_leader(self, member_id: int) -> None:
        """Asks the member, if it runs, to have another one lead."""
        if self.process is not None and self.process.is_alive and self.parts is not None:
            self.process.later(self._trip(), self.parts.member.node.transfer_leader, member_id)

    def kill(self) -> None:
        """kill -9: what was written is in the system's cache, so nothing of it is lost."""
        if not self.is_up:
            return
        self._note("is killed")
        self._stores.put_back(self._die())

    def cut_power(self) -> None:
        """The machine loses power: what was not synced may be lost."""
        self._note("loses power")
        photos, before = self._die(), self.machinery.disk
        self.machinery.disk = before.survivor(self._chance)
        lost = self._stores.survive(photos, before, self.machinery.disk, self._chance)
        self._world.ledger.events["commits of SQLite lost"] += lost
        self._note("has lost", lost, "commits")

    def cut_power_at(self, steps: int) -> None:
        """Has the machine lose power in the midst of what it writes, so many steps from now."""
        disk = self.machinery.disk
        disk.cut_at(steps, lambda: self.cut_power() if disk is self.machinery.disk else None)

    def cut_power_at_store(self, steps: int) -> None:
        """The same, so many steps after a store has begun to come in from another member."""
        disk = self.machinery.disk
        disk.cut_at_store(steps, lambda: self._cut_power_at_store() if disk is self.machinery.disk else None)

    def _cut_power_at_store(self) -> None:
        self._world.ledger.events["power cut while a store came in"] += 1
        self.cut_power()

    def fill_disk(self) -> None:
        """Leaves no space for the log nor for the store."""
        self.machinery.disk.is_full = True
        if self.is_up and self.parts is not None:
            raw = self.parts.machine.database.connection.connection.driver_connection
            assert isinstance(raw, sqlite3.Connection)
            raw.execute("PRAGMA max_page_count = 1").fetchall()

    def free_disk(self) -> None:
        """Makes space again; a member that has seen the full disk must be started anew."""
        self.kill()
        self.machinery.disk.is_full = False

    def calm(self) -> None:
        """Ends what disturbs the machine, but for what is under way."""
        self.down_until = 0.0
        self.machinery.disk.spare()
        for pace in self.machinery.paces.values():
            pace.until = 0.0
        if self.process is not None and self.process.is_stopped:
            self.process.resume()

    def _die(self) -> Photos:
        if self.process is not None:
            self.process.kill()
        self.ready = False
        self._running = None
        self.parts = None
        photos = self._stores.photograph()
        self._world.connections.close(self._stores.directory)
        return photos

    # ---- blocking calls (`tests.sim.env.Watch`) ----

    def begins(self, lane: Lane, name: str, arguments: tuple[Any, ...]) -> None:  # Any: of any call
        """Takes note of what the log begins to write."""
        if lane is Lane.LOG and name == "save":
            self._world.invariants.saving(self.name, arguments[0], arguments[1])

    def ends(self, lane: Lane, name: str, arguments: tuple[Any, ...]) -> None:  # Any: of any call
        """Takes note of what has become durable."""
        self._world.ledger.events[f"{lane}: {name}"] += 1
        if lane is Lane.LOG and name == "save":
            self._world.invariants.saved(self.name, arguments[0], arguments[1])
        elif lane is Lane.LOG and name == "restore":
            self._world.invariants.restored(self.name, arguments[0].index)
        elif name == "checkpoint" and self.parts is not None:
            self._stores.checkpointed(self.parts.machine.database.path)

    # ---- clients ----

    def call(self, request: Request[R], timeout: float) -> "asyncio.Future[R]":
        """Asks the member over a connection; one that gives up takes its request back.

        Raises (through the future): EtcdError, Disconnected, TimeoutError.
        """
        loop = self._world.loop
        answer: asyncio.Future[R] = loop.create_future()
        process = self.process
        if process is None or not process.is_alive or self.parts is None:
            loop.call_later(self._trip(), _fail, answer, Disconnected(was_sent=False))
            return answer
        self._waiting[answer] = None
        answer.add_done_callback(self._forget)
        server = self.parts.member.server

        def begin() -> None:
            task = process.spawn(server.call(request, Caller()))
            task.add_done_callback(finish)
            answer.add_done_callback(lambda _: process.later(self._trip(), task.cancel))

        def finish(task: "asyncio.Task[R]") -> None:
            error = None if task.cancelled() else task.exception()
            if error is not None and not isinstance(error, EtcdError):
                self.blame(error)
                error = Disconnected(was_sent=True)
            if error is not None:
                loop.call_later(self._trip(), _fail, answer, error)
            elif not task.cancelled():
                loop.call_later(self._trip(), _settle, answer, task.result())

        process.later(self._trip(), begin)
        loop.call_later(timeout, _fail, answer, TimeoutError())
        return answer

    def watch(self) -> Stream:
        """Opens a stream of watches over a connection."""
        stream = Stream(self._world.loop, self._trip)
        process = self.process
        if process is None or not process.is_alive or self.parts is None:
            stream.disconnect()
            return stream
        self._streams[stream] = None
        server = self.parts.member.server

        def begin() -> None:
            stream.serve(process, server).add_done_callback(finish)

        def finish(task: "asyncio.Task[None]") -> None:
            error = None if task.cancelled() else task.exception()
            if error is not None and not isinstance(error, EtcdError):
                self.blame(error)
            if self._streams.pop(stream, self) is None:
                stream.disconnect()

        process.later(self._trip(), begin)
        return stream

    def _disconnect(self) -> None:
        streams, self._streams = self._streams, {}
        for stream in streams:
            stream.disconnect()
        waiting, self._waiting = self._waiting, {}
        for answer in waiting:
            self._world.loop.call_later(self._trip(), _fail, answer, Disconnected(was_sent=True), context=self._outside)

    def _forget(self, answer: "asyncio.Future[Any]") -> None:  # Any: answers
        self._waiting.pop(answer, None)

    def _trip(self) -> float:
        return self._chance.uniform(*TRIP)

    def _note(self, *words: object) -> None:
        self._world.ledger.note(self._world.loop.time(), self.name, *words)


def _is_of_the_disk(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_of_the_disk(each) for each in error.exceptions)
    if isinstance(error, WalError):
        return "a write or a sync has failed before" in str(error)
    if isinstance(error, OSError):
        return error.errno == errno.ENOSPC
    return isinstance(error, sqlalchemy.exc.OperationalError) and "is full" in str(error.orig)


def _finish(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _fail(answer: "asyncio.Future[Any]", error: BaseException) -> None:  # Any: answers
    if not answer.done():
        answer.set_exception(error)


def _settle(answer: "asyncio.Future[R]", result: R) -> None:
    if not answer.done():
        answer.set_result(result)
