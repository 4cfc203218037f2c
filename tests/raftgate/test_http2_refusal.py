import pytest

from raftgate.http2_refusal import PREFACE, Http2Refusal

SETTINGS = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
SETTINGS_ACK = bytes((0, 0, 0, 4, 1, 0, 0, 0, 0))


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def opened() -> Http2Refusal:
    refusal = Http2Refusal()
    assert refusal.receive(PREFACE) == SETTINGS
    return refusal


def test_settings_are_acknowledged_once() -> None:
    refusal = opened()
    assert refusal.receive(frame(4, 0, 0, b"\0\3\0\0\0\x64")) == SETTINGS_ACK
    assert refusal.receive(frame(4, 1, 0)) == b""


def test_a_call_is_answered_unimplemented_at_the_end_of_its_head() -> None:
    refusal = opened()
    assert refusal.receive(frame(1, 0, 1, b"\x82")) == b""
    answer = refusal.receive(frame(9, 4, 1, b"\x84"))
    assert answer[3:9] == bytes((1, 5)) + (1).to_bytes(4)
    assert int.from_bytes(answer[:3]) == len(answer) - 9
    assert answer[9:].startswith(b"\x88")
    assert b"\x0bgrpc-status\x0212" in answer
    assert b"use raftgatectl instead of etcdctl" in answer
    assert refusal.receive(frame(1, 5, 3, b"\x82"))[5:9] == (3).to_bytes(4)
    assert not refusal.is_over


def test_pings_are_answered_and_data_is_ignored() -> None:
    refusal = opened()
    assert refusal.receive(frame(6, 0, 0, b"12345678")) == frame(6, 1, 0, b"12345678")
    assert refusal.receive(frame(6, 1, 0, b"12345678") + frame(0, 1, 1, b"x") + frame(8, 0, 0, b"\0\0\0\1")) == b""


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_bytes_may_come_in_any_pieces(size: int) -> None:
    data = PREFACE + frame(4, 0, 0) + frame(1, 5, 1, b"\x82")
    refusal, whole = Http2Refusal(), Http2Refusal()
    pieces = [refusal.receive(data[at : at + size]) for at in range(0, len(data), size)]
    assert b"".join(pieces) == whole.receive(data)


def test_another_preface_ends_it() -> None:
    refusal = Http2Refusal()
    assert refusal.receive(b"PRI * HTTP/3.0\r\n\r\n") == b""
    assert refusal.is_over


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"\xff\xff\xff" + bytes(6), 6, id="frame-too-large"),
        pytest.param(frame(1, 5, 0), 1, id="head-on-stream-0"),
    ],
)
def test_breaking_the_protocol_ends_it(data: bytes, code: int) -> None:
    refusal = opened()
    assert refusal.receive(data) == frame(7, 0, 0, (0).to_bytes(4) + code.to_bytes(4))
    assert refusal.is_over


def test_goodbye_ends_it() -> None:
    refusal = opened()
    assert refusal.receive(frame(7, 0, 0, bytes(8))) == b""
    assert refusal.is_over


def test_calls_without_end_are_cut_off() -> None:
    refusal = opened()
    answers = refusal.receive(b"".join(frame(1, 5, 2 * i + 1) for i in range(2000)))
    assert refusal.is_over
    assert answers.endswith(frame(7, 0, 0, (1999).to_bytes(4) + (11).to_bytes(4)))
