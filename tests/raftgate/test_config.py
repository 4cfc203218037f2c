"""What a user of the configuration sees: mistakes and their texts, where values come from, and every flag."""

import logging
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from raftgate.config import Config, ConfigError, Finished, load
from raftgate.config.flags import FLAGS, Flag, Support

PEERS = Path.home() / ".cache" / "raftgate-peers" / "bin"
ETCD = shutil.which("etcd") or shutil.which("etcd", path=str(PEERS))
NO_EFFECT = "flag accepted but has no effect"


def resolve(host: str) -> str:
    return {"localhost": "127.0.0.1"}.get(host, host)


def read(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> Config:
    return load(argv, environ or {}, find_host=lambda: None, resolve=resolve)


def refuse(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(argv, environ)
    return caught.value


def messages(config: Config, text: str) -> list[Mapping[str, object]]:
    return [note.fields for note in config.notes if note.message == text]


ADVERTISE = "--advertise-client-urls=http://127.7.30.1:23790"
PEER = "http://127.0.0.1:23800"
CLUSTER = ("--name=n1", f"--initial-advertise-peer-urls={PEER}", f"--listen-peer-urls={PEER}")

# arguments, exit code, text on stderr or in the field `error`, whether etcd 3.5 and 3.6 say the same
MISTAKES = [
    (["--bogus-flag"], 2, "flag provided but not defined: -bogus-flag", True),
    (["--heartbeat-interval", "abc"], 2, 'invalid value "abc" for flag -heartbeat-interval: parse error', True),
    (["--heartbeat-interval=-1"], 2, 'invalid value "-1" for flag -heartbeat-interval: parse error', True),
    (
        ["--heartbeat-interval=99999999999999999999"],
        2,
        'invalid value "99999999999999999999" for flag -heartbeat-interval: value out of range',
        True,
    ),
    (["--heartbeat-interval"], 2, "flag needs an argument: -heartbeat-interval", True),
    (["--pre-vote=maybe"], 2, 'invalid boolean value "maybe" for -pre-vote: parse error', True),
    (["---x"], 2, "bad flag syntax: ---x", True),
    (["-=3"], 2, "bad flag syntax: -=3", True),
    (
        ["--max-concurrent-streams=x"],
        2,
        'invalid value "x" for flag -max-concurrent-streams: strconv.ParseUint: parsing "x": invalid syntax',
        True,
    ),
    (
        ["--max-concurrent-streams=4294967296"],
        2,
        'flag -max-concurrent-streams: strconv.ParseUint: parsing "4294967296": value out of range',
        True,
    ),
    (["--grpc-keepalive-timeout=5"], 2, 'invalid value "5" for flag -grpc-keepalive-timeout: parse error', True),
    (
        ["--initial-cluster-state=foo"],
        2,
        'invalid value "foo" for flag -initial-cluster-state: invalid value',
        True,
    ),
    (["--v2-deprecation=foo"], 2, 'invalid value "foo" for flag -v2-deprecation: invalid value "foo"', True),
    (
        ["--listen-client-urls", "127.0.0.1:2379"],
        2,
        (
            'invalid value "127.0.0.1:2379" for flag -listen-client-urls: '
            'parse "127.0.0.1:2379": first path segment in URL cannot contain colon'
        ),
        True,
    ),
    (
        ["--listen-client-urls=http://127.7.1.1"],
        2,
        'URL address does not have the form "host:port": http://127.7.1.1',
        True,
    ),
    (
        ["--listen-client-urls=http://127.7.1.1:2379/path"],
        2,
        "URL must not contain a path: http://127.7.1.1:2379/path",
        True,
    ),
    (
        ["--listen-client-urls=ftp://1.1.1.1:1"],
        2,
        "URL scheme must be http, https, unix, or unixs: ftp://1.1.1.1:1",
        True,
    ),
    (["--cors="], 2, 'invalid value "" for flag -cors: URL scheme must be http, https, unix, or unixs: ', True),
    (["--feature-gates=X=true"], 2, "for flag -feature-gates: unrecognized feature gate: X", False),
    (["stray"], 1, '"stray" is not a valid flag', False),
    (["--pre-vote", "false"], 1, '"false" is not a valid flag', False),
    (["--v", "3"], 1, '"3" is not a valid flag', False),
    (["--", "x"], 1, '"x" is not a valid flag', False),
    (["-"], 1, '"-" is not a valid flag', False),
    (
        ["--listen-peer-urls=http://example.com:2380"],
        1,
        "expected IP in URL for binding (http://example.com:2380)",
        True,
    ),
    (
        ["--listen-client-urls=http://127.7.30.1:23790", "--advertise-client-urls=http://:2379"],
        1,
        '--advertise-client-urls "http://:2379" must be "host:port" (unexpected empty host (http://:2379))',
        True,
    ),
    (
        ["--initial-advertise-peer-urls=http://:2380"],
        1,
        '--initial-advertise-peer-urls "http://:2380" must be "host:port" (unexpected empty host (http://:2380))',
        True,
    ),
    (
        ["--listen-client-urls=http://127.7.30.1:23790"],
        1,
        "--advertise-client-urls is required when --listen-client-urls is set explicitly",
        True,
    ),
    (
        ["--listen-client-urls="],
        1,
        "--advertise-client-urls is required when --listen-client-urls is set explicitly",
        True,
    ),
    (
        ["--election-timeout=400"],
        1,
        "--election-timeout[400ms] should be at least as 5 times as --heartbeat-interval[100ms]",
        True,
    ),
    (
        ["--election-timeout=60000"],
        1,
        "--election-timeout[60000ms] is too long, and should be set less than 50000ms",
        True,
    ),
    (["--heartbeat-interval=0"], 1, "--heartbeat-interval must be >0 (set to 0ms)", True),
    (["--election-timeout=0"], 1, "--election-timeout must be >0 (set to 0ms)", True),
    (
        ["--initial-cluster=default=http://localhost:2380", "--discovery-srv=example.com"],
        1,
        'multiple discovery or bootstrap flags are set. Choose one of "initial-cluster", "discovery"',
        True,
    ),
    (
        ["--discovery=http://127.0.0.1:1/x", "--discovery-srv=example.com"],
        1,
        'Choose one of "initial-cluster", "discovery", "discovery-endpoints" or "discovery-srv"',
        False,
    ),
    (["--discovery-token=x"], 1, "both --discovery-token and --discovery-endpoints must be set", False),
    (
        [*CLUSTER, f"--initial-cluster=n2={PEER}"],
        1,
        'couldn\'t find local name "n1" in the initial cluster configuration',
        True,
    ),
    ([*CLUSTER, "--initial-cluster="], 1, 'couldn\'t find local name "n1" in the initial cluster configuration', True),
    (
        [*CLUSTER, "--initial-cluster=n1=http://127.0.0.1:2381"],
        1,
        (
            f"--initial-cluster has n1=http://127.0.0.1:2381 but missing from --initial-advertise-peer-urls={PEER} "
            f'(resolved urls: "{PEER}" != "http://127.0.0.1:2381")'
        ),
        True,
    ),
    (
        [*CLUSTER, f"--initial-cluster=n1={PEER},n1=http://127.0.0.1:2381"],
        1,
        (
            f"--initial-cluster has n1=http://127.0.0.1:2381 but missing from --initial-advertise-peer-urls={PEER} "
            f'(len(["{PEER}"]) != len(["http://127.0.0.1:23800" "http://127.0.0.1:2381"]))'
        ),
        True,
    ),
    (
        [*CLUSTER, f"--initial-cluster=n1={PEER},n1={PEER}"],
        1,
        f"failed to resolve {PEER} to match --initial-cluster=n1={PEER}",
        True,
    ),
    (
        [*CLUSTER, "--initial-cluster=n1=x"],
        1,
        "error setting up initial cluster: URL scheme must be http, https, unix, or unixs: x",
        True,
    ),
    (
        [*CLUSTER, f"--initial-cluster=n1={PEER},n2={PEER}"],
        1,
        f"initial cluster n1={PEER},n2={PEER} has duplicate url",
        True,
    ),
    (["--auto-compaction-mode=foo"], 1, 'unknown auto-compaction-mode "foo"', True),
    (
        [
            "--auto-compaction-retention=abc",
            f"--listen-peer-urls={PEER}",
            "--listen-client-urls=http://127.7.30.1:23790",
            ADVERTISE,
        ],
        1,
        'error parsing CompactionRetention: time: invalid duration "abc"',
        True,
    ),
    (
        ["--auto-compaction-mode=revision", "--auto-compaction-retention=1h"],
        1,
        'error parsing CompactionRetention: strconv.ParseInt: parsing "1h": invalid syntax',
        False,
    ),
    (
        ["--listen-client-urls=https://127.7.30.1:23790", ADVERTISE, f"--listen-peer-urls={PEER}"],
        1,
        (
            "TLS key/cert (--cert-file, --key-file) must be provided for client url https://127.7.30.1:23790 "
            "with HTTPS scheme"
        ),
        True,
    ),
    (
        ["--listen-peer-urls=https://127.7.30.1:23800"],
        1,
        "cannot listen on TLS for 127.7.30.1:23800: KeyFile and CertFile are not presented",
        True,
    ),
    (
        ["--tls-min-version=TLS1.1"],
        1,
        'unexpected TLS version "TLS1.1" (must be one of: TLS1.2, TLS1.3)',
        True,
    ),
    (
        ["--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"],
        1,
        "min version (TLS1.3) is greater than max version (TLS1.2)",
        True,
    ),
    (
        ["--tls-min-version=TLS1.3", "--cipher-suites=TLS_AES_128_GCM_SHA256"],
        1,
        "cipher suites cannot be configured when only TLS1.3 is enabled",
        True,
    ),
    (["--log-level=loud"], 2, 'unrecognized level: "loud"', True),
    (["--logger=capnslog"], 1, "--logger=capnslog is removed in v3.5", True),
    (["--logger=x"], 1, 'unknown logger option "x"', True),
    (["--log-format=x"], 1, "unknown log format: x, supported values json, console", False),
    (
        ["--log-outputs=default,stdout"],
        1,
        'multi logoutput for "default" is not supported yet',
        True,
    ),
    (
        ["--enable-log-rotation"],
        1,
        "--log-outputs requires a single file path when --log-rotate-config-json is defined",
        True,
    ),
    (
        ["--enable-log-rotation", "--log-outputs=a.log,b.log"],
        1,
        "--log-outputs requires a single file path when --log-rotate-config-json is defined",
        True,
    ),
    (
        ["--enable-log-rotation", "--log-outputs=a.log", "--log-rotation-config-json={"],
        1,
        "improperly formatted log rotation config: ",
        True,
    ),
    (
        ["--enable-log-rotation", "--log-outputs=a.log", '--log-rotation-config-json={"maxsize": "x"}'],
        1,
        "invalid log rotation config: ",
        True,
    ),
    (["--auth-token=foo", *CLUSTER], 1, "auth: invalid auth options", False),
    (["--auth-token=jwt,sign-method=RS256", *CLUSTER], 1, "auth: missing key data", False),
    (["--config-file=nope.yml"], 1, "open nope.yml: no such file or directory", True),
    (
        ["--discovery-fallback=proxy"],
        1,
        'v2 proxy is deprecated, and --discovery-fallback can\'t be configured as "proxy"',
        False,
    ),
    (["--compact-hash-check-time=0"], 1, "--compact-hash-check-time must be >0 (set to 0s)", False),
    (
        ["--feature-gates=LeaseCheckpointPersist=true"],
        1,
        "enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint",
        False,
    ),
    (
        ["--corrupt-check-time=1s", "--experimental-corrupt-check-time=1s"],
        1,
        (
            "cannot set --experimental-corrupt-check-time and --corrupt-check-time at the same time, "
            "please use --corrupt-check-time only"
        ),
        False,
    ),
    (
        ["--feature-gates=InitialCorruptCheck=false", "--experimental-initial-corrupt-check"],
        1,
        (
            "cannot specify both flags: --experimental-initial-corrupt-check=true and "
            "--feature-gates=InitialCorruptCheck=false at the same time"
        ),
        False,
    ),
]


@pytest.mark.parametrize(
    ("argv", "exit_code", "text"), [row[:3] for row in MISTAKES], ids=lambda value: str(value)[:60]
)
def test_a_mistake_has_etcds_exit_code_and_text(argv: list[str], exit_code: int, text: str) -> None:
    error = refuse(argv)
    assert error.exit_code == exit_code
    if exit_code == 2:
        assert error.stderr.splitlines()[0].endswith(text)
    else:
        assert not error.stderr
        assert error.notes[-1].message in {"failed to verify flags", "discovery failed"}
        assert text in str(error.notes[-1].fields["error"])
        assert str(error) == error.notes[-1].fields["error"]


@pytest.mark.peer
@pytest.mark.slow
@pytest.mark.skipif(ETCD is None, reason="etcd is not installed")
@pytest.mark.parametrize(
    ("argv", "exit_code", "text"),
    [row[:3] for row in MISTAKES if row[3]],
    ids=lambda value: str(value)[:60],
)
def test_etcd_itself_says_the_same(argv: list[str], exit_code: int, text: str, tmp_path: Path) -> None:
    assert ETCD is not None
    # what etcd finds only when it starts needs ports of its own; a later repetition of a flag wins
    ports = ["--listen-client-urls=http://127.7.30.1:23790", ADVERTISE, f"--listen-peer-urls={PEER}"]
    starts = any(word.startswith(("--initial-cluster=n1", "--initial-cluster=n2")) for word in argv) or len(argv) == 4
    done = subprocess.run(
        [ETCD, *(ports if starts else []), *argv],
        cwd=tmp_path,
        env={"PATH": os.defpath, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == exit_code
    assert text in done.stderr.replace('\\"', '"')


def test_a_flag_mistake_is_one_line_and_the_short_usage() -> None:
    lines = refuse(["--bogus"]).stderr.splitlines()
    assert lines[1] == "Usage:"
    assert len(lines) < 20


def test_an_unknown_log_level_is_one_line() -> None:
    assert refuse(["--log-level=loud"]).stderr == 'unrecognized level: "loud"\n'


def test_what_only_warns() -> None:
    config = read(["--bcrypt-cost=50", "--max-request-bytes=20000000"])
    (cost,) = messages(config, "use default bcrypt cost instead of the invalid given cost")
    assert cost["given-cost"] == 50
    assert messages(config, "exceeded recommended request limit")


# 1. Where a value comes from


def test_a_variable_gives_the_value_and_is_told() -> None:
    config = read([], {"ETCD_HEARTBEAT_INTERVAL": "150", "ETCD_NAME": "n1"})
    assert config.heartbeat_interval == 0.15
    used = messages(config, "recognized and used environment variable")
    assert {"variable-name": "ETCD_NAME", "variable-value": "n1"} in used
    assert len(used) == 2


def test_an_empty_variable_counts_as_unset() -> None:
    config = read([], {"ETCD_NAME": ""})
    assert config.name == "default"
    assert not messages(config, "recognized and used environment variable")


@pytest.mark.parametrize("value", ["n1", ""])
def test_flag_and_variable_for_the_same_setting_conflict(value: str) -> None:
    error = refuse(["--name=n1"], {"ETCD_NAME": value})
    assert error.exit_code == 1
    note = error.notes[-1]
    assert note.level == logging.CRITICAL
    assert note.message == (
        "conflicting environment variable is shadowed by corresponding command-line flag "
        "(either unset environment variable or disable flag))"
    )
    assert note.fields == {"environment-variable": "ETCD_NAME"}


def test_a_bad_value_in_a_variable() -> None:
    error = refuse([], {"ETCD_HEARTBEAT_INTERVAL": "abc", "ETCD_NAME": "n1"})
    assert error.exit_code == 1
    assert str(error) == 'invalid value "abc" for ETCD_HEARTBEAT_INTERVAL: parse error'
    assert error.notes[0].message == "recognized and used environment variable"


def test_unknown_variables_are_warned_about_without_secrets() -> None:
    environ = {"ETCD_PORT": "tcp://1.2.3.4", "ETCD_MY_PASSWORD": "p", "RAFTGATE_X_KEY": "k", "HOME": "/", "ETCDX": "y"}
    unknown = [
        fields["environment-variable"] for fields in messages(read([], environ), "unrecognized environment variable")
    ]
    assert unknown == ["ETCD_MY_PASSWORD=<redacted>", "ETCD_PORT=tcp://1.2.3.4", "RAFTGATE_X_KEY=<redacted>"]


def test_etcd_version_is_no_setting() -> None:
    config = read([], {"ETCD_VERSION": "3"})
    assert messages(config, "cannot set special environment variable") == [{"key": "ETCD_VERSION", "value": "3"}]
    assert not messages(config, "unrecognized environment variable")


def test_raftgates_own_flags_have_their_own_variables() -> None:
    assert read([], {"RAFTGATE_HEALTH_TIMEOUT": "5s"}).raftgate_health_timeout == 5.0
    assert messages(read([], {"ETCD_RAFTGATE_HEALTH_TIMEOUT": "5s"}), "unrecognized environment variable")
    assert refuse(["--raftgate-health-timeout=5s"], {"RAFTGATE_HEALTH_TIMEOUT": "5s"}).exit_code == 1


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "member.yml"
    path.write_text("name: filed\nheartbeat-interval: 200\nraftgate:\n  health-timeout: 4s\n")
    return path


def test_a_file_replaces_flags_and_variables(file: Path) -> None:
    environ = {"ETCD_NAME": "env", "ETCD_ELECTION_TIMEOUT": "abc", "ETCD_UNKNOWN": "x"}
    config = read(["--name=other", "--log-level=debug", f"--config-file={file}"], environ)
    assert (config.name, config.heartbeat_interval, config.log_level) == ("filed", 0.2, "info")
    assert config.raftgate_health_timeout == 4.0
    (loaded,) = [note for note in config.notes if "loaded server configuration" in note.message]
    assert (loaded.level, loaded.fields) == (logging.INFO, {"path": str(file)})
    assert not messages(config, "unrecognized environment variable")


def test_the_variable_names_the_file_only_without_the_flag(file: Path) -> None:
    assert read(["--name=other"], {"ETCD_CONFIG_FILE": str(file)}).name == "filed"
    assert read([f"--config-file={file}"], {"ETCD_CONFIG_FILE": "nope.yml"}).name == "filed"
    assert refuse(["--bogus", f"--config-file={file}"]).exit_code == 2


def test_a_repeated_flag_counts_once_and_last() -> None:
    assert read(["--name=a", "-name", "b", "--snapshot-count=0x10"]).name == "b"


# 2. All settings

SAMPLES = {
    "string": "x",
    "int": "7",
    "int64": "7",
    "uint": "7",
    "uint32": "7",
    "uint64": "7",
    "duration": "7s",
    "URL list": "http://127.0.0.1:7",
    "comma separated string": "a,b",
    "list": "a,b",
}


def sample(flag: Flag) -> str:
    if flag.name == "feature-gates":
        return "LeaseCheckpoint=true"
    return SAMPLES.get(flag.kind.name, flag.default or "true")


def is_unparsed(argv: list[str]) -> bool:
    try:
        read(argv)
    except ConfigError as error:
        return error.exit_code == 2 and error.stderr != 'unrecognized level: "x"\n'
    return False


@pytest.mark.parametrize("flag", [flag for flag in FLAGS.values() if flag.name not in {"help", "version"}], ids=str)
def test_every_flag_parses_in_all_spellings(flag: Flag) -> None:
    text = sample(flag)
    spellings = [[f"-{flag.name}={text}"], [f"--{flag.name}={text}"]]
    spellings += [[f"-{flag.name}"], [f"--{flag.name}"]] if flag.kind.is_switch else []
    spellings += [] if flag.kind.is_switch else [[f"-{flag.name}", text], [f"--{flag.name}", text]]
    assert not any(map(is_unparsed, spellings))


def test_the_names_of_the_program_flags() -> None:
    for argv in (["--version"], ["-version"], ["--version=true"], ["-h"], ["--h"], ["-help"], ["--help=false"]):
        with pytest.raises(Finished):
            read(argv)
    assert read(["--version=false"]).name == "default"


@pytest.mark.parametrize("flag", FLAGS.values(), ids=lambda flag: flag.name)
def test_every_default_is_accepted_as_a_flag(flag: Flag) -> None:
    if flag.name in {"version", "help"} or flag.kind.is_switch or not flag.default:
        return
    argv = ["--advertise-client-urls=http://localhost:2379", f"--{flag.name}={flag.default}"]
    assert read(argv).name == "default"


@pytest.mark.parametrize(
    "flag", [f for f in FLAGS.values() if f.support is Support.NO_EFFECT], ids=lambda flag: flag.name
)
def test_a_flag_without_effect_warns_once(flag: Flag) -> None:
    text = "gone" if flag.name == "v2-deprecation" else sample(flag)
    config = read([f"--{flag.name}={text}"])
    assert messages(config, NO_EFFECT) == [{"flag": f"--{flag.name}"}]


OTHER = {
    "bcrypt-cost": "12",
    "auth-token": "jwt,pub-key=a,priv-key=b",
    "tls-min-version": "TLS1.3",
    "tls-max-version": "TLS1.3",
    "auto-compaction-mode": "revision",
    "auto-compaction-retention": "1h",
}


@pytest.mark.parametrize(
    "flag", [f for f in FLAGS.values() if f.support in {Support.LATER, Support.REFUSED}], ids=lambda flag: flag.name
)
def test_a_flag_of_later_is_refused_by_name(flag: Flag) -> None:
    other = OTHER.get(flag.name, sample(flag))
    if flag.kind.name == "bool":
        other = "false" if flag.default == "true" else "true"
    argv = [f"--{flag.name}={other}"]
    if flag.name in {"discovery-token", "discovery-endpoints"}:
        argv = ["--discovery-token=x", "--discovery-endpoints=127.0.0.1:2379"]
    error = refuse(argv)
    assert error.exit_code == 1
    name = "discovery-endpoints" if "token" in flag.name and "discovery" in flag.name else flag.name
    ending = "is not supported" if flag.support is Support.REFUSED else "is not supported yet"
    assert str(error) == f"--{name} {ending}"


def test_help_names_every_flag_with_its_default() -> None:
    with pytest.raises(Finished) as caught:
        read(["--help"])
    lines = caught.value.stdout.splitlines()
    for flag in FLAGS.values():
        assert f"  --{flag.name} '{flag.default}'" in lines


@pytest.mark.peer
@pytest.mark.slow
@pytest.mark.skipif(ETCD is None, reason="etcd is not installed")
def test_every_flag_of_etcds_help_is_known() -> None:
    assert ETCD is not None
    shown = subprocess.run([ETCD, "--help"], capture_output=True, text=True, timeout=20, check=False).stdout
    names = set(re.findall(r"^ +--([a-z0-9-]+)", shown, re.MULTILINE))
    assert len(names) > 100
    gone_in_36 = {name for name in names if name.startswith("proxy")} | {"enable-v2"}
    assert names - gone_in_36 <= FLAGS.keys()


@pytest.mark.peer
@pytest.mark.slow
@pytest.mark.skipif(ETCD is None, reason="etcd is not installed")
def test_defaults_are_those_of_etcds_help() -> None:
    assert ETCD is not None
    shown = subprocess.run([ETCD, "--help"], capture_output=True, text=True, timeout=20, check=False).stdout
    defaults = dict(re.findall(r"^ +--([a-z0-9-]+) '(.*)'$", shown, re.MULTILINE))
    differ = {name for name in defaults.keys() & FLAGS.keys() if FLAGS[name].default != defaults[name]}
    assert differ == {
        "backend-batch-interval",  # '' in the help, 0s in fact
        "data-dir",  # '${name}.etcd'
        "discovery-fallback",  # 3.6: exit
        "max-concurrent-streams",  # 'math.MaxUint32'
        "snapshot-count",  # 3.6: 10000
        "v2-deprecation",  # 3.6: write-only
    }


# 3. Feature gates and spellings of 3.5


def test_gates_without_effect_warn_and_defaults_pass() -> None:
    config = read(["--feature-gates=SetMemberLocalAddr=true,LeaseCheckpoint=false"])
    assert messages(config, NO_EFFECT) == [{"flag": "--feature-gates=SetMemberLocalAddr"}]


@pytest.mark.parametrize(
    ("argv", "environ"),
    [
        (["--feature-gates=LeaseCheckpoint=true"], {}),
        (["--experimental-enable-lease-checkpoint"], {}),
        ([], {"ETCD_EXPERIMENTAL_ENABLE_LEASE_CHECKPOINT": "true"}),
        (["--feature-gates=AllAlpha=true"], {}),
    ],
)
def test_gates_of_later_are_refused_by_name(argv: list[str], environ: dict[str, str]) -> None:
    assert re.fullmatch(r"--feature-gates=\w+=true is not supported yet", str(refuse(argv, environ)))


def test_an_unknown_gate_in_a_variable_or_file_is_exit_1(tmp_path: Path) -> None:
    error = refuse([], {"ETCD_FEATURE_GATES": "X=true"})
    assert (error.exit_code, str(error)) == (
        1,
        'invalid value "X=true" for ETCD_FEATURE_GATES: unrecognized feature gate: X',
    )
    path = tmp_path / "x.yml"
    path.write_text("feature-gates: X=true\n")
    assert str(refuse([f"--config-file={path}"])) == "unrecognized feature gate: X"


def test_an_old_spelling_sets_the_new_name_and_warns() -> None:
    config = read(["--experimental-warning-apply-duration=250ms"])
    assert config.warning_apply_duration == 0.25
    text = "--experimental-warning-apply-duration is deprecated in 3.6 and will be decommissioned in 3.7."
    assert [note.level for note in config.notes if note.message.startswith(text)] == [logging.WARNING]


@pytest.mark.parametrize("flag", [f for f in FLAGS.values() if f.support is Support.OLD], ids=lambda flag: flag.name)
def test_every_old_spelling_at_its_default_warns_and_runs(flag: Flag) -> None:
    config = read([f"--{flag.name}={flag.default}"])
    assert sum("decommissioned in 3.7" in note.message for note in config.notes) == 1


def test_old_flags_without_meaning_are_silent() -> None:
    plain = read([])
    flags = [f"--{flag.name}" for flag in FLAGS.values() if flag.support is Support.SILENT]
    assert len(flags) == 15
    assert read(flags).notes == plain.notes
