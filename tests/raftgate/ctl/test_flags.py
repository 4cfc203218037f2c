import pytest

from raftgate.ctl.errors import UsageError
from raftgate.ctl.flags import Flag, Kind, parse

FLAGS = (
    Flag("prefix", Kind.BOOL, False, "", "p"),
    Flag("help", Kind.BOOL, False, "", "h"),
    Flag("limit", Kind.INT, 0, ""),
    Flag("write-out", Kind.STRING, "simple", "", "w"),
    Flag("timeout", Kind.DURATION, 5 * 10**9, ""),
    Flag("endpoints", Kind.STRINGS, ("127.0.0.1:2379",), ""),
)


def test_defaults_and_arguments() -> None:
    values, arguments = parse(FLAGS, ["a", "b"])
    assert arguments == ("a", "b")
    assert not values.boolean("prefix")
    assert values.integer("limit") == 0
    assert values.string("write-out") == "simple"
    assert values.strings("endpoints") == ("127.0.0.1:2379",)
    assert values.given == frozenset()


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["a", "--limit", "5", "b"], "limit", 5),
        (["--limit=5", "a", "b"], "limit", 5),
        (["a", "--limit", "-1", "b"], "limit", -1),
        (["a", "b", "-w", "json"], "write-out", "json"),
        (["a", "b", "-wjson"], "write-out", "json"),
        (["a", "b", "-w=json"], "write-out", "json"),
        (["a", "b", "-pwjson"], "write-out", "json"),
        (["a", "b", "--write-out=a=b"], "write-out", "a=b"),
        (["a", "b", "--write-out="], "write-out", ""),
        (["-w", "x", "-w", "y", "a", "b"], "write-out", "y"),
        (["--prefix", "a", "b"], "prefix", True),
        (["--prefix=false", "a", "b"], "prefix", False),
        (["a", "-p", "b"], "prefix", True),
        (["--timeout", "1.5s", "a", "b"], "timeout", 1_500_000_000),
        (["--endpoints", "x,y", "a", "b"], "endpoints", ("x", "y")),
        (["--endpoints=x", "--endpoints=y", "a", "b"], "endpoints", ("x", "y")),
        (["--endpoints=", "a", "b"], "endpoints", ()),
    ],
)
def test_flags_stand_anywhere(words: list[str], name: str, value: object) -> None:
    values, arguments = parse(FLAGS, words)
    assert values.values[name] == value
    assert values.given >= {name}
    assert arguments == ("a", "b")


def test_a_double_dash_ends_flags_and_a_single_one_is_an_argument() -> None:
    values, arguments = parse(FLAGS, ["-", "--prefix", "--", "--limit", "--", "-w"])
    assert values.boolean("prefix")
    assert arguments == ("-", "--limit", "--", "-w")


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("--bogus", "unknown flag: --bogus"),
        ("--bogus=1", "unknown flag: --bogus"),
        ("-z", "unknown shorthand flag: 'z' in -z"),
        ("-pzw", "unknown shorthand flag: 'z' in -zw"),
        ("--=x", "bad flag syntax: --=x"),
        ("---", "bad flag syntax: ---"),
        ("--limit", "flag needs an argument: --limit"),
        ("-w", "flag needs an argument: 'w' in -w"),
        ("--limit=zz", 'invalid argument "zz" for "--limit" flag: strconv.ParseInt: parsing "zz": invalid syntax'),
        ("--prefix=", 'invalid argument "" for "-p, --prefix" flag: strconv.ParseBool: parsing "": invalid syntax'),
        ("--timeout=5", 'invalid argument "5" for "--timeout" flag: time: missing unit in duration "5"'),
    ],
)
def test_errors_have_the_texts_of_pflag(word: str, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(FLAGS, ["key", word])
    assert caught.value.text == text


def test_values_show_as_in_usage_texts() -> None:
    shown = {flag.name: flag.show(flag.default) for flag in FLAGS}
    assert shown == {
        "prefix": "false",
        "help": "false",
        "limit": "0",
        "write-out": "simple",
        "timeout": "5s",
        "endpoints": "[127.0.0.1:2379]",
    }
