import pytest

from raftgate.api.cluster import (
    Member,
    MemberAddRequest,
    MemberAddResponse,
    MemberPromoteRequest,
    MemberPromoteResponse,
    MemberRemoveRequest,
    MemberRemoveResponse,
    MemberUpdateRequest,
    MemberUpdateResponse,
)
from raftgate.api.kv import ResponseHeader
from raftgate.api.message import Message
from raftgate.ctl.membership import render_added
from tests.fakes.terminal import FakeServer, Terminal, failure

ROOT = "/v3/cluster/member/"
HEADER = ResponseHeader(cluster_id=175966720666463630, member_id=11755896077096652274, raft_term=2)
FIRST = Member(11755896077096652274, "m0", ("http://127.0.0.1:36367",), ("http://127.0.0.1:33535",))
NEW = Member(14052198454232878080, "", ("http://127.0.0.1:1", "http://localhost:2"))
LEARNER = Member(14052198454232878080, "", ("http://127.0.0.1:1",), (), isLearner=True)
UNSTARTED = Member(5, "", ("http://127.0.0.1:9",))
LEFT = (FIRST,)


def test_add_prints_how_to_start_the_member() -> None:
    server = FakeServer({f"{ROOT}add": MemberAddResponse(HEADER, NEW, (UNSTARTED, FIRST, NEW))})
    outcome = Terminal(server).run("member", "add", 'n"é', "--peer-urls=http://localhost:2,http://127.0.0.1:1")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == (
        "Member c303700ad9d80c00 added to cluster  27128ccd59d6d8e\n"
        "\n"
        'ETCD_NAME="n\\"é"\n'
        'ETCD_INITIAL_CLUSTER="=http://127.0.0.1:9,m0=http://127.0.0.1:36367,'
        'n\\"é=http://127.0.0.1:1,n\\"é=http://localhost:2"\n'
        'ETCD_INITIAL_ADVERTISE_PEER_URLS="http://localhost:2,http://127.0.0.1:1"\n'
        'ETCD_INITIAL_CLUSTER_STATE="existing"\n'
    )
    asked = MemberAddRequest(("http://localhost:2", "http://127.0.0.1:1"))
    assert server.sent(MemberAddRequest) == [asked]


def test_add_of_a_learner_says_so() -> None:
    server = FakeServer({f"{ROOT}add": MemberAddResponse(HEADER, LEARNER, (FIRST, LEARNER))})
    outcome = Terminal(server).run("mem", "a", "m1", "--learner", "--peer-urls", "http://127.0.0.1:1")
    assert outcome.out.startswith("Member c303700ad9d80c00 added as learner to cluster  27128ccd59d6d8e\n")
    assert server.sent(MemberAddRequest) == [MemberAddRequest(("http://127.0.0.1:1",), isLearner=True)]


def test_add_in_json() -> None:
    assert render_added(MemberAddResponse(HEADER, LEARNER, (LEARNER,)), "m1", "http://127.0.0.1:1", "json") == (
        '{"header":{"cluster_id":175966720666463630,"member_id":11755896077096652274,"raft_term":2},'
        '"member":{"ID":14052198454232878080,"peerURLs":["http://127.0.0.1:1"],"isLearner":true},'
        '"members":[{"ID":14052198454232878080,"peerURLs":["http://127.0.0.1:1"],"isLearner":true}]}\n'
    )


CHANGES = [
    ("remove", (), MemberRemoveRequest(0x12), MemberRemoveResponse(HEADER, LEFT), "removed from"),
    (
        "update",
        ("--peer-urls", "http://a:1"),
        MemberUpdateRequest(0x12, ("http://a:1",)),
        MemberUpdateResponse(HEADER, LEFT),
        "updated in",
    ),
    ("promote", (), MemberPromoteRequest(0x12), MemberPromoteResponse(HEADER, LEFT), "promoted in"),
]


@pytest.mark.parametrize(("verb", "words", "request_", "answer", "done"), CHANGES)
def test_a_line_tells_of_a_change(
    verb: str, words: tuple[str, ...], request_: Message, answer: Message, done: str
) -> None:
    server = FakeServer({ROOT + verb: answer})
    outcome = Terminal(server).run("member", verb, "12", *words)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == f"Member               12 {done} cluster  27128ccd59d6d8e\n"
    assert server.sent(type(request_)) == [request_]


@pytest.mark.parametrize(("verb", "words", "request_", "answer", "done"), CHANGES)
def test_a_change_in_json(verb: str, words: tuple[str, ...], request_: Message, answer: Message, done: str) -> None:
    server = FakeServer({ROOT + verb: answer})
    outcome = Terminal(server).run("member", verb, "12", *words, "-w", "json", "--hex")
    assert outcome.out == (
        '{"header":{"cluster_id":175966720666463630,"member_id":11755896077096652274,"raft_term":2},"members":['
        '{"ID":11755896077096652274,"name":"m0","peerURLs":["http://127.0.0.1:36367"],'
        '"clientURLs":["http://127.0.0.1:33535"]}]}\n'
    )
    assert server.sent(type(request_)) == [request_]
    assert done not in outcome.out


NO_URLS = "member peer urls not provided"
NO_ID = "member ID is not provided"
BAD_ID = 'bad member ID arg (strconv.ParseUint: parsing "{}": {}), expecting ID in Hex'


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("add", "member name not provided"),
        ("add a b", "too many arguments"),
        (
            "add a http://x:1 HTTPS://y",
            "too many arguments, did you mean --peer-urls=http://x:1, did you mean --peer-urls=HTTPS://y",
        ),
        ("add n", NO_URLS),
        ("add n --peer-urls=", NO_URLS),
        ("remove", NO_ID),
        ("remove 1 2", NO_ID),
        ("remove zz", BAD_ID.format("zz", "invalid syntax")),
        ("remove 0x12", BAD_ID.format("0x12", "invalid syntax")),
        ("remove 11111111111111111", BAD_ID.format("11111111111111111", "value out of range")),
        ("update", NO_ID),
        ("update zz", BAD_ID.format("zz", "invalid syntax")),
        ("update 12", NO_URLS),
        ("promote", NO_ID),
        ("promote zz", BAD_ID.format("zz", "invalid syntax")),
    ],
)
def test_wrong_arguments(words: str, error: str) -> None:
    outcome = Terminal().run("member", *words.split())
    assert (outcome.code, outcome.out, outcome.error) == (128, "", error)


@pytest.mark.parametrize("verb", ["add", "update"])
@pytest.mark.parametrize(
    ("urls", "error"),
    [
        ("garbage", "URL scheme must be http, https, unix, or unixs: garbage"),
        ("http://a:1,", "URL scheme must be http, https, unix, or unixs: "),
        ("http://a", 'URL address does not have the form "host:port": http://a'),
        ("http://a:1/", "URL must not contain a path: http://a:1/"),
        ("http://a:b", 'parse "http://a:b": invalid port ":b" after host'),
        ("127.0.0.1:1", 'parse "127.0.0.1:1": first path segment in URL cannot contain colon'),
    ],
)
def test_what_is_no_url_is_not_sent(verb: str, urls: str, error: str) -> None:
    outcome = Terminal().run("member", verb, "12", "--peer-urls", urls)
    assert (outcome.code, outcome.out, outcome.error) == (1, "", error)


@pytest.mark.parametrize("words", ["add n --peer-urls=http://a:1", "remove 1", "promote 1"])
@pytest.mark.parametrize("output", ["fields", "table", "protobuf"])
def test_other_formats_are_refused_before_anything_changes(words: str, output: str) -> None:
    outcome = Terminal().run("member", *words.split(), "-w", output)
    assert (outcome.code, outcome.error) == (4, f"{output} not supported as output format")


@pytest.mark.parametrize(
    ("verb", "status", "code", "text"),
    [
        ("remove", 404, 5, "etcdserver: member not found"),
        ("remove", 500, 2, "etcdserver: re-configuration failed due to not enough started members"),
        ("promote", 400, 9, "etcdserver: can only promote a learner member which is in sync with leader"),
        ("promote", 503, 14, "etcdserver: unhealthy cluster"),
    ],
)
def test_what_the_server_refuses(verb: str, status: int, code: int, text: str) -> None:
    server = FakeServer({ROOT + verb: failure(status, code, text)})
    outcome = Terminal(server).run("member", verb, "12")
    assert (outcome.code, outcome.out, outcome.error) == (1, "", text)
    assert len(server.requests) == 1
