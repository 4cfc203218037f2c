"""Histories that contradict their revisions are rejected."""

import pytest

from raftgate.api.kv import KeyValue
from tests.sim.revisions import Look, Write, check

A, B = b"a", b"b"


def kv(key: bytes, value: bytes, mod: int, version: int = 1) -> KeyValue:
    return KeyValue(key=key, value=value, mod_revision=mod, create_revision=mod - version + 1, version=version)


def put(start: float, revision: int, value: bytes, key: bytes = A) -> Write:
    return Write(start, start + 1, revision, ((key, value),))


def look(start: float, revision: int, *found: KeyValue, linear: bool = True, at: int = 0) -> Look:
    return Look(start, start + 1, revision, (A, B), found, linear, at)


TWO = [put(0, 2, b"1"), put(2, 3, b"2")]
UNKNOWN = Write(0, 99, 0, ((A, b"u"),))

BAD: dict[str, tuple[list[Write], list[Look]]] = {
    "a revision twice": ([put(0, 2, b"1"), put(0, 2, b"2")], []),
    "a later write has a lower revision": ([put(0, 3, b"1"), put(2, 2, b"2")], []),
    "a linearizable read shows an old revision": (TWO, [look(4, 2, kv(A, b"1", 2))]),
    "a read goes back behind another read": (
        [Write(0, 99, 2, ((A, b"1"),))],
        [look(1, 2, kv(A, b"1", 2)), look(3, 1)],
    ),
    "a write of a revision that was read before": ([put(5, 3, b"2")], [look(0, 3)]),
    "an acknowledged key is missing": (TWO, [look(4, 3)]),
    "an old value at a new revision": (TWO, [look(4, 3, kv(A, b"1", 2))]),
    "another value at the same revision": (TWO, [look(4, 3, kv(A, b"x", 3))]),
    "a value of the future": (TWO, [look(4, 3, kv(A, b"2", 4))]),
    "half a transaction": (
        [Write(0, 1, 2, ((A, b"1"), (B, b"2")))],
        [look(2, 2, kv(A, b"1", 2))],
    ),
    "a value that nobody wrote": ([], [look(0, 5, kv(A, b"x", 4))]),
    "an unknown write seen before it began": ([Write(9, 99, 0, ((A, b"u"),))], [look(0, 5, kv(A, b"u", 4))]),
    "the past shows the present": (TWO, [look(4, 3, kv(A, b"2", 3), at=2)]),
    "two versions of one revision": (
        [UNKNOWN],
        [look(1, 5, kv(A, b"u", 4)), look(3, 5, kv(A, b"u", 4, version=2))],
    ),
    "a serializable read mixes revisions": (
        [*TWO, put(4, 4, b"b", B)],
        [look(6, 2, kv(A, b"1", 2), kv(B, b"b", 4), linear=False)],
    ),
}

GOOD: dict[str, tuple[list[Write], list[Look]]] = {
    "writes and reads in order": (TWO, [look(4, 3, kv(A, b"2", 3))]),
    "a serializable read may be old": (TWO, [look(4, 2, kv(A, b"1", 2), linear=False)]),
    "the past": (TWO, [look(4, 3, kv(A, b"1", 2), at=2)]),
    "an unknown write took effect": ([UNKNOWN], [look(1, 5, kv(A, b"u", 4))]),
    "an unknown write did not": ([UNKNOWN], [look(1, 5)]),
    "an unknown delete": ([*TWO, Write(3, 99, 0, ((A, None),))], [look(4, 4)]),
    "a delete": ([*TWO, Write(4, 5, 4, ((A, None),))], [look(6, 4)]),
    "calls at once": ([put(0, 3, b"1"), put(0, 2, b"2")], [look(0, 2, kv(A, b"2", 2))]),
}


@pytest.mark.parametrize("name", BAD)
def test_a_contradiction_is_rejected(name: str) -> None:
    assert check(*BAD[name]) is not None


@pytest.mark.parametrize("name", GOOD)
def test_what_one_order_explains_is_accepted(name: str) -> None:
    assert check(*GOOD[name]) is None
