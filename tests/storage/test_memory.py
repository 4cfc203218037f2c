"""Resident memory of a process that holds a store, while it runs and after a restart: index + budget + an allowance.

The process is this file, run as a program. Figures go to the output of `pytest -rA`.
"""

import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftgate.api.kv import PutRequest
from storage.machine import Command, Machine
from tests.fakes.storage import flush, open_machine

ROOT = Path(__file__).parent.parent.parent

BYTES_PER_KEY = 250
BYTES_PER_REVISION = 16
HISTORY_PER_KEY = 200
"""Bytes that a key takes as soon as it has a history, for its entry and the bytearray's own."""
KEY = b"registry/pods/default/%08d"


def puts(keys: int, revisions: int, value: bytes) -> Iterator[PutRequest]:
    for revision in range(revisions):
        for key in range(keys):
            yield PutRequest(KEY % key, b"%08d" % (revision * keys + key) + value)


def fill(machine: Machine, requests: Iterator[PutRequest]) -> None:
    for index, request in enumerate(requests, 1):
        machine.apply(index, Command(request))
        if index % 2000 == 0:
            flush(machine)
        if index % 20_000 == 0:
            machine.writer.checkpoint()
    flush(machine)
    machine.writer.checkpoint()


def status(name: str) -> int:
    """A figure of the kernel's on this process, in bytes: VmRSS now, VmHWM at most so far."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise AssertionError(name)


def main(directory: str, budget: int, keys: int, revisions: int, value: int) -> None:
    """Fills the store of an empty directory, or opens that of another one."""
    gc.collect()
    gc.freeze()
    is_new = not any(Path(directory).iterdir())
    before = status("VmRSS")
    machine = open_machine(Path(directory), value_cache_bytes=budget)
    if is_new:
        fill(machine, puts(keys, revisions, b"x" * (value - 8)))
    values = machine._kv.values
    found = {
        "before": before,
        "now": status("VmRSS"),
        "peak": status("VmHWM"),
        "keys": len(machine._kv.index),
        "values": values.size,
        "evicted": values.evicted,
    }
    sys.stdout.write(json.dumps(found))
    machine.close()


def measure(directory: Path, budget: int, keys: int, revisions: int, value: int) -> dict[str, int]:
    arguments = [str(directory), *(str(each) for each in (budget, keys, revisions, value))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, __file__, *arguments]
    result = subprocess.run(command, capture_output=True, check=True, text=True, env=environment)
    found: dict[str, int] = json.loads(result.stdout)
    sys.stdout.write(f"{found}\n")
    return found


def check(directory: Path, budget: int, keys: int, revisions: int, value: int, allowance: int) -> None:
    """`allowance`: bytes over an empty process, index and budget."""
    index = keys * BYTES_PER_KEY
    if revisions > 1:
        index += keys * HISTORY_PER_KEY + keys * revisions * BYTES_PER_REVISION
    for _ in range(2):  # filled, then opened again
        found = measure(directory, budget, keys, revisions, value)
        assert found["keys"] == keys
        assert found["values"] <= budget
        assert (found["evicted"] > 0) == (keys * value > budget)
        grown = max(found["now"], found["peak"]) - found["before"]
        assert grown <= index + budget + allowance, f"{grown:,} bytes"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("budget", "keys", "revisions", "value"),
    [
        pytest.param(8 << 20, 30_000, 1, 1024, id="30,000 keys of 1 KiB, budget 8 MiB"),
        pytest.param(64 << 20, 4_000, 50, 16, id="4,000 keys with 50 revisions"),
    ],
)
def test_memory_stays_bounded(tmp_path: Path, budget: int, keys: int, revisions: int, value: int) -> None:
    """The proof, reduced from 500,000 keys with 64 MiB and 100,000 keys with 50 revisions; the allowance is 40 MiB."""
    check(tmp_path, budget, keys, revisions, value, 40 << 20)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("budget", "keys", "revisions", "value"),
    [
        pytest.param(64 << 20, 500_000, 1, 1024, id="500,000 keys of 1 KiB, budget 64 MiB"),
        pytest.param(64 << 20, 100_000, 50, 16, id="100,000 keys with 50 revisions"),
    ],
)
def test_memory_stays_bounded_in_full(tmp_path: Path, budget: int, keys: int, revisions: int, value: int) -> None:
    check(tmp_path, budget, keys, revisions, value, 150 << 20)


if __name__ == "__main__":
    main(sys.argv[1], *(int(each) for each in sys.argv[2:]))
