"""The verb `lock`: holds a lock until a signal, or while a program runs (etcdctl/ctlv3/command/lock_command.go)."""

from raftgate.api.concurrency import LockRequest, LockResponse, UnlockRequest
from raftgate.api.kv import RangeRequest
from raftgate.ctl.client import Client, connect
from raftgate.ctl.errors import CommandError, ExitCode
from raftgate.ctl.interruption import Interrupted, interruptible, uninterrupted
from raftgate.ctl.invocation import Invocation
from raftgate.ctl.printers import Printer, printer
from raftgate.ctl.programs import run_program
from raftgate.ctl.quoting import to_bytes, to_text
from raftgate.ctl.session import Session, session
from raftgate.ctl.streams import wait


def run(invocation: Invocation) -> None:
    """Waits for the lock; prints its key and waits for a signal, or runs the program that the arguments name."""
    if not invocation.arguments:
        text = "lock takes a lock name argument and an optional command to execute"
        raise CommandError(text, ExitCode.BAD_ARGS)
    name, *words = invocation.arguments
    with connect(invocation) as client:
        output = printer(client.settings.output, is_hex=client.settings.is_hex)
        with session(client, invocation.flags.integer("ttl")) as held:
            lock: LockResponse | None = None
            try:
                with interruptible():
                    lock = wait(client, LockRequest(name=to_bytes(name), lease=held.lease))
                    if words:
                        _run_program(words, lock, invocation)
                    else:
                        _hold(lock, client, held, output, invocation)
            except Interrupted:
                if lock is None:
                    raise CommandError("context canceled") from None
            client.call(UnlockRequest(key=lock.key))


def _run_program(words: list[str], lock: LockResponse, invocation: Invocation) -> None:
    revision = lock.header.revision if lock.header else 0
    ours = {"ETCD_LOCK_KEY": to_text(lock.key), "ETCD_LOCK_REV": str(revision)}
    with uninterrupted():  # whatever it holds the lock for is over when the program is
        run_program(words, {**ours, **invocation.environ}, invocation.console)


def _hold(lock: LockResponse, client: Client, held: Session, output: Printer, invocation: Invocation) -> None:
    response = client.call(RangeRequest(key=lock.key))
    if not response.kvs:
        raise CommandError("lock lost on init")
    invocation.console.write(output(response))
    held.has_ended()
    raise CommandError("session expired")
