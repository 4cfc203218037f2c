"""One member of a cluster that is lost goes on alone."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from consensus import command
from consensus.cluster import bootstrap_changes
from consensus.forced import stand_alone
from consensus.raft import confchange
from consensus.raft.errors import LogCorrupt
from consensus.raft.types import ConfChange, ConfChangeType, Entry, EntryType, HardState, SnapshotMeta
from consensus.wal import Wal
from consensus.wal_format import Identity
from raftgate.api import cluster
from raftgate.api.cluster import MemberAdded, MemberPromoted, MemberRemoved
from raftgate.api.kv import PutRequest, RangeRequest
from raftgate.api.message import Caller
from storage.machine import Machine
from storage.metrics import Metrics as StorageMetrics
from storage.options import Options as StorageOptions
from tests.fakes.cluster import RECORDS, LocalCluster, cluster_of
from tests.fakes.env import FakeEnv
from tests.fakes.member import options, running

pytestmark = pytest.mark.anyio

OWN, SECOND, THIRD = RECORDS
NEW = cluster.Member(ID=0xB9, peerURLs=("http://10.0.0.9:2380",), isLearner=True)
EVERYTHING = 1 << 30


@contextmanager
def opened(directory: Path) -> Iterator[tuple[Machine, Wal]]:
    """Store and log of a member that does not run."""
    machine = Machine.open(directory / "kv.db", StorageOptions(), StorageMetrics(CollectorRegistry()))
    wal = Wal.open(FakeEnv(), directory / "wal", None)
    try:
        yield machine, wal
    finally:
        wal.close()
        machine.close()


def force(directory: Path, own: cluster.Member = OWN) -> tuple[frozenset[int], list[Entry], HardState]:
    """Who was dropped, the log then, and its state."""
    with opened(directory) as (machine, wal):
        dropped = stand_alone(machine, wal, own)
        entries = wal.entries(wal.first_index(), wal.last_index() + 1, EVERYTHING) if wal.last_index() else []
        return dropped, entries, wal.initial_state()


def make(directory: Path, entries: Sequence[bytes], commit: int) -> None:
    """A log of membership changes that no store has seen yet."""
    directory.mkdir(exist_ok=True)
    wal = Wal.create(FakeEnv(), directory / "wal", Identity(0xC1, OWN.ID))
    listed = [Entry(3, index, EntryType.CONF_CHANGE, data) for index, data in enumerate(entries, 1)]
    wal.save(HardState(3, SECOND.ID, commit), listed, True)
    wal.close()


def changing(kind: ConfChangeType, member_id: int, request: MemberAdded | MemberPromoted | MemberRemoved) -> bytes:
    return confchange.encode(ConfChange(kind, member_id, command.encode(1, request, 0.0)))


FOUNDING = [confchange.encode(each) for each in bootstrap_changes(RECORDS)]
FOUNDING_OF_OTHERS = [confchange.encode(each) for each in bootstrap_changes(RECORDS[1:])]
ADD_NEW = changing(ConfChangeType.ADD_LEARNER_NODE, NEW.ID, MemberAdded(NEW))
REMOVE_THIRD = changing(ConfChangeType.REMOVE_NODE, THIRD.ID, MemberRemoved(THIRD.ID))
PROMOTE_NEW = changing(ConfChangeType.ADD_NODE, NEW.ID, MemberPromoted(NEW.ID))


async def alone(directory: Path) -> tuple[list[tuple[int, bool]], list[bytes]]:
    """Who takes part, and which keys there are, once the member runs alone and has served."""
    async with running(FakeEnv(), directory, replace(options(), member=OWN)) as member:
        found = await member.server.call(RangeRequest(key=b"\0", range_end=b"\0"), Caller())
        await member.server.call(PutRequest(key=b"z", value=b"more"), Caller())
        return [(each.ID, each.isLearner) for each in member.machine.members], [each.key for each in found.kvs]


async def lost(cluster: LocalCluster, *keys: bytes) -> None:
    """Writes keys, and ends all members."""
    leader = await cluster.leader()
    for key in keys:
        await leader.server.call(PutRequest(key=key), Caller())
    for member in cluster.members:
        await cluster.stop(member)


async def test_the_data_stay_and_the_others_go(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        await lost(cluster, b"a", b"b")
    place = tmp_path / OWN.name
    dropped, entries, state = force(place)
    assert dropped == {SECOND.ID, THIRD.ID}
    assert (state.vote, state.commit) == (OWN.ID, entries[-1].index)
    assert [entry.term for entry in entries[-3:]] == [state.term - 1, state.term, state.term]
    assert await alone(place) == ([(OWN.ID, False)], [b"a", b"b"])
    assert force(place)[0] == frozenset()  # with the flag left on
    assert await alone(place) == ([(OWN.ID, False)], [b"a", b"b", b"z"])


async def test_a_stop_before_it_runs_changes_nothing(tmp_path: Path) -> None:
    async with cluster_of(tmp_path) as cluster:
        await lost(cluster, b"a")
    place = tmp_path / OWN.name
    shutil.copytree(place, tmp_path / "before")
    once = force(place)
    assert force(place) == (frozenset(), *once[1:])  # all of it is in the log
    assert await alone(place) == ([(OWN.ID, False)], [b"a"])
    assert force(tmp_path / "before") == once


async def test_what_is_not_known_to_be_committed_is_kept(tmp_path: Path) -> None:
    make(tmp_path / "m", [*FOUNDING, ADD_NEW, REMOVE_THIRD], commit=3)
    dropped, entries, state = force(tmp_path / "m")
    assert dropped == {SECOND.ID, NEW.ID}
    assert [(entry.index, entry.term) for entry in entries[5:]] == [(6, 4), (7, 4)]
    assert state == HardState(4, OWN.ID, 7)
    assert await alone(tmp_path / "m") == ([(OWN.ID, False)], [])


@pytest.mark.parametrize("is_learner", [True, False], ids=["a learner", "nobody"])
async def test_this_member_gets_a_vote(tmp_path: Path, *, is_learner: bool) -> None:
    added = cluster.Member(OWN.ID, peerURLs=OWN.peerURLs, isLearner=True)
    entries = [*FOUNDING_OF_OTHERS, PROMOTE_NEW]  # the last one is refused when it is applied
    if is_learner:
        entries.append(changing(ConfChangeType.ADD_LEARNER_NODE, OWN.ID, MemberAdded(added)))
    make(tmp_path / "m", entries, commit=1)
    dropped, after, _ = force(tmp_path / "m")
    assert dropped == {SECOND.ID, THIRD.ID}
    assert len(after) == len(entries) + 3
    assert await alone(tmp_path / "m") == ([(OWN.ID, False)], [])


def test_where_nothing_has_begun_nothing_is_forced(tmp_path: Path) -> None:
    make(tmp_path / "m", [], commit=0)
    assert force(tmp_path / "m") == (frozenset(), [], HardState(3, SECOND.ID, 0))


def test_one_who_was_removed_does_not_come_back(tmp_path: Path) -> None:
    removal = changing(ConfChangeType.REMOVE_NODE, OWN.ID, MemberRemoved(OWN.ID))
    make(tmp_path / "m", [*FOUNDING, removal], commit=4)
    dropped, entries, _ = force(tmp_path / "m")
    assert (dropped, len(entries)) == (frozenset(), 4)


def test_a_store_that_ends_before_its_log_begins(tmp_path: Path) -> None:
    make(tmp_path / "m", FOUNDING, commit=3)
    wal = Wal.open(FakeEnv(), tmp_path / "m" / "wal", None)
    wal.restore(SnapshotMeta(9, 3))
    wal.close()
    with pytest.raises(LogCorrupt, match="the store ends at 0, the log begins at 10"):
        force(tmp_path / "m")
