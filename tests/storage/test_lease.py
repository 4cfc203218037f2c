"""Leases in the state machine, as lease services see them: what is granted, attached, noted and revoked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from raftgate.api.errors import EtcdError
from raftgate.api.kv import (
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    ResponseHeader,
    TxnRequest,
)
from raftgate.api.lease import (
    LeaseCheckpoint,
    LeaseCheckpointRequest,
    LeaseCheckpointResponse,
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseRevokeRequest,
    LeaseRevokeResponse,
)
from raftgate.api.maintenance import AlarmAction, AlarmRequest, AlarmType
from raftgate.api.message import Request
from storage.lease import CHANGE_OVERHEAD, MAX_TTL, Lease, Leases
from storage.machine import Command, Machine
from tests.fakes.storage import apply, flush, open_machine, outcome, read

ALL = RangeRequest(b"\0", b"\0")
MIN_INT64, MAX_INT64 = -(2**63), 2**63 - 1


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """Leases 7 and 8, and k attached to 7 at revision 2."""
    machine = open_machine(tmp_path)
    for lease_id in (7, 8):
        apply(machine, LeaseGrantRequest(60, lease_id))
    apply(machine, PutRequest(b"k", b"v", lease=7))
    yield machine
    machine.close()


def put(key: bytes = b"k", **fields: Any) -> PutRequest:  # Any: fields of the request
    return PutRequest(key, **fields)


def put_op(**fields: Any) -> RequestOp:  # Any: as above
    return RequestOp(request_put=put(**fields))


def delete_op(key: bytes, range_end: bytes = b"") -> RequestOp:
    return RequestOp(request_delete_range=DeleteRangeRequest(key, range_end))


# ---- grants ----


@pytest.mark.parametrize("lease_id", [1, -1, MAX_INT64, MIN_INT64])
@pytest.mark.parametrize("ttl", [1, MAX_TTL])
def test_a_grant_answers_the_lease_and_leaves_the_revision(machine: Machine, lease_id: int, ttl: int) -> None:
    answer = apply(machine, LeaseGrantRequest(ttl, lease_id))
    assert answer == LeaseGrantResponse(ResponseHeader(revision=2), lease_id, ttl)
    assert machine.leases.get(lease_id) == Lease(lease_id, ttl)
    assert len(machine.leases) == 3


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        pytest.param(LeaseGrantRequest(60, 7), "LeaseExist", id="id in use"),
        pytest.param(LeaseGrantRequest(MAX_TTL + 1, 9), "LeaseTTLTooLarge", id="TTL too large"),
        pytest.param(LeaseGrantRequest(MAX_TTL + 1, 7), "LeaseTTLTooLarge", id="both: the TTL comes first"),
        pytest.param(LeaseGrantRequest(60, 0), "LeaseNotFound", id="no id: nobody chose one"),
        pytest.param(LeaseRevokeRequest(9), "LeaseNotFound", id="revoke of an unknown lease"),
        pytest.param(LeaseRevokeRequest(0), "LeaseNotFound", id="revoke of 0"),
        pytest.param(put(lease=9), "LeaseNotFound", id="put with an unknown lease"),
        pytest.param(put(lease=-1), "LeaseNotFound", id="put with lease -1"),
        pytest.param(TxnRequest(success=(put_op(key=b"a"), put_op(lease=9))), "LeaseNotFound", id="in a txn"),
    ],
)
def test_what_is_refused_changes_nothing(machine: Machine, request_: Request[Any], error: str) -> None:  # Any: as above
    before = read(machine, ALL)
    assert outcome(apply(machine, request_)) == error
    assert read(machine, ALL) == before
    assert sorted(lease.id for lease in machine.leases) == [7, 8]
    assert (machine.attached(7), machine.attached(8)) == ((b"k",), ())


# ---- attachments ----


@pytest.mark.parametrize(
    ("request_", "attached"),
    [
        pytest.param(put(), {}, id="put without a lease detaches"),
        pytest.param(put(lease=7), {7: (b"k",)}, id="put with the same lease"),
        pytest.param(put(lease=8), {8: (b"k",)}, id="put with another lease moves the key"),
        pytest.param(put(ignore_lease=True), {7: (b"k",)}, id="ignore_lease keeps"),
        pytest.param(put(ignore_value=True), {}, id="ignore_value detaches like any other"),
        pytest.param(put(ignore_value=True, lease=8), {8: (b"k",)}, id="ignore_value with another lease"),
        pytest.param(put(b"a", lease=7), {7: (b"a", b"k")}, id="a lease holds several keys, in order"),
        pytest.param(DeleteRangeRequest(b"k"), {}, id="delete detaches"),
        pytest.param(DeleteRangeRequest(b"a", b"\0"), {}, id="delete of a range detaches"),
        pytest.param(TxnRequest(success=(delete_op(b"k"),)), {}, id="delete in a txn"),
        pytest.param(TxnRequest(success=(put_op(lease=8), put_op(key=b"a", lease=7))), {7: (b"a",), 8: (b"k",)},
                     id="puts in a txn"),
        pytest.param(TxnRequest(success=(put_op(lease=8), delete_op(b"k", b"\0"), put_op(ignore_value=True))),
                     {7: (b"k",)}, id="a txn that is taken back"),
    ],
)  # fmt: skip
def test_what_is_attached_afterwards(
    machine: Machine, request_: Request[Any], attached: dict[int, tuple[bytes, ...]]
) -> None:  # Any: as above
    apply(machine, request_)
    assert {lease: keys for lease in (7, 8) if (keys := machine.attached(lease))} == attached
    assert {lease: machine.leases.count(lease) for lease in attached} == {k: len(keys) for k, keys in attached.items()}


def test_a_key_that_was_put_anew_without_its_lease_outlives_it(machine: Machine) -> None:
    apply(machine, put())
    assert apply(machine, LeaseRevokeRequest(7)) == LeaseRevokeResponse(ResponseHeader(revision=3))
    assert read(machine, ALL).count == 1


# ---- revocations ----


def test_a_revocation_deletes_the_keys_in_one_revision_in_key_order(machine: Machine) -> None:
    for key in (b"z", b"\0", b"m", b"\xff"):
        apply(machine, put(key, lease=7))
    apply(machine, put(b"other", lease=8))
    assert apply(machine, LeaseRevokeRequest(7)) == LeaseRevokeResponse(ResponseHeader(revision=8))
    assert [kv.key for kv in read(machine, ALL).kvs] == [b"other"]
    assert (machine.revision, 7 in machine.leases, machine.attached(7)) == (8, False, ())
    batch = machine.batch()
    assert batch is not None
    keys = [b"\0", b"k", b"m", b"z", b"\xff"]
    assert batch.rows[-5:] == [(8 << 24 | sub, key, 0, 0, b"", 0) for sub, key in enumerate(keys)]


def test_a_revocation_without_keys_leaves_the_revision(machine: Machine) -> None:
    assert apply(machine, LeaseRevokeRequest(8)) == LeaseRevokeResponse(ResponseHeader(revision=2))
    assert machine.revision == 2
    assert outcome(apply(machine, LeaseRevokeRequest(8))) == "LeaseNotFound"


def test_an_id_may_be_used_again_and_its_former_keys_are_not_attached(machine: Machine) -> None:
    apply(machine, LeaseRevokeRequest(7))
    apply(machine, LeaseGrantRequest(30, 7))
    apply(machine, put())
    assert machine.attached(7) == ()


def test_keys_of_a_sweep_that_is_not_settled_are_not_attached(tmp_path: Path) -> None:
    machine = open_machine(tmp_path, large=2)
    apply(machine, LeaseGrantRequest(60, 7))
    for key in (b"a", b"b", b"c", b"d"):
        apply(machine, put(key, lease=7))
    apply(machine, DeleteRangeRequest(b"a", b"\0"))
    assert (machine.attached(7), machine.leases.count(7)) == ((), 4)
    apply(machine, put(b"b"))  # comes back without its lease
    apply(machine, put(b"c", lease=7))
    assert machine.attached(7) == (b"c",)
    revision = machine.revision
    assert apply(machine, LeaseRevokeRequest(7)) == LeaseRevokeResponse(ResponseHeader(revision=revision + 1))
    assert [kv.key for kv in read(machine, ALL).kvs] == [b"b"]
    apply(machine, LeaseGrantRequest(60, 7))
    while machine.settle():
        pass
    assert machine.leases.count(7) == 0
    machine.close()


def test_very_many_keys_are_deleted_in_slices_with_the_same_result(tmp_path: Path) -> None:
    rows = []
    for large in (2000, 100_000):
        (tmp_path / str(large)).mkdir()
        machine = open_machine(tmp_path / str(large), large=large)
        apply(machine, LeaseGrantRequest(60, 7))
        for n in range(5003):
            apply(machine, put(b"%d" % n, lease=7))  # not in key order
        apply(machine, put(b"other"))
        command = Command(LeaseRevokeRequest(7))
        assert machine.is_large(command) == (large == 2000)
        if large == 2000:
            steps = list(machine.apply_in_slices(machine.applied_index + 1, command))
            assert steps == [None] * 13  # six to sort a thousand keys each, six to delete them, one to let go
            answer = machine.sliced_result
        else:
            answer = apply(machine, LeaseRevokeRequest(7))
        assert answer == LeaseRevokeResponse(ResponseHeader(revision=5006))
        assert [kv.key for kv in read(machine, ALL).kvs] == [b"other"]
        assert (machine.attached(7), len(machine.leases)) == ((), 0)
        batch = machine.batch()
        assert batch is not None
        rows.append(batch.rows[5004:])
        machine.close()
    assert rows[0] == rows[1]
    assert [row[1] for row in rows[0]] == sorted(b"%d" % n for n in range(5003))


def test_a_large_revocation_of_a_lease_that_is_gone_is_refused(tmp_path: Path) -> None:
    machine = open_machine(tmp_path, large=2)
    command = Command(LeaseRevokeRequest(7))
    assert not machine.is_large(command)
    assert list(machine.apply_in_slices(1, command)) == []
    assert outcome(machine.sliced_result or EtcdError()) == "LeaseNotFound"
    machine.close()


def test_without_space_leases_can_be_revoked_but_not_granted(machine: Machine) -> None:
    apply(machine, AlarmRequest(AlarmAction.ACTIVATE, 1, AlarmType.NOSPACE))
    assert outcome(apply(machine, LeaseGrantRequest(60, 9))) == "NoSpace"
    assert apply(machine, LeaseRevokeRequest(7)) == LeaseRevokeResponse(ResponseHeader(revision=3))


def test_a_revocation_counts_as_a_delete_of_each_key(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    machine = open_machine(tmp_path, registry)
    apply(machine, LeaseGrantRequest(60, 7))
    for key in (b"a", b"b", b"c"):
        apply(machine, put(key, lease=7))
    apply(machine, LeaseRevokeRequest(7))
    assert registry.get_sample_value("etcd_mvcc_delete_total") == 3
    assert registry.get_sample_value("etcd_mvcc_txn_total") == 1
    machine.close()


# ---- notes of what is left ----


@pytest.mark.parametrize(("noted", "left"), [(40, 40), (59, 59), (60, 0), (61, 0), (0, 0), (-5, 0)], ids=str)
def test_what_is_left_is_noted(machine: Machine, noted: int, left: int) -> None:
    apply(machine, LeaseCheckpointRequest((LeaseCheckpoint(7, 30), LeaseCheckpoint(8, 30))))
    request = LeaseCheckpointRequest((LeaseCheckpoint(7, noted), LeaseCheckpoint(99, 5)))
    assert apply(machine, request) == LeaseCheckpointResponse(ResponseHeader(revision=2))
    assert list(machine.leases) == [Lease(7, 60, left), Lease(8, 60, 30)]


# ---- restarts ----


def test_a_restart_knows_leases_and_what_is_attached(tmp_path: Path, machine: Machine) -> None:
    apply(machine, put(b"a", value=b"x" * 1000, lease=7))
    apply(machine, LeaseGrantRequest(MAX_TTL, MIN_INT64))
    apply(machine, LeaseCheckpointRequest((LeaseCheckpoint(7, 41),)))
    apply(machine, LeaseRevokeRequest(8))
    flush(machine)
    again = open_machine(tmp_path, value_cache_bytes=0)
    assert sorted(again.leases, key=lambda lease: lease.id) == [Lease(MIN_INT64, MAX_TTL), Lease(7, 60, 41)]
    assert again.attached(7) == (b"a", b"k")
    apply(again, LeaseRevokeRequest(7))
    flush(again)
    assert not again.leases.changed
    again.close()
    third = open_machine(tmp_path)
    assert list(third.leases) == [Lease(MIN_INT64, MAX_TTL)]
    assert read(third, ALL).count == 0
    third.close()


def test_what_sqlite_does_not_have_yet_counts_as_pending(machine: Machine) -> None:
    flush(machine)
    assert machine.pending_bytes == 0
    apply(machine, LeaseGrantRequest(60, 9))
    apply(machine, LeaseRevokeRequest(8))
    assert machine.pending_bytes == 2 * CHANGE_OVERHEAD
    batch = machine.batch()
    assert batch is not None
    assert batch.leases == {9: Lease(9, 60), 8: None}
    assert machine.pending_bytes == batch.size == 2 * CHANGE_OVERHEAD
    machine.writer.flush(batch)
    machine.committed(batch)
    assert machine.pending_bytes == 0


# ---- by itself ----


class Observer:
    def __init__(self) -> None:
        self.seen: list[Lease | int] = []

    def granted(self, lease: Lease) -> None:
        self.seen.append(lease)

    def revoked(self, lease_id: int) -> None:
        self.seen.append(lease_id)


def test_an_observer_is_told_what_is_applied(machine: Machine) -> None:
    observer = Observer()
    machine.leases.observer = observer
    for request in (LeaseGrantRequest(5, 9), LeaseGrantRequest(5, 9), LeaseRevokeRequest(9), LeaseRevokeRequest(9)):
        apply(machine, request)
    assert observer.seen == [Lease(9, 5), 9]


def test_pieces_are_in_order_and_come_after_the_sorting() -> None:
    leases = Leases()
    leases.load([Lease(7, 60)])
    keys = [b"%d" % n for n in range(10)]
    for key in reversed(keys):
        leases.move(key, 0, 7)
    pieces = leases.pieces(7, 4)
    assert next(pieces) is None
    for key in keys:  # from now on anything may change
        leases.detach(key, 7)
    assert [next(pieces) for _ in range(2)] == [None] * 2
    assert list(pieces) == [keys[:4], keys[4:8], keys[8:]]
    assert list(leases.pieces(9, 4)) == []


def test_a_key_leaves_a_lease_that_is_gone() -> None:
    leases = Leases()
    leases.detach(b"k", 7)
    leases.move(b"k", 7, 8)
    assert leases.keys(8) == [b"k"]
    assert (list(leases), len(leases), 7 in leases, leases.get(7)) == ([], 0, False, None)
