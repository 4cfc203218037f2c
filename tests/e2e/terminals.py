"""Client commands as processes whose output is read while they run, since most of these end by a signal only."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.e2e.servers import REPOSITORY, clean_environment, find_peer

OURS = (sys.executable, "-m", "raftgate.ctl")
DEADLINE = 30.0


def etcdctl() -> tuple[str, ...]:
    """The real one; empty when there is none."""
    program = find_peer("etcdctl")
    return () if program is None else (program,)


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str


class Running:
    """A command that runs."""

    def __init__(
        self, tool: Sequence[str], port: int, words: Sequence[str], environ: Mapping[str, str] | None = None
    ) -> None:
        self._news = threading.Condition()
        self._texts = {"out": b"", "err": b""}
        self._closed: set[str] = set()
        self.process = subprocess.Popen(
            [*tool, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=REPOSITORY,
            env={**clean_environment(), "ETCDCTL_ENDPOINTS": f"127.0.0.1:{port}", **(environ or {})},
        )
        self._readers = [
            threading.Thread(target=self._read, args=(name, stream.fileno()), daemon=True)
            for name, stream in (("out", self.process.stdout), ("err", self.process.stderr))
            if stream is not None
        ]
        for reader in self._readers:
            reader.start()

    def write(self, text: str) -> None:
        """Gives it something to read."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def wait_for(self, claim: Callable[[str], bool], *, stream: str = "out") -> None:
        """Waits until something holds of what it has written, or until it will write no more."""
        with self._news:
            done = self._news.wait_for(
                lambda: claim(self._texts[stream].decode(errors="surrogateescape")) or stream in self._closed, DEADLINE
            )
        if not done:
            text = self.end().out
            raise AssertionError(f"{self.process.args!r} never wrote what was waited for, but:\n{text}")

    def end(self, number: signal.Signals = signal.SIGKILL) -> Ended:
        """Sends a signal and waits for the end."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> Ended:
        """Closes its input and waits for its end; one that does not end in time is killed."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            code = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        for reader in self._readers:
            reader.join(DEADLINE)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        out, err = (self._texts[name].decode(errors="surrogateescape") for name in ("out", "err"))
        return Ended(code, out, err)

    def _read(self, name: str, descriptor: int) -> None:
        while piece := os.read(descriptor, 65536):
            with self._news:
                self._texts[name] += piece
                self._news.notify_all()
        with self._news:
            self._closed.add(name)
            self._news.notify_all()
