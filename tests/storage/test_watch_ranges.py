from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.index import covers
from storage.watch_ranges import Ranges

KEYS = st.binary(min_size=1, max_size=3)
ENDS = st.one_of(st.just(b""), st.just(b"\0"), KEYS)


@given(st.lists(st.tuples(KEYS, ENDS, st.booleans()), max_size=40), st.lists(KEYS, max_size=20))
def test_a_key_finds_exactly_the_ranges_that_hold_it(steps: list[tuple[bytes, bytes, bool]], keys: list[bytes]) -> None:
    ranges: Ranges[int] = Ranges()
    kept: dict[int, tuple[bytes, bytes]] = {}
    for n, (key, end, is_removal) in enumerate(steps):
        if is_removal and kept:
            oldest = next(iter(kept))
            ranges.remove(*kept.pop(oldest), oldest)
        elif end in (b"", b"\0") or end > key:
            kept[n] = (key, end)
            ranges.add(key, end, n)
    for key in keys:
        assert sorted(ranges.find(key)) == [n for n, range_ in kept.items() if covers(*range_, key)]


@pytest.mark.parametrize("step", [1, -1, 7919])
def test_thousands_of_ranges_stay_balanced(step: int) -> None:
    ranges: Ranges[int] = Ranges()
    count = 4_000
    numbers = [n * step % count for n in range(count)]
    for n in numbers:
        ranges.add(b"%05d" % n, b"%05d" % (n + 2), n)
    for n in (1, 77, count - 1):
        assert sorted(ranges.find(b"%05d!" % n)) == [n - 1, n]
    for n in numbers[::2]:
        ranges.remove(b"%05d" % n, b"%05d" % (n + 2), n)
    left = set(numbers[1::2])
    for n in (1, 77, count - 1):
        assert set(ranges.find(b"%05d!" % n)) == {n - 1, n} & left


def test_ranges_that_do_not_match_cost_next_to_nothing() -> None:
    """Ten thousand watched ranges that end below the key, each of which starts below it."""

    def took(count: int) -> float:
        ranges: Ranges[int] = Ranges()
        for n in range(count):
            ranges.add(b"%06d" % n, b"%06d\0" % n, n)
        started = perf_counter()
        for _ in range(200):
            assert ranges.find(b"x") == []
        return perf_counter() - started

    assert took(10_000) < 20 * took(10) + 0.01


def test_what_was_not_added_cannot_be_removed() -> None:
    ranges: Ranges[int] = Ranges()
    for end in (b"", b"\0", b"b"):
        with pytest.raises(KeyError):
            ranges.remove(b"a", end, 1)
