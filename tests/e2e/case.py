"""What a case is: a named list of requests, sent one after the other to an empty store.

The expected answers are not written here but recorded from the real etcd (`golden/`). A step says what
raftgate answers only where that differs, why, and which section of the contract wants it.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True)
class Revision:
    """A store revision counted from the one at which the case started."""

    offset: int


@dataclass(frozen=True, slots=True)
class Member:
    """The id of the member that answers."""


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
class Step:
    """One request."""

    method: str
    path: str
    body: bytes | Mapping[str, object] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    difference: Difference | None = None
    sent_to_etcd: bool = True
    body_compared: bool = True
    lines_ordered: bool = True

    def encode(self, base: int, member_id: str) -> bytes | None:
        """Give the body's bytes; revisions in it are counted from `base`."""
        if self.body is None or isinstance(self.body, bytes):
            return self.body
        return json.dumps(_plain(self.body, base, member_id), separators=(",", ":")).encode()

    def differs(self, difference: Difference) -> "Step":
        """Give this step with another answer expected from raftgate."""
        return replace(self, difference=difference)

    def never_to_etcd(self, difference: Difference) -> "Step":
        """Give this step for raftgate alone, since it would end an etcd process; the difference must be whole."""
        return replace(self, difference=difference, sent_to_etcd=False)

    def with_headers(self, **headers: str) -> "Step":
        """Give this step with request headers; `_` in a name stands for `-`."""
        return replace(self, headers={name.replace("_", "-"): value for name, value in headers.items()})

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


def _plain(value: object, base: int, member_id: str) -> Json:
    """Turn bytes into base64, revisions into their numbers, and fill in the member's id."""
    match value:
        case bytes():
            return base64.b64encode(value).decode()
        case Revision(offset):
            return str(base + offset)
        case Member():
            return member_id
        case Mapping():
            return {str(name): _plain(item, base, member_id) for name, item in value.items()}
        case list() | tuple():
            return [_plain(item, base, member_id) for item in value]
        case None | bool() | int() | float() | str():
            return value
        case _:
            raise TypeError(value)


def refused(why: str, spec: str, status: int, code: int, message: Expected) -> Difference:
    """State that raftgate answers with an error."""
    return Difference(why, spec, status, body={"error": message, "code": code, "message": message})
