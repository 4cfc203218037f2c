import logging

from raftgate.config.errors import ConfigError, Note, Refusal, fatal, invalid


def test_a_refusal_reads_as_its_error() -> None:
    assert str(invalid("x")) == "x"
    assert invalid("x").note == Note(logging.WARNING, "failed to verify flags", {"error": "x"})
    assert fatal("x").note == Note(logging.CRITICAL, "discovery failed", {"error": "x"})
    assert str(Refusal(Note(logging.CRITICAL, "m"))) == "m"


def test_a_configuration_error_reads_as_what_it_prints() -> None:
    assert str(ConfigError(2, stderr="line\n")) == "line\n"
    assert str(ConfigError(1, notes=[Note(10, "a"), Note(30, "b", {"error": "c"})])) == "c"
    assert str(ConfigError(1, notes=[Note(50, "b")])) == "b"
    assert str(ConfigError(1)) == ""
