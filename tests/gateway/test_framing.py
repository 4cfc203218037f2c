import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.framing import Splitter
from raftgate.api.errors import MessageTooLarge

TRICKY = rb'{"a\"{":"}\\","b":{"c":[{"d":"\\\""}]}}'


def feed(data: bytes, *cuts: int, splitter: Splitter | None = None) -> list[bytes]:
    splitter = splitter or Splitter(1000)
    ends = [*sorted(cuts), len(data)]
    found: list[bytes] = []
    start = 0
    for end in ends:
        found += splitter.feed(data[start:end])
        start = end
    return found


def test_objects_with_anything_white_between_them_or_nothing() -> None:
    assert feed(b' {"a":1}{"b":2}\r\n\t{} {"c":{}}\n') == [b'{"a":1}', b'{"b":2}', b"{}", b'{"c":{}}']


@pytest.mark.parametrize("cut", range(len(TRICKY) * 2 + 1))
def test_a_cut_at_any_byte(cut: int) -> None:
    assert feed(TRICKY + b" " + TRICKY, cut) == [TRICKY, TRICKY]


def test_byte_by_byte() -> None:
    assert feed(TRICKY * 3, *range(len(TRICKY) * 3)) == [TRICKY] * 3


VALUES = st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(
    st.lists(st.dictionaries(st.text(), VALUES)),
    st.lists(st.integers(0, 500)),
    st.sampled_from([b"", b" ", b"\n"]),
    st.booleans(),
)
def test_any_objects_cut_anywhere(objects: list[object], cuts: list[int], between: bytes, ascii_only: bool) -> None:  # noqa: FBT001 - drawn
    texts = [json.dumps(value, ensure_ascii=ascii_only).encode(errors="replace") for value in objects]
    data = between.join(texts)
    assert feed(data, *(cut for cut in cuts if cut <= len(data)), splitter=Splitter(10**6)) == texts


@pytest.mark.parametrize("garbage", [b"null", b",{}", b"[{}]", b'"x"', b"x", b"}"])
def test_what_is_no_object_is_handed_over_and_ends_the_reading(garbage: bytes) -> None:
    splitter = Splitter(1000)
    assert splitter.feed(b"{} " + garbage) == [b"{}", garbage]
    assert splitter.is_over
    assert splitter.feed(b"{}") == []


def test_what_has_not_ended_is_kept() -> None:
    splitter = Splitter(1000)
    assert splitter.feed(b'{}{"a":') == [b"{}"]
    assert splitter.feed(b'"b') == []
    assert splitter.unfinished == b'{"a":"b'


def test_the_bound_is_on_each_object() -> None:
    splitter = Splitter(20)
    for _ in range(10):
        assert splitter.feed(b'{"a":"0123456789"}') == [b'{"a":"0123456789"}']
    splitter.feed(b'{"a":"0123456789')
    with pytest.raises(MessageTooLarge, match=r"received message larger than max \(21 vs\. 20\)"):
        splitter.feed(b"01234")


def test_time_grows_with_size_alone() -> None:
    began = time.process_time()
    splitter = Splitter(10**8)
    splitter.feed(b'{"a":"')
    for _ in range(2000):
        splitter.feed(b"x" * 1000 + rb"\"")
    (found,) = splitter.feed(b'"}')
    assert len(found) == 2000 * 1002 + 8
    assert time.process_time() - began < 1.0
