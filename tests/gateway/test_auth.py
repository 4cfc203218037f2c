import pytest

from gateway.auth import NO_TIME, NOBODY, lift
from raftgate.api.errors import InvalidArgument
from raftgate.api.message import Caller


def test_plain_requests_share_one_caller() -> None:
    assert lift([(b"host", b"x"), (b"content-type", b"application/json"), (b"token", b"t")]) is NOBODY


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        pytest.param([(b"authorization", b"abc.1")], "abc.1", id="bare"),
        pytest.param([(b"authorization", b"Bearer abc.1")], "abc.1", id="bearer"),
        pytest.param([(b"authorization", b"bearer abc.1")], "bearer abc.1", id="bearer-needs-capital"),
        pytest.param([(b"authorization", b"Bearer  abc")], " abc", id="bearer-one-space"),
        pytest.param([(b"grpc-metadata-token", b"t")], "t", id="metadata-token"),
        pytest.param([(b"grpc-metadata-token", b"Bearer t")], "t", id="metadata-token-bearer"),
        pytest.param([(b"grpc-metadata-authorization", b"t")], "t", id="metadata-authorization"),
        pytest.param([(b"authorization", b"a"), (b"grpc-metadata-token", b"t")], "t", id="token-first"),
        pytest.param([(b"authorization", b"a"), (b"authorization", b"b")], "a", id="first-of-two"),
        pytest.param([(b"token", b"t")], "", id="plain-token-is-none"),
    ],
)
def test_token(headers: list[tuple[bytes, bytes]], token: str) -> None:
    assert lift(headers) == Caller(token=token)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"5S", 5.0), (b"+5S", 5.0), (b"2M", 120.0), (b"1H", 3600.0), (b"250m", 0.25), (b"10u", 1e-5), (b"7n", 7e-9),
        (b"0S", 0.0), (b"0n", 0.0), (b"", 0.0), (b"-5S", NO_TIME), (b"999999999999999999H", 0.0),
    ],
)  # fmt: skip
def test_timeout(text: bytes, seconds: float) -> None:
    assert lift([(b"grpc-timeout", text)]).timeout == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [b"xx", b"5", b"S", b"5s", b"5 S", b"1.5S", b"5SS", b"99999999999999999999S", b"9223372036854775808S", b"1_0S",
     b"9" * 100_000 + b"S", "٣S".encode()],
    ids=lambda text: text[:20].decode(),
)  # fmt: skip
def test_malformed_timeout(text: bytes) -> None:
    with pytest.raises(InvalidArgument) as caught:
        lift([(b"grpc-timeout", text)])
    assert caught.value.text == f"invalid grpc-timeout: {text.decode('latin-1')}"


@pytest.mark.parametrize(("value", "needs"), [(b"true", True), (b"True", False), (b"1", False), (b"", False)])
def test_needs_leader(value: bytes, needs: bool) -> None:  # noqa: FBT001 - a column of a table
    assert lift([(b"grpc-metadata-hasleader", value)]).needs_leader is needs
