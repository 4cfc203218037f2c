import logging
from pathlib import Path

import pytest

from raftgate.config import ConfigError, LogRotation, Url, load


def test_the_default_configuration() -> None:
    config = load([], {})
    assert (config.data_dir, config.wal_dir) == (Path("default.etcd"), None)
    assert (config.heartbeat_interval, config.election_timeout) == (0.1, 1.0)
    assert config.listen_client_urls == config.advertise_client_urls == (Url("http", "localhost", 2379),)
    assert config.initial_cluster == {"default": (Url("http", "localhost", 2380),)}
    assert (config.backend_batch_interval, config.backend_batch_limit) == (0.1, 10000)
    assert (config.cors, config.host_whitelist) == (("*",), ("*",))
    assert config.log_rotation is None
    assert [note.level for note in config.notes] == [logging.WARNING, logging.WARNING]


def test_a_name_and_a_directory_leave_nothing_to_say() -> None:
    assert load(["--name=n1", "--data-dir=d"], {}).notes == ()


def test_a_name_alone_makes_the_cluster() -> None:
    config = load(["--name=abc", "--initial-advertise-peer-urls=http://h:1,http://g:1"], {})
    assert config.initial_cluster == {"abc": (Url("http", "g", 1), Url("http", "h", 1))}


def test_the_default_name_keeps_the_default_cluster(tmp_path: Path) -> None:
    argv = [f"--data-dir={tmp_path}", "--initial-advertise-peer-urls=http://127.0.0.9:1"]
    with pytest.raises(ConfigError, match="--initial-cluster has default=http://localhost:2380 but missing from"):
        load(argv, {}, resolve=lambda host: host)


EVERYWHERE = ["--name=a", "--listen-peer-urls=http://0.0.0.0:7", "--listen-client-urls=http://0.0.0.0:8"]


def test_a_member_that_listens_everywhere_advertises_its_host() -> None:
    argv = [*EVERYWHERE, "--advertise-client-urls=http://localhost:2379"]
    config = load(argv, {}, find_host=lambda: "10.1.2.3")
    assert config.initial_advertise_peer_urls == (Url("http", "10.1.2.3", 7),)
    assert config.advertise_client_urls == (Url("http", "10.1.2.3", 8),)
    assert config.initial_cluster == {"a": (Url("http", "10.1.2.3", 7),)}
    assert any(note.message == "detected default host for advertise" for note in config.notes)


def test_an_explicit_address_or_an_unknown_host_changes_nothing() -> None:
    explicit = load([*EVERYWHERE, "--advertise-client-urls=http://1.1.1.1:1"], {}, find_host=lambda: None)
    assert explicit.advertise_client_urls == (Url("http", "1.1.1.1", 1),)
    assert explicit.initial_advertise_peer_urls == (Url("http", "localhost", 2380),)


def test_an_initialised_member_ignores_the_initial_cluster(tmp_path: Path) -> None:
    argv = ["--name=n1", f"--data-dir={tmp_path}", "--initial-cluster=other=x", "--initial-cluster-state=existing"]
    with pytest.raises(ConfigError, match="error setting up initial cluster"):
        load(argv, {})
    (tmp_path / "member" / "wal").mkdir(parents=True)
    (tmp_path / "member" / "wal" / "0000000000000000-0000000000000000.wal").touch()
    assert load(argv, {}).initial_cluster == {"n1": (Url("http", "localhost", 2380),)}
    both = "--initial-cluster=n1=http://a:1,n2=http://b:1"  # what a stop may have kept from being written
    assert load([*argv, both], {}).initial_cluster == {"n1": (Url("http", "a", 1),), "n2": (Url("http", "b", 1),)}


def test_one_who_joins_is_checked_by_the_cluster(tmp_path: Path) -> None:
    argv = ["--name=n1", f"--data-dir={tmp_path}", "--initial-advertise-peer-urls=http://10.0.0.1:1"]
    argv.append("--initial-cluster=n1=http://10.0.0.2:1,n2=http://b:1")
    with pytest.raises(ConfigError, match="missing from --initial-advertise-peer-urls"):
        load(argv, {})
    assert set(load([*argv, "--initial-cluster-state=existing"], {}).initial_cluster) == {"n1", "n2"}
    with pytest.raises(ConfigError, match="couldn't find local name"):
        load([*argv, "--initial-cluster-state=existing", "--name=n3"], {})


def test_one_who_may_join_by_itself_need_not_be_named(tmp_path: Path) -> None:
    argv = ["--name=n3", f"--data-dir={tmp_path}", "--initial-cluster=n1=http://a:1"]
    with pytest.raises(ConfigError, match="couldn't find local name"):
        load(argv, {})
    argv.append("--raftgate-auto-join=learner")
    assert load(argv, {}).initial_cluster == {"n1": (Url("http", "a", 1),)}
    (tmp_path / "member" / "wal").mkdir(parents=True)
    (tmp_path / "member" / "wal" / "0000000000000000-0000000000000000.wal").touch()
    assert load(argv, {}).initial_cluster == {"n1": (Url("http", "a", 1),)}


def test_srv_records_are_asked_for_later(tmp_path: Path) -> None:
    config = load(["--name=n1", f"--data-dir={tmp_path}", "--discovery-srv=kv.example"], {})
    assert (config.initial_cluster, config.discovery_srv, config.discovery_srv_name) == ({}, "kv.example", "")


def test_a_name_without_an_address_yet_is_left_to_the_start() -> None:
    def resolve(host: str) -> str:
        raise OSError(host)

    argv = ["--name=n1", "--initial-advertise-peer-urls=http://late:1", "--initial-cluster=n1=http://10.0.0.1:1"]
    assert load(argv, {}, resolve=resolve).initial_cluster == {"n1": (Url("http", "10.0.0.1", 1),)}


def test_the_log_may_lie_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "1.wal").touch()
    config = load(["--name=n1", f"--wal-dir={tmp_path}", "--initial-cluster=other=x"], {})
    assert config.wal_directory == tmp_path


def test_rotation_is_typed() -> None:
    argv = ["--enable-log-rotation", "--log-outputs=x.log"]
    assert load(argv, {}).log_rotation == LogRotation()
    own = '--log-rotation-config-json={"maxsize": 0, "maxage": 3, "compress": true, "bogus": 1}'
    assert load([*argv, own], {}).log_rotation == LogRotation(maxage=3, compress=True)


def test_unsafe_no_fsync_warns_loudly() -> None:
    config = load(["--name=a", "--data-dir=d", "--unsafe-no-fsync"], {})
    assert config.unsafe_no_fsync
    assert [note.level for note in config.notes] == [logging.WARNING]


def test_what_was_noted_before_a_mistake_is_told_with_it() -> None:
    with pytest.raises(ConfigError) as caught:
        load([], {"ETCD_NAME": "a", "ETCD_LOG_LEVEL": "loud"})
    assert caught.value.exit_code == 2
    assert len(caught.value.notes) == 2
