import pytest

from raftgate.ctl.literals import (
    format_bool,
    format_duration,
    format_size,
    parse_bool,
    parse_duration,
    parse_id,
    parse_int,
)

SECOND = 10**9


@pytest.mark.parametrize(("text", "value"), [("1", True), ("T", True), ("true", True), ("0", False), ("False", False)])
def test_booleans(text: str, value: object) -> None:
    assert parse_bool(text) is value


@pytest.mark.parametrize("text", ["", "yes", "tRUE", "2"])
def test_no_booleans(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_bool(text)
    assert str(caught.value) == f'strconv.ParseBool: parsing "{text}": invalid syntax'


@pytest.mark.parametrize(
    ("text", "base", "value"),
    [
        ("5", 0, 5),
        ("+5", 0, 5),
        ("-5", 0, -5),
        ("010", 0, 8),
        ("0o10", 0, 8),
        ("0x1F", 0, 31),
        ("0b11", 0, 3),
        ("1_000", 0, 1000),
        ("0x_f", 0, 15),
        ("010", 10, 10),
        ("fF", 16, 255),
        ("-9223372036854775808", 0, -(2**63)),
    ],
)
def test_integers(text: str, base: int, value: int) -> None:
    assert parse_int(text, base) == value


@pytest.mark.parametrize(
    ("text", "base", "reason"),
    [
        ("", 0, "invalid syntax"),
        ("zz", 0, "invalid syntax"),
        ("1__0", 0, "invalid syntax"),
        ("1_0", 10, "invalid syntax"),
        ("0x1", 10, "invalid syntax"),
        ("0x1", 16, "invalid syntax"),
        (" 1", 10, "invalid syntax"),
        ("09", 0, "invalid syntax"),
        ("²", 10, "invalid syntax"),
        ("9223372036854775808", 0, "value out of range"),
        ("-9223372036854775809", 0, "value out of range"),
    ],
)
def test_no_integers(text: str, base: int, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_int(text, base)
    assert str(caught.value) == f'strconv.ParseInt: parsing "{text}": {reason}'


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("5s", 5 * SECOND),
        ("1m1.5s", 61_500_000_000),
        (".5s", SECOND // 2),
        ("1.s", SECOND),
        ("-1h", -3600 * SECOND),
        ("+2ms", 2_000_000),
        ("3us", 3000),
        ("3µs", 3000),
        ("7ns", 7),
        ("0", 0),
        ("-0", 0),
    ],
)
def test_durations(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", 'time: invalid duration ""'),
        ("-", 'time: invalid duration "-"'),
        (".s", 'time: invalid duration ".s"'),
        ("x", 'time: invalid duration "x"'),
        ("5", 'time: missing unit in duration "5"'),
        ("1h1", 'time: missing unit in duration "1h1"'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        ("1e3s", 'time: unknown unit "e" in duration "1e3s"'),
        ("3000000h", 'time: invalid duration "3000000h"'),
    ],
)
def test_no_durations(text: str, complaint: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_duration(text)
    assert str(caught.value) == complaint


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (777_089, "777.089µs"),
        (1_688_976, "1.688976ms"),
        (2_400_000, "2.4ms"),
        (5_000_322_035, "5.000322035s"),
        (5 * SECOND, "5s"),
        (60_500_000_000, "1m0.5s"),
        (7_261 * SECOND, "2h1m1s"),
        (3600 * SECOND, "1h0m0s"),
        (-SECOND, "-1s"),
    ],
)
def test_durations_print_as_in_go_and_parse_back(nanoseconds: int, text: str) -> None:
    assert format_duration(nanoseconds) == text
    assert parse_duration(text) == nanoseconds


def test_booleans_print_as_in_go() -> None:
    assert (format_bool(True), format_bool(False)) == ("true", "false")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (9, "9 B"),
        (10, "10 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1049, "1.0 kB"),
        (1050, "1.1 kB"),
        (9949, "9.9 kB"),
        (9950, "10 kB"),
        (12_288, "12 kB"),
        (24_576, "25 kB"),
        (25_500, "26 kB"),
        (999_999, "1000 kB"),
        (43_000_000, "43 MB"),
        (1_000_000_000, "1.0 GB"),
        (2_147_483_648, "2.1 GB"),
        (8_589_934_592, "8.6 GB"),
        (2**63 - 1, "9.2 EB"),
    ],
)
def test_sizes_print_with_two_digits_at_least(size: int, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("fF", 255), ("00005", 5), ("f" * 16, 2**64 - 1)])
def test_ids(text: str, value: int) -> None:
    assert parse_id(text) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "invalid syntax"),
        ("zz", "invalid syntax"),
        ("+5", "invalid syntax"),
        ("-5", "invalid syntax"),
        ("0x5", "invalid syntax"),
        ("1" + "0" * 16, "value out of range"),
    ],
)
def test_no_ids(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_id(text)
    assert str(caught.value) == f'strconv.ParseUint: parsing "{text}": {reason}'
