import threading

import httpx
import pytest

from raftgate.api.cluster import MemberListRequest
from raftgate.api.kv import RangeRequest, RangeResponse
from raftgate.ctl.errors import CommandError, ExitCode
from raftgate.ctl.settings import read_settings
from raftgate.ctl.targets import Target, ask_all, connect_each
from tests.fakes.terminal import Answer, FakeServer, Terminal, each_by_host, failure

LIST = "/v3/cluster/member/list"


def endpoints(server: FakeServer, *words: str) -> list[str]:
    """The endpoints that a verb would ask."""
    invocation = Terminal(server).invocation(["endpoint", "status", *words])
    with connect_each(invocation, read_settings(invocation)) as targets:
        return [target.endpoint for target in targets]


def test_endpoints_stay_as_given_and_in_their_order() -> None:
    assert endpoints(FakeServer(), "--endpoints=b:1,http://a:1,b:1") == ["b:1", "http://a:1", "b:1"]
    assert endpoints(FakeServer(), "--endpoints=") == []


def test_each_client_speaks_to_its_own_endpoint() -> None:
    server = FakeServer({"/v3/kv/range": RangeResponse()})
    invocation = Terminal(server).invocation(["endpoint", "status", "--endpoints=b:1,a:1,b:1"])
    with connect_each(invocation, read_settings(invocation)) as targets:
        assert list(ask_all(targets, lambda target: target.client.call(RangeRequest()))) == [RangeResponse()] * 3
    assert sorted(request.url.host for request in server.requests) == ["a", "b", "b"]


def test_an_endpoint_that_is_no_address_is_refused_before_any_is_asked() -> None:
    with pytest.raises(CommandError) as caught:
        endpoints(FakeServer(), "--endpoints=a:1,ftp://b:1")
    assert (caught.value.text, caught.value.code) == ('invalid endpoint "ftp://b:1"', ExitCode.BAD_ARGS)


def test_the_endpoints_of_the_cluster() -> None:
    members = httpx.Response(200, json={"members": [{"ID": "1", "clientURLs": ["http://b:1"]}, {"name": "new"}]})
    server = each_by_host({"a": {LIST: members}})
    assert endpoints(server, "--cluster", "--endpoints=a:1") == ["http://b:1"]
    assert server.sent(MemberListRequest) == [MemberListRequest(linearizable=True)]


@pytest.mark.parametrize("answer", [failure(501, 12, "not implemented"), httpx.Response(200, text="<html>")])
def test_without_a_member_list_there_is_no_cluster(answer: Answer) -> None:
    with pytest.raises(CommandError) as caught:
        endpoints(each_by_host({"a": {LIST: answer}}), "--cluster", "--endpoints=a:1")
    assert caught.value.code == ExitCode.ERROR
    assert caught.value.text.startswith("failed to fetch endpoints from etcd cluster member list: ")


@pytest.mark.parametrize("as_they_come", [False, True])
def test_all_are_asked_at_a_time(*, as_they_come: bool) -> None:
    answered = threading.Event()

    def ask(target: Target) -> str:
        if target.endpoint == "last:1":
            answered.set()
        else:
            assert answered.wait(10), "the last one is never asked"
        return target.endpoint

    invocation = Terminal().invocation(["endpoint", "status", "--endpoints=first:1,last:1"])
    with connect_each(invocation, read_settings(invocation)) as targets:
        answers = list(ask_all(targets, ask, as_they_come=as_they_come))
    assert sorted(answers) == ["first:1", "last:1"]
    if not as_they_come:
        assert answers == ["first:1", "last:1"]


def test_nobody_to_ask() -> None:
    assert list(ask_all([], lambda target: target)) == []


def test_debug_tells_of_each_clients_attempts() -> None:
    server = each_by_host({"a": {"/v3/maintenance/status": failure(503, 14, "etcdserver: no leader")}})
    outcome = Terminal(server).run("endpoint", "status", "--endpoints=a:1", "--debug")
    assert "http://a:1: etcdserver: no leader\n" in outcome.err
