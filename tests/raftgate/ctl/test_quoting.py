import pytest

from raftgate.ctl.quoting import quote, to_bytes, to_text, unquote


@pytest.mark.parametrize(
    ("data", "literal"),
    [
        (b"foo", '"foo"'),
        (b"", '""'),
        (b'a"b\\c', r'"a\"b\\c"'),
        (b"\a\b\f\n\r\t\v", r'"\a\b\f\n\r\t\v"'),
        (b"\x00\x1f\x7f", r'"\x00\x1f\x7f"'),
        ("é€".encode(), '"é€"'),
        ("\u200b\u00a0".encode(), r'"\u200b\u00a0"'),
        ("\U000e0001".encode(), r'"\U000e0001"'),
        (b"\xff\xc3", r'"\xff\xc3"'),
    ],
)
def test_quotes_as_go_does_and_back(data: bytes, literal: str) -> None:
    assert quote(data) == literal
    assert to_bytes(unquote(literal)) == data


@pytest.mark.parametrize(
    ("literal", "data"),
    [
        (r'"\x41\101B"', b"AAB"),
        (r'"\u00e9\U0001F600"', "é😀".encode()),
        ("`raw \\n \r text`", b"raw \\n  text"),
        ('"caf\u00e9"', "café".encode()),
    ],
)
def test_unquotes_go_literals(literal: str, data: bytes) -> None:
    assert to_bytes(unquote(literal)) == data


@pytest.mark.parametrize(
    "literal",
    ["", '"', "x", "'x'", '"a', 'a"', '"a`', '"a"b"', '"a\nb"', r'"\q"', r'"\'"', r'"\x4"', r'"\400"',
     r'"\ud800"', r'"\U00110000"', '"\\"', "`a`b`"],
)  # fmt: skip
def test_refuses_what_go_refuses(literal: str) -> None:
    with pytest.raises(ValueError, match="invalid syntax"):
        unquote(literal)


def test_any_bytes_survive_as_text() -> None:
    data = bytes(range(256))
    assert to_bytes(to_text(data)) == data
