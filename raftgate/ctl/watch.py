"""The verb `watch`: prints events, and may run a program for each (etcdctl/ctlv3/command/watch_command.go)."""

import os
import threading
from collections.abc import Callable, Sequence

from raftgate.api.errors import Compacted, FutureRev
from raftgate.api.kv import ResponseHeader
from raftgate.api.watch import Event, WatchResponse
from raftgate.ctl.client import Client, connect
from raftgate.ctl.errors import CommandError, ExitCode, SilentError
from raftgate.ctl.invocation import Invocation
from raftgate.ctl.literals import format_bool
from raftgate.ctl.printers import Fields, Simple, to_json
from raftgate.ctl.programs import run_program, show_words
from raftgate.ctl.quoting import quote, to_text
from raftgate.ctl.settings import Settings
from raftgate.ctl.txn import split_words
from raftgate.ctl.watch_words import Words, create_request, environment_range, parse_line, split
from raftgate.ctl.watching import Watching

Show = Callable[[WatchResponse], str]


def run(invocation: Invocation) -> None:
    """Watches a key or range until the server ends the watch, or with -i what the lines of stdin name."""
    environment_range(invocation.environ)
    if invocation.flags.boolean("interactive"):
        with connect(invocation) as client:
            _interact(client, invocation)
        return
    words = split(invocation.found.words, invocation.arguments, invocation.flags, invocation.environ)
    request = create_request(words)
    with connect(invocation) as client:
        _follow(Watching(client, request), words.program, printer(client.settings), invocation)
    raise CommandError("watch is canceled by the server", ExitCode.INTERRUPTED)


def printer(settings: Settings) -> Show:
    """The printer of watch responses for an output format.

    Raises: CommandError for a format that is not for them.
    """
    if settings.output == "simple":
        simple = Simple(is_hex=settings.is_hex)
        return lambda response: "".join(_simple_event(event, simple) for event in response.events)
    if settings.output == "json":
        return _json
    if settings.output == "fields":
        fields = Fields(is_hex=settings.is_hex)
        return lambda response: "".join(f"{line}\n" for line in _fields(response, fields))
    raise CommandError(f"{settings.output} not supported as output format", ExitCode.BAD_FEATURE)


def event_variables(event: Event, response: WatchResponse) -> dict[str, str]:
    """What a program finds in its environment; all but the response's revision as quoted Go strings."""
    revision = response.header.revision if response.header else 0
    key, value = (event.kv.key, event.kv.value) if event.kv else (b"", b"")
    return {
        "ETCD_WATCH_REVISION": str(revision),
        "ETCD_WATCH_EVENT_TYPE": f'"{event.type}"',
        "ETCD_WATCH_KEY": quote(key),
        "ETCD_WATCH_VALUE": quote(value),
    }


def _follow(watching: Watching, program: Sequence[str], show: Show, invocation: Invocation) -> None:
    """Tells of a watch until the server ends it.

    Raises: SilentError when a program fails.
    """
    console = invocation.console
    for response in watching.responses():
        text = show(response)
        if response.canceled:
            console.complain(f"watch was canceled ({_reason(response)})")
        elif not response.events:
            text = f"progress notify: {response.header.revision if response.header else 0}\n{text}"
        console.write(text)
        for event in response.events if program else ():
            environ = {**invocation.environ, **event_variables(event, response)}
            try:
                run_program(program, environ, console)
            except CommandError as error:
                console.complain(f"command {show_words(program)} error ({error.text})")
                raise SilentError from None


def _reason(response: WatchResponse) -> str:
    if response.compact_revision:
        return Compacted.default_text
    return response.cancel_reason or FutureRev.default_text


def _interact(client: Client, invocation: Invocation) -> None:
    """Starts watches line by line; the end of the input ends them all.

    Raises: CommandError.
    """
    show = printer(client.settings)
    watches: list[Watching] = []
    while line := invocation.console.stdin.readline():
        if not line.endswith(b"\n"):
            break
        text = to_text(line[:-1])
        verb, *rest = split_words(text) or [""]
        if verb == "progress":
            for watching in watches:
                watching.ask_for_progress()
            continue
        complaint = _complaint(text, verb, rest, invocation)
        if complaint:
            invocation.console.complain(complaint)
            continue
        words = parse_line(rest, invocation.environ)
        try:
            watching = Watching(client, create_request(words))
        except CommandError as error:
            invocation.console.complain(f"Invalid command {text} ({error.text})")
            continue
        watches.append(watching)
        threading.Thread(target=_follow_beside, args=(watching, words, show, invocation), daemon=True).start()
    raise CommandError("error reading watch request line: EOF", ExitCode.INVALID_INPUT)


def _complaint(text: str, verb: str, rest: Sequence[str], invocation: Invocation) -> str:
    if not verb:
        return f"Invalid command: {text} (watch and progress supported)"
    if verb != "watch":
        return f"Invalid command {text} (only support watch)"
    if not rest and not environment_range(invocation.environ):
        return f"Invalid command {text} (command type or key is not provided)"
    return ""


def _follow_beside(watching: Watching, words: Words, show: Show, invocation: Invocation) -> None:
    """Tells of one watch beside the thread that reads lines; its failure is that of the process, as in etcdctl."""
    try:
        _follow(watching, words.program, show, invocation)
    except CommandError as error:
        if error.text:
            invocation.console.complain(f"Error: {error.text}")
        os._exit(error.code)


def _simple_event(event: Event, simple: Simple) -> str:
    pairs = [pair for pair in (event.prev_kv, event.kv) if pair is not None]
    return f"{event.type}\n{simple.pairs(pairs)}"


def _fields(response: WatchResponse, fields: Fields) -> list[str]:
    lines = fields.header(response.header or ResponseHeader())
    for event in response.events:
        lines.append(f'"Type" : {event.type}')
        if event.prev_kv is not None:
            lines += fields.pair(event.prev_kv, "Prev")
        if event.kv is not None:
            lines += fields.pair(event.kv)
    return lines


def _json(response: WatchResponse) -> str:
    events = "null" if response.created else f"[{','.join(map(to_json, response.events))}]"
    parts = (
        f'"Header":{to_json(response.header or ResponseHeader())}',
        f'"Events":{events}',
        f'"CompactRevision":{response.compact_revision}',
        f'"Canceled":{format_bool(response.canceled)}',
        '"Created":false',
    )
    return "{" + ",".join(parts) + "}\n"
