"""`python -m tests.sim FIRST LAST`: runs seeds, and prints what came of them (`--help`)."""

import argparse
import sys

from tests.sim import mutations


def main() -> int:
    """Answers 0 if all went well and nothing is missing, or a mutation was caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim")
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--mutation", choices=sorted(mutations.MUTATIONS), help="break this rule; stop when it shows")
    parser.add_argument("--trace", action="store_true", help="print a line for each seed")
    asked = parser.parse_args()
    if asked.mutation:
        mutations.install(mutations.MUTATIONS[asked.mutation])
    from tests.sim.sweep import Totals, reports  # noqa: PLC0415 - a mutation must stand before its module is imported

    totals = Totals(asked.members)
    for report in reports(range(asked.first, asked.last + 1), asked.members, asked.jobs):
        totals.add(report)
        if asked.trace:
            sys.stdout.write(f"{report.seed} {report.trace} {report.problem}\n")
        if asked.mutation and report.problem:
            sys.stdout.write(f"caught by seed {report.seed}: {report.problem}\n")
            return 0
    if asked.mutation:
        sys.stdout.write(f"not caught by {totals.seeds} seeds\n")
        return 1
    sys.stdout.write(f"{totals}\n")
    return 1 if totals.problems or totals.missing() else 0


if __name__ == "__main__":
    sys.exit(main())
