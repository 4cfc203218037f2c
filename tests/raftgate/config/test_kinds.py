import pytest

from raftgate.config import kinds
from raftgate.config.kinds import Kind, choice
from raftgate.config.urls import parse_urls


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (kinds.STRING, "x", "x"),
        (kinds.STRING, 5, "5"),
        (kinds.STRING, True, None),
        (kinds.BOOL, True, "True"),
        (kinds.BOOL, "true", None),
        (kinds.BOOL, 1, None),
        (kinds.UINT, 5, "5"),
        (kinds.UINT, True, None),
        (kinds.UINT, "5", None),
        (kinds.UINT, 5.0, None),
        (kinds.DURATION, 600000000000, "600000000000ns"),
        (kinds.DURATION, "10m", "10m"),
        (kinds.DURATION, 1.5, None),
        (kinds.OUTPUTS, ["stderr", "x.log"], "stderr,x.log"),
        (kinds.OUTPUTS, "stderr", None),
        (kinds.OUTPUTS, [1], None),
        (kinds.URLS, "http://a:1", "http://a:1"),
        (kinds.URLS, ["http://a:1"], None),
    ],
)
def test_what_a_file_may_hold(kind: Kind, value: object, text: str | None) -> None:
    assert kind.to_text(value) == text


def test_durations_of_a_file_are_nanoseconds() -> None:
    text = kinds.DURATION.to_text(-1500000000)
    assert text is not None
    assert kinds.DURATION.parse(text, None) == -1.5


def test_lists() -> None:
    assert kinds.WORDS.parse("b,a,b", None) == ("a", "b")
    assert kinds.LIST.parse("b,a,b", None) == ("b", "a", "b")
    assert kinds.WORDS.parse("", None) == kinds.LIST.parse("", None) == ()


def test_an_empty_url_list_leaves_the_value() -> None:
    assert kinds.URLS.parse("", parse_urls("http://a:1")) == parse_urls("http://a:1")
    assert kinds.URLS.parse("", None) == ()


def test_origins() -> None:
    assert kinds.ORIGINS.parse("*", None) == ("*",)
    assert kinds.ORIGINS.parse("http://b:1,http://a:1", None) == ("http://a:1", "http://b:1")


def test_a_choice() -> None:
    kind = choice("a", "b", refusal="no {}")
    assert kind.parse("b", None) == "b"
    with pytest.raises(ValueError, match='no "c"'):
        kind.parse("c", None)
    assert kind.name == "a or b"
