"""Every row of the contract is proven by a case or by a test elsewhere, or waits for what brings it."""

import ast
import re

import pytest

from gateway.errors import HTTP_STATUS
from raftgate.api import errors
from tests.e2e.catalogue import CASES, CLUSTER_CASES
from tests.e2e.error_rows import ERRORS, ErrorRow
from tests.e2e.row import Row
from tests.e2e.rows import ROWS
from tests.e2e.servers import REPOSITORY

PROVEN = {row for cases in (*CASES.values(), *CLUSTER_CASES.values()) for case in cases for row in case.rows}


def test_each_row_is_proven() -> None:
    missing = [f"{row.id}: {row.text}" for row in ROWS if not (row.id in PROVEN or row.elsewhere or row.later)]
    assert not missing, "rows without a case or a test:\n" + "\n".join(missing)


def test_what_is_proven_waits_for_nothing() -> None:
    assert not [row.id for row in ROWS if row.later and (row.id in PROVEN or row.elsewhere)]


def test_cases_name_rows_that_exist() -> None:
    assert not PROVEN - {row.id for row in ROWS}


def test_ids_are_unique_and_well_formed() -> None:
    ids = [row.id for row in ROWS]
    assert len(set(ids)) == len(ids)
    assert all(
        re.fullmatch(r"(kv|http|watch|lease|lock|election|cluster)-[0-9](\.[0-9])?(-[A-Za-z0-9]+)+", name)
        for name in ids
    )


@pytest.mark.parametrize("row", [row for row in ROWS if row.elsewhere], ids=lambda row: row.id)
def test_tests_elsewhere_exist(row: Row) -> None:
    for reference in row.elsewhere:
        path, _, name = reference.partition("::")
        tree = ast.parse((REPOSITORY / "tests" / path).read_text())
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in functions, reference


@pytest.mark.parametrize("row", ERRORS, ids=lambda row: row.name)
def test_errors_are_those_of_the_contract(row: ErrorRow) -> None:
    kind = getattr(errors, row.name)
    assert (kind.code, HTTP_STATUS[kind.code], kind().text) == (row.code, row.status, row.message)
