import signal

import httpx
import pytest

from raftgate.api import json_codec
from raftgate.api.concurrency import (
    CampaignRequest,
    CampaignResponse,
    LeaderKey,
    LeaderRequest,
    LeaderResponse,
    ResignRequest,
    ResignResponse,
)
from raftgate.api.kv import KeyValue, RangeResponse, ResponseHeader
from raftgate.api.lease import LeaseGrantResponse, LeaseRevokeResponse
from raftgate.ctl.errors import ExitCode
from tests.fakes.terminal import Answer, FakeServer, Terminal, failure

HEADER = ResponseHeader(revision=9)
LEADER = LeaderKey(name=b"e", key=b"e/7", rev=9, lease=7)
HELD = RangeResponse(header=HEADER, kvs=(KeyValue(key=b"e/7", value=b"me"),), count=1)


def elections(*, interrupted_at: str = "", ttl: int = 60) -> FakeServer:
    """A server on which whoever campaigns wins, and which sends a signal when it is asked for a path."""
    answers: dict[str, Answer] = {
        "/v3/lease/grant": LeaseGrantResponse(ID=7, TTL=60),
        "/v3/lease/revoke": LeaseRevokeResponse(),
        "/v3/election/campaign": CampaignResponse(header=HEADER, leader=LEADER),
        "/v3/election/resign": ResignResponse(),
        "/v3/kv/range": HELD,
    }

    def answer(request: httpx.Request) -> Answer:
        if request.url.path == "/v3/lease/keepalive":
            return httpx.Response(200, content=b'{"result":{"ID":"7","TTL":"%d"}}' % ttl)
        if request.url.path == interrupted_at:
            signal.raise_signal(signal.SIGTERM)
        return answers[request.url.path]

    return FakeServer(on_request=answer)


def sent(server: FakeServer, path: str) -> list[bytes]:
    return [request.content for request in server.requests if request.url.path == path]


def leader(key: bytes, revision: int, value: bytes) -> bytes:
    kv = KeyValue(key=key, mod_revision=revision, value=value)
    return b'{"result":%b}\n' % json_codec.encode(LeaderResponse(header=HEADER, kv=kv))


def test_leading_until_a_signal_comes() -> None:
    server = elections(interrupted_at="/v3/kv/range")
    outcome = Terminal(server).run("elect", "e", "me")
    assert (outcome.code, outcome.err) == (0, "")
    campaign = CampaignRequest(name=b"e", lease=7, value=b"me")
    assert sent(server, "/v3/election/campaign") == [json_codec.encode(campaign)]
    assert sent(server, "/v3/election/resign") == [json_codec.encode(ResignRequest(leader=LEADER))]
    assert sent(server, "/v3/lease/revoke")


def test_the_end_of_the_session() -> None:
    outcome = Terminal(elections(ttl=0)).run("elect", "e", "me")
    assert (outcome.code, outcome.out, outcome.error) == (1, "e/7\nme\n", "elect: session expired")


def test_a_signal_while_it_campaigns() -> None:
    server = elections(interrupted_at="/v3/election/campaign")
    outcome = Terminal(server).run("elect", "e", "me")
    assert (outcome.code, outcome.error) == (1, "context canceled")
    assert sent(server, "/v3/lease/revoke")


def test_listening_prints_each_leader_once_across_connections() -> None:
    connections = [
        leader(b"e/1", 3, b"one") + leader(b"e/1", 4, b"two"),
        leader(b"e/1", 4, b"two") + leader(b"e/2", 5, b"three"),
        b"",
    ]

    def answer(_: httpx.Request) -> Answer:
        content = connections.pop(0)
        if not content:
            signal.raise_signal(signal.SIGINT)
        return httpx.Response(200, content=content)

    server = FakeServer(on_request=answer)
    outcome = Terminal(server).run("elect", "-l", "e")
    assert (outcome.code, outcome.out, outcome.err) == (0, "e/1\none\ne/1\ntwo\ne/2\nthree\n", "")
    assert server.sent(LeaderRequest)[0] == LeaderRequest(name=b"e")


def test_listening_in_vain() -> None:
    server = FakeServer(on_request=lambda _: failure(500, 2, "etcdserver: permission denied"))
    outcome = Terminal(server).run("elect", "-l", "e")
    assert (outcome.code, outcome.error) == (1, "etcdserver: permission denied")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("", "elect takes one election name argument and an optional proposal argument"),
        ("a b c", "elect takes one election name argument and an optional proposal argument"),
        ("a", "no proposal argument but -l not set"),
        ("a b -l", "proposal given but -l is set"),
    ],
)
def test_bad_arguments(line: str, text: str) -> None:
    outcome = Terminal().run("elect", *line.split())
    assert (outcome.code, outcome.error) == (ExitCode.BAD_ARGS, text)
