from collections.abc import Mapping

import pytest

from raftgate.api.watch import WatchCreateRequest
from raftgate.ctl.errors import CommandError, ExitCode
from raftgate.ctl.watch_words import create_request, environment_range, parse_line, split
from tests.fakes.terminal import Terminal

KEY = {"ETCDCTL_WATCH_KEY": "env"}
RANGE = {**KEY, "ETCDCTL_WATCH_RANGE_END": "enw"}


def parsed(line: str, environ: Mapping[str, str] | None = None) -> tuple[WatchCreateRequest, tuple[str, ...]]:
    invocation = Terminal().invocation(["watch", *line.split()])
    words = split(invocation.found.words, invocation.arguments, invocation.flags, environ or {})
    return create_request(words), words.program


def refusal(line: str, environ: Mapping[str, str] | None = None) -> str:
    with pytest.raises(CommandError) as caught:
        parsed(line, environ)
    assert caught.value.code == ExitCode.BAD_ARGS
    return caught.value.text


@pytest.mark.parametrize(
    ("line", "environ", "expected"),
    [
        ("k", {}, WatchCreateRequest(key=b"k")),
        ("k l", {}, WatchCreateRequest(key=b"k", range_end=b"l")),
        ("k l m", {}, WatchCreateRequest(key=b"k")),
        ("k --rev 7 l", {}, WatchCreateRequest(key=b"k", range_end=b"l", start_revision=7)),
        ("k --rev=-1", {}, WatchCreateRequest(key=b"k", start_revision=-1)),
        ("k --prefix", {}, WatchCreateRequest(key=b"k", range_end=b"l")),
        ("k --prev-kv --progress-notify", {}, WatchCreateRequest(key=b"k", prev_kv=True, progress_notify=True)),
        ("", KEY, WatchCreateRequest(key=b"env")),
        ("", RANGE, WatchCreateRequest(key=b"env", range_end=b"enw")),
        ("--prefix", KEY, WatchCreateRequest(key=b"env", range_end=b"enw")),
    ],
    ids=str,
)
def test_requests(line: str, environ: Mapping[str, str], expected: WatchCreateRequest) -> None:
    assert parsed(line, environ) == (expected, ())


def test_an_empty_prefix_is_everything() -> None:
    invocation = Terminal().invocation(["watch", "", "--prefix"])
    words = split(invocation.found.words, invocation.arguments, invocation.flags, {})
    assert create_request(words) == WatchCreateRequest(key=b"\0", range_end=b"\0")


def test_programs() -> None:
    assert parsed("k -- echo --rev 7 x") == (WatchCreateRequest(key=b"k"), ("echo", "--rev", "7", "x"))
    assert parsed("k --rev 3 l -- e -- f")[1] == ("e", "--", "f")
    assert parsed("--rev 3 -- echo", KEY) == (WatchCreateRequest(key=b"env", start_revision=3), ("echo",))


@pytest.mark.parametrize(
    ("line", "environ", "text"),
    [
        ("", {}, "bad number of arguments"),
        ("--rev 3", {}, "bad number of arguments"),
        ("-- echo", {}, "bad number of arguments"),
        ("k --", {}, "bad number of arguments (found separator --, but no commands)"),
        ("k", KEY, "bad number of arguments (found conflicting environment key)"),
        ("k -- echo", KEY, "bad number of arguments (found conflicting environment key)"),
        ("k l --prefix", {}, "`range_end` and `--prefix` are mutually exclusive"),
        ("--prefix", RANGE, "`range_end` and `--prefix` are mutually exclusive"),
    ],
    ids=str,
)
def test_refusals(line: str, environ: Mapping[str, str], text: str) -> None:
    assert refusal(line, environ) == text


def test_a_range_end_without_a_key() -> None:
    with pytest.raises(CommandError, match='ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END="é"'):
        environment_range({"ETCDCTL_WATCH_RANGE_END": "é"})
    assert environment_range({}) == ()
    assert environment_range(RANGE) == ("env", "enw")


def test_lines_of_the_interactive_mode() -> None:
    words = parse_line(["k", "--prefix", "--rev", "4", "--", "sh", "-c", "x y"], {})
    assert create_request(words) == WatchCreateRequest(key=b"k", range_end=b"l", start_revision=4)
    assert words.program == ("sh", "-c", "x y")
    assert parse_line(["--", "echo"], {}).arguments == ()  # refused when the request is made, which ends nothing


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--rev", "3"], "bad number of arguments"),
        (["k", "--"], "bad number of arguments (found separator --, but no commands)"),
        (["k", "--bogus"], "unknown flag: --bogus"),
        (
            ["k", "--rev", "zz"],
            'invalid argument "zz" for "--rev" flag: strconv.ParseInt: parsing "zz": invalid syntax',
        ),
    ],
    ids=str,
)
def test_lines_that_end_the_interactive_mode(words: list[str], text: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_line(words, {})
    assert (caught.value.text, caught.value.code) == (text, ExitCode.BAD_ARGS)
