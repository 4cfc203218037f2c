"""The `raftgate` command: a member with etcd's flags."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence

from raftgate import logs
from raftgate.config import Config, ConfigError, Finished, Note, load

log = logging.getLogger(__name__)


def main() -> None:
    """Runs the command with this process's arguments and environment; does not return."""
    sys.exit(run(sys.argv[1:], os.environ))


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Runs the command and answers its exit code; ended by a signal it raises that signal again."""
    try:
        config = load(argv, environ)
    except Finished as finished:
        sys.stdout.write(finished.stdout)
        return 0
    except ConfigError as refused:
        sys.stderr.write(refused.stderr)
        if refused.notes:
            logs.set_up(logs.Options())
            _tell(refused.notes)
        return refused.exit_code
    try:
        logs.set_up(_log_options(config))
    except OSError as error:
        sys.stderr.write(f"cannot open the log output: {error}\n")
        return 1
    _tell(config.notes)
    return _serve(config)


def _serve(config: Config) -> int:
    import uvloop  # noqa: PLC0415 - with what follows most of the start-up time, which --help and --version spare

    from raftgate import server  # noqa: PLC0415 - likewise

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            received = runner.run(server.run(config))
    except KeyboardInterrupt:  # before the signals were handled
        received = signal.SIGINT
    except Exception as error:
        fields = {"error": str(error)}
        log.critical("discovery failed", extra={"fields": fields}, exc_info=not isinstance(error, server.REFUSALS))
        return 1
    if received is None:  # the cluster has no such member any more
        logging.shutdown()
        return 0
    log.info("stopped", extra={"fields": {"signal": received.name}})
    logging.shutdown()
    signal.signal(received, signal.SIG_DFL)  # the wait status tells supervisors of an orderly stop, as etcd's does
    os.kill(os.getpid(), received)
    return 1


def _tell(notes: Sequence[Note]) -> None:
    for note in notes:
        log.log(note.level, note.message, extra={"fields": dict(note.fields)})


def _log_options(config: Config) -> logs.Options:
    return logs.Options(
        level=config.log_level, format=config.log_format, outputs=config.log_outputs, rotation=config.log_rotation
    )


if __name__ == "__main__":
    main()
