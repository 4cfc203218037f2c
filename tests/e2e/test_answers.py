"""The comparison itself: that a wrong answer is seen, and what the rules change."""

from dataclasses import replace

import pytest

from tests.e2e.answers import Answer, comparable, comparable_excerpt, expected_of_raftgate, mismatches, usual_headers
from tests.e2e.case import (
    ANY_TEXT,
    ANYTHING,
    THIS_MEMBER,
    Difference,
    Expected,
    Lease,
    Like,
    Origin,
    OwnKey,
    Reading,
    Revision,
    Step,
    refused,
)
from tests.e2e.client import Reply
from tests.e2e.streams import CUT, END, NOTHING, Excerpt

ORIGIN = Origin("11", "22", "2", 40)
STEP = Step("POST", "/v3/kv/range")
HEADERS = {
    "content-type": "application/json",
    "grpc-metadata-content-type": "application/grpc",
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "POST, GET, OPTIONS, PUT, DELETE",
    "access-control-allow-headers": "accept, content-type, authorization",
    "date": "Thu, 01 Jan 1970 00:00:00 GMT",
    "content-length": "7",
}


def _error(message: str, status: int = 400) -> Answer:
    return Answer(status, usual_headers(status), {"code": 3, "message": message})


def test_ids_term_and_revisions_are_masked() -> None:
    body = (
        b'{"header":{"cluster_id":"11","member_id":"22","revision":"42","raft_term":"2"},"kvs":[{"mod_revision":"41"}]}'
    )
    answer = comparable(Reply(200, HEADERS, body), ORIGIN, STEP)
    header: Expected = {
        "cluster_id": "<cluster_id>",
        "member_id": "<member_id>",
        "revision": "+2",
        "raft_term": "<raft_term>",
    }
    assert answer == Answer(200, usual_headers(200), {"header": header, "kvs": [{"mod_revision": "+1"}]})


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ('{"memberID":"22"}', {"memberID": "<member_id>"}),
        ('{"memberID":"7"}', {"memberID": "7"}),
        ('{"leader":"22","raftTerm":"2"}', {"leader": "<member_id>", "raftTerm": "<raft_term>"}),
        ('{"dbSize":"20480","raftIndex":"0"}', {"dbSize": "<dbSize>", "raftIndex": "0"}),
        ('{"errors":["memberID:22 alarm:NOSPACE "]}', {"errors": ["memberID:<member_id> alarm:NOSPACE "]}),
        ('{"errors":["memberID:221 alarm:NOSPACE "]}', {"errors": ["memberID:221 alarm:NOSPACE "]}),
        ('{"hash":5,"hash_revision":"41"}', {"hash": "<hash 1>", "hash_revision": "+1"}),
        ('[{"hash":5},{"hash":6},{"hash":5}]', [{"hash": "<hash 1>"}, {"hash": "<hash 2>"}, {"hash": "<hash 1>"}]),
        ('{"hash":"5"}', {"hash": "5"}),
        ('{"compact_revision":"41"}', {"compact_revision": "+1"}),
        ('{"compact_revision":"40"}', {"compact_revision": "<earlier>"}),
        ('{"compact_revision":"-1"}', {"compact_revision": "<earlier>"}),
    ],
)
def test_what_depends_on_the_run_is_masked(text: str, body: Expected) -> None:
    origin = Origin("11", "22", "2", 40)
    assert comparable(Reply(200, HEADERS, text.encode()), origin, STEP).body == body


def test_a_fresh_store_shows_that_it_was_never_compacted() -> None:
    origin = Origin("11", "22", "2", 1, is_fresh=True)
    assert comparable(Reply(200, HEADERS, b'{"compact_revision":"-1"}'), origin, STEP).body == {
        "compact_revision": "-1"
    }


def test_revisions_and_the_members_id_are_filled_in() -> None:
    body = {"revision": Revision(2), "memberID": THIS_MEMBER, "list": [{"key": b"foo"}]}
    assert Step("POST", "/", body).encode(ORIGIN) == b'{"revision":"42","memberID":"22","list":[{"key":"Zm9v"}]}'


def test_leases_that_the_server_picked_are_numbered_and_filled_in() -> None:
    origin = Origin("11", "22", "2", 40)
    body = b'{"ID":"7587889339846720001","kvs":[{"key":"bS82OTRkNzEzODgyYmMwMjAx","lease":"7"}]}'
    answer = comparable(Reply(200, HEADERS, body), origin, STEP)
    assert answer.body == {"ID": "<lease 1>", "kvs": [{"key": "m/<lease 2>", "lease": "7"}]}
    step = Step("POST", "/", {"ID": Lease(1), "key": OwnKey(b"m", Lease(2))})
    assert step.encode(origin) == b'{"ID":"7587889339846720001","key":"bS82OTRkNzEzODgyYmMwMjAx"}'


@pytest.mark.parametrize(("left", "shown"), [(60, "60"), (59, "<a little less>"), (50, "<a little less>"), (49, "49")])
def test_a_little_of_a_leases_time_may_be_lost(left: int, shown: str) -> None:
    body = b'{"ID":"7","TTL":"%d","grantedTTL":"60"}' % left
    answer = comparable(Reply(200, HEADERS, body), ORIGIN, STEP)
    assert answer.body == {"ID": "7", "TTL": shown, "grantedTTL": "60"}


CREATED = b'{"result":{"header":{"revision":"41"},"created":true}}\n'
EVENTS = (
    b'{"result":{"header":{"revision":"42"},"events":[{"kv":{"mod_revision":"41"}},{"kv":{"mod_revision":"42"}}]}}\n'
)
MORE = b'{"result":{"header":{"revision":"43"},"events":[{"kv":{"mod_revision":"43"}}]}}\n'


def test_lines_of_a_stream() -> None:
    excerpt = Excerpt(Reply(200, HEADERS, b""), [CREATED, NOTHING])
    answer = comparable_excerpt(excerpt, ORIGIN, replace(STEP, reading=Reading(lines=2)))
    created: Expected = {"result": {"header": {"revision": "+1"}, "created": True}}
    assert answer == Answer(200, usual_headers(200), [created, "<nothing>"])


def test_events_are_joined_however_they_come() -> None:
    step = replace(STEP, reading=Reading(events=3))
    answers = [
        comparable_excerpt(Excerpt(Reply(200, HEADERS, b""), lines), ORIGIN, step)
        for lines in ([EVENTS, MORE], [EVENTS.replace(b"}]}}", b'},{"kv":{"mod_revision":"43"}}]}}')])
    ]
    told: Expected = {"watch 0": [{"kv": {"mod_revision": f"+{number}"}} for number in (1, 2, 3)]}
    assert [answer.body for answer in answers] == [told, told]


def test_a_whole_answer_is_that_of_a_call() -> None:
    whole = Excerpt(Reply(200, HEADERS, b""), [b'{"header":{"revision":"41"}}', END])
    assert comparable_excerpt(whole, ORIGIN, STEP).body == {"header": {"revision": "+1"}}
    cut = Excerpt(Reply(200, HEADERS, b""), [b'{"header":{"revision":"41"}}', CUT])
    assert comparable_excerpt(cut, ORIGIN, STEP).body == [{"header": {"revision": "+1"}}, "<cut>"]


def test_rules_for_streams() -> None:
    recorded = Answer(200, usual_headers(200), [{"error": {"code": 4, "message": "late"}}])
    error = {"grpc_code": 4, "http_code": 504, "message": "late", "http_status": "Gateway Timeout", "code": 4}
    assert expected_of_raftgate(recorded, None).body == [{"error": error}]
    over_websocket = Answer(101, {}, [{"code": 3, "message": "no"}, "<end>"])
    assert expected_of_raftgate(over_websocket, None).body == [{"code": 3, "message": "no", "error": "no"}, "<end>"]


def test_who_holds_is_told_a_number_that_rises() -> None:
    leader: Expected = {"header": {}, "leader": {"rev": "+3"}}
    assert expected_of_raftgate(Answer(200, {}, leader), None).body == {
        "header": {},
        "leader": {"rev": "+3"},
        "raftgate_fencing_revision": "+3",
    }
    held = expected_of_raftgate(Answer(200, {}, {"header": {}, "key": "bS83"}), None)
    assert not mismatches(held, Answer(200, {}, {"header": {}, "key": "bS83", "raftgate_fencing_revision": "+1"}))
    assert mismatches(held, Answer(200, {}, {"header": {}, "key": "bS83"}))


def test_alarms_are_sorted_on_demand() -> None:
    body = b'{"alarms":[{"memberID":"9"},{"memberID":"7"}],"kvs":["b","a"]}'
    answer = comparable(Reply(200, HEADERS, body), ORIGIN, STEP.in_any_order())
    assert answer.body == {"alarms": [{"memberID": "7"}, {"memberID": "9"}], "kvs": ["b", "a"]}


def test_a_foreign_id_shows() -> None:
    answer = comparable(Reply(200, HEADERS, b'{"cluster_id":"12"}'), ORIGIN, STEP)
    assert answer.body == {"cluster_id": "12"}


def test_lines_are_sorted_on_demand() -> None:
    reply = Reply(200, {"content-type": "text/plain"}, b"b\na\nok\n")
    assert comparable(reply, ORIGIN, STEP.in_any_order()).body == "a\nb\nok\n"
    assert comparable(reply, ORIGIN, STEP).body == "b\na\nok\n"


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ({"a": "1"}, {"a": 1}),
        ({"a": True}, {"a": 1}),
        ({"a": "1"}, {}),
        ({}, {"a": "1"}),
        ([1], [1, 2]),
        ({"a": [{"b": "x"}]}, {"a": [{"b": "y"}]}),
        (Like("x+"), "y"),
        (Like("x+"), 1),
        ("", None),
    ],
)
def test_a_difference_is_seen(expected: Expected, actual: Expected) -> None:
    assert mismatches(Answer(200, {}, expected), Answer(200, {}, actual))


def test_status_and_headers_are_compared() -> None:
    assert mismatches(Answer(200, {}, ""), Answer(201, {}, ""))
    assert mismatches(Answer(200, {"cors": "*"}, ""), Answer(200, {}, ""))
    assert mismatches(Answer(200, {}, ""), Answer(200, {"cors": "*"}, ""))


def test_what_is_alike_passes() -> None:
    assert not mismatches(Answer(200, {"a": ANYTHING}, {"b": Like("x+"), "c": ANYTHING}), Answer(200, {}, {"b": "xx"}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("etcdserver: key is not provided", "etcdserver: key is not provided"),
        ("proto: (line 1:8): invalid value", Like(r"proto:\ \(line.+")),
        ("proto: syntax error (line 1:1): unexpected token null", Like(r"proto:\ syntax\ error\ \(line.+")),
        ("unexpected EOF", ANY_TEXT),
        ("invalid character 'k' looking for beginning of value", ANY_TEXT),
    ],
)
def test_rules_for_texts(text: str, message: Expected) -> None:
    answer = expected_of_raftgate(_error(text), None)
    assert answer == Answer(400, usual_headers(400), {"code": 3, "message": message, "error": message})


def test_a_redirect_keeps_the_method() -> None:
    answer = expected_of_raftgate(Answer(301, {"location": "/x"}, "<a>"), None)
    assert answer == Answer(307, {"location": "/x", "content-type": ANYTHING}, ANYTHING)


def test_a_difference_takes_the_place_of_the_record() -> None:
    recorded = Answer(200, usual_headers(200), {"count": "1"})
    changed = expected_of_raftgate(recorded, refused("why", "spec", 400, 3, "no"))
    assert changed == Answer(400, usual_headers(400), {"error": "no", "code": 3, "message": "no"})
    assert expected_of_raftgate(recorded, Difference("why", "spec", headers={"allow": "GET"})) == Answer(
        200, {**usual_headers(200), "allow": "GET"}, {"count": "1"}
    )


def test_a_step_unknown_to_etcd_has_the_stated_answer() -> None:
    answer = expected_of_raftgate(None, refused("why", "spec", 400, 3, "no"))
    assert answer == Answer(400, usual_headers(400), {"error": "no", "code": 3, "message": "no"})
