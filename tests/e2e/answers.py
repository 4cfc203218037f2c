"""What is compared of an answer, and the rules by which raftgate leaves etcd 3.5.16's answers everywhere.

An answer is brought into a form that does not depend on the run: ids, term and sizes are masked, revisions are
counted from the one at which the case started, hashes are numbered as they come up, JSON is compared parsed (its
order and white space vary between builds of etcd), and of the headers only those count that a client can lean on.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from tests.e2e.case import ANY_TEXT, ANYTHING, Anything, Difference, Expected, Json, Like, Step
from tests.e2e.client import Reply

COMPARED_HEADERS = (
    "allow",
    "content-encoding",
    "content-type",
    "grpc-metadata-content-type",
    "location",
    "x-content-type-options",
)
CORS = {
    "access-control-allow-methods": "POST, GET, OPTIONS, PUT, DELETE",
    "access-control-allow-headers": "accept, content-type, authorization",
}
IDENTITY = {
    "cluster_id": "cluster_id",
    "member_id": "member_id",
    "memberID": "member_id",
    "leader": "member_id",
    "raft_term": "raft_term",
    "raftTerm": "raft_term",
}
REVISIONS = ("revision", "create_revision", "mod_revision", "compact_revision", "hash_revision")
COUNTED = ("dbSize", "dbSizeInUse", "raftIndex", "raftAppliedIndex")
LISTS = ("alarms", "errors")
LONG_TEXT = 200


@dataclass(frozen=True, slots=True)
class Origin:
    """The header of the answer from which a case counts, and the hashes that it has met."""

    cluster_id: str
    member_id: str
    raft_term: str
    revision: int
    is_fresh: bool = False
    hashes: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer in comparable form: the body is parsed JSON or text, None when it is not compared."""

    status: int
    headers: Mapping[str, Expected]
    body: Expected


def comparable(reply: Reply, origin: Origin, step: Step) -> Answer:
    """Bring an answer into comparable form."""
    headers: dict[str, Expected] = {name: reply.headers[name] for name in COMPARED_HEADERS if name in reply.headers}
    if "date" in reply.headers:
        headers["date"] = "present"
    if "access-control-allow-origin" in reply.headers:
        complete = all(reply.headers.get(name) == value for name, value in CORS.items())
        headers["cors"] = reply.headers["access-control-allow-origin"] if complete else "incomplete"
    body = _body(reply, origin) if step.body_compared else None
    if not step.lines_ordered:
        body = _in_order(body)
    return Answer(reply.status, headers, body)


def _in_order(body: Expected) -> Expected:
    """Sort what etcd lists in the order of a Go map: the checks of a probe, the alarms that are on."""
    match body:
        case str():
            return "".join(sorted(body.splitlines(keepends=True)))
        case dict():
            return {
                name: sorted(value, key=json.dumps) if name in LISTS and isinstance(value, list) else value
                for name, value in body.items()
            }
        case _:
            return body


def _body(reply: Reply, origin: Origin) -> Expected:
    if reply.body and reply.headers.get("content-type", "").startswith("application/json"):
        return _mask(json.loads(reply.body), origin)
    return reply.body.decode()


def _mask(value: Json, origin: Origin, name: str = "") -> Expected:
    match value:
        case dict():
            return {field: _mask(item, origin, field) for field, item in value.items()}
        case list():
            return [_mask(item, origin, name) for item in value]
        case str():
            return _mask_text(value, origin, name)
        case int() if name == "hash":
            return f"<hash {origin.hashes.setdefault(value, len(origin.hashes) + 1)}>"
        case _:
            return value


def _mask_text(text: str, origin: Origin, name: str) -> str:
    if name in REVISIONS:
        return _mask_revision(text, origin, name)
    if name in IDENTITY and text == getattr(origin, IDENTITY[name]):
        return f"<{IDENTITY[name]}>"
    if name in COUNTED and int(text) > 0:
        return f"<{name}>"
    if name == "errors":
        return text.replace(f"memberID:{origin.member_id} ", "memberID:<member_id> ")
    if len(text) > LONG_TEXT:
        return f"<{len(text)} characters, sha256 {hashlib.sha256(text.encode()).hexdigest()[:16]}>"
    # Go's protobuf puts a no-break space after "proto:" in some builds, on purpose at random.
    return text.replace("\u00a0", " ")


def _mask_revision(text: str, origin: Origin, name: str) -> str:
    revision = int(text)
    if name == "compact_revision" and revision <= origin.revision and not origin.is_fresh:
        return "<earlier>"  # by a case that ran before
    return f"+{revision - origin.revision}" if revision >= origin.revision else text


def usual_headers(status: int) -> dict[str, Expected]:
    """Give the headers that every RPC answer has; the recordings leave them out."""
    success: dict[str, Expected] = {"grpc-metadata-content-type": "application/grpc"} if status == 200 else {}
    return {"content-type": "application/json", "cors": "*", "date": "present", **success}


@dataclass(frozen=True, slots=True)
class Rule:
    """A difference between raftgate and etcd 3.5.16 that no case needs to repeat."""

    name: str
    why: str
    spec: str
    change: Callable[[Answer], Answer]


def _message(answer: Answer) -> str | None:
    """Give the text of an error answer."""
    if isinstance(answer.body, dict) and isinstance(answer.body.get("code"), int):
        text = answer.body.get("message")
        return text if isinstance(text, str) else None
    return None


def _with_message(answer: Answer, text: Expected) -> Answer:
    assert isinstance(answer.body, dict)
    return replace(answer, body={**answer.body, "message": text})


def _parser_place(answer: Answer) -> Answer:
    text = _message(answer)
    if text is None or not text.startswith("proto:") or "(line" not in text:
        return answer
    return _with_message(answer, Like(re.escape(text[: text.index("(line") + 5]) + ".+"))


# The texts of Go's encoding/json, scanner.go and stream.go.
_GO_JSON_TEXT = re.compile(r"invalid character .*|(proto: )?unexpected EOF|unexpected end of JSON input")


def _parser_text(answer: Answer) -> Answer:
    text = _message(answer)
    return answer if text is None or not _GO_JSON_TEXT.fullmatch(text) else _with_message(answer, ANY_TEXT)


def _error_key(answer: Answer) -> Answer:
    if not isinstance(answer.body, dict) or answer.body.keys() != {"code", "message"}:
        return answer
    return replace(answer, body={**answer.body, "error": answer.body["message"]})


def _redirect(answer: Answer) -> Answer:
    if answer.status != 301:
        return answer
    return Answer(307, {**answer.headers, "content-type": ANYTHING}, ANYTHING)


def _misdirected(answer: Answer) -> Answer:
    return replace(answer, body=ANY_TEXT) if answer.status == 421 else answer


# In this order: the key `error` repeats the text that the other rules leave.
RULES = (
    Rule("place", "where the parser stopped is not compared", "http.md 2", _parser_place),
    Rule("parser", "the texts of Go's JSON parser are its own", "http.md 2", _parser_text),
    Rule("redirect", "a 301 would turn a POST into a GET; 3.6 sends 307 too", "http.md 1", _redirect),
    Rule("host", "how to list a host is explained in other words", "http.md 3", _misdirected),
    Rule("error", "clients of the older gateway read the key `error`", "http.md 4", _error_key),
)


def expected_of_raftgate(recorded: Answer | None, difference: Difference | None) -> Answer:
    """Give the answer that raftgate owes, from etcd's and from the difference on purpose."""
    answer = recorded
    for rule in RULES:
        answer = rule.change(answer) if answer is not None else None
    if difference is None:
        assert answer is not None, "neither recorded nor stated"
        return answer
    if answer is None:
        assert difference.status is not None, "a step that etcd never sees states its whole answer"
        return Answer(difference.status, {**usual_headers(difference.status), **difference.headers}, difference.body)
    status = answer.status if difference.status is None else difference.status
    headers = answer.headers
    if headers == usual_headers(answer.status):
        headers = usual_headers(status)
    return Answer(
        status, {**headers, **difference.headers}, answer.body if difference.body is None else difference.body
    )


def mismatches(expected: Answer, actual: Answer) -> list[str]:
    """Name every place where an answer is not as expected; empty when it is."""
    return [
        *_mismatches(expected.status, actual.status, "status"),
        *_mismatches(dict(expected.headers), dict(actual.headers), "headers"),
        *_mismatches(expected.body, actual.body, "body"),
    ]


def _mismatches(expected: Expected, actual: Expected, place: str) -> Iterator[str]:
    match expected, actual:
        case Anything(), _:
            return
        case Like(pattern), str() if re.fullmatch(pattern, actual, re.DOTALL):
            return
        case dict(), dict():
            yield from _mismatches_of_fields(expected, actual, place)
        case list(), list() if len(expected) == len(actual):
            for position, (wanted, found) in enumerate(zip(expected, actual, strict=True)):
                yield from _mismatches(wanted, found, f"{place}[{position}]")
        case _ if type(expected) is not type(actual) or expected != actual:
            yield f"{place}: {actual!r}, expected {expected!r}"


def _mismatches_of_fields(expected: dict[str, Expected], actual: dict[str, Expected], place: str) -> Iterator[str]:
    for name in sorted(expected.keys() | actual.keys()):
        if isinstance(expected.get(name), Anything):
            continue
        if name not in actual:
            yield f"{place}.{name}: absent, expected {expected[name]!r}"
        elif name not in expected:
            yield f"{place}.{name}: {actual[name]!r} was not expected"
        else:
            yield from _mismatches(expected[name], actual[name], f"{place}.{name}")
