"""The hub against a naive model, and the rows of etcd's contract that it decides."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from raftgate.api.kv import CompactionRequest, DeleteRangeRequest, PutRequest, RequestOp, TxnRequest
from raftgate.api.watch import Event
from storage.database import StoreExchanged
from storage.index import covers
from storage.machine import Machine
from storage.watch_events import Wanted
from tests.fakes.kv_model import ENDS, KEYS, TXNS, VALUES, Model, Write
from tests.fakes.storage import apply, compact_step, finish_compaction, flush, open_machine
from tests.fakes.watcher import Receiver, catch_up

EVERYTHING = Wanted(b"\0", b"\0")
WANTED = st.builds(
    Wanted, KEYS, ENDS, puts=st.sampled_from([True, True, False]), deletes=st.booleans(), prev_kv=st.booleans()
).filter(lambda wanted: wanted.range_end in (b"", b"\0") or wanted.range_end > wanted.key)


class Watched(RuleBasedStateMachine):
    """Writes, compactions, flushes and rounds in any order, with watchers that come, go, stop reading and resume."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory()
        self.machine = open_machine(Path(self.directory.name))
        self.model = Model()
        self.watchers: list[tuple[Receiver, Wanted, int]] = []
        self.compactions: set[int] = set()
        self.steps: Iterator[Any] | None = None  # Any: what a step wants
        self.read: Any = None  # Any: a step that is to be run
        self.batch: Any = None  # Any: what is being flushed

    @initialize(large=st.sampled_from([1, 3, 2000]), budget=st.sampled_from([0, 150, 100_000]))
    def configure(self, large: int, budget: int) -> None:
        self.machine.close()
        self.machine = open_machine(Path(self.directory.name), large=large, value_cache_bytes=budget)

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

    @rule(back=st.integers(0, 6))
    def compact(self, back: int) -> None:
        revision = self.machine.revision - back
        if revision > self.machine.compact_revision and revision > 0:
            self.compactions.add(revision)
            self.apply(CompactionRequest(revision))

    def apply(self, request: Write | CompactionRequest) -> None:
        self.model.apply(request)
        apply(self.machine, request)
        assert self.machine.revision == self.model.revision

    @rule()
    def begin_flush(self) -> None:
        if self.batch is None:
            self.batch = self.machine.batch()
            if self.batch is not None:
                self.machine.writer.flush(self.batch)

    @rule()
    def end_flush(self) -> None:
        if self.batch is not None:
            self.machine.committed(self.batch)
            self.batch = None

    @rule(steps=st.sampled_from([1, 100]))
    def delete_compacted(self, steps: int) -> None:
        for _ in range(steps):
            compact_step(self.machine)

    @rule()
    def settle(self) -> None:
        self.machine.settle()

    @rule(wanted=WANTED, back=st.none() | st.integers(-3, 12), room=st.sampled_from([0, 1, 2, 100]))
    def watch(self, wanted: Wanted, back: int | None, room: int) -> None:
        """From now on, from the past, or from a revision to come."""
        receiver = Receiver(room)
        start = 0 if back is None else max(self.machine.revision - back, 1)
        self.machine.watchers.add(receiver, wanted, start)
        self.watchers.append((receiver, wanted, start or self.machine.revision + 1))

    @precondition(lambda self: self.watchers)
    @rule(data=st.data())
    def leave_or_resume(self, data: st.DataObject) -> None:
        """It goes; perhaps another one goes on where it was."""
        receiver, wanted, start = self.watchers.pop(data.draw(st.integers(0, len(self.watchers) - 1)))
        self.machine.watchers.remove(receiver)
        seen = [event.kv.mod_revision for event in receiver.events if event.kv]
        self.check(receiver, wanted, start, last=max(seen, default=start - 1))
        if data.draw(st.booleans()) and seen:
            other = Receiver()
            self.machine.watchers.add(other, wanted, seen[-1] + 1)
            self.watchers.append((other, wanted, seen[-1] + 1))

    @precondition(lambda self: self.watchers)
    @rule(data=st.data(), room=st.integers(1, 5))
    def read_on(self, data: st.DataObject, room: int) -> None:
        receiver = data.draw(st.sampled_from([receiver for receiver, _, _ in self.watchers]))
        receiver.room += room
        self.machine.watchers.resume(receiver)

    @rule(steps=st.integers(1, 4))
    def go_on(self, steps: int) -> None:
        """Some steps of a round; the next ones may come after anything else."""
        for _ in range(steps):
            if self.steps is None:
                self.steps = self.machine.watchers.catch_up()
            self.run_read()
            read = next(self.steps, self)
            if read is self:
                self.steps = None
            elif read is not None:
                self.read = read

    def run_read(self) -> None:
        """What a reader's thread does, at any time before the next step."""
        if self.read is not None:
            self.read()
            self.read = None

    def teardown(self) -> None:
        while self.steps is not None:
            self.go_on(1)
        for receiver, _, _ in self.watchers:
            receiver.room = 1_000_000
            self.machine.watchers.resume(receiver)
        catch_up(self.machine)
        hub = self.machine.watchers
        assert hub.slow == 0
        assert hub.count == sum(not receiver.compact_revision for receiver, _, _ in self.watchers)
        for receiver, wanted, start in self.watchers:
            last = receiver.next - 1 if receiver.compact_revision else self.model.revision
            assert not receiver.compact_revision or receiver.next < receiver.compact_revision
            assert receiver.compact_revision or hub.is_current(receiver) or receiver.next > self.model.revision + 1
            self.check(receiver, wanted, start, last)
            hub.remove(receiver)
        assert hub.count == 0
        assert self.machine._kv.watched is None  # nothing is left that costs
        assert self.machine._kv.lowest_read() == self.machine.revision  # nor holds compactions back
        self.machine.close()
        self.directory.cleanup()

    def check(self, receiver: Receiver, wanted: Wanted, start: int, last: int) -> None:
        """Exactly the events of its range and span, once, in order, whole revisions at a time."""
        expected = [
            (revision, key, version)
            for revision, key, version in self.model.events
            if start <= revision <= last
            and covers(wanted.key, wanted.range_end, key)
            and (wanted.puts if version else wanted.deletes)
        ]
        found = [(event.kv.mod_revision, event.kv.key, event.kv.version) for event in receiver.events if event.kv]
        assert self.without_superseded(found) == self.without_superseded(expected)
        seen: set[int] = set()
        for batch in receiver.batches:
            revisions = {event.kv.mod_revision for event in batch.events if event.kv}
            assert not revisions & seen
            seen |= revisions
            assert max(revisions) <= batch.revision
            for event in batch.events:
                self.check_previous(event, prev_kv=wanted.prev_kv)
        newest = {(event.kv.mod_revision, event.kv.key): event.kv for event in receiver.events if event.kv}
        for (revision, key), kv in newest.items():  # of several changes in a revision the model knows the last
            if kv.version and wanted.deletes:
                assert kv == self.model.states[revision - 1][key]

    def without_superseded(self, events: list[tuple[int, bytes, int]]) -> list[tuple[int, bytes, int]]:
        """Of a key that changed twice in a revision that was compacted to, only the last change may be left."""
        last = {(revision, key): version for revision, key, version in events}
        return [each for each in events if each[0] not in self.compactions or last[each[:2]] == each[2]]

    def check_previous(self, event: Event, *, prev_kv: bool) -> None:
        assert event.kv is not None
        revision = event.kv.mod_revision
        before = self.model.states[revision - 2].get(event.kv.key)
        if event.kv.create_revision == revision:
            before = None
        if not prev_kv:
            assert event.prev_kv is None
        elif event.prev_kv is None:
            assert before is None or revision in self.compactions
        else:
            assert event.prev_kv == before


def test_random_histories() -> None:
    run_state_machine_as_test(
        Watched,
        settings=settings(
            max_examples=50, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


@pytest.mark.soak
def test_many_random_histories() -> None:
    run_state_machine_as_test(
        Watched,
        settings=settings(
            max_examples=1_000, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = open_machine(tmp_path)
    yield machine
    machine.close()


def watch(machine: Machine, wanted: Wanted = EVERYTHING, start: int = 0, room: int = 1_000_000) -> Receiver:
    receiver = Receiver(room)
    machine.watchers.add(receiver, wanted, start)
    return receiver


def put(machine: Machine, key: bytes, value: bytes = b"v") -> None:
    apply(machine, PutRequest(key, value))


def test_a_watch_from_now_on_is_told_of_what_comes(machine: Machine) -> None:
    put(machine, b"a")
    receiver = watch(machine, Wanted(b"a"))
    put(machine, b"a")
    put(machine, b"b")
    apply(machine, DeleteRangeRequest(b"a"))
    assert receiver.told == [("PUT", b"a", 3), ("DELETE", b"a", 5)]
    assert [batch.revision for batch in receiver.batches] == [3, 5]
    assert receiver.events[1].kv is not None
    assert (receiver.events[1].kv.create_revision, receiver.events[1].kv.version) == (0, 0)


def test_those_who_want_the_same_get_the_same_object(machine: Machine) -> None:
    receivers = [watch(machine, Wanted(b"a", b"b")) for _ in range(3)] + [watch(machine)]
    put(machine, b"a")
    assert len({id(receiver.batches[0]) for receiver in receivers}) == 1


def test_a_txn_is_one_batch_in_the_order_of_execution(machine: Machine) -> None:
    receiver = watch(machine)
    apply(machine, TxnRequest(success=tuple(RequestOp(request_put=PutRequest(b"k%03d" % n)) for n in range(128))))
    assert [len(batch.events) for batch in receiver.batches] == [128]
    assert [event.kv.key for event in receiver.events if event.kv] == [b"k%03d" % n for n in range(128)]


def test_a_put_and_a_delete_of_one_key_in_one_txn_are_both_told(machine: Machine) -> None:
    receiver = watch(machine, EVERYTHING._replace(prev_kv=True))
    gap = RequestOp(request_delete_range=DeleteRangeRequest(b"a", b"\0"))
    apply(machine, TxnRequest(success=(RequestOp(request_put=PutRequest(b"x")), gap)))
    assert receiver.told == [("PUT", b"x", 2), ("DELETE", b"x", 2)]
    assert [len(batch.events) for batch in receiver.batches] == [2]
    assert [event.prev_kv for event in receiver.events] == [None, None]


def test_prev_kv_is_what_was_at_the_revision_before(machine: Machine) -> None:
    put(machine, b"x", b"old")
    live = watch(machine, EVERYTHING._replace(prev_kv=True))
    gap = RequestOp(request_delete_range=DeleteRangeRequest(b"a", b"\0"))
    apply(machine, TxnRequest(success=(RequestOp(request_put=PutRequest(b"x", b"new")), gap)))
    late = watch(machine, EVERYTHING._replace(prev_kv=True), 3)
    catch_up(machine)
    for receiver in (live, late):
        assert [event.prev_kv.value for event in receiver.events if event.prev_kv] == [b"old", b"old"]


@pytest.mark.parametrize(
    ("puts", "deletes", "told"),
    [
        (False, True, [("DELETE", b"a", 3)]),
        (True, False, [("PUT", b"a", 2)]),
        (False, False, []),
    ],
)
def test_filters(machine: Machine, puts: bool, deletes: bool, told: list[Any]) -> None:  # noqa: FBT001 - pytest names them
    wanted = Wanted(b"a", puts=puts, deletes=deletes)
    live = watch(machine, wanted)
    put(machine, b"a")
    apply(machine, DeleteRangeRequest(b"a"))
    late = watch(machine, wanted, 1)
    catch_up(machine)
    for receiver in (live, late):
        assert receiver.told == told
        assert len(receiver.batches) == len(told)  # nothing is sent without events
        assert machine.watchers.is_current(receiver)


def test_a_revision_to_come_is_waited_for(machine: Machine) -> None:
    receiver = watch(machine, EVERYTHING, 4)
    assert not machine.watchers.is_current(receiver)
    for _ in range(3):
        put(machine, b"a")
    assert receiver.told == [("PUT", b"a", 4)]
    assert machine.watchers.is_current(receiver)


def test_from_the_compacted_revision_on_is_fine_and_tells_the_deletion_there(machine: Machine) -> None:
    put(machine, b"a")
    apply(machine, DeleteRangeRequest(b"a"))
    apply(machine, CompactionRequest(3))
    before = watch(machine, EVERYTHING._replace(prev_kv=True), 3)
    catch_up(machine)
    finish_compaction(machine)
    after = watch(machine, EVERYTHING._replace(prev_kv=True), 3)
    catch_up(machine)
    for receiver in (before, after):
        assert receiver.told == [("DELETE", b"a", 3)]
        assert receiver.events[0].prev_kv is None  # what was there is compacted


def test_below_the_compacted_revision_a_watch_ends_at_once(machine: Machine) -> None:
    put(machine, b"a")
    put(machine, b"a")
    apply(machine, CompactionRequest(3))
    receiver = watch(machine, EVERYTHING, 2)
    assert receiver.compact_revision == 3
    assert (machine.watchers.count, machine.watchers.slow) == (0, 0)
    machine.watchers.remove(receiver)
    assert (machine.watchers.count, machine.watchers.slow) == (0, 0)


def test_one_who_takes_no_more_is_aside_and_goes_on_where_it_was(machine: Machine) -> None:
    receiver = watch(machine, room=1)
    for key in (b"a", b"b", b"c"):
        put(machine, key)
    assert receiver.told == [("PUT", b"a", 2)]
    assert machine.watchers.slow == 1
    assert not machine.watchers.is_behind  # nothing is done for it
    receiver.room = 1
    machine.watchers.resume(receiver)
    catch_up(machine)
    assert receiver.told == [("PUT", b"a", 2), ("PUT", b"b", 3), ("PUT", b"c", 4)]
    assert machine.watchers.slow == 0


def test_one_who_is_passed_by_a_compaction_learns_it(machine: Machine) -> None:
    receiver = watch(machine, room=0)
    put(machine, b"a")
    put(machine, b"a")
    apply(machine, CompactionRequest(3))
    receiver.room = 9
    machine.watchers.resume(receiver)
    assert (receiver.compact_revision, receiver.told) == (3, [])


@pytest.mark.parametrize("revision", [11, 12, 21])
@pytest.mark.parametrize("prev_kv", [False, True])
def test_a_round_keeps_what_it_reads_from_a_compaction(tmp_path: Path, revision: int, *, prev_kv: bool) -> None:
    machine = open_machine(tmp_path, value_cache_bytes=0)
    for n in range(20):
        put(machine, b"a", b"%050d" % n)
    flush(machine)
    receiver = watch(machine, EVERYTHING._replace(prev_kv=prev_kv), 11)
    steps = machine.watchers.catch_up()
    read = next(steps)
    apply(machine, CompactionRequest(revision))
    finish_compaction(machine)
    assert read is not None
    read()
    for read in steps:
        finish_compaction(machine)
        if read is not None:
            read()
    finish_compaction(machine)
    assert [event.kv.value for event in receiver.events if event.kv] == [b"%050d" % n for n in range(9, 20)]
    if prev_kv:
        assert [event.prev_kv.value for event in receiver.events if event.prev_kv] == [
            b"%050d" % n for n in range(8, 19)
        ]
    machine.close()


def test_a_compaction_before_the_round_ends_those_behind(machine: Machine) -> None:
    for _ in range(3):
        put(machine, b"a")
    below, at = watch(machine, EVERYTHING, 2), watch(machine, EVERYTHING, 3)
    apply(machine, CompactionRequest(3))
    catch_up(machine)
    assert (below.compact_revision, below.told) == (3, [])
    assert at.told == [("PUT", b"a", 3), ("PUT", b"a", 4)]


def test_how_far_a_compaction_is_does_not_show(machine: Machine) -> None:
    """Of a key that changed twice in the revision compacted to, the last change is left."""
    gap = RequestOp(request_delete_range=DeleteRangeRequest(b"a", b"\0"))
    apply(machine, TxnRequest(success=(RequestOp(request_put=PutRequest(b"x")), gap)))
    put(machine, b"y")
    apply(machine, CompactionRequest(2))
    before = watch(machine, EVERYTHING, 2)
    catch_up(machine)
    finish_compaction(machine)
    after = watch(machine, EVERYTHING, 2)
    catch_up(machine)
    for receiver in (before, after):
        assert receiver.told == [("DELETE", b"x", 2), ("PUT", b"y", 3)]


def test_history_comes_in_messages_of_a_thousand_revisions(machine: Machine) -> None:
    for n in range(2_500):
        put(machine, b"k%d" % (n % 7))
    flush(machine)
    receiver = watch(machine, EVERYTHING, 1)
    catch_up(machine)
    assert [len(batch.events) for batch in receiver.batches] == [1000, 1000, 500]
    assert [batch.revision for batch in receiver.batches] == [2501] * 3


def test_history_comes_in_messages_of_a_few_megabytes(machine: Machine) -> None:
    for _ in range(12):
        put(machine, b"k", bytes(1 << 20))
    flush(machine)
    receiver = watch(machine, EVERYTHING, 1)
    catch_up(machine)
    assert [len(batch.events) for batch in receiver.batches] == [4, 4, 4]


def test_a_sweep_is_one_batch_of_those_who_watch_its_keys(tmp_path: Path) -> None:
    machine = open_machine(tmp_path, large=10)
    for n in range(50):
        put(machine, b"k%02d" % n)
    outside, all_of_it = watch(machine, Wanted(b"l", b"m")), watch(machine, EVERYTHING._replace(prev_kv=True))
    part = watch(machine, Wanted(b"k10", b"k20"))
    apply(machine, DeleteRangeRequest(b"k", b"l"))
    put(machine, b"l")
    assert outside.told == [("PUT", b"l", 53)]
    catch_up(machine)
    assert [len(batch.events) for batch in all_of_it.batches] == [51]
    assert part.told == [("DELETE", b"k%02d" % n, 52) for n in range(10, 20)]
    assert all(event.prev_kv for event in all_of_it.events[:50])
    machine.close()


def test_a_prev_kv_that_memory_has_let_go_of_is_read(tmp_path: Path) -> None:
    machine = open_machine(tmp_path, value_cache_bytes=0)
    put(machine, b"a", b"o" * 100)
    flush(machine)
    receiver, other = watch(machine, EVERYTHING._replace(prev_kv=True)), watch(machine)
    put(machine, b"a", b"n" * 100)
    assert receiver.told == []
    assert other.told == [("PUT", b"a", 3)]
    catch_up(machine)
    assert [event.prev_kv.value for event in receiver.events if event.prev_kv] == [b"o" * 100]
    machine.close()


def test_a_command_that_fails_tells_nothing(machine: Machine) -> None:
    receiver = watch(machine)
    ops = (RequestOp(request_put=PutRequest(b"a")), RequestOp(request_put=PutRequest(b"b", lease=99)))
    apply(machine, TxnRequest(success=ops))
    apply(machine, DeleteRangeRequest(b"zz"))
    assert receiver.batches == []


def test_those_who_leave_while_they_are_read_for_get_nothing(machine: Machine) -> None:
    for _ in range(5):
        put(machine, b"a")
    flush(machine)
    receiver, other = watch(machine, EVERYTHING, 1), watch(machine, EVERYTHING, 1)
    steps = machine.watchers.catch_up()
    read = next(steps)
    machine.watchers.remove(receiver)
    assert read is not None
    read()
    assert list(steps) == []
    assert (len(receiver.batches), len(other.events)) == (0, 5)


def test_a_round_that_is_given_up_is_done_again(machine: Machine) -> None:
    put(machine, b"a")
    flush(machine)
    receiver = watch(machine, EVERYTHING, 1)
    steps = machine.watchers.catch_up()
    next(steps)
    steps.close()
    catch_up(machine)
    assert receiver.told == [("PUT", b"a", 2)]


def test_writers_do_not_keep_anyone_behind(machine: Machine) -> None:
    """While one catches up there is always more: it gets there since the last rows are taken from memory."""
    for _ in range(3_000):
        put(machine, b"a")
    flush(machine)
    receiver = watch(machine, EVERYTHING, 1)
    written = iter(range(500))

    def write() -> None:
        if next(written, None) is not None:
            put(machine, b"b")

    catch_up(machine, write)
    assert [revision for _, _, revision in receiver.told] == list(range(2, machine.revision + 1))


def test_another_store_ends_the_watches_that_its_compactions_have_passed_by(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = open_machine(tmp_path / "other")
    for _ in range(4):
        put(other, b"a")
    apply(other, CompactionRequest(5))
    finish_compaction(other)
    path = other.database.path
    other.close()
    put(machine, b"a")
    behind, here = [watch(machine), watch(machine, Wanted(b"a"))], watch(machine, EVERYTHING, 5)
    opened = machine.load(path)
    machine.close()
    machine.install(opened)
    catch_up(machine)
    assert [receiver.compact_revision for receiver in (*behind, here)] == [5, 5, 0]
    assert here.told == [("PUT", b"a", 5)]


# ---- another store ----


@pytest.mark.parametrize("large", [1, 2000])
def test_all_go_on_in_another_store_that_is_ahead(tmp_path: Path, large: int) -> None:
    machine, ahead = (open_machine(tmp_path / name, large=large) for name in made(tmp_path))
    hub = machine.watchers
    for number in range(20):
        for each in (machine, ahead):
            apply(each, PutRequest(b"k%d" % (number % 3), b"%d" % number))
    flush(machine)
    synced, behind, aside, future = Receiver(), Receiver(), Receiver(room=0), Receiver()
    hub.add(synced, EVERYTHING)
    hub.add(future, EVERYTHING, 35)
    for each in (machine, ahead):
        apply(each, PutRequest(b"told", b"v"))
    hub.add(aside, EVERYTHING, 5)
    catch_up(machine)
    hub.add(behind, EVERYTHING, 10)
    for number in range(20):
        apply(ahead, PutRequest(b"k%d" % (number % 3), b"later %d" % number))
    flush(ahead)
    ahead.close()
    opened = machine.load(ahead.database.path)
    machine.close()
    machine.install(opened)
    catch_up(machine)
    aside.room = 1000
    hub.resume(aside)
    catch_up(machine)
    apply(machine, PutRequest(b"last"))
    last = machine.revision
    for watcher, first in ((synced, 22), (behind, 10), (aside, 5), (future, 35)):
        assert [revision for _, _, revision in watcher.told] == list(range(first, last + 1))
    assert (hub.count, hub.slow) == (4, 0)
    machine.close()


def test_a_compaction_in_the_other_store_may_have_passed_a_watch(tmp_path: Path) -> None:
    machine, ahead = (open_machine(tmp_path / name) for name in made(tmp_path))
    synced = Receiver()
    machine.watchers.add(synced, EVERYTHING)
    for number in range(20):
        apply(ahead, PutRequest(b"k", b"%d" % number))
    apply(ahead, CompactionRequest(ahead.revision))
    flush(ahead)
    ahead.close()
    opened = machine.load(ahead.database.path)
    machine.close()
    machine.install(opened)
    assert synced.compact_revision == machine.compact_revision
    assert machine.watchers.count == 0
    machine.close()


def test_a_round_that_is_reading_ends_and_begins_anew(tmp_path: Path) -> None:
    machine, ahead = (open_machine(tmp_path / name) for name in made(tmp_path))
    for each in (machine, ahead):
        for number in range(300):
            apply(each, PutRequest(b"k", b"%d" % number))
        flush(each)
    apply(ahead, PutRequest(b"k", b"later"))
    flush(ahead)
    ahead.close()
    watcher = Receiver()
    machine.watchers.add(watcher, EVERYTHING, 2)
    steps = machine.watchers.catch_up()
    read = next(steps)
    assert read is not None
    opened = machine.load(ahead.database.path)
    machine.close()
    machine.install(opened)
    with pytest.raises(StoreExchanged):
        read()
    steps.close()
    catch_up(machine)
    assert [revision for _, _, revision in watcher.told] == list(range(2, machine.revision + 1))
    machine.close()


def made(directory: Path) -> list[str]:
    """The names of two directories."""
    names = ["one", "other"]
    for name in names:
        (directory / name).mkdir()
    return names
