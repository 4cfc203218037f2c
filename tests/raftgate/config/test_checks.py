import logging
from collections.abc import Mapping

import pytest

from raftgate.config.checks import Settings, verify
from raftgate.config.errors import ConfigError, Note, Refusal
from raftgate.config.flags import FLAGS
from raftgate.config.urls import parse_urls


def settings(given: Mapping[str, object], *, is_from_file: bool = False) -> Settings:
    defaults = {flag.name: flag.default_value() for flag in FLAGS.values()}
    return Settings({**defaults, **given}, set(given), is_from_file)


def check(given: Mapping[str, object], *, is_from_file: bool = False) -> tuple[Settings, list[Note]]:
    notes: list[Note] = []
    checked = settings(given, is_from_file=is_from_file)
    verify(checked, notes)
    return checked, notes


def test_defaults_pass_without_a_word() -> None:
    assert check({})[1] == []


def test_the_limits_of_raft_timing_are_allowed() -> None:
    check({"election-timeout": 50000, "heartbeat-interval": 10000})
    check({"election-timeout": 500})


def test_an_advertised_url_is_not_demanded_of_a_file() -> None:
    listen = {"listen-client-urls": parse_urls("http://127.0.0.1:1")}
    check(listen, is_from_file=True)
    with pytest.raises(Refusal, match="--advertise-client-urls is required"):
        check(listen)


@pytest.mark.parametrize("url", ["http://localhost:1", "http://0.0.0.0:1", "http://[::]:1", "http://[::1]:1"])
def test_addresses_to_listen_on(url: str) -> None:
    check({"listen-peer-urls": parse_urls(url), "listen-metrics-urls": parse_urls(url)})


@pytest.mark.parametrize("url", ["http://example.com:1", "http://:1", "http://[fe80::1%eth0]:1", "http://1.1.1:1"])
def test_names_to_listen_on_are_refused(url: str) -> None:
    for name in ("listen-peer-urls", "listen-client-http-urls", "listen-metrics-urls"):
        with pytest.raises(Refusal, match="expected IP in URL for binding"):
            check({name: parse_urls(url)})


def test_listeners_that_are_not_supported() -> None:
    with pytest.raises(Refusal, match=r"--listen-peer-urls: unix is not supported yet"):
        check({"listen-peer-urls": parse_urls("unix:///x")})
    with pytest.raises(Refusal, match="must be provided for client url https://"):
        check({"listen-client-http-urls": parse_urls("https://1.1.1.1:1")})
    with pytest.raises(Refusal, match=r"listen tcp: address 99999: invalid port"):
        check({"listen-metrics-urls": parse_urls("http://1.1.1.1:99999")})


@pytest.mark.parametrize(
    ("word", "level"), [("WARN", "warn"), ("warning", "warn"), ("", "info"), ("dpanic", "panic"), ("Fatal", "fatal")]
)
def test_log_levels_as_zap_reads_them(word: str, level: str) -> None:
    assert check({"log-level": word})[0]["log-level"] == level


def test_an_unknown_log_level_is_exit_2() -> None:
    with pytest.raises(ConfigError) as caught:
        check({"log-level": "loud"})
    assert caught.value.exit_code == 2


def test_log_outputs() -> None:
    assert check({"log-outputs": ()})[0]["log-outputs"] == ("default",)
    check({"log-outputs": ("stderr", "stdout", "x.log")})
    check({"log-outputs": ("systemd/journal",)})
    with pytest.raises(Refusal, match="running with systemd/journal but other"):
        check({"log-outputs": ("stderr", "systemd/journal")})


@pytest.mark.parametrize("config", ["[]", '{"maxsize": -1}', '{"compress": 1}', '{"maxage": true}', '{"maxage": 1.5}'])
def test_rotation_settings_that_are_refused(config: str) -> None:
    with pytest.raises(Refusal, match="invalid log rotation config"):
        check({"enable-log-rotation": True, "log-outputs": ("x.log",), "log-rotation-config-json": config})


def test_rotation_needs_one_file_besides_the_streams() -> None:
    check({"enable-log-rotation": True, "log-outputs": ("stderr", "x.log")})
    with pytest.raises(Refusal, match="requires a single file path"):
        check({"enable-log-rotation": True, "log-outputs": ("systemd/journal",)})


@pytest.mark.parametrize(
    ("given", "settled", "count"), [(0.05, 0.1, 1), (0.1, 0.1, 0), (0.0, 600.0, 0), (-1.0, 600.0, 0)]
)
def test_watches_are_not_noticed_too_often(given: float, settled: float, count: int) -> None:
    checked, notes = check({"watch-progress-notify-interval": given})
    assert checked["watch-progress-notify-interval"] == settled
    text = "adjusting watch progress notify interval to minimum period"
    assert [(note.level, note.message) for note in notes] == [(logging.WARNING, text)] * count


def test_short_raft_timeouts_are_raised() -> None:
    checked, notes = check({"raft-read-timeout": 1.0})
    assert checked["raft-read-timeout"] == 5.0
    assert [(note.level, note.message) for note in notes] == [
        (logging.INFO, "raft-read-timeout increased to minimum value: 5s")
    ]


@pytest.mark.parametrize("retention", ["0", "00", "0s", "10", "1h30m"])
def test_retentions_that_are_read(retention: str) -> None:
    checked, _ = check({"auto-compaction-retention": retention})
    assert checked["auto-compaction-retention"] == retention


@pytest.mark.parametrize("retention", ["abc", "1", "-1"])
def test_a_retention_of_revisions_is_a_count(retention: str) -> None:
    values = {"auto-compaction-mode": "revision", "auto-compaction-retention": retention}
    if retention == "1":
        check(values)
        return
    with pytest.raises(Refusal, match="error parsing CompactionRetention"):
        check(values)


@pytest.mark.parametrize(
    ("name", "value"),
    [("raftgate-shutdown-delay", -1.0), ("backend-batch-interval", -0.1), ("backend-batch-limit", -1)],
)
def test_negative_values_that_make_no_sense(name: str, value: float) -> None:
    with pytest.raises(Refusal, match=f"--{name} must not be negative"):
        check({name: value})


def test_a_health_timeout_is_positive() -> None:
    with pytest.raises(Refusal, match=r"--raftgate-health-timeout must be >0 \(set to 0s\)"):
        check({"raftgate-health-timeout": 0.0})


def test_old_and_new_spelling_conflict_but_each_alone_counts() -> None:
    checked, _ = check({"experimental-snapshot-catchup-entries": 7})
    assert checked["snapshot-catchup-entries"] == 7
    with pytest.raises(Refusal, match="please use --snapshot-catchup-entries only"):
        check({"experimental-snapshot-catchup-entries": 7, "snapshot-catchup-entries": 7})


def test_an_old_spelling_of_something_without_effect_says_both() -> None:
    _, notes = check({"experimental-memory-mlock": True})
    assert [note.fields for note in notes] == [{}, {"flag": "--memory-mlock"}]
