import pytest

from raftgate.api import json_codec
from raftgate.api.kv import KeyValue, ResponseHeader
from raftgate.api.watch import Event, EventType, WatchRequest, WatchResponse
from raftgate.ctl.errors import ExitCode
from raftgate.ctl.watch import event_variables
from tests.fakes.terminal import FakeServer, Outcome, Terminal
from tests.raftgate.ctl.test_watching import END, connection, created

HEADER = ResponseHeader(cluster_id=255, member_id=2, revision=9, raft_term=4)
OLD = KeyValue(key=b"k", create_revision=5, mod_revision=5, version=1, value=b"v")
NEW = KeyValue(key=b"k", create_revision=5, mod_revision=6, version=2, value=b"w")
GONE = KeyValue(key=b"k", mod_revision=7)
EVENTS = WatchResponse(
    header=HEADER,
    events=(
        Event(kv=OLD),
        Event(kv=NEW, prev_kv=OLD),
        Event(type=EventType.DELETE, kv=GONE),
    ),
)
CANCELED = "Error: watch is canceled by the server\n"
COMPACTED = "watch was canceled (etcdserver: mvcc: required revision has been compacted)\n"


def run(*words: str, responses: tuple[WatchResponse, ...] = (created(4), EVENTS, END), stdin: bytes = b"") -> Outcome:
    server = FakeServer(on_request=lambda _: connection(*responses))
    return Terminal(server, {"PATH": "/usr/bin:/bin"}).run("watch", *words, stdin=stdin)


def test_the_simple_format() -> None:
    outcome = run("k")
    assert outcome.out == "PUT\nk\nv\nPUT\nk\nv\nk\nw\nDELETE\nk\n\n"
    assert (outcome.code, outcome.err) == (ExitCode.INTERRUPTED, COMPACTED + CANCELED)


def test_hex() -> None:
    assert run("k", "--hex").out.startswith("PUT\n\\x6b\n\\x76\n")


def test_json() -> None:
    head, tail = run("k", "-w", "json").out.splitlines()
    assert head == (
        '{"Header":{"cluster_id":255,"member_id":2,"revision":9,"raft_term":4},"Events":['
        '{"kv":{"key":"aw==","create_revision":5,"mod_revision":5,"version":1,"value":"dg=="}},'
        '{"kv":{"key":"aw==","create_revision":5,"mod_revision":6,"version":2,"value":"dw=="},'
        '"prev_kv":{"key":"aw==","create_revision":5,"mod_revision":5,"version":1,"value":"dg=="}},'
        '{"type":1,"kv":{"key":"aw==","mod_revision":7}}],"CompactRevision":0,"Canceled":false,"Created":false}'
    )
    assert tail == '{"Header":{},"Events":[],"CompactRevision":9,"Canceled":true,"Created":false}'


def test_fields() -> None:
    text = run("k", "-w", "fields").out
    assert text.startswith(
        '"ClusterID" : 255\n"MemberID" : 2\n"Revision" : 9\n"RaftTerm" : 4\n"Type" : PUT\n"Key" : "k"'
    )
    assert '"Type" : PUT\n"PrevKey" : "k"\n"PrevCreateRevision" : 5\n' in text
    assert '"Type" : DELETE\n"Key" : "k"\n"CreateRevision" : 0\n"ModRevision" : 7\n' in text


@pytest.mark.parametrize("output", ["table", "protobuf"])
def test_other_formats(output: str) -> None:
    outcome = run("k", "-w", output)
    assert (outcome.code, outcome.error) == (ExitCode.BAD_FEATURE, f"{output} not supported as output format")


def test_progress() -> None:
    progress = WatchResponse(header=HEADER)
    assert run("k", responses=(created(4), progress, END)).out == "progress notify: 9\n"
    lines = run("k", "-w", "json", responses=(created(4), progress, END)).out.splitlines()
    assert lines[0] == "progress notify: 9"
    assert lines[1].startswith('{"Header":{"cluster_id":255')


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (WatchResponse(created=True, canceled=True, cancel_reason="mvcc: no"), "mvcc: no"),
        (WatchResponse(canceled=True), "etcdserver: mvcc: required revision is a future revision"),
    ],
)
def test_why_a_watch_ended(response: WatchResponse, reason: str) -> None:
    outcome = run("k", responses=(response,))
    assert (outcome.code, outcome.err) == (5, f"watch was canceled ({reason})\n{CANCELED}")


def test_a_program_for_each_event_behind_the_text_of_all() -> None:
    outcome = run("k", "--", "sh", "-c", "env | grep ^ETCD_ | sort | tr '\\n' ' '; echo")
    _, _, dumps = outcome.out.partition("DELETE\nk\n\n")
    assert dumps.splitlines() == [
        'ETCD_WATCH_EVENT_TYPE="PUT" ETCD_WATCH_KEY="k" ETCD_WATCH_REVISION=9 ETCD_WATCH_VALUE="v" ',
        'ETCD_WATCH_EVENT_TYPE="PUT" ETCD_WATCH_KEY="k" ETCD_WATCH_REVISION=9 ETCD_WATCH_VALUE="w" ',
        'ETCD_WATCH_EVENT_TYPE="DELETE" ETCD_WATCH_KEY="k" ETCD_WATCH_REVISION=9 ETCD_WATCH_VALUE="" ',
    ]


def test_a_program_that_fails() -> None:
    outcome = run("k", "--", "sh", "-c", "exit 9")
    assert (outcome.code, outcome.err) == (1, 'command ["sh" "-c" "exit 9"] error (exit status 9)\n')


def test_what_programs_are_told_is_quoted() -> None:
    event = Event(kv=KeyValue(key=b"\xff\n", value='é "q"'.encode()))
    assert event_variables(event, WatchResponse()) == {
        "ETCD_WATCH_REVISION": "0",
        "ETCD_WATCH_EVENT_TYPE": '"PUT"',
        "ETCD_WATCH_KEY": '"\\xff\\n"',
        "ETCD_WATCH_VALUE": '"é \\"q\\""',
    }


def test_what_is_asked() -> None:
    server = FakeServer(on_request=lambda _: connection(END))
    Terminal(server).run("watch", "k", "--rev", "3", "--prefix", "--prev-kv")
    request = json_codec.decode(WatchRequest, server.requests[0].content).create_request
    assert request is not None
    assert (request.key, request.range_end, request.start_revision, request.prev_kv) == (b"k", b"l", 3, True)


def test_bad_lines_do_not_end_the_interactive_mode() -> None:
    outcome = run("-i", stdin=b"bogus x\n\nwatch\nwatch a b --prefix\nwatch -- echo\nprogress\nwatch cut")
    assert outcome.err.splitlines() == [
        "Invalid command bogus x (only support watch)",
        "Invalid command:  (watch and progress supported)",
        "Invalid command watch (command type or key is not provided)",
        "Invalid command watch a b --prefix (`range_end` and `--prefix` are mutually exclusive)",
        "Invalid command watch -- echo (bad number of arguments)",
        "Error: error reading watch request line: EOF",
    ]
    assert outcome.code == ExitCode.INVALID_INPUT


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"watch --rev 3\n", "bad number of arguments"),
        (b"watch a --\n", "bad number of arguments (found separator --, but no commands)"),
        (b"watch a --bogus\n", "unknown flag: --bogus"),
    ],
)
def test_bad_lines_that_do(line: bytes, text: str) -> None:
    outcome = run("-i", stdin=line)
    assert (outcome.code, outcome.err) == (ExitCode.BAD_ARGS, f"Error: {text}\n")


def test_the_environment_is_looked_at_first() -> None:
    terminal = Terminal(environ={"ETCDCTL_WATCH_RANGE_END": "z"})
    for words in (["watch", "-i"], ["watch"]):
        outcome = terminal.run(*words)
        assert (outcome.code, outcome.error) == (128, 'ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END="z"')
