"""The links between members: TCP proxies before their peer ports, on which bytes can be held up, delayed and broken.

A member is known to the others by its proxy. Who has opened a connection is found by the process that owns its other
end (Linux), so that each ordered pair of members has a weather of its own, whatever the program speaks.

What is held up arrives late, as with TCP after a partition; only what is broken is lost.
"""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

PIECE = 64 * 1024
RESENDING = 0.2
"""Seconds after which TCP sends a lost packet again at the earliest; the second time after twice as long."""


@dataclass(frozen=True, slots=True)
class Weather:
    """What happens to the bytes from one member to another."""

    is_cut: bool = False
    delay: float = 0.0
    """At most so many seconds for each piece: connections overtake each other."""
    loss: float = 0.0
    """The chance that a piece has to be sent again, and again."""
    breaks: float = 0.0
    """The chance that a piece ends its connection when half of it is through."""


FAIR = Weather()
CUT = Weather(is_cut=True)


class Broken(Exception):
    """A connection that the weather ends."""


class Road:
    """The way from one member to another."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._changed = asyncio.Event()
        self.weather = FAIR

    def change(self, weather: Weather) -> None:
        self.weather = weather
        self._changed.set()
        self._changed = asyncio.Event()

    async def is_open(self) -> None:
        """Returns once nothing cuts the way."""
        while self.weather.is_cut:
            await self._changed.wait()

    async def carry(self) -> bool:
        """Returns once a piece has arrived; tells whether the whole of it has."""
        delay = self._chance.uniform(0, self.weather.delay)
        again = RESENDING
        while self._chance.random() < self.weather.loss:
            delay, again = delay + again, again * 2
        if delay:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), delay)
        await self.is_open()
        return self._chance.random() >= self.weather.breaks


class Links:
    """The links of a cluster, run by a thread of their own."""

    def __init__(self, targets: Sequence[int], pids: Callable[[], Mapping[int, int]], seed: int = 1) -> None:
        """`targets`: the members' own peer ports; `pids`: process id -> member, of those that run."""
        self._targets = targets
        self._pids = pids
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._servers: list[asyncio.Server] = []
        members = range(len(targets))
        self._roads: dict[tuple[int, int], Road] = {}
        self.ports = self._run(self._listen(random.Random(seed), members))

    async def _listen(self, chance: random.Random, members: Iterable[int]) -> list[int]:
        self._roads = {(sender, to): Road(chance) for sender in members for to in members}
        ports = []
        for member in members:
            server = await asyncio.start_server(self._serving(member), "127.0.0.1", 0)
            self._servers.append(server)
            ports.append(server.sockets[0].getsockname()[1])
        return ports

    def change(self, weather: Weather, pairs: Iterable[tuple[int, int]]) -> None:
        """Gives some ways, as (from, to), another weather."""
        pairs = list(pairs)

        async def change() -> None:
            for pair in pairs:
                self._roads[pair].change(weather)

        self._run(change())

    def heal(self) -> None:
        """Makes the weather fair everywhere."""
        self.change(FAIR, self._roads)

    def all_pairs(self) -> list[tuple[int, int]]:
        """All ways between two members."""
        return [(sender, to) for sender, to in self._roads if sender != to]

    def close(self) -> None:
        """Ends all connections and listeners."""

        async def end() -> None:
            for road in self._roads.values():
                road.change(FAIR)  # who waits for that would not end
            for server in self._servers:
                server.close()
            while tasks := asyncio.all_tasks() - {asyncio.current_task()}:  # what is accepted makes new ones
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await asyncio.sleep(0)

        self._run(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Awaitable[T]) -> T:
        async def run() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def _serving(self, member: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            address, own = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
            sender = find_owner(address[1], own[1], self._pids())
            try:
                if sender is not None:
                    await self._connect(sender, member, reader, writer)
            except (OSError, Broken, ExceptionGroup):
                pass  # either end is gone, or the weather wants it: so is the other, then
            finally:
                writer.transport.abort()

        return serve

    async def _connect(self, sender: int, to: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = self._roads[sender, to], self._roads[to, sender]
        await there.is_open()
        await back.is_open()
        beyond, onward = await asyncio.open_connection("127.0.0.1", self._targets[to])
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, onward, there))
                group.create_task(_pump(beyond, writer, back))
        finally:
            try:
                await there.is_open()  # nor does the end of a connection get through
                await back.is_open()
            finally:
                onward.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, road: Road) -> None:
    while data := await reader.read(PIECE):
        if not await road.carry():
            writer.write(data[: len(data) // 2])
            await writer.drain()
            raise Broken
        writer.write(data)
        await writer.drain()
    await road.is_open()
    writer.write_eof()


def find_owner(port: int, to: int, pids: Mapping[int, int]) -> int | None:
    """The member whose process holds the end at `port` of a loopback connection to `to`; None: nobody any more."""
    inode = _inode(port, to)
    if not inode:
        return None
    wanted = f"socket:[{inode}]"
    for pid, member in pids.items():
        with contextlib.suppress(OSError):  # ended meanwhile
            for path in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):  # closed meanwhile
                    if str(path.readlink()) == wanted:
                        return member
    return None


_LOOPBACK = socket.inet_aton("127.0.0.1") + bytes(12)
_HEADER = struct.Struct("=IHHII")  # nlmsghdr
_QUESTION = struct.Struct("=BBBBI4s16s16sIQ")  # inet_diag_req_v2
_ANSWER = struct.Struct("=4x48x16xI")  # inet_diag_msg up to the inode
_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY
_NETLINK_SOCK_DIAG = 4
_ANY_COOKIE = 2**64 - 1


def _inode(port: int, to: int) -> int:
    """Asks the kernel for one socket (sock_diag(7)): /proc/net/tcp would be its whole table; 0 if there is none."""
    ports = struct.pack(">HH", port, to)
    question = _QUESTION.pack(
        socket.AF_INET, socket.IPPROTO_TCP, 0, 0, 2**32 - 1, ports, _LOOPBACK, _LOOPBACK, 0, _ANY_COOKIE
    )
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
        kernel.send(_HEADER.pack(_HEADER.size + len(question), _BY_FAMILY, 1, 0, 0) + question)  # 1: NLM_F_REQUEST
        answer = kernel.recv(4096)
    _, kind, _, _, _ = _HEADER.unpack_from(answer)
    inode: int = _ANSWER.unpack_from(answer, _HEADER.size)[0] if kind == _BY_FAMILY else 0
    return inode
