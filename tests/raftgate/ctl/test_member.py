import pytest

from raftgate.api.cluster import Member, MemberListRequest, MemberListResponse
from raftgate.api.kv import ResponseHeader
from raftgate.ctl.member import render
from tests.fakes.terminal import NOTHING_LISTENS, FakeServer, Terminal

PATH = "/v3/cluster/member/list"
HEADER = ResponseHeader(cluster_id=175966720666463630, member_id=11755896077096652274, raft_term=2)
MEMBERS = (
    Member(11755896077096652274, "m0", ("http://127.0.0.1:36367",), ("http://127.0.0.1:33535",)),
    Member(14052198454232878080, "", ("http://127.0.0.1:1", "http://localhost:2"), (), isLearner=True),
)
ANSWER = MemberListResponse(HEADER, MEMBERS)


@pytest.mark.parametrize(("words", "linearizable"), [("", True), ("--consistency l", True), ("--consistency=s", False)])
def test_one_line_a_member(words: str, linearizable: object) -> None:
    server = FakeServer({PATH: ANSWER})
    outcome = Terminal(server).run("member", "list", *words.split(), "ignored")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == (
        "a32555325bc10df2, started, m0, http://127.0.0.1:36367, http://127.0.0.1:33535, false\n"
        "c303700ad9d80c00, unstarted, , http://127.0.0.1:1,http://localhost:2, , true\n"
    )
    assert server.sent(MemberListRequest) == [MemberListRequest(linearizable=bool(linearizable))]


def test_json() -> None:
    assert render(ANSWER, "json") == (
        '{"header":{"cluster_id":175966720666463630,"member_id":11755896077096652274,"raft_term":2},"members":['
        '{"ID":11755896077096652274,"name":"m0","peerURLs":["http://127.0.0.1:36367"],'
        '"clientURLs":["http://127.0.0.1:33535"]},{"ID":14052198454232878080,'
        '"peerURLs":["http://127.0.0.1:1","http://localhost:2"],"isLearner":true}]}\n'
    )


def test_ids_in_hex_are_strings_in_json() -> None:
    assert render(ANSWER, "json", is_hex=True) == (
        '{"header":{"cluster_id":"27128ccd59d6d8e","member_id":"a32555325bc10df2","raft_term":2},"members":['
        '{"ID":"a32555325bc10df2","name":"m0","peerURLs":["http://127.0.0.1:36367"],'
        '"clientURLs":["http://127.0.0.1:33535"]},{"ID":"c303700ad9d80c00",'
        '"peerURLs":["http://127.0.0.1:1","http://localhost:2"],"isLearner":true}]}\n'
    )


FIELDS = (
    '"ClusterID" : {}\n"MemberID" : {}\n"Revision" : 0\n"RaftTerm" : 2\n'
    '"ID" : {}\n"Name" : "m0"\n"PeerURL" : "http://127.0.0.1:36367"\n"ClientURL" : "http://127.0.0.1:33535"\n'
    '"IsLearner" : false\n\n'
    '"ID" : {}\n"Name" : ""\n"PeerURL" : "http://127.0.0.1:1"\n"PeerURL" : "http://localhost:2"\n'
    '"IsLearner" : true\n\n'
)


def test_fields() -> None:
    ids = (HEADER.cluster_id, HEADER.member_id, *(member.ID for member in MEMBERS))
    assert render(ANSWER, "fields") == FIELDS.format(*ids)
    assert render(ANSWER, "fields", is_hex=True) == FIELDS.format(*(f"{number:x}" for number in ids))


LINES = """\
+------------------+-----------+------+---------------------------------------+------------------------+------------+
|        ID        |  STATUS   | NAME |              PEER ADDRS               |      CLIENT ADDRS      | IS LEARNER |
+------------------+-----------+------+---------------------------------------+------------------------+------------+
| a32555325bc10df2 |   started |   m0 |                http://127.0.0.1:36367 | http://127.0.0.1:33535 |      false |
| c303700ad9d80c00 | unstarted |      | http://127.0.0.1:1,http://localhost:2 |                        |       true |
+------------------+-----------+------+---------------------------------------+------------------------+------------+
"""
"""What etcdctl 3.5.16 draws."""


@pytest.mark.parametrize("is_hex", [False, True])
def test_table(*, is_hex: bool) -> None:
    assert render(ANSWER, "table", is_hex=is_hex) == LINES


def test_borders_are_those_of_the_environment() -> None:
    terminal = Terminal(FakeServer({PATH: ANSWER}), {"RAFTGATECTL_TABLE": "unicode", "ETCDCTL_WRITE_OUT": "table"})
    assert terminal.run("mem", "li").out.startswith("┌")


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        ("--consistency z", 4, 'unknown consistency flag "z"'),
        ("-w protobuf", 4, "protobuf not supported as output format"),
        ("-w bogus", 4, "unsupported output format"),
    ],
)
def test_what_is_refused_before_anybody_is_asked(words: str, code: int, error: str) -> None:
    outcome = Terminal().run("member", "list", *words.split())
    assert (outcome.code, outcome.out, outcome.error) == (code, "", error)


def test_nothing_listens() -> None:
    outcome = Terminal(FakeServer({PATH: NOTHING_LISTENS})).run("member", "list")
    assert (outcome.code, outcome.out, outcome.error) == (1, "", "context deadline exceeded")


@pytest.mark.parametrize("words", [(), ("bogus",)])
def test_the_group_prints_its_usage(words: tuple[str, ...]) -> None:
    outcome = Terminal().run("member", *words)
    assert outcome.code == 0
    assert "Membership related commands" in outcome.out
