import httpx
import pytest

from raftgate.api import json_codec
from raftgate.api.kv import ResponseHeader
from raftgate.api.lease import (
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseKeepAliveRequest,
    LeaseKeepAliveResponse,
    LeaseLeasesResponse,
    LeaseRevokeRequest,
    LeaseRevokeResponse,
    LeaseStatus,
    LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
)
from raftgate.api.message import Message
from raftgate.ctl.errors import ExitCode
from tests.fakes.terminal import Answer, FakeServer, Terminal, failure

HEADER = ResponseHeader(cluster_id=255, member_id=2, revision=3, raft_term=4)
FIELDS = '"ClusterID" : 255\n"MemberID" : 2\n"Revision" : 3\n"RaftTerm" : 4\n'
JSON = '"cluster_id":255,"member_id":2,"revision":3,"raft_term":4'
GRANTED = LeaseGrantResponse(header=HEADER, ID=0x5B, TTL=60)
TIME = LeaseTimeToLiveResponse(header=HEADER, ID=0x5B, TTL=59, grantedTTL=60, keys=(b"a", b"b c"))
GONE = LeaseTimeToLiveResponse(header=HEADER, ID=0x5B, TTL=-1)
LEASES = LeaseLeasesResponse(header=HEADER, leases=(LeaseStatus(ID=1), LeaseStatus(ID=-1)))


def alive(ttl: int) -> httpx.Response:
    """An answer of the keepalive stream to one message."""
    response = LeaseKeepAliveResponse(header=HEADER, ID=0x5B, TTL=ttl)
    return httpx.Response(200, content=b'{"result":%b}\n' % json_codec.encode(response))


ANSWERS: dict[str, Answer] = {
    "/v3/lease/grant": GRANTED,
    "/v3/lease/revoke": LeaseRevokeResponse(header=HEADER),
    "/v3/lease/timetolive": TIME,
    "/v3/lease/leases": LEASES,
    "/v3/lease/keepalive": alive(60),
}


@pytest.mark.parametrize(
    ("line", "simple", "json", "fields"),
    [
        (
            "grant 60",
            "lease 000000000000005b granted with TTL(60s)\n",
            f'{{{JSON},"ID":91,"TTL":60,"Error":""}}\n',
            f'{FIELDS}"ID" : 91\n"TTL" : 60\n',
        ),
        ("revoke 5b", "lease 000000000000005b revoked\n", f'{{"header":{{{JSON}}}}}\n', FIELDS),
        (
            "timetolive 5b --keys",
            "lease 000000000000005b granted with TTL(60s), remaining(59s), attached keys([a b c])\n",
            f'{{{JSON},"id":91,"ttl":59,"granted-ttl":60,"keys":["YQ==","YiBj"]}}\n',
            f'{FIELDS}"ID" : 91\n"TTL" : 59\n"GrantedTTL" : 60\n"Key" : "a"\n"Key" : "b c"\n',
        ),
        (
            "list",
            "found 2 leases\n0000000000000001\n-000000000000001\n",
            f'{{{JSON},"leases":[{{"id":1}},{{"id":-1}}]}}\n',
            f'{FIELDS}"ID" : 1\n"ID" : -1\n',
        ),
        (
            "keep-alive 5b --once",
            "lease 000000000000005b keepalived with TTL(60)\n",
            f'{{{JSON},"ID":91,"TTL":60}}\n',
            f'{FIELDS}"ID" : 91\n"TTL" : 60\n',
        ),
    ],
)
def test_formats(line: str, simple: str, json: str, fields: str) -> None:
    terminal = Terminal(FakeServer(ANSWERS))
    for output, expected in (("simple", simple), ("json", json), ("fields", fields)):
        outcome = terminal.run("lease", *line.split(), "-w", output)
        assert (outcome.code, outcome.out, outcome.err) == (0, expected, "")
    table = terminal.run("lease", *line.split(), "-w", "table")
    assert (table.code, table.error) == (ExitCode.BAD_FEATURE, "table not supported as output format")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("grant -- -5", LeaseGrantRequest(TTL=-5)),
        ("revoke 5b", LeaseRevokeRequest(ID=91)),
        ("timetolive 5b", LeaseTimeToLiveRequest(ID=91)),
        ("timetolive 5b --keys", LeaseTimeToLiveRequest(ID=91, keys=True)),
        ("keep-alive 5b --once", LeaseKeepAliveRequest(ID=91)),
    ],
    ids=str,
)
def test_what_is_sent(line: str, expected: Message) -> None:
    server = FakeServer(ANSWERS)
    Terminal(server).run("lease", *line.split())
    assert server.sent(type(expected)) == [expected]


def test_a_lease_that_is_gone() -> None:
    terminal = Terminal(FakeServer({"/v3/lease/timetolive": GONE, "/v3/lease/keepalive": alive(0)}))
    assert terminal.run("lease", "timetolive", "5b", "--keys").out == "lease 000000000000005b already expired\n"
    json = terminal.run("lease", "timetolive", "5b", "-w", "json").out
    assert json == f'{{{JSON},"id":91,"ttl":-1,"granted-ttl":0,"keys":null}}\n'
    kept = terminal.run("lease", "keep-alive", "5b")
    assert (kept.code, kept.out) == (0, "lease 000000000000005b expired or revoked.\n")
    once = terminal.run("lease", "keep-alive", "5b", "--once")
    assert (once.code, once.error) == (ExitCode.BAD_CONNECTION, "etcdserver: requested lease not found")


def test_kept_alive_each_third_of_its_time() -> None:
    answers = iter([alive(60), alive(60), alive(0)])
    terminal = Terminal(FakeServer(on_request=lambda _: next(answers)))
    outcome = terminal.run("lease", "keep-alive", "5b")
    line = "lease 000000000000005b keepalived with TTL(60)\n"
    assert (outcome.code, outcome.out) == (0, f"{line}{line}lease 000000000000005b expired or revoked.\n")
    assert terminal.time.slept == [20.0, 20.0]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("grant", "lease grant command needs TTL argument"),
        ("grant 1 2", "lease grant command needs TTL argument"),
        ("grant zz", 'bad TTL (strconv.ParseInt: parsing "zz": invalid syntax)'),
        ("revoke", "lease revoke command needs 1 argument"),
        ("revoke zz", 'bad lease ID arg (strconv.ParseInt: parsing "zz": invalid syntax), expecting ID in Hex'),
        ("timetolive", "lease timetolive command needs lease ID as argument"),
        ("keep-alive", "lease keep-alive command needs lease ID as argument"),
        ("keep-alive zz", 'bad lease ID arg (strconv.ParseInt: parsing "zz": invalid syntax), expecting ID in Hex'),
    ],
)
def test_bad_arguments(line: str, text: str) -> None:
    outcome = Terminal().run("lease", *line.split())
    assert (outcome.code, outcome.error) == (ExitCode.BAD_ARGS, text)


def test_refusals() -> None:
    absent = failure(404, 5, "etcdserver: requested lease not found")
    large = failure(400, 11, "etcdserver: too large lease TTL")
    terminal = Terminal(
        FakeServer(on_request=lambda request: large if request.url.path == "/v3/lease/grant" else absent)
    )
    granted = terminal.run("lease", "grant", "9999999999999")
    assert (granted.code, granted.error) == (1, "failed to grant lease (etcdserver: too large lease TTL)")
    revoked = terminal.run("lease", "revoke", "1")
    assert (revoked.code, revoked.error) == (1, "failed to revoke lease (etcdserver: requested lease not found)")
    for line in ("timetolive 1", "list", "keep-alive 1 --once"):
        outcome = terminal.run("lease", *line.split())
        assert (outcome.code, outcome.error) == (2, "etcdserver: requested lease not found")
