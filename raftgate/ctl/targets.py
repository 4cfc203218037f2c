"""The endpoints that a verb asks one by one, each through a client of its own."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from raftgate.api.cluster import MemberListRequest
from raftgate.ctl.client import CallError, Client
from raftgate.ctl.errors import CommandError
from raftgate.ctl.invocation import Invocation
from raftgate.ctl.settings import Settings

T = TypeVar("T")

_MOST_THREADS = 64


@dataclass(frozen=True, slots=True)
class Target:
    """One endpoint, as it was given, and what speaks to it and to no other."""

    endpoint: str
    client: Client


@contextmanager
def connect_each(invocation: Invocation, settings: Settings) -> Iterator[list[Target]]:
    """Connects to the endpoints of the flags, or with --cluster to the client URLs of all members.

    Raises: CommandError for an endpoint that is no address, and when the members cannot be listed.
    """
    of_cluster = invocation.flags.boolean("cluster")
    endpoints = _cluster_endpoints(settings, invocation) if of_cluster else settings.endpoints
    with connect_to(endpoints, invocation, settings) as targets:
        yield targets


@contextmanager
def connect_to(endpoints: Sequence[str], invocation: Invocation, settings: Settings) -> Iterator[list[Target]]:
    """Connects to each of `endpoints`.

    Raises: CommandError for one that is no address.
    """
    with ExitStack() as stack:
        clients = {
            endpoint: stack.enter_context(_client((endpoint,), settings, invocation))
            for endpoint in dict.fromkeys(endpoints)
        }
        yield [Target(endpoint, clients[endpoint]) for endpoint in endpoints]


def ask_all(targets: Sequence[Target], ask: Callable[[Target], T], *, as_they_come: bool = False) -> Iterator[T]:
    """Asks all targets at a time; answers in their order, or in the order in which they come."""
    if not targets:
        return
    with ThreadPoolExecutor(min(len(targets), _MOST_THREADS)) as pool:
        asked: Sequence[Future[T]] = [pool.submit(ask, target) for target in targets]
        for answer in as_completed(asked) if as_they_come else asked:
            yield answer.result()


def _cluster_endpoints(settings: Settings, invocation: Invocation) -> tuple[str, ...]:
    with _client(settings.endpoints, settings, invocation) as client:
        try:
            members = client.call(MemberListRequest(linearizable=True)).members
        except CallError as error:
            raise CommandError(f"failed to fetch endpoints from etcd cluster member list: {error}") from None
    return tuple(url for member in members for url in member.clientURLs)


def _client(endpoints: tuple[str, ...], settings: Settings, invocation: Invocation) -> Client:
    log = invocation.console.complain if settings.debug else None
    return Client(replace(settings, endpoints=endpoints), invocation.clock, log, invocation.transport)
