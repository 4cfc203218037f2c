"""Members come and go under load: no acknowledged write is lost, nobody waits long, and who was removed stays away."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.e2e.cluster import QUICK, Member, Program
from tests.e2e.history import Answer
from tests.e2e.load import load
from tests.e2e.reconfiguration import EXISTING, REMOVED, ChangingCluster, longest_gap, wipe
from tests.e2e.rpc import MEMBER_ADD, MEMBER_REMOVE
from tests.e2e.servers import free_ports

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

GAP = 3.0
"""Seconds within which somebody can write again, whatever happens to one member."""
PAUSE = 0.05
SOME = 50
UNCHECKED = "--strict-reconfig-check=false"
"""Nobody has to have been there for five seconds, then."""

Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def cluster(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChangingCluster]:
    """With default timers and checks."""
    with ChangingCluster(program, tmp_path_factory.mktemp("members")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def hasty(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChangingCluster]:
    with ChangingCluster(program, tmp_path_factory.mktemp("hasty"), *QUICK, UNCHECKED) as cluster:
        yield cluster


def leader_first(cluster: ChangingCluster) -> list[Member]:
    leader = cluster.leader()
    return [leader, *cluster.others(leader)]


def check_it_stays_away(member: Member, program: Program) -> None:
    """Fails unless a member that knows of its removal refuses to start; etcd starts, and ends when it is told again."""
    code = member.running.wait()
    assert REMOVED in "\n".join(member.running.lines), member.running.tail()
    assert code == {"raftgate": 1, "etcd": 0}[program.name]


# ---- replacement ----


def replace_all(cluster: ChangingCluster, prefix: str, record: Record, *, rounds: int = 1) -> None:
    """Every member in turn, the leader first, loses its disk and is replaced by a learner that is promoted."""
    with load(cluster, prefix, pause=PAUSE) as (clients, _):
        for _ in range(rounds):
            for member in leader_first(cluster):
                before = member.id
                wipe(member)
                cluster.remove(member)
                cluster.add(member, is_learner=True)
                cluster.promote(member)
                assert member.id != before
                clients.go_on(SOME)
    gap = longest_gap(clients)
    record("longest gap, seconds", round(gap, 2))
    record("calls", dict(clients.history.outcomes))
    assert gap < GAP
    cluster.check_all_record_the_same()


def test_all_members_are_replaced_one_after_the_other(cluster: ChangingCluster, record_property: Record) -> None:
    replace_all(cluster, "replace", record_property)


@pytest.mark.soak
def test_all_members_are_replaced_again_and_again(cluster: ChangingCluster, record_property: Record) -> None:
    replace_all(cluster, "again", record_property, rounds=5)


# ---- growing and shrinking ----


def test_three_members_become_five_and_three_again(
    hasty: ChangingCluster, program: Program, record_property: Record
) -> None:
    with load(hasty, "five", pause=PAUSE) as (clients, _):
        leader, term = hasty.leader(), hasty.term()
        fourth = hasty.newcomer()
        hasty.add(fourth, is_learner=False)
        fifth = hasty.newcomer()
        hasty.add(fifth, is_learner=True)
        hasty.promote(fifth)
        hasty.check_all_record_the_same()
        clients.go_on(SOME)
        assert (hasty.leader(), hasty.term()) == (leader, term), "a change has cost the leader"
        for leaving in (fourth, leader):
            hasty.dismiss(leaving)
            hasty.check_it_stops(leaving)
            clients.go_on(SOME)
    gap = longest_gap(clients)
    record_property("longest gap, seconds", round(gap, 2))
    assert gap < GAP
    hasty.check_all_record_the_same()
    for gone in (fourth, leader):
        hasty.launch(gone)
        check_it_stays_away(gone, program)


# ---- who was removed ----


@pytest.mark.soak
def test_who_was_removed_while_it_was_away_is_told_and_comes_back_as_another_only(hasty: ChangingCluster) -> None:
    member = hasty.followers()[0]
    member.kill()
    before = member.id
    hasty.remove(member)
    for _ in range(2):  # nobody sends it the entry that has removed it: it must be told each time
        hasty.launch(member)
        hasty.check_it_stops(member)
    shutil.rmtree(member.data_dir)
    hasty.launch(member, EXISTING)
    assert member.running.wait() == 1
    assert "member count is unequal" in member.running.tail()
    shutil.rmtree(member.data_dir, ignore_errors=True)
    hasty.add(member, is_learner=False)
    assert member.id != before
    hasty.settle("again")
    hasty.check_all_record_the_same()


# ---- who moves ----


@pytest.mark.soak
def test_members_move_to_other_ports(hasty: ChangingCluster, record_property: Record) -> None:
    with load(hasty, "move", pause=PAUSE) as (clients, _):
        for member in leader_first(hasty)[:2]:
            hasty.move(member)
            clients.go_on(SOME)
    gap = longest_gap(clients)
    record_property("longest gap, seconds", round(gap, 2))
    assert gap < GAP
    hasty.check_all_record_the_same()


# ---- changes that meet ----


def test_changes_asked_of_all_members_at_once_are_all_made(hasty: ChangingCluster, program: Program) -> None:
    if program.name == "etcd":
        pytest.skip("etcd never answers the changes of those who came second")
    asked = zip(hasty.members[:2], free_ports(2), strict=True)
    adding = [partial(each.ask, MEMBER_ADD, {"peerURLs": [f"http://127.0.0.1:{port}"]}) for each, port in asked]
    ids = [answer["member"]["ID"] for answer in at_once(adding)]
    members = hasty.members
    assert set(hasty.recorded(members[0])) == {*ids, *(member.id for member in members)}
    at_once([partial(members[1 + number].ask, MEMBER_REMOVE, {"ID": found}) for number, found in enumerate(ids)])
    hasty.check_all_record_the_same()


def at_once(calls: Sequence[Callable[[], Answer]]) -> list[Answer]:
    """Makes calls at once and answers their answers."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda call: call(), calls))
