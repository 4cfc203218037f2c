import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftgate.config.syntax import parse_bool, parse_duration, parse_integer, quote


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("10", 10),
        ("0x1F", 31),
        ("0b101", 5),
        ("0o17", 15),
        ("017", 15),
        ("1_000", 1000),
        ("0x_f", 15),
        ("-7", -7),
        ("+7", 7),
    ],
)
def test_integers_in_gos_notations(text: str, value: int) -> None:
    assert parse_integer(text, -100, 2000) == value


@pytest.mark.parametrize("text", ["", "abc", "1.0", " 1", "1_", "_1", "08", "0x", "1__0", "٣", "--1"])
def test_what_is_no_integer(text: str) -> None:
    with pytest.raises(ValueError, match="parse error"):
        parse_integer(text, -100, 2000)


@pytest.mark.parametrize("text", ["2001", "-101", "1" * 5000])
def test_integers_out_of_range(text: str) -> None:
    with pytest.raises(ValueError, match="value out of range"):
        parse_integer(text, -100, 2000)


def test_unsigned_integers_take_no_sign() -> None:
    for text in ("-1", "+1"):
        with pytest.raises(ValueError, match="parse error"):
            parse_integer(text, 0, 10)


@given(st.integers(-(2**63), 2**63 - 1))
def test_every_integer_is_read_as_written(number: int) -> None:
    assert parse_integer(str(number), -(2**63), 2**63 - 1) == number


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("-0", 0.0),
        ("5s", 5.0),
        ("1h30m", 5400.0),
        ("1.5s", 1.5),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("-2m", -120.0),
        ("+1s", 1.0),
        ("100ms", 0.1),
        ("3us", 3e-6),
        ("3\N{MICRO SIGN}s", 3e-6),
        ("3\N{GREEK SMALL LETTER MU}s", 3e-6),
        ("7ns", 7e-9),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "s", "1d", "1 s", "1s ", ".s", "-", "1h2", "9999999h", "1e3s", "nan"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="parse error"):
        parse_duration(text)


def test_booleans() -> None:
    assert all(map(parse_bool, ("1", "t", "T", "true", "True", "TRUE")))
    assert not any(map(parse_bool, ("0", "f", "F", "false", "False", "FALSE")))
    for text in ("", "yes", "tRUE", "on"):
        with pytest.raises(ValueError, match="parse error"):
            parse_bool(text)


def test_quoting() -> None:
    assert quote('a"b\\c\n') == '"a\\"b\\\\c\\n"'
    assert quote("ключ") == '"ключ"'
