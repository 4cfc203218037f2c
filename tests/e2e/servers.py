"""Starts the programs that the black-box tests talk to: raftgate and, where it is found, the real etcd.

Each server is a process of its own on free loopback ports with its own data directory. Its log is kept in
memory for the report of a failing test; it is ended by its own process id and never by name.
"""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
READY = "ready to serve client requests"
START_DEADLINE = 20.0
STOP_DEADLINE = 15.0
LOG_TAIL = 25

# Where shared peer programs are installed when they are not on PATH.
PEERS = Path.home() / ".cache" / "raftgate-peers" / "bin"


def find_peer(name: str) -> str | None:
    """Find a real peer program: the variable of its upper-case name, PATH, then the folder of installed peers."""
    return os.environ.get(name.upper()) or shutil.which(name) or shutil.which(name, path=PEERS)


def raftgate_command() -> list[str]:
    """Give the command that starts raftgate; the variable SERVER_CMD names another one."""
    return shlex.split(os.environ.get("SERVER_CMD", "")) or [sys.executable, "-m", "raftgate"]


def free_ports(count: int) -> list[int]:
    """Find loopback ports that nothing listens on, all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def member_flags(data_dir: Path, client_port: int, peer_port: int) -> list[str]:
    """Give etcd's flags for one member alone."""
    client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
    return [
        f"--data-dir={data_dir}",
        "--name=default",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
    ]


def clean_environment() -> dict[str, str]:
    """Give our environment without the variables that would configure a member."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("ETCD", "RAFTGATE_"))}


class Process:
    """A running program whose error output is read line by line as it comes."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._ended = False
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd=REPOSITORY,
            env=clean_environment(),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stderr:
            for line in stderr:
                with self._news:
                    self.lines.append(line.rstrip("\n"))
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def wait_for_line(self, text: str, deadline: float = START_DEADLINE) -> str:
        """Give the first line of the log that contains `text`; fails when none comes in time (seconds)."""
        with self._news:
            self._news.wait_for(lambda: self._ended or self._find(text) is not None, deadline)
            found = self._find(text)
        if found is None:
            self.kill()
            msg = f"{shlex.join(self.command)}\nnever said {text!r}; its log ends with\n{self.tail()}"
            raise AssertionError(msg)
        return found

    def wait_for_news(self, seconds: float) -> None:
        """Wait until the log grows, at most so long: the pause of a loop that looks from outside."""
        with self._news:
            self._news.wait(seconds)

    def _find(self, text: str) -> str | None:
        return next((line for line in self.lines if text in line), None)

    def tail(self) -> str:
        """Give the end of the log."""
        return "\n".join(self.lines[-LOG_TAIL:])

    def is_alive(self) -> bool:
        """Tell whether the process runs."""
        return self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def wait(self, deadline: float = STOP_DEADLINE) -> int:
        """Wait for the end and give the exit code; minus the signal's number when a signal ended it."""
        try:
            code = self._process.wait(deadline)
        except subprocess.TimeoutExpired:
            self.kill()
            msg = f"{shlex.join(self.command)}\ndid not end within {deadline} s; its log ends with\n{self.tail()}"
            raise AssertionError(msg) from None
        self._reader.join(deadline)
        return code

    def kill(self) -> None:
        """End the process at once, whatever its state."""
        if self.is_alive():
            self._process.kill()
        self._process.wait(STOP_DEADLINE)
        self._reader.join(STOP_DEADLINE)


@dataclass(frozen=True, slots=True)
class Server:
    """One member that serves."""

    process: Process
    client_port: int
    peer_port: int
    data_dir: Path


def start(command: Iterable[str], directory: Path, *flags: str, ports: Sequence[int] = ()) -> Server:
    """Start one member below `directory` and wait until it serves; on `ports` for clients and peers, if given."""
    client_port, peer_port = ports or free_ports(2)
    data_dir = directory / "data"
    process = Process([*command, *member_flags(data_dir, client_port, peer_port), *flags])
    process.wait_for_line(READY)
    return Server(process, client_port, peer_port, data_dir)
