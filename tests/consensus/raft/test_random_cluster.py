from collections import Counter

import pytest

from tests.consensus.raft.cluster import Cluster

FAULTS = ("loss", "crash", "log cut", "dropped proposal", "dropped conf change", "transfer")
CONSEQUENCES = ("leader", "read", "conf change", "restore")


def play(seed: int, steps: int) -> Counter[str]:
    cluster = Cluster(seed)
    try:
        cluster.play(steps)
        cluster.heal()
    except Exception as error:
        raise AssertionError(f"seed {seed}, {steps} steps: {error}") from error
    return cluster.fired


def test_what_raft_promises_holds_whatever_happens() -> None:
    fired = sum((play(seed, 2000) for seed in range(100)), Counter[str]())
    for name in (*FAULTS, *CONSEQUENCES):
        assert fired[name] > 0, name


@pytest.mark.soak
def test_with_many_seeds() -> None:
    for seed in range(100, 5000):
        play(seed, 3000)
