import pytest

from raftgate.api.kv import ResponseHeader
from raftgate.api.maintenance import HashKVRequest, HashKVResponse
from raftgate.ctl.hashkv import REPORT
from raftgate.ctl.report import render
from tests.fakes.terminal import FakeServer, Terminal, each_by_host, failure

PATH = "/v3/maintenance/hashkv"
HEADER = ResponseHeader(cluster_id=1, member_id=2, revision=3, raft_term=4)
HASH = HashKVResponse(header=HEADER, hash=1553004478, compact_revision=-1, hash_revision=3)


@pytest.mark.parametrize(("words", "revision"), [("", 0), ("--rev 7", 7), ("--rev=-1", -1), ("--rev 0x10", 16)])
def test_the_revision_that_is_asked_for(words: str, revision: int) -> None:
    server = FakeServer({PATH: HASH})
    outcome = Terminal(server).run("endpoint", "hashkv", *words.split())
    assert (outcome.code, outcome.out, outcome.err) == (0, "127.0.0.1:2379, 1553004478, 3\n", "")
    assert server.sent(HashKVRequest) == [HashKVRequest(revision=revision)]


def test_json() -> None:
    assert render(REPORT, [("a:1", HASH)], "json") == (
        '[{"Endpoint":"a:1","HashKV":{"header":{"cluster_id":1,"member_id":2,"revision":3,"raft_term":4},'
        '"hash":1553004478,"compact_revision":-1,"hash_revision":3}}]\n'
    )


def test_fields() -> None:
    assert render(REPORT, [("a:1", HASH)], "fields") == (
        '"ClusterID" : 1\n"MemberID" : 2\n"Revision" : 3\n"RaftTerm" : 4\n'
        '"Endpoint" : "a:1"\n"Hash" : 1553004478\n"HashRevision" : 3\n\n'
    )


def test_table() -> None:
    lines = render(REPORT, [("a:1", HASH)], "table").splitlines()
    assert lines[1] == "| ENDPOINT |    HASH    | HASH REVISION |"
    assert lines[3] == "|      a:1 | 1553004478 |             3 |"


def test_the_last_failure_is_the_error() -> None:
    text = "etcdserver: mvcc: required revision is a future revision"
    server = each_by_host({"a": {PATH: failure(400, 11, text)}, "b": {PATH: HASH}})
    outcome = Terminal(server).run("endpoint", "hashkv", "--rev=9", "--endpoints=a:1,b:1")
    assert (outcome.code, outcome.out) == (1, "b:1, 1553004478, 3\n")
    assert outcome.err == f"Failed to get the hash of endpoint a:1 ({text})\nError: {text}\n"
