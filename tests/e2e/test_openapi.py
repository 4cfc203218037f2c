"""openapi.yaml against a running member: generated requests, well-formed and not, and the answers to them.

schemathesis makes the requests: the examples, the edges of each schema, and random ones that keep to the schemas or
break them. What its own checks cannot say of an etcd is said here: texts, faults, other methods.
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
from tests.e2e.rpc import ALARM

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
    if response.status_code < 500 or response.request.method != "POST":
        return
    if response.status_code == 501:
        assert not is_served(case.path)
        assert response.json() == NOTHING_YET
        return
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
        error = response.json()
        assert error["error"] == error["message"]
        if positive:
            assert not PARSER_TEXT.search(error["message"])
            assert error["message"] not in SHAPE_TEXTS


def texts(_: CheckContext, response: schemathesis.Response, case: Case) -> None:
    """Plain text is as its schema says; schemathesis itself looks at JSON only."""
    if response.request.method != case.operation.method.upper():
        return
    documented = PATHS[case.path][case.operation.method]["responses"][str(response.status_code)]
    if "$ref" in documented:
        documented = COMPONENTS["responses"][documented["$ref"].rsplit("/", 1)[-1]]
    media = documented["content"].get("text/plain; charset=utf-8")
    if media is not None:
        assert jsonschema_rs.validator_for(media["schema"]).is_valid(response.text)


def rejection(context: CheckContext, response: schemathesis.Response, case: Case) -> None:
    """What breaks the schemas of an RPC is refused; pages take any query."""
    if is_rpc(case):
        builtin.negative_data_rejection(context, response, case)


CHECKS: list[CheckFunction] = [
    builtin.status_code_conformance,
    builtin.content_type_conformance,
    builtin.response_headers_conformance,
    builtin.response_schema_conformance,
    other_methods,
    faults,
    verdicts,
    texts,
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
        response = case.call(base_url=self.url, session=self.session, timeout=10)
        case.validate_response(response, checks=CHECKS)
        if case.path == ALARM:
            self.clear_alarms()

    def post(self, path: str, body: dict[str, Any]) -> requests.Response:  # Any: JSON
        return self.session.post(self.url + path, json=body, timeout=10)

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


def test_examples_are_answered_as_they_say(member: Member) -> None:
    for path, item in PATHS.items():
        content = item.get("post", {}).get("requestBody", {}).get("content", {})
        for example in content.get("application/json", {}).get("examples", {}).values():
            response = member.post(path, example["value"])
            assert response.status_code == 200, (path, example, response.text)


@CONTRACT.parametrize()
@bounds(75, deterministic=True)
def test_generated_requests(case: Case, member: Member) -> None:
    member.judge(case)


@pytest.mark.soak
@CONTRACT.parametrize()
@bounds(2000, deterministic=False)
def test_many_generated_requests(case: Case, member: Member) -> None:
    member.judge(case)
