"""Random histories of leases against the naive model: which keys are attached, and what a revocation deletes."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from raftgate.api.kv import DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest
from raftgate.api.lease import LeaseGrantRequest
from storage.machine import Machine
from tests.fakes.kv_model import GRANTS, NOTES, REVOKES, TXNS, LeaseWrite, Model, Write
from tests.fakes.storage import apply, flush, open_machine, outcome, read

KEYS = st.sampled_from([b"\0", b"a", b"ab", b"b", b"c"])
ENDS = st.sampled_from([b"", b"\0", b"b", b"c"])
LEASES = st.sampled_from([0, 7, 7, -8])
PUTS = st.builds(PutRequest, key=KEYS, value=st.sampled_from([b"", b"0" * 40]), lease=LEASES, prev_kv=st.booleans())
TOUCHES = st.builds(PutRequest, key=KEYS, ignore_value=st.booleans(), ignore_lease=st.just(value=True))
DELETES = st.builds(DeleteRangeRequest, key=KEYS, range_end=ENDS, prev_kv=st.booleans())
OPS = st.builds(RequestOp, request_put=PUTS | TOUCHES) | st.builds(RequestOp, request_delete_range=DELETES)
ALL = RangeRequest(b"\0", b"\0")
DELETE_ALL = DeleteRangeRequest(b"\0", b"\0")


class LeaseHistories(RuleBasedStateMachine):
    """Large commands are those of a few keys; what was not flushed is replayed after a crash."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory()
        self.options: dict[str, int] = {}
        self.machine = self.open()
        self.model = Model()
        self.log: list[Write | LeaseWrite] = []
        self.flushed = 0

    def open(self) -> Machine:
        return open_machine(Path(self.directory.name), None, **self.options)

    @initialize(large=st.sampled_from([1, 2, 2000]), budget=st.sampled_from([0, 1000]))
    def configure(self, large: int, budget: int) -> None:
        self.machine.close()
        self.options |= {"large": large, "value_cache_bytes": budget}
        self.machine = self.open()
        self.apply(LeaseGrantRequest(60, 7))

    def apply(self, write: Write | LeaseWrite) -> None:
        assert outcome(apply(self.machine, write)) == self.model.apply(write)
        self.log.append(write)

    @rule(writes=st.lists(PUTS | TOUCHES, min_size=1, max_size=6))
    def put(self, writes: list[PutRequest]) -> None:
        for write in writes:
            self.apply(write)

    @rule(write=DELETES)
    def delete(self, write: DeleteRangeRequest) -> None:
        self.apply(write)

    @rule(write=PUTS)
    def delete_all_at_once_and_put(self, write: PutRequest) -> None:
        """With a small `large` a sweep, of which only one key is settled."""
        self.apply(DELETE_ALL)
        self.apply(write)

    @rule(write=TXNS | st.builds(TxnRequest, success=st.lists(OPS, max_size=5).map(tuple)))
    def txn(self, write: TxnRequest) -> None:
        self.apply(write)

    @rule(ops=st.lists(OPS, max_size=5), key=KEYS)
    def txn_that_is_taken_back(self, ops: list[RequestOp], key: bytes) -> None:
        """Its last operation finds the key gone that was there before."""
        self.apply(PutRequest(key, lease=7 if 7 in self.model.leases else 0))
        last = RequestOp(request_delete_range=DELETE_ALL), RequestOp(request_put=PutRequest(key, ignore_value=True))
        write = TxnRequest(success=(*ops, *last))
        self.apply(write)
        assert self.model.apply(write) in ("KeyNotFound", "LeaseNotFound")

    @rule(write=GRANTS | NOTES)
    def grant_or_note(self, write: LeaseWrite) -> None:
        self.apply(write)

    @rule(write=REVOKES)
    def revoke(self, write: LeaseWrite) -> None:
        self.apply(write)

    @rule()
    def settle(self) -> None:
        self.machine.settle()

    @rule()
    def flush(self) -> None:
        flush(self.machine)
        self.flushed = self.machine.applied_index

    @rule()
    def crash(self) -> None:
        self.machine.batch()  # handed out, never written
        self.machine.close()
        self.machine = self.open()
        assert self.machine.applied_index == self.flushed
        for write in self.log[self.flushed :]:
            apply(self.machine, write)

    @rule()
    def restart(self) -> None:
        self.flush()
        self.crash()

    @invariant()
    def agrees_with_the_model(self) -> None:
        machine, model = self.machine, self.model
        assert read(machine, ALL) == model.range(ALL)
        assert {lease.id: (lease.ttl, lease.remaining_ttl) for lease in machine.leases} == model.leases
        for lease_id in model.leases:
            assert list(machine.attached(lease_id)) == model.attached(lease_id)

    def teardown(self) -> None:
        while self.machine.settle():
            pass
        for lease_id in (7, -8):
            assert self.machine.leases.count(lease_id) == len(self.model.attached(lease_id))
        self.flush()
        with self.machine.database.connect() as connection:  # in one revision, in key order
            rows = connection.exec_driver_sql("SELECT id >> 24, key, version FROM history ORDER BY id").fetchall()
        assert [tuple(row) for row in rows] == self.model.events
        self.machine.close()
        self.directory.cleanup()


def run(examples: int, steps: int) -> None:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        LeaseHistories,
        settings=settings(
            deadline=None, max_examples=examples, stateful_step_count=steps, suppress_health_check=checks
        ),
    )


def test_random_histories_of_leases() -> None:
    """3,000 steps; the soak has 100,000."""
    run(100, 30)


@pytest.mark.soak
def test_many_random_histories_of_leases() -> None:
    """100,000 steps."""
    run(2000, 50)
