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
    "members",
    "watches",
    "watch_history",
    "watch_streams",
    "websockets",
    "leases",
    "locks",
    "elections",
)

CASES: dict[str, list[Case]] = {name: importlib.import_module(f"tests.e2e.cases.{name}").CASES for name in FILES}
