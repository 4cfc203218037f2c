"""The black-box cases of three members, on the real etcd where it is found and on raftgate: see `test_cases`."""

from collections.abc import Iterator

import pytest

from tests.e2e import golden, servers
from tests.e2e.answers import expected_of_raftgate
from tests.e2e.case import Case
from tests.e2e.catalogue import CLUSTER_CASES
from tests.e2e.cluster import Program
from tests.e2e.cluster_runner import Groups, run
from tests.e2e.golden import RECORDED_VERSION
from tests.e2e.runner import report

Recordings = dict[str, dict[str, golden.Recording]]

PARAMETERS = [
    pytest.param(name, case, id=f"{name}: {case.name}") for name in CLUSTER_CASES for case in CLUSTER_CASES[name]
]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def recordings() -> Recordings:
    return {name: golden.load(name) for name in CLUSTER_CASES}


@pytest.fixture(scope="module")
def etcds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Groups]:
    program = servers.find_peer("etcd")
    if program is None or golden.version_of(program) != RECORDED_VERSION:
        pytest.skip(f"no etcd {RECORDED_VERSION} found (variable ETCD, PATH, installed peers)")
    groups = Groups(Program("etcd", [program]), lambda: tmp_path_factory.mktemp("etcds"))
    yield groups
    groups.stop()


@pytest.fixture(scope="module")
def raftgates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Groups]:
    program = Program("raftgate", servers.raftgate_command())
    groups = Groups(program, lambda: tmp_path_factory.mktemp("raftgates"), takes_own_flags=True)
    yield groups
    groups.stop()


@pytest.mark.peer
@pytest.mark.soak  # most of these wait until a member counts as connected: the recordings stand in for them
@pytest.mark.parametrize(("name", "case"), PARAMETERS)
def test_etcds_give_the_recorded_answers(
    name: str, case: Case, etcds: Groups, recordings: Recordings, request: pytest.FixtureRequest
) -> None:
    with etcds.serving(case) as group:
        answers = list(run(group, case, real_etcd=True))
    if request.config.getoption("--rewrite", default=False):
        known = {**recordings[name], case.name: [answer for _, answer in answers]}
        recordings[name] = {case.name: known[case.name] for case in CLUSTER_CASES[name] if case.name in known}
        golden.save(name, recordings[name])
    recorded = recordings[name].get(case.name)
    assert recorded is not None, "no recording: run with --rewrite"
    wrong = report([(step, wanted, got) for wanted, (step, got) in zip(recorded, answers, strict=True)])
    assert not wrong, f"{wrong}\n{group.logs()}"


@pytest.mark.parametrize(("name", "case"), PARAMETERS)
def test_raftgates_answer_as_etcds(name: str, case: Case, raftgates: Groups, recordings: Recordings) -> None:
    with raftgates.serving(case) as group:
        answers = list(run(group, case, real_etcd=False))
    compared = []
    for recorded, (step, got) in zip(recordings[name][case.name], answers, strict=True):
        wanted = None if got is None else expected_of_raftgate(recorded, step.difference)
        compared.append((step, wanted, got))
    wrong = report(compared)
    assert not wrong, f"{wrong}\n{group.logs()}"


@pytest.mark.parametrize("name", CLUSTER_CASES)
def test_recordings_belong_to_cases(name: str, recordings: Recordings) -> None:
    names = [case.name for case in CLUSTER_CASES[name]]
    assert len(set(names)) == len(names)
    assert list(recordings[name]) == names


def test_differences_are_reasoned() -> None:
    for step in [step for cases in CLUSTER_CASES.values() for case in cases for step in case.steps]:
        assert step.sent_to_etcd or step.difference
        assert step.difference is None or (step.difference.why and step.difference.spec)
