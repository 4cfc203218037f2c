"""All cases, by the file that holds them."""

import importlib

from tests.e2e.case import Case

FILES = (
    "ranges",
    "range_options",
    "filters",
    "puts",
    "deletes",
    "txns",
    "compares",
    "txn_limits",
    "past_ranges",
    "past_txns",
    "compaction",
    "mapping",
    "bodies",
    "paths",
    "headers",
    "limits",
    "health",
    "alarms",
    "quota",
    "maintenance",
    "downgrade",
    "members",
    "member_changes",
    "watches",
    "watch_history",
    "watch_streams",
    "websockets",
    "leases",
    "locks",
    "elections",
)

CLUSTER_FILES = ("cluster_changes",)


def _cases(names: tuple[str, ...]) -> dict[str, list[Case]]:
    return {name: importlib.import_module(f"tests.e2e.cases.{name}").CASES for name in names}


CASES = _cases(FILES)
CLUSTER_CASES = _cases(CLUSTER_FILES)
"""Those of three members."""
