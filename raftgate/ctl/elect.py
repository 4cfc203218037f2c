"""The verb `elect`: leads until a signal, or tells who leads (etcdctl/ctlv3/command/elect_command.go)."""

from raftgate.api import json_codec
from raftgate.api.concurrency import CampaignRequest, LeaderKey, LeaderRequest, LeaderResponse, ResignRequest
from raftgate.api.kv import RangeRequest, RangeResponse
from raftgate.ctl.client import Client, connect
from raftgate.ctl.errors import CommandError, ExitCode
from raftgate.ctl.interruption import Interrupted, interruptible
from raftgate.ctl.invocation import Invocation
from raftgate.ctl.printers import Printer, printer
from raftgate.ctl.quoting import to_bytes
from raftgate.ctl.session import session
from raftgate.ctl.streams import results, wait

_OBSERVE = "/v3/election/observe"


def run(invocation: Invocation) -> None:
    """Campaigns with a proposal, or listens with -l."""
    arguments, listens = invocation.arguments, invocation.flags.boolean("listen")
    if len(arguments) not in (1, 2):
        raise _bad("elect takes one election name argument and an optional proposal argument")
    if len(arguments) == 1 and not listens:
        raise _bad("no proposal argument but -l not set")
    if len(arguments) > 1 and listens:
        raise _bad("proposal given but -l is set")
    name, *proposal = map(to_bytes, arguments)
    with connect(invocation) as client:
        output = printer(client.settings.output, is_hex=client.settings.is_hex)
        if not proposal:
            _listen(name, client, output, invocation)
            return
        with session(client) as held:
            leader: LeaderKey | None = None
            try:
                with interruptible():
                    request = CampaignRequest(name=name, lease=held.lease, value=proposal[0])
                    leader = wait(client, request).leader or LeaderKey()
                    invocation.console.write(output(client.call(RangeRequest(key=leader.key))))
                    held.has_ended()
                    raise CommandError("elect: session expired")
            except Interrupted:
                if leader is None:
                    raise CommandError("context canceled") from None
            client.call(ResignRequest(leader=leader))


def _listen(name: bytes, client: Client, output: Printer, invocation: Invocation) -> None:
    """Prints leaders until a signal comes; after a broken connection none that was printed already."""
    body = json_codec.encode(LeaderRequest(name=name))
    shown = b"", 0
    try:
        with interruptible():
            for response in results(client, _OBSERVE, lambda: body, LeaderResponse):
                if response.kv is None or (response.kv.key, response.kv.mod_revision) == shown:
                    continue
                shown = response.kv.key, response.kv.mod_revision
                invocation.console.write(output(RangeResponse(header=response.header, kvs=(response.kv,))))
    except Interrupted:
        return


def _bad(text: str) -> CommandError:
    return CommandError(text, ExitCode.BAD_ARGS)
