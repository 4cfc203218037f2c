"""The checker rejects what no store does, and accepts what one store did."""

import itertools
import random

import pytest

from tests.sim.linearizability import UNKNOWN, Call, Delete, Put, Read, State, Swap, check, reads

K = b"k"
OTHER = b"other"


def call(action: Put | Read | Delete | Swap, start: float, end: float = UNKNOWN, key: bytes = K) -> Call:
    return Call(key, action, start, end)


BAD: dict[str, list[Call]] = {
    "stale read: a put was acknowledged before the read began": [
        call(Put(b"1"), 0, 1), call(Put(b"2"), 2, 3), call(Read(b"1"), 4, 5),
    ],
    "lost write: acknowledged and never seen": [call(Put(b"1"), 0, 1), call(Read(None), 2, 3)],
    "a value that nobody wrote": [call(Put(b"1"), 0, 1), call(Read(b"7"), 2, 3)],
    "a value from the future: read before the put began": [call(Read(b"1"), 0, 1), call(Put(b"1"), 2, 3)],
    "new, then old: two reads one after the other during a put": [
        call(Put(b"1"), 0, 1), call(Put(b"2"), 2, 9), call(Read(b"2"), 3, 4), call(Read(b"1"), 5, 6),
    ],
    "two readers see two puts in opposite orders": [
        call(Put(b"1"), 0, 9), call(Put(b"2"), 0, 9),
        call(Read(b"1"), 1, 2), call(Read(b"2"), 3, 4), call(Read(b"1"), 5, 6),
    ],
    "two swaps succeed on one value: a lock held twice": [
        call(Swap(None, b"1", succeeded=True), 0, 5), call(Swap(None, b"2", succeeded=True), 1, 6),
    ],
    "a swap that was refused took effect": [
        call(Put(b"1"), 0, 1), call(Swap(b"0", b"2", succeeded=False), 2, 3), call(Read(b"2"), 4, 5),
    ],
    "a swap was refused although the key held what it expected": [
        call(Put(b"1"), 0, 1), call(Swap(b"1", b"2", succeeded=False), 2, 3),
    ],
    "a deleted key comes back": [
        call(Put(b"1"), 0, 1), call(Delete(found=True), 2, 3), call(Read(None), 4, 5), call(Read(b"1"), 6, 7),
    ],
    "a delete finds nothing although a put was acknowledged": [call(Put(b"1"), 0, 1), call(Delete(found=False), 2, 3)],
    "a put of unknown outcome takes effect twice": [
        call(Put(b"1"), 0), call(Read(b"1"), 1, 2), call(Put(b"2"), 3, 4), call(Read(b"1"), 5, 6),
    ],
    "a swap of unknown outcome took effect and then had not": [
        call(Put(b"1"), 0, 1), call(Swap(b"1", b"2"), 2), call(Read(b"2"), 3, 4), call(Read(b"1"), 5, 6),
    ],
    "a put is told of a previous value that was overwritten before": [
        call(Put(b"1"), 0, 1), call(Put(b"2"), 2, 3), call(Put(b"3", previous=b"1"), 4, 5),
    ],
    "a range sees one key as it was before it sees another": [
        call(Put(b"1"), 0, 1), call(Put(b"1"), 2, 3, OTHER), *reads([K, OTHER], {K: b"1"}, 4, 5),
    ],
    "a refused swap reads an old value": [
        call(Put(b"1"), 0, 1), call(Put(b"2"), 2, 3), call(Swap(b"0", b"3", succeeded=False, seen=b"1"), 4, 5),
    ],
}  # fmt: skip

GOOD: dict[str, list[Call]] = {
    "nothing": [],
    "a read during a put sees either": [
        call(Put(b"1"), 0, 9), call(Read(None), 1, 2), call(Read(b"1"), 3, 4),
    ],
    "a put of unknown outcome takes effect late": [
        call(Put(b"1"), 0), call(Put(b"2"), 1, 2), call(Read(b"2"), 3, 4), call(Read(b"1"), 5, 6),
    ],
    "a put of unknown outcome never takes effect": [
        call(Put(b"1"), 0), call(Put(b"2"), 1, 2), call(Read(b"2"), 3, 4), call(Read(b"2"), 99, 100),
    ],
    "an unknown delete lies between": [
        call(Put(b"1"), 0, 1), call(Delete(), 2), call(Put(b"2"), 3, 4), call(Read(None), 5, 6),
    ],
    "an unknown swap explains a refused one": [
        call(Put(b"1"), 0, 1), call(Swap(b"1", b"2"), 2), call(Swap(b"1", b"3", succeeded=False, seen=b"2"), 3, 4),
    ],
    "calls of one moment may overlap": [call(Put(b"1"), 0, 1), call(Read(None), 1, 2)],
    "a read is explained by a write that ends after it": [
        call(Put(b"1"), 0, 9), call(Put(b"2"), 0, 8), call(Read(b"2"), 1, 2), call(Read(b"1"), 3, 4),
    ],
    "keys are on their own": [call(Put(b"1"), 0, 1), call(Read(None), 2, 3, OTHER)],
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_history_that_no_store_makes_is_rejected(name: str) -> None:
    assert "cannot be explained" in (check(BAD[name]) or "")


@pytest.mark.parametrize("name", GOOD)
def test_a_history_of_one_store_is_accepted(name: str) -> None:
    assert check(GOOD[name]) is None


def test_a_store_need_not_begin_empty() -> None:
    history = [call(Read(b"1"), 0, 1)]
    assert check(history, {K: b"1"}) is None
    assert check(history) is not None


def random_history(seed: int, *, count: int = 60, clients: int = 5, unknown: float = 0.15) -> list[Call]:
    """What clients of a store record that does one thing at a time, each call at some moment of its own."""
    chance = random.Random(seed)
    planned: list[tuple[float, float, float, int]] = []
    free_at = [0.0] * clients
    for _ in range(count):
        client = chance.randrange(clients)
        start = free_at[client] + chance.random()
        end = start + chance.random() * 3
        planned.append((start + (end - start) * chance.random(), start, end, client))
        free_at[client] = end
    states: dict[bytes, bytes] = {}
    values = (b"%d" % number for number in itertools.count())
    history = []
    for _, start, end, client in sorted(planned):
        key = chance.choice((b"a", b"b"))
        action, is_write = random_action(chance, states.get(key), next(values))
        is_unknown = chance.random() < unknown
        if not is_unknown or chance.random() < 0.5:
            after = action.step(states.get(key))
            assert after is None or isinstance(after, bytes)
            states.pop(key, None)
            if after is not None:
                states[key] = after
        if is_unknown and is_write:
            history.append(Call(key, without_answer(action), start, UNKNOWN, f"{client}"))
        elif not is_unknown:
            history.append(Call(key, action, start, end, f"{client}"))
    return history


def random_action(chance: random.Random, state: State, value: bytes) -> tuple[Put | Read | Delete | Swap, bool]:
    match chance.randrange(5):
        case 0:
            return Read(state), False
        case 1:
            return Put(value, previous=state), True
        case 2:
            return Delete(found=state is not None), True
        case 3:
            expected = chance.choice((state, None, b"0"))
            return Swap(expected, value, succeeded=expected == state, seen=state), True
        case _:
            return Put(value), True


def without_answer(action: Put | Read | Delete | Swap) -> Put | Read | Delete | Swap:
    match action:
        case Put(value=value):
            return Put(value)
        case Delete():
            return Delete()
        case Swap(expected=expected, value=value):
            return Swap(expected, value)
        case Read():
            return action


@pytest.mark.parametrize("seed", range(40))
def test_what_one_store_did_is_accepted(seed: int) -> None:
    assert check(random_history(seed)) is None


def test_what_one_store_did_with_one_answer_changed_is_mostly_rejected() -> None:
    rejected = 0
    for seed in range(40):
        history = random_history(seed, unknown=0.0)
        chance = random.Random(seed)
        place = chance.choice([n for n, each in enumerate(history) if isinstance(each.action, Read)])
        old = history[place]
        history[place] = Call(old.key, Read(b"never written"), old.start, old.end, old.client)
        rejected += check(history) is not None
    assert rejected == 40


def naive(history: list[Call]) -> bool:
    """Tries all orders; unknown calls may be left out."""

    def search(left: frozenset[int], state: State) -> bool:
        if all(history[n].end == UNKNOWN for n in left):
            return True
        for n in left:
            if any(history[other].end < history[n].start for other in left):
                continue
            after = history[n].action.step(state)
            if (after is None or isinstance(after, bytes)) and search(left - {n}, after):
                return True
        return False

    return search(frozenset(range(len(history))), None)


def test_the_search_agrees_with_trying_all_orders() -> None:
    verdicts = []
    for seed in range(600):
        chance = random.Random(seed)
        history = []
        for _ in range(chance.randint(3, 6)):
            start = chance.randrange(6)
            is_unknown = chance.random() < 0.2
            value = chance.choice((b"1", b"2"))
            state = chance.choice((None, b"1", b"2"))
            actions: list[Put | Read | Delete | Swap] = [
                Put(value), Put(value, previous=state), Delete(found=chance.random() < 0.5),
                Swap(state, value, succeeded=chance.random() < 0.5), Read(state), Read(state),
            ]  # fmt: skip
            action = chance.choice(actions)
            if is_unknown and not isinstance(action, Read):
                history.append(call(without_answer(action), start))
            else:
                history.append(call(action, start, start + chance.randrange(1, 5)))
        verdict = check(history) is None
        assert verdict == naive(history), history
        verdicts.append(verdict)
    assert 100 < sum(verdicts) < 500


def test_many_calls_of_unknown_outcome_do_not_double_the_search() -> None:
    history = [call(Put(b"%d" % number), number) for number in range(40)]
    history += [call(Read(b"%d" % number), 50 + number, 50.5 + number) for number in range(0, 40, 2)]
    assert check(history) is None
    assert check([*history, call(Read(b"0"), 200, 201), call(Read(b"2"), 202, 203)]) is not None
