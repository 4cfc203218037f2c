import httpx

from raftgate.api.maintenance import DefragmentRequest, DefragmentResponse
from tests.fakes.terminal import NOTHING_LISTENS, Answer, FakeServer, Terminal, each_by_host, failure

PATH = "/v3/maintenance/defragment"


def test_a_member_is_told_of_with_the_time_it_took() -> None:
    terminal = Terminal(FakeServer())

    def answer(_: httpx.Request) -> Answer:
        terminal.time.now += 0.0012
        return DefragmentResponse()

    terminal.server.on_request = answer
    outcome = terminal.run("defrag", "ignored", "-w", "json")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == "Finished defragmenting etcd member[127.0.0.1:2379]. took 1.2ms\n"
    assert terminal.server.sent(DefragmentRequest) == [DefragmentRequest()]


def test_a_failure_does_not_keep_the_next_from_its_turn() -> None:
    server = each_by_host(
        {
            "a": {PATH: NOTHING_LISTENS},
            "b": {PATH: DefragmentResponse()},
            "c": {PATH: failure(403, 7, "etcdserver: permission denied")},
        }
    )
    outcome = Terminal(server).run("defrag", "--endpoints=a:1,b:1,http://c:1")
    assert outcome.code == 1
    assert outcome.out == "Finished defragmenting etcd member[b:1]. took 0s\n"
    first, second = outcome.err.splitlines()
    assert first.startswith("Failed to defragment etcd member[a:1]. took 5")
    assert first.endswith("s. (context deadline exceeded)")
    assert second == "Failed to defragment etcd member[http://c:1]. took 0s. (etcdserver: permission denied)"


def test_members_have_their_turns_in_order() -> None:
    server = each_by_host({host: {PATH: DefragmentResponse()} for host in "abcdef"})
    Terminal(server).run("defrag", "--endpoints=f:1,b:1,e:1,a:1,d:1,c:1")
    assert "".join(request.url.host for request in server.requests) == "fbeadc"


def test_what_may_have_arrived_is_never_sent_again() -> None:
    server = FakeServer(on_request=lambda _: httpx.ReadError("reset"))
    outcome = Terminal(server).run("defrag")
    assert outcome.code == 1
    assert "desc = error reading from server: reset)" in outcome.err
    assert len(server.requests) == 1


def test_all_members_of_the_cluster() -> None:
    members = httpx.Response(200, json={"members": [{"clientURLs": ["http://b:1"]}, {"clientURLs": ["http://c:1"]}]})
    done = {PATH: DefragmentResponse()}
    outcome = Terminal(each_by_host({"a": {"/v3/cluster/member/list": members}, "b": done, "c": done})).run(
        "defrag", "--cluster", "--endpoints=a:1"
    )
    assert outcome.out == (
        "Finished defragmenting etcd member[http://b:1]. took 0s\n"
        "Finished defragmenting etcd member[http://c:1]. took 0s\n"
    )


def test_an_unknown_format_is_refused_before_anyone_is_asked() -> None:
    server = FakeServer()
    outcome = Terminal(server).run("defrag", "-w", "bogus")
    assert (outcome.code, outcome.error) == (4, "unsupported output format")
    assert server.requests == []
