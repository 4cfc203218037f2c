from collections.abc import Iterator

import httpx
import pytest

from raftgate.api import json_codec
from raftgate.api.kv import ResponseHeader
from raftgate.api.maintenance import AlarmAction, AlarmMember, AlarmRequest, AlarmResponse, AlarmType
from raftgate.ctl.alarm import render
from tests.fakes.terminal import Answer, FakeServer, Terminal, failure

PATH = "/v3/maintenance/alarm"
HEADER = ResponseHeader(cluster_id=255, member_id=2, revision=3, raft_term=4)
FULL = AlarmMember(memberID=10276657743932975437, alarm=AlarmType.NOSPACE)
NOBODYS = AlarmMember(alarm=AlarmType.CORRUPT)
ALARMS = AlarmResponse(header=HEADER, alarms=(FULL, NOBODYS))


def in_turn(*answers: Answer) -> FakeServer:
    """A server that gives one answer after the other."""
    left: Iterator[Answer] = iter(answers)
    return FakeServer(on_request=lambda _: next(left))


def test_list() -> None:
    server = FakeServer({PATH: ALARMS})
    outcome = Terminal(server).run("alarm", "list")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == "memberID:10276657743932975437 alarm:NOSPACE \nalarm:CORRUPT \n"
    assert server.sent(AlarmRequest) == [AlarmRequest()]


@pytest.mark.parametrize("verb", ["list", "disarm"])
def test_no_alarms_print_nothing(verb: str) -> None:
    outcome = Terminal(FakeServer({PATH: AlarmResponse(header=HEADER)})).run("alarm", verb)
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")


def test_disarm_clears_each_by_its_name() -> None:
    # Another one cleared the second meanwhile, so that there was nothing left to clear.
    server = in_turn(ALARMS, AlarmResponse(header=HEADER, alarms=(FULL,)), AlarmResponse(header=HEADER))
    outcome = Terminal(server).run("alarm", "disarm")
    assert (outcome.code, outcome.out) == (0, "memberID:10276657743932975437 alarm:NOSPACE \n")
    assert server.sent(AlarmRequest) == [
        AlarmRequest(),
        AlarmRequest(action=AlarmAction.DEACTIVATE, memberID=FULL.memberID, alarm=AlarmType.NOSPACE),
        AlarmRequest(action=AlarmAction.DEACTIVATE, alarm=AlarmType.CORRUPT),
    ]


def test_disarm_takes_an_alarm_that_only_newer_servers_know() -> None:
    server = in_turn(
        httpx.Response(200, json={"alarms": [{"memberID": "5", "alarm": 9}]}), AlarmResponse(header=HEADER)
    )
    assert Terminal(server).run("alarm", "disarm").code == 0
    assert json_codec.decode(AlarmRequest, server.requests[1].content) == AlarmRequest(
        action=AlarmAction.DEACTIVATE, memberID=5, alarm=9
    )


@pytest.mark.parametrize(
    ("alarm", "text"),
    [
        (AlarmMember(memberID=5, alarm=AlarmType.CORRUPT), "memberID:5 alarm:CORRUPT \n"),
        (AlarmMember(memberID=5, alarm=9), "memberID:5 alarm:9 \n"),
        (AlarmMember(memberID=5), "memberID:5 \n"),
        (AlarmMember(), "\n"),
    ],
)
def test_alarms_are_told_as_protobuf_does(alarm: AlarmMember, text: str) -> None:
    assert render(AlarmResponse(alarms=(alarm,)), "simple") == text


def test_json() -> None:
    assert render(ALARMS, "json") == (
        '{"header":{"cluster_id":255,"member_id":2,"revision":3,"raft_term":4},'
        '"alarms":[{"memberID":10276657743932975437,"alarm":1},{"alarm":2}]}\n'
    )


def test_disarm_in_json_has_no_header() -> None:
    assert Terminal(FakeServer({PATH: AlarmResponse(header=HEADER)})).run("alarm", "disarm", "-w=json").out == "{}\n"


def test_fields() -> None:
    alarms = (
        '"MemberID" : {}\n"AlarmType" : NOSPACE\n\n"MemberID" : 0\n"AlarmType" : CORRUPT\n\n'  # no header: no lines
    )
    header = '"ClusterID" : {}\n"MemberID" : 2\n"Revision" : 3\n"RaftTerm" : 4\n'
    assert render(ALARMS, "fields") == header.format(255) + alarms.format(FULL.memberID)
    assert render(ALARMS, "fields", is_hex=True) == header.format("ff") + alarms.format(f"{FULL.memberID:x}")
    assert render(AlarmResponse(alarms=ALARMS.alarms), "fields") == alarms.format(FULL.memberID)


@pytest.mark.parametrize("verb", ["list", "disarm"])
@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ("x", 128, "alarm {} command accepts no arguments"),
        ("-w table", 4, "table not supported as output format"),
        ("-w protobuf", 4, "protobuf not supported as output format"),
        ("-w bogus", 4, "unsupported output format"),
    ],
)
def test_bad_command_lines_are_refused_before_anything_is_sent(verb: str, words: str, code: int, text: str) -> None:
    server = FakeServer()
    outcome = Terminal(server).run("alarm", verb, *words.split())
    assert (outcome.code, outcome.out, outcome.err) == (code, "", f"Error: {text.format(verb)}\n")
    assert server.requests == []


def test_a_failure_on_the_way_ends_the_disarming() -> None:
    outcome = Terminal(in_turn(ALARMS, failure(403, 7, "etcdserver: permission denied"))).run("alarm", "disarm")
    assert (outcome.code, outcome.out, outcome.error) == (1, "", "etcdserver: permission denied")
