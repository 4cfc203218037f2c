"""Many seeds in several processes, and whether all that should have happened did."""

import multiprocessing
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from tests.sim import simulation
from tests.sim.faults import FAULTS
from tests.sim.simulation import Report

CHECKS: Final = (
    "a leader commits by entries of its term",
    "durable on a quorum before applied",
    "leader completeness",
    "linearizability",
    "log matching",
    "members hold the same",
    "one leader a term",
    "leases end no earlier",
    "revisions",
    "state machine safety",
    "term and vote never go back",
    "watchers miss nothing",
    "what was saved is there after a restart",
)
"""Invariants that must have had something to look at."""

EVENTS: Final = (
    "acknowledged writes",
    "commits of SQLite lost",
    "compactions",
    "database: checkpoint",
    "database: delete",
    "database: flush",
    "elections",
    "events watched",
    "leases renewed",
    "leases seen to be over",
    "log: cut",
    "log: save",
    "members that ended by themselves",
    "outcome unknown",
    "readers: run",
    "swaps that succeeded",
    "watches broken",
    "watches passed by a compaction",
)
"""What must have happened, since something depends on it."""

CHECKS_OF_MANY: Final = ("a snapshot holds committed entries only", "one vote a term")
"""Invariants that need other members."""

EVENTS_OF_MANY: Final = (
    "leadership handed over",
    "leadership transferred",
    "learners",
    "log: restore",
    "messages lost",
    "messages repeated",
    "power cut while a store came in",
    "snapshots delivered",
)
"""What happens among several members only."""


CHUNK: Final = 4
"""Seeds that a process takes at once."""
CHUNKS: Final = 25
"""How often it does so, before a fresh one takes its place: a run leaves a megabyte or two behind."""


@dataclass
class Totals:
    """What many runs have come to."""

    members: int
    seeds: int = 0
    operations: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    problems: list[Report] = field(default_factory=list)

    def add(self, report: Report) -> None:
        """Counts a run."""
        self.seeds += 1
        self.operations += report.operations
        self.faults += report.faults
        self.checks += report.checks
        self.events += report.events
        if report.problem is not None:
            self.problems.append(report)

    def missing(self) -> list[str]:
        """What never happened: a simulation that proves nothing about it."""
        faults = [fault.name for fault in FAULTS if fault.members <= self.members]
        checks = CHECKS + (CHECKS_OF_MANY if self.members > 1 else ())
        events = EVENTS + (EVENTS_OF_MANY if self.members > 1 else ())
        wanted: Sequence[tuple[Counter[str], Iterable[str]]] = (
            (self.faults, faults), (self.checks, checks), (self.events, events),
        )  # fmt: skip
        return [name for counter, names in wanted for name in names if not counter[name]]

    def __str__(self) -> str:
        lines = [f"{self.seeds} seeds of {self.members} members, {self.operations} operations"]
        for title, counter in (("faults", self.faults), ("checks", self.checks), ("events", self.events)):
            lines += [title, *(f"{count:10}  {name}" for name, count in sorted(counter.items()))]
        lines += [f"never happened: {name}" for name in self.missing()]
        for report in self.problems:
            lines += [f"seed {report.seed} of {report.members} members: {report.problem}", *report.lines[-40:]]
        return "\n".join(lines)


def reports(seeds: Iterable[int], members: int, jobs: int) -> Iterator[Report]:
    """Runs seeds in `jobs` processes; the reports come in the order of the seeds."""
    if jobs == 1:
        for seed in seeds:
            yield simulation.run(seed, members)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn, max_tasks_per_child=CHUNKS) as pool:
        yield from pool.map(_run, [(seed, members) for seed in seeds], chunksize=CHUNK)


def sweep(seeds: Iterable[int], members: int, jobs: int) -> Totals:
    """Runs seeds and adds up their reports."""
    totals = Totals(members)
    for report in reports(seeds, members, jobs):
        totals.add(report)
    return totals


def _run(task: tuple[int, int]) -> Report:
    return simulation.run(*task)
