from raftgate.ctl.commands import ROOT, find
from raftgate.ctl.usage import render
from tests.fakes.terminal import Terminal


def test_the_usage_of_a_verb_shows_its_flags_and_the_global_ones() -> None:
    text = render(find(ROOT, ["put"]))
    assert text.startswith(
        "NAME:\n\tput - Puts the given key into the store\n\nUSAGE:\n\traftgatectl put [options] <key>"
    )
    assert "\nDESCRIPTION:\n\tA value that is not given" in text
    assert '--lease="0"' in text
    assert "--prev-kv[=false]" in text
    assert "GLOBAL OPTIONS:" in text
    assert "--endpoints=[127.0.0.1:2379]" in text
    assert "--command-timeout=5s" in text
    assert '  -w, --write-out="simple"' in text


def test_the_usage_of_a_group_lists_its_verbs() -> None:
    text = render(find(ROOT, ["endpoint"]))
    assert "\thealth  Checks the healthiness" in text
    assert "--cluster[=false]" in text


def test_the_usage_of_the_whole_command_lists_all_verbs() -> None:
    text = render(find(ROOT, []))
    assert "\tendpoint health   Checks" in text
    assert "GLOBAL OPTIONS" not in text


def test_help_names_a_verb() -> None:
    assert Terminal().run("help", "get").out == render(find(ROOT, ["get"]))
    assert Terminal().run("help", "endpoint", "health").out == render(find(ROOT, ["endpoint", "health"]))
    assert Terminal().run("help").out == render(find(ROOT, []))


def test_help_of_an_unknown_topic_says_so_and_shows_everything() -> None:
    outcome = Terminal().run("help", "bogus")
    assert outcome.code == 0
    assert outcome.err == "Unknown help topic [`bogus`]\n"
    assert outcome.out == render(find(ROOT, []))


def test_a_group_alone_or_with_an_unknown_word_prints_its_usage() -> None:
    usage = render(find(ROOT, ["endpoint"]))
    for words in (["endpoint"], ["endpoint", "bogus"], ["endpoint", "--help", "bogus"]):
        outcome = Terminal().run(*words)
        assert (outcome.code, outcome.out, outcome.err) == (0, usage, "")


def test_the_help_flag_wins_over_arguments() -> None:
    outcome = Terminal().run("get", "k", "-hw", "json")
    assert (outcome.code, outcome.out) == (0, render(find(ROOT, ["get"])))
