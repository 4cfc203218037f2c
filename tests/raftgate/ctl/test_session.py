import threading

import httpx
import pytest

from raftgate.api import json_codec
from raftgate.api.lease import LeaseGrantRequest, LeaseGrantResponse, LeaseRevokeRequest, LeaseRevokeResponse
from raftgate.ctl.client import CallError, connect
from raftgate.ctl.session import session
from tests.fakes.terminal import Answer, FakeServer, Terminal, failure

DEADLINE = 10.0


class Leases:
    """A server of one lease, and word of its renewals."""

    def __init__(self, ttl: int = 60) -> None:
        self.ttl = ttl
        self.renewed = threading.Semaphore(0)
        self.revocation: Answer = LeaseRevokeResponse()
        self.server = FakeServer(on_request=self.answer)

    def answer(self, request: httpx.Request) -> Answer:
        verb = request.url.path.rpartition("/")[2]
        if verb == "grant":
            return LeaseGrantResponse(ID=7, TTL=self.ttl)
        if verb == "revoke":
            return self.revocation
        self.renewed.release()
        return httpx.Response(200, content=b'{"result":{"ID":"7","TTL":"%d"}}' % self.ttl)

    def sent(self, verb: str) -> list[bytes]:
        return [request.content for request in self.server.requests if request.url.path.endswith(verb)]


def test_a_lease_is_kept_alive_and_revoked_at_the_end() -> None:
    leases = Leases()
    with connect(Terminal(leases.server).invocation(["lock", "m"])) as client:
        with session(client, 12) as held:
            assert held.lease == 7
            assert leases.renewed.acquire(timeout=DEADLINE)
            assert not held.has_ended(within=0)
        assert leases.sent("grant") == [json_codec.encode(LeaseGrantRequest(TTL=12))]
        assert leases.sent("revoke") == [json_codec.encode(LeaseRevokeRequest(ID=7))]
    assert len(leases.sent("keepalive")) == 1


@pytest.mark.parametrize("ttl", [0, -4])
def test_a_ttl_that_is_none_is_a_minute(ttl: int) -> None:
    leases = Leases()
    with connect(Terminal(leases.server).invocation(["lock", "m"])) as client, session(client, ttl):
        assert leases.sent("grant") == [json_codec.encode(LeaseGrantRequest(TTL=60))]


def test_the_end_of_the_lease_is_told() -> None:
    leases = Leases(ttl=0)
    with connect(Terminal(leases.server).invocation(["lock", "m"])) as client, session(client) as held:
        assert held.has_ended(within=DEADLINE)


@pytest.mark.parametrize("wanted", [1, 3])
def test_renewals_go_on(wanted: int) -> None:
    leases = Leases(ttl=1)
    with connect(Terminal(leases.server).invocation(["lock", "m"])) as client, session(client):
        assert all(leases.renewed.acquire(timeout=DEADLINE) for _ in range(wanted))


def test_a_revocation_that_fails_is_no_matter() -> None:
    leases = Leases()
    leases.revocation = failure(404, 5, "etcdserver: requested lease not found")
    with connect(Terminal(leases.server).invocation(["lock", "m"])) as client, session(client):
        pass


def test_a_lease_that_is_not_granted() -> None:
    server = FakeServer(on_request=lambda _: failure(429, 8, "etcdserver: mvcc: database space exceeded"))
    on = Terminal(server).invocation(["lock", "m"])
    with connect(on) as client, pytest.raises(CallError, match="database space exceeded"), session(client):
        pass
