"""Random histories against a naive model: commands, reads of any revision, values let go, compactions, restarts."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from raftgate.api.errors import EtcdError
from raftgate.api.kv import CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest, TxnRequest
from raftgate.api.message import Message
from storage.fetch import Fetch
from tests.fakes.kv_model import ENDS, KEYS, PUTS, RANGES, READ_TXNS, READS, TXNS, VALUES, Model, Write
from tests.fakes.storage import (
    apply,
    compact_step,
    finish,
    finish_compaction,
    flush,
    open_machine,
    outcome,
    read,
    read_txn,
)

ALL = RangeRequest(b"\0", b"\0")


class Histories(RuleBasedStateMachine):
    """What was not flushed is replayed from the log after a crash, and nothing else; the model knows no crashes."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory()
        self.options = {"value_cache_bytes": 150, "compaction_batch_limit": 2}
        self.machine = self.open()
        self.log: list[Write | CompactionRequest] = []
        self.answers: list[Message | str] = []
        self.model = Model()
        self.flushed = 0
        self.fetches: list[tuple[Fetch[Any], Any]] = []  # Any: what is read

    def open(self) -> Any:
        return open_machine(Path(self.directory.name), None, **self.options)

    @initialize(large=st.sampled_from([1, 2, 3, 2000]), budget=st.sampled_from([0, 150, 1000]))
    def configure(self, large: int, budget: int) -> None:
        """With `large` of a few keys, all that is done in pieces is done in many."""
        self.machine.close()
        self.options |= {"large": large, "value_cache_bytes": budget}
        self.machine = self.open()

    @rule(keys=st.lists(KEYS, min_size=1, max_size=8), value=VALUES)
    def put(self, keys: list[bytes], value: bytes) -> None:
        for key in keys:
            self.apply(PutRequest(key, value))

    @rule(key=KEYS, range_end=ENDS, prev_kv=st.booleans())
    def delete(self, key: bytes, range_end: bytes, prev_kv: bool) -> None:  # noqa: FBT001 - hypothesis names arguments
        self.apply(DeleteRangeRequest(key, range_end, prev_kv))

    @rule(txn=TXNS)
    def txn(self, txn: TxnRequest) -> None:
        self.apply(txn)

    @rule(write=PUTS)
    def put_with_options(self, write: PutRequest) -> None:
        self.apply(write)

    @rule(back=st.integers(-1, 8))
    def compact(self, back: int) -> None:
        self.apply(CompactionRequest(self.model.revision - back))

    @rule()
    def settle(self) -> None:
        self.machine.settle()

    @rule(steps=st.integers(1, 4))
    def step_of_compaction(self, steps: int) -> None:
        for _ in range(steps):
            compact_step(self.machine)

    def apply(self, write: Write | CompactionRequest) -> None:
        answer = outcome(apply(self.machine, write))
        assert answer == self.model.apply(write)
        self.log.append(write)
        self.answers.append(answer)

    @rule(request=RANGES, back=st.integers(0, 6))
    def read_back(self, request: RangeRequest, back: int) -> None:
        self.read(msgspec.structs.replace(request, revision=max(self.model.revision - back, 0)))

    @rule(request=READS)
    def read(self, request: RangeRequest) -> None:
        answer: Message | str
        try:
            answer = read(self.machine, request)
        except EtcdError as error:
            answer = outcome(error)
        assert answer == self.model.read(request)

    @rule(request=READ_TXNS)
    def read_txn(self, request: TxnRequest) -> None:
        answer: Message | str
        try:
            answer = read_txn(self.machine, request)
        except EtcdError as error:
            answer = outcome(error)
        assert answer == self.model.apply(request)

    @rule(request=RANGES, back=st.integers(0, 6))
    def begin_to_read(self, request: RangeRequest, back: int) -> None:
        """What a fetch answers is as of its beginning, whatever happens before its end."""
        request = msgspec.structs.replace(request, revision=max(self.model.revision - back, 0))
        expected = self.model.read(request)
        if not isinstance(expected, str):
            answer = self.machine.range(request)
            if isinstance(answer, Fetch):
                self.fetches.append((answer, expected))
            else:
                assert answer == expected

    @precondition(lambda self: self.fetches)
    @rule(data=st.data())
    def end_to_read(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.fetches) - 1))
        fetch, expected = self.fetches[number]
        for _ in zip(fetch.collect(), range(data.draw(st.integers(0, 3))), strict=False):
            pass
        if fetch.is_collected:
            del self.fetches[number]
            assert finish(fetch) == expected

    @rule()
    def flush(self) -> None:
        flush(self.machine)
        self.flushed = self.machine.applied_index

    @rule()
    def checkpoint(self) -> None:
        assert self.machine.writer.checkpoint() == self.flushed

    @precondition(lambda self: self.log)
    @rule()
    def crash(self) -> None:
        self.machine.batch()  # handed out, never written
        self.machine.close()
        self.fetches.clear()
        self.machine = self.open()
        assert self.machine.applied_index == self.flushed
        for write, answer in list(zip(self.log, self.answers, strict=True))[self.flushed :]:
            assert outcome(apply(self.machine, write)) == answer

    @invariant()
    def agrees_with_the_model(self) -> None:
        assert (self.machine.revision, self.machine.compact_revision) == (self.model.revision, self.model.compacted)
        assert read(self.machine, ALL) == self.model.range(ALL)

    def teardown(self) -> None:
        for fetch, expected in self.fetches:
            assert finish(fetch) == expected
        finish_compaction(self.machine)
        assert self.machine.compaction_done(self.model.compacted)
        with self.machine.database.connect() as connection:
            rows = connection.exec_driver_sql("SELECT id >> 24, key, version FROM history ORDER BY id").fetchall()
        assert [tuple(row) for row in rows] == self.model.rows()
        self.machine.close()
        self.directory.cleanup()


def run(examples: int, steps: int) -> None:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        Histories,
        settings=settings(
            deadline=None, max_examples=examples, stateful_step_count=steps, suppress_health_check=checks
        ),
    )


def test_random_histories() -> None:
    """5,000 steps; the soak has 100,000."""
    run(100, 50)


@pytest.mark.soak
def test_many_random_histories() -> None:
    """100,000 steps."""
    run(1000, 100)
