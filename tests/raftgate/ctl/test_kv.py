import pytest

from raftgate.api.kv import (
    DeleteRangeRequest,
    DeleteRangeResponse,
    KeyValue,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    SortOrder,
    SortTarget,
)
from raftgate.api.message import Message
from raftgate.ctl.kv import prefix_end
from tests.fakes.terminal import FakeServer, Terminal, failure

FOO = KeyValue(key=b"foo", value=b"bar")
PAIRS = RangeResponse(kvs=(FOO, KeyValue(key=b"fox", value=b"\xff")), count=2)


def sent(*words: str, stdin: bytes = b"") -> Message:
    """The one request that a command line sends."""
    answers: dict[str, tuple[str, Message, type[Message]]] = {
        "get": ("/v3/kv/range", RangeResponse(), RangeRequest),
        "put": ("/v3/kv/put", PutResponse(), PutRequest),
        "del": ("/v3/kv/deleterange", DeleteRangeResponse(), DeleteRangeRequest),
    }
    path, answer, cls = answers[words[0]]
    server = FakeServer({path: answer})
    outcome = Terminal(server).run(*words, stdin=stdin)
    assert outcome.code == 0, outcome.err
    (request,) = server.sent(cls)
    return request


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        ("a", RangeRequest(key=b"a")),
        ("a b", RangeRequest(key=b"a", range_end=b"b")),
        ("a b c", RangeRequest(key=b"a", range_end=b"b")),
        ("a --prefix", RangeRequest(key=b"a", range_end=b"b")),
        ("a --from-key", RangeRequest(key=b"a", range_end=b"\0")),
        ("a --limit 3", RangeRequest(key=b"a", limit=3)),
        ("a --limit=-3", RangeRequest(key=b"a", limit=-3)),
        ("a --rev 7", RangeRequest(key=b"a", revision=7)),
        ("a --rev=-7", RangeRequest(key=b"a")),
        ("a --order descend", RangeRequest(key=b"a", sort_order=SortOrder.DESCEND)),
        ("a --order ASCEND", RangeRequest(key=b"a")),
        ("a --order ASCEND --sort-by KEY", RangeRequest(key=b"a")),
        ("a --sort-by VALUE", RangeRequest(key=b"a", sort_target=SortTarget.VALUE)),
        (
            "a --order ASCEND --sort-by modify",
            RangeRequest(key=b"a", sort_order=SortOrder.ASCEND, sort_target=SortTarget.MOD),
        ),
        ("a --sort-by create", RangeRequest(key=b"a", sort_target=SortTarget.CREATE)),
        ("a --sort-by version", RangeRequest(key=b"a", sort_target=SortTarget.VERSION)),
        ("a --consistency s", RangeRequest(key=b"a", serializable=True)),
        ("a --consistency l", RangeRequest(key=b"a")),
        ("a --keys-only", RangeRequest(key=b"a", keys_only=True)),
        ("a --count-only -w fields", RangeRequest(key=b"a", count_only=True)),
        ("a --print-value-only", RangeRequest(key=b"a")),
        (
            "a --min-create-rev 1 --max-create-rev 2 --min-mod-rev 3 --max-mod-rev 4",
            RangeRequest(
                key=b"a", min_create_revision=1, max_create_revision=2, min_mod_revision=3, max_mod_revision=4
            ),
        ),
        ("a --min-mod-rev 3 --max-create-rev=-1", RangeRequest(key=b"a", min_mod_revision=3)),
        ("-- -a --prefix", RangeRequest(key=b"-a", range_end=b"--prefix")),
    ],
)
def test_get_requests(words: str, request_: Message) -> None:
    assert sent("get", *words.split()) == request_


@pytest.mark.parametrize("flag", ["--prefix", "--from-key"])
def test_an_empty_prefix_or_start_means_all_keys(flag: str) -> None:
    assert sent("get", "", flag) == RangeRequest(key=b"\0", range_end=b"\0")
    assert sent("del", "", flag) == DeleteRangeRequest(key=b"\0", range_end=b"\0")


def test_keys_that_are_not_utf8() -> None:
    assert sent("get", "\udcff\udcfe", "--prefix") == RangeRequest(key=b"\xff\xfe", range_end=b"\xff\xff")


@pytest.mark.parametrize(
    ("prefix", "end"), [(b"a", b"b"), (b"a\xff", b"b"), (b"a\xff\xff", b"b"), (b"\xff", b"\0"), (b"\0", b"\1")]
)
def test_the_end_of_a_prefix(prefix: bytes, end: bytes) -> None:
    assert prefix_end(prefix) == end


@pytest.mark.parametrize(
    ("words", "stdin", "request_"),
    [
        ("k v", b"", PutRequest(key=b"k", value=b"v")),
        ("k v w x", b"", PutRequest(key=b"k", value=b"v")),
        ("k", b"from\nstdin\n\xff", PutRequest(key=b"k", value=b"from\nstdin\n\xff")),
        ("k v --lease 1f", b"", PutRequest(key=b"k", value=b"v", lease=31)),
        ("k v --lease=-1f", b"", PutRequest(key=b"k", value=b"v", lease=-31)),
        ("k v --prev-kv", b"", PutRequest(key=b"k", value=b"v", prev_kv=True)),
        ("k --ignore-value", b"unread", PutRequest(key=b"k", ignore_value=True)),
        ("k v --ignore-lease", b"", PutRequest(key=b"k", value=b"v", ignore_lease=True)),
        ("-- -k -v", b"", PutRequest(key=b"-k", value=b"-v")),
        ("k -- -v", b"", PutRequest(key=b"k", value=b"-v")),
    ],
)
def test_put_requests(words: str, stdin: bytes, request_: Message) -> None:
    assert sent("put", *words.split(), stdin=stdin) == request_


def test_put_may_store_an_empty_value() -> None:
    assert sent("put", "k", "") == PutRequest(key=b"k")


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        ("a", DeleteRangeRequest(key=b"a")),
        ("a --range", DeleteRangeRequest(key=b"a")),
        ("a b --range", DeleteRangeRequest(key=b"a", range_end=b"b")),
        ("a --prefix", DeleteRangeRequest(key=b"a", range_end=b"b")),
        ("a --from-key --prev-kv", DeleteRangeRequest(key=b"a", range_end=b"\0", prev_kv=True)),
    ],
)
def test_delete_requests(words: str, request_: Message) -> None:
    assert sent("del", *words.split()) == request_


def test_deleting_a_range_gives_two_seconds_to_interrupt() -> None:
    server = FakeServer({"/v3/kv/deleterange": DeleteRangeResponse(deleted=2)})
    terminal = Terminal(server)
    outcome = terminal.run("del", "a", "b")
    assert terminal.time.slept == [2.0]
    assert outcome.err.startswith('Warning: Keys between "a" and "b" will be deleted.')
    assert (outcome.code, outcome.out) == (0, "2\n")
    terminal.time.slept.clear()
    assert terminal.run("del", "a", "b", "--range").err == ""
    assert terminal.time.slept == []


def test_put_tells_of_words_that_it_ignores() -> None:
    outcome = Terminal(FakeServer({"/v3/kv/put": PutResponse()})).run("put", "k", "a", "b", "c")
    assert (outcome.code, outcome.out) == (0, "OK\n")
    assert outcome.err == "Warning: put takes one value, ignored: b c\n"


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ("get", 128, "get command needs one argument as key and an optional argument as range_end"),
        ("get a --prefix --from-key", 128,
         "`--prefix` and `--from-key` cannot be set at the same time, choose one"),
        ("get a --keys-only --count-only", 128,
         "`--keys-only` and `--count-only` cannot be set at the same time, choose one"),
        ("get a b --prefix", 128,
         "too many arguments, only accept one argument when `--prefix` or `--from-key` is set"),
        ("get a b --from-key", 128,
         "too many arguments, only accept one argument when `--prefix` or `--from-key` is set"),
        ("get a --consistency z --order XX", 4, 'unknown consistency flag "z"'),
        ("get a --order XX --sort-by YY", 4, "bad sort order XX"),
        ("get a --sort-by mod", 4, "bad sort target mod"),
        ("get a --min-mod-rev 3 --max-mod-rev 2", 4, "--min-mod-rev(=3) > --max-mod-rev(=2)"),
        ("get a --count-only", 128, "--count-only is only for `--write-out=fields`"),
        ("get a --print-value-only -w json", 128, "print-value-only is only for `--write-out=simple`"),
        ("get a --count-only -w bogus", 4, "unsupported output format"),
        ("get a -w table", 4, "table not supported as output format"),
        ("put", 128, "put command needs 1 argument and input from stdin or 2 arguments"),
        ("put k", 128, "put command needs 1 argument and input from stdin or 2 arguments"),
        ("put k v --ignore-value", 128, "put command needs only 1 argument when 'ignore-value' is set"),
        ("put k v --lease zz", 128,
         'bad lease ID (strconv.ParseInt: parsing "zz": invalid syntax), expecting ID in Hex'),
        ("put k v -w protobuf", 4, "protobuf not supported as output format"),
        ("del", 128, "del command needs one argument as key and an optional argument as range_end"),
        ("del a b c", 128, "del command needs one argument as key and an optional argument as range_end"),
        ("del a --prefix --from-key", 128,
         "`--prefix` and `--from-key` cannot be set at the same time, choose one"),
        ("del a b --prefix --range", 128,
         "too many arguments, only accept one argument when `--prefix` or `--from-key` is set"),
        ("del a -w table", 4, "table not supported as output format"),
    ],
)  # fmt: skip
def test_bad_command_lines_are_refused_before_anything_is_sent(words: str, code: int, text: str) -> None:
    server = FakeServer()
    outcome = Terminal(server).run(*words.split())
    assert (outcome.code, outcome.out, outcome.err) == (code, "", f"Error: {text}\n")
    assert server.requests == []


@pytest.mark.parametrize(
    ("words", "out"),
    [
        ("get foo", "foo\nbar\nfox\n\udcff\n"),
        ("get foo --print-value-only", "bar\n\udcff\n"),
        ("get foo --hex", "\\x66\\x6f\\x6f\n\\x62\\x61\\x72\n\\x66\\x6f\\x78\n\\xff\n"),
        ("get foo -w json", '{"kvs":[{"key":"Zm9v","value":"YmFy"},{"key":"Zm94","value":"/w=="}],"count":2}\n'),
        ("put a b", "OK\nfoo\nbar\n"),
        ("del a", "1\nfoo\nbar\n"),
    ],
)
def test_answers_are_printed(words: str, out: str) -> None:
    server = FakeServer(
        {
            "/v3/kv/range": PAIRS,
            "/v3/kv/put": PutResponse(prev_kv=FOO),
            "/v3/kv/deleterange": DeleteRangeResponse(deleted=1, prev_kvs=(FOO,)),
        }
    )
    outcome = Terminal(server).run(*words.split())
    assert (outcome.code, outcome.out, outcome.err) == (0, out, "")


def test_a_servers_error_is_told_with_exit_code_one() -> None:
    server = FakeServer({"/v3/kv/put": failure(404, 5, "etcdserver: requested lease not found")})
    outcome = Terminal(server).run("put", "k", "v", "--lease", "1")
    assert (outcome.code, outcome.out, outcome.err) == (1, "", "Error: etcdserver: requested lease not found\n")
