"""raftgate beside etcd on this machine: the same load in turns, medians and the ratios pair by pair.

Absolute rates tell little on a shared machine; each round runs both programs one after the other.
"""

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.fanout import Delivery, deliver
from tests.e2e.servers import find_peer, raftgate_command, start

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Section:
    """One row of the table; `target` is the least ratio of rates that is asked for."""

    name: str
    script: str
    connections: int
    target: float | None = None


SECTIONS = (
    Section("puts, 1 connection", "put.lua", 1),
    Section("puts, 64 connections", "put.lua", 64, 0.7),
    Section("ranges, 1 connection", "range.lua", 1),
    Section("ranges, 64 connections", "range.lua", 64, 1.0),
)


WATCHERS = 500
FANOUTS = (("500 watchers, lock step", 1), ("500 watchers, 16 puts", 16))
"""Name, and how many puts may be ahead of the watchers."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run measured: requests a second, and milliseconds at the 50th and 99th percentile."""

    rate: float
    p50: float
    p99: float


Measured = Load | Delivery


def load(port: int, section: Section, seconds: int) -> Load:
    """Run wrk against a server; fails when an answer was not 2xx."""
    command = ["wrk", "-t1", f"-c{section.connections}", f"-d{seconds}s", "--latency", "-s", str(HERE / section.script)]
    output = subprocess.run([*command, f"http://127.0.0.1:{port}"], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise SystemExit(output)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert rate
    return Load(float(rate[1]), percentile(output, "50%"), percentile(output, "99%"))


def percentile(output: str, name: str) -> float:
    """Milliseconds of one line of wrk's latency distribution."""
    found = re.search(rf"{name}\s+([\d.]+)(us|ms|s)", output)
    assert found
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--only", default="", help="sections whose name contains this")
    options = parser.parse_args()
    etcd = find_peer("etcd")
    if etcd is None or shutil.which("wrk") is None:
        sys.exit("the benchmark needs etcd and wrk")
    with tempfile.TemporaryDirectory() as folder:
        ours = start(raftgate_command(), Path(folder) / "raftgate")
        theirs = start([etcd], Path(folder) / "etcd")
        try:
            print_table((ours.client_port, theirs.client_port), options.rounds, options.seconds, options.only)
        finally:
            ours.process.kill()
            theirs.process.kill()


def print_table(ports: tuple[int, int], rounds: int, seconds: int, only: str) -> None:
    """Measure section by section and print a row for each; `ports`: raftgate's and etcd's."""
    ours, theirs = ports
    print(f"{rounds} rounds of {seconds} s, in turns; fsync on in both; ratio = raftgate/etcd, median [min, max]")
    print(f"{'section':24} {'raftgate/s':>10} {'etcd/s':>8} {'ratio':>20} {'p50 ms':>13} {'p99 ms':>15} {'asked':>6}")
    for section in (section for section in SECTIONS if only in section.name):
        pairs = [(load(ours, section, seconds), load(theirs, section, seconds)) for _ in range(rounds)]
        print_row(section.name, pairs, section.target)
    for name, in_the_air in (fanout for fanout in FANOUTS if only in fanout[0]):
        runs = [[deliver(port, WATCHERS, in_the_air, seconds) for port in (ours, theirs)] for _ in range(rounds)]
        print_row(name, [(mine, other) for mine, other in runs], 1.0)


def print_row(name: str, pairs: Sequence[tuple[Measured, Measured]], target: float | None) -> None:
    """One line of the table."""
    ratios = sorted(mine.rate / other.rate for mine, other in pairs)
    mine, other = (medians([pair[side] for pair in pairs]) for side in (0, 1))
    ratio = f"{statistics.median(ratios):.2f} [{ratios[0]:.2f}, {ratios[-1]:.2f}]"
    asked = f">={target}" if target else ""
    print(
        f"{name:24} {mine.rate:10.0f} {other.rate:8.0f} {ratio:>20} "
        f"{mine.p50:6.2f}/{other.p50:6.2f} {mine.p99:7.2f}/{other.p99:7.2f} {asked:>6}",
        flush=True,
    )


def medians(loads: Sequence[Measured]) -> Load:
    """The median of each figure by itself."""
    return Load(*(statistics.median(getattr(one, name) for one in loads) for name in ("rate", "p50", "p99")))


if __name__ == "__main__":
    main()
