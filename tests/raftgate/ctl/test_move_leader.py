import pytest

from raftgate.api.kv import ResponseHeader
from raftgate.api.maintenance import MoveLeaderRequest, MoveLeaderResponse, StatusResponse
from tests.fakes.terminal import NOTHING_LISTENS, Answer, FakeServer, Terminal, each_by_host, failure

STATUS = "/v3/maintenance/status"
MOVE = "/v3/maintenance/transfer-leadership"
TRANSFERRED = "Leadership transferred from a32555325bc10df2 to b\n"
LEADER = 0xA32555325BC10DF2
BAD = failure(400, 9, "etcdserver: bad leader transferee")


def status(member: int, leader: int = LEADER) -> StatusResponse:
    return StatusResponse(header=ResponseHeader(member_id=member), leader=leader)


def cluster(answer: Answer | None = None, last: Answer | None = None) -> FakeServer:
    """Members a to c, b of which leads."""
    followers = {"a": status(0xA), "c": last or status(0xC)}
    servers: dict[str, dict[str, Answer]] = {host: {STATUS: answer} for host, answer in followers.items()}
    return each_by_host({**servers, "b": {STATUS: status(LEADER), MOVE: answer or MoveLeaderResponse()}})


def test_the_leader_among_the_endpoints_is_asked() -> None:
    server = cluster(last=NOTHING_LISTENS)
    outcome = Terminal(server).run("move-leader", "b", "--endpoints=a:1,b:1,c:1")
    assert (outcome.code, outcome.out, outcome.err) == (0, TRANSFERRED, "")
    assert [(request.url.host, request.url.path) for request in server.requests] == [
        ("a", STATUS), ("b", STATUS), ("b", MOVE),
    ]  # fmt: skip
    assert server.sent(MoveLeaderRequest)[-1] == MoveLeaderRequest(targetID=0xB)


def test_json() -> None:
    assert Terminal(cluster()).run("move-leader", "B", "--endpoints=b:1", "-w", "json").out == "{}\n"


def test_no_leader_among_the_endpoints() -> None:
    outcome = Terminal(cluster()).run("move-leader", "b", "--endpoints=a:1,http://c:1")
    assert (outcome.code, outcome.out) == (128, "")
    assert outcome.error == "no leader endpoint given at [a:1 http://c:1]"


def test_an_endpoint_that_fails_ends_the_search() -> None:
    server = cluster(last=NOTHING_LISTENS)
    outcome = Terminal(server).run("move-leader", "b", "--endpoints=c:1,b:1")
    assert (outcome.code, outcome.error) == (1, "context deadline exceeded")
    assert {request.url.host for request in server.requests} == {"c"}


def test_the_time_is_that_of_all_calls_together() -> None:
    terminal = Terminal()
    steps = iter((status(0xA), status(LEADER), MoveLeaderResponse()))

    def slow(_: object) -> Answer:
        terminal.time.now += 2
        return next(steps)

    terminal.server.on_request = slow
    outcome = terminal.run("move-leader", "b", "--endpoints=a:1,b:1", "--command-timeout=5s")
    assert (outcome.code, outcome.error) == (1, "context deadline exceeded")
    timeouts = [request.headers["grpc-timeout"] for request in terminal.server.requests]
    assert timeouts == ["5000m", "3000m", "1000m"]


def test_what_the_leader_refuses() -> None:
    outcome = Terminal(cluster(BAD)).run("move-leader", "5", "--endpoints=b:1")
    assert (outcome.code, outcome.out, outcome.error) == (1, "", "etcdserver: bad leader transferee")


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        ("", 128, "move-leader command needs 1 argument"),
        ("1 2", 128, "move-leader command needs 1 argument"),
        ("zz", 128, 'strconv.ParseUint: parsing "zz": invalid syntax'),
        ("fffffffffffffffff", 128, 'strconv.ParseUint: parsing "fffffffffffffffff": value out of range'),
        ("5 -w table", 4, "table not supported as output format"),
        ("5 -w fields", 4, "fields not supported as output format"),
        ("5 -w bogus", 4, "unsupported output format"),
        ("5 --endpoints=", 2, "etcdclient: no available endpoints"),
        ("5 --endpoints=ftp://a:1", 128, 'invalid endpoint "ftp://a:1"'),
    ],
)
def test_what_is_refused_before_anybody_is_asked(words: str, code: int, error: str) -> None:
    outcome = Terminal().run("move-leader", *words.split())
    assert (outcome.code, outcome.out, outcome.error) == (code, "", error)
