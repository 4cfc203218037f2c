"""openapi.yaml against the messages, the routes, the catalogue of errors, and the JSON form that is served."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
import pytest
import yaml

import raftgate
from gateway.app import build_app
from gateway.errors import HTTP_STATUS
from gateway.openapi import DOCUMENT
from gateway.sse_query import read_wish
from raftgate.api import concurrency, errors, json_codec, kv, watch
from raftgate.api.errors import Code
from raftgate.api.message import Field, Kind, Message, Request, describe
from raftgate.api.services import ELECTION, LOCK, RPCS, Rpc, RpcKind
from tests.fakes.backend import FakeBackend
from tests.fakes.gateway import Gateway, make_options

Json = dict[str, Any]  # Any: what a JSON object may hold

SOURCE = Path(__file__).parents[2] / "openapi.yaml"
CONTRACT: Json = yaml.safe_load(SOURCE.read_text())
SCHEMAS: Json = CONTRACT["components"]["schemas"]
SERVED = [rpc for rpc in RPCS if rpc.request is not None]
CATALOGUE = {kind.default_text: kind for kind in errors.EtcdError.__subclasses__()}

ACCEPTED = {
    Kind.BOOL: "Bool",
    Kind.BYTES: "Bytes",
    Kind.INT64: "Int64",
    Kind.STRING: "Text",
    Kind.UINT64: "UInt64",
}
ANSWERED = {
    Kind.BOOL: "BoolAnswer",
    Kind.BYTES: "BytesAnswer",
    Kind.INT64: "Int64Answer",
    Kind.STRING: "StringAnswer",
    Kind.UINT32: "UInt32Answer",
    Kind.UINT64: "UInt64Answer",
}


def response_of(request: type[Request[Any]]) -> type[Message]:  # Any: each request has its own response
    bases = request.__orig_bases__  # type: ignore[attr-defined]  # typing's own
    response: type[Message]
    (response,) = (get_args(base)[0] for base in bases if get_args(base))
    return response


def messages_of(message: type[Message]) -> Iterator[type[Message]]:
    """A message and all that it holds."""
    pending, seen = [message], {message}
    while pending:
        yield (current := pending.pop())
        for field in describe(current):
            if field.kind is Kind.MESSAGE and field.of is not None and field.of not in seen:
                seen.add(field.of)
                pending.append(field.of)


REQUESTS = sorted(
    {message for rpc in SERVED if rpc.request for message in messages_of(rpc.request)}, key=lambda kind: kind.__name__
)
RESPONSES = sorted(
    {message for rpc in SERVED if rpc.request for message in messages_of(response_of(rpc.request))},
    key=lambda kind: kind.__name__,
)
STREAMS = [rpc for rpc in SERVED if rpc.kind is not RpcKind.UNARY]
UNARY = [rpc for rpc in SERVED if rpc.kind is RpcKind.UNARY]
CONCURRENT = [rpc for rpc in SERVED if rpc.service in (LOCK, ELECTION)]
EVENT_STREAM = "text/event-stream; charset=utf-8"


def name_of(message: type[Message], *, answered: bool) -> str:
    """The name of a message's schema: what is accepted and answered in the same shape has two."""
    return f"{message.__name__}Answer" if answered and message in REQUESTS else message.__name__


def reference(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def validator(schema: Json) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for({**schema, "components": CONTRACT["components"]})


def objects(node: object) -> Iterator[Json]:
    """Every object of the document."""
    if isinstance(node, Mapping):
        yield dict(node)
        for value in node.values():
            yield from objects(value)
    elif isinstance(node, list):
        for value in node:
            yield from objects(value)


def resolve(pointer: str) -> Json:
    node: Any = CONTRACT  # Any: a part of the document
    for name in pointer.removeprefix("#/").split("/"):
        node = node[name.replace("~1", "/").replace("~0", "~")]
    found: Json = node
    return found


def resolved(node: Json) -> Json:
    return resolve(node["$ref"]) if "$ref" in node else node


def operations() -> Iterator[tuple[str, str, Json]]:
    for path, item in CONTRACT["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def test_the_json_form_is_that_of_the_source(pytestconfig: pytest.Config) -> None:
    text = json.dumps(CONTRACT, indent=1, ensure_ascii=False) + "\n"
    if pytestconfig.getoption("rewrite"):
        DOCUMENT.write_text(text)
    assert DOCUMENT.read_text() == text, "run pytest --rewrite tests/gateway/test_openapi.py"


def test_an_installed_raftgate_has_the_json_form() -> None:
    project = tomllib.loads((SOURCE.parent / "pyproject.toml").read_text())
    assert project["tool"]["setuptools"]["package-data"]["gateway"] == [DOCUMENT.name]


@pytest.mark.anyio
async def test_the_document_is_served() -> None:
    gateway = Gateway()
    response = await gateway.get("/openapi.json")
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert response.json() == CONTRACT
    assert (await gateway.post("/openapi.json")).status_code == 405
    assert (await Gateway(metrics_only=True).get("/openapi.json")).status_code == 404


def test_the_version_is_ours() -> None:
    assert CONTRACT["openapi"] == "3.1.0"
    assert CONTRACT["info"]["version"] == raftgate.__version__


def test_references_lead_somewhere_and_nothing_lies_about() -> None:
    used = {node["$ref"] for node in objects(CONTRACT) if isinstance(node.get("$ref"), str)}
    for pointer in used:
        assert resolve(pointer), pointer
    declared = {f"#/components/{kind}/{name}" for kind, parts in CONTRACT["components"].items() for name in parts}
    assert declared == used


def test_operations_have_names_and_tags_of_their_own() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))
    tags = {tag["name"] for tag in CONTRACT["tags"]}
    assert {tag for _, _, operation in operations() for tag in operation["tags"]} == tags


@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.method)
def test_each_rpc_is_described(rpc: Any) -> None:  # Any: ids= wants an untyped function
    for path in rpc.paths:
        assert set(CONTRACT["paths"][path]) == ({"post", "get"} if rpc.method == "Watch" else {"post"})
        operation = CONTRACT["paths"][path]["post"]
        assert operation["tags"] == [rpc.service.split(".")[1]]
        if rpc.request is None:
            assert set(operation["responses"]) == {"501"}
            assert operation["responses"]["501"] == {"$ref": "#/components/responses/Unimplemented"}
            continue
        assert operation["operationId"] == rpc.method + ("" if path == rpc.paths[0] else "Alias")
        body = operation["requestBody"]["content"]["application/json"]
        assert body["schema"] == reference(rpc.request.__name__)
        answer = operation["responses"]["200"]["content"]["application/json"]
        assert answer["schema"] == reference(answer_of(rpc))


def answer_of(rpc: Rpc) -> str:
    """The schema of an answer; of a stream's, that of one line."""
    assert rpc.request is not None
    name = response_of(rpc.request).__name__
    return name if rpc.kind is RpcKind.UNARY else name.removesuffix("Response") + "Line"


def test_aliases_differ_in_their_names_only() -> None:
    for rpc in SERVED:
        first, *others = (dict(CONTRACT["paths"][path]["post"]) for path in rpc.paths)
        for other in others:
            for name in ("operationId", "summary"):
                assert other.pop(name) != first[name]
            assert other == {key: value for key, value in first.items() if key in other}
            assert set(first) - set(other) == {"operationId", "summary"}


@pytest.mark.parametrize("rpc", STREAMS, ids=lambda rpc: rpc.method)
def test_a_line_of_a_stream_is_a_message_or_an_error(rpc: Any) -> None:  # Any: ids= wants an untyped function
    message, error = SCHEMAS[answer_of(rpc)]["anyOf"]
    response = reference(response_of(rpc.request).__name__)
    assert message == {"type": "object", "required": ["result"], "properties": {"result": response}}
    assert error == reference("StreamError")


def test_errors_of_streams_have_the_names_of_both_gateways() -> None:
    found = [node for node in objects(CONTRACT) if "grpc_code" in node and isinstance(node["grpc_code"], int)]
    assert found
    for error in found:
        code = Code(error["grpc_code"])
        status = HTTPStatus(HTTP_STATUS[code])
        assert error == {
            "grpc_code": code,
            "http_code": status,
            "message": error["message"],
            "http_status": status.phrase,
            "code": code,
        }


def test_the_pages_are_those_of_the_routes() -> None:
    rpc_paths = {path for rpc in RPCS for path in rpc.paths}
    routed = {route.path for route in build_app(FakeBackend(), make_options()).routes} - rpc_paths  # type: ignore[attr-defined]  # all are Routes
    singles = {path for path in routed if re.fullmatch("/(livez|readyz)/.+", path)}
    for path in singles:
        page, check = path.removeprefix("/").split("/")
        parameter = CONTRACT["paths"][f"/{page}/{{check}}"]["get"]["parameters"][0]
        assert check in parameter["schema"]["enum"]
    described = set(CONTRACT["paths"]) - rpc_paths - {"/livez/{check}", "/readyz/{check}"}
    assert described == routed - singles


@pytest.mark.parametrize("message", REQUESTS, ids=lambda kind: kind.__name__)
def test_what_is_accepted_has_the_fields_of_the_message(message: type[Message]) -> None:
    schema = SCHEMAS[message.__name__]
    assert schema["type"] == "object"
    assert "additionalProperties" not in schema  # unknown fields are ignored
    assert list(schema.get("properties", {})) == [field.name for field in describe(message)]
    for field in describe(message):
        described = {key: value for key, value in schema["properties"][field.name].items() if key != "description"}
        assert described == accepted(field, message), field.name
    assert schema.get("required", []) == (["key"] if needs_key(message) else [])
    assert ("oneOf" in schema) is bool(message.oneofs)


def needs_key(message: type[Message]) -> bool:
    """Elsewhere a key may be empty, or is refused as what the key of a lock or a leader cannot be."""
    return message.__module__ == kv.__name__ and any(field.name == "key" for field in describe(message))


def accepted(field: Field, message: type[Message]) -> Json:
    if field.kind is Kind.MESSAGE:
        assert field.of is not None
        one = reference(field.of.__name__)
        if not field.repeated:
            return {"anyOf": [one, {"type": "null"}]}
    elif field.name == "key" and needs_key(message):
        one = reference("Key")
    elif field.kind is Kind.STRING and field.repeated:
        one = {"type": "string"}  # a list of texts holds no null
    else:
        one = reference(field.of.__name__ if field.of else ACCEPTED[field.kind])
    return {"type": ["array", "null"], "items": one} if field.repeated else one


@pytest.mark.parametrize("message", RESPONSES, ids=lambda kind: kind.__name__)
def test_what_is_answered_has_the_fields_of_the_message(message: type[Message]) -> None:
    schema = SCHEMAS[name_of(message, answered=True)]
    assert list(schema["properties"]) == [field.name for field in describe(message)]
    for field in describe(message):
        described = {key: value for key, value in schema["properties"][field.name].items() if key != "description"}
        assert described == answered(field, message), field.name


def answered(field: Field, message: type[Message]) -> Json:
    if (message, field.name) == (watch.Event, "kv"):
        return reference("EventKeyValue")
    if field.kind is Kind.STRING and field.repeated:
        return {"type": "array", "minItems": 1, "items": {"type": "string"}}
    if field.kind is Kind.ENUM:
        assert field.of is not None
        return reference(f"{field.of.__name__}Answer")
    one = reference(name_of(field.of, answered=True) if field.of else ANSWERED[field.kind])
    return {"type": "array", "minItems": 1, "items": one} if field.repeated else one


def test_the_key_of_an_event_has_the_fields_of_any_key() -> None:
    event, stored = SCHEMAS["EventKeyValue"], SCHEMAS["KeyValue"]
    assert event["required"] == ["key", "mod_revision"]
    for name, described in stored["properties"].items():
        assert event["properties"][name]["$ref"] == described["$ref"]
    assert list(event["properties"]) == list(stored["properties"])


@pytest.mark.parametrize("message", [concurrency.LockResponse, concurrency.CampaignResponse])
def test_the_fencing_revision_is_always_there_and_said_to_be_ours(message: type[Message]) -> None:
    schema = SCHEMAS[message.__name__]
    assert "raftgate_fencing_revision" in schema["required"]
    assert "raftgate's own" in schema["properties"]["raftgate_fencing_revision"]["description"]


ENUMS = sorted(
    {field.of for message in REQUESTS for field in describe(message) if field.kind is Kind.ENUM and field.of},
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("enum", ENUMS, ids=lambda kind: kind.__name__)
def test_enums_have_their_names_and_numbers(enum: type[StrEnum]) -> None:
    schema = SCHEMAS[enum.__name__]
    assert schema["anyOf"][0]["enum"] == list(enum)
    for number, name in enumerate(enum):
        assert f"{name} {number}" in schema["description"]


NUMBERS = ["0", "-0", "1", "-1", "007", "1.0", "1.00e+0", "1.5", "", "-", "+1", " 1", "1 ", "0x1", "1e", "1_0", "NaN"]
EDGES = [str(edge + step) for edge in (2**63, -(2**63), 2**64, 10**18, 10**19) for step in (-1, 0, 1)]


@pytest.mark.parametrize("text", [*NUMBERS, *EDGES])
def test_patterns_of_numbers_say_what_the_decoder_says(text: str) -> None:
    for schema, path, field in (("Int64", "/v3/kv/range", "limit"), ("UInt64", "/v3/maintenance/alarm", "memberID")):
        assert validator(SCHEMAS[schema]).is_valid(text) is is_decoded(path, {field: text}), schema


@pytest.mark.parametrize(
    "text",
    ["", "Zg==", "Zg", "Zg=", "Z", "Zm8=", "Zm8", "Zm9v", "Zm9vYg", "-_-_", "+/+/", "-_", "+/", "-+", "_/", "Zg===",
     "====", "Zg==Zg==", "Z g=", "Zh==", "Zm9vZ", "é"],
)  # fmt: skip
def test_the_pattern_of_base64_says_what_the_decoder_says(text: str) -> None:
    decoded = is_decoded("/v3/kv/range", {"key": text})
    assert validator(SCHEMAS["Bytes"]).is_valid(text) is decoded
    assert validator(SCHEMAS["Key"]).is_valid(text) is (decoded and text != "")


def is_decoded(path: str, body: Json) -> bool:
    request = next(rpc.request for rpc in SERVED if path in rpc.paths)
    assert request is not None
    try:
        json_codec.decode(request, json.dumps(body).encode())
    except errors.InvalidArgument:
        return False
    return True


def examples() -> Iterator[tuple[str, Json, object]]:
    """Name, schema and value of each example of a body."""
    parts = [(path, operation) for path, _, operation in operations()]
    parts += list(CONTRACT["components"]["responses"].items())
    for name, part in parts:
        for media in [node for node in objects(part) if "schema" in node and "examples" in node and "in" not in node]:
            for key, example in media["examples"].items():
                yield f"{name} {key}", media["schema"], example["value"]


@pytest.mark.parametrize(("schema", "value"), [pytest.param(*rest, id=name) for name, *rest in examples()])
def test_examples_are_as_their_schemas_say(schema: Json, value: object) -> None:
    validator(schema).validate(value)


@pytest.mark.parametrize("rpc", SERVED, ids=lambda rpc: rpc.method)
def test_examples_of_requests_are_accepted(rpc: Any) -> None:  # Any: ids= wants an untyped function
    operation = CONTRACT["paths"][rpc.paths[0]]["post"]
    values = operation["requestBody"]["content"]["application/json"]["examples"].values()
    assert values
    for example in values:
        json_codec.decode(rpc.request, json.dumps(example["value"]).encode())
    answers = operation["responses"]["200"]["content"]["application/json"]["examples"].values()
    assert answers
    for example in answers:
        value = example["value"] if rpc.kind is RpcKind.UNARY else example["value"]["result"]
        message = json_codec.decode(response_of(rpc.request), json.dumps(value).encode())
        assert json.loads(json_codec.encode(message)) == value


def test_errors_are_those_of_the_catalogue() -> None:
    for node in objects(CONTRACT):
        texts = [node["const"]] if isinstance(node.get("const"), str) else node.get("enum", [])
        for text in texts:
            if isinstance(text, str) and text.startswith("etcdserver:"):
                assert text in CATALOGUE or text.startswith("etcdserver: unknown alarm "), text
        if {"code", "message"} <= node.keys() and isinstance(node["message"], str):
            assert node.get("error", node["message"]) == node["message"]
            kind = CATALOGUE.get(node["message"])
            assert kind is None or node["code"] in (kind.code, Code.UNKNOWN), node


@pytest.mark.parametrize("rpc", SERVED, ids=lambda rpc: rpc.method)
def test_errors_lose_their_codes_in_locks_and_elections_only(rpc: Any) -> None:  # Any: ids= wants an untyped function
    fault = resolved(CONTRACT["paths"][rpc.paths[0]]["post"]["responses"]["500"])
    codeless = [
        value["message"]
        for example in fault["content"]["application/json"]["examples"].values()
        if (value := error_of(example))["code"] == Code.UNKNOWN and CATALOGUE[value["message"]].code != Code.UNKNOWN
    ]
    assert bool(codeless) is (rpc in CONCURRENT and rpc.kind is RpcKind.UNARY)


def error_of(example: Json) -> Json:
    """The object with the code: an answer, or what a line holds."""
    value: Json = example["value"]
    return value if "code" in value else value["error"]


@pytest.mark.parametrize("rpc", SERVED, ids=lambda rpc: rpc.method)
def test_errors_stand_under_the_status_of_their_code(rpc: Any) -> None:  # Any: ids= wants an untyped function
    for operation in CONTRACT["paths"][rpc.paths[0]].values():
        for status, response in operation["responses"].items():
            media = resolved(response)["content"].get("application/json", {})
            for example in media.get("examples", {}).values():
                if status not in ("200", "408"):  # nobody's code: Go has no such answer
                    assert HTTP_STATUS[Code(error_of(example)["code"])] == int(status)


@pytest.mark.parametrize("rpc", SERVED, ids=lambda rpc: rpc.method)
def test_what_any_rpc_may_answer_is_described(rpc: Any) -> None:  # Any: ids= wants an untyped function
    statuses = {"200", "400", "408", "421", "429", "500", "501", "503", "504"}
    if rpc.kind is not RpcKind.UNARY and rpc.method != "Watch":
        statuses.remove("408")  # a stream's body may take all the time there is
    assert statuses <= CONTRACT["paths"][rpc.paths[0]]["post"]["responses"].keys()


EVENTS: Json = CONTRACT["paths"]["/v3/watch"]["get"]
PARAMETERS: Json = {parameter["name"]: parameter for parameter in EVENTS["parameters"] if "name" in parameter}
BLOCK = re.compile(r"event: (.*)\n(?:id: .*\n)?data: (.*)\n\n")


def test_events_are_the_same_whoever_asks_for_them() -> None:
    of_post = CONTRACT["paths"]["/v3/watch"]["post"]["responses"]["200"]["content"]
    (media,) = EVENTS["responses"]["200"]["content"].items()
    assert media in of_post.items()
    assert media[0] == EVENT_STREAM


@pytest.mark.parametrize("name", EVENTS["responses"]["200"]["content"][EVENT_STREAM]["examples"])
def test_the_data_of_events_is_as_its_schema_says(name: str) -> None:
    text = EVENTS["responses"]["200"]["content"][EVENT_STREAM]["examples"][name]["value"]
    blocks = BLOCK.findall(text)
    assert blocks
    for kind, data in blocks:
        if kind in ("put", "delete"):
            validator(SCHEMAS["Event"]).validate(json.loads(data))
            event = json_codec.decode(watch.Event, data.encode())
            assert (event.type is watch.EventType.DELETE) is (kind == "delete")
        else:
            field = {"progress": "revision", "compacted": "compact_revision", "canceled": "cancel_reason"}[kind]
            assert list(json.loads(data)) == [field]


def test_examples_of_queries_are_accepted() -> None:
    for name, parameter in PARAMETERS.items():
        if "example" in parameter:
            value = parameter["example"]
            assert is_asked(name, ",".join(value) if isinstance(value, list) else value), name


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("prefix", ["true", "false", "1", "0", "", "yes", "True"]),
        ("prev_kv", ["true", "false", "1", "0", "", "yes", "2"]),
        ("start_revision", ["0", "7", "-1", "", "007", "1.0", "x", "+1", "9" * 18, "9" * 20]),
        ("encoding", ["base64", "utf8", "utf-8", "hex"]),
        ("timeout", ["0", "60", "2.5", "60s", "", "s", "-1", "1m", "1e3", "9" * 9, "9" * 10]),
        ("Last-Event-ID", ["1", "17.2", "", "x", "1.", ".1", "1.2.3", "-1", "9" * 18, "9" * 20]),
    ],
)
def test_the_schemas_of_queries_say_what_their_reader_says(name: str, texts: list[str]) -> None:
    schema = validator(resolved(PARAMETERS[name]["schema"]))
    for text in texts:
        assert schema.is_valid(text) is is_asked(name, text), text


def test_the_schema_of_filters_says_what_their_reader_says() -> None:
    schema = validator(PARAMETERS["filters"]["schema"])
    for names in ([], ["NOPUT"], ["NOPUT", "NODELETE"], ["NONE"], ["noput"]):
        assert schema.is_valid(names) is is_asked("filters", ",".join(names)), names


def is_asked(name: str, value: str) -> bool:
    """Whether the reader of queries takes a value, beside a key."""
    headers = [(b"last-event-id", value.encode())] if name == "Last-Event-ID" else []
    query = {"key": [b"Zm9v"]} if headers else {"key": [b"Zm9v"], name: [value.encode()]}
    try:
        read_wish(query, None, headers)
    except errors.InvalidArgument:
        return False
    return True
