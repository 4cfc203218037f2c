"""Names, numbers, kinds and oneofs of all messages, held against the facts in etcd_fields.txt."""

import re
from pathlib import Path
from typing import Any

import pytest

from raftgate.api import cluster, concurrency, kv, lease, maintenance, watch
from raftgate.api.message import Field, Kind, Message, describe

FACTS = (Path(__file__).parent / "etcd_fields.txt").read_text()
MODULES = (kv, maintenance, watch, lease, concurrency, cluster)
INTERNAL = (
    lease.LeaseCheckpoint,
    lease.LeaseCheckpointRequest,
    lease.LeaseCheckpointResponse,
    cluster.MembersRecorded,
    cluster.MemberAdded,
    cluster.MemberRemoved,
    cluster.MemberUpdated,
    cluster.MemberPromoted,
    cluster.MemberAttributes,
    cluster.ClusterVersionRecorded,
    cluster.ClusterVersionSet,
)
"""Between members only."""
OWN = "raftgate_fencing_revision"
"""A field that etcd lacks."""


def messages() -> list[type[Message]]:
    found = []
    for module in MODULES:
        for item in vars(module).values():
            if not isinstance(item, type) or not issubclass(item, Message) or item.__module__ != module.__name__:
                continue
            if item not in INTERNAL:
                found.append(item)
    return found


def facts_of(name: str) -> list[tuple[str, int, str, bool, str]]:
    """Name, number, type, repeated and oneof of each field, in the order of the proto file."""
    block = re.search(rf"^M \S+\.{name}\n((?:  .*\n)*)", FACTS, re.MULTILINE)
    assert block, name
    rows = []
    for line in block[1].splitlines():
        number, field, kind, *rest = line.split()
        if kind == "enum":
            kind = "enum " + rest.pop(0)
        oneof = next((word.removeprefix("oneof=") for word in rest if word.startswith("oneof=")), "")
        rows.append((field, int(number), kind, "repeated" in rest, oneof))
    return rows


def as_fact(field: Field) -> tuple[str, int, str, bool, str]:
    kind = field.kind.name.lower()
    if field.kind is Kind.MESSAGE:
        kind = field.of.__name__ if field.of else ""
    return field.name, field.number, kind, field.repeated, field.oneof


@pytest.mark.parametrize("message", messages(), ids=lambda message: message.__name__)
def test_fields_are_those_of_etcd(message: type[Message]) -> None:
    described = [as_fact(field) for field in describe(message) if field.name != OWN]
    expected = []
    for name, number, kind, repeated, oneof in facts_of(message.__name__):
        short = "enum" if kind.startswith("enum ") else kind.rsplit(".", 1)[-1]
        expected.append((name, number, short, repeated, oneof))
    assert described == expected


@pytest.mark.parametrize("message", messages(), ids=lambda message: message.__name__)
def test_members_of_enums_stand_at_their_numbers(message: type[Message]) -> None:
    kinds = {name: kind for name, _, kind, _, _ in facts_of(message.__name__)}
    for field in describe(message):
        if field.kind is not Kind.ENUM:
            continue
        full_name = kinds[field.name].removeprefix("enum ")
        line = re.search(rf"^E {re.escape(full_name)} (.*)$", FACTS, re.MULTILINE)
        assert line
        assert field.of is not None
        members: list[Any] = list(field.of.__members__.values())
        assert [f"{member.value}={position}" for position, member in enumerate(members)] == line[1].split()


def test_two_members_of_a_oneof_are_refused() -> None:
    with pytest.raises(ValueError, match="oneof request is already set"):
        kv.RequestOp(request_put=kv.PutRequest(), request_range=kv.RangeRequest())


def test_camel_case_names() -> None:
    names = {field.name: field.json_name for field in describe(kv.RangeRequest)}
    assert names["range_end"] == "rangeEnd"
    assert names["min_create_revision"] == "minCreateRevision"
    assert {field.json_name for field in describe(maintenance.AlarmMember)} == {"memberID", "alarm"}
