import pytest

from raftgate.api.kv import RangeRequest, RangeResponse
from raftgate.api.maintenance import AlarmMember, AlarmResponse, AlarmType
from raftgate.ctl.health import Health, render
from raftgate.ctl.table import UNICODE
from tests.fakes.terminal import NOTHING_LISTENS, Answer, FakeServer, Outcome, Terminal, each_by_host, failure

GOOD = Health("a:1", 777_089)
BAD = Health("b:1", 5 * 10**9, "context deadline exceeded")
HEALTHY: dict[str, Answer] = {"/v3/kv/range": RangeResponse(), "/v3/maintenance/alarm": AlarmResponse()}


def run(answers: dict[str, dict[str, Answer]], *words: str, environ: dict[str, str] | None = None) -> Outcome:
    """Runs `endpoint health` against servers by host."""
    return Terminal(each_by_host(answers), environ).run("endpoint", "health", *words)


def test_a_healthy_endpoint() -> None:
    server = FakeServer(HEALTHY)
    outcome = Terminal(server).run("endpoint", "health", "ignored")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == "127.0.0.1:2379 is healthy: successfully committed proposal: took = 0s\n"
    assert server.sent(RangeRequest)[0] == RangeRequest(key=b"health")


def test_bad_endpoints_go_to_stderr() -> None:
    answers: dict[str, dict[str, Answer]] = {"a": HEALTHY, "b": {"/v3/kv/range": NOTHING_LISTENS}}
    outcome = run(answers, "--endpoints=a:1,http://b:1")
    assert outcome.code == 1
    assert outcome.out == "a:1 is healthy: successfully committed proposal: took = 0s\n"
    assert outcome.err == (
        "http://b:1 is unhealthy: failed to commit proposal: context deadline exceeded\nError: unhealthy cluster\n"
    )


ALARMS = AlarmResponse(
    alarms=(AlarmMember(alarm=AlarmType.NOSPACE), AlarmMember(alarm=AlarmType.CORRUPT), AlarmMember(alarm=7))
)


@pytest.mark.parametrize(
    ("range_", "alarms", "reason"),
    [
        (RangeResponse(), ALARMS, "Active Alarm(s): NOSPACE CORRUPT UNKNOWN "),
        (RangeResponse(), failure(501, 12, "not implemented"), "Unable to fetch the alarm list"),
        (failure(400, 3, "etcdserver: user name is empty"), AlarmResponse(), "etcdserver: user name is empty"),
        (failure(403, 7, "etcdserver: permission denied"), AlarmResponse(), ""),
    ],
)
def test_reasons(range_: Answer, alarms: Answer, reason: str) -> None:
    outcome = run({"a": {"/v3/kv/range": range_, "/v3/maintenance/alarm": alarms}}, "--endpoints=a:1")
    if reason:
        assert outcome.err.splitlines()[0] == f"a:1 is unhealthy: failed to commit proposal: {reason}"
        assert (outcome.code, outcome.out) == (1, "")
    else:
        assert (outcome.code, outcome.err) == (0, "")


def test_no_endpoints_are_no_trouble() -> None:
    assert run({}, "--endpoints=").code == 0


def test_json() -> None:
    assert render([GOOD, BAD], "json") == (
        '[{"endpoint":"a:1","health":true,"took":"777.089µs"},'
        '{"endpoint":"b:1","health":false,"took":"5s","error":"context deadline exceeded"}]\n'
    )


def test_fields() -> None:
    assert render([GOOD, BAD], "fields") == (
        '"Endpoint" : "a:1"\n"Health" : true\n"Took" : 777.089µs\n"Error" : \n\n'
        '"Endpoint" : "b:1"\n"Health" : false\n"Took" : 5s\n"Error" : context deadline exceeded\n\n'
    )


def test_table() -> None:
    lines = render([GOOD, BAD], "table").splitlines()
    assert lines[1] == "| ENDPOINT | HEALTH |   TOOK    |           ERROR           |"
    assert lines[4] == "|      b:1 |  false |        5s | context deadline exceeded |"
    assert render([GOOD], "table", UNICODE).startswith("┌")


def test_only_the_simple_format_sorts_by_health() -> None:
    answers: dict[str, dict[str, Answer]] = {"b": {"/v3/kv/range": failure(400, 3, "etcdserver: user name is empty")}}
    outcome = run(answers, "-w", "table", "--endpoints=b:1", environ={"RAFTGATECTL_TABLE": "unicode"})
    assert (outcome.code, outcome.err) == (1, "Error: unhealthy cluster\n")
    assert "│ etcdserver: user name is empty │" in outcome.out


@pytest.mark.parametrize(
    ("output", "text"),
    [("protobuf", "protobuf not supported as output format"), ("bogus", "unsupported output format")],
)
def test_other_formats(output: str, text: str) -> None:
    outcome = run({}, "-w", output)
    assert (outcome.code, outcome.error) == (4, text)
