import pytest

from raftgate.api.kv import ResponseHeader
from raftgate.api.maintenance import HashKVRequest, HashKVResponse
from raftgate.ctl.client import CallError
from raftgate.ctl.errors import CommandError, ExitCode
from raftgate.ctl.invocation import Invocation
from raftgate.ctl.report import Report, render, run
from raftgate.ctl.table import UNICODE
from tests.fakes.terminal import NOTHING_LISTENS, FakeServer, Terminal, each_by_host, failure

PATH = "/v3/maintenance/hashkv"
ONE = HashKVResponse(header=ResponseHeader(cluster_id=255, member_id=16, revision=3, raft_term=2), hash=7)
TWO = HashKVResponse(hash=8)
REPORT: Report[HashKVResponse] = Report(
    subject="number",
    name="Number",
    titles=("endpoint", "number"),
    header=lambda answer: answer.header,
    cells=lambda endpoint, answer: (endpoint, str(answer.hash)),
    fields=lambda endpoint, answer: (f'"Of" : {endpoint}', f'"Number" : {answer.hash}'),
)


def invoke(server: FakeServer, *words: str, environ: dict[str, str] | None = None) -> tuple[CallError | None, str, str]:
    """Runs the report; answers with the failure that it returned and what it wrote."""
    invocation: Invocation = Terminal(server, environ).invocation(["endpoint", "hashkv", *words])
    result = run(REPORT, HashKVRequest(revision=5), invocation)
    streams = (invocation.console.stdout, invocation.console.stderr)
    for stream in streams:
        stream.seek(0)
    return result, *(stream.read().decode() for stream in streams)  # type: ignore[return-value]  # two streams


def test_answers_come_in_the_order_of_the_endpoints() -> None:
    server = each_by_host({"b": {PATH: ONE}, "a": {PATH: TWO}})
    assert invoke(server, "--endpoints=b:1,a:1") == (None, "b:1, 7\na:1, 8\n", "")
    assert server.sent(HashKVRequest) == [HashKVRequest(revision=5)] * 2


def test_a_failure_is_told_and_the_others_are_printed() -> None:
    server = each_by_host(
        {
            "a": {PATH: NOTHING_LISTENS},
            "b": {PATH: ONE},
            "c": {PATH: failure(400, 11, "etcdserver: mvcc: required revision has been compacted")},
        }
    )
    result, out, err = invoke(server, "--endpoints=a:1,b:1,http://c:1")
    assert out == "b:1, 7\n"
    assert err == (
        "Failed to get the number of endpoint a:1 (context deadline exceeded)\n"
        "Failed to get the number of endpoint http://c:1 (etcdserver: mvcc: required revision has been compacted)\n"
    )
    assert result is not None
    assert result.text == "etcdserver: mvcc: required revision has been compacted"


@pytest.mark.parametrize(
    ("output", "out"),
    [
        ("simple", ""),
        ("json", "[]\n"),
        ("fields", ""),
        ("table", "+----------+--------+\n| ENDPOINT | NUMBER |\n+----------+--------+\n+----------+--------+\n"),
    ],
)
def test_when_nobody_answers(output: str, out: str) -> None:
    result, written, _ = invoke(each_by_host({"a": {PATH: NOTHING_LISTENS}}), "--endpoints=a:1", "-w", output)
    assert written == out
    assert result is not None


def test_json() -> None:
    assert render(REPORT, [("a:1", ONE), ("b:1", TWO)], "json") == (
        '[{"Endpoint":"a:1","Number":{"header":{"cluster_id":255,"member_id":16,"revision":3,"raft_term":2},"hash":7}},'
        '{"Endpoint":"b:1","Number":{"hash":8}}]\n'
    )


def test_fields_and_ids_in_hex() -> None:
    text = '"ClusterID" : {}\n"MemberID" : {}\n"Revision" : 3\n"RaftTerm" : 2\n"Of" : a:1\n"Number" : 7\n\n'
    assert render(REPORT, [("a:1", ONE)], "fields") == text.format(255, 16)
    assert render(REPORT, [("a:1", ONE)], "fields", is_hex=True) == text.format("ff", "10")
    assert render(REPORT, [("a:1", ONE), ("b:1", TWO)], "fields").count("\n\n") == 2


def test_table_with_the_borders_that_are_asked_for() -> None:
    _, out, _ = invoke(each_by_host({"a": {PATH: ONE}}), "--endpoints=a:1", "-w", "table")
    assert out.splitlines()[3] == "|      a:1 |      7 |"
    environ = {"RAFTGATECTL_TABLE": "unicode"}
    _, out, _ = invoke(each_by_host({"a": {PATH: ONE}}), "--endpoints=a:1", "-w", "table", environ=environ)
    assert out == render(REPORT, [("a:1", ONE)], "table", borders=UNICODE)
    assert out.startswith("┌")


@pytest.mark.parametrize(
    ("output", "text"),
    [("protobuf", "protobuf not supported as output format"), ("bogus", "unsupported output format")],
)
def test_other_formats_are_refused_before_anyone_is_asked(output: str, text: str) -> None:
    server = FakeServer()
    with pytest.raises(CommandError) as caught:
        invoke(server, "-w", output)
    assert (caught.value.text, caught.value.code) == (text, ExitCode.BAD_FEATURE)
    assert server.requests == []
