import pytest

from raftgate.api.kv import (
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRangeRequest,
    PutRequest,
    PutResponse,
    RangeRequest,
    RequestOp,
    ResponseOp,
    TxnRequest,
    TxnResponse,
)
from raftgate.ctl.errors import CommandError, ExitCode
from raftgate.ctl.txn import parse_compare, parse_operation, split_words
from tests.fakes.terminal import FakeServer, Outcome, Terminal

OK = TxnResponse(succeeded=True, responses=(ResponseOp(response_put=PutResponse()),))


def run(text: str | bytes, *words: str) -> tuple[Outcome, list[TxnRequest]]:
    server = FakeServer({"/v3/kv/txn": OK})
    outcome = Terminal(server).run("txn", *words, stdin=text.encode() if isinstance(text, str) else text)
    return outcome, [request for request in server.sent(TxnRequest) if isinstance(request, TxnRequest)]


def operation(line: str) -> RequestOp:
    return parse_operation(line, Terminal().invocation(["txn"], stdin=b"put's value"))


@pytest.mark.parametrize(
    ("target", "enum", "field", "operand", "value"),
    [
        ("c", CompareTarget.CREATE, "create_revision", "5", 5),
        ("create", CompareTarget.CREATE, "create_revision", "-5", -5),
        ("m", CompareTarget.MOD, "mod_revision", "+5", 5),
        ("mod", CompareTarget.MOD, "mod_revision", "0", 0),
        ("ver", CompareTarget.VERSION, "version", "5", 5),
        ("version", CompareTarget.VERSION, "version", "5", 5),
        ("val", CompareTarget.VALUE, "value", "5", b"5"),
        ("value", CompareTarget.VALUE, "value", "", b""),
        ("lease", CompareTarget.LEASE, "lease", "1f", 31),
    ],
)
def test_compare_targets(target: str, enum: CompareTarget, field: str, operand: str, value: object) -> None:
    compare = parse_compare(f'{target}("k") = "{operand}"')
    assert compare == Compare(target=enum, key=b"k", **{field: value})  # type: ignore[arg-type]  # each its own type


@pytest.mark.parametrize(
    ("operator", "result"),
    [
        ("=", CompareResult.EQUAL),
        ("!=", CompareResult.NOT_EQUAL),
        ("<", CompareResult.LESS),
        (">", CompareResult.GREATER),
    ],
)
def test_compare_operators(operator: str, result: CompareResult) -> None:
    assert parse_compare(f'val("k") {operator} "v"').result is result


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ('val("a b\\n") = "\\x41\\""', b"a b\n", b'A"'),
        ("val(`a`) = `b\\n`", b"a", b"b\\n"),
        ('val( "a")   =   "b" and more', b"a", b"b"),
        ('val("\udcff") = "\\xfe"', b"\xff", b"\xfe"),
    ],
)
def test_keys_and_values_are_go_literals(line: str, key: bytes, value: bytes) -> None:
    compare = parse_compare(line)
    assert (compare.key, compare.value) == (key, value)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("bogus", "malformed comparison: bogus"),
        ('bogus("key1") = "nope"', 'malformed comparison: bogus("key1") = "nope" (unknown target bogus)'),
        ('val ("k") = "v"', 'malformed comparison: val ("k") = "v" (unknown target val )'),
        ('val(k) = "v"', 'malformed comparison: val(k) = "v"; got val("")  ""'),
        ("val('k') = \"v\"", 'malformed comparison: val(\'k\') = "v"; got val("")  ""'),
        ('val("k\\q") = "v"', 'malformed comparison: val("k\\q") = "v"; got val("")  ""'),
        ('val("k"', 'malformed comparison: val("k"; got val("k")  ""'),
        ('val("k" ) = "v"', 'malformed comparison: val("k" ) = "v"; got val("k")  ""'),
        ('val("k")="v"', 'malformed comparison: val("k")="v"; got val("k")  ""'),
        ('val("k") ="v"', 'malformed comparison: val("k") ="v"; got val("k") ="v" ""'),
        ('val("k") =', 'malformed comparison: val("k") =; got val("k") = ""'),
        ('val("k") = v', 'malformed comparison: val("k") = v; got val("k") = ""'),
        ('val("k") = "\\\'"', 'malformed comparison: val("k") = "\\\'"; got val("k") = ""'),
        ('val("k") ~ "v"', 'malformed comparison: val("k") ~ "v" (unknown operator ~)'),
        ('ver("k") = "x"', 'invalid txn compare request: ver("k") = "x"'),
        ('mod("k") = "0x1"', 'invalid txn compare request: mod("k") = "0x1"'),
        ('lease("k") = "zz"', 'invalid txn compare request: lease("k") = "zz"'),
    ],
)
def test_malformed_compares(line: str, text: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_compare(line)
    assert (caught.value.text, caught.value.code) == (text, ExitCode.INVALID_INPUT)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("put a b", ["put", "a", "b"]),
        ("  put\t a  b ", ["put", "a", "b"]),
        (r'put "k 1" "v\n\"x\""', ["put", "k 1", 'v\n"x"']),
        ("put 'k 2' 'v\\n \"x\"'", ["put", "k 2", 'v\\n "x"']),
        ("put k ''", ["put", "k", ""]),
        ('put k ""', ["put", "k", ""]),
        ('put k a"b"c', ["put", "k", 'a"b"c']),
        ("put k a'b c'd", ["put", "k", "a'b", "c'd"]),
        ('put k "unterminated', ["put", "k", "unterminated"]),
        ("", []),
    ],
)
def test_words_are_split_as_in_a_shell(line: str, words: list[str]) -> None:
    assert split_words(line) == words


@pytest.mark.parametrize(
    ("line", "op"),
    [
        ("put k v", RequestOp(request_put=PutRequest(key=b"k", value=b"v"))),
        ("pu k v --prev-kv", RequestOp(request_put=PutRequest(key=b"k", value=b"v", prev_kv=True))),
        ("put k v --lease=1f", RequestOp(request_put=PutRequest(key=b"k", value=b"v", lease=31))),
        ("put -- -k -v", RequestOp(request_put=PutRequest(key=b"-k", value=b"-v"))),
        ('put k "\\xff"', RequestOp(request_put=PutRequest(key=b"k", value=b"\xff"))),
        ("get k", RequestOp(request_range=RangeRequest(key=b"k"))),
        ("get k --prefix --limit 1", RequestOp(request_range=RangeRequest(key=b"k", range_end=b"l", limit=1))),
        ("get k --count-only", RequestOp(request_range=RangeRequest(key=b"k", count_only=True))),
        ("--limit 1 get k", RequestOp(request_range=RangeRequest(key=b"k", limit=1))),
        ("del k", RequestOp(request_delete_range=DeleteRangeRequest(key=b"k"))),
        ("del k l --range", RequestOp(request_delete_range=DeleteRangeRequest(key=b"k", range_end=b"l"))),
    ],
)
def test_operations(line: str, op: RequestOp) -> None:
    assert operation(line) == op


@pytest.mark.parametrize(
    ("line", "text", "code"),
    [
        ("frob", "invalid txn compare request: frob", 3),
        ("put", "invalid txn compare request: put", 3),
        ("frob key1", "invalid txn request: frob key1", 3),
        ("put a b --bogus", "invalid txn request: put a b --bogus", 3),
        ("get a -w json", "invalid txn request: get a -w json", 3),
        ("get a --hex", "invalid txn request: get a --hex", 3),
        ("get a --help", "invalid txn request: get a --help", 3),
        ("help get", "invalid txn request: help get", 3),
        ("-- get", "invalid txn request: -- get", 3),
        ('put k "\\q"', "invalid syntax", 3),
        ("put a", "put command needs 1 argument and input from stdin or 2 arguments", 128),
        ("get --prefix", "get command needs one argument as key and an optional argument as range_end", 128),
        ("del a b c", "del command needs one argument as key and an optional argument as range_end", 128),
        ("get a --order ZZ", "bad sort order ZZ", 4),
    ],
)
def test_bad_operations(line: str, text: str, code: int) -> None:
    with pytest.raises(CommandError) as caught:
        operation(line)
    assert (caught.value.text, caught.value.code) == (text, code)


EVERYTHING = 'mod("k") > "0"\nval("k") = "v"\n\nput k w\nget k\n\ndel k\n\n'


def test_three_blocks_make_a_transaction() -> None:
    outcome, (request,) = run(EVERYTHING)
    assert (outcome.code, outcome.out, outcome.err) == (0, "SUCCESS\n\nOK\n", "")
    assert [compare.target for compare in request.compare] == [CompareTarget.MOD, CompareTarget.VALUE]
    assert request.success == (operation("put k w"), operation("get k"))
    assert request.failure == (operation("del k"),)


def test_white_space_around_lines_and_dos_line_ends_do_not_matter() -> None:
    _, (request,) = run('  val("k") = "v"  \r\n   \r\n put k w\r\n\r\n\r\n')
    assert len(request.compare) == 1
    assert request.success == (operation("put k w"),)


@pytest.mark.parametrize("text", ["", "\n", "\n\n", "\n\n\n"])
def test_an_empty_transaction_is_one(text: str) -> None:
    outcome, requests = run(text)
    assert outcome.code == 0
    assert requests == [TxnRequest()]


def test_the_end_of_input_ends_a_block() -> None:
    _, (request,) = run("\n\nput k w")
    assert request.failure == (operation("put k w"),)


def test_what_follows_the_third_block_is_not_read() -> None:
    _, (request,) = run("\n\n\nfrob everything\n")
    assert request == TxnRequest()


def test_bytes_that_are_not_utf8_survive() -> None:
    _, (request,) = run(b'val("\xff") = "a"\n\nput \xfe "\xfd"\n\n\n')
    assert request.compare[0].key == b"\xff"
    assert request.success == (RequestOp(request_put=PutRequest(key=b"\xfe", value=b"\xfd")),)


def test_interactive_prompts() -> None:
    outcome, _ = run("\n\n\n", "-i")
    assert outcome.out == (
        "compares:\nsuccess requests (get, put, del):\nfailure requests (get, put, del):\nSUCCESS\n\nOK\n"
    )


def test_a_bad_line_ends_it_before_anything_is_sent() -> None:
    outcome, requests = run("\nfrob key1\n\n\n", "-i")
    assert (outcome.code, outcome.error) == (3, "invalid txn request: frob key1")
    assert outcome.out == "compares:\nsuccess requests (get, put, del):\n"
    assert requests == []


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["x"], 128, "txn command does not accept argument"),
        (["-w", "bogus"], 4, "unsupported output format"),
        (["-w", "table"], 4, "table not supported as output format"),
    ],
)
def test_bad_command_lines(words: list[str], code: int, text: str) -> None:
    outcome, requests = run("\n\n\n", *words)
    assert (outcome.code, outcome.error) == (code, text)
    assert requests == []
