"""openapi.yaml against a running member: generated requests, well-formed and not, and the answers to them.

schemathesis makes the requests: the examples, the edges of each schema, and random ones that keep to the schemas or
break them. What its own checks cannot say of an etcd is said here: texts, faults, other methods, the lines of streams.
A stream that does not end by itself, and a call that waits for others, get a caller who has little time (`bound`), so
that each request is answered as a whole.
"""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import jsonschema_rs
import pytest
import requests
import schemathesis
from schemathesis.checks import CheckContext, CheckFunction
from schemathesis.specs.openapi import checks as builtin

from tests.e2e import servers
from tests.e2e.rpc import ALARM, MEMBER_ADD, MEMBER_PROMOTE, MEMBER_REMOVE, MEMBER_UPDATE, TRANSFER

pytestmark = pytest.mark.slow

Case = schemathesis.Case[Any]  # Any: the library's own classes of operations

CONTRACT = schemathesis.openapi.from_path(Path(__file__).parents[2] / "openapi.yaml")
CONTRACT.config.output.sanitization.update(enabled=False)  # a failure shows the keys that it takes
PATHS = CONTRACT.raw_schema["paths"]
COMPONENTS = CONTRACT.raw_schema["components"]
PARSER_TEXT = re.compile(COMPONENTS["schemas"]["ParserText"]["pattern"])
# What the schemas exclude, and no parser.
SHAPE_TEXTS = ("etcdserver: key is not provided", "etcdserver: invalid sort option", "etcdserver: unknown alarm action")
NOTHING_YET = {"error": "not implemented", "code": 12, "message": "not implemented"}
METHOD_NOT_ALLOWED = {"error": "Method Not Allowed", "code": 12, "message": "Method Not Allowed"}

WATCH, OBSERVE, KEEPALIVE = "/v3/watch", "/v3/election/observe", "/v3/lease/keepalive"
LOCK, CAMPAIGN, PROCLAIM = "/v3/lock/lock", "/v3/election/campaign", "/v3/election/proclaim"
GRANT, REVOKE = "/v3/lease/grant", "/v3/lease/revoke"
DOWNGRADE = "/v3/maintenance/downgrade"
EVENTS = "GET /v3/watch"
STREAMS = (WATCH, OBSERVE, KEEPALIVE)
WAITING = (WATCH, OBSERVE, LOCK, CAMPAIGN)
PATIENCE = "30m"
TIMEOUT = re.compile(COMPONENTS["parameters"]["GrpcTimeout"]["schema"]["pattern"])
EVENT_STREAM = "text/event-stream"
LOCK_OR_ELECTION = re.compile("/v3/(lock|election)/")
LEASE = {"TTL": 600, "ID": "100"}
"""That of the examples."""


def bound(case: Case) -> None:
    """Gives a request that may wait for ever a time to end; a malformed one stays."""
    if case.path in WAITING and TIMEOUT.search(case.headers.get("Grpc-Timeout", "")):
        case.headers["Grpc-Timeout"] = PATIENCE
    if case.path == MEMBER_ADD and isinstance(case.body, dict) and case.meta and case.meta.generation.mode.is_positive:
        case.body = {**case.body, "isLearner": True}  # a voter that never comes would take the quorum away


def is_stream(response: schemathesis.Response, case: Case) -> bool:
    """Whether an answer is a stream that has begun, in lines or events."""
    return response.status_code == 200 and case.path in STREAMS and response.request.method in ("GET", "POST")


def error_of(response: schemathesis.Response) -> dict[str, Any]:  # Any: JSON
    """The error that an answer tells of: an object, or the only line of a stream."""
    body: dict[str, Any] = response.json()
    if isinstance(body["error"], str):
        assert body["error"] == body["message"]
        return body
    error: dict[str, Any] = body["error"]
    return error


def is_rpc(case: Case) -> bool:
    return case.path.startswith("/v3/")


def is_served(path: str) -> bool:
    return "200" in PATHS[path]["post"]["responses"]


def other_methods(_: CheckContext, response: schemathesis.Response, case: Case) -> None:
    """What etcd says to them, which is no 405 on the paths of RPCs."""
    method = response.request.method
    if method == case.operation.method.upper():
        return
    if method == "OPTIONS":
        assert (response.status_code, response.content) == (200, b"")
    elif is_rpc(case):
        assert response.status_code == 501
        assert method == "HEAD" or response.json() == METHOD_NOT_ALLOWED
    elif case.path == "/metrics":
        assert response.status_code == 200
    else:
        assert (response.status_code, response.headers["allow"]) == (405, ["GET"])


def faults(_: CheckContext, response: schemathesis.Response, case: Case) -> None:
    """A member in good health has nobody to blame but the caller."""
    if response.status_code < 500 or response.request.method != case.operation.method.upper():
        return
    if response.status_code == 501:
        assert not is_served(case.path)
        assert response.json() == NOTHING_YET
    elif response.status_code == 500:
        is_unknown_action = case.path == DOWNGRADE and response.json()["message"] == "etcdserver: unknown method"
        assert is_unknown_action or LOCK_OR_ELECTION.match(case.path)
        assert response.json()["code"] == 2
        assert response.json()["message"] != "internal error"
    else:
        assert response.status_code == 504
        assert "Grpc-Timeout" in case.headers


def verdicts(_: CheckContext, response: schemathesis.Response, case: Case) -> None:
    """What keeps to the schemas is never refused as malformed."""
    if response.request.method != case.operation.method.upper():
        return
    assert case.meta is not None
    positive = case.meta.generation.mode.is_positive
    if not is_rpc(case):
        assert response.status_code == 200 or ("{" in case.path and not positive)
    elif response.status_code >= 400:
        text = error_of(response)["message"]
        if positive:
            assert not PARSER_TEXT.search(text)
            assert text not in SHAPE_TEXTS or case.path == WATCH or LOCK_OR_ELECTION.match(case.path)


def texts(_: CheckContext, response: schemathesis.Response, case: Case) -> None:
    """Plain text is as its schema says; schemathesis itself looks at JSON only."""
    if response.request.method != case.operation.method.upper():
        return
    documented = PATHS[case.path][case.operation.method]["responses"][str(response.status_code)]
    if "$ref" in documented:
        documented = COMPONENTS["responses"][documented["$ref"].rsplit("/", 1)[-1]]
    media = documented["content"].get(response.headers["content-type"][0])
    if media is not None and response.headers["content-type"][0].startswith("text/"):
        assert validator(media["schema"]).is_valid(response.text)


def validator(schema: dict[str, Any]) -> jsonschema_rs.Validator:  # Any: JSON
    return jsonschema_rs.validator_for({**schema, "components": COMPONENTS})


LINES = {
    path: validator(PATHS[path]["post"]["responses"]["200"]["content"]["application/json"]["schema"])
    for path in STREAMS
}


def lines(_: CheckContext, response: schemathesis.Response, case: Case) -> None:
    """Each line of a stream is as its schema says, and a stream that waits ends with the time of its caller."""
    if not is_stream(response, case) or response.request.method != "POST":
        return
    assert response.text.endswith("\n") or not response.content
    found = [json.loads(line) for line in response.text.splitlines()]
    for line in found:
        LINES[case.path].validate(line)
    failures = [line["error"]["code"] for line in found if "error" in line]
    if case.path == KEEPALIVE and "Grpc-Timeout" not in case.headers:
        assert not failures
    else:
        assert failures in ([4], []) if case.path == KEEPALIVE else failures == [4]
    assert not failures or "error" in found[-1]


def schemas(context: CheckContext, response: schemathesis.Response, case: Case) -> None:
    """What schemathesis says of answers that are one JSON document."""
    if not is_stream(response, case):
        builtin.response_schema_conformance(context, response, case)


def rejection(context: CheckContext, response: schemathesis.Response, case: Case) -> None:
    """What breaks the schemas of an RPC is refused; pages take any query, and blanks are no body."""
    body = response.request.body
    is_blank = isinstance(body, bytes | str) and not body.strip()
    if is_rpc(case) and not is_blank:
        builtin.negative_data_rejection(context, response, case)


CHECKS: list[CheckFunction] = [
    builtin.status_code_conformance,
    builtin.content_type_conformance,
    builtin.response_headers_conformance,
    schemas,
    other_methods,
    faults,
    verdicts,
    texts,
    lines,
    rejection,
]


class Member:
    """A member, and a connection to it that is kept."""

    def __init__(self, server: servers.Server) -> None:
        self.server = server
        self.url = f"http://127.0.0.1:{server.client_port}"
        self.session = requests.Session()

    def judge(self, case: Case) -> None:
        """Send a request and look at the answer from all sides."""
        bound(case)
        accept = {"Accept": EVENT_STREAM} if case.operation.label == EVENTS else {}
        response = case.call(base_url=self.url, session=self.session, headers=accept, timeout=10)
        case.validate_response(response, checks=CHECKS)
        if case.path == ALARM:
            self.clear_alarms()
        if case.path == MEMBER_ADD and (response.request.method, response.status_code) == ("POST", 200):
            self.remove(response.json()["member"])

    def post(self, path: str, body: dict[str, Any], **headers: str) -> requests.Response:  # Any: JSON
        headers = {"Grpc-Timeout": PATIENCE, **headers} if path in (WATCH, OBSERVE) else headers
        return self.session.post(self.url + path, json=body, headers=headers, timeout=10)

    def remove(self, member: dict[str, Any]) -> None:  # Any: JSON
        """Takes back a member that a request has added: without a quorum all others would wait."""
        assert self.post(MEMBER_REMOVE, {"ID": member["ID"]}).status_code == 200

    def clear_alarms(self) -> None:
        """Without this one request's alarm would refuse all that follow."""
        for alarm in self.post(ALARM, {}).json().get("alarms", []):
            self.post(ALARM, {"action": "DEACTIVATE", **alarm})

    def end(self) -> None:
        """It has come through this, and nothing was its fault."""
        self.session.close()
        assert self.server.process.is_alive()
        self.server.process.signal(signal.SIGTERM)
        self.server.process.wait()
        assert not [line for line in self.server.process.lines if json.loads(line)["level"] not in ("info", "warn")]


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    server = servers.start(servers.raftgate_command(), tmp_path_factory.mktemp("openapi"))
    try:
        member = Member(server)
        yield member
        member.end()
    finally:
        server.process.kill()


def bounds(max_examples: int, *, deterministic: bool) -> hypothesis.settings:
    checks = [hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.filter_too_much]
    return hypothesis.settings(
        max_examples=max_examples, derandomize=deterministic, database=None, deadline=None, suppress_health_check=checks
    )


def test_the_member_serves_the_document(member: Member) -> None:
    response = member.session.get(member.url + "/openapi.json", timeout=10)
    assert response.json() == CONTRACT.raw_schema


def examples(path: str) -> list[dict[str, Any]]:  # Any: JSON
    content = PATHS[path].get("post", {}).get("requestBody", {}).get("content", {})
    return [example["value"] for example in content.get("application/json", {}).get("examples", {}).values()]


def test_examples_are_answered_as_they_say(member: Member) -> None:
    for path in PATHS:
        if path == GRANT:
            member.post(REVOKE, LEASE)
        else:
            member.post(GRANT, LEASE)  # which the example before may have revoked
        for body in examples(path):
            response = member.post(path, {**body, "isLearner": True} if path == MEMBER_ADD else body)
            if path == MEMBER_ADD:
                member.remove(response.json()["member"])
            if path in (MEMBER_REMOVE, MEMBER_UPDATE, MEMBER_PROMOTE):  # ids follow from URLs and time
                assert response.json()["message"] == "etcdserver: member not found"
            elif path == PROCLAIM:  # the campaign of the example above was at another revision
                assert response.json()["message"] == "election: not leader"
            elif path == TRANSFER:  # ids follow from ports
                assert response.json()["message"] == "etcdserver: bad leader transferee"
            else:
                assert response.status_code == 200, (path, body, response.text)


def test_examples_of_watches_are_answered_by_events_too(member: Member) -> None:
    schema = validator(COMPONENTS["schemas"]["EventStream"])
    for body in examples(WATCH):
        response = member.post(WATCH, body, Accept=EVENT_STREAM)
        assert response.status_code == (200 if "create_request" in body else 400), (body, response.text)
        assert response.status_code == 400 or schema.is_valid(response.text), response.text


@CONTRACT.parametrize()
@bounds(75, deterministic=True)
def test_generated_requests(case: Case, member: Member) -> None:
    member.judge(case)


@pytest.mark.soak
@CONTRACT.parametrize()
@bounds(2000, deterministic=False)
def test_many_generated_requests(case: Case, member: Member) -> None:
    member.judge(case)
