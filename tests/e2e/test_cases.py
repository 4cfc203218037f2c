"""The black-box cases, on the real etcd where it is found and on raftgate.

etcd's answers are recorded in `golden/`; the first test holds the recordings against the real program, the
second holds raftgate against the recordings, changed by the rules of `answers.py` and by what a case says.
"""

import pytest

from tests.e2e import golden
from tests.e2e.answers import expected_of_raftgate
from tests.e2e.case import Case
from tests.e2e.catalogue import CASES, FILES
from tests.e2e.runner import Running, report, run

MINIMUM = 1050

Recordings = dict[str, dict[str, golden.Recording]]

PARAMETERS = [pytest.param(name, case, id=f"{name}: {case.name}") for name in FILES for case in CASES[name]]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def recordings() -> Recordings:
    return {name: golden.load(name) for name in FILES}


@pytest.mark.peer
@pytest.mark.parametrize(("name", "case"), PARAMETERS)
def test_etcd_gives_the_recorded_answers(
    name: str, case: Case, etcds: Running, recordings: Recordings, request: pytest.FixtureRequest
) -> None:
    with etcds.serving(case) as (server, client):
        answers = list(run(client, case, real_etcd=True))
    if request.config.getoption("--rewrite", default=False):
        known = {**recordings[name], case.name: [answer for _, answer in answers]}
        recordings[name] = {case.name: known[case.name] for case in CASES[name] if case.name in known}
        golden.save(name, recordings[name])
    recorded = recordings[name].get(case.name)
    assert recorded is not None, "no recording: run with --rewrite"
    wrong = report([(step, wanted, got) for wanted, (step, got) in zip(recorded, answers, strict=True)])
    assert not wrong, f"{wrong}\n{server.process.tail()}"


@pytest.mark.parametrize(("name", "case"), PARAMETERS)
def test_raftgate_answers_as_etcd(name: str, case: Case, raftgates: Running, recordings: Recordings) -> None:
    with raftgates.serving(case) as (server, client):
        answers = list(run(client, case, real_etcd=False))
    compared = []
    for recorded, (step, got) in zip(recordings[name][case.name], answers, strict=True):
        wanted = None if got is None else expected_of_raftgate(recorded, step.difference)
        compared.append((step, wanted, got))
    wrong = report(compared)
    assert not wrong, f"{wrong}\n{server.process.tail()}"


def test_there_are_enough_cases() -> None:
    assert sum(len(cases) for cases in CASES.values()) >= MINIMUM


@pytest.mark.parametrize("name", FILES)
def test_recordings_belong_to_cases(name: str, recordings: Recordings) -> None:
    names = [case.name for case in CASES[name]]
    assert len(set(names)) == len(names)
    assert list(recordings[name]) == names


def test_differences_are_reasoned() -> None:
    steps = [step for name in FILES for case in CASES[name] for step in case.steps]
    for step in steps:
        assert step.sent_to_etcd or step.difference
        assert step.difference is None or (step.difference.why and step.difference.spec)
