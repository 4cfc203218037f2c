import json

import pytest

from raftgate.ctl.commands import GLOBAL_FLAGS
from raftgate.ctl.errors import CommandError, ConflictError, ExitCode
from raftgate.ctl.flags import Flag, Kind
from raftgate.ctl.settings import Settings, base_url, read_settings, variable
from tests.fakes.terminal import Terminal


def read(*words: str, **environ: str) -> Settings:
    return read_settings(Terminal(environ=environ).invocation(["get", "k", *words]))


def complaints(*words: str, **environ: str) -> str:
    invocation = Terminal(environ=environ).invocation(["get", "k", *words])
    read_settings(invocation)
    text: bytes = invocation.console.stderr.getvalue()  # type: ignore[attr-defined]  # a BytesIO
    return text.decode()


def test_defaults() -> None:
    assert read() == Settings(("127.0.0.1:2379",), 2.0, 5.0, "simple", is_hex=False)


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("endpoints", "a:1, b:2,", "endpoints", ("a:1", "b:2")),
        ("dial-timeout", "1500ms", "dial_timeout", 1.5),
        ("command-timeout", "1m", "command_timeout", 60.0),
        ("write-out", "json", "output", "json"),
        ("hex", "true", "is_hex", True),
        ("debug", "1", "debug", True),
        ("max-request-bytes", "10", "max_request_bytes", 10),
        ("max-recv-bytes", "0x10", "max_recv_bytes", 16),
    ],
)
def test_each_setting_comes_from_its_flag_or_its_variable(name: str, text: str, field: str, value: object) -> None:
    assert getattr(read(f"--{name}={text}"), field) == value
    assert getattr(read(**{variable(name): text}), field) == value


@pytest.mark.parametrize("name", ["keepalive-time", "keepalive-timeout"])
def test_keep_alive_flags_are_accepted(name: str) -> None:
    assert read(f"--{name}=9s") == read()
    assert read("--insecure-discovery=false") == read()


@pytest.mark.parametrize("flag", GLOBAL_FLAGS, ids=lambda flag: flag.name)
def test_a_flag_beside_its_variable_is_fatal(flag: Flag) -> None:
    name = flag.name
    shown = {Kind.BOOL: "true", Kind.INT: "1", Kind.DURATION: "1s"}.get(flag.kind, "x")
    with pytest.raises(ConflictError) as caught:
        read(f"--{name}={shown}", **{variable(name): shown})
    line = json.loads(caught.value.text)
    assert line["level"] == "fatal"
    assert line["environment-variable"] == variable(name)
    assert line["msg"].startswith("conflicting environment variable is shadowed by corresponding command-line flag")


def test_lenient_lets_the_flag_win() -> None:
    settings = read("--endpoints=flag:1", ETCDCTL_ENDPOINTS="variable:1", RAFTGATECTL_LENIENT="1")
    assert settings.endpoints == ("flag:1",)


def test_a_variable_that_is_empty_counts_as_unset() -> None:
    assert read(ETCDCTL_ENDPOINTS="") == read()


def test_a_variable_that_cannot_be_parsed_is_ignored_with_a_warning() -> None:
    assert read(ETCDCTL_HEX="zz") == read()
    expected = 'Warning: ETCDCTL_HEX is ignored: strconv.ParseBool: parsing "zz": invalid syntax\n'
    assert complaints(ETCDCTL_HEX="zz") == expected


def test_unknown_variables_are_told() -> None:
    text = complaints(ETCDCTL_BOGUS="1", ETCDCTL_API="3", ETCDCTL_WATCH_KEY="k", OTHER="1")
    assert text == "Warning: unrecognized environment variable ETCDCTL_BOGUS\n"


def test_an_unknown_format_is_a_bad_feature() -> None:
    with pytest.raises(CommandError) as caught:
        read("-w", "bogus")
    assert (caught.value.text, caught.value.code) == ("unsupported output format", ExitCode.BAD_FEATURE)


@pytest.mark.parametrize(
    "flag",
    ["cacert=x", "cert=x", "key=x", "user=x:y", "password=x", "discovery-srv=x", "discovery-srv-name=x",
     "insecure-skip-tls-verify=true", "insecure-transport=false"],
)  # fmt: skip
def test_tls_and_users_are_refused_plainly(flag: str) -> None:
    name, _, value = flag.partition("=")
    attempts: list[tuple[list[str], dict[str, str]]] = [([f"--{flag}"], {}), ([], {variable(name): value})]
    for words, environ in attempts:
        with pytest.raises(CommandError) as caught:
            read(*words, **environ)
        assert caught.value.code == ExitCode.ERROR
        assert f"--{name}" in caught.value.text
        assert caught.value.text.endswith("is not supported yet")


@pytest.mark.parametrize("name", ["cert", "key", "cacert"])
def test_an_empty_file_name_is_a_bad_argument(name: str) -> None:
    with pytest.raises(CommandError) as caught:
        read(f"--{name}", "")
    assert caught.value.text == f"empty string is passed to --{name} option"
    assert caught.value.code == ExitCode.BAD_ARGS


def test_debug_tells_all_values() -> None:
    lines = complaints("--debug", ETCDCTL_WRITE_OUT="json").splitlines()
    assert "ETCDCTL_ENDPOINTS=[127.0.0.1:2379]" in lines
    assert "ETCDCTL_WRITE_OUT=json" in lines
    assert "ETCDCTL_COMMAND_TIMEOUT=5s" in lines


def test_debug_never_tells_a_password() -> None:
    invocation = Terminal().invocation(["get", "k", "--debug", "--password=hidden", "--user=root:hidden"])
    with pytest.raises(CommandError):
        read_settings(invocation)
    assert b"hidden" not in invocation.console.stderr.getvalue()  # type: ignore[attr-defined]  # a BytesIO


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("127.0.0.1:2379", "http://127.0.0.1:2379"),
        ("http://h:1", "http://h:1"),
        ("http://h:1/", "http://h:1"),
        ("[::1]:2379", "http://[::1]:2379"),
        ("etcd-0.etcd", "http://etcd-0.etcd"),
    ],
)
def test_an_endpoint_without_scheme_means_http(endpoint: str, url: str) -> None:
    assert base_url(endpoint) == url


@pytest.mark.parametrize("endpoint", ["bogus://", "http://", "h:99999", "h:x", "http://u:p@h", "a b:1", "unix:///x"])
def test_bad_endpoints_are_bad_arguments(endpoint: str) -> None:
    with pytest.raises(CommandError) as caught:
        base_url(endpoint)
    assert (caught.value.text, caught.value.code) == (f'invalid endpoint "{endpoint}"', ExitCode.BAD_ARGS)


def test_https_is_for_later() -> None:
    with pytest.raises(CommandError, match="TLS is not supported yet"):
        base_url("https://h:1")
