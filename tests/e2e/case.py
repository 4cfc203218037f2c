"""What a case is: a named list of requests, sent one after the other to an empty store.

A request can open a stream, or wait for its answer, on a connection of its own: later steps send to it, read from it
and close it by its name.

The expected answers are not written here but recorded from the real etcd (`golden/`). A step says what
raftgate answers only where that differs, why, and which section of the contract wants it.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True)
class Origin:
    """The header of the answer from which a case counts, and the hashes, lease ids and members that it has met.

    Without a term, terms are not compared. Members have a number: first those of the beginning, then those that were
    added, as they come up.
    """

    cluster_id: str
    member_id: str
    raft_term: str
    revision: int
    is_fresh: bool = False
    hashes: dict[int, int] = field(default_factory=dict)
    leases: list[int] = field(default_factory=list)
    members: list[str] = field(default_factory=list)
    peer_urls: list[str] = field(default_factory=list)

    def number_of_member(self, member: str) -> int:
        """Number the members from 0, in the order in which they come up."""
        if member not in self.members:
            self.members.append(member)
        return self.members.index(member)

    def number_of_lease(self, lease: int) -> int:
        """Number the ids that the server picked, from 1, in the order in which they come up."""
        if lease not in self.leases:
            self.leases.append(lease)
        return self.leases.index(lease) + 1


@dataclass(frozen=True, slots=True)
class Revision:
    """A store revision counted from the one at which the case started."""

    offset: int


@dataclass(frozen=True, slots=True)
class Member:
    """The id of a member by its number: 0 is the one that answers, or first leads."""

    number: int = 0


@dataclass(frozen=True, slots=True)
class PeerUrl:
    """The peer URL of a member that was there at the beginning, by its number."""

    number: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """The id that the server picked as the case's first, second... one."""

    number: int

    def of(self, origin: Origin) -> int:
        """Give the id."""
        return origin.leases[self.number - 1]


@dataclass(frozen=True, slots=True)
class OwnKey:
    """The key of whoever waits under a name with a lease that the server picked."""

    name: bytes
    lease: Lease


@dataclass(frozen=True, slots=True)
class Like:
    """Stands in an expected answer for every text that the pattern matches wholly."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Anything:
    """Stands in an expected answer for what is not compared, be it there or not."""


THIS_MEMBER = Member()
ANY_TEXT = Like(".+")
ANYTHING = Anything()

# What an expected answer may hold: JSON, and patterns in it.
Expected = None | bool | int | float | str | Like | Anything | list["Expected"] | dict[str, "Expected"]


@dataclass(frozen=True, slots=True)
class Difference:
    """Where raftgate leaves etcd 3.5.16's answer on purpose; what is None stays as recorded."""

    why: str
    spec: str
    status: int | None = None
    headers: Mapping[str, Expected] = field(default_factory=dict)
    body: Expected = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What to read of a stream: so many lines or events, without either the whole answer, within some seconds.

    Events are read over the limits of lines, which are free where history is told, and given by watch.
    """

    lines: int | None = None
    events: int | None = None
    within: float = 10.0


@dataclass(frozen=True, slots=True)
class Step:
    """One request, or something done to the stream that an earlier one opened.

    It goes `to` a member by its number, where there are several.

    With a `stream` to open, the method is that of the request, or WEBSOCKET; it stays `unfinished` if its body is to
    go on. What is done to an open one is SEND, END (of the body), READ or CLOSE. A body of several objects has a line
    for each.
    """

    method: str
    path: str
    body: bytes | Mapping[str, object] | Sequence[Mapping[str, object]] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    difference: Difference | None = None
    sent_to_etcd: bool = True
    body_compared: bool = True
    lines_ordered: bool = True
    stream: str = ""
    unfinished: bool = False
    reading: Reading = Reading()
    to: int = 0

    def encode(self, origin: Origin) -> bytes | None:
        """Give the body's bytes, with what stands for parts of the answers filled in."""
        if self.body is None or isinstance(self.body, bytes):
            return self.body
        objects = [self.body] if isinstance(self.body, Mapping) else self.body
        return b"\n".join(json.dumps(_plain(item, origin), separators=(",", ":")).encode() for item in objects)

    def opening(self, stream: str, *, unfinished: bool = False) -> "Step":
        """Give this step on a connection of its own: what comes of it is read by later steps."""
        return replace(self, stream=stream, unfinished=unfinished)

    def differs(self, difference: Difference) -> "Step":
        """Give this step with another answer expected from raftgate."""
        return replace(self, difference=difference)

    def never_to_etcd(self, difference: Difference) -> "Step":
        """Give this step for raftgate alone, since it would end an etcd process; the difference must be whole."""
        return replace(self, difference=difference, sent_to_etcd=False)

    def with_headers(self, **headers: str) -> "Step":
        """Give this step with request headers; `_` in a name stands for `-`."""
        return replace(self, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def at(self, member: int) -> "Step":
        """Give this step for another member, by its number."""
        return replace(self, to=member)

    def without_body(self) -> "Step":
        """Give this step with only status and headers compared."""
        return replace(self, body_compared=False)

    def in_any_order(self) -> "Step":
        """Give this step with the lines of its text, or its alarms and errors, sorted before they are compared."""
        return replace(self, lines_ordered=False)


@dataclass(frozen=True, slots=True)
class Case:
    """Requests which one server answers in order, starting from a store without keys.

    `rows` are those of the contract that the case proves (`rows.py`). A `fresh` case gets a server of its own, whose
    store is at revision 1 and was never compacted. `own_flags` are for raftgate alone.
    """

    name: str
    steps: Sequence[Step]
    flags: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    fresh: bool = False
    own_flags: tuple[str, ...] = ()


def _plain(value: object, origin: Origin) -> Json:
    """Turn bytes into base64, revisions into their numbers, and fill in ids and keys that the server picked."""
    match value:
        case bytes():
            return base64.b64encode(value).decode()
        case Revision() | Member() | PeerUrl() | Lease() | OwnKey():
            return _filled_in(value, origin)
        case Mapping():
            return {str(name): _plain(item, origin) for name, item in value.items()}
        case list() | tuple():
            return [_plain(item, origin) for item in value]
        case None | bool() | int() | float() | str():
            return value
        case _:
            raise TypeError(value)


def _filled_in(value: Revision | Member | PeerUrl | Lease | OwnKey, origin: Origin) -> str:
    match value:
        case Revision(offset):
            return str(origin.revision + offset)
        case Member(number):
            return origin.members[number] if number else origin.member_id
        case PeerUrl(number):
            return origin.peer_urls[number]
        case Lease():
            return str(value.of(origin))
        case OwnKey(name, lease):
            return base64.b64encode(b"%b/%x" % (name, lease.of(origin))).decode()


def refused(why: str, spec: str, status: int, code: int, message: Expected) -> Difference:
    """State that raftgate answers with an error."""
    return Difference(why, spec, status, body={"error": message, "code": code, "message": message})
