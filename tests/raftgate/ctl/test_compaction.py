import pytest

from raftgate.api.kv import CompactionRequest, CompactionResponse
from tests.fakes.terminal import FakeServer, Terminal, failure

PATH = "/v3/kv/compaction"


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        ("5", CompactionRequest(revision=5)),
        ("+5", CompactionRequest(revision=5)),
        ("5 --physical", CompactionRequest(revision=5, physical=True)),
        ("--physical=false 5 -w json", CompactionRequest(revision=5)),
        ("5 -w table", CompactionRequest(revision=5)),
    ],
)
def test_a_compaction_tells_its_revision_in_every_format(words: str, request_: CompactionRequest) -> None:
    server = FakeServer({PATH: CompactionResponse()})
    outcome = Terminal(server).run("compaction", *words.split())
    assert (outcome.code, outcome.out, outcome.err) == (0, "compacted revision 5\n", "")
    assert server.sent(CompactionRequest) == [request_]


def test_a_negative_revision_is_the_servers_to_refuse() -> None:
    text = "etcdserver: mvcc: required revision has been compacted"
    server = FakeServer({PATH: failure(400, 11, text)})
    outcome = Terminal(server).run("compaction", "--", "-5")
    assert (outcome.code, outcome.out, outcome.err) == (1, "", f"Error: {text}\n")
    assert server.sent(CompactionRequest) == [CompactionRequest(revision=-5)]


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ("", 128, "compaction command needs 1 argument"),
        ("1 2", 128, "compaction command needs 1 argument"),
        ("zz", 1, 'strconv.ParseInt: parsing "zz": invalid syntax'),
        ("0x5", 1, 'strconv.ParseInt: parsing "0x5": invalid syntax'),
        ("9223372036854775808", 1, 'strconv.ParseInt: parsing "9223372036854775808": value out of range'),
        ("5 -w bogus", 4, "unsupported output format"),
    ],
)
def test_bad_command_lines_are_refused_before_anything_is_sent(words: str, code: int, text: str) -> None:
    server = FakeServer()
    outcome = Terminal(server).run("compaction", *words.split())
    assert (outcome.code, outcome.out, outcome.err) == (code, "", f"Error: {text}\n")
    assert server.requests == []
