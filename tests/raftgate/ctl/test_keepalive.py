import httpx
import pytest

from raftgate.ctl.client import CallError, connect
from raftgate.ctl.keepalive import renew, renewals
from tests.fakes.terminal import NOTHING_LISTENS, Answer, FakeServer, Terminal, failure


def alive(ttl: int) -> httpx.Response:
    return httpx.Response(200, content=b'{"result":{"ID":"5","TTL":"%d"}}\n' % ttl)


def terminal(*answers: Answer) -> Terminal:
    """A server that gives one answer after the other, then the last again and again."""
    left = list(answers)
    return Terminal(FakeServer(on_request=lambda _: left.pop(0) if len(left) > 1 else left[0]))


def test_renew() -> None:
    with connect(terminal(alive(9)).invocation(["lease", "list"])) as client:
        assert renew(client, 5).TTL == 9


@pytest.mark.parametrize("body", [b"", b"{}", b'{"result":[]}', b'{"result":{"TTL":"x"}}', b"nonsense"])
def test_answers_that_make_no_sense(body: bytes) -> None:
    on = terminal(httpx.Response(200, content=body)).invocation(["lease", "list"])
    with connect(on) as client, pytest.raises(CallError, match="code = Internal desc = malformed answer from server"):
        renew(client, 5)


def test_renewals_end_with_the_lease() -> None:
    on = terminal(alive(9), alive(12), alive(0))
    with connect(on.invocation(["lease", "list"])) as client:
        pauses: list[float] = []
        assert [response.TTL for response in renewals(client, 5, pauses.append)] == [9, 12]
    assert pauses == [3.0, 4.0]


def test_renewals_end_when_the_pause_says_so() -> None:
    with connect(terminal(alive(9)).invocation(["lease", "list"])) as client:
        assert len(list(renewals(client, 5, lambda _: True))) == 1


def test_renewals_survive_a_fault() -> None:
    fault = failure(400, 9, "etcdserver: not leader")
    on = terminal(alive(9), fault, alive(9), alive(0))
    with connect(on.invocation(["lease", "list"])) as client:
        assert len(list(renewals(client, 5, on.time.sleep))) == 2
    assert on.time.slept == [3.0, 0.5, 3.0]


def test_renewals_end_when_the_lease_must_be_gone() -> None:
    on = terminal(alive(9), NOTHING_LISTENS)
    with connect(on.invocation(["lease", "list", "--command-timeout=1s"])) as client:
        began = on.time.now
        assert len(list(renewals(client, 5, on.time.sleep))) == 1
    assert 9 <= on.time.now - began < 12


def test_renewals_end_soon_where_nothing_has_ever_answered() -> None:
    on = terminal(NOTHING_LISTENS)
    with connect(on.invocation(["lease", "list", "--command-timeout=1s"])) as client:
        began = on.time.now
        assert list(renewals(client, 5, on.time.sleep)) == []
    assert 3 <= on.time.now - began < 6
