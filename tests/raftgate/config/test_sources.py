from pathlib import Path

import pytest

from raftgate.config.errors import ConfigError, Finished, Note, Refusal
from raftgate.config.sources import read_arguments, read_environment, read_file


def test_arguments_in_gos_syntax() -> None:
    values, rest = read_arguments(
        ["-name", "a", "--pre-vote", "--snapshot-count=1_000", "--strict-reconfig-check=F", "x"]
    )
    assert values == {"name": "a", "pre-vote": True, "snapshot-count": 1000, "strict-reconfig-check": False}
    assert rest == ["x"]


@pytest.mark.parametrize(
    ("argv", "rest"),
    [
        ([], []),
        (["--"], []),
        (["--", "--name"], ["--name"]),
        (["-"], ["-"]),
        ([""], [""]),
        (["a", "--bogus"], ["a", "--bogus"]),
    ],
)
def test_parsing_stops_at_the_first_word_that_is_no_flag(argv: list[str], rest: list[str]) -> None:
    assert read_arguments(argv) == ({}, rest)


def test_a_value_may_look_like_a_flag() -> None:
    assert read_arguments(["--name", "--name"])[0] == {"name": "--name"}
    assert read_arguments(["--name=a=b"])[0] == {"name": "a=b"}
    assert read_arguments(["--name="])[0] == {"name": ""}


def test_the_first_mistake_counts() -> None:
    with pytest.raises(ConfigError, match="-bogus"):
        read_arguments(["--bogus", "--help"])
    with pytest.raises(Finished):
        read_arguments(["--help", "--bogus"])


def test_repeated_gates_add_up() -> None:
    values, _ = read_arguments(["--feature-gates=AllBeta=false", "--feature-gates=LeaseCheckpoint=true"])
    assert values["feature-gates"] == {"TxnModeWriteWithSharedBuffer": False, "LeaseCheckpoint": True}


def test_a_conflict_is_told_before_a_bad_value() -> None:
    notes: list[Note] = []
    with pytest.raises(Refusal, match="conflicting"):
        read_environment({"ETCD_HEARTBEAT_INTERVAL": "abc", "ETCD_NAME": "x"}, {"name": "y"}, notes)


def test_passwords_are_never_shown() -> None:
    notes: list[Note] = []
    environ = {"ETCD_DISCOVERY_PASSWORD": "hunter2", "ETCD_DISCOVERY_USER": "u:hunter2", "ETCD_SECRET_X": "hunter2"}
    read_environment(environ, {}, notes)
    assert len(notes) == 3
    assert "hunter2" not in str(notes)


def load(tmp_path: Path, text: str, notes: list[Note] | None = None) -> dict[str, object]:
    path = tmp_path / "m.yml"
    path.write_text(text, encoding="utf-8")
    return dict(read_file(str(path), [] if notes is None else notes))


def test_a_file_with_everything(tmp_path: Path) -> None:
    values = load(
        tmp_path,
        """
name: kv1
listen-client-urls: https://10.20.0.11:2379,http://127.0.0.1:2379
client-transport-security:
  cert-file: server.pem
  client-cert-auth: true
  allowed-hostname: [a, b]
peer-transport-security: {auto-tls: true}
socket-options: {reuse-port: true}
discovery-config: {endpoints: [x], auth: {username: u}}
quota-backend-bytes: 4294967296
auto-compaction-retention: 1
warning-apply-duration: 5000000
backend-batch-interval: 10ms
log-outputs: [stderr]
cors: ''
experimental-snapshot-catch-up-entries: 7
wal-dir:
raftgate:
  shutdown-delay: 5s
""",
    )
    assert [str(url) for url in values.pop("listen-client-urls")] == [  # type: ignore[attr-defined] # a tuple of Url
        "http://127.0.0.1:2379",
        "https://10.20.0.11:2379",
    ]
    assert values == {
        "name": "kv1",
        "cert-file": "server.pem",
        "client-cert-auth": True,
        "client-cert-allowed-hostname": ("a", "b"),
        "peer-auto-tls": True,
        "socket-reuse-port": True,
        "discovery-endpoints": ("x",),
        "discovery-user": "u",
        "quota-backend-bytes": 4294967296,
        "auto-compaction-retention": "1",
        "warning-apply-duration": 0.005,
        "backend-batch-interval": 0.01,
        "log-outputs": ("stderr",),
        "cors": ("*",),
        "experimental-snapshot-catchup-entries": 7,
        "raftgate-shutdown-delay": 5.0,
    }


def test_json_is_yaml(tmp_path: Path) -> None:
    assert load(tmp_path, '{"name": "j", "pre-vote": false}') == {"name": "j", "pre-vote": False}


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_file_gives_nothing(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text) == {}


def test_unknown_keys_are_told_once_each(tmp_path: Path) -> None:
    notes: list[Note] = []
    text = "raftgate: {export: {url: s3://b}}\nbogus: 1\nclient-transport-security: {crl: x}\nraft-read-timeout: 5s\n"
    assert load(tmp_path, text, notes) == {}
    assert [note.fields["key"] for note in notes] == [
        "raftgate.export",
        "bogus",
        "client-transport-security.crl",
        "raft-read-timeout",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: b: c\n", "error converting YAML to JSON: yaml: mapping values are not allowed in this context"),
        (
            "name: x\n  y: z\n",
            "error converting YAML to JSON: yaml: line 1: mapping values are not allowed in this context",
        ),
        ("name: [\n", "error converting YAML to JSON: yaml: "),
        ("name: \x01\n", "error converting YAML to JSON: yaml: "),
        ("name: " + "[" * 5000, "error converting YAML to JSON: yaml: "),
        ("name: 2026-99-99\n", "error converting YAML to JSON: yaml: "),
        ("name: !!python/object:os.system x\n", "error converting YAML to JSON: yaml: "),
        ("- x\n", "error unmarshaling JSON: the configuration file is not a mapping of settings"),
        ("heartbeat-interval: abc\n", 'heartbeat-interval: expected uint, got "abc"'),
        ("heartbeat-interval: -1\n", "heartbeat-interval: expected uint, got -1"),
        ("pre-vote: 'yes'\n", 'pre-vote: expected bool, got "yes"'),
        ("warning-apply-duration: soon\n", 'warning-apply-duration: expected duration, got "soon"'),
        ("initial-cluster-state: old\n", 'initial-cluster-state: expected new or existing, got "old"'),
        ("log-outputs: stderr\n", 'log-outputs: expected list, got "stderr"'),
        ("client-transport-security: x\n", 'client-transport-security: expected mapping, got "x"'),
        ("listen-client-urls: 127.0.0.1:1\n", "unexpected error setting up listen-client-urls: parse "),
        ("cors: x\n", 'cors: expected URL list, got "x"'),
    ],
)
def test_what_a_file_is_refused_for(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(Refusal) as caught:
        load(tmp_path, text)
    assert str(caught.value).startswith(reason)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"open nope.yml: no such file or directory"):
        read_file("nope.yml", [])
    with pytest.raises(Refusal, match="is a directory"):
        read_file(str(tmp_path), [])
    (tmp_path / "x").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(Refusal, match="error converting YAML to JSON"):
        read_file(str(tmp_path / "x"), [])
