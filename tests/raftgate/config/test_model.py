from pathlib import Path

from raftgate.config import load


def test_what_follows_from_the_values() -> None:
    config = load(["--heartbeat-interval=250", "--election-timeout=2500", "--data-dir=d"], {})
    assert config.election_ticks == 10
    assert config.request_timeout == 10.0
    assert config.wal_directory == Path("d/member/wal")


def test_ticks_are_rounded_down() -> None:
    assert load(["--heartbeat-interval=300", "--election-timeout=1700"], {}).election_ticks == 5
