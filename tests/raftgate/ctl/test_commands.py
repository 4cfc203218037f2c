from importlib import import_module

import pytest

from raftgate.ctl.commands import GLOBAL_FLAGS, ROOT, Command, find
from raftgate.ctl.errors import UsageError


def verbs(group: Command = ROOT) -> list[Command]:
    return [verb for child in group.children for verb in (verbs(child) if child.children else [child])]


@pytest.mark.parametrize("verb", verbs(), ids=lambda verb: verb.name)
def test_each_verb_names_code_that_exists(verb: Command) -> None:
    module, _, function = verb.run.partition(":")
    assert callable(getattr(import_module(module), function))


def test_flag_names_of_a_verb_are_unique() -> None:
    for path in (
        ["get"],
        ["put"],
        ["del"],
        ["txn"],
        ["endpoint", "health"],
        ["endpoint", "hashkv"],
        ["defrag"],
        ["version"],
    ):
        found = find(ROOT, path)
        names = [flag.name for flag in (*found.inherited, *found.own)]
        assert len(names) == len(set(names)), path
        letters = [flag.short for flag in (*found.inherited, *found.own) if flag.short]
        assert len(letters) == len(set(letters)), path


def test_global_flags_are_those_of_etcdctl() -> None:
    assert {flag.name for flag in GLOBAL_FLAGS} == {
        "cacert", "cert", "command-timeout", "debug", "dial-timeout", "discovery-srv", "discovery-srv-name",
        "endpoints", "hex", "insecure-discovery", "insecure-skip-tls-verify", "insecure-transport", "keepalive-time",
        "keepalive-timeout", "key", "max-recv-bytes", "max-request-bytes", "password", "user", "write-out",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "path", "rest"),
    [
        ([], [], []),
        (["get", "a"], ["get"], ["a"]),
        (["ge", "a"], ["get"], ["a"]),
        (["g", "get"], ["get"], ["get"]),
        (["--hex", "get", "a"], ["get"], ["--hex", "a"]),
        (["-w", "json", "get", "a"], ["get"], ["-w", "json", "a"]),
        (["-wjson", "get"], ["get"], ["-wjson"]),
        (["--endpoints", "get", "put", "a"], ["put"], ["--endpoints", "get", "a"]),
        (["--endpoints=x", "put"], ["put"], ["--endpoints=x"]),
        (["end", "he"], ["endpoint", "health"], []),
        (["endpoint", "--cluster", "health"], ["endpoint", "health"], ["--cluster"]),
        (["endpoint", "h"], ["endpoint"], ["h"]),  # hashkv or health
        (["compact", "5"], ["compaction"], ["5"]),
        (["defrag", "--cluster"], ["defrag"], ["--cluster"]),
        (["al", "dis"], ["alarm", "disarm"], []),
        (["endpoint", "bogus"], ["endpoint"], ["bogus"]),
        (["--", "get", "a"], [], ["--", "get", "a"]),
        (["-h", "get"], ["get"], ["-h"]),
        (["get", "", "a"], ["get"], ["", "a"]),
    ],
)
def test_words_find_their_verb(words: list[str], path: list[str], rest: list[str]) -> None:
    found = find(ROOT, words)
    assert [step.name for step in found.path[1:]] == path
    assert list(found.words) == rest


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["bogus"], 'unknown command "bogus" for "raftgatectl"'),
        (["--bogus", "get", "zzzz"], 'unknown command "zzzz" for "raftgatectl"'),
        (["puy"], 'unknown command "puy" for "raftgatectl"\n\nDid you mean this?\n\tput\n'),
        (["de", "a"], 'unknown command "de" for "raftgatectl"\n\nDid you mean this?\n\tdefrag\n\tdel\n\tget\n'),
        (["GETT"], 'unknown command "GETT" for "raftgatectl"\n\nDid you mean this?\n\tget\n'),
    ],
)
def test_unknown_verbs_are_refused_with_a_suggestion(words: list[str], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        find(ROOT, words)
    assert caught.value.text == text
    assert caught.value.hint == "Run 'raftgatectl --help' for usage."
