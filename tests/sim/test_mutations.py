"""Each broken rule is noticed, and each mutation still fits the code."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.mutations import MUTATIONS, Mutation, Outdated, mutated, source_of

ROOT = Path(__file__).parents[2]
SEEDS = 200


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_fits_the_code(name: str) -> None:
    mutation = MUTATIONS[name]
    compile(mutated(source_of(mutation.module), mutation), mutation.module, "exec")


@pytest.mark.parametrize("source", ["", "x x"])
def test_a_mutation_that_does_not_fit_says_so(source: str) -> None:
    with pytest.raises(Outdated):
        mutated(source, Mutation("module", "x", "y"))


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_broken_rule_is_noticed(name: str) -> None:
    first, members = MUTATIONS[name].seed, MUTATIONS[name].members
    command = [sys.executable, "-m", "tests.sim", f"{first}", f"{SEEDS - 1}", "--members", f"{members}"]
    result = subprocess.run([*command, "--mutation", name], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "caught by seed" in result.stdout, result.stdout + result.stderr
