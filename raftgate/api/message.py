"""The base of all messages, and what the codecs need to know of their fields.

A message is a frozen msgspec Struct with etcd's field names in etcd's order: a field's protobuf number is its
position from 1 on, unless `number()` in its annotation says otherwise. Codecs read the fields through `describe`.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from functools import cache
from types import UnionType
from typing import Annotated, Any, ClassVar, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

from msgspec import Meta, Struct

R = TypeVar("R", bound="Message")


class Kind(Enum):
    """The protobuf kind of a field."""

    BOOL = auto()
    BYTES = auto()
    ENUM = auto()
    INT32 = auto()
    INT64 = auto()
    MESSAGE = auto()
    STRING = auto()
    UINT32 = auto()
    UINT64 = auto()


# msgspec checks bounds within int64 only, so the upper bound of uint64 is checked by the codecs.
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1, extra={"kind": Kind.INT64})]
UInt64 = Annotated[int, Meta(ge=0, extra={"kind": Kind.UINT64})]
Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1, extra={"kind": Kind.INT32})]
UInt32 = Annotated[int, Meta(ge=0, le=2**32 - 1, extra={"kind": Kind.UINT32})]


MAX_INT32 = 2**31 - 1


def unknown(count: int) -> Meta:
    """Bounds the numbers that stand in the place of an enum of `count` members: those that etcd does not know."""
    return Meta(ge=count, le=MAX_INT32)


def number(value: int) -> Meta:
    """Annotates a field whose protobuf number is not its position."""
    return Meta(extra={"number": value})


class Message(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """The base of all messages; a field left at its default is absent on the wire."""

    package: ClassVar[str] = "etcdserverpb"
    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {}
    """Name of a oneof -> its fields, at most one of which is not None."""


class OneofMessage(Message, frozen=True):
    """The base of messages of which some fields exclude each other."""

    def __post_init__(self) -> None:
        """Refuses two members of one oneof, which msgspec would accept.

        Raises: ValueError.
        """
        for name, fields in self.oneofs.items():
            if sum(getattr(self, field) is not None for field in fields) > 1:
                raise ValueError(f"oneof {name} is already set")


class Request(Message, Generic[R], frozen=True):
    """The base of requests; R is the response that answers it."""


@dataclass(frozen=True, slots=True)
class Caller:
    """What a caller has shown, and how long it waits; judged by nobody on the way."""

    token: str = ""
    common_name: str = ""
    """Common name of the certificate that the connection showed."""
    timeout: float = 0.0
    """Seconds until the caller gives up; 0 means that it does not."""
    needs_leader: bool = False
    """Refuse at once when the member knows no leader."""


@dataclass(frozen=True, slots=True)
class Field:
    """What the codecs know of one field."""

    name: str
    number: int
    kind: Kind
    default: Any  # the field's own type, which differs from field to field
    repeated: bool = False
    oneof: str = ""
    of: type[Any] | None = None  # a Message for Kind.MESSAGE, a StrEnum for Kind.ENUM
    json_name: str = ""
    """The name in lowerCamelCase, accepted as input beside `name`."""


@cache
def describe(message: type[Message]) -> tuple[Field, ...]:
    """Lists the fields of a message class in their order."""
    hints = get_type_hints(message, include_extras=True)
    oneof_of = {field: name for name, fields in message.oneofs.items() for field in fields}
    defaults = message.__struct_defaults__
    names = message.__struct_fields__
    return tuple(
        _field(name, position, hints[name], default, oneof_of.get(name, ""))
        for position, (name, default) in enumerate(zip(names, defaults, strict=True), start=1)
    )


def _field(name: str, position: int, hint: Any, default: Any, oneof: str) -> Field:  # Any: an annotation
    numbered, hint = _unwrap(hint, position)
    repeated = get_origin(hint) is tuple
    if repeated:
        hint = get_args(hint)[0]
    kind, of = _kind(hint)
    return Field(name, numbered, kind, default, repeated, oneof, of, _camel(name))


def _unwrap(hint: Any, position: int) -> tuple[int, Any]:  # Any: an annotation
    """Takes off `| None` and the annotation that carries a number."""
    if _is_union(hint):
        members = [member for member in get_args(hint) if member is not type(None)]
        if len(members) == 1:
            hint = members[0]
    if get_origin(hint) is Annotated:
        for meta in hint.__metadata__:
            if isinstance(meta, Meta) and meta.extra and "number" in meta.extra:
                kinds = any("kind" in (other.extra or {}) for other in hint.__metadata__)
                return meta.extra["number"], hint if kinds else get_args(hint)[0]
    return position, hint


def _kind(hint: Any) -> tuple[Kind, type[Any] | None]:  # Any: an annotation
    if _is_union(hint):  # an enum is written `Enum | Annotated[int, ...]`
        enum = next(member for member in get_args(hint) if isinstance(member, type) and issubclass(member, StrEnum))
        return Kind.ENUM, enum
    if get_origin(hint) is Annotated:
        kind: Kind = hint.__metadata__[0].extra["kind"]
        return kind, None
    plain = {bytes: Kind.BYTES, str: Kind.STRING, bool: Kind.BOOL}
    return (plain[hint], None) if hint in plain else (Kind.MESSAGE, hint)


def _is_union(hint: Any) -> bool:  # Any: an annotation
    return get_origin(hint) in (Union, UnionType)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
