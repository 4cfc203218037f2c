"""What is compared of an answer, and the rules by which raftgate leaves etcd 3.5.16's answers everywhere.

An answer is brought into a form that does not depend on the run: ids, term and sizes are masked, revisions are
counted from the one at which the case started, hashes are numbered as they come up, JSON is compared parsed (its
order and white space vary between builds of etcd), and of the headers only those count that a client can lean on.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus

from gateway.errors import HTTP_STATUS
from raftgate.api.errors import Code
from tests.e2e.case import ANY_TEXT, ANYTHING, Anything, Difference, Expected, Json, Like, Origin, Step
from tests.e2e.client import Reply
from tests.e2e.streams import END, Excerpt

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
    "ID": "member_id",
    "member ID": "member_id",
    "leader": "member_id",
    "raft_term": "raft_term",
    "raftTerm": "raft_term",
}
FENCING = "raftgate_fencing_revision"
REVISIONS = ("revision", "create_revision", "mod_revision", "compact_revision", "hash_revision", "rev", FENCING)
COUNTED = ("dbSize", "dbSizeInUse", "raftIndex", "raftAppliedIndex")
ADDRESSES = ("peerURLs", "clientURLs")
LISTS = ("alarms", "errors", "keys")
MEMBERS = ("member", "members")
LONG_TEXT = 200
# Cases take small numbers for their leases, so that a larger one was picked by the server.
LEASES = ("ID", "lease")
PICKED = 2**40
PICKED_KEY = re.compile(rb"(.*/)([0-9a-f]{11,16})", re.DOTALL)
PORT = re.compile(r":[0-9]+\Z")
# How much of its time a lease may have lost when it is asked, in seconds.
LOST_TIME = 10


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer in comparable form: the body is parsed JSON or text, None when it is not compared."""

    status: int
    headers: Mapping[str, Expected]
    body: Expected


def comparable(reply: Reply, origin: Origin, step: Step) -> Answer:
    """Bring an answer into comparable form."""
    body = _body(reply, origin) if step.body_compared else None
    if not step.lines_ordered:
        body = _in_order(body)
    return Answer(reply.status, _headers(reply), body)


def comparable_excerpt(excerpt: Excerpt, origin: Origin, step: Step) -> Answer:
    """Bring what was read of a stream into comparable form: a list of lines, events by watch, or an answer's body."""
    reading, lines = step.reading, excerpt.lines
    if reading.lines is None and reading.events is None and lines == [*lines[:-1], END]:
        whole = b"".join(line for line in lines if isinstance(line, bytes))
        return comparable(replace(excerpt.reply, body=whole), origin, step)
    parsed = [_mask(json.loads(line), origin) if isinstance(line, bytes) else line for line in lines]
    body: Expected = _events(parsed) if reading.events is not None else parsed
    return Answer(excerpt.reply.status, _headers(excerpt.reply), body if step.lines_ordered else _in_order(body))


def _events(lines: list[Expected]) -> Expected:
    """Join the events of each watch; what tells none follows as it is."""
    events: dict[str, Expected] = {}
    others: list[Expected] = []
    for line in lines:
        match line:
            case {"result": {"events": [*told], **rest}}:
                known = events.setdefault(f"watch {rest.get('watch_id', 0)}", [])
                assert isinstance(known, list)
                known += told
            case _:
                others.append(line)
    return {**events, **({"others": others} if others else {})}


def _headers(reply: Reply) -> dict[str, Expected]:
    if reply.status == HTTPStatus.SWITCHING_PROTOCOLS:
        return {name: reply.headers[name] for name in ("sec-websocket-protocol",) if name in reply.headers}
    headers: dict[str, Expected] = {name: reply.headers[name] for name in COMPARED_HEADERS if name in reply.headers}
    if "date" in reply.headers:
        headers["date"] = "present"
    if "access-control-allow-origin" in reply.headers:
        complete = all(reply.headers.get(name) == value for name, value in CORS.items())
        headers["cors"] = reply.headers["access-control-allow-origin"] if complete else "incomplete"
    return headers


def _in_order(body: Expected) -> Expected:
    """Sort what comes in no order: the checks of a probe, alarms that are on, keys of a lease, lines of a stream."""
    match body:
        case str():
            return "".join(sorted(body.splitlines(keepends=True)))
        case list():
            return sorted(body, key=json.dumps)
        case dict():
            return {
                name: sorted(value, key=json.dumps) if name in LISTS and isinstance(value, list) else value
                for name, value in body.items()
            }
        case _:
            return body


def _body(reply: Reply, origin: Origin) -> Expected:
    if reply.body and reply.headers.get("content-type", "").startswith("application/json"):
        documents = [_mask(json.loads(line), origin) for line in reply.body.splitlines()]
        return documents[0] if len(documents) == 1 else documents
    return reply.body.decode()


def _mask(value: Json, origin: Origin, name: str = "") -> Expected:
    match value:
        case dict():
            kind = "member " if name in MEMBERS and "ID" in value else ""
            return {
                field: _mask(item, origin, kind + field if field == "ID" else field)
                for field, item in _without_lost_time(value).items()
            }
        case list() if name == "members":  # they are in the order of their ids, which no two runs have in common
            return sorted((_mask(item, origin, name) for item in value), key=json.dumps)
        case list():
            return [_mask(item, origin, name) for item in value]
        case str():
            return _mask_text(value, origin, name)
        case int() if name == "hash":
            return f"<hash {origin.hashes.setdefault(value, len(origin.hashes) + 1)}>"
        case _:
            return value


def _without_lost_time(value: dict[str, Json]) -> dict[str, Json]:
    """Leave out how much of a lease's time is left, where it is a little less than all."""
    match value:
        case {"TTL": str(left), "grantedTTL": str(granted)} if 0 < int(granted) - int(left) <= LOST_TIME:
            return {**value, "TTL": "<a little less>"}
        case _:
            return value


def _mask_text(text: str, origin: Origin, name: str) -> str:
    if name in REVISIONS:
        return _mask_revision(text, origin, name)
    if name in IDENTITY and (masked := _mask_identity(text, origin, IDENTITY[name], is_new=name == "member ID")):
        return masked
    if name in COUNTED and int(text) > 0:
        return f"<{name}>"
    if name in ADDRESSES:
        return PORT.sub(":<port>", text)
    if name == "errors":
        return text.replace(f"memberID:{origin.member_id} ", "memberID:<member_id> ")
    return _mask_lease(text, origin, name) or _mask_long(text)


def _mask_identity(text: str, origin: Origin, name: str, *, is_new: bool) -> str | None:
    """Give another text for an id or a term of the run's own; a member that is new gets a number."""
    if text == getattr(origin, name) or (name == "raft_term" and not origin.raft_term):
        return f"<{name}>"
    if is_new or text in origin.members:
        return f"<member {origin.number_of_member(text)}>"
    return None


def _mask_lease(text: str, origin: Origin, name: str) -> str | None:
    """Give another text for what holds the id of a lease that the server picked."""
    if name in LEASES and int(text) > PICKED:
        return f"<lease {origin.number_of_lease(int(text))}>"
    if name in ("key", "keys") and (picked := PICKED_KEY.fullmatch(base64.b64decode(text))):
        return f"{picked[1].decode()}<lease {origin.number_of_lease(int(picked[2], 16))}>"
    return None


def _mask_long(text: str) -> str:
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
    if status == HTTPStatus.SWITCHING_PROTOCOLS:
        return {}
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
    """Over a WebSocket an error is a line."""
    body = answer.body
    return replace(answer, body=[_with_error(line) for line in body] if isinstance(body, list) else _with_error(body))


def _with_error(body: Expected) -> Expected:
    if not isinstance(body, dict) or body.keys() != {"code", "message"}:
        return body
    return {**body, "error": body["message"]}


def _redirect(answer: Answer) -> Answer:
    if answer.status != 301:
        return answer
    return Answer(307, {**answer.headers, "content-type": ANYTHING}, ANYTHING)


def _misdirected(answer: Answer) -> Answer:
    return replace(answer, body=ANY_TEXT) if answer.status == 421 else answer


def _fencing(answer: Answer) -> Answer:
    body = answer.body
    match body:
        case {"header": _, "key": _} if isinstance(body, dict) and len(body) == 2:
            return replace(answer, body={**body, FENCING: Like(r"\+[0-9]+")})
        case {"header": _, "leader": {"rev": rev}} if isinstance(body, dict) and len(body) == 2:
            return replace(answer, body={**body, FENCING: rev})
        case _:
            return answer


def _error_lines(answer: Answer) -> Answer:
    body = answer.body
    return replace(answer, body=[_error_line(line) for line in body]) if isinstance(body, list) else answer


def _error_line(line: Expected) -> Expected:
    match line:
        case {"error": {"code": int(code), "message": message}}:
            status = HTTP_STATUS[Code(code)]
            error: Expected = {
                "grpc_code": code,
                "http_code": status,
                "message": message,
                "http_status": HTTPStatus(status).phrase,
                "code": code,
            }
            return {"error": error}
        case _:
            return line


# In this order: the key `error` repeats the text that the other rules leave.
RULES = (
    Rule("place", "where the parser stopped is not compared", "http.md 2", _parser_place),
    Rule("parser", "the texts of Go's JSON parser are its own", "http.md 2", _parser_text),
    Rule("redirect", "a 301 would turn a POST into a GET; 3.6 sends 307 too", "http.md 1", _redirect),
    Rule("host", "how to list a host is explained in other words", "http.md 3", _misdirected),
    Rule("fencing", "who holds a lock or leads is told a number that rises", "lease-lock-election.md 2", _fencing),
    Rule("line", "clients of the older gateway read other names in the error line", "http.md 4", _error_lines),
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
    if headers in ({}, usual_headers(answer.status)):
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
