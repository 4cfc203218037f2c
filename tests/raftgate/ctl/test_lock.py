import signal
import threading

import httpx
import pytest

from raftgate.api import json_codec
from raftgate.api.concurrency import LockRequest, LockResponse, UnlockRequest, UnlockResponse
from raftgate.api.kv import KeyValue, RangeResponse, ResponseHeader
from raftgate.api.lease import LeaseGrantRequest, LeaseGrantResponse, LeaseRevokeResponse
from raftgate.ctl.errors import ExitCode
from tests.fakes.terminal import Answer, FakeServer, Outcome, Terminal, failure

HEADER = ResponseHeader(revision=9)
KEY = b"m/7"
HELD = RangeResponse(header=HEADER, kvs=(KeyValue(key=KEY, lease=7),), count=1)


class Locks:
    """A server that grants a lock, and sends the verb a signal when it is asked for the path of the test's choice."""

    def __init__(self, *, interrupted_at: str = "", ttl: int = 60) -> None:
        self.interrupted_at = interrupted_at
        self.ttl = ttl
        self.answers: dict[str, Answer] = {
            "/v3/lease/grant": LeaseGrantResponse(ID=7, TTL=60),
            "/v3/lease/revoke": LeaseRevokeResponse(),
            "/v3/lock/lock": LockResponse(header=HEADER, key=KEY),
            "/v3/lock/unlock": UnlockResponse(),
            "/v3/kv/range": HELD,
        }
        self.server = FakeServer(on_request=self.answer)

    def answer(self, request: httpx.Request) -> Answer:
        path = request.url.path
        if path == "/v3/lease/keepalive":
            return httpx.Response(200, content=b'{"result":{"ID":"7","TTL":"%d"}}' % self.ttl)
        if path == self.interrupted_at:
            assert threading.current_thread() is threading.main_thread()
            signal.raise_signal(signal.SIGINT)
        return self.answers[path]

    def run(self, *words: str, verb: str = "lock") -> Outcome:
        return Terminal(self.server, {"PATH": "/usr/bin:/bin"}).run(verb, *words)

    def sent(self, path: str) -> list[bytes]:
        return [request.content for request in self.server.requests if request.url.path == path]

    @property
    def has_released(self) -> bool:
        return bool(self.sent("/v3/lease/revoke"))


def test_a_program_under_the_lock() -> None:
    locks = Locks()
    outcome = locks.run("m", "--ttl", "12", "--", "sh", "-c", "echo $ETCD_LOCK_KEY $ETCD_LOCK_REV")
    assert (outcome.code, outcome.out, outcome.err) == (0, "m/7 9\n", "")
    assert locks.sent("/v3/lock/lock") == [json_codec.encode(LockRequest(name=b"m", lease=7))]
    assert locks.sent("/v3/lock/unlock") == [json_codec.encode(UnlockRequest(key=KEY))]
    assert locks.sent("/v3/lease/grant") == [json_codec.encode(LeaseGrantRequest(TTL=12))]
    assert locks.has_released


def test_a_programs_end_is_passed_on() -> None:
    locks = Locks()
    outcome = locks.run("m", "--", "sh", "-c", "exit 7")
    assert (outcome.code, outcome.err) == (7, "Error: exit status 7\n")
    assert locks.has_released


def test_a_program_that_does_not_exist() -> None:
    outcome = Locks().run("m", "no such program")
    assert (outcome.code, outcome.error) == (1, 'exec: "no such program": executable file not found in $PATH')


def test_the_users_environment_comes_last() -> None:
    environ = {"PATH": "/usr/bin:/bin", "ETCD_LOCK_REV": "own"}
    outcome = Terminal(Locks().server, environ).run("lock", "m", "--", "sh", "-c", "echo $ETCD_LOCK_REV")
    assert outcome.out == "own\n"


def test_a_signal_while_it_is_held() -> None:
    locks = Locks()
    locks.interrupted_at = "/v3/kv/range"  # the last that it asks before it waits
    outcome = locks.run("m")
    assert (outcome.code, outcome.err) == (0, "")
    assert locks.has_released


def test_a_signal_while_it_waits() -> None:
    locks = Locks(interrupted_at="/v3/lock/lock")
    outcome = locks.run("m")
    assert (outcome.code, outcome.error) == (1, "context canceled")
    assert locks.sent("/v3/lock/unlock") == []
    assert locks.has_released


def test_the_end_of_the_session() -> None:
    outcome = Locks(ttl=0).run("m")
    assert (outcome.code, outcome.out, outcome.error) == (1, "m/7\n\n", "session expired")


def test_a_lock_that_is_lost_at_once() -> None:
    locks = Locks()
    locks.answers["/v3/kv/range"] = RangeResponse(header=HEADER)
    outcome = locks.run("m")
    assert (outcome.code, outcome.error) == (1, "lock lost on init")


def test_refusals() -> None:
    locks = Locks()
    locks.answers["/v3/lock/lock"] = failure(500, 2, "etcdserver: permission denied")
    outcome = locks.run("m")
    assert (outcome.code, outcome.error) == (1, "etcdserver: permission denied")
    assert locks.has_released


def test_bad_arguments() -> None:
    outcome = Terminal().run("lock")
    text = "lock takes a lock name argument and an optional command to execute"
    assert (outcome.code, outcome.error) == (ExitCode.BAD_ARGS, text)


@pytest.mark.parametrize("output", ["json", "fields"])
def test_formats(output: str) -> None:
    outcome = Locks(ttl=0).run("m", "-w", output)
    assert '"lease":7' in outcome.out or '"Lease" : 7' in outcome.out


def test_other_formats_are_refused_before_anything_is_asked() -> None:
    locks = Locks()
    outcome = locks.run("m", "-w", "table")
    assert (outcome.code, outcome.error) == (ExitCode.BAD_FEATURE, "table not supported as output format")
    assert locks.server.requests == []
