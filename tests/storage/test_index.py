import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftgate.api.kv import KeyValue
from storage.index import Index, Keys, covers

ALL = [b"\0", b"a", b"a\0", b"aa", b"ab", b"b", b"\xff", b"\xff\xff"]


def index_of(keys: list[bytes]) -> Index:
    return Index(KeyValue(key, 2, 2, 1, b"v") for key in keys)


@pytest.mark.parametrize(
    ("key", "range_end", "expected"),
    [
        pytest.param(b"a", b"", [b"a"], id="no range_end: exactly the key"),
        pytest.param(b"ac", b"", [], id="no range_end, missing key"),
        pytest.param(b"ab", b"\0", [b"ab", b"b", b"\xff", b"\xff\xff"], id="one zero byte: every key from key on"),
        pytest.param(b"\0", b"\0", ALL, id="zero and zero: all keys"),
        pytest.param(b"a", b"b", [b"a", b"a\0", b"aa", b"ab"], id="prefix"),
        pytest.param(b"a", b"a\0", [b"a"], id="the smallest interval"),
        pytest.param(b"\xff", b"\0", [b"\xff", b"\xff\xff"], id="prefix of 0xff"),
        pytest.param(b"b", b"a", [], id="end before key: empty, no error"),
        pytest.param(b"b", b"b", [], id="end is key: empty, no error"),
        pytest.param(b"x", b"z", [], id="nothing there"),
        pytest.param(b"\0", b"\0\0", [b"\0"], id="two zero bytes are an end like any other"),
    ],
)
def test_ranges(key: bytes, range_end: bytes, expected: list[bytes]) -> None:
    index = index_of(ALL[::-1])
    assert [kv.key for kv in index.range(key, range_end)] == expected
    assert index.count(key, range_end) == len(expected)
    assert [each for each in ALL if covers(key, range_end, each)] == expected


def test_limit_takes_the_first_in_key_order() -> None:
    index = index_of(ALL)
    assert [kv.key for kv in index.range(b"a", b"\0", 2)] == [b"a", b"a\0"]
    assert len(index.range(b"\0", b"\0", 2**63)) == len(ALL)
    assert len(index.range(b"\0", b"\0", 0)) == len(ALL)


def test_an_update_keeps_the_order_and_shows_the_new_value() -> None:
    index = index_of([b"a", b"b"])
    index.update(KeyValue(b"a", 2, 3, 2, b"w"))
    assert [(kv.key, kv.value) for kv in index.range(b"\0", b"\0")] == [(b"a", b"w"), (b"b", b"v")]
    assert len(index) == 2


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=2))), st.binary(min_size=1), st.binary())
def test_follows_a_plain_dict(steps: list[tuple[bool, bytes]], key: bytes, range_end: bytes) -> None:
    index, model = Index(), dict[bytes, KeyValue]()
    for is_put, step_key in steps:
        if is_put and step_key not in model:
            model[step_key] = KeyValue(step_key)
            index.add(model[step_key])
        elif not is_put and step_key in model:
            del model[step_key]
            index.remove(step_key)
    expected = [model[each] for each in sorted(model) if covers(key, range_end, each)]
    assert index.range(key, range_end) == expected
    assert index.count(key, range_end) == len(expected)
    assert index.get(key) == model.get(key)


def test_pieces_of_a_range() -> None:
    index = index_of(ALL)
    assert [[kv.key for kv in piece] for piece in index.pieces(b"a", b"\0", 3)] == [
        [b"a", b"a\0", b"aa"],
        [b"ab", b"b", b"\xff"],
        [b"\xff\xff"],
    ]
    assert [[kv.key for kv in piece] for piece in index.pieces(b"b", b"", 3)] == [[b"b"]]
    assert list(index.pieces(b"x", b"z", 3)) == [[]]
    assert list(index.pieces(b"nope", b"", 3)) == [[]]


@settings(deadline=None)
@given(st.integers(0, 4000), st.integers(0, 5000), st.integers(0, 5000))
def test_keys_are_cut_as_by_slicing(count: int, start: int, stop: int) -> None:
    names = [b"%05d" % n for n in range(count)]
    keys = Keys(names)
    stop = min(stop, count)
    taken = keys.cut(start, stop)
    assert [key for part in taken for key in part] == names[start:stop]
    assert all(taken)
    left = names[:start] + names[stop:] if start < stop else names
    assert list(keys) == left
    for key in left[::3]:
        keys.remove(key)
    keys.update([*left[::3], b"x"])
    assert list(keys) == [*left, b"x"]
    assert keys.bisect_left(b"02500") == len([key for key in left if key < b"02500"])


def test_what_was_cut_is_out_of_sight_until_it_is_forgotten() -> None:
    index = index_of(ALL)
    assert index.cut(b"a", b"b") == [[b"a", b"a\0", b"aa", b"ab"]]
    index.hide(lambda kv: kv.key.startswith(b"a"))
    assert [kv.key for kv in index.range(b"\0", b"\0")] == [b"\0", b"b", b"\xff", b"\xff\xff"]
    assert (index.get(b"aa"), index.count(b"aa", b""), len(index)) == (None, 0, 4)
    assert index.get(b"b") is not None
    assert index.hidden(b"aa") == KeyValue(b"aa", 2, 2, 1, b"v")
    index.forget(b"aa")
    assert index.hidden(b"aa") is None
    index.hide(None)
    assert index.get(b"aa") is None
