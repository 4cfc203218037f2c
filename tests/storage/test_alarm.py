"""Alarms: what calls answer, what is refused while they are raised, and that a restart knows them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raftgate.api import errors
from raftgate.api.kv import (
    CompactionRequest,
    Compare,
    DeleteRangeRequest,
    PutRequest,
    RequestOp,
    ResponseHeader,
    TxnRequest,
)
from raftgate.api.lease import LeaseCheckpoint, LeaseCheckpointRequest, LeaseGrantRequest, LeaseRevokeRequest
from raftgate.api.maintenance import AlarmAction, AlarmMember, AlarmRequest, AlarmResponse, AlarmType
from raftgate.api.message import Request
from storage.alarm import Alarms
from storage.machine import Machine
from tests.fakes.storage import apply, flush, open_machine, outcome

GET, ACTIVATE, DEACTIVATE = AlarmAction
NONE, NOSPACE, CORRUPT = AlarmType


def call(alarms: Alarms, action: AlarmAction | int, member: int = 0, alarm: AlarmType | int = NONE) -> list[str]:
    response = alarms.call(AlarmRequest(action, member, alarm))
    return [f"{each.memberID} {each.alarm}" for each in response.alarms]


def test_a_session_as_with_etcd() -> None:
    alarms = Alarms()
    assert call(alarms, ACTIVATE, 5, NOSPACE) == ["5 NOSPACE"]
    assert call(alarms, ACTIVATE, 5, NOSPACE) == ["5 NOSPACE"]
    assert call(alarms, ACTIVATE, 0, NOSPACE) == ["0 NOSPACE"]
    assert call(alarms, ACTIVATE, 3, CORRUPT) == ["3 CORRUPT"]
    assert call(alarms, ACTIVATE, 9, NONE) == []
    assert call(alarms, GET) == ["0 NOSPACE", "5 NOSPACE", "3 CORRUPT"]
    assert call(alarms, GET, 5, CORRUPT) == ["3 CORRUPT"]
    assert call(alarms, GET, 5) == ["0 NOSPACE", "5 NOSPACE", "3 CORRUPT"]
    assert call(alarms, DEACTIVATE, 3, CORRUPT) == ["3 CORRUPT"]
    assert call(alarms, DEACTIVATE, 3, CORRUPT) == []
    assert call(alarms, DEACTIVATE, 9, NOSPACE) == []
    assert call(alarms, DEACTIVATE, 5, NONE) == []
    assert call(alarms, GET) == ["0 NOSPACE", "5 NOSPACE"]


@pytest.mark.parametrize(("action", "alarm"), [(ACTIVATE, 7), (DEACTIVATE, 7), (9, NOSPACE)])
def test_numbers_that_nobody_knows_do_nothing(action: AlarmAction | int, alarm: AlarmType | int) -> None:
    alarms = Alarms()
    assert call(alarms, action, 5, alarm) == []
    assert (alarms.all(), alarms.changed) == ((), False)


def test_what_sqlite_has_to_be_given() -> None:
    alarms = Alarms([AlarmMember(5, NOSPACE)])
    call(alarms, ACTIVATE, 5, NOSPACE)
    call(alarms, DEACTIVATE, 6, NOSPACE)
    assert not alarms.changed
    call(alarms, ACTIVATE, 6, NOSPACE)
    assert alarms.changed


def put_op(key: bytes) -> RequestOp:
    return RequestOp(request_put=PutRequest(key))


DELETE_OP = RequestOp(request_delete_range=DeleteRangeRequest(b"k"))

REFUSAL_TABLE: list[tuple[str, Request[Any], set[AlarmType]]] = [  # Any: whatever answers it
    ("put", PutRequest(b"k"), {NOSPACE, CORRUPT}),
    ("deleterange", DeleteRangeRequest(b"k"), {CORRUPT}),
    ("txn with a put", TxnRequest(success=(put_op(b"k"),)), {NOSPACE, CORRUPT}),
    ("txn whose put is in the branch not taken", TxnRequest((Compare(key=b"k"),), (put_op(b"k"),), (DELETE_OP,)),
     {NOSPACE, CORRUPT}),
    ("txn with a nested put", TxnRequest(success=(RequestOp(request_txn=TxnRequest(success=(put_op(b"k"),))),)),
     {NOSPACE, CORRUPT}),
    ("txn without puts", TxnRequest(success=(DELETE_OP,)), {CORRUPT}),
    ("compaction", CompactionRequest(1), {CORRUPT}),
    ("alarm", AlarmRequest(), set()),
    ("lease grant", LeaseGrantRequest(60, 7), {NOSPACE, CORRUPT}),
    ("lease revoke", LeaseRevokeRequest(5), {CORRUPT}),
    ("note of what a lease has left", LeaseCheckpointRequest((LeaseCheckpoint(5, 1),)), set()),
    ("put with an unknown lease", PutRequest(b"k", lease=7), {NOSPACE, CORRUPT}),
]  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = open_machine(tmp_path)
    apply(machine, PutRequest(b"k"))
    apply(machine, LeaseGrantRequest(60, 5))
    yield machine
    machine.close()


@pytest.mark.parametrize(("request_", "refusing"), [pytest.param(*each[1:], id=each[0]) for each in REFUSAL_TABLE])
@pytest.mark.parametrize("alarm", [NOSPACE, CORRUPT])
def test_what_is_refused(
    machine: Machine, request_: Request[Any], refusing: set[AlarmType], alarm: AlarmType
) -> None:  # Any: whatever answers it
    apply(machine, AlarmRequest(ACTIVATE, 77, alarm))
    revision = machine.revision
    answer = apply(machine, request_)
    if alarm in refusing:
        assert isinstance(answer, errors.NoSpace if alarm is NOSPACE else errors.Corrupt)
        assert machine.revision == revision
    else:
        assert not isinstance(answer, errors.EtcdError)


def test_refused_until_the_last_one_is_cleared(machine: Machine) -> None:
    for member in (1, 2):
        apply(machine, AlarmRequest(ACTIVATE, member, NOSPACE))
    apply(machine, AlarmRequest(ACTIVATE, 1, CORRUPT))
    outcomes = [outcome(apply(machine, PutRequest(b"k")))]
    for member, alarm in ((1, CORRUPT), (1, NOSPACE), (2, NOSPACE)):
        answer = apply(machine, AlarmRequest(DEACTIVATE, member, alarm))
        assert answer == AlarmResponse(ResponseHeader(revision=2), (AlarmMember(member, alarm),))
        outcomes.append(outcome(apply(machine, PutRequest(b"k"))))
    assert outcomes[:3] == ["Corrupt", "NoSpace", "NoSpace"]
    assert not isinstance(outcomes[3], str)


def test_a_restart_knows_the_alarms(tmp_path: Path, machine: Machine) -> None:
    apply(machine, AlarmRequest(ACTIVATE, 2**64 - 1, NOSPACE))
    apply(machine, AlarmRequest(ACTIVATE, 1, CORRUPT))
    flush(machine)
    again = open_machine(tmp_path)
    assert again.alarms == machine.alarms == (AlarmMember(2**64 - 1, NOSPACE), AlarmMember(1, CORRUPT))
    assert outcome(apply(again, PutRequest(b"k"))) == "Corrupt"
    apply(again, AlarmRequest(DEACTIVATE, 1, CORRUPT))
    flush(again)
    again.close()
    third = open_machine(tmp_path)
    assert third.alarms == (AlarmMember(2**64 - 1, NOSPACE),)
    third.close()
