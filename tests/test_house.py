"""The house rules that no linter knows: sizes, mirror, allow-lists, words."""

import ast
import json
import re
from pathlib import Path

import pytest

from raftgate.api import errors
from raftgate.api.services import RPCS

ROOT = Path(__file__).parent.parent
PACKAGES = ("raftgate", "gateway", "consensus", "storage")
MODULES = sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

MODULE_CEILING = 500
CORE_CEILING = 600
FUNCTION_CEILING = 50
ARGUMENT_CEILING = 6

# Longer than the ceiling, each with its reason.
LONG_MODULES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}

# Modules without a test file of their own, each with its reason.
UNMIRRORED: dict[str, str] = {}

ALLOWED_IMPORTS = {
    "consensus/raft": {"consensus.raft", "dataclasses", "enum", "typing", "collections"},
    "raftgate/api": {"raftgate.api", "msgspec"},
}
STANDARD_FOR_API = {
    "base64", "binascii", "collections", "dataclasses", "decimal", "enum", "functools", "json", "re", "types", "typing",
}  # fmt: skip


def trees() -> list[tuple[Path, ast.Module]]:
    return [(path, ast.parse((ROOT / path).read_text())) for path in MODULES]


def imports_of(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names.add(node.module or "")
    return names


def test_modules_stay_small() -> None:
    for path in MODULES:
        ceiling = CORE_CEILING if str(path).startswith("consensus/raft/") else MODULE_CEILING
        lines = len((ROOT / path).read_text().splitlines())
        assert lines <= ceiling or str(path) in LONG_MODULES, f"{path}: {lines} lines"


def test_functions_stay_small() -> None:
    for path, tree in trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            name = f"{path}:{node.name}"
            assert lines <= FUNCTION_CEILING or name in LONG_FUNCTIONS, f"{name}: {lines} lines"
            arguments = [a for a in node.args.args + node.args.kwonlyargs if a.arg not in ("self", "cls")]
            assert len(arguments) <= ARGUMENT_CEILING, f"{name}: {len(arguments)} arguments"


def test_each_module_has_its_test() -> None:
    for path in MODULES:
        if path.name == "__init__.py" or str(path) in UNMIRRORED:
            continue
        folder = path.parent if path.parts[0] != "raftgate" or path.parts[:2] != ("raftgate", "api") else Path("api")
        twin = Path("tests") / folder / f"test_{path.stem.strip('_')}.py"
        assert (ROOT / twin).exists(), f"{path} has no {twin}"


@pytest.mark.parametrize("package", sorted(ALLOWED_IMPORTS))
def test_leaves_import_only_what_they_may(package: str) -> None:
    allowed = ALLOWED_IMPORTS[package] | (STANDARD_FOR_API if package == "raftgate/api" else set())
    for path, tree in trees():
        if not str(path).startswith(package + "/"):
            continue
        for name in imports_of(tree):
            assert any(name == ok or name.startswith(ok + ".") for ok in allowed), f"{path} imports {name}"


def test_storage_and_the_core_are_synchronous() -> None:
    for path, tree in trees():
        if path.parts[0] == "storage" or path.parts[:2] == ("consensus", "raft"):
            asyncs = [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)]
            assert not asyncs, f"{path} has an async def"


def test_no_test_patches_or_sleeps_to_wait() -> None:
    for path in (ROOT / "tests").rglob("*.py"):
        text = path.read_text()
        if path == Path(__file__):
            continue
        assert "monkeypatch" not in text, path
        assert "mock.patch" not in text, path
        assert not re.search(r"\btime\.sleep\(|asyncio\.sleep\((?!0\))", text), f"{path} sleeps"


def test_errors_have_unique_texts() -> None:
    texts = [kind.default_text for kind in errors.EtcdError.__subclasses__()]
    assert len(texts) == len(set(texts))
    assert all(texts)


def test_paths_of_the_services_table_are_unique() -> None:
    paths = [path for rpc in RPCS for path in rpc.paths]
    assert len(paths) == len(set(paths))
    assert all(path.startswith("/v3/") for path in paths)


def test_the_contract_has_the_paths_of_the_services_table() -> None:
    paths = json.loads((ROOT / "gateway/openapi.json").read_text())["paths"]
    table = {path: rpc.request is not None for rpc in RPCS for path in rpc.paths}
    described = {path: "200" in item["post"]["responses"] for path, item in paths.items() if path.startswith("/v3")}
    assert described == table


def test_each_package_has_a_design_note() -> None:
    for package in PACKAGES:
        note = ROOT / package / "DESIGN.md"
        assert len(note.read_text().splitlines()) < 120, note


def test_versions_agree() -> None:
    init = (ROOT / "raftgate/__init__.py").read_text()
    assert '__version__ = "' in init
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text()
